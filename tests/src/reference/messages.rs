//! All error messages of the code in one file, so that a change of one shows in a review beside the others.

use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// Folders with the code that users run.
const FOLDERS: [&str; 3] = ["core", "ffi/src", "clients/cli/src"];

/// The file: each message below the source that has it.
pub(super) fn page(root: &Path) -> Result<String, String> {
    let mut sources = Vec::new();
    for folder in FOLDERS {
        find(&root.join(folder), &mut sources)?;
    }
    sources.sort();
    let mut page = String::from(
        "Made from the code by: cargo run --package teatime-tests --bin reference\n\n\
         The messages of all errors. Read them beside each other: what was expected, what was found, what to do.\n",
    );
    for source in sources {
        let name = source.strip_prefix(root).unwrap_or(&source).to_string_lossy().into_owned();
        let mut messages = Messages::default();
        messages.visit_file(&super::parse(root, &name)?);
        if messages.0.is_empty() {
            continue;
        }
        page += &format!("\n{name}\n");
        for message in messages.0 {
            page += &format!("    {message}\n");
        }
    }
    Ok(page)
}

/// All sources below a folder, without those of tests.
fn find(folder: &Path, sources: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |why: std::io::Error| format!("{}: {why}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["tests", "examples", "starter", "target"].contains(&&*name) {
                find(&path, sources)?;
            }
        } else if path.extension().is_some_and(|kind| kind == "rs") && name != "tests.rs" {
            sources.push(path);
        }
    }
    Ok(())
}

/// The texts of `#[error("…")]`, in their order.
#[derive(Default)]
struct Messages(Vec<String>);

impl<'a> Visit<'a> for Messages {
    fn visit_attribute(&mut self, attribute: &'a syn::Attribute) {
        if attribute.path().is_ident("error")
            && let Ok(list) = attribute.meta.require_list()
        {
            let text = list.tokens.clone().into_iter().next();
            let text =
                text.and_then(|token| syn::parse_str::<syn::LitStr>(&token.to_string()).ok());
            self.0.extend(text.map(|text| text.value().replace('\n', " ")));
        }
        visit::visit_attribute(self, attribute);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_their_order() {
        let source = r#"
            #[derive(Error)]
            enum Why {
                #[error("first: {0}")]
                First(u8),
                #[error(transparent)]
                Inner(Other),
                #[error("second, found {found}", found = 2)]
                Second,
            }
        "#;
        let mut messages = Messages::default();
        messages.visit_file(&syn::parse_file(source).expect("it is Rust"));
        assert_eq!(messages.0, ["first: {0}", "second, found {found}"]);
    }
}
