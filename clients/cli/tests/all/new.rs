//! `teatime new`: the app that it creates builds and runs, in Swift and in Kotlin, with one model in Rust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Program, private_directory, run, teatime};
use teatime_tests::program::{built, finish, forget_cargo};

/// The top of the workspace.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the crate is in the workspace")
}

/// The target folder.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder")
}

/// Whether cargo compiles for the app what the tests have compiled already, instead of everything as for a user.
fn shares() -> bool {
    std::env::var_os("TEATIME_RELEASE").is_none()
}

/// A command in the folder of the app.
fn at(app: &Path, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    forget_cargo(&mut command);
    command.current_dir(app).env("CARGO_TARGET_DIR", target()).env("PROFILE", "dev");
    // What is proved does not depend on it, and it takes as long as the compiling.
    command.env("CARGO_INCREMENTAL", "0").env_remove("TEATIME_ALONG");
    if shares() {
        command.env("TEATIME_XTASK", built("teatime-xtask"));
    }
    command
}

/// Gives the app the features and profiles of this workspace, so that cargo finds most crates compiled.
fn share(app: &Path) {
    let read = |path: &Path| fs::read_to_string(path).expect("it can be read");
    let profile = |manifest: &str| {
        let start = manifest.find("[profile.dev]").expect("it has this profile");
        start..manifest.find("[profile.release]").expect("it has this profile, too")
    };
    let path = app.join("model/Cargo.toml");
    let (ours, mut model) = (read(&root().join("Cargo.toml")), read(&path));
    model.replace_range(profile(&model), &ours[profile(&ours)]);
    let third_party = root().join("tests/third-party");
    let third_party = format!("[dependencies]\nteatime-third-party = {{ path = {third_party:?} }}");
    fs::write(path, model.replacen("[dependencies]", &third_party, 1)).expect("it can be written");
    // The app lies in the target folder of the workspace, whose settings hold there. Flags would be there twice.
    fs::remove_file(app.join(".cargo/config.toml")).expect("the app has settings of cargo");
}

fn new(folder: &Path, name: &str) -> PathBuf {
    let app = folder.join(name);
    let path = app.to_str().expect("UTF-8");
    let checkout = root().to_str().expect("UTF-8");
    let (code, output, errors) = run(&["new", name, "--path", checkout, "--into", path], "");
    assert_eq!(code, Some(0), "{errors}");
    assert!(output.contains("README.md"), "{output}");
    app
}

/// Whether a tool is installed. Where CI runs it must be; elsewhere the test shows less without it.
fn has(tool: &mut Command) -> bool {
    let there = tool.output().is_ok_and(|output| output.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "{tool:?} does not run");
    there
}

/// The program in Swift, ready to run.
fn in_swift(app: &Path) -> Option<Command> {
    let with_swift = root().join("tests/with-swift");
    if !has(at(app, &with_swift).args(["swift", "--version"])) {
        return None;
    }
    finish(at(app, "./build").arg("swift"));
    let scratch = target().join("swift/new");
    finish(
        at(app, &with_swift)
            .env("PKG_CONFIG_PATH", app.join("swift/Teatime/native"))
            .args(["swift", "build", "--package-path", "swift", "--scratch-path"])
            .arg(&scratch),
    );
    let mut program = at(app, with_swift);
    program.arg(scratch.join("debug/tea_race"));
    Some(program)
}

/// The program in Kotlin, ready to run.
fn in_kotlin(app: &Path) -> Option<Command> {
    if !has(at(app, "mvn").arg("--version")) {
        return None;
    }
    finish(at(app, "./build").arg("kotlin"));
    finish(at(app, "mvn").args(["-q", "-B", "-f", "kotlin/pom.xml", "package"]));
    let mut program = at(app, "java");
    program.args(["-jar", "kotlin/target/tea_race.jar"]);
    Some(program)
}

#[test]
fn a_new_app_counts_alike_in_swift_and_kotlin() {
    let app = new(&private_directory("new"), "tea_race");
    if shares() {
        share(&app);
    }
    finish(at(&app, env!("CARGO")).args(["test", "--manifest-path", "model/Cargo.toml"]));
    let (_reflector, url) = teatime().reflector(&[]);
    let programs = [in_swift(&app), in_kotlin(&app)].into_iter().flatten();
    let mut programs: Vec<_> =
        programs.map(|mut program| Program::spawn(program.arg(&url))).collect();
    for program in &mut programs {
        assert_eq!(program.next_line().as_deref(), Some("total 0"));
    }
    for at in 0..programs.len() {
        programs[at].say_raw("");
        let expected = format!("total {}", at + 1);
        for program in &mut programs {
            assert_eq!(program.next_line().as_deref(), Some(expected.as_str()));
        }
    }
    for mut program in programs {
        program.end_input();
        assert_eq!(program.exit_code(), Some(0));
    }
}

#[test]
fn an_app_that_cannot_be_created_is_refused_and_no_file_changes() {
    let folder = private_directory("not-new");
    let path = folder.to_str().expect("UTF-8");
    let long = "x".repeat(41);
    for name in ["", "Tea", "1st", "tea-race", "té", "class", "fun", "count", "../up", &long] {
        let target = folder.join("app");
        let target = target.to_str().expect("UTF-8");
        let (code, _, errors) = run(&["new", name, "--into", target], "");
        assert_eq!(code, Some(2), "{name}: {errors}");
        assert!(errors.contains("invalid name"), "{name}: {errors}");
    }
    let (code, _, errors) = run(&["new", "tea", "--into", path], "");
    assert_eq!((code, errors.contains("exists already")), (Some(2), true), "{errors}");
    let (code, _, errors) = run(&["new", "tea", "--path", path, "--into", "/tmp/x/y"], "");
    assert_eq!((code, errors.contains("--path")), (Some(2), true), "{errors}");
    let inside = format!("{path}/file/app");
    fs::write(folder.join("file"), "").expect("the folder is there");
    let (code, _, errors) = run(&["new", "tea", "--into", &inside], "");
    assert_eq!((code, errors.contains(&inside)), (Some(1), true), "{errors}");
}

#[test]
fn without_a_checkout_an_app_depends_on_published_packages_and_names_no_path_of_this_machine() {
    let app = private_directory("published").join("tea_race");
    let (code, _, errors) = run(&["new", "tea_race", "--into", app.to_str().expect("UTF-8")], "");
    assert_eq!(code, Some(0), "{errors}");
    let read = |file: &str| fs::read_to_string(app.join(file)).expect("it was written");
    let manifest: toml::Table = read("model/Cargo.toml").parse().expect("it is TOML");
    for (table, name) in [
        ("dependencies", "teatime"),
        ("dependencies", "teatime-ffi"),
        ("dev-dependencies", "teatime"),
    ] {
        let dependency = &manifest[table][name];
        assert_eq!(dependency["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
        assert!(dependency.get("path").is_none(), "{dependency}");
    }
    for file in ["README.md", "build", "model/Cargo.toml"] {
        let text = read(file);
        let checkout = root().to_str().expect("UTF-8");
        assert!(!text.contains(checkout) && !text.contains("/path/to"), "{file}:\n{text}");
    }
    let why = Command::new(app.join("build")).arg("swift").output().expect("bash is installed");
    assert!(!why.status.success());
    let why = String::from_utf8_lossy(&why.stderr).into_owned();
    assert!(why.contains("TEATIME") && why.contains("checkout"), "{why}");
}
