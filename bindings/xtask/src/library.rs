//! Builds libraries with cargo, and asks it where they are.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::files::{Result, at};
use crate::workspace::root;

/// A crate that makes libraries, and how they are built.
#[derive(Clone)]
pub(crate) struct Library {
    /// Its Cargo.toml.
    pub(crate) manifest: PathBuf,
    pub(crate) profile: String,
    /// More arguments of cargo.
    pub(crate) arguments: Vec<String>,
    /// The cargo to use, if not the one that runs this.
    pub(crate) cargo: Option<PathBuf>,
    /// More environment variables of cargo.
    pub(crate) environment: Vec<(String, OsString)>,
    /// Builds only this kind, such as staticlib, with these arguments of the compiler.
    pub(crate) only: Option<(&'static str, Vec<String>)>,
}

/// The libraries where cargo has put them.
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

    /// The library for C.
    pub(crate) fn for_c(profile: &str) -> Self {
        let library = Self::new(&root().join("bindings/c"), profile);
        // In another profile the feature has no effect, and cargo would compile crates again that the tests have compiled.
        if profile == "release" { library.with(&["--features", "no-log"]) } else { library }
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
        // Its own message is the last: those about its dependencies come before.
        let built = artifacts(self.command()?)?
            .into_iter()
            .rfind(|message| is_library(&message["target"]))
            .ok_or_else(|| {
                format!(
                    "{}: expected a crate with crate-type cdylib or staticlib",
                    self.manifest.display()
                )
            })?;
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
            // An app's own crate has a lock file of its own.
            .args(is_ours.then_some("--locked"))
            .args(self.packages(is_ours)?)
            .args(["--lib", "--manifest-path"])
            .arg(&self.manifest)
            .args(["--profile", &self.profile])
            .args(without_folders(&self.profile)?)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // Cargo finds an app's own settings from there.
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

    /// Names all packages to build, if TEATIME_ALONG adds some to this one. A release has the features of its own crate
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
        self.shared.as_deref().ok_or_else(|| {
            "cargo did not build a shared library: expected crate-type cdylib".into()
        })
    }

    pub(crate) fn archive(&self) -> Result<&Path> {
        self.archive.as_deref().ok_or_else(|| {
            "cargo did not build a static library: expected crate-type staticlib".into()
        })
    }
}

/// Builds a program of a package of the workspace. Returns where cargo says that it is.
pub(crate) fn program(package: &str, name: &str, profile: &str) -> Result<PathBuf> {
    let mut command = cargo();
    command.current_dir(root()).args(["build", "--locked", "--bins", "--package", package]);
    command.args(["--profile", profile]).args(without_folders(profile)?).args(MESSAGES);
    if profile == "dev" {
        command.args(along());
    }
    let built = artifacts(command)?;
    // A library can have the same name.
    let mut programs = built.iter().filter(|message| message["target"]["name"] == name);
    let path = programs.find_map(|message| message["executable"].as_str());
    path.map(PathBuf::from).ok_or_else(|| format!("cargo did not build a program {name}"))
}

/// Arguments that make cargo replace the folders of this machine in what it builds for a release: a message of a panic
/// names a source file. Cargo adds these flags to those in .cargo/config.toml. RUSTFLAGS would replace both.
fn without_folders(profile: &str) -> Result<Vec<String>> {
    if profile != "release" {
        return Ok(Vec::new());
    }
    let home = std::env::var_os("CARGO_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let home =
        home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).ok_or("HOME is not set")?;
    let flags = [(home.as_path(), "/cargo"), (root(), "/teatime")]
        .map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display()));
    Ok(vec!["--config".to_owned(), format!("build.rustflags={}", serde_json::json!(flags))])
}

/// Makes cargo describe each artifact in one line of JSON.
const MESSAGES: [&str; 2] = ["--message-format", "json-render-diagnostics"];

/// Runs cargo, and returns its descriptions of the artifacts in the order of the builds.
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

/// Arguments that make cargo build the packages in `TEATIME_ALONG` in the same run. Each crate then gets the features
/// that these packages request, too. So cargo does not compile crates again that the tests have compiled with those
/// features.
pub(crate) fn along() -> Vec<String> {
    let names = std::env::var("TEATIME_ALONG").unwrap_or_default();
    names.split_whitespace().flat_map(|name| ["--package".to_owned(), name.to_owned()]).collect()
}

/// The cargo that runs this, without the variables that describe this crate. Build scripts that read them would
/// run again, and cargo would build their crates again.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command.env_remove("OUT_DIR");
    command
}
