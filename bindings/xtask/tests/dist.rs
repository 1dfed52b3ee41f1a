//! What a release offers, taken as a user gets it: unpacked elsewhere, without this checkout. With TEATIME_RELEASE it is
//! the release build, with the Maven repository.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the workspace")
}

/// A new empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dist").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a program, expects success, and returns what it prints.
fn succeed(command: &mut Command) -> String {
    let output = run(command);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {why}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_release() -> bool {
    std::env::var_os("TEATIME_RELEASE").is_some()
}

/// `cargo xtask dist` into a folder, by a user whose new files only this user may read.
fn dist(into: &Path, without: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_teatime-xtask")]);
    // The tests also run before a commit.
    let profile = if is_release() { "release" } else { "dev" };
    command.args(["dist", "--allow-dirty", "--profile", profile]);
    command.args(["--without", without, "--into"]).arg(into);
    if !is_release() {
        // With the features that the tests have compiled.
        command.env("TEATIME_ALONG", "teatime-third-party");
    }
    command
}

/// Unpacks the archive whose name begins so. Returns its only folder.
fn unpack(from: &Path, name: &str, into: &Path) -> PathBuf {
    let files =
        fs::read_dir(from).expect("the folder was made").map(|entry| entry.expect("a file").path());
    let is = |file: &PathBuf| {
        let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        file.starts_with(name) && file.ends_with(".tar.gz")
    };
    let file = files.into_iter().find(is).unwrap_or_else(|| panic!("{name} is missing"));
    let into = into.join(name);
    fs::create_dir_all(&into).expect("the folder can be written");
    succeed(Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(&into));
    let mut entries = fs::read_dir(into).expect("it was unpacked");
    entries.next().expect("a folder").expect("it can be read").path()
}

#[test]
fn a_release_is_usable_without_this_checkout() {
    let into = folder("release");
    let without =
        if is_release() { "swift,android,book" } else { "swift,android,book,kotlin,crates" };
    succeed(&mut dist(&into, without));
    check_checksums(&into);
    check_parts(&into);
    let elsewhere = folder("elsewhere");
    check_program(&unpack(&into, &format!("teatime-{VERSION}"), &elsewhere));
    let library = unpack(&into, &format!("teatime-c-{VERSION}"), &elsewhere);
    check_library(&library, &elsewhere);
    check_debian(&into, &elsewhere);
    if is_release() {
        check_maven(&into, &elsewhere);
    }
}

/// The kind of machine, as Rust names it.
fn machine() -> String {
    let text = succeed(Command::new("rustc").arg("-vV"));
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("it is named").to_owned()
}

/// The file with the checksums has every file, and is right. It and the list of parts do not replace those of other
/// machines.
fn check_checksums(into: &Path) {
    let sums = format!("SHA256SUMS-{}", machine());
    succeed(Command::new("sha256sum").args(["--check", "--strict", &sums]).current_dir(into));
    let text = fs::read_to_string(into.join(&sums)).expect("it was written");
    let named: BTreeSet<_> =
        text.lines().filter_map(|line| Some(line.split_once("  ")?.1.to_owned())).collect();
    let files = fs::read_dir(into).expect("the folder was made");
    let mut files: BTreeSet<_> = files
        .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(files.remove(&sums));
    assert_eq!(named, files);
    let crates = files.iter().filter(|file| file.ends_with(".crate")).count();
    assert_eq!(crates > 10, is_release(), "{files:?}");
}

/// The list of parts has what is linked, with licences, and nothing that only tests or builds need.
fn check_parts(into: &Path) {
    let list = into.join(format!("teatime-{VERSION}-{}.cdx.json", machine()));
    let list = fs::read_to_string(list).expect("it was written");
    let list: Value = serde_json::from_str(&list).expect("it is JSON");
    assert_eq!((&list["bomFormat"], &list["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let parts = list["components"].as_array().expect("parts");
    let names: BTreeSet<_> = parts.iter().filter_map(|part| part["name"].as_str()).collect();
    for wanted in ["teatime-vm", "teatime-cli", "teatime-c", "rustls", "ring", "rust-std"] {
        assert!(names.contains(wanted), "{wanted} is missing");
    }
    assert_eq!(names.contains("uniffi"), is_release(), "it is in the library for Kotlin");
    for unwanted in ["rcgen", "serde_derive", "cbindgen", "windows-sys", "teatime-tests"] {
        assert!(!names.contains(unwanted), "{unwanted} is not linked");
    }
    for part in parts {
        let kind = if part["name"] == "rust-std" { "pkg:generic/" } else { "pkg:cargo/" };
        assert!(part["purl"].as_str().is_some_and(|purl| purl.starts_with(kind)), "{part}");
        let license = part["licenses"][0]["expression"].as_str().expect("a licence");
        assert!(!license.contains('/'), "{part}");
    }
}

/// The program runs, shells understand its completions, and man its pages.
fn check_program(folder: &Path) {
    let version = succeed(Command::new(folder.join("bin/teatime")).arg("--version"));
    assert!(version.contains(VERSION), "{version}");
    let bash = folder.join("share/bash-completion/completions/teatime");
    let complete = "source \"$1\"; COMP_WORDS=(teatime ref); COMP_CWORD=1; _teatime teatime ref teatime; echo \"${COMPREPLY[@]}\"";
    let found = succeed(Command::new("bash").args(["-c", complete, "bash"]).arg(bash));
    assert_eq!(found.trim(), "reflector");
    let read = |file: &str| fs::read_to_string(folder.join(file)).expect("it was written");
    assert!(read("share/zsh/vendor-completions/_teatime").starts_with("#compdef teatime"));
    assert!(read("share/fish/vendor_completions.d/teatime.fish").contains("complete -c teatime"));
    let pages = fs::read_dir(folder.join("share/man/man1")).expect("pages");
    let pages: Vec<_> = pages.map(|page| page.expect("a page").path()).collect();
    assert!(pages.len() > 20, "{pages:?}");
    if has("mandoc") {
        succeed(Command::new("mandoc").args(["-Tlint", "-Werror"]).args(pages));
    }
    check_licenses(&read("share/doc/teatime/LICENSES-OF-PARTS.txt"));
    if is_release() {
        check_folders(&folder.join("bin/teatime"));
    }
}

/// The licences of a crate and of Rust's standard library are there.
fn check_licenses(text: &str) {
    for part in ["\nring ", "\nrust-std "] {
        assert!(text.contains(part), "{part} is missing");
    }
}

/// A program or library of a release names no folder of this machine.
fn check_folders(file: &Path) {
    let bytes = fs::read(file).expect("it was made");
    let home = std::env::var("CARGO_HOME").ok();
    let home = home.or_else(|| Some(format!("{}/.cargo", std::env::var("HOME").ok()?)));
    for folder in [home.as_deref().expect("a home"), root().to_str().expect("a path")] {
        let found = bytes.windows(folder.len()).position(|part| part == folder.as_bytes());
        let text =
            |at: usize| String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 200)]).into_owned();
        assert!(found.is_none(), "{}: {:?}", file.display(), found.map(text));
    }
}

/// Whether a program is installed. Where CI runs it must be; elsewhere the test shows less without it.
fn has(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    });
    assert!(found || std::env::var_os("CI").is_none(), "{program} is not installed");
    found
}

/// A program in C plays dice: it runs, joins a session, and its model computes.
fn check_dice(program: &Path, lib: Option<&Path>) {
    let mut play = Command::new(program);
    if let Some(lib) = lib {
        play.env("LD_LIBRARY_PATH", lib);
    }
    let mut play = Running::start(&mut play);
    assert_eq!(play.line(), "roll 0 shows 0", "{}", program.display());
    play.input.as_mut().expect("a pipe").write_all(b"\n").expect("it reads");
    let line = play.line();
    assert!(line.starts_with("roll 1 shows "), "{}: {line}", program.display());
    drop(play.input.take());
    assert!(play.child.wait().expect("it ends").success(), "{}", program.display());
}

/// A program with pipes. Dropping it kills it.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it was built");
        let input = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, input, lines }
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").expect("it prints text")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compiles the dice with what pkg-config says.
fn compile(prefix: &Path, package: &str, to: &Path) {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    let flags = succeed(command.args(["--cflags", "--libs", package]));
    let mut cc = Command::new("cc");
    cc.arg("-ffp-contract=off").arg(root().join("clients/c/dice.c"));
    succeed(cc.args(flags.split_whitespace()).arg("-o").arg(to));
}

/// A C program finds the library by pkg-config and by CMake, and runs.
fn check_library(prefix: &Path, elsewhere: &Path) {
    let lib = prefix.join("lib");
    if is_release() {
        check_folders(&lib.join("libteatime.so"));
        check_folders(&lib.join("libteatime.a"));
    }
    for (package, shared) in [("teatime", Some(lib.as_path())), ("teatime-static", None)] {
        let program = elsewhere.join(package);
        compile(prefix, package, &program);
        check_dice(&program, shared);
    }
    let (project, build) = (elsewhere.join("project"), elsewhere.join("cmake"));
    fs::create_dir_all(&project).expect("the folder can be written");
    fs::copy(root().join("clients/c/dice.c"), project.join("dice.c")).expect("it is there");
    let text = format!(
        "cmake_minimum_required(VERSION 3.16)\nproject(dice LANGUAGES C)\nfind_package(teatime {VERSION} REQUIRED)\n\
         add_executable(shared dice.c)\ntarget_link_libraries(shared PRIVATE teatime::teatime)\n\
         add_executable(static dice.c)\ntarget_link_libraries(static PRIVATE teatime::teatime-static)\n"
    );
    fs::write(project.join("CMakeLists.txt"), text).expect("the folder can be written");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(&project).arg("-B").arg(&build);
    succeed(configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())));
    succeed(Command::new("cmake").arg("--build").arg(&build));
    // CMake has told the program where the library is.
    check_dice(&build.join("shared"), None);
    check_dice(&build.join("static"), None);
}

/// The packages for Debian have what they should, and a program builds with all three.
fn check_debian(into: &Path, elsewhere: &Path) {
    if !has("dpkg-deb") {
        return;
    }
    let machine = succeed(Command::new("dpkg").arg("--print-architecture"));
    let abi = VERSION.rsplit_once('.').expect("a version").0;
    let shared = format!("libteatime{abi}");
    let all = elsewhere.join("debian");
    for (name, needs) in [
        ("teatime", "libc6 (>= 2."),
        (&shared, "libc6 (>= 2."),
        ("libteatime-dev", &format!("{shared} (= {VERSION})")),
    ] {
        let file = into.join(format!("{name}_{VERSION}_{}.deb", machine.trim()));
        let depends = succeed(Command::new("dpkg-deb").arg("--field").arg(&file).arg("Depends"));
        assert!(depends.starts_with(needs), "{name}: {depends}");
        let files = succeed(Command::new("dpkg-deb").arg("--contents").arg(&file));
        for wanted in ["copyright", "changelog.gz", "LICENSES-OF-PARTS.txt"] {
            let wanted = format!("./usr/share/doc/{name}/{wanted}");
            assert!(
                files.lines().any(|line| line.ends_with(&wanted)),
                "{name} lacks {wanted}:\n{files}"
            );
        }
        let modes = ["drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--", "lrwxrwxrwx"];
        let is_usual = |line: &str| modes.iter().any(|mode| line.starts_with(mode));
        assert!(
            files.lines().all(|line| line.contains(" root/root ") && is_usual(line)),
            "{files}"
        );
        succeed(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&all));
        let control = elsewhere.join(format!("control-{name}"));
        succeed(Command::new("dpkg-deb").arg("--control").arg(&file).arg(&control));
        let sums = control.join("md5sums");
        succeed(Command::new("md5sum").arg("--check").arg(&sums).current_dir(&all));
    }
    let triggers = elsewhere.join(format!("control-{shared}/triggers"));
    assert!(fs::read_to_string(triggers).expect("it was written").contains("ldconfig"));
    let usr = all.join("usr");
    assert!(succeed(Command::new(usr.join("bin/teatime")).arg("--version")).contains(VERSION));
    assert!(usr.join("share/man/man1/teatime.1.gz").is_file());
    let program = elsewhere.join("debian-dice");
    compile(&usr, "teatime", &program);
    check_dice(&program, Some(&usr.join("lib")));
}

/// A program in Kotlin that depends on the library and on its native part runs with what the repository has.
fn check_maven(into: &Path, elsewhere: &Path) {
    let file = into.join(format!("teatime-maven-{VERSION}-{}.zip", machine()));
    let file = fs::File::open(file).expect("it was made");
    let mut archive = zip::ZipArchive::new(file).expect("an archive");
    let repository = elsewhere.join("maven");
    archive.extract(&repository).expect("there is room");
    let folder = repository.join("io/github/teatime/teatime").join(VERSION);
    let platform = format!("linux-{}", std::env::consts::ARCH.replace('_', "-"));
    for end in [".pom", ".jar", "-sources.jar", "-javadoc.jar", &format!("-{platform}.jar")] {
        let file = folder.join(format!("teatime-{VERSION}{end}"));
        assert!(file.is_file(), "{} is missing", file.display());
        assert!(folder.join(format!("teatime-{VERSION}{end}.sha1")).is_file(), "{end} has no sum");
    }
    let native = fs::File::open(folder.join(format!("teatime-{VERSION}-{platform}.jar")));
    let mut native = zip::ZipArchive::new(native.expect("it was made")).expect("an archive");
    let unpacked = elsewhere.join("native");
    native.extract(&unpacked).expect("there is room");
    let licenses = unpacked.join(&platform).join("LICENSES-OF-PARTS.txt");
    check_licenses(&fs::read_to_string(licenses).expect("it was packed"));
    check_folders(&unpacked.join(&platform).join("libteatime_mobile.so"));
    let app = elsewhere.join("kotlin");
    let source = "src/main/kotlin/Main.kt";
    fs::create_dir_all(app.join(source).parent().expect("a folder")).expect("there is room");
    let hello = root().join("clients/kotlin/src/main/kotlin/teatime/hello/Main.kt");
    fs::copy(hello, app.join(source)).expect("it is there");
    let starter = root().join("clients/cli/starter/kotlin/pom.xml");
    let starter = fs::read_to_string(starter).expect("it is there");
    let native = format!(
        "<dependency><groupId>io.github.teatime</groupId><artifactId>teatime</artifactId>\
         <version>{VERSION}</version><classifier>{platform}</classifier></dependency></dependencies>\
         <repositories><repository><id>release</id><url>file://{}</url></repository></repositories>",
        repository.display()
    );
    let project = starter.replacen("</dependencies>", &native, 1);
    let project = project.replace("org.example.tally.MainKt", "teatime.hello.MainKt");
    fs::write(app.join("pom.xml"), project).expect("there is room");
    // A local repository without what other tests have installed.
    let local = elsewhere.join("m2");
    let mut package = Command::new("mvn");
    package.args(["-q", "-B", "package"]).arg(format!("-Dmaven.repo.local={}", local.display()));
    succeed(package.current_dir(&app));
    let mut hello = Command::new("java");
    let mut hello = Running::start(hello.args(["-jar", "target/tally.jar"]).current_dir(&app));
    while !hello.line().contains("four o") {}
}

/// Runs a command that must refuse to write to a folder. Returns its message.
fn refused(command: &mut Command, into: &Path) -> String {
    let output = run(command);
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(!into.exists());
    why
}

#[test]
fn missing_tools_are_named_before_anything_is_built() {
    let scratch = folder("missing");
    let into = scratch.join("never");
    // Only the shell that runs it is there.
    std::os::unix::fs::symlink("/bin/sh", scratch.join("sh")).expect("a link");
    let bare = |without| {
        let mut command = dist(&into, without);
        refused(command.env_remove("ANDROID_NDK_HOME").env("PATH", &scratch), &into)
    };
    let why = bare("swift");
    for wanted in [
        "ar, ld, objcopy, strip, tar",
        "debian: cp, date, dpkg, dpkg-deb, gzip, md5sum, objdump",
        "kotlin: mvn",
        "android: ANDROID_NDK_HOME is not set",
        "book: mdbook, mdbook-mermaid",
        "--without debian,kotlin,android,book",
    ] {
        assert!(why.contains(wanted), "{wanted} is missing: {why}");
    }
    // The AAR is a part of what is left out.
    let why = bare("swift,kotlin");
    assert!(why.contains("--without debian,book") && !why.contains("android"), "{why}");
    let why = bare("debian,swift,kotlin,book");
    assert!(why.contains("strip") && !why.contains("--without"), "{why}");
}

/// A release has what is committed.
#[test]
fn a_release_of_changed_files_is_refused() {
    let scratch = folder("dirty");
    let into = scratch.join("never");
    fs::write(scratch.join("changed"), "").expect("there is room");
    succeed(Command::new("git").arg("init").arg("--quiet").arg(&scratch));
    let mut command = Command::new(env!("CARGO_BIN_EXE_teatime-xtask"));
    command.args(["dist", "--without", "debian,swift,kotlin,book", "--into"]).arg(&into);
    command.env("GIT_DIR", scratch.join(".git")).env("GIT_WORK_TREE", &scratch);
    let why = refused(&mut command, &into);
    assert!(why.contains("?? changed") && why.contains("--allow-dirty"), "{why}");
}

/// A folder with files is left as it is.
#[test]
fn only_an_empty_folder_is_written_to() {
    let into = folder("full");
    let file = into.join("Sources");
    fs::write(&file, "mine").expect("there is room");
    let tasks: [&[&str]; 3] = [
        &["dist", "--profile", "dev", "--without", "debian,swift,kotlin,book"],
        &["book"],
        &["swift", "--profile", "dev", "--crate", "bindings/mobile"],
    ];
    for arguments in tasks {
        let mut command = Command::new(env!("CARGO_BIN_EXE_teatime-xtask"));
        command.current_dir(root()).args(arguments).arg("--into").arg(&into);
        let output = run(&mut command);
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && why.contains("expected an empty folder"), "{why}");
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine");
    }
}

/// systemd understands the unit, and finds that it gives the reflector few rights.
#[test]
fn the_unit_for_systemd_is_valid_and_gives_few_rights() {
    if !has("systemd-analyze") {
        return;
    }
    let unit = root().join("clients/cli/packaging/teatime.service");
    let unit = fs::read_to_string(unit).expect("it is there");
    // The check demands that the program exists.
    let here = folder("unit").join("teatime.service");
    fs::write(&here, unit.replace("/usr/bin/teatime", "/bin/true")).expect("there is room");
    let checked = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&here));
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success() && !said.contains("teatime.service"), "{said}");
    // The scale ends at 100; 20 is the end of what systemd calls OK.
    let mut security = Command::new("systemd-analyze");
    succeed(security.args(["security", "--offline=true", "--threshold=15"]).arg(&here));
}
