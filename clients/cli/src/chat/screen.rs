//! Draws the chat in a terminal, and does nothing else.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Gauge, Paragraph};
use teatime::{Badge, QrCode};
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
    /// Something that the user should know. Replaces the help.
    pub(crate) notice: Option<String>,
    pub(crate) link: String,
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
        lines.push(Line::raw("scan to join"));
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn draw_history(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let width = usize::from(area.width.max(1));
        let rows: Vec<_> = self.history.iter().flat_map(|line| wrap(line, width)).collect();
        let height = usize::from(area.height);
        self.scrolled = self.scrolled.min(rows.len().saturating_sub(height));
        let end = rows.len() - self.scrolled;
        let visible = rows[end.saturating_sub(height)..end].iter();
        let lines: Vec<_> = visible.map(|row| Line::from(row.as_str())).collect();
        frame.render_widget(Paragraph::new(lines), area);
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
        let scroll = self.input.visual_scroll(width);
        let text = skip_columns(self.input.value(), scroll, width);
        frame.render_widget(Line::from(text), inner);
        if inner.width > 0 && inner.height > 0 {
            let cursor = self.input.visual_cursor().saturating_sub(scroll).min(width);
            frame.set_cursor_position(Position::new(inner.x + cursor as u16, inner.y));
        }
    }

    fn draw_footer(&self, frame: &mut Frame<'_>, area: Rect) {
        let line = match &self.notice {
            Some(notice) => Line::styled(notice.as_str(), self.style(Color::Red)),
            None => Line::styled(HELP, Style::new().add_modifier(Modifier::DIM)),
        };
        frame.render_widget(line, area);
    }
}

fn columns(character: char) -> usize {
    Span::raw(character.encode_utf8(&mut [0; 4]).to_owned()).width()
}

/// Breaks a line into rows of at most `width` columns, between words if possible.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut used = 0;
    for character in line.chars().filter(|character| !character.is_control()) {
        let wide = columns(character);
        if used + wide > width {
            let row = rows.last_mut().expect("there is always a row");
            let rest = match row.rfind(' ') {
                Some(space) if character != ' ' => row.split_off(space + 1),
                _ => String::new(),
            };
            used = rest.chars().map(columns).sum();
            rows.push(rest);
        }
        used += wide;
        rows.last_mut().expect("there is always a row").push(character);
    }
    rows
}

/// The part of a line from a column on, at most `width` columns.
fn skip_columns(line: &str, from: usize, width: usize) -> String {
    let mut at = 0;
    let mut part = String::new();
    for character in line.chars() {
        let wide = columns(character);
        if at >= from && at + wide <= from + width {
            part.push(character);
        } else if at >= from + width {
            break;
        }
        at += wide;
    }
    part
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use teatime::SessionId;

    use super::*;

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
            notice: None,
            link: "teatime://127.0.0.1:9090/teatime.chat/lobby".into(),
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

    #[test]
    fn acceptance_2_a_lone_participant_sees_the_qr_code_of_the_link() {
        let mut screen = Screen { participants: 1, ..screen() };
        let code = QrCode::new(&screen.link).expect("the link is short").to_lines();
        let text = drawn(&mut screen, 100, 40);
        assert!(code.iter().all(|line| text.contains(line.trim_end())), "{text}");
        screen.participants = 2;
        assert!(!drawn(&mut screen, 100, 40).contains("scan to join"));
    }

    #[test]
    fn long_lines_break_between_words_and_wide_characters_count_two() {
        assert_eq!(wrap("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("宽宽宽", 4), ["宽宽", "宽"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
