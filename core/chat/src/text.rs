//! From the text that users type to the HTML of the history, and back.

/// Escapes all characters that have a meaning in HTML.
pub fn escape_html(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = first_special(rest.as_bytes()) {
        html.push_str(&rest[..at]);
        html.push_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#39;",
        });
        rest = &rest[at + 1..];
    }
    html.push_str(rest);
    html
}

/// Where the first byte stands that has a meaning in HTML. A client that joins late searches every post, so eight bytes are
/// compared at once.
fn first_special(bytes: &[u8]) -> Option<usize> {
    let (words, _) = bytes.as_chunks();
    let is_plain = |word: &&[u8; 8]| !has_special(u64::from_ne_bytes(**word));
    let skipped = 8 * words.iter().take_while(is_plain).count();
    let found = bytes[skipped..].iter().position(|byte| is_special(*byte));
    found.map(|at| skipped + at)
}

/// Whether a byte of this word has a meaning in HTML. `&` and `'` differ in one bit only, and so do `<` and `>`.
fn has_special(word: u64) -> bool {
    let each = |byte: u8| u64::from_ne_bytes([byte; 8]);
    // Not zero if a byte is zero: only such a byte borrows into its highest bit and has that bit clear.
    let zeros = |word: u64| word.wrapping_sub(each(1)) & !word & each(0x80);
    let found = zeros((word | each(1)) ^ each(b'\''))
        | zeros((word | each(2)) ^ each(b'>'))
        | zeros(word ^ each(b'"'));
    found != 0
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'')
}

/// The plain text of a line of the history: without tags, with escapes resolved.
pub fn plain_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut in_tag = false;
    for character in html.chars() {
        match character {
            '<' => in_tag = true,
            '>' => in_tag = false,
            other if !in_tag => text.push(other),
            _ => {}
        }
    }
    let unescaped = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    // The ampersand last, because `&amp;lt;` must not become `<`.
    unescaped.replace("&#39;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_escaped_and_come_back() {
        for text in ["a<b<c&&d", "<img onerror=\"x\">", "it's > \"that\"", "&lt;", "&amp;lt;", ""] {
            let html = escape_html(text);
            assert!(!html.contains(['<', '>', '"', '\'']), "{html}");
            assert_eq!(plain_text(&format!("<b>nick:</b> {html}")), format!("nick: {text}"));
        }
        assert_eq!(escape_html("a<b<c&&d"), "a&lt;b&lt;c&amp;&amp;d");
        assert_eq!(escape_html("ä<ß>€\"😀'"), "ä&lt;ß&gt;€&quot;😀&#39;");
    }

    #[test]
    fn eight_bytes_are_searched_like_one() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut word = [b'z'; 8];
                word[at] = byte;
                let number = u64::from_ne_bytes(word);
                assert_eq!(has_special(number), is_special(byte), "{byte} at {at}");
                assert_eq!(
                    first_special(&[b"12345678", &word[..]].concat()),
                    is_special(byte).then_some(8 + at),
                    "{byte} at {at}"
                );
            }
        }
        assert!(!has_special(u64::MAX) && !has_special(0));
    }
}
