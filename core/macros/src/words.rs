//! The words of a source: its tokens in one form, whatever a formatter does to them, and without comments and tests.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use syn::LitStr;

/// What a source refers to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// `mod name;`, with the path of its file if it names one.
    Module(String, Option<String>),
    /// `mod name { … }`, and what it refers to.
    Inline(String, Vec<Finding>),
    /// A file that `include!`, `include_str!` or `include_bytes!` names.
    Include(String),
}

/// The words of a source, and what it refers to.
pub(crate) fn of(source: TokenStream) -> (Vec<String>, Vec<Finding>) {
    let mut reader = Reader { tokens: source.into_iter().collect(), ..Reader::default() };
    reader.read();
    // Formatters sort imports and modules.
    reader.sorted.sort();
    reader.words.extend(reader.sorted.into_iter().flatten());
    (reader.words, reader.found)
}

/// Attributes that change nothing in what code does. Comments of items are among them.
const SILENT: [&str; 7] = ["doc", "allow", "expect", "warn", "deny", "forbid", "must_use"];

/// Reads the tokens between two brackets.
#[derive(Default)]
struct Reader {
    tokens: Vec<TokenTree>,
    at: usize,
    words: Vec<String>,
    /// Imports, and modules with files of their own.
    sorted: Vec<Vec<String>>,
    found: Vec<Finding>,
    /// The path that the newest attribute names.
    path: Option<String>,
}

impl Reader {
    fn read(&mut self) {
        while let Some(token) = self.tokens.get(self.at).cloned() {
            self.at += 1;
            match token {
                TokenTree::Punct(punct) => self.punct(punct.as_char()),
                TokenTree::Literal(literal) => self.words.push(literal.to_string()),
                TokenTree::Ident(ident) => self.ident(&ident),
                TokenTree::Group(group) => match group.delimiter() {
                    Delimiter::Brace if self.is_body() => self.body(group.stream()),
                    delimiter => self.group(delimiter, group.stream()),
                },
            }
        }
    }

    fn punct(&mut self, punct: char) {
        match punct {
            '#' => self.attribute(),
            // A formatter adds a comma behind the last of several lines, and a semicolon behind a last `return`.
            ',' | ';' if self.tokens.len() == self.at => {}
            ',' if self.is_punct(self.at, '>') => {}
            _ => self.words.push(punct.into()),
        }
    }

    fn is_punct(&self, at: usize, punct: char) -> bool {
        matches!(self.tokens.get(at), Some(TokenTree::Punct(one)) if one.as_char() == punct)
    }

    fn group(&mut self, delimiter: Delimiter, stream: TokenStream) {
        let (open, close) = match delimiter {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        let (words, found) = of(stream);
        self.found.extend(found);
        self.words.push(open.into());
        self.words.extend(words);
        self.words.push(close.into());
    }

    /// Whether a block that begins here is the body of a closure, or of an arm of a `match`.
    fn is_body(&self) -> bool {
        match &self.words[..] {
            [.., before, last] => last == "|" || (before == "=" && last == ">"),
            [last] => last == "|",
            [] => false,
        }
    }

    /// Whether a body is one expression in braces or without them is a matter of line length.
    fn body(&mut self, stream: TokenStream) {
        let is_arm = self.words.last().is_some_and(|last| last == ">");
        let is_semicolon =
            |token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
        let is_expression = !stream.is_empty() && !stream.clone().into_iter().any(is_semicolon);
        if is_expression {
            let (words, found) = of(stream);
            self.found.extend(found);
            self.words.extend(words);
        } else {
            self.group(Delimiter::Brace, stream);
        }
        if is_arm && !self.is_punct(self.at, ',') && self.at < self.tokens.len() {
            self.words.push(",".into());
        }
    }

    /// A `#` has been read.
    fn attribute(&mut self) {
        let is_inner = self.is_punct(self.at, '!');
        let at = self.at + usize::from(is_inner);
        let Some(TokenTree::Group(group)) = self.tokens.get(at).cloned() else {
            return self.words.push("#".into());
        };
        let inside: Vec<_> = group.stream().into_iter().collect();
        let Some(TokenTree::Ident(name)) = inside.first() else {
            return self.words.push("#".into());
        };
        if SILENT.iter().any(|silent| name == silent) {
            self.at = at + 1;
        } else if name == "test" || (name == "cfg" && is_test(&inside[1..])) {
            self.at = at + 1;
            self.skip_item();
        } else {
            if let [_, TokenTree::Punct(_), TokenTree::Literal(path)] = &inside[..]
                && name == "path"
            {
                self.path = text(TokenTree::from(path.clone()).into());
            }
            self.words.push("#".into());
        }
    }

    /// Skips an item of tests, a field, or an arm, with its other attributes.
    fn skip_item(&mut self) {
        const ITEMS: [&str; 8] =
            ["fn", "struct", "enum", "union", "impl", "trait", "mod", "macro_rules"];
        const WITH_SEMICOLON: [&str; 5] = ["const", "static", "use", "type", "let"];
        let (mut is_item, mut ends_in_semicolon) = (false, false);
        while let Some(token) = self.tokens.get(self.at).cloned() {
            self.at += 1;
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ';' => return,
                TokenTree::Punct(punct)
                    if punct.as_char() == ',' && !is_item && !ends_in_semicolon =>
                {
                    return;
                }
                TokenTree::Ident(ident) if !is_item && !ends_in_semicolon => {
                    let is = |names: &[&str]| names.iter().any(|one| ident == one);
                    let before_fn = matches!(self.tokens.get(self.at), Some(TokenTree::Ident(next)) if next == "fn");
                    is_item = is(&ITEMS);
                    ends_in_semicolon = is(&WITH_SEMICOLON) && !before_fn;
                }
                TokenTree::Group(group)
                    if group.delimiter() == Delimiter::Brace && !ends_in_semicolon =>
                {
                    return;
                }
                _ => {}
            }
        }
    }

    fn ident(&mut self, ident: &Ident) {
        if ident == "use" && !self.is_punct(self.at, '<') {
            return self.import();
        }
        if ident == "mod" {
            return self.module();
        }
        let includes = ["include", "include_str", "include_bytes"].iter().any(|one| ident == one);
        if includes
            && self.is_punct(self.at, '!')
            && let Some(TokenTree::Group(group)) = self.tokens.get(self.at + 1)
        {
            self.found.extend(text(group.stream()).map(Finding::Include));
        }
        self.words.push(ident.to_string());
    }

    /// `use` has been read. The rest of the import has its groups sorted.
    fn import(&mut self) {
        let mut words = vec!["use".to_owned()];
        while let Some(token) = self.tokens.get(self.at).cloned() {
            self.at += 1;
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ';' => break,
                TokenTree::Group(group) => words.extend(import_group(group.stream())),
                other => words.push(other.to_string()),
            }
        }
        self.sorted.push(words);
    }

    /// `mod` has been read.
    fn module(&mut self) {
        let path = self.path.take();
        let (name, next) =
            (self.tokens.get(self.at).cloned(), self.tokens.get(self.at + 1).cloned());
        let Some(TokenTree::Ident(name)) = name else { return self.words.push("mod".into()) };
        let plain = name.to_string().trim_start_matches("r#").to_owned();
        match next {
            Some(TokenTree::Punct(punct)) if punct.as_char() == ';' => {
                self.at += 2;
                self.sorted.push(vec!["mod".into(), plain.clone()]);
                self.found.push(Finding::Module(plain, path));
            }
            Some(TokenTree::Group(group)) => {
                self.at += 2;
                let (words, found) = of(group.stream());
                self.words.extend(["mod".to_owned(), plain.clone(), "{".into()]);
                self.words.extend(words);
                self.words.push("}".into());
                self.found.push(Finding::Inline(plain, found));
            }
            _ => self.words.push("mod".into()),
        }
    }
}

/// Whether what follows `cfg` is `(test)`.
fn is_test(inside: &[TokenTree]) -> bool {
    let [TokenTree::Group(group)] = inside else { return false };
    let condition: Vec<_> = group.stream().into_iter().collect();
    matches!(&condition[..], [TokenTree::Ident(only)] if only == "test")
}

/// The parts of `{a, b}` in an import, in order.
fn import_group(stream: TokenStream) -> Vec<String> {
    let mut parts = vec![Vec::new()];
    for token in stream {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => parts.push(Vec::new()),
            TokenTree::Group(group) => {
                parts.last_mut().unwrap_or(&mut Vec::new()).extend(import_group(group.stream()))
            }
            other => parts.last_mut().unwrap_or(&mut Vec::new()).push(other.to_string()),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.sort();
    let parts = parts.into_iter().flat_map(|part| part.into_iter().chain([",".to_owned()]));
    ["{".to_owned()].into_iter().chain(parts).chain(["}".to_owned()]).collect()
}

/// The text of a string literal.
fn text(tokens: TokenStream) -> Option<String> {
    syn::parse2::<LitStr>(tokens).ok().map(|text| text.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        of(source.parse().expect("it is Rust")).0
    }

    #[test]
    fn what_a_formatter_does_changes_nothing() {
        for (one, other) in [
            ("f(a, b)", "f(\n    a,\n    b,\n)"),
            ("f(a)", "f(\n    a,\n)"),
            ("use b::{d, c}; use a::A; fn f() {}", "use a::A;\nuse b::{c, d};\nfn f() {}"),
            ("mod b; mod a;", "mod a; mod b;"),
            ("match x { A => { one() } B => { two() } }", "match x { A => one(), B => two(), }"),
            (
                "match x { A => { one(); two() } _ => 3 }",
                "match x { A => { one(); two() }, _ => 3, }",
            ),
            ("g(|x| { x + 1 })", "g(|x| x + 1)"),
            ("fn f() { return 1 }", "fn f() { return 1; }"),
            ("Map::<A, B>::new()", "Map::<\n A,\n B,\n>::new()"),
            ("/// About f.\n#[allow(dead_code)] fn f() {}", "fn f() {}"),
            ("#![deny(missing_docs)] //! x\nfn f() {}", "fn f() {}"),
            ("fn f() { /* why */ 1 // how\n}", "fn f() { 1 }"),
        ] {
            assert_eq!(words(one), words(other), "{one}");
        }
    }

    #[test]
    fn tests_do_not_count() {
        for test in [
            "#[cfg(test)] mod tests { use super::*; fn f() {} }",
            "#[cfg(test)]\nmod tests;",
            "#[test] fn t() { assert_eq!(f(), 1); }",
            "#[cfg(test)] #[derive(Debug)] struct T { a: u8 }",
            "#[cfg(test)] const X: [u8; 2] = { [1, 2] };",
            "#[cfg(test)] use a::{b, c};",
            "#[cfg(test)] const fn f() -> u8 { 1 }",
            "#[cfg(test)] pub(crate) fn f<A, B>(a: A) -> B where A: Copy { a.into() }",
        ] {
            let source = format!("fn before() {{}} {test} fn after() {{}}");
            assert_eq!(words(&source), words("fn before() {} fn after() {}"), "{test}");
        }
    }

    #[test]
    fn what_follows_a_field_of_tests_counts() {
        let with = words("struct A { #[cfg(test)] seen: Vec<u8>, rest: u8 }");
        assert_eq!(with, words("struct A { rest: u8 }"));
    }

    #[test]
    fn what_code_does_counts() {
        let base = "use a::b; const N: u8 = 1; fn f(x: u8) -> u8 { if x > N { x } else { 2 } }";
        for (one, other) in [
            ("= 1", "= 2"),
            ("a::b", "a::c"),
            ("x > N", "x < N"),
            ("{ x } else { 2 }", "{ 2 } else { x }"),
            ("x: u8", "x: u16"),
            ("fn f", "#[cfg(windows)] fn f"),
            ("{ 2 }", "{ \"2\" }"),
            ("{ 2 }", "{ 2.0 }"),
            ("{ if", "{ g(); if"),
        ] {
            assert!(base.contains(one));
            assert_ne!(words(base), words(&base.replace(one, other)), "{one}");
        }
    }

    #[test]
    fn the_files_that_a_source_needs_are_found() {
        let source = "mod a; #[path = \"x/y.rs\"] mod b; mod c { mod d; } mod r#loop;
            const T: &str = include_str!(\"t.txt\"); fn f() { include!(concat!(\"a\", \"b\")) }";
        let (_, found) = of(source.parse().expect("it is Rust"));
        let module =
            |name: &str, path: Option<&str>| Finding::Module(name.into(), path.map(str::to_owned));
        let expected = [
            module("a", None),
            module("b", Some("x/y.rs")),
            Finding::Inline("c".into(), vec![module("d", None)]),
            module("loop", None),
            Finding::Include("t.txt".into()),
        ];
        assert_eq!(found, expected);
    }
}
