//! Doc comments as Markdown for a page outside of rustdoc.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The text of doc comments, in one line.
pub(super) fn docs(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    without_links(&lines.collect::<Vec<_>>().join(" "))
}

/// The same text, with the texts of links only: their targets are items of Rust.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        plain.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        let Some(end) = after.find(']') else { break };
        plain.push_str(&after[..end]);
        rest = &after[end + 1..];
        if let Some(target) = rest.strip_prefix('(') {
            rest = target.find(')').map_or(target, |end| &target[end + 1..]);
        }
    }
    plain.push_str(rest);
    plain
}

/// `WrongPassword` as `WRONG_PASSWORD`.
pub(super) fn screaming(name: &str) -> String {
    let mut screaming = String::new();
    for (at, letter) in name.chars().enumerate() {
        if at > 0 && letter.is_uppercase() {
            screaming.push('_');
        }
        screaming.extend(letter.to_uppercase());
    }
    screaming
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_their_texts() {
        assert_eq!(without_links("a [`Send`](crate::Send) and [`Join`]."), "a `Send` and `Join`.");
        assert_eq!(screaming("Utf8Text"), "UTF8_TEXT");
    }
}
