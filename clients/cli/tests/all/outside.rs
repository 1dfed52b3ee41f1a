//! What the system around the program may refuse or change: output, descriptors, signals, byte order marks.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::service::{free_port, health};
use crate::support::recordings::{recorder, stop, text};
use crate::support::{Program, listening, private_directory, run, teatime};
use serde_json::{Value, json};
use teatime_tests::certificates::{Authority, Identity};

/// Files and a store, for all commands that print something.
struct Material {
    url: String,
    _reflector: Program,
    folder: std::path::PathBuf,
    handle: String,
}

impl Material {
    fn new(name: &str) -> Self {
        let folder = private_directory(name);
        let (mut reflector, url) = teatime().reflector_with(&folder.join("store"), &[]);
        let recording = recorder(&url, &folder.join("recording"), &[]);
        let mut chat = teatime().chat(&url, &[]);
        chat.post("hello");
        chat.wait_for_line("hello");
        stop(recording);
        chat.say(&json!({ "do": "leave" }));
        assert_eq!(chat.exit_code(), Some(0));
        fs::write(folder.join("photo"), [7; 1000]).expect("there is room");
        reflector.signal("TERM");
        assert_eq!(reflector.exit_code(), Some(0));
        let (reflector, url) = teatime().reflector(&[]);
        let photo = folder.join("photo");
        let (code, handle, errors) = run(&["blobs", "put", text(&photo), "--reflector", &url], "");
        assert_eq!(code, Some(0), "{errors}");
        Self { url, _reflector: reflector, folder, handle: handle.trim().to_owned() }
    }

    /// Every command that ends by itself and prints something, as text and as JSON.
    fn commands(&self) -> Vec<Vec<String>> {
        let path = |name: &str| text(&self.folder.join(name)).to_owned();
        let [store, photo, recording, fetched, branched] =
            ["store", "photo", "recording", "fetched", "branched"].map(path);
        let url = &self.url;
        let in_both_forms: &[&[&str]] = &[
            &["blobs", "put", &photo, "--reflector", url],
            &["blobs", "get", &self.handle, &fetched, "--reflector", url],
            &["blobs", "limits", "--reflector", url],
            &["replay", &recording],
            &["replay", &recording, "--speed", "1000000"],
            &["branch", &recording, "--as", "other", "--into", &branched],
            &["reflector", "--listen", "127.0.0.1:0"],
        ];
        let in_one: &[&[&str]] = &[
            &["store", "list", &store],
            &["store", "check", &store],
            &["store", "salvage", &store, "--into", &path("salvaged")],
            &["new", "app", "--into", &path("app")],
            &["chat", "--json", "--reflector", url],
            &["--help"],
        ];
        let owned = |words: &[&str], more: &[&str]| {
            words.iter().chain(more).map(|word| (*word).to_owned()).collect::<Vec<_>>()
        };
        in_both_forms
            .iter()
            .flat_map(|words| [owned(words, &[]), owned(words, &["--json"])])
            .chain(in_one.iter().map(|words| owned(words, &[])))
            .collect()
    }

    /// Removes what a command has made, so that it can make it again.
    fn clean(&self) {
        for made in ["salvaged", "app", "branched"] {
            let _ = fs::remove_dir_all(self.folder.join(made));
        }
        let _ = fs::remove_file(self.folder.join("fetched"));
    }
}

/// Runs a command with this standard output. Gives its exit status, and what it wrote to standard error.
fn with_output(words: &[String], output: impl Into<Stdio>) -> (Option<i32>, String) {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let mut command = teatime().command(&words);
    let ended = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::piped()).output();
    let ended = ended.expect("the program is built");
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure_in_every_command() {
    let material = Material::new("unwritable");
    for words in material.commands() {
        if words[0] == "--help" {
            continue;
        }
        material.clean();
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let (code, errors) = with_output(&words, full);
        assert_eq!(code, Some(1), "{words:?}: {errors}");
        assert!(errors.contains("standard output: No space left"), "{words:?}: {errors}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_gone_ends_every_command_without_a_word_or_a_panic() {
    let material = Material::new("closed-pipe");
    for words in material.commands() {
        material.clean();
        let (reader, writer) = std::io::pipe().expect("there are descriptors");
        drop(reader);
        let (code, errors) = with_output(&words, writer);
        let expected = if words[0] == "--help" { 0 } else { 1 };
        assert_eq!(code, Some(expected), "{words:?}: {errors}");
        let is_quiet =
            errors.lines().all(|line| !line.contains("output") && !line.contains("panic"));
        assert!(is_quiet, "{words:?}: {errors}");
    }
}

#[test]
fn every_failure_of_a_command_with_json_is_json_with_a_code() {
    let folder = private_directory("failures-in-json");
    let missing = folder.join("missing");
    let missing = text(&missing);
    // Nothing listens at port 1, and no resolver knows a name in `invalid`.
    let commands: &[(&[&str], i32)] = &[
        (&["chat", "--json", "--name", ""], 2),
        (&["chat", "--json", "--inactivity", "soon"], 2),
        (&["chat", "--json", "--no-such-flag"], 2),
        (&["chat", "--json", "--password-file", missing], 2),
        (&["chat", "--json", "--ca", missing], 2),
        (&["reflector", "--json", "--listen", "nowhere"], 2),
        (&["reflector", "--json", "--listen", "192.0.2.1:0"], 1),
        (&["reflector", "--json", "--tls-cert", missing, "--tls-key", missing], 1),
        (&["reflector", "--json", "--listen", "127.0.0.1:0", "--data", "/dev/null/x"], 1),
        (&["blobs", "put", "--json", missing, "--reflector", "ws://127.0.0.1:1"], 1),
        (&["blobs", "get", "--json", "no handle", missing, "--reflector", "ws://h"], 2),
        (&["blobs", "limits", "--json", "--reflector", "ws://127.0.0.1:1"], 1),
        (&["blobs", "limits", "--json"], 2),
        (&["record", "--json", "--to", missing, "--reflector", "http://h"], 2),
        (&["replay", "--json", missing], 1),
        (&["branch", "--json", missing, "--as", "b", "--into", missing], 1),
        (&["diff", "--json", missing], 1),
    ];
    for (words, status) in commands {
        let (code, output, errors) = run(words, "");
        assert_eq!(code, Some(*status), "{words:?}: {output}{errors}");
        let lines: Vec<_> = output.lines().collect();
        let [line] = lines[..] else { panic!("{words:?}: expected one line: {output:?}") };
        let error: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(error["event"], "error", "{words:?}");
        assert_eq!(error["code"] == "USAGE", *status == 2, "{words:?}: {error}");
        for part in ["code", "message"] {
            assert!(
                error[part].as_str().is_some_and(|text| !text.is_empty()),
                "{words:?}: {error}"
            );
        }
    }
}

#[test]
fn a_byte_order_mark_before_a_file_or_the_input_is_skipped() {
    let folder = private_directory("byte-order-mark");
    let (authority, identity) = (Authority::new(&folder, "a"), Identity::new(&folder));
    authority.issue(&identity, "127.0.0.1", false);
    for file in [authority.path(), identity.certificate(), identity.key()] {
        let pem = fs::read(file).expect("it was written");
        fs::write(file, [b"\xef\xbb\xbf", &pem[..]].concat()).expect("there is room");
    }
    let files = ["--tls-cert", identity.certificate(), "--tls-key", identity.key()];
    let (_reflector, url) = teatime().reflector(&files);
    let password = folder.join("password");
    fs::write(&password, "\u{feff}secret words\n").expect("there is room");
    let room = ["--reflector", &url, "--ca", authority.path(), "--password-file", text(&password)];
    let orders = "\u{feff}{\"do\":\"post\",\"text\":\"marked\"}\n";
    let (code, output, errors) = run(&[&["chat", "--json"], &room[..]].concat(), orders);
    assert_eq!(code, Some(0), "{output}{errors}");
    assert!(output.contains("marked") && !output.contains("BAD_COMMAND"), "{output}");
    let (code, output, errors) =
        run(&[&["chat", "--plain"], &room[..]].concat(), "\u{feff}plain\n");
    assert_eq!(code, Some(0), "{errors}");
    assert!(output.lines().any(|line| line.ends_with(": plain")), "{output:?}");
}

/// The command, with this many descriptors.
#[cfg(unix)]
fn with_descriptors(limit: &str, words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh"]);
    command.arg(env!("CARGO_BIN_EXE_teatime")).args(words);
    command
}

#[cfg(unix)]
#[test]
fn too_few_descriptors_are_refused_with_the_remedy() {
    for words in [
        &["reflector", "--json", "--listen", "127.0.0.1:0"][..],
        &["chat", "--json"],
        &["blobs", "limits", "--json", "--reflector", "ws://127.0.0.1:1"],
    ] {
        let ended = with_descriptors("-n 8", words).output().expect("there is a shell");
        let output = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(ended.status.code(), Some(1), "{output}");
        assert!(output.contains("\"LIMIT\"") && output.contains("ulimit -n 64"), "{output}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_reflector_raises_its_limit_of_descriptors_as_far_as_it_may() {
    let words = ["reflector", "--json", "--listen", "127.0.0.1:0"];
    let (reflector, _) = listening(&mut with_descriptors("-Sn 100", &words));
    let limits = fs::read_to_string(format!("/proc/{}/limits", reflector.child.id()));
    let limits = limits.expect("it runs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let columns: Vec<_> = line.split_whitespace().collect();
    assert!(columns[3] == columns[4] && columns[3] != "100", "{line}");
}

#[cfg(target_os = "linux")]
#[test]
fn without_descriptors_a_reflector_warns_once_serves_on_and_accepts_again() {
    let folder = private_directory("descriptors");
    let log = folder.join("log.txt");
    let admin = free_port();
    let words =
        ["reflector", "--json", "--listen", "127.0.0.1:0", "--workers", "1", "--admin", &admin];
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$@\" 2> \"$0\""]).arg(&log);
    command.arg(env!("CARGO_BIN_EXE_teatime")).args(words);
    let (reflector, url) = listening(&mut command);
    let mut chat = teatime().chat(&url, &[]);
    let address = url.trim_start_matches("ws://");
    let idle: Vec<_> = (0..80)
        .map(|_| std::net::TcpStream::connect(address).expect("the system accepts it"))
        .collect();
    let files = Path::new("/proc").join(reflector.child.id().to_string()).join("fd");
    let read = || fs::read_to_string(&log).unwrap_or_default();
    while !read().contains("cannot be accepted") {
        std::thread::yield_now();
    }
    chat.post("still here");
    chat.wait_for_line("still here");
    // An eighth is kept for the storage and for the operator.
    let open = fs::read_dir(&files).expect("it runs").count();
    assert!(open <= 57, "{open}");
    let answer = health(&admin, "localhost");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(idle);
    let mut late = teatime().chat(&url, &[]);
    late.wait_for_line("still here");
    assert_eq!(read().matches("cannot be accepted").count(), 1, "{}", read());
}

#[cfg(unix)]
#[test]
fn sighup_does_not_end_a_reflector_without_tls() {
    let (mut reflector, url) = teatime().reflector(&[]);
    let mut chat = teatime().chat(&url, &[]);
    reflector.signal("HUP");
    chat.post("after the signal");
    chat.wait_for_line("after the signal");
    // Another connection, and an orderly end, too.
    teatime().chat(&url, &[]).wait_for_line("after the signal");
    reflector.signal("TERM");
    assert_eq!(reflector.exit_code(), Some(0));
}

#[cfg(unix)]
#[test]
fn standard_output_may_be_closed_while_a_reflector_runs() {
    let mut command = teatime().command(&["reflector", "--json", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("built");
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    output.read_line(&mut line).expect("it says where it listens");
    drop(output);
    let line: Value = serde_json::from_str(&line).expect("JSON");
    let url = line["url"].as_str().expect("a string");
    let mut socket =
        std::net::TcpStream::connect(url.trim_start_matches("ws://")).expect("it listens");
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    BufReader::new(socket).read_line(&mut answer).expect("it answers");
    assert!(answer.contains("200"), "{answer}");
    child.kill().expect("it runs");
    child.wait().expect("it was started");
}
