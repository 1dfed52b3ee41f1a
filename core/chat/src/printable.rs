//! What a terminal may get of a text that other users have chosen.

/// Takes the place of a character that must not reach a terminal.
const REPLACEMENT: char = '\u{fffd}';

/// Takes the place of a line break.
const LINE_BREAK: &str = " ⏎ ";

/// The text as one line that shows what it contains, and that a terminal does not obey.
///
/// - A line break becomes ` ⏎ `, a tab becomes a space.
/// - Control characters, characters that change the direction of text, and invisible ones become U+FFFD, because with
///   them a line can look like another one.
/// - Joiners and variation selectors stay where scripts and emoji need them.
pub fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    // Inside of a flag such as 🏴󠁧󠁢󠁥󠁮󠁧󠁿, whose letters are invisible.
    let mut in_flag = false;
    while let Some(character) = characters.next() {
        let before = line.chars().next_back();
        in_flag = character == '\u{1f3f4}' || (in_flag && is_tag(character));
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                line.push_str(LINE_BREAK);
            }
            '\t' => line.push(' '),
            tag if is_tag(tag) => line.push(if in_flag { tag } else { REPLACEMENT }),
            joiner @ '\u{200c}'..='\u{200d}' => {
                line.push(if before.is_some_and(is_joined) { joiner } else { REPLACEMENT });
            }
            selector if is_selector(selector) => {
                let fits = before.is_some_and(|it| !it.is_whitespace() && !is_selector(it));
                line.push(if fits { selector } else { REPLACEMENT });
            }
            other if other.is_control() || is_invisible(other) => line.push(REPLACEMENT),
            other => line.push(other),
        }
    }
    line
}

/// Whether a joiner may follow: in emoji, and in scripts whose letters change their form.
fn is_joined(before: char) -> bool {
    !before.is_ascii()
        && !before.is_whitespace()
        && !matches!(before, '\u{200c}'..='\u{200d}' | REPLACEMENT)
}

/// Selects a form of the character before.
fn is_selector(character: char) -> bool {
    matches!(character, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

fn is_tag(character: char) -> bool {
    matches!(character, '\u{e0020}'..='\u{e007f}')
}

/// Characters without a shape, and those that change the direction of the text around them.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_that_a_terminal_obeys_or_does_not_show_remains() {
        let bidirectional = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
        let marks = [
            '\u{200e}', '\u{200f}', '\u{61c}', '\u{200b}', '\u{2060}', '\u{feff}', '\u{ad}',
            '\u{3164}',
        ];
        let controls = ('\0'..='\u{9f}')
            .filter(|it| it.is_control() && !"\t\n\r\u{b}\u{c}\u{85}".contains(*it));
        for hidden in bidirectional.chain(marks).chain(controls).chain('\u{e0001}'..='\u{e007f}') {
            assert_eq!(printable(&format!("a{hidden}b")), "a\u{fffd}b", "{hidden:?}");
        }
        assert_eq!(printable("\u{1b}[2J\u{9b}31m"), "\u{fffd}[2J\u{fffd}31m");
    }

    #[test]
    fn line_breaks_are_visible_and_tabs_are_spaces() {
        for end in ["\n", "\r\n", "\r", "\u{85}", "\u{2028}", "\u{2029}", "\u{b}", "\u{c}"] {
            assert_eq!(printable(&format!("tea{end}Otter: me")), "tea ⏎ Otter: me", "{end:?}");
        }
        assert_eq!(printable("\n\n"), " ⏎  ⏎ ");
        assert_eq!(printable("a\tb"), "a b");
    }

    #[test]
    fn what_scripts_and_emoji_need_stays() {
        for text in [
            "Ünï 宽 né e\u{301}",
            "1\u{fe0f}\u{20e3} ❤\u{fe0f}",
            "👩\u{200d}👩\u{200d}👧",
            "🏳\u{fe0f}\u{200d}🌈",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "葛\u{e0100}",
            "שלום",
            "",
        ] {
            assert_eq!(printable(text), text);
        }
        for text in ["a\u{200d}b", "a\u{200c}b", "\u{200d}", " \u{fe0f}", "👩\u{200d}\u{200d}"] {
            assert!(printable(text).contains(REPLACEMENT), "{text:?}");
        }
    }
}
