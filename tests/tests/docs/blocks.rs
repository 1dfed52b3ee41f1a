//! The code blocks of a page.

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Parser, Tag, TagEnd};

use crate::read;

/// A code block.
pub(crate) struct Block {
    pub(crate) page: PathBuf,
    pub(crate) language: String,
    pub(crate) text: String,
    /// The HTML comment right before it.
    pub(crate) comment: Option<String>,
}

/// The code blocks of a page.
pub(crate) fn blocks(page: &Path) -> Vec<Block> {
    let text = read(page);
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    let mut comment = None;
    for event in Parser::new(&text) {
        match (event, &mut open) {
            (Event::Start(Tag::CodeBlock(kind)), _) => {
                let info = match kind {
                    CodeBlockKind::Fenced(info) => info,
                    CodeBlockKind::Indented => CowStr::Borrowed(""),
                };
                let language = info.split(',').next().unwrap_or_default().to_owned();
                let (page, comment) = (page.to_owned(), comment.take());
                open = Some(Block { page, language, text: String::new(), comment });
            }
            (Event::Text(text), Some(block)) => block.text.push_str(&text),
            (Event::End(TagEnd::CodeBlock), _) => found.extend(open.take()),
            (Event::Html(html), None) => comment = Some(html.trim().to_owned()),
            (Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock), None) => {}
            (_, None) => comment = None,
            _ => {}
        }
    }
    found
}
