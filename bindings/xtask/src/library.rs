//! Has cargo build libraries, and learns from it where they are.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, root};

/// A crate that makes libraries, and how they are built.
#[derive(Clone)]
pub(crate) struct Library {
    /// Where its Cargo.toml is.
    pub(crate) manifest: PathBuf,
    pub(crate) profile: String,
    /// Arguments of cargo besides the usual ones.
    pub(crate) arguments: Vec<String>,
    /// Another cargo than the one that runs this.
    pub(crate) cargo: Option<PathBuf>,
    /// Environment of cargo.
    pub(crate) environment: Vec<(String, OsString)>,
    /// The only kind to build, such as staticlib, and arguments of the compiler for it.
    pub(crate) only: Option<(&'static str, Vec<String>)>,
}

/// The libraries as cargo leaves them.
pub(crate) struct Built {
    pub(crate) shared: Option<PathBuf>,
    pub(crate) archive: Option<PathBuf>,
}

impl Library {
    /// The crate in a folder.
    pub(crate) fn new(folder: &Path, profile: &str) -> Self {
        Self {
            manifest: folder.join("Cargo.toml"),
            profile: profile.to_owned(),
            arguments: Vec::new(),
            cargo: None,
            environment: Vec::new(),
            only: None,
        }
    }

    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    pub(crate) fn with_environment(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn build(&self) -> Result<Built> {
        let mut child = self.command().spawn().map_err(|error| format!("cargo: {error}"))?;
        let mut files = Vec::new();
        for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
            let line = line.map_err(|error| format!("cargo: {error}"))?;
            let Ok(message) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            // Messages about the crates that it needs come before.
            if message["reason"] == "compiler-artifact" && is_library(&message["target"]) {
                let names = message["filenames"].as_array().into_iter().flatten();
                files = names.filter_map(|name| name.as_str().map(PathBuf::from)).collect();
            }
        }
        if !child.wait().map_err(|error| format!("cargo: {error}"))?.success() {
            return Err(format!("{} was not built", self.manifest.display()));
        }
        let find = |wanted: &[&str]| {
            let is = |file: &&PathBuf| {
                file.extension().is_some_and(|one| wanted.iter().any(|wanted| one == *wanted))
            };
            files.iter().find(is).cloned()
        };
        Ok(Built { shared: find(&["so", "dylib"]), archive: find(&["a"]) })
    }

    fn command(&self) -> Command {
        let mut command = self.cargo.as_ref().map_or_else(cargo, Command::new);
        command
            .arg(if self.only.is_some() { "rustc" } else { "build" })
            // An app's own crate has versions of its own.
            .args(self.manifest.starts_with(root()).then_some("--locked"))
            .args(["--lib", "--manifest-path"])
            .arg(&self.manifest)
            .args(["--profile", &self.profile])
            .args(["--message-format", "json-render-diagnostics"])
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // An app's own settings of cargo are found from there.
            .current_dir(self.manifest.parent().unwrap_or(&self.manifest))
            .stdout(Stdio::piped());
        if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
            let target = std::path::absolute(target).unwrap_or_default();
            command.env("CARGO_TARGET_DIR", target);
        }
        if let Some((kind, arguments)) = &self.only {
            command.args(["--crate-type", kind, "--"]).args(arguments);
        }
        command
    }
}

impl Built {
    pub(crate) fn shared(&self) -> Result<&Path> {
        self.shared.as_deref().ok_or_else(|| "cargo has built no shared library".into())
    }

    pub(crate) fn archive(&self) -> Result<&Path> {
        self.archive.as_deref().ok_or_else(|| "cargo has built no static library".into())
    }
}

fn is_library(target: &serde_json::Value) -> bool {
    let kinds = target["crate_types"].as_array().into_iter().flatten();
    kinds.into_iter().any(|kind| kind == "cdylib" || kind == "staticlib")
}

/// The cargo that runs this, without what it has told of this crate: build scripts that look at it would
/// run again, and crates that are built already would be built anew.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}
