//! `teatime new`: creates an app with models of its own.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use include_dir::{Dir, DirEntry, include_dir};

use crate::terminal::{Failure, print};

/// The app that is copied.
static STARTER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/starter");

/// The versions that Teatime itself was tested with.
const LOCK: &str = include_str!("../starter.lock");

/// Names of the app, its root model, and the folder of Teatime in the starter.
const NAME: &str = "tally";
const TYPE: &str = "Tally";
const SOURCES: &str = "/path/to/teatime";

/// What an app has instead of the folder of Teatime if it depends on published packages.
const PUBLISHED: &[(&str, &str)] = &[
    (
        "path = \"/path/to/teatime/core/teatime\"",
        concat!("version = \"", env!("CARGO_PKG_VERSION"), "\""),
    ),
    ("path = \"/path/to/teatime/ffi\"", concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"")),
    ("cargo run --manifest-path /path/to/teatime/Cargo.toml -- reflector", "teatime reflector"),
    (
        "teatime='/path/to/teatime'",
        "teatime=${TEATIME:?expected the folder of a checkout of Teatime, which has the bindings for Swift and Kotlin}",
    ),
];

/// A manifest with its own name would keep the starter out of this program's package.
const MANIFEST: &str = "Cargo.toml.in";

/// Words that cannot name a crate, a Swift module and a Kotlin package, and words whose type name the model already
/// uses.
const RESERVED: &[&str] = &[
    "abstract",
    "actor",
    "alloc",
    "any",
    "as",
    "associatedtype",
    "async",
    "await",
    "become",
    "box",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "core",
    "count",
    "crate",
    "cx",
    "default",
    "defer",
    "deinit",
    "deserialize",
    "do",
    "duration",
    "dyn",
    "else",
    "enum",
    "err",
    "extension",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "fun",
    "func",
    "gen",
    "guard",
    "handle",
    "if",
    "impl",
    "import",
    "in",
    "init",
    "inout",
    "interface",
    "internal",
    "is",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "model",
    "model_id",
    "move",
    "mut",
    "native",
    "nil",
    "none",
    "null",
    "object",
    "ok",
    "open",
    "operator",
    "option",
    "ordered_map",
    "override",
    "package",
    "priv",
    "private",
    "protocol",
    "pub",
    "public",
    "ref",
    "repeat",
    "result",
    "rethrows",
    "return",
    "self",
    "serde",
    "serialize",
    "some",
    "static",
    "std",
    "string",
    "struct",
    "subscript",
    "super",
    "swift",
    "switch",
    "sync_test",
    "teatime",
    "teatime_ffi",
    "test",
    "this",
    "throw",
    "throws",
    "trait",
    "true",
    "try",
    "type",
    "typealias",
    "typeof",
    "uniffi",
    "unsafe",
    "unsized",
    "use",
    "val",
    "var",
    "vec",
    "view_id",
    "virtual",
    "when",
    "where",
    "while",
    "yield",
];

/// Longest name of an app.
const MAX_NAME: usize = 40;

/// Flags of `teatime new`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Name of the app: lower-case letters, digits and _, starting with a letter.
    name: String,
    /// Folder to create [default: the name of the app].
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Depend on a checkout of Teatime [default: on published packages of this version].
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

/// Creates the app.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let name = &arguments.name;
    check(name)?;
    let sources = arguments.path.as_deref().map(checkout).transpose()?;
    let folder = arguments.into.clone().unwrap_or_else(|| PathBuf::from(name));
    if folder.exists() {
        return Err(Failure::Usage(format!("{} exists already", folder.display())));
    }
    let root_type = camel_case(name);
    let teatime = match &sources {
        Some(sources) => &[(SOURCES, sources.as_str())],
        None => PUBLISHED,
    };
    let names = [teatime, &[(NAME, name), (TYPE, &root_type)]].concat();
    let made = write_folder(&STARTER, &folder, &names);
    made.and_then(|()| write(&folder.join("model/Cargo.lock"), LOCK))
        .map_err(|why| Failure::Failed("IO", why))?;
    print(&format_args!("created {}: its README.md says how to build and run it", folder.display()))
}

/// The folder of a checkout of Teatime, as the app names it.
fn checkout(folder: &Path) -> Result<String, Failure> {
    let found = folder.canonicalize().ok().filter(|folder| folder.join("ffi").is_dir());
    found.and_then(|folder| folder.to_str().map(str::to_owned)).ok_or_else(|| {
        let folder = folder.display();
        Failure::Usage(format!(
            "invalid --path {folder}: expected a checkout of Teatime, with a folder ffi"
        ))
    })
}

fn check(name: &str) -> Result<(), Failure> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let sound = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(letters)
        && name.len() <= MAX_NAME;
    if !sound {
        let rule = "expected at most 40 lower-case letters, digits and _, starting with a letter";
        return Err(Failure::Usage(format!("invalid name of an app {name:?}: {rule}")));
    }
    if RESERVED.contains(&name) {
        let why = "it is a keyword of Rust, Swift or Kotlin, or used in the model";
        return Err(Failure::Usage(format!("invalid name of an app {name:?}: {why}")));
    }
    Ok(())
}

/// The name of a type: each word starts with a capital.
fn camel_case(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('_').map(word).collect()
}

/// Copies a folder, and replaces names in file names and texts.
fn write_folder(folder: &Dir<'_>, into: &Path, names: &[(&str, &str)]) -> Result<(), String> {
    let rename =
        |text: &str| names.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    fs::create_dir_all(into).map_err(|error| format!("{}: {error}", into.display()))?;
    for entry in folder.entries() {
        let name = entry.path().file_name().unwrap_or_default().to_string_lossy();
        let name = if name == MANIFEST { "Cargo.toml".into() } else { name };
        let target = into.join(rename(&name));
        match entry {
            DirEntry::Dir(inner) => write_folder(inner, &target, names)?,
            DirEntry::File(file) => {
                let text =
                    file.contents_utf8().ok_or("the starter has a file that is not UTF-8")?;
                write(&target, &rename(text))?;
                if text.starts_with("#!") {
                    make_executable(&target)?;
                }
            }
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, all).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<(), String> {
    Ok(())
}
