//! Sessions over TLS: which certificates are trusted, and how the others are reported.

use std::fs;

use crate::support::{Program, private_directory, run, teatime, texts};
use serde_json::json;
use teatime_tests::certificates::{Authority, Identity};

/// Starts a reflector with this identity, and returns its address.
fn reflector(identity: &Identity) -> (Program, String) {
    let files = ["--tls-cert", identity.certificate(), "--tls-key", identity.key()];
    let (reflector, url) = teatime().reflector(&files);
    assert!(url.starts_with("wss://"), "{url}");
    (reflector, url)
}

#[test]
fn a_chat_through_tls_is_a_chat_and_its_link_leads_there() {
    let folder = private_directory("tls-chat");
    let (authority, identity) = (Authority::new(&folder, "a"), Identity::new(&folder));
    authority.issue(&identity, "127.0.0.1", false);
    let (_reflector, url) = reflector(&identity);
    let trust = ["--ca", authority.path()];
    let mut one = teatime().chat(&url, &[&trust[..], &["--password", "p"]].concat());
    let link = one.last("joined")["link"].as_str().expect("a string").to_owned();
    assert!(link.starts_with("teatimes://"), "{link}");
    let mut two = teatime().start(&[&["chat", "--json", &link], &trust[..]].concat());
    two.wait_for("view_info");
    one.post("through TLS");
    assert_eq!(two.wait_for_line("through TLS"), one.wait_for_line("through TLS"));
    // More than sockets and TLS buffer: the rest waits, and arrives whole and in order.
    for number in 0..100 {
        one.post(&format!("{number} {}", "x".repeat(30_000)));
    }
    one.post("the end");
    let sent = one.wait_for_line("the end");
    assert_eq!(two.wait_for_line("the end"), sent);
    let mut late = teatime().start(&[&["chat", "--json", &link], &trust[..]].concat());
    late.wait_for("view_info");
    assert_eq!(texts(late.last("history")), sent);
    two.say(&json!({ "do": "vote" }));
    for chat in [&mut one, &mut two, &mut late] {
        // The posts are long enough that votes for a snapshot came before.
        chat.wait_until("verdict of all", |line| line["event"] == "verdict" && line["agreed"] == 3);
    }
    late.say(&json!({ "do": "leave" }));
    assert_eq!(late.exit_code(), Some(0));
    one.wait_for_participants(2);
}

#[test]
fn blobs_go_through_tls_too_and_only_to_trusted_reflectors() {
    let folder = private_directory("tls-data");
    let (authority, identity) = (Authority::new(&folder, "a"), Identity::new(&folder));
    authority.issue(&identity, "127.0.0.1", false);
    let (_reflector, url) = reflector(&identity);
    let path = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let content: Vec<u8> = (0..5_000_000_u32).map(|at| (at / 13) as u8).collect();
    fs::write(path("photo"), &content).expect("there is room");
    let (photo, copy) = (path("photo"), path("copy"));
    let trust = ["--reflector", &url, "--ca", authority.path()];
    let (status, handle, errors) = run(&[&["blobs", "put", &photo], &trust[..]].concat(), "");
    assert_eq!(status, Some(0), "{errors}");
    let (status, _, errors) =
        run(&[&["blobs", "get", handle.trim(), &copy], &trust[..]].concat(), "");
    assert_eq!(status, Some(0), "{errors}");
    assert!(fs::read(copy).expect("it is there") == content);
    let (status, output, _) = run(&["blobs", "put", &photo, "--reflector", &url, "--json"], "");
    assert_eq!(status, Some(1));
    assert!(output.contains("BAD_CERTIFICATE"), "{output}");
}

#[test]
fn an_untrusted_certificate_is_refused_with_a_reason() {
    let folder = private_directory("tls-refused");
    let (authority, other) = (Authority::new(&folder, "a"), Authority::new(&folder, "b"));
    let identity = Identity::new(&folder);
    for (name, old, trusted, why) in [
        ("127.0.0.1", false, Some(&other), "UnknownIssuer"),
        ("127.0.0.1", false, None, "UnknownIssuer"),
        ("example.org", false, Some(&authority), "not valid for name"),
        ("127.0.0.1", true, Some(&authority), "expired"),
    ] {
        authority.issue(&identity, name, old);
        let (_reflector, url) = reflector(&identity);
        let mut arguments = vec!["chat", "--json", "--reflector", &url];
        arguments.extend(trusted.iter().flat_map(|authority| ["--ca", authority.path()]));
        let error = teatime().start(&arguments).wait_for("error");
        assert_eq!(error["code"], "BAD_CERTIFICATE", "{error}");
        let message = error["message"].as_str().expect("a string");
        assert!(message.contains(why) && !message.contains('\n'), "{message}");
    }
}

#[test]
fn a_client_with_tls_and_a_reflector_without_report_that_they_cannot_connect() {
    let folder = private_directory("tls-mixed");
    let (authority, identity) = (Authority::new(&folder, "a"), Identity::new(&folder));
    authority.issue(&identity, "127.0.0.1", false);
    let (_encrypted, encrypted) = reflector(&identity);
    let (_plain, plain) = teatime().reflector(&[]);
    for url in [encrypted.replace("wss:", "ws:"), plain.replace("ws:", "wss:")] {
        let arguments = ["chat", "--json", "--reflector", &url, "--ca", authority.path()];
        assert_eq!(teatime().start(&arguments).wait_for("error")["code"], "UNREACHABLE", "{url}");
    }
}

#[test]
fn a_new_certificate_is_read_at_sighup_and_a_broken_one_changes_nothing() {
    let folder = private_directory("tls-reload");
    let (old, new) = (Authority::new(&folder, "old"), Authority::new(&folder, "new"));
    let identity = Identity::new(&folder);
    old.issue(&identity, "127.0.0.1", false);
    let (reflector, url) = reflector(&identity);
    let mut standing = teatime().chat(&url, &["--ca", old.path()]);
    let trust_new = ["--ca", new.path()];
    let refused = || {
        let arguments = [&["chat", "--json", "--reflector", &url], &trust_new[..]].concat();
        teatime().start(&arguments).wait_for("error")["code"] == "BAD_CERTIFICATE"
    };
    assert!(refused());
    // A certificate does not fit the key of another.
    let key = fs::read(identity.key()).expect("it is there");
    new.issue(&identity, "127.0.0.1", false);
    fs::write(identity.key(), key).expect("the folder is there");
    reflector.signal("HUP");
    let mut again = teatime().chat(&url, &["--ca", old.path()]);
    again.post("the old one stays");
    standing.wait_for_line("the old one stays");
    new.issue(&identity, "127.0.0.1", false);
    reflector.signal("HUP");
    // A refused client tries again: it joins as soon as the reflector has handled the signal.
    let mut guest = teatime().chat(&url, &trust_new);
    guest.post("the new one is there");
    standing.wait_for_line("the new one is there");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = private_directory("tls-files");
    let (authority, identity) = (Authority::new(&folder, "a"), Identity::new(&folder));
    authority.issue(&identity, "127.0.0.1", false);
    let (certificate, key) = (identity.certificate(), identity.key());
    let empty = folder.join("empty.pem");
    fs::write(&empty, "nothing\n").expect("the folder is there");
    let empty = empty.to_str().expect("UTF-8");
    for (certificate, key, named) in [
        ("/nowhere.pem", key, "/nowhere.pem"),
        (empty, key, "empty.pem"),
        (certificate, empty, "empty.pem"),
        (certificate, "/nowhere.key", "/nowhere.key"),
    ] {
        let listen = ["reflector", "--listen", "127.0.0.1:0"];
        let files = ["--tls-cert", certificate, "--tls-key", key];
        let (code, _, errors) = run(&[&listen[..], &files].concat(), "");
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains(named), "{errors}");
    }
    let (code, _, errors) = run(&["reflector", "--tls-cert", certificate], "");
    assert_eq!(code, Some(2), "{errors}");
    for ca in ["/nowhere.pem", empty] {
        let (code, _, errors) = run(&["chat", "--plain", "--reflector", "wss://h", "--ca", ca], "");
        assert_eq!(code, Some(2), "{errors}");
    }
}
