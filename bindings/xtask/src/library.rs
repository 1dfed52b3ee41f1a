//! Has cargo build libraries, and learns from it where they are.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::files::at;
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
        // Messages about the crates that it needs come before.
        let built = artifacts(self.command()?)?
            .into_iter()
            .rfind(|message| is_library(&message["target"]))
            .ok_or_else(|| format!("{} has no library", self.manifest.display()))?;
        let names = built["filenames"].as_array().into_iter().flatten();
        let files: Vec<_> = names.filter_map(|name| name.as_str().map(PathBuf::from)).collect();
        let find = |wanted: &[&str]| {
            let is = |file: &&PathBuf| {
                file.extension().is_some_and(|one| wanted.iter().any(|wanted| one == *wanted))
            };
            files.iter().find(is).cloned()
        };
        Ok(Built { shared: find(&["so", "dylib"]), archive: find(&["a"]) })
    }

    fn command(&self) -> Result<Command> {
        let mut command = self.cargo.as_ref().map_or_else(cargo, Command::new);
        let is_ours = self.manifest.starts_with(root());
        command
            .arg(if self.only.is_some() { "rustc" } else { "build" })
            // An app's own crate has versions of its own.
            .args(is_ours.then_some("--locked"))
            .args(self.packages(is_ours)?)
            .args(["--lib", "--manifest-path"])
            .arg(&self.manifest)
            .args(["--profile", &self.profile])
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // An app's own settings of cargo are found from there.
            .current_dir(self.manifest.parent().unwrap_or(&self.manifest));
        if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
            let target = std::path::absolute(target).unwrap_or_default();
            command.env("CARGO_TARGET_DIR", target);
        }
        command.args(MESSAGES);
        if let Some((kind, arguments)) = &self.only {
            command.args(["--crate-type", kind, "--"]).args(arguments);
        }
        Ok(command)
    }

    /// Names the packages to build, if there are others besides this one. A release has the features of its own crate
    /// only, an app's crate is in another workspace, and `cargo rustc` builds one package.
    fn packages(&self, is_ours: bool) -> Result<Vec<String>> {
        let along = along();
        if !is_ours || self.profile != "dev" || self.only.is_some() || along.is_empty() {
            return Ok(Vec::new());
        }
        let output = cargo().arg("pkgid").arg("--manifest-path").arg(&self.manifest).output();
        let own = at(&self.manifest, output)?.stdout;
        let own = String::from_utf8_lossy(&own).trim().to_owned();
        Ok([vec!["--package".to_owned(), own], along].concat())
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

/// Has cargo build a program of the workspace.
pub(crate) fn program(package: &str) -> Result<PathBuf> {
    let mut command = cargo();
    command.current_dir(root()).args(["build", "--quiet", "--locked", "--bins"]);
    command.args(["--package", package]).args(along()).args(MESSAGES);
    let built = artifacts(command)?;
    let of_it = built.iter().find(|message| message["target"]["name"] == package);
    let path = of_it.and_then(|message| message["executable"].as_str());
    path.map(PathBuf::from).ok_or_else(|| format!("cargo has built no program {package}"))
}

/// Has cargo say what it builds, one JSON object a line.
const MESSAGES: [&str; 2] = ["--message-format", "json-render-diagnostics"];

/// Runs cargo, and returns what it says of everything that it has built, in this order.
fn artifacts(mut command: Command) -> Result<Vec<serde_json::Value>> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|error| format!("cargo: {error}"))?;
    let mut built = Vec::new();
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.map_err(|error| format!("cargo: {error}"))?;
        let Ok(message) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        if message["reason"] == "compiler-artifact" {
            built.push(message);
        }
    }
    let status = child.wait().map_err(|error| format!("cargo: {error}"))?;
    if status.success() { Ok(built) } else { Err(format!("{command:?}: {status}")) }
}

fn is_library(target: &serde_json::Value) -> bool {
    let kinds = target["crate_types"].as_array().into_iter().flatten();
    kinds.into_iter().any(|kind| kind == "cdylib" || kind == "staticlib")
}

/// Arguments that make cargo build other packages of the workspace in the same run: those that `TEATIME_ALONG` names.
/// Cargo then gives every crate the features that these packages ask for as well, so that crates which the tests have
/// compiled with those features are not compiled again.
pub(crate) fn along() -> Vec<String> {
    let names = std::env::var("TEATIME_ALONG").unwrap_or_default();
    names.split_whitespace().flat_map(|name| ["--package".to_owned(), name.to_owned()]).collect()
}

/// The cargo that runs this, without what it has told of this crate: build scripts that look at it would
/// run again, and cargo would compile crates again that are built already.
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
