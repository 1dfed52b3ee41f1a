//! What a release offers for this kind of machine: archives, packages for Debian, Maven, Xcode and cargo, the book, a list
//! of all parts, checksums.

mod debian;
mod kotlin;
mod parts;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::files::{Result, at, copy, run, runs, write};
use crate::library::{Library, cargo as plain_cargo, program};
use crate::package::checksums::write_checksums;
use crate::package::{
    LICENSES, Release, android_for_release, android_machines, apple_for_release, apple_machines,
    folder, lacks_android, lacks_apple, write_licenses, zip,
};
use crate::workspace::{ON_APPLE, root};
use crate::{book, install};
use parts::{Parts, Shipped};

/// The version of everything in this repository.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Args)]
pub(crate) struct How {
    /// The folder to write to, which must be empty [default: target/dist, whose content is replaced].
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// The build profile: release, or dev to check that it works.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Leaves out parts, such as those whose tools are missing here.
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',')]
    without: Vec<Part>,
    /// The web folder that will offer these files. With it, the package for Swift can be used by URL.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Makes a release of files that git has not committed, too.
    #[arg(long)]
    allow_dirty: bool,
}

impl How {
    fn wants(&self, part: Part) -> bool {
        !self.without.contains(&part) && (part != Part::Android || self.wants(Part::Kotlin))
    }

    fn allows_dirty(&self) -> bool {
        self.allow_dirty || self.profile == "dev"
    }
}

/// What can be left out.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Packages for Debian, with dpkg-deb.
    Debian,
    /// Packages for crates.io.
    Crates,
    /// A Maven repository with the Kotlin library, with Maven.
    Kotlin,
    /// The AAR in that repository, with the Android NDK.
    Android,
    /// The Swift package, with Xcode or with what tests/cross-setup installs.
    Swift,
    /// The book, with mdbook.
    Book,
}

/// A release in the making.
struct Dist<'a> {
    /// Where the files go.
    into: &'a Path,
    /// Where they are put together.
    work: &'a Path,
    profile: &'a str,
    /// The kind of machine that the compiler builds for.
    machine: &'a str,
    /// The licences of everything that is linked.
    licenses: &'a str,
}

/// Makes everything that is not left out.
pub(crate) fn make(how: &How) -> Result<()> {
    let wanted = |part| how.wants(part);
    check_tools(wanted)?;
    if !how.allows_dirty() {
        check_committed()?;
    }
    let into = &folder::destination(how.into.as_deref(), "dist")?;
    let work = &into.join("work");
    let machine = rustc_line("host: ")?;
    let machine = machine.as_str();
    let parts = Parts::of(&[
        Shipped { packages: &["teatime-cli", "teatime-c"], machines: &[machine] },
        Shipped { packages: &["teatime-mobile"], machines: &machines_of_mobile(wanted, machine) },
    ])?;
    let licenses = &parts.licenses()?;
    let dist = Dist { into, work, profile: &how.profile, machine, licenses };
    let program = work.join(format!("teatime-{VERSION}-{machine}"));
    let library = work.join(format!("teatime-c-{VERSION}-{machine}"));
    stage_program(&program, dist.profile)?;
    copy_papers(&program.join("share/doc/teatime"), licenses)?;
    install::install(&library, &Library::for_c(dist.profile))?;
    copy_papers(&library.join("share/doc/libteatime-dev"), licenses)?;
    archive(&program, into)?;
    archive(&library, into)?;
    if wanted(Part::Debian) {
        debian::package(&program, &library, work, into)?;
    }
    write(&into.join(format!("teatime-{VERSION}-{machine}.cdx.json")), &parts.list())?;
    if wanted(Part::Crates) {
        pack_crates(into, how.allows_dirty())?;
    }
    if wanted(Part::Kotlin) {
        dist.maven(wanted(Part::Android))?;
    }
    if wanted(Part::Swift) {
        let release = Release { profile: dist.profile, into: work.join("swift"), licenses };
        for file in apple_for_release(&release, how.url.as_deref())? {
            copy(&file, &into.join(file.file_name().unwrap_or_default()))?;
        }
    }
    if wanted(Part::Book) {
        let book = work.join(format!("teatime-book-{VERSION}"));
        book::build(Some(&book))?;
        archive(&book, into)?;
    }
    at(work, fs::remove_dir_all(work))?;
    let mut names: Vec<_> = at(into, fs::read_dir(into))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    write_checksums(&into.join(format!("SHA256SUMS-{machine}")), &names)?;
    println!("{}", into.display());
    Ok(())
}

/// Names all missing tools before the first of them is needed, because the builds before that take long.
fn check_tools(wanted: impl Fn(Part) -> bool) -> Result<()> {
    let lacks_tools = |programs: &[&str]| {
        let missing: Vec<_> = programs.iter().copied().filter(|program| !runs(program)).collect();
        (!missing.is_empty()).then(|| format!("{}: not found, or failed", missing.join(", ")))
    };
    let lacks = |part| match part {
        Part::Debian => {
            lacks_tools(&["cp", "date", "dpkg", "dpkg-deb", "gzip", "md5sum", "objdump"])
        }
        Part::Crates => None,
        Part::Kotlin => lacks_tools(&["mvn"]),
        Part::Android => lacks_android(),
        Part::Swift => lacks_apple(),
        Part::Book => lacks_tools(&["mdbook", "mdbook-mermaid"]),
    };
    // Apple's own tools do not say their version. They come with the linker that Rust needs.
    let always: &[_] = if ON_APPLE { &["tar"] } else { &["ar", "ld", "objcopy", "strip", "tar"] };
    let mut missing: Vec<_> =
        lacks_tools(always).map(|why| format!("  {why}\n")).into_iter().collect();
    let mut names = Vec::new();
    for part in Part::value_variants().iter().copied().filter(|&part| wanted(part)) {
        if let Some(why) = lacks(part) {
            let name = part.to_possible_value().map(|value| value.get_name().to_owned());
            let name = name.unwrap_or_default();
            missing.push(format!("  {name}: {why}\n"));
            names.push(name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let others = if names.is_empty() {
        String::new()
    } else {
        format!(", or leave these parts out: --without {}", names.join(","))
    };
    Err(format!("tools are missing:\n{}Install them{others}", missing.concat()))
}

/// Fails if git knows of changes that are not committed: who gets the release could not find its sources.
fn check_committed() -> Result<()> {
    let mut git = Command::new("git");
    // Without git, it cannot be a checkout.
    let Ok(changes) = output(git.current_dir(root()).args(["status", "--porcelain"])) else {
        return Ok(());
    };
    if changes.is_empty() {
        return Ok(());
    }
    Err(format!(
        "files are not committed:\n{}Commit them, or add --allow-dirty",
        String::from_utf8_lossy(&changes)
    ))
}

/// The kinds of machines that the library for Swift and Kotlin is made for.
fn machines_of_mobile(wanted: impl Fn(Part) -> bool, machine: &str) -> Vec<&str> {
    let mut machines = Vec::new();
    if wanted(Part::Kotlin) {
        machines.push(machine);
    }
    if wanted(Part::Android) {
        machines.extend(android_machines());
    }
    if wanted(Part::Swift) {
        machines.extend(apple_machines());
    }
    machines
}

/// The compiler that cargo uses at the top of the workspace.
fn rustc() -> Command {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(root());
    rustc
}

/// The rest of the line that begins so, out of what the compiler says of itself.
fn rustc_line(start: &str) -> Result<String> {
    let text = output(rustc().arg("-vV"))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let rest = text.lines().find_map(|line| line.strip_prefix(start));
    rest.map(str::to_owned)
        .ok_or_else(|| format!("rustc -vV: expected a line \"{start}\", found:\n{text}"))
}

/// Cargo, at the top of the workspace.
fn cargo() -> Command {
    let mut cargo = plain_cargo();
    cargo.current_dir(root());
    cargo
}

/// What a program prints, or an error if it fails.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{name} ended with {}: {why}", output.status))
}

/// The time that stands in archives: that of the last commit. So archives of the same files are the same.
fn time_of_sources() -> OsString {
    let set = std::env::var_os("SOURCE_DATE_EPOCH").filter(|time| !time.is_empty());
    set.unwrap_or_else(|| {
        let mut git = Command::new("git");
        let time = output(git.current_dir(root()).args(["log", "-1", "--format=%ct"]));
        let time = time.map(|time| String::from_utf8_lossy(&time).trim().to_owned());
        time.unwrap_or_else(|_| "0".to_owned()).into()
    })
}

/// A new folder in a folder.
fn folder_in(folder: &Path, name: &str) -> Result<PathBuf> {
    let folder = folder.join(name);
    at(&folder, fs::create_dir_all(&folder)).map(|()| folder)
}

/// The program with its man pages and completions, as it lies below `/usr`.
fn stage_program(folder: &Path, profile: &str) -> Result<()> {
    let built = program("teatime-cli", "teatime", profile)?;
    let program = folder_in(folder, "bin")?.join("teatime");
    copy(&built, &program)?;
    run(Command::new("strip").arg(&program))?;
    run(Command::new(&program).arg("man").arg(folder_in(folder, "share/man/man1")?))?;
    for (shell, place, file) in [
        ("bash", "share/bash-completion/completions", "teatime"),
        ("zsh", "share/zsh/vendor-completions", "_teatime"),
        ("fish", "share/fish/vendor_completions.d", "teatime.fish"),
    ] {
        let script = output(Command::new(&program).args(["completions", shell]))?;
        let file = folder_in(folder, place)?.join(file);
        at(&file, fs::write(&file, script))?;
    }
    let unit = folder_in(folder, "lib/systemd/system")?.join("teatime.service");
    copy(&root().join("clients/cli/packaging/teatime.service"), &unit)
}

/// What must come along with every copy.
fn copy_papers(into: &Path, licenses: &str) -> Result<()> {
    at(into, fs::create_dir_all(into))?;
    for name in ["CHANGELOG.md", "README.md"] {
        copy(&root().join(name), &into.join(name))?;
    }
    write_licenses(into, licenses)
}

/// Lets everybody read all files, and run the programs. A checkout can have narrower modes.
#[cfg(unix)]
fn set_modes(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let set =
        |path: &Path, mode| at(path, fs::set_permissions(path, fs::Permissions::from_mode(mode)));
    set(folder, 0o755)?;
    for entry in at(folder, fs::read_dir(folder))? {
        let entry = at(folder, entry)?;
        let kind = at(folder, entry.file_type())?;
        if kind.is_dir() {
            set_modes(&entry.path())?;
        } else if kind.is_file() {
            set(&entry.path(), if folder.ends_with("bin") { 0o755 } else { 0o644 })?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn set_modes(_: &Path) -> Result<()> {
    Ok(())
}

/// Makes an archive of a folder, under the folder's name.
fn archive(folder: &Path, into: &Path) -> Result<()> {
    set_modes(folder)?;
    let name = folder.file_name().unwrap_or_default();
    let file = into.join(format!("{}.tar.gz", name.to_string_lossy()));
    let parent = folder.parent().unwrap_or(folder);
    let mut tar = Command::new("tar");
    if !ON_APPLE {
        let mut time = OsString::from("--mtime=@");
        time.push(time_of_sources());
        tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]).arg(time);
    }
    run(tar.arg("-czf").arg(&file).arg("-C").arg(parent).arg(name))
}

/// The packages for crates.io. `cargo package` in the tests has compiled them.
fn pack_crates(into: &Path, allow_dirty: bool) -> Result<()> {
    let metadata = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let names: Vec<_> = packages
        .filter(|package| package["publish"].is_null())
        .filter_map(|package| package["name"].as_str())
        .collect();
    let mut package = cargo();
    package.args(["package", "--quiet", "--no-verify"]);
    package.args(allow_dirty.then_some("--allow-dirty"));
    for name in &names {
        package.args(["--package", name]);
    }
    run(&mut package)?;
    let target = Path::new(metadata["target_directory"].as_str().unwrap_or("target"));
    for name in names {
        let file = format!("{name}-{VERSION}.crate");
        copy(&target.join("package").join(&file), &into.join(&file))?;
    }
    Ok(())
}

impl Dist<'_> {
    /// A Maven repository in an archive: the library for Kotlin, and the AAR.
    fn maven(&self, android: bool) -> Result<()> {
        let Self { work, profile, licenses, machine, .. } = *self;
        let name = format!("teatime-maven-{VERSION}-{machine}");
        let repository = work.join(&name);
        let jar = kotlin::deploy(profile, licenses, &work.join("kotlin"), &repository)?;
        if android {
            let release = Release { profile, into: work.join("android"), licenses };
            kotlin::deploy_aar(&android_for_release(&release, &jar)?, &jar, &repository)?;
        }
        // Without a folder around it, as Maven Central takes it.
        zip::pack(&repository, &self.into.join(format!("{name}.zip")), false)
    }
}
