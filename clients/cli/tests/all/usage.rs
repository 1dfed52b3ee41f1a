//! Wrong command lines, and finding other chats on the same machine.

#[cfg(target_os = "linux")]
use std::process::Command;

use crate::support::{Program, private_directory, run, teatime};
use serde_json::Value;
use teatime::JoinLink;

#[test]
fn wrong_calls_give_one_clear_line_and_exit_status_2() {
    let long = "x".repeat(129);
    let link = |app: &str, options: Option<&[u8]>| {
        let (reflector, name) = ("ws://host:9090".to_owned(), "room".to_owned());
        let options = options.map(<[u8]>::to_vec);
        JoinLink { reflector, app: app.into(), name, options, password: None }.to_string()
    };
    let foreign = link("other.app", None);
    let damaged = link("teatime.chat", None).replace("room", "rooms");
    // MessagePack of {"colour": 1}.
    let unknown = link("teatime.chat", Some(b"\x81\xa6colour\x01"));
    let cases: &[(&[&str], &str)] = &[
        (&["chat", "--plain", "https://example.org/a/b"], "teatime://"),
        (&["chat", "--plain", "teatime://host/teatime.chat/room"], "with a check"),
        (&["chat", "--plain", &foreign], "for another app"),
        (&["chat", "--plain", &damaged], "damaged join link"),
        (&["chat", "--plain", "--reflector", "http://a"], "ws://"),
        (&["chat", "--plain", "--reflector", "a b"], "ws://"),
        (&["chat", "--plain", "--name", ""], "room name"),
        (&["chat", "--plain", "--name", &long], "room name"),
        (&["chat", "--plain", "--password", ""], "password"),
        (&["chat", "--plain", &unknown], "options"),
        (&["reflector", "--listen", "nowhere"], "HOST:PORT"),
    ];
    for (arguments, what) in cases {
        let (code, output, errors) = run(arguments, "");
        assert_eq!(code, Some(2), "{arguments:?}: {errors}");
        assert_eq!((output.as_str(), errors.lines().count()), ("", 1), "{arguments:?}: {errors}");
        assert!(errors.contains(what), "{arguments:?}: {errors}");
    }
    for arguments in [&["chat", "--inactivity", "soon"][..], &["chat", "--plain", "--json"], &["x"]]
    {
        let (code, _, errors) = run(arguments, "");
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(!errors.contains("\u{1b}["), "no colour without a terminal: {errors:?}");
    }
}

#[test]
fn a_port_in_use_is_reported_in_one_line() {
    let (_reflector, url) = teatime().reflector(&[]);
    let address = url.trim_start_matches("ws://");
    let (code, _, errors) = run(&["reflector", "--listen", address], "");
    assert_eq!(code, Some(1));
    assert!(errors.contains("cannot listen"), "{errors}");
}

/// The address of this machine towards others, if it has a network.
fn own_address() -> std::io::Result<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.1:9")?;
    Ok(socket.local_addr()?.ip())
}

#[test]
fn a_chat_that_listens_on_the_network_has_a_link_for_others_and_says_otherwise_that_it_has_none() {
    let directory = private_directory("listen");
    // Port 0 keeps this test apart from reflectors of this machine.
    let command = |words: &[&str]| {
        let mut command = teatime().command(&[&["chat", "--json"], words].concat());
        command.env("XDG_RUNTIME_DIR", &directory).env("TEATIME_PORT", "0");
        command
    };
    let mut alone = Program::spawn(&mut command(&[]));
    alone.wait_for("view_info");
    assert_eq!(alone.last("joined")["local_only"], true);
    let link = alone.last("joined")["link"].as_str().expect("a string").to_owned();
    assert!(link.starts_with("teatime://127.0.0.1:"), "{link}");
    // It hosts the reflector of this machine, which is not one for others.
    let refused = command(&["--listen", "0.0.0.0:0"]).output().expect("it is built");
    let output = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{output}");
    assert!(output.contains("only this machine can reach it"), "{output}");
    alone.end_input();
    assert_eq!(alone.exit_code(), Some(0));
    let mut open = Program::spawn(&mut command(&["--listen", "0.0.0.0:0"]));
    open.wait_for("view_info");
    let link = open.last("joined")["link"].as_str().expect("a string").to_owned();
    let own = own_address().unwrap_or(std::net::Ipv4Addr::LOCALHOST.into());
    assert!(link.starts_with(&format!("teatime://{own}:")), "{link}");
    assert_eq!(open.last("joined")["local_only"], own.is_loopback());
    let mut other = teatime().start(&["chat", "--json", &link]);
    other.wait_for("view_info");
    other.post("from elsewhere");
    open.wait_for_line("from elsewhere");
    // A program of the same user finds it by itself, and has the same link.
    let mut third = Program::spawn(&mut command(&[]));
    third.wait_for("view_info");
    assert_eq!(third.last("joined")["link"], link.as_str());
}

/// A chat that listens at all addresses of a machine with these addresses, and perhaps a default route by the last one. `None`
/// if this user may not make a network.
#[cfg(target_os = "linux")]
fn chat_in_network(name: &str, addresses: &[&str], has_route: bool) -> Option<Program> {
    let mut script = "ip link set lo up".to_owned();
    for address in addresses {
        script += &format!(" && ip addr add {address}/24 dev lo");
    }
    if has_route {
        let source = addresses.last().expect("there is one");
        script += &format!(" && ip route add default dev lo src {source}");
    }
    let may = Command::new("unshare").args(["-rn", "sh", "-c", &script]).status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user may not make networks");
        return None;
    }
    let mut command = Command::new("unshare");
    let chat = "exec \"$0\" chat --json --listen 0.0.0.0:0";
    command.args(["-rn", "sh", "-c", &format!("{script} && {chat}")]);
    command.arg(teatime().command(&[]).get_program());
    command.env("XDG_RUNTIME_DIR", private_directory(name)).env("TEATIME_PORT", "0");
    let mut chat = Program::spawn(&mut command);
    chat.wait_for("view_info");
    Some(chat)
}

#[cfg(target_os = "linux")]
#[test]
fn a_chat_on_a_machine_with_several_addresses_names_all_of_them_with_a_link_each() {
    let addresses = ["10.9.0.1", "172.20.0.1", "192.168.7.1"];
    for (has_route, likely) in [(true, 2), (false, 0)] {
        let name = format!("several-{has_route}");
        let Some(mut chat) = chat_in_network(&name, &addresses, has_route) else { return };
        let joined = chat.last("joined").clone();
        let ways = joined["ways"].as_array().expect("an array");
        let mut expected: Vec<_> = addresses.to_vec();
        let first = expected.remove(likely);
        expected.insert(0, first);
        let found: Vec<_> = ways.iter().map(|way| way["url"].as_str().expect("a string")).collect();
        assert_eq!(found.len(), addresses.len(), "{found:?}");
        for (url, address) in found.iter().zip(&expected) {
            assert!(url.starts_with(&format!("ws://{address}:")), "{url}");
        }
        assert_eq!((&joined["link"], &joined["local_only"]), (&ways[0]["link"], &false.into()));
        let number = chat.child.id().to_string();
        for way in ways {
            let mut other = Command::new("nsenter");
            other.args(["-t", &number, "-U", "-n", "--preserve-credentials"]);
            other.arg(teatime().command(&[]).get_program()).args(["chat", "--json"]);
            let mut other = Program::spawn(other.arg(way["link"].as_str().expect("a string")));
            other.wait_for("view_info");
            assert_eq!(other.last("joined")["participants"], 2, "{way}");
            assert_eq!(other.last("joined")["session_id"], joined["session_id"]);
            other.end_input();
            assert_eq!(other.exit_code(), Some(0));
            chat.wait_for_participants(1);
        }
    }
    // Without a network it says that only this machine can join.
    let Some(chat) = chat_in_network("without", &[], false) else { return };
    assert_eq!(chat.last("joined")["local_only"], true);
    assert_eq!(chat.last("joined")["ways"], serde_json::json!([]));
}

#[cfg(unix)]
#[test]
fn a_host_that_was_stopped_goes_where_the_others_are_when_it_continues() {
    let directory = private_directory("stopped-host");
    let start = || {
        let mut chat = teatime().command(&["chat", "--json"]);
        let mut chat =
            Program::spawn(chat.env("XDG_RUNTIME_DIR", &directory).env("TEATIME_PORT", "0"));
        chat.wait_for("view_info");
        chat
    };
    let mut host = start();
    let link = host.last("joined")["link"].clone();
    host.signal("STOP");
    // The host does not answer, so this one becomes the host.
    let mut newcomer = start();
    assert_ne!(newcomer.last("joined")["link"], link);
    newcomer.post("where are you?");
    newcomer.wait_for_line("where are you?");
    host.signal("CONT");
    host.wait_for("moved");
    host.wait_for_line("where are you?");
    host.post("here again");
    newcomer.wait_for_line("here again");
    assert_eq!(host.last("joined")["link"], newcomer.last("joined")["link"]);
    newcomer.wait_for_participants(2);
}

#[test]
fn help_and_version_are_there() {
    let (code, text, _) = run(&["--version"], "");
    assert_eq!((code, text.starts_with("teatime ")), (Some(0), true));
    for of in ["chat", "reflector", "record", "replay", "branch", "diff", "new", "man"] {
        let arguments = [of, "--help"];
        let (code, text, _) = run(&arguments, "");
        assert_eq!(code, Some(0));
        assert!(text.contains("Usage:") && text.contains("Example:"), "{text}");
    }
}

#[test]
fn shells_complete_the_commands_and_each_has_a_man_page() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, errors) = run(&["completions", shell], "");
        assert_eq!(code, Some(0), "{errors}");
        assert!(script.contains("remove-record") && script.contains("teatime"), "{script}");
    }
    let folder = private_directory("man");
    let path = folder.to_str().expect("UTF-8");
    let (code, _, errors) = run(&["man", path], "");
    assert_eq!(code, Some(0), "{errors}");
    for page in ["teatime.1", "teatime-chat.1", "teatime-store-check.1"] {
        let text = std::fs::read_to_string(folder.join(page)).expect("it was written");
        assert!(text.contains(".TH ") && text.contains("DESCRIPTION"), "{text}");
    }
    let nowhere = format!("{path}/nowhere");
    let (code, _, errors) = run(&["man", &nowhere], "");
    assert_eq!((code, errors.contains(&nowhere)), (Some(1), true), "{errors}");
}

#[test]
fn a_second_chat_joins_the_first_without_flags_and_continues_when_the_first_ends() {
    let directory = private_directory("same-machine");
    let start = || {
        let mut chat = teatime().command(&["chat", "--json"]);
        // Port 0 keeps this test apart from reflectors of this machine.
        let mut chat =
            Program::spawn(chat.env("XDG_RUNTIME_DIR", &directory).env("TEATIME_PORT", "0"));
        chat.wait_for("view_info");
        chat
    };
    let mut first = start();
    let mut second = start();
    let session = |chat: &Program| chat.last("joined")["session_id"].clone();
    assert_eq!(session(&first), session(&second));
    first.wait_for_participants(2);
    second.post("hello");
    first.wait_for_line("hello");
    first.end_input();
    assert_eq!(first.exit_code(), Some(0));
    // The first ran the reflector. Now the second does.
    second.wait_until("a new room", |value: &Value| value["event"] == "joined");
    let mut third = start();
    second.wait_for_participants(2);
    third.post("on we go");
    second.wait_for_line("on we go");
}
