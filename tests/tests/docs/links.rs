//! Links between pages, their anchors, the table of contents, and the list for language models.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::{book, pages, read, root};

/// The links of a page, and the anchors of its headings.
struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

impl Page {
    fn of(file: &Path) -> Self {
        let text = read(file);
        let (mut links, mut anchors) = (Vec::new(), BTreeSet::new());
        let mut used = BTreeMap::<String, u32>::new();
        let mut heading = None::<String>;
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let count = used.entry(anchor.clone()).or_default();
                    anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
                    *count += 1;
                }
                _ => {}
            }
        }
        Self { links, anchors }
    }
}

/// The anchor that GitHub and mdbook give a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        letter if letter.is_alphanumeric() || "-_".contains(letter) => Some(letter),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// `a/../b` as `b`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let mut broken = Vec::new();
    for file in pages() {
        for link in Page::of(&file).links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = file.parent().unwrap_or(Path::new(""));
            let target = if path.is_empty() { file.clone() } else { normal(&folder.join(path)) };
            let is_page = target.extension().is_some_and(|extension| extension == "md");
            if !root().join(&target).exists() {
                broken.push(format!(
                    "{}: {link}: there is no {}",
                    file.display(),
                    target.display()
                ));
            } else if !anchor.is_empty() && is_page && !Page::of(&target).anchors.contains(anchor) {
                broken.push(format!("{}: {link}: no such heading", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_table_of_contents_and_the_list_for_language_models_have_every_page() {
    let summary = Page::of(Path::new("docs/SUMMARY.md")).links;
    let listed: BTreeSet<_> = summary.iter().map(|link| Path::new("docs").join(link)).collect();
    assert_eq!(listed.len(), summary.len(), "a page is listed twice");
    let book: BTreeSet<_> =
        book().into_iter().filter(|page| page != Path::new("docs/SUMMARY.md")).collect();
    assert_eq!(listed, book);
    let list = read(Path::new("docs/llms.txt"));
    for page in book {
        let name = page.strip_prefix("docs").expect("it is there").display().to_string();
        assert!(list.contains(&format!("]({name})")), "docs/llms.txt lacks {name}");
    }
}

#[test]
fn anchors_are_made_of_headings() {
    assert_eq!(anchor("If a disk is full: `NOT_STORED`"), "if-a-disk-is-full-not_stored");
}
