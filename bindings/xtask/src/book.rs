//! The book: the pages of `docs` as HTML, by mdbook. The pages link to files of the repository, which a reader of the book
//! may not have. So the book gets a page for each of these files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use pulldown_cmark::{Event, Options, Parser, Tag};

use crate::files::{Result, at, remove, run, write};
use crate::package::folder;
use crate::workspace::{root, target_folder};

/// Builds the book into an empty folder, or else into the usual one, and checks all its links.
pub(crate) fn build(into: Option<&Path>) -> Result<()> {
    let into = &folder::destination(into, "book")?;
    let source = target_folder().join("book-source");
    folder::renew(&source)?;
    let settings = root().join("docs/book.toml");
    at(&settings, fs::copy(&settings, source.join("book.toml")))?;
    write_pages(&source)?;
    // It draws the diagrams, and adds its scripts and settings to the source.
    let mermaid = Command::new("mdbook-mermaid").arg("install").arg(&source).output();
    if !mermaid.is_ok_and(|output| output.status.success()) {
        eprintln!("xtask: mdbook-mermaid does not run, so the diagrams in the book stay text");
    }
    run(Command::new("mdbook").arg("build").arg(&source).arg("--dest-dir").arg(into))?;
    for unused in ["book.toml", "SUMMARY.md"] {
        remove(&into.join(unused))?;
    }
    // llms.txt names the pages as they are written.
    for file in folder::files(&source)? {
        let name = file.strip_prefix(&source).unwrap_or(&file);
        if is_page(name) && !name.ends_with("SUMMARY.md") {
            let target = into.join(name);
            at(&target, fs::create_dir_all(target.parent().unwrap_or(into)))?;
            at(&file, fs::copy(&file, target))?;
        }
    }
    check(into)?;
    println!("{}", into.display());
    Ok(())
}

/// Writes the pages of `docs` and of all files that they name, and the table of contents of both.
fn write_pages(into: &Path) -> Result<()> {
    let docs = Path::new("docs");
    let mut open: Vec<_> = folder::files(&root().join(docs))?;
    open.retain(|file| !file.ends_with("book.toml"));
    let mut seen: BTreeSet<PathBuf> =
        open.iter().filter_map(|file| Some(file.strip_prefix(root()).ok()?.to_owned())).collect();
    let mut open: Vec<_> = seen.iter().cloned().collect();
    while let Some(file) = open.pop() {
        let page = into.join(place(&file));
        at(&page, fs::create_dir_all(page.parent().unwrap_or(into)))?;
        let from = root().join(&file);
        if !is_page(&file) && file.starts_with(docs) {
            at(&from, fs::copy(&from, &page))?;
            continue;
        }
        let (text, named) = if is_page(&file) { rewrite(&file)? } else { (quote(&file)?, vec![]) };
        write(&page, &text)?;
        open.extend(named.into_iter().filter(|file| seen.insert(file.clone())));
    }
    let contents = into.join("SUMMARY.md");
    let mut text = at(&contents, fs::read_to_string(&contents))?;
    let mut files = "\n# Files of the project\n\n".to_owned();
    for file in seen.iter().filter(|file| !file.starts_with(docs)) {
        files += &format!("- [{}]({})\n", file.display(), place(file).display());
    }
    // Chapters without a number come last.
    let end = text.find("\n---\n").unwrap_or(text.len());
    text.insert_str(end, &files);
    write(&contents, &text)
}

fn is_page(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "md")
}

/// Where the book has a file of the repository.
fn place(file: &Path) -> PathBuf {
    if let Ok(page) = file.strip_prefix("docs") {
        return page.to_owned();
    }
    let file = Path::new("files").join(file);
    if file.ends_with("README.md") {
        // mdbook gives a page of this name another one.
        return file.with_file_name("about.md");
    }
    if is_page(&file) { file } else { PathBuf::from(format!("{}.md", file.display())) }
}

/// A page whose links lead to where the book has the files, and these files.
fn rewrite(file: &Path) -> Result<(String, Vec<PathBuf>)> {
    let from = root().join(file);
    let text = at(&from, fs::read_to_string(&from))?;
    let (mut rewritten, mut done, mut named) = (String::new(), 0, Vec::new());
    for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
        let Event::Start(Tag::Link { dest_url: link, .. } | Tag::Image { dest_url: link, .. }) =
            event
        else {
            continue;
        };
        let (path, anchor) = link.split_once('#').map_or((&*link, None), |(a, b)| (a, Some(b)));
        if link.contains("://") || link.starts_with("mailto:") || path.is_empty() {
            continue;
        }
        let mut target = normal(&file.parent().unwrap_or(Path::new("")).join(path));
        if root().join(&target).join("README.md").is_file() {
            target.push("README.md");
        }
        if !root().join(&target).exists() {
            return Err(format!("{}: {link}: {} not found", file.display(), target.display()));
        }
        let written = format!("]({link}");
        let start = text[range.clone()].rfind(&written).map(|at| range.start + at + 2);
        let start = start.ok_or_else(|| {
            format!("{}: {link}: expected a link of the form [text](path)", file.display())
        })?;
        rewritten += &text[done..start];
        rewritten += &relative(&place(file), &place(&target));
        if let Some(anchor) = anchor {
            rewritten += &format!("#{anchor}");
        }
        done = start + link.len();
        named.push(target);
    }
    Ok((rewritten + &text[done..], named))
}

/// A page that shows a file, or what a folder has.
fn quote(file: &Path) -> Result<String> {
    let from = root().join(file);
    let mut page = format!("# {}\n\n", file.display());
    if from.is_dir() {
        let mut names = Vec::new();
        for entry in at(&from, fs::read_dir(&from))? {
            let entry = at(&from, entry)?;
            let slash = if entry.path().is_dir() { "/" } else { "" };
            names.push(format!("- `{}{slash}`\n", entry.file_name().to_string_lossy()));
        }
        names.sort();
        return Ok(page + "A folder of the repository:\n\n" + &names.concat());
    }
    let text = at(&from, fs::read_to_string(&from))?;
    let kind = match file.extension().and_then(|extension| extension.to_str()) {
        // As text: mdbook would let the reader run it.
        Some("rs") => "rust,ignore",
        Some("kt") => "kotlin",
        Some("py") => "python",
        Some("h") => "c",
        Some(other) => other,
        None => "text",
    };
    page += &format!("`````{kind}\n{}\n`````\n", text.trim_end());
    Ok(page)
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

/// A link from a page to another, both by their paths in the book.
fn relative(from: &Path, to: &Path) -> String {
    let up = from.components().count().saturating_sub(1);
    format!("{}{}", "../".repeat(up), to.display())
}

/// Fails if a link in the book leads nowhere.
fn check(book: &Path) -> Result<()> {
    let mut pages = BTreeMap::new();
    for file in folder::files(book)? {
        if file.extension().is_some_and(|extension| extension == "html") {
            let text = at(&file, fs::read_to_string(&file))?;
            pages.insert(file, text);
        }
    }
    let mut broken = Vec::new();
    for (file, text) in &pages {
        // Its links are relative to the top, wherever a server shows it.
        if file.ends_with("404.html") {
            continue;
        }
        for link in values(text, "href").chain(values(text, "src")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.contains(':') || link.starts_with("//") {
                continue;
            }
            let folder = file.parent().unwrap_or(book);
            let target = if path.is_empty() { file.clone() } else { normal(&folder.join(path)) };
            let found = match pages.get(&target) {
                Some(page) => anchor.is_empty() || values(page, "id").any(|id| id == anchor),
                None => target.is_file(),
            };
            if !found {
                broken.push(format!(
                    "  {}: {link}\n",
                    file.strip_prefix(book).unwrap_or(file).display()
                ));
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("broken links:\n{}", broken.concat())) }
}

/// The values of an attribute in HTML.
fn values<'a>(html: &'a str, attribute: &str) -> impl Iterator<Item = &'a str> {
    let start = format!(" {attribute}=\"");
    let parts: Vec<_> = html.split(&start).skip(1).collect();
    parts.into_iter().filter_map(|rest| rest.split('"').next())
}
