//! Draws the chat in a terminal, and does nothing else.

use ratatui::Frame;
use ratatui::buffer::CellWidth;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Gauge, Paragraph};
use teatime::{Badge, QrCode};
use teatime_chat::printable;
use tui_input::Input;

/// Everything that is shown.
pub(crate) struct Screen {
    pub(crate) badge: Badge,
    pub(crate) room: String,
    pub(crate) encrypted: bool,
    pub(crate) nickname: String,
    pub(crate) participants: u32,
    pub(crate) connection: String,
    /// Progress of the catch-up, from 0 to 1, while one runs.
    pub(crate) progress: Option<f32>,
    /// The lines of the chat as plain text, oldest first.
    pub(crate) history: Vec<String>,
    /// How many rows the history is scrolled back.
    pub(crate) scrolled: usize,
    pub(crate) input: Input,
    /// Who is typing. Replaces the help.
    pub(crate) typing: Vec<String>,
    /// Something that the user should know. Replaces the help.
    pub(crate) notice: Option<String>,
    pub(crate) link: String,
    /// The link leads only programs on this machine anywhere: why.
    pub(crate) local_only: Option<&'static str>,
    /// Which of several ways to this machine the link takes.
    pub(crate) way: Option<String>,
    /// The user wants to see the QR code. A lone participant sees it anyway.
    pub(crate) qr_wanted: bool,
    pub(crate) colour: bool,
}

const HELP: &str = "Enter send · /reset · PgUp/PgDn scroll · F2 QR code · Esc leave";

/// Least columns of the history beside a QR code.
const LEAST_HISTORY: u16 = 24;

impl Screen {
    /// Draws everything that fits: the input first, then the history, then the rest.
    pub(crate) fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let (header, footer) = (u16::from(area.height >= 4), u16::from(area.height >= 6));
        let progress = u16::from(self.progress.is_some() && area.height >= 5);
        let input = if area.height >= 8 { 3 } else { 1 };
        let [top, bar, body, line, bottom] = Layout::vertical([
            Constraint::Length(header),
            Constraint::Length(progress),
            Constraint::Min(0),
            Constraint::Length(input),
            Constraint::Length(footer),
        ])
        .areas(area);
        self.draw_header(frame, top);
        self.draw_progress(frame, bar);
        self.draw_body(frame, body);
        self.draw_input(frame, line);
        self.draw_footer(frame, bottom);
    }

    fn style(&self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    fn draw_header(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = |[red, green, blue]: [u8; 3]| {
            Span::styled("██", self.style(Color::Rgb(red, green, blue)))
        };
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let people = if self.participants == 1 {
            "1 here".into()
        } else {
            format!("{} here", self.participants)
        };
        let mut spans = Vec::new();
        if self.colour {
            spans.extend(self.badge.colours.map(block));
        }
        spans.push(Span::styled(format!(" {} ", self.badge.word), bold));
        spans.push(Span::raw(format!("│ {} ", self.room)));
        if self.encrypted {
            spans.push(Span::styled("🔒 ", self.style(Color::Green)));
        }
        if !self.nickname.is_empty() {
            spans.push(Span::raw(format!("│ {} · {people} ", self.nickname)));
        }
        spans.push(Span::styled(format!("│ {}", self.connection), self.style(self.state_colour())));
        frame.render_widget(Line::from(spans), area);
    }

    fn state_colour(&self) -> Color {
        if self.connection == "live" { Color::Green } else { Color::Yellow }
    }

    fn draw_progress(&self, frame: &mut Frame<'_>, area: Rect) {
        if let Some(progress) = self.progress
            && area.height > 0
        {
            let ratio = f64::from(progress).clamp(0.0, 1.0);
            let gauge = Gauge::default().ratio(ratio).gauge_style(self.style(Color::Cyan));
            frame.render_widget(gauge, area);
        }
    }

    fn draw_body(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let code = (self.qr_wanted || self.participants == 1)
            .then(|| QrCode::new(&self.link))
            .flatten()
            .map(|code| code.to_lines());
        let Some(code) = code else {
            self.draw_history(frame, area);
            return;
        };
        let width = code.first().map_or(0, |line| line.chars().count()) as u16;
        let fits = area.height as usize > code.len();
        if fits && area.width >= width + LEAST_HISTORY {
            let columns = [Constraint::Min(LEAST_HISTORY), Constraint::Length(width)];
            let [left, right] = Layout::horizontal(columns).areas(area);
            self.draw_history(frame, left);
            self.draw_code(frame, right, &code);
        } else if self.qr_wanted && fits && area.width >= width {
            frame.render_widget(Clear, area);
            self.draw_code(frame, area, &code);
        } else if self.qr_wanted {
            // Too small for the code: the link itself, to be copied.
            let rows = wrap(&self.link, area.width.into()).into_iter().map(Line::from);
            frame.render_widget(Paragraph::new(rows.collect::<Vec<_>>()), area);
        } else {
            self.draw_history(frame, area);
        }
    }

    fn draw_code(&self, frame: &mut Frame<'_>, area: Rect, code: &[String]) {
        // Always light on dark, because cameras need the contrast.
        let style = if self.colour {
            Style::new().fg(Color::Rgb(255, 255, 255)).bg(Color::Rgb(0, 0, 0))
        } else {
            Style::new()
        };
        let mut lines: Vec<_> = code.iter().map(|line| Line::styled(line.clone(), style)).collect();
        // A phone that scans the code would look for the reflector on itself.
        let what = match (&self.local_only, &self.way) {
            (Some(why), _) => (*why).to_owned(),
            (None, Some(way)) => format!("scan to join by {way}"),
            (None, None) => "scan to join".to_owned(),
        };
        lines.push(Line::raw(what));
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn draw_history(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let width = usize::from(area.width.max(1));
        let rows: Vec<_> = self.history.iter().flat_map(|line| wrap(line, width)).collect();
        let height = usize::from(area.height);
        self.scrolled = self.scrolled.min(rows.len().saturating_sub(height));
        let end = rows.len() - self.scrolled;
        let visible = rows[end.saturating_sub(height)..end].iter();
        // Not a paragraph, which would break the rows by rules of its own.
        for (row, place) in visible.zip(area.rows()) {
            frame.render_widget(Span::raw(row.as_str()), place);
        }
    }

    fn draw_input(&self, frame: &mut Frame<'_>, area: Rect) {
        let inner = if area.height >= 3 {
            let block = Block::bordered();
            let inner = block.inner(area);
            frame.render_widget(block, area);
            inner
        } else {
            area
        };
        let width = usize::from(inner.width.saturating_sub(1));
        let (text, column) = input_window(self.input.value(), self.input.cursor(), width);
        frame.render_widget(Span::raw(text), inner);
        if inner.width > 0 && inner.height > 0 {
            frame.set_cursor_position(Position::new(inner.x + column as u16, inner.y));
        }
    }

    fn draw_footer(&self, frame: &mut Frame<'_>, area: Rect) {
        let line = match &self.notice {
            Some(notice) => Line::styled(printable(notice), self.style(Color::Red)),
            None => {
                let text = typing_line(&self.typing).unwrap_or_else(|| HELP.to_owned());
                Line::styled(text, Style::new().add_modifier(Modifier::DIM))
            }
        };
        frame.render_widget(line, area);
    }
}

/// Who is typing, for people. `None` if they are none.
fn typing_line(names: &[String]) -> Option<String> {
    match names {
        [] => None,
        [one] => Some(format!("{one} is typing")),
        [one, two] => Some(format!("{one} and {two} are typing")),
        [one, two, rest @ ..] => Some(format!("{one}, {two} and {} more are typing", rest.len())),
    }
}

/// What a user sees as one character, with the columns that it takes: exactly as they are drawn. An emoji of several
/// characters takes fewer columns than these would.
fn graphemes(text: &str) -> Vec<(String, usize)> {
    let span = Span::raw(text);
    let graphemes = span.styled_graphemes(Style::new());
    graphemes.map(|it| (it.symbol.to_owned(), it.symbol.cell_width().into())).collect()
}

/// Breaks a line into rows of at most `width` columns, between words if possible.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let (mut rows, mut row, mut used) = (Vec::new(), Vec::new(), 0);
    let text = |row: Vec<(String, usize)>| row.into_iter().map(|(symbol, _)| symbol).collect();
    for (symbol, wide) in graphemes(line) {
        if used + wide > width && !row.is_empty() {
            let space = row.iter().rposition(|(symbol, _)| symbol == " ");
            let rest = match space {
                Some(space) if symbol != " " => row.split_off(space + 1),
                _ => Vec::new(),
            };
            rows.push(text(std::mem::replace(&mut row, rest)));
            used = row.iter().map(|(_, wide)| wide).sum();
        }
        used += wide;
        row.push((symbol, wide));
    }
    rows.push(text(row));
    rows
}

/// The part of the typed line that fits into `width` columns and has the cursor, and the column of the cursor. The cursor
/// counts characters.
fn input_window(line: &str, cursor: usize, width: usize) -> (String, usize) {
    let before: String = line.chars().take(cursor).collect();
    let before: usize = graphemes(&before).iter().map(|(_, wide)| wide).sum();
    let from = before.saturating_sub(width);
    let (mut at, mut skipped) = (0, 0);
    let mut part = String::new();
    for (symbol, wide) in graphemes(line) {
        if at < from {
            skipped = at + wide;
        } else if at + wide <= skipped + width {
            part.push_str(&symbol);
        } else {
            break;
        }
        at += wide;
    }
    (part, before.saturating_sub(skipped).min(width))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use teatime::{JoinLink, SessionId};

    use super::*;

    #[test]
    fn the_line_says_who_is_typing() {
        let line = |names: &[&str]| {
            typing_line(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(line(&[]), None);
        assert_eq!(line(&["Ada"]).as_deref(), Some("Ada is typing"));
        assert_eq!(line(&["Ada", "Bo"]).as_deref(), Some("Ada and Bo are typing"));
        let many = line(&["Ada", "Bo", "Cy", "Di"]);
        assert_eq!(many.as_deref(), Some("Ada, Bo and 2 more are typing"));
    }

    fn screen() -> Screen {
        Screen {
            badge: Badge::of(&SessionId([1; 32])),
            room: "lobby".into(),
            encrypted: true,
            nickname: "Otter".into(),
            participants: 2,
            connection: "live".into(),
            progress: None,
            history: (0..30).map(|n| format!("Otter: line {n}")).collect(),
            scrolled: 0,
            input: Input::new("tea?".into()),
            typing: Vec::new(),
            notice: None,
            link: "teatime://192.0.2.1:9090/teatime.chat/lobby".into(),
            local_only: None,
            way: None,
            qr_wanted: false,
            colour: true,
        }
    }

    fn drawn(screen: &mut Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it has a size");
        terminal.draw(|frame| screen.draw(frame)).expect("the test backend takes everything");
        terminal.backend().to_string()
    }

    #[test]
    fn acceptance_25_header_and_lines_in_order_with_the_last_line_in_view() {
        let text = drawn(&mut screen(), 80, 20);
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part:?} in {text}"));
        assert!(at("lobby") < at("Otter · 2 here") && at("2 here") < at("live"));
        assert!(at("line 28") < at("line 29") && at("line 29") < at("tea?"));
        assert!(!text.contains("line 5 "));
    }

    #[test]
    fn scrolling_back_stops_at_the_first_line() {
        let mut screen = screen();
        screen.scrolled = 1_000;
        assert!(drawn(&mut screen, 80, 20).contains("line 0"));
        assert!(screen.scrolled < 30);
    }

    #[test]
    fn every_size_can_be_drawn() {
        for (width, height) in [(1, 1), (2, 3), (20, 5), (200, 60), (80, 4), (10, 60)] {
            for (participants, qr_wanted) in [(1, false), (2, true)] {
                let mut screen = Screen { participants, qr_wanted, ..screen() };
                screen.progress = Some(0.5);
                screen.input = Input::new("宽".repeat(100));
                drawn(&mut screen, width, height);
            }
        }
    }

    /// Reads the code on a screen as a camera does: by another library, from an image of what is drawn.
    fn scanned(screen: &mut Screen) -> String {
        const PIXELS: usize = 4;
        let mut terminal = Terminal::new(TestBackend::new(100, 40)).expect("it has a size");
        terminal.draw(|frame| screen.draw(frame)).expect("the test backend takes everything");
        let buffer = terminal.backend().buffer();
        // A cell has two modules, one above the other. Around the code there may be text.
        let is_light = |x: usize, y: usize| {
            let cell = &buffer[(x as u16, (y / 2) as u16)];
            match cell.symbol() {
                "█" => true,
                "▀" => y.is_multiple_of(2),
                "▄" => !y.is_multiple_of(2),
                _ => false,
            }
        };
        let dark = |x: usize, y: usize| !is_light(x / PIXELS, y / PIXELS);
        let mut image = rqrr::PreparedImage::prepare_from_bitmap(100 * PIXELS, 80 * PIXELS, dark);
        let [grid] = &image.detect_grids()[..] else { panic!("one code") };
        grid.decode().expect("it is whole").1
    }

    #[test]
    fn acceptance_2_a_lone_participant_sees_the_qr_code_of_the_link() {
        let mut screen = Screen { participants: 1, ..screen() };
        let link = JoinLink {
            reflector: "ws://192.0.2.1:9090".into(),
            app: "teatime.chat".into(),
            name: "Tea & cake/#1".into(),
            options: None,
            password: Some("p w#ü".into()),
        };
        screen.link = link.to_string();
        assert_eq!(scanned(&mut screen).parse(), Ok(link));
        let code = QrCode::new(&screen.link).expect("the link is short").to_lines();
        let text = drawn(&mut screen, 100, 40);
        assert!(code.iter().all(|line| text.contains(line.trim_end())), "{text}");
        assert!(text.contains("scan to join"));
        screen.way = Some("eth0 (1 of 2, F3 next)".into());
        assert!(drawn(&mut screen, 100, 40).contains("scan to join by eth0 (1 of 2, F3 next)"));
        screen.local_only = Some("this machine only: see --listen");
        let text = drawn(&mut screen, 100, 40);
        assert!(text.contains("see --listen") && !text.contains("scan to join"), "{text}");
        (screen.participants, screen.local_only) = (2, None);
        assert!(!drawn(&mut screen, 100, 40).contains("scan to join"));
    }

    #[test]
    fn long_lines_break_between_words_and_wide_characters_count_two() {
        assert_eq!(wrap("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("宽宽宽", 4), ["宽宽", "宽"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("ab", 0), ["a", "b"]);
        assert_eq!(wrap("❤\u{fe0f}❤\u{fe0f}", 2), ["❤\u{fe0f}", "❤\u{fe0f}"]);
    }

    #[test]
    fn what_is_drawn_is_what_was_said() {
        let texts = [
            "❤\u{fe0f} tea ☕\u{fe0f} or ☎\u{fe0f}? ".repeat(30) + "the end",
            "👩\u{200d}👩\u{200d}👧\u{200d}👦".repeat(40) + "the end",
            "🏳\u{fe0f}\u{200d}🌈 🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f} 🇩🇪 👍🏽 1\u{fe0f}\u{20e3} ".repeat(20) + "the end",
            "e\u{301}o\u{308}\u{323} ".repeat(60) + "the end",
            "क्षि நி ก็ 한국 宽字 ｶﾞﾊﾟ ".repeat(20) + "the end",
            "a\u{301}\u{301}\u{301}".repeat(100) + "the end",
            "שלום עולם ".repeat(20) + "the end",
            "x".repeat(500) + "the end",
        ];
        for text in texts {
            for width in [7, 24, 80] {
                let mut screen = Screen { history: vec![text.clone()], ..screen() };
                let mut terminal =
                    Terminal::new(TestBackend::new(width, 200)).expect("it has a size");
                terminal
                    .draw(|frame| screen.draw(frame))
                    .expect("the test backend takes everything");
                let buffer = terminal.backend().buffer();
                let mut cells = Vec::new();
                for y in 1..buffer.area.height - 4 {
                    let mut x = 0;
                    while x < width {
                        let symbol = buffer[(x, y)].symbol();
                        cells.push(symbol.to_owned());
                        x += symbol.cell_width().max(1);
                    }
                }
                let drawn = cells.concat().replace(' ', "");
                assert_eq!(drawn, text.replace(' ', ""), "{width} columns");
            }
        }
    }

    #[test]
    fn the_cursor_stands_behind_what_was_typed() {
        assert_eq!(input_window("tea", 3, 10), ("tea".into(), 3));
        assert_eq!(input_window("❤\u{fe0f}❤\u{fe0f}x", 5, 10), ("❤\u{fe0f}❤\u{fe0f}x".into(), 5));
        assert_eq!(input_window("abcdef", 6, 3), ("def".into(), 3));
        assert_eq!(input_window("宽宽宽", 3, 3), ("宽".into(), 2));
        assert_eq!(input_window("abcdef", 0, 3), ("abc".into(), 0));
        assert_eq!(input_window("宽", 1, 0), (String::new(), 0));
    }
}
