//! A picture of two chats in one room, drawn from what real programs show on their terminals.

use std::fmt::Write;
use std::path::Path;

use vt100::{Cell, Color, Parser, Screen};

use crate::teatime::Teatime;
use crate::terminal::OnTerminal;

const LINES: u16 = 12;
const COLUMNS: u16 = 60;
/// Of a letter, in units of the picture.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 18.0;
/// Around a terminal, and between two.
const MARGIN: f64 = 16.0;

/// Runs two chats that find each other, lets them talk, and draws their terminals as SVG. Their files go into `scratch`, which
/// is empty.
///
/// # Errors
/// `scratch` is not UTF-8.
pub fn draw(program: &Path, scratch: &Path) -> Result<String, String> {
    let scratch = scratch.to_str().ok_or("the directory is not UTF-8")?;
    let chat = || {
        let mut command = Teatime::at(program).command(&["chat", "--name", "kitchen"]);
        command.env("XDG_RUNTIME_DIR", scratch).env("XDG_STATE_HOME", scratch);
        command.env("TEATIME_PORT", "0").env("TERM", "xterm-256color");
        OnTerminal::spawn_with_size(&mut command, LINES, COLUMNS)
    };
    let mut left = chat();
    wait_for_screen(&mut left, "live");
    let mut right = chat();
    wait_for_screen(&mut right, "2 here");
    wait_for_screen(&mut left, "2 here");
    for (text, is_left) in [("tea?", true), ("always", false), ("with milk?", true)] {
        let author = if is_left { &mut left } else { &mut right };
        author.type_keys(&format!("{text}\r"));
        for one in [&mut left, &mut right] {
            // Behind the name of its author.
            wait_for_screen(one, &format!(": {text}"));
        }
    }
    right.type_keys("four o'clock");
    wait_for_screen(&mut right, "four o'clock");
    Ok(picture(&[&left.shown, &right.shown]))
}

/// What a terminal shows.
fn screen_of(shown: &str) -> Parser {
    let mut parser = Parser::new(LINES, COLUMNS, 0);
    parser.process(shown.as_bytes());
    parser
}

/// Waits until a text stands on a screen.
fn wait_for_screen(terminal: &mut OnTerminal, text: &str) {
    terminal.wait_until(text, |shown| screen_of(shown).screen().contents().contains(text));
}

fn picture(terminals: &[&str]) -> String {
    let (width, height) = (f64::from(COLUMNS) * WIDTH, f64::from(LINES) * HEIGHT);
    let count = terminals.len() as f64;
    let (all_width, all_height) = (count * (width + 3.0 * MARGIN) - MARGIN, height + 2.0 * MARGIN);
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {all_width:.0} {all_height:.0}\" font-family=\"monospace\" font-size=\"14\">\n\
         <title>Two terminals with the chat, in one room</title>\n"
    );
    for (at, shown) in terminals.iter().enumerate() {
        let left = at as f64 * (width + 3.0 * MARGIN);
        let (frame_width, frame_height) = (width + 2.0 * MARGIN, all_height);
        let _ = writeln!(
            picture,
            "<rect x=\"{left:.1}\" width=\"{frame_width:.1}\" height=\"{frame_height:.1}\" rx=\"8\" fill=\"#1e1e2e\"/>"
        );
        add_terminal(&mut picture, screen_of(shown).screen(), left + MARGIN);
    }
    picture.push_str("</svg>\n");
    picture
}

fn add_terminal(picture: &mut String, screen: &Screen, left: f64) {
    for line in 0..LINES {
        let y = MARGIN + (f64::from(line) + 0.8) * HEIGHT;
        let mut column = 0;
        while column < COLUMNS {
            let start = column;
            let Some(style) = screen.cell(line, start).map(style) else { break };
            let mut text = String::new();
            // Letters of the same style, at least one.
            while let Some(cell) =
                screen.cell(line, column).filter(|cell| self::style(cell) == style)
            {
                text.push_str(if cell.has_contents() { cell.contents() } else { " " });
                column += 1;
            }
            if text.trim().is_empty() {
                continue;
            }
            let (x, length) = (left + f64::from(start) * WIDTH, f64::from(column - start) * WIDTH);
            let text = escaped(&text);
            let _ = writeln!(
                picture,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\" {style}>{text}</text>"
            );
        }
    }
}

/// How a cell is drawn.
fn style(cell: &Cell) -> String {
    let colour = match cell.fgcolor() {
        Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
        Color::Idx(1 | 9) => "#f38ba8".to_owned(),
        Color::Idx(2 | 10) => "#a6e3a1".to_owned(),
        Color::Idx(3 | 11) => "#f9e2af".to_owned(),
        Color::Idx(6 | 14) => "#94e2d5".to_owned(),
        _ if cell.dim() => "#7f849c".to_owned(),
        _ => "#cdd6f4".to_owned(),
    };
    let weight = if cell.bold() { " font-weight=\"bold\"" } else { "" };
    format!("fill=\"{colour}\"{weight}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_what_is_shown_in_its_colours() {
        let picture = picture(&["\u{1b}[32mlive\u{1b}[0m a < b"]);
        assert!(picture.contains("fill=\"#a6e3a1\">live</text>"), "{picture}");
        assert!(picture.contains("a &lt; b"), "{picture}");
    }
}
