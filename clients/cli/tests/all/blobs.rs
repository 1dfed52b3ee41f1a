//! `teatime blobs`: stores files in a room and fetches them.

use std::fs;

use crate::support::{Program, private_directory, run, teatime};
use serde_json::{Value, json};
use teatime::JoinLink;

/// Runs `teatime blobs`: the exit status, and the last line.
fn blobs(arguments: &[&str]) -> (Option<i32>, Value) {
    let (status, output, errors) = run(&[&["blobs"], arguments, &["--json"]].concat(), "");
    let last = output.lines().last().unwrap_or_else(|| panic!("no output; {errors}"));
    (status, serde_json::from_str(last).expect("JSON"))
}

#[test]
fn files_are_stored_and_fetched_also_after_the_reflector_was_killed() {
    let directory = private_directory("blobs");
    let path = |name: &str| directory.join(name).to_str().expect("UTF-8").to_owned();
    let content: Vec<u8> = (0..3_000_000_u32).map(|at| (at / 11) as u8).collect();
    fs::write(path("photo"), &content).expect("there is room");
    let (server, url) = teatime().reflector_with(&directory.join("store"), &[]);
    let room = ["--reflector", &url, "--name", "tea", "--password", "p"];
    let (status, stored) = blobs(&[&["put", &path("photo")], &room[..]].concat());
    assert_eq!(
        (status, &stored["event"], &stored["bytes"]),
        (Some(0), &json!("stored"), &json!(3_000_000))
    );
    let handle = stored["handle"].as_str().expect("a string").to_owned();
    drop(server);
    let (_server, url) = teatime().reflector_with(&directory.join("store"), &[]);
    let room = ["--reflector", &url, "--name", "tea", "--password", "p"];
    let (status, fetched) = blobs(&[&["get", &handle, &path("copy")], &room[..]].concat());
    assert_eq!((status, &fetched["event"]), (Some(0), &json!("fetched")));
    assert_eq!(fs::read(path("copy")).expect("it is there"), content);
    // A link works as well.
    let link = JoinLink {
        reflector: url.clone(),
        app: "teatime.chat".into(),
        name: "tea".into(),
        options: None,
        password: Some("p".into()),
    };
    let link = link.to_string();
    assert_eq!(blobs(&["get", &handle, &path("copy"), &link]).0, Some(0));
    let (status, error) = blobs(&["get", &handle, "/dev/null", &link]);
    assert_eq!((status, &error["code"]), (Some(1), &json!("IO")));
    // Another room, and another password.
    for room in [["--name", "coffee", "--password", "p"], ["--name", "tea", "--password", "q"]] {
        let other = path("other");
        let (status, error) =
            blobs(&[&["get", &handle, &other, "--reflector", &url], &room[..]].concat());
        assert_eq!((status, &error["code"]), (Some(1), &json!("OTHER_SESSION")));
    }
    assert!(!fs::exists(path("other")).expect("its folder is there"));
}

#[test]
fn the_tools_for_stores_check_blobs_and_salvage_them() {
    let directory = private_directory("data-tools");
    let path = |name: &str| directory.join(name).to_str().expect("UTF-8").to_owned();
    let content: Vec<u8> = (0..600_000_u32).map(|at| (at / 7) as u8).collect();
    fs::write(path("photo"), &content).expect("there is room");
    let (server, url) = teatime().reflector_with(&directory.join("store"), &[]);
    let (_, stored) = blobs(&["put", &path("photo"), "--reflector", &url]);
    let handle = stored["handle"].as_str().expect("a string").to_owned();
    drop(server);
    let check = |of: &str| {
        let (status, report, errors) = run(&["store", "check", &path(of)], "");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        (status, report["blobs"].clone(), report["damaged_blob_files"].clone(), errors)
    };
    assert_eq!(check("store"), (Some(0), json!(1), json!(0), String::new()));
    let (status, _, errors) =
        run(&["store", "salvage", &path("store"), "--into", &path("salvaged")], "");
    assert_eq!(status, Some(0), "{errors}");
    let (server, url) = teatime().reflector_with(&directory.join("salvaged"), &[]);
    assert_eq!(blobs(&["get", &handle, &path("copy"), "--reflector", &url]).0, Some(0));
    assert_eq!(fs::read(path("copy")).expect("it is there"), content);
    drop(server);
    let files = fs::read_dir(directory.join("store/blobs")).expect("it is there").flatten();
    let file =
        files.map(|file| file.path()).find(|file| file.extension().is_some_and(|e| e == "chunk"));
    fs::write(file.expect("there is a chunk"), "rot").expect("it can be written");
    let (status, blobs, damaged, errors) = check("store");
    assert_eq!((status, blobs, damaged), (Some(1), json!(1), json!(1)));
    assert!(errors.contains("some blobs are damaged"), "{errors}");
}

#[test]
fn errors_have_their_codes() {
    let directory = private_directory("data-wrong");
    let path = |name: &str| directory.join(name).to_str().expect("UTF-8").to_owned();
    fs::write(path("large"), vec![7; 1_100_000]).expect("there is room");
    let (_server, url) = teatime().reflector_with(&directory.join("store"), &["--max-blob", "1M"]);
    let (status, error) = blobs(&["put", &path("large"), "--reflector", &url]);
    assert_eq!((status, &error["code"]), (Some(1), &json!("BLOB_TOO_LARGE")));
    // The handle alone tells it, without a file.
    let (status, limits) = blobs(&["limits", "--reflector", &url]);
    assert_eq!((status, &limits["max_blob"]), (Some(0), &json!(1 << 20)));
    assert!(limits["room"].as_u64().is_some_and(|room| room > 0), "{limits}");
    let (_server, url) =
        teatime().reflector_with(&directory.join("small"), &["--max-room-blobs", "1M"]);
    let (status, error) = blobs(&["put", &path("large"), "--reflector", &url]);
    assert_eq!((status, &error["code"]), (Some(1), &json!("NO_ROOM")));
    // Reading it would wait for a writer.
    let made = std::process::Command::new("mkfifo").arg(path("pipe")).status();
    assert!(made.expect("there is a mkfifo").success());
    for wrong in [&["put", &path("pipe")][..], &["put", &path(".")]] {
        let (status, error) = blobs(&[wrong, &["--reflector", &url]].concat());
        assert_eq!((status, &error["code"]), (Some(1), &json!("IO")));
    }
    let (status, error) = blobs(&["put", &path("missing"), "--reflector", &url]);
    assert_eq!((status, &error["code"]), (Some(1), &json!("IO")));
    for wrong in [
        &["blobs", "get", "no-handle", "file", "--reflector", &url][..],
        &["blobs", "put", &path("large")],
        &["blobs", "put", &path("large"), "teatime://host/other/room"],
    ] {
        let (status, _, errors) = run(wrong, "");
        assert_eq!(status, Some(2), "{wrong:?}: {errors}");
    }
}

#[test]
#[cfg(unix)]
fn a_full_disk_of_the_reflector_is_reported() {
    let directory = private_directory("data-full");
    let path = |name: &str| directory.join(name).to_str().expect("UTF-8").to_owned();
    let store = path("store");
    fs::write(path("large"), vec![7; 600_000]).expect("there is room");
    fs::write(path("small"), "tea").expect("there is room");
    // `ulimit` limits files to 50 or 100 KiB, which acts like a full disk.
    let mut server = std::process::Command::new("sh");
    server.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", "sh"]);
    server.arg(env!("CARGO_BIN_EXE_teatime"));
    server.args(["reflector", "--json", "--listen", "127.0.0.1:0", "--data", &store]);
    let mut server = Program::spawn(&mut server);
    let url = server.wait_for("listening")["url"].as_str().expect("a string").to_owned();
    let (status, stored) = blobs(&["put", &path("small"), "--reflector", &url]);
    assert_eq!((status, &stored["event"]), (Some(0), &json!("stored")));
    let (status, error) = blobs(&["put", &path("large"), "--reflector", &url]);
    assert_eq!((status, &error["code"]), (Some(1), &json!("SERVER_DISK_FULL")));
    let handle = stored["handle"].as_str().expect("a string");
    assert_eq!(blobs(&["get", handle, &path("copy"), "--reflector", &url]).0, Some(0));
    assert_eq!(fs::read(path("copy")).expect("it is there"), b"tea");
}
