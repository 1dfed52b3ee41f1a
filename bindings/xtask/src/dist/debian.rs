//! Packages for Debian and its relatives, by dpkg-deb.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{LICENSES, VERSION, folder_in, output, set_modes, time_of_sources};
use crate::files::{Result, at, run, write};
use crate::package::folder;
use crate::workspace::root;

/// A package, and where its files are.
struct Package {
    name: String,
    section: &'static str,
    what: &'static str,
    /// Packages that it needs besides those that its programs and libraries link.
    needs: Option<String>,
    /// The content of /usr in the package.
    usr: PathBuf,
}

/// Makes three packages. `teatime` has the program and the unit of a reflector, which it does not start. The library for C
/// is split as Debian demands: several versions of the shared library can be installed beside each other, and the rest
/// for one version.
pub(super) fn package(program: &Path, library: &Path, work: &Path, into: &Path) -> Result<()> {
    let abi = VERSION.rsplit_once('.').map_or(VERSION, |(abi, _)| abi);
    let package = |name: &str, section, what| {
        let usr = work.join("debian").join(name).join("usr");
        Package { name: name.to_owned(), section, what, needs: None, usr }
    };
    let tools = package("teatime", "net", "chat, reflector and tools");
    let shared = package(&format!("libteatime{abi}"), "libs", "shared library");
    let mut headers = package("libteatime-dev", "libdevel", "library for C");
    headers.needs = Some(format!("{} (= {VERSION})", shared.name));
    copy(program, &tools.usr)?;
    copy(library, &headers.usr)?;
    let licenses = library.join("share/doc/libteatime-dev").join(LICENSES);
    let papers = folder_in(&shared.usr, &format!("share/doc/{}", shared.name))?;
    crate::files::copy(&licenses, &papers.join(LICENSES))?;
    let lib = folder_in(&shared.usr, "lib")?;
    for file in [format!("libteatime.so.{VERSION}"), format!("libteatime.so.{abi}")] {
        let from = headers.usr.join("lib").join(&file);
        at(&from, fs::rename(&from, lib.join(&file)))?;
    }
    let scripts = [
        ("shlibs", format!("libteatime {abi} {} (>= {VERSION})\n", shared.name)),
        ("triggers", "activate-noawait ldconfig\n".to_owned()),
    ];
    for (file, text) in scripts {
        write(&shared.control()?.join(file), &text)?;
    }
    [tools, shared, headers].iter().try_for_each(|package| package.build(into))
}

impl Package {
    fn top(&self) -> &Path {
        self.usr.parent().unwrap_or(&self.usr)
    }

    fn control(&self) -> Result<PathBuf> {
        folder_in(self.top(), "DEBIAN")
    }

    fn build(&self, into: &Path) -> Result<()> {
        let (name, machine) = (&self.name, machine()?);
        self.write_papers()?;
        let is_file = |file: &PathBuf| fs::symlink_metadata(file).is_ok_and(|it| it.is_file());
        let files = folder::files(&self.usr)?;
        // A link may lead to a file of another package.
        let files: Vec<_> = files.into_iter().filter(is_file).collect();
        let bytes: u64 = files.iter().map(|file| fs::metadata(file).map_or(0, |it| it.len())).sum();
        let needs = [self.needs.clone(), linked(&files)?];
        let needs: Vec<_> = needs.into_iter().flatten().collect();
        let control = self.control()?;
        write(
            &control.join("control"),
            &format!(
                "Package: {name}\nVersion: {VERSION}\nArchitecture: {machine}\nSection: {}\nPriority: optional\n\
                 Maintainer: {}\nInstalled-Size: {}\nDepends: {}\n\
                 Description: replicated computation for native apps: {}\n \
                 All participants of a session compute the same state. A small server, the\n \
                 reflector, gives all events one order and one time.\n",
                self.section,
                maintainer(),
                bytes.div_ceil(1024),
                needs.join(", "),
                self.what,
            ),
        )?;
        let relative = files.iter().map(|file| file.strip_prefix(self.top()).unwrap_or(file));
        let sums = output(Command::new("md5sum").current_dir(self.top()).args(relative))?;
        write(&control.join("md5sums"), &String::from_utf8_lossy(&sums))?;
        let file = into.join(format!("{name}_{VERSION}_{machine}.deb"));
        // The folder of the control files, too: dpkg-deb refuses one that only its owner can read.
        set_modes(self.top())?;
        run(Command::new("dpkg-deb")
            .env("SOURCE_DATE_EPOCH", time_of_sources())
            .args(["--root-owner-group", "-Zxz", "--build"])
            .arg(self.top())
            .arg(&file))
    }

    /// Writes what Debian demands in the folder for documentation, and compresses the man pages.
    fn write_papers(&self) -> Result<()> {
        let papers = folder_in(&self.usr, &format!("share/doc/{}", self.name))?;
        let mit = root().join("LICENSE-MIT");
        let mit = at(&mit, fs::read_to_string(&mit))?;
        let mit: String = mit.lines().map(|line| indented(line) + "\n").collect();
        // Debian has the text of the other licence in one place.
        for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
            crate::files::remove(&papers.join(file))?;
        }
        write(
            &papers.join("copyright"),
            &format!(
                "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
                 Upstream-Name: teatime\n\nFiles: *\nCopyright: The authors of Teatime\nLicense: MIT or Apache-2.0\n\
                 Comment: {LICENSES} beside this file has the licences of the libraries that are linked.\n\n\
                 License: Apache-2.0\n The text is in /usr/share/common-licenses/Apache-2.0.\n\n\
                 License: MIT\n{mit}"
            ),
        )?;
        let mut date = Command::new("date");
        date.env("SOURCE_DATE_EPOCH", "").args(["--utc", "--rfc-email", "--date"]);
        let date = output(date.arg(format!("@{}", time_of_sources().to_string_lossy())))?;
        write(
            &papers.join("changelog"),
            &format!(
                "{} ({VERSION}) unstable; urgency=medium\n\n  * CHANGELOG.md has all changes.\n\n -- {}  {}",
                self.name,
                maintainer(),
                String::from_utf8_lossy(&date),
            ),
        )?;
        let mut compressed = vec![papers.join("changelog")];
        let man = self.usr.join("share/man");
        if man.is_dir() {
            compressed.extend(folder::files(&man)?);
        }
        run(Command::new("gzip").args(["--best", "--no-name", "--force"]).args(compressed))
    }
}

/// A line of a text in a field of Debian's.
fn indented(line: &str) -> String {
    if line.trim().is_empty() { " .".to_owned() } else { format!(" {line}") }
}

/// Who stands for the packages, by the variables that Debian's tools read.
fn maintainer() -> String {
    let name = |variable, usual: &str| {
        let set = std::env::var(variable).ok().filter(|value| !value.is_empty());
        set.unwrap_or_else(|| usual.to_owned())
    };
    format!("{} <{}>", name("DEBFULLNAME", "Teatime"), name("DEBEMAIL", "teatime@localhost"))
}

/// The libraries that the programs and shared libraries among the files link, with the oldest libc that has all their
/// functions.
fn linked(files: &[PathBuf]) -> Result<Option<String>> {
    let mut newest = None;
    for file in files {
        if !at(file, fs::read(file))?.starts_with(b"\x7fELF") {
            continue;
        }
        let table = output(Command::new("objdump").arg("-T").arg(file))?;
        let table = String::from_utf8_lossy(&table).into_owned();
        let versions = table.split("GLIBC_2.").skip(1);
        let minor = |rest: &str| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse::<u32>().ok()
        };
        newest = newest.max(versions.filter_map(minor).max());
    }
    Ok(newest.map(|minor| format!("libc6 (>= 2.{minor}), libgcc-s1")))
}

/// Debian's name of this kind of machine.
fn machine() -> Result<String> {
    let machine = output(Command::new("dpkg").arg("--print-architecture"))?;
    Ok(String::from_utf8_lossy(&machine).trim().to_owned())
}

/// Copies a folder with its links.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        at(parent, fs::create_dir_all(parent))?;
    }
    run(Command::new("cp").arg("-a").arg(from).arg(to))
}
