//! What is made from the code: the pages of limits, error codes and commands in the reference, and the list of messages.

mod cli;
mod errors;
mod limits;
mod messages;
mod text;

pub use cli::help;

use std::path::{Path, PathBuf};

use crate::teatime::Teatime;

/// The page says so in its second line, so that no one edits it by hand.
const MADE: &str =
    "<!-- Made from the code by: cargo run --package teatime-tests --bin reference -->\n\n";

/// All pages with their paths below the root of the repository.
///
/// # Errors
/// A source or a help text does not have the expected form: which, and where.
pub fn pages(root: &Path, teatime: &Teatime) -> Result<Vec<(PathBuf, String)>, String> {
    let pages = [
        ("limits.md", limits::page(root)?),
        ("errors.md", errors::page(root)?),
        ("cli.md", cli::page(teatime)?),
    ];
    let in_book = |(name, page): (&str, String)| {
        let (title, rest) = page.split_once("\n\n").unwrap_or((&page, ""));
        (Path::new("docs/reference").join(name), format!("{title}\n\n{MADE}{rest}"))
    };
    let list = (PathBuf::from("tests/messages.txt"), messages::page(root)?);
    Ok(pages.into_iter().map(in_book).chain([list]).collect())
}

/// Reads a Rust source.
fn parse(root: &Path, file: &str) -> Result<syn::File, String> {
    let source =
        std::fs::read_to_string(root.join(file)).map_err(|why| format!("{file}: {why}"))?;
    syn::parse_file(&source).map_err(|why| format!("{file}: {why}"))
}
