//! The text of a type, as the version hash of an app contains it.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

/// The tokens of a type with a space between each two, and without commas that mean nothing. Clients of one app must
/// compute the same text whatever compiler built them. So this does not use `TokenStream::to_string`, whose spaces may
/// change from one compiler to the next, and a formatter that adds a comma changes nothing.
pub(crate) fn text_of(of: &impl ToTokens) -> String {
    let mut words = Vec::new();
    push(of.to_token_stream(), &mut words);
    words.join(" ")
}

fn push(tokens: TokenStream, words: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    // The compiler adds these around what a macro has inserted.
                    Delimiter::None => {
                        push(group.stream(), words);
                        continue;
                    }
                };
                words.push(open.into());
                let start = words.len();
                push(group.stream(), words);
                // One type and a comma in parentheses are a tuple.
                let is_tuple_of_one =
                    group.delimiter() == Delimiter::Parenthesis && commas(&words[start..]) == 1;
                if !is_tuple_of_one {
                    drop_comma(words, start);
                }
                words.push(close.into());
            }
            TokenTree::Punct(punct) => {
                let is_arrow = words.last().is_some_and(|before| before == "-");
                if punct.as_char() == '>' && !is_arrow {
                    drop_comma(words, 0);
                }
                words.push(punct.as_char().to_string());
            }
            TokenTree::Ident(ident) => words.push(ident.to_string()),
            TokenTree::Literal(literal) => words.push(literal.to_string()),
        }
    }
}

fn drop_comma(words: &mut Vec<String>, start: usize) {
    if words.len() > start && words.last().is_some_and(|last| last == ",") {
        words.pop();
    }
}

/// Number of commas that are not inside of other brackets.
fn commas(words: &[String]) -> usize {
    let (mut depth, mut count, mut before) = (0, 0, "");
    for word in words {
        match word.as_str() {
            "(" | "[" | "{" | "<" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            ">" if before != "-" => depth -= 1,
            "," if depth == 0 => count += 1,
            _ => {}
        }
        before = word;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str) -> String {
        text_of(&source.parse::<TokenStream>().expect("it is Rust"))
    }

    #[test]
    fn spaces_and_commas_of_a_formatter_change_nothing() {
        assert_eq!(text("OrderedMap<ViewId,Vec<u8>>"), "OrderedMap < ViewId , Vec < u8 > >");
        for (one, other) in [
            ("Vec<Vec<u8>>", "Vec < Vec< u8 > >"),
            ("Map<A, B>", "Map<\n    A,\n    B,\n>"),
            ("(A, B)", "(A, B,)"),
            ("[u8; 4]", "[ u8;4 ]"),
            ("std::option::Option<u8>", "std :: option::Option<u8,>"),
            ("fn(A) -> B", "fn(A)->B"),
        ] {
            assert_eq!(text(one), text(other), "{one}");
        }
    }

    #[test]
    fn types_that_differ_have_different_texts() {
        for (one, other) in [
            ("(A,)", "(A)"),
            ("(Map<A, B>,)", "(Map<A, B>)"),
            ("Vec<u8>", "Vec<u16>"),
            ("a::B", "b::B"),
            ("[u8; 4]", "[u8; 5]"),
            ("(A, B)", "(B, A)"),
            ("()", "(())"),
        ] {
            assert_ne!(text(one), text(other), "{one}");
        }
    }
}
