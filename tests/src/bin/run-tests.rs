//! Runs the test programs of the workspace, several at a time: `run-tests TURN FOLDER`. Its standard input is what
//! `cargo test --no-run --message-format json` prints. The turns are `first`, `after-phones` and `alone`: each runs other
//! programs. It prints the output of each program as a whole, when the program has ended. Meanwhile FOLDER has it, a file
//! for each program.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::Instant;

use serde_json::Value;

type Result<T> = std::result::Result<T, String>;

/// Test programs that need the packages for Swift and Kotlin, or write where tests/phones does.
const AFTER_PHONES: [&str; 3] =
    ["bindings/xtask dist", "bindings/xtask package", "clients/cli all"];

/// Test programs that run one after another, after all others: they measure latency, or compare all clients.
const ALONE: [&str; 7] = [
    "clients/cli latency",
    "clients/cli storm",
    "core/net slow",
    "core/net teatime_net",
    "ffi clients",
    "tests slow_clients",
    "tests/bench all",
];

/// Test programs that start first, because they take longest.
const FIRST: [&str; 4] = ["ffi all", "doc tests", "tests long_session", "tests simulation"];

/// What cargo runs for the tests in the documentation.
const DOC: [&str; 7] =
    ["test", "--workspace", "--exclude", "generate", "--locked", "--no-fail-fast", "--doc"];

/// A test program.
#[derive(Clone, Debug)]
struct Tests {
    /// The folder of the package, and the name that cargo gives the program.
    name: String,
    executable: PathBuf,
    /// The folder of the package. The tests run there.
    folder: PathBuf,
    arguments: &'static [&'static str],
    environment: Vec<(&'static str, OsString)>,
}

/// Where Rust is installed: the tests start the cargo and load the libraries there.
#[derive(Debug)]
struct Toolchain {
    cargo: PathBuf,
    /// As in `LD_LIBRARY_PATH`.
    libraries: OsString,
}

fn main() -> ExitCode {
    match run() {
        Ok(failed) if failed.is_empty() => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("run-tests: failed: {}", failed.join(", "));
            ExitCode::from(1)
        }
        Err(why) => {
            eprintln!("run-tests: {why}");
            ExitCode::from(2)
        }
    }
}

/// Runs the programs of a turn. Returns the names of those that failed.
fn run() -> Result<Vec<String>> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "usage: run-tests first|after-phones|alone FOLDER";
    let (turn, folder) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    // Most tests wait most of the time.
    let at_once = if turn == "alone" { 1 } else { processors + 1 };
    let is_in_turn: fn(&str) -> bool = match turn.to_str() {
        Some("first") => |name| !AFTER_PHONES.contains(&name) && !ALONE.contains(&name),
        Some("after-phones") => |name| AFTER_PHONES.contains(&name),
        Some("alone") => |name| ALONE.contains(&name),
        _ => return Err(usage.into()),
    };
    let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let toolchain = toolchain()?;
    let messages = std::io::read_to_string(std::io::stdin()).map_err(|error| error.to_string())?;
    let mut tests = programs(&messages, &toolchain);
    let mut named = AFTER_PHONES.iter().chain(&ALONE);
    if let Some(missing) = named.find(|name| tests.iter().all(|test| test.name != **name)) {
        return Err(format!("cargo did not build {missing}"));
    }
    tests.push(doc(&toolchain));
    tests.retain(|test| is_in_turn(&test.name));
    tests.sort_by_key(|test| {
        FIRST.iter().position(|name| *name == test.name).unwrap_or(FIRST.len())
    });

    Ok(run_all(tests, at_once, &folder))
}

/// Runs programs, this number at once. Returns the names of those that failed.
fn run_all(tests: Vec<Tests>, at_once: usize, folder: &Path) -> Vec<String> {
    let (waiting, failed) = (Mutex::new(VecDeque::from(tests)), Mutex::new(Vec::new()));
    let next = || waiting.lock().expect("no thread panics").pop_front();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(test) = next() {
                    if let Err(why) = test.run(folder) {
                        let what = format!("{} ({why})", test.name);
                        failed.lock().expect("no thread panics").push(what);
                    }
                }
            });
        }
    });
    failed.into_inner().expect("no thread panics")
}

fn toolchain() -> Result<Toolchain> {
    let output =
        Command::new("rustc").args(["--print", "sysroot", "--print", "target-libdir"]).output();
    let output = output.map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (root, standard) =
        text.trim().split_once('\n').ok_or("rustc does not say where its libraries are")?;
    let root = Path::new(root);
    let cargo = root.join("bin/cargo");
    // A packaged Rust may have its cargo elsewhere.
    let cargo = if cargo.is_file() { cargo } else { "cargo".into() };
    let libraries = std::env::join_paths([root.join("lib"), standard.into()]);
    Ok(Toolchain { cargo, libraries: libraries.map_err(|error| error.to_string())? })
}

/// The top of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace")
}

/// The test programs among the artifacts that cargo names, one in a line of JSON.
fn programs(messages: &str, toolchain: &Toolchain) -> Vec<Tests> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let tests =
        messages.filter(|message| message["profile"]["test"] == true).filter_map(|message| {
            let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
            let package = folder.strip_prefix(root()).unwrap_or(folder).display();
            Some(Tests {
                name: format!("{package} {}", message["target"]["name"].as_str()?),
                executable: message["executable"].as_str()?.into(),
                folder: folder.to_owned(),
                arguments: &[],
                // As cargo does.
                environment: vec![
                    ("CARGO", toolchain.cargo.clone().into()),
                    ("CARGO_MANIFEST_DIR", folder.into()),
                    ("LD_LIBRARY_PATH", toolchain.libraries.clone()),
                ],
            })
        });
    tests.collect()
}

/// The tests in the documentation. Variables of a package in their environment would make cargo compile crates again.
fn doc(toolchain: &Toolchain) -> Tests {
    Tests {
        name: "doc tests".to_owned(),
        executable: toolchain.cargo.clone(),
        folder: root().to_owned(),
        arguments: &DOC,
        environment: Vec::new(),
    }
}

impl Tests {
    /// Runs it to its end, and prints what it has printed.
    fn run(&self, folder: &Path) -> Result<()> {
        let error = |error: std::io::Error| error.to_string();
        let path = folder.join(self.name.replace(['/', ' '], "-")).with_extension("txt");
        // A file, not a pipe: a process that a failed test leaves behind would keep a pipe open.
        let output = File::create(&path).map_err(error)?;
        println!("\n-- {} starts", self.name);
        let started = Instant::now();
        let mut command = Command::new(&self.executable);
        command.args(self.arguments).current_dir(&self.folder);
        command.envs(self.environment.iter().cloned());
        // `teatime_tests::program::built` need not wait for another cargo: the programs are built.
        command.env("TEATIME_BUILT", "1");
        let output = output.try_clone().map(|errors| command.stdout(output).stderr(errors));
        let status = output.and_then(Command::status).map_err(error)?;
        let said = fs::read(&path).map_err(error)?;
        // Locked, so that nothing comes between.
        let mut out = std::io::stdout().lock();
        let seconds = started.elapsed().as_secs();
        let _ = writeln!(out, "\n-- {}: {status}, {seconds} s", self.name);
        let _ = out.write_all(&said);
        if status.success() { Ok(()) } else { Err(status.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_named_and_the_others_run() {
        let folder = std::env::temp_dir().join(format!("teatime-run-tests-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("there is room");
        let script = |name: &str, arguments| Tests {
            name: name.to_owned(),
            executable: "sh".into(),
            folder: folder.clone(),
            arguments,
            environment: vec![("CARGO", "a cargo".into())],
        };
        let tests = vec![
            script("a good", &["-c", "echo test it ... ok"]),
            script("a bad", &["-c", "echo it broke >&2; exit 101"]),
            Tests { executable: "/nonexistent".into(), ..script("a missing", &[]) },
            script("b good", &["-c", "echo $TEATIME_BUILT $CARGO in $PWD"]),
        ];
        for at_once in [1, 3] {
            let mut failed = run_all(tests.clone(), at_once, &folder);
            failed.sort();
            assert_eq!(failed.len(), 2, "{failed:?}");
            assert!(failed[0].starts_with("a bad (") && failed[0].contains("101"), "{failed:?}");
            assert!(failed[1].starts_with("a missing ("), "{failed:?}");
            let said = |name| fs::read_to_string(folder.join(name)).expect("it has run");
            assert_eq!(said("a-good.txt"), "test it ... ok\n");
            assert_eq!(said("a-bad.txt"), "it broke\n");
            assert_eq!(said("b-good.txt"), format!("1 a cargo in {}\n", folder.display()));
        }
        fs::remove_dir_all(&folder).expect("it is ours");
    }

    #[test]
    fn only_test_programs_are_found_in_the_messages_of_cargo() {
        let line = |executable: Value, is_test| {
            serde_json::json!({
                "reason": "compiler-artifact", "manifest_path": root().join("core/net/Cargo.toml"),
                "target": {"name": "slow"}, "profile": {"test": is_test}, "executable": executable,
            })
            .to_string()
        };
        let lines = [
            "Compiling".to_owned(),
            line("/target/slow".into(), false),
            line(Value::Null, true),
            line("/target/slow-1".into(), true),
        ];
        let toolchain = Toolchain { cargo: "cargo".into(), libraries: "/lib".into() };
        let found = programs(&lines.join("\n"), &toolchain);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].name, "core/net slow");
        assert_eq!(found[0].executable, Path::new("/target/slow-1"));
        assert_eq!(found[0].folder, root().join("core/net"));
    }
}
