//! What the doctor checks on this machine.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use teatime::look_up_local_reflector;
use teatime_store::Error;
use teatime_wire::PROTOCOL_VERSION;

use super::Finding;
use crate::chat::{evidence_dir, is_whole_terminal};
use crate::terminal::Failure;
use crate::{addresses, descriptors as files};

pub(super) fn version() -> Finding {
    let version = env!("CARGO_PKG_VERSION");
    let found = format!("teatime {version}, protocol {PROTOCOL_VERSION}, {ARCH}-{OS}");
    Finding::ok("version", found)
}

/// The note of the reflector of this machine, and the address of the reflector if one runs.
pub(super) fn note() -> (Finding, Option<String>) {
    const CHECK: &str = "note";
    match look_up_local_reflector() {
        Ok(lookup) => {
            let note = lookup.note.display();
            let found = match &lookup.found {
                Some(_) => format!("{note}: a reflector of this user runs"),
                None => format!("{note}: no reflector of this user runs, the first chat hosts one"),
            };
            (Finding::ok(CHECK, found), lookup.found.map(|found| found.url().to_owned()))
        }
        Err(error) => {
            let remedy = "set XDG_RUNTIME_DIR to a directory that only you can change, or give chats the \
                address of a reflector";
            (Finding::failed(CHECK, error.to_string(), remedy), None)
        }
    }
}

/// Where evidence is written. Its directory is made only when it is needed.
pub(super) fn evidence() -> Finding {
    const CHECK: &str = "evidence";
    let remedy =
        "set XDG_STATE_HOME to a directory that you can change, or chat with --no-evidence";
    let Some(directory) = evidence_dir() else {
        return Finding::warning(CHECK, "this user has no directory for state", remedy);
    };
    let shown = directory.display();
    let there = directory.ancestors().find(|path| path.exists());
    match there.map(is_writable) {
        Some(Ok(())) => Finding::ok(CHECK, shown.to_string()),
        Some(Err(error)) => Finding::warning(CHECK, format!("{shown}: {error}"), remedy),
        None => Finding::warning(CHECK, format!("{shown}: no such directory"), remedy),
    }
}

/// # Errors
/// Why not.
fn is_writable(directory: &Path) -> io::Result<()> {
    let probe = directory.join(format!(".teatime-doctor-{}", std::process::id()));
    fs::File::create_new(&probe)?;
    fs::remove_file(&probe)
}

/// The directory of a reflector.
pub(super) fn data(directory: &Path) -> Finding {
    const CHECK: &str = "data";
    let shown = directory.display();
    match teatime_store::list(directory) {
        Ok(infos) => {
            let found = format!("{shown}: {} sessions and rooms", infos.len());
            match is_writable(directory) {
                Ok(()) => Finding::ok(CHECK, found),
                Err(error) => Finding::failed(
                    CHECK,
                    format!("{shown}: {error}"),
                    "let the user of the reflector write there",
                ),
            }
        }
        Err(Error::NoStore) => Finding::ok(CHECK, format!("{shown}: nothing is stored there yet")),
        Err(Error::Locked) => Finding::ok(CHECK, format!("{shown}: a reflector uses it")),
        Err(error @ (Error::Corrupt { .. } | Error::OtherFormat { .. })) => Finding::failed(
            CHECK,
            format!("{shown}: {error}"),
            format!("see `teatime store check {shown}` and `teatime store salvage`"),
        ),
        Err(error) => Finding::failed(
            CHECK,
            format!("{shown}: {error}"),
            "give the reflector a directory that its user can read and change",
        ),
    }
}

/// Whether a reflector can listen there. `local` is the address of the reflector of this machine.
pub(super) fn listen(address: SocketAddr, local: Option<&str>) -> Finding {
    const CHECK: &str = "listen";
    let listener = TcpListener::bind(address);
    match listener {
        Ok(_) => Finding::ok(CHECK, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let port = format!(":{}", address.port());
            let is_ours = local.is_some_and(|url| url.contains(&port));
            match is_ours {
                true => {
                    Finding::ok(CHECK, format!("the reflector of this user listens at {address}"))
                }
                false => Finding::warning(
                    CHECK,
                    format!("{address}: another program listens there"),
                    "end that program, or listen at another port: --listen, or TEATIME_PORT for a chat",
                ),
            }
        }
        Err(error) => Finding::failed(
            CHECK,
            format!("{address}: {error}"),
            "listen at an address of this machine, and at a port from 1024 on",
        ),
    }
}

/// The addresses by which other machines reach this one.
pub(super) fn addresses() -> Finding {
    const CHECK: &str = "addresses";
    let own = addresses::for_others();
    let own: Vec<_> = own.iter().map(|(name, address)| format!("{address} ({name})")).collect();
    match own.is_empty() {
        true if cfg!(not(unix)) => Finding::ok(CHECK, "see ipconfig"),
        true => Finding::warning(
            CHECK,
            "this machine has only addresses that no other one reaches",
            "connect it to a network before others join it with --listen 0.0.0.0",
        ),
        false => Finding::ok(CHECK, own.join(", ")),
    }
}

/// How many files and sockets may be open.
pub(super) fn descriptors() -> Finding {
    const CHECK: &str = "descriptors";
    let failed = |why: String| Finding::failed(CHECK, why, "raise the limit: ulimit -n 4096");
    match files::prepare() {
        Err(Failure::Failed(_, why) | Failure::Usage(why)) => failed(why),
        Err(Failure::Reported) => failed("there are too few".into()),
        Ok(()) => match files::limit() {
            Some(limit) => {
                Finding::ok(CHECK, format!("{limit}, one for each client of a reflector"))
            }
            None => Finding::ok(CHECK, "unlimited"),
        },
    }
}

/// What the terminal can show.
pub(super) fn terminal() -> Finding {
    const CHECK: &str = "terminal";
    if !is_whole_terminal() {
        let found = "plain text: standard input and output are not a terminal, or TERM is \"dumb\" or not set";
        return Finding::ok(CHECK, found);
    }
    let size = ratatui::crossterm::terminal::size();
    let size = size.map_or_else(|_| String::new(), |(width, height)| format!(", {width}x{height}"));
    let colours = match std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty()) {
        true => "without colours",
        false => "with colours",
    };
    let found = format!("a whole screen {colours}{size}");
    match is_unicode() {
        true => Finding::ok(CHECK, found),
        false => Finding::warning(
            CHECK,
            format!("{found}; its language is not in UTF-8"),
            "set LANG to one in UTF-8, such as C.UTF-8: otherwise frames and QR codes may look wrong",
        ),
    }
}

/// Whether the terminal shows Unicode, by the variables of the environment.
fn is_unicode() -> bool {
    let set =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    let language = set.into_iter().find(|language| !language.is_empty()).unwrap_or_default();
    let language = language.to_ascii_lowercase();
    cfg!(not(unix)) || language.contains("utf-8") || language.contains("utf8")
}
