//! The behaviour of every chat front end: the program, and the clients in C, Swift and Kotlin.

#[path = "all/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};
use support::{client, root, run, scratch, target, teatime};
use teatime_tests::certificates::{Authority, Identity};
use teatime_tests::program::{Program, texts};
use teatime_tests::proxy::Proxy;
use teatime_tests::terminal::OnTerminal;
use teatime_wire::{NotPersisted, ServerMessage};

/// A front end.
#[derive(Debug, Clone, Copy)]
enum Client {
    Rust,
    C,
    Swift,
    Kotlin,
}

static C: LazyLock<PathBuf> = LazyLock::new(|| client("chat"));

impl Client {
    const ALL: [Self; 4] = [Self::Rust, Self::C, Self::Swift, Self::Kotlin];

    /// The command that starts it. `None` if it was not built because its tools are not available.
    fn command(self) -> Option<Command> {
        let swift = target().join("swift/clients/debug/teatime-chat");
        let jar = root().join("clients/kotlin/target/teatime-chat.jar");
        let mut command = match self {
            Self::Rust => teatime().command(&["chat"]),
            Self::C => Command::new(&*C),
            Self::Swift if swift.is_file() => {
                let mut command = Command::new(root().join("tests/with-swift"));
                command.arg(swift);
                command
            }
            Self::Kotlin if jar.is_file() => {
                let mut command = Command::new("java");
                // Less to optimise, and a small heap, because many of them run.
                command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-jar"]).arg(jar);
                // Cargo's folder may have a library of other sources. Users have the one in the jar.
                command.env_remove("LD_LIBRARY_PATH");
                command
            }
            Self::Swift | Self::Kotlin => {
                // If everything can be installed, it must be.
                assert!(std::env::var_os("CI").is_none(), "the client in {self:?} is not built");
                eprintln!("skipped: the client in {self:?} is not built; tests/run builds it");
                return None;
            }
        };
        // The clients must not find a reflector that runs on this machine for other reasons.
        command.env("TEATIME_PORT", "0");
        Some(command)
    }

    /// Starts a chat in JSON and waits until it has joined.
    fn chat(self, arguments: &[&str]) -> Option<Program> {
        let mut chat = Program::spawn(self.command()?.arg("--json").args(arguments));
        chat.wait_for("view_info");
        Some(chat)
    }
}

/// A reflector with TLS, the authority that issued its certificate, and its address.
fn reflector_with_tls(who: Client) -> (Program, Authority, String) {
    let folder = scratch(&format!("tls-{who:?}"));
    fs::create_dir_all(&folder).expect("the target directory can be written");
    let (authority, identity) = (Authority::new(&folder, "a"), Identity::new(&folder));
    authority.issue(&identity, "127.0.0.1", false);
    let files = ["--tls-cert", identity.certificate(), "--tls-key", identity.key()];
    let (reflector, url) = teatime().reflector(&files);
    assert!(url.starts_with("wss://"), "{url}");
    (reflector, authority, url)
}

/// Whether all have reported the same state of a vote, and the vote was unanimous.
fn assert_unanimous(all: &mut [&mut Program]) {
    let number = all.len();
    let mut states = Vec::new();
    for one in all {
        states.push(one.wait_for("state"));
        let verdict = one.wait_for("verdict");
        assert_eq!((&verdict["agreed"], &verdict["of"]), (&json!(number), &json!(number)));
    }
    assert_equal(&states);
}

/// Members of JSON objects may come in any order.
fn assert_equal(all: &[Value]) {
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
}

fn chats_with_the_program_and_has_its_history_and_hash(who: Client) {
    let (_reflector, url) = teatime().reflector(&[]);
    let room = ["--reflector", &url, "--name", "Tea & cake", "--password", "p w"];
    let mut rust = Client::Rust.chat(&room).expect("it is always built");
    let Some(mut other) = who.chat(&room) else { return };
    let (joined, there) = (other.last("joined").clone(), rust.last("joined").clone());
    for same in ["session_id", "badge", "link"] {
        assert_eq!(joined[same], there[same], "{same}");
    }
    assert_eq!(joined["participants"], 2);
    assert_ne!(joined["view_id"], there["view_id"]);
    assert_eq!(rust.wait_for_participants(2)["nickname"], there["nickname"]);
    other.post("from there: <b>&\"'ü 🫖");
    rust.wait_for_line("from there: &lt;b&gt;&amp;&quot;&#39;ü 🫖");
    let nickname = joined["nickname"].as_str().expect("it has one");
    let line = rust.wait_for_line("🫖").pop().expect("it is the last");
    assert!(line.starts_with(&format!("<b>{nickname}:</b> ")), "{line}");
    rust.post("from Rust");
    assert_eq!(other.wait_for_line("from Rust"), rust.wait_for_line("from Rust"));
    // A late joiner that has the link only.
    let link = there["link"].as_str().expect("a string");
    let mut late = who.chat(&[link]).expect("it is built");
    assert_eq!(texts(late.last("history")), texts(other.last("history")));
    other.wait_for_participants(3);
    other.say(&json!({ "do": "vote" }));
    assert_unanimous(&mut [&mut rust, &mut other, &mut late]);
    for bad in ["nonsense", "{}", "{\"do\":\"dance\"}", "[1]", "{\"do\":\"post\"}", ""] {
        other.say_raw(bad);
        assert_eq!(other.wait_for("error")["code"], "BAD_COMMAND", "{bad}");
    }
    other.post(&"x".repeat(1024 * 1024));
    assert_eq!(other.wait_for("error")["code"], "TOO_LARGE");
    other.say(&json!({ "do": "reset" }));
    assert_eq!(rust.wait_for_line("chat reset at user request</i>").len(), 1);
    other.say(&json!({ "do": "leave" }));
    assert_eq!(other.wait_for("connection")["state"], "left");
    assert_eq!(other.exit_code(), Some(0));
    late.end_input();
    assert_eq!(late.exit_code(), Some(0));
    rust.wait_for_participants(1);
}

fn hints_at_another_password(who: Client) {
    let (_reflector, url) = teatime().reflector(&[]);
    let room = ["--reflector", url.as_str(), "--password"];
    let mut owner = Client::Rust.chat(&[&room[..], &["right"]].concat()).expect("it is there");
    let Some(mut command) = who.command() else { return };
    let mut intruder = Program::spawn(command.arg("--json").args(room).arg("wrong"));
    let hint = intruder.wait_for("hint");
    assert_eq!(hint["code"], "OTHER_PASSWORD");
    let why = hint["message"].as_str().expect("a string");
    assert!(why.contains("check the password"), "{why}");
    intruder.end_input();
    assert_eq!(intruder.exit_code(), Some(0));
    let wrong = [&room[..], &["mistyped"]].concat();
    with_its_errors(who, &wrong).wait_for_plain_text(why);
    owner.wait_for_participants(1);
}

fn shows_who_is_typing(who: Client) {
    let (_reflector, url) = teatime().reflector(&[]);
    let room = ["--reflector", &url, "--password", "p w"];
    let mut rust = Client::Rust.chat(&room).expect("it is always built");
    let Some(mut other) = who.chat(&room) else { return };
    rust.wait_for_participants(2);
    let name = |chat: &Program| chat.last("view_info")["nickname"].as_str().map(str::to_owned);
    let names = [&rust, &other].map(|chat| name(chat).expect("a string"));
    other.say(&json!({ "do": "typing" }));
    rust.wait_for_typing(&[&names[1]]);
    other.post("done");
    rust.wait_for_typing(&[]);
    let mut third = who.chat(&room).expect("it is built");
    rust.say(&json!({ "do": "typing" }));
    other.say(&json!({ "do": "typing" }));
    let mut both = names.each_ref().map(String::as_str);
    both.sort_unstable();
    third.wait_for_typing(&both);
    // After some seconds without another key.
    third.wait_for_typing(&[]);
}

/// The client in plain text, with its standard error in its output.
fn with_its_errors(who: Client, arguments: &[&str]) -> Program {
    let mut both = Command::new("sh");
    let command = who.command().expect("it is built");
    both.args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(command.get_program());
    both.args(command.get_args()).args(["--plain"]).args(arguments);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => both.env(name, value),
            None => both.env_remove(name),
        };
    }
    Program::spawn(&mut both)
}

fn fails_as_the_program_does(who: Client) {
    for wrong in [
        &["--dance"][..],
        &["--inactivity", "-1"],
        &["--inactivity", "4294967296"],
        &["--name", ""],
        &["--reflector", "http://x"],
        &["https://example.org/a/b"],
        &["teatime://h/other/room"],
        &["teatime://h/teatime.chat/a", "teatime://h/teatime.chat/b"],
        &["--ca", "/nowhere"],
        &["--plain", "--json"],
    ] {
        let mut usage = Program::spawn(who.command().expect("it is built").args(wrong));
        assert_eq!(usage.exit_code(), Some(2), "{wrong:?}");
    }
}

fn posts_lines_and_shows_text_in_plain_mode(who: Client) {
    let (_reflector, url) = teatime().reflector(&[]);
    let input = scratch(&format!("{who:?}.txt"));
    // As some editors begin a file: with a byte order mark.
    fs::write(&input, "\u{feff}one\r\n/reset \n<two>")
        .expect("the target directory can be written");
    let Some(mut command) = who.command() else { return };
    let stdin = fs::File::open(&input).expect("it was written");
    let shown = run(command.args(["--plain", "--reflector", &url]).stdin(stdin));
    let lines: Vec<_> =
        shown.lines().map(|line| line.split_once(": ").map_or(line, |l| l.1)).collect();
    assert_eq!(lines, ["chat reset for new participants", "one", "/reset ", "<two>"]);
}

/// All lines come at once, because the program stood still: more than the history holds, equal ones, and several resets.
/// A terminal gets them as text that it does not obey, and in which a post cannot look like another line.
fn shows_every_line_in_plain_mode_and_nothing_that_a_terminal_obeys(who: Client) {
    let (_reflector, url) = teatime().reflector(&[]);
    let mut rust = Client::Rust.chat(&["--reflector", &url]).expect("it is there");
    let Some(mut command) = who.command() else { return };
    let mut plain = Program::spawn(command.args(["--plain", "--reflector", &url]));
    rust.wait_for_participants(2);
    rust.post("begin");
    plain.wait_for_plain_text(": begin");
    plain.signal("STOP");
    for _ in 0..160 {
        rust.post("equal");
    }
    for number in 0..10 {
        rust.post(&format!("number {number}"));
    }
    for _ in 0..3 {
        rust.say(&json!({ "do": "reset" }));
    }
    rust.post("a\u{1b}[2J\u{9b}1m\u{202e}b\u{2066}\u{200f}\u{61c}\u{200b}c\r\nOtter: \td👩\u{200d}👧❤\u{fe0f}");
    rust.post("end");
    rust.wait_for_line("end");
    plain.signal("CONT");
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.ends_with(": end")) {
        lines.push(plain.next_line().unwrap_or_else(|| panic!("no end in {lines:#?}")));
    }
    let number = |end: &str| lines.iter().filter(|line| line.ends_with(end)).count();
    assert_eq!(
        (number(": equal"), number("chat reset at user request"), lines.len()),
        (160, 3, 175)
    );
    let order: Vec<_> =
        lines.iter().filter_map(|line| line.split_once("number ")?.1.parse::<u32>().ok()).collect();
    assert!(order.iter().copied().eq(0..10), "{order:?}");
    let cleaned = ": a\u{fffd}[2J\u{fffd}1m\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\u{fffd}c ⏎ Otter:  d👩\u{200d}👧❤\u{fe0f}";
    assert!(lines[173].ends_with(cleaned), "{:?}", lines[173]);
    // The same program continues, and shows no line twice.
    plain.end_input();
    assert_eq!((plain.exit_code(), plain.next_line()), (Some(0), None));
}

/// A participant that has not left would stay for ten minutes.
fn leaves_when_its_terminal_or_the_reader_of_its_output_is_gone(who: Client) {
    let (_reflector, url) = teatime().reflector(&["--rejoin-limit", "10m"]);
    let mut rust = Client::Rust.chat(&["--reflector", &url]).expect("it is there");
    let Some(mut command) = who.command() else { return };
    let mut plain = OnTerminal::spawn(command.args(["--plain", "--reflector", &url]));
    rust.wait_for_participants(2);
    plain.take_away();
    // It leaves at the end of its input. The last lines may not get out.
    assert!(matches!(plain.exit_code(), Some(0 | 1)));
    rust.wait_for_participants(1);
    let mut command = who.command().expect("it is built");
    let piped =
        command.args(["--json", "--reflector", &url]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut unread = piped.stderr(Stdio::null()).spawn().expect("it is built");
    rust.wait_for_participants(2);
    drop(unread.stdout.take());
    rust.post("to no reader");
    let status = unread.wait().expect("it can be waited for");
    assert_eq!(status.code(), Some(1));
    rust.wait_for_participants(1);
    // Without any standard stream: the end of its input.
    let command = who.command().expect("it is built");
    let mut closed = Command::new("sh");
    closed
        .args(["-c", "exec \"$@\" <&- 2>&-", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => closed.env(name, value),
            None => closed.env_remove(name),
        };
    }
    let mut closed = Program::spawn(closed.args(["--json", "--reflector", &url]));
    assert_eq!(closed.exit_code(), Some(0));
    assert_eq!(closed.wait_for("connection")["state"], "left");
    rust.wait_for_participants(1);
}

fn speaks_tls_and_says_what_is_wrong_with_a_certificate(who: Client) {
    let (_reflector, authority, url) = reflector_with_tls(who);
    let room = ["--reflector", url.as_str()];
    let Some(mut other) = who.chat(&[&room[..], &["--ca", authority.path()]].concat()) else {
        return;
    };
    other.post("through TLS");
    other.wait_for_line("through TLS");
    let mut stranger = Program::spawn(who.command().expect("it is built").arg("--json").args(room));
    let error = stranger.wait_for("error");
    assert_eq!(error["code"], "BAD_CERTIFICATE");
    let message = error["message"].as_str().expect("a string");
    assert!(message.contains("certificate"), "{message}");
}

/// The chat persists nothing, so a reflector never sends this message. A proxy on the connection sends it instead.
fn shows_what_cannot_be_persisted(who: Client) {
    let (_reflector, url) = teatime().reflector(&[]);
    let proxy = Proxy::to(url.trim_start_matches("ws://").parse().expect("an address"));
    let url = proxy.url();
    let room = ["--reflector", url.as_str()];
    let Some(mut chat) = who.chat(&room) else { return };
    let told = |failure| ServerMessage::NotPersisted(NotPersisted { seq: 1, failure });
    proxy.tell(&told(Some("the disk is full")));
    chat.post("once");
    let full = chat.wait_for("not_persisted");
    let why = full["message"].as_str().expect("a string");
    assert_eq!(full["code"], "NOT_STORED", "{full}");
    assert!(why.contains("cannot be stored for now: the disk is full"), "{why}");
    // Other data was stored in between. Otherwise the message would come once.
    proxy.tell(&ServerMessage::Persisted(1));
    proxy.tell(&told(None));
    chat.post("twice");
    let full = chat.wait_for("not_persisted");
    let message = full["message"].as_str().expect("a string");
    assert!(full["code"].is_null(), "{full}");
    assert!(message.contains("the room is full"), "{message}");
    chat.end_input();
    assert_eq!(chat.exit_code(), Some(0));
    // In plain text, on the standard error.
    let mut plain = with_its_errors(who, &room);
    plain.say_raw("hello");
    plain.wait_for_plain_text("hello");
    proxy.tell(&told(Some("the disk is full")));
    plain.say_raw("once");
    plain.wait_for_plain_text(why);
}

/// A proxy on the connection shows an event twice, as a reflector could that lies.
fn sees_through_a_reflector_that_repeats_an_event(who: Client) {
    let (_reflector, url) = teatime().reflector(&[]);
    let proxy = Proxy::to(url.trim_start_matches("ws://").parse().expect("an address"));
    let room = |url: &str| ["--reflector", url, "--password", "p w"].map(str::to_owned);
    let (near, far) = (room(&url), room(&proxy.url()));
    let mut rust = Client::Rust.chat(&near.each_ref().map(|it| &**it)).expect("it is there");
    let Some(mut chat) = who.chat(&far.each_ref().map(|it| &**it)) else { return };
    rust.wait_for_participants(2);
    proxy.repeat_next_event();
    rust.post("pay 10");
    let alarm = chat.wait_for("alarm");
    assert_eq!(alarm["kind"], "REPEATED", "{alarm}");
    assert!(alarm["participant"].is_string(), "{alarm}");
    let lines = chat.wait_for_line("pay 10");
    let paid = |line: &&String| line.ends_with("pay 10");
    assert_eq!(lines.iter().filter(paid).count(), 1, "{lines:?}");
    // The next message of the reflector has the place of the repeated one: the client joins from scratch, and goes on.
    rust.post("thanks");
    let lines = chat.wait_for_line("thanks");
    assert_eq!(lines.iter().filter(paid).count(), 1, "{lines:?}");
}

/// Acceptance 12: a program that was stopped, like a phone in a pocket, gets the lines of that time,
/// and no participant has seen an exit.
fn acceptance_12_stands_still_for_a_while_and_misses_nothing(who: Client) {
    let (_reflector, url) = teatime().reflector(&[]);
    let mut rust = Client::Rust.chat(&["--reflector", &url]).expect("it is there");
    let Some(mut other) = who.chat(&["--reflector", &url]) else { return };
    rust.wait_for_participants(2);
    other.signal("STOP");
    let seen = rust.seen.len();
    for number in 0..50 {
        rust.post(&format!("meanwhile {number}"));
    }
    rust.wait_for_line("meanwhile 49");
    other.signal("CONT");
    assert_eq!(other.wait_for_line("meanwhile 49"), rust.wait_for_line("meanwhile 49"));
    let gone = |value: &&Value| value["event"] == "view_info" && value["participants"] == 1;
    assert_eq!(rust.seen[seen..].iter().find(gone), None);
}

/// Acceptance 12: a connection is lost, and another one works after a while.
fn acceptance_12_a_lost_connection_loses_nothing_and_others_see_no_exit(who: Client) {
    let (_reflector, url) = teatime().reflector(&["--rejoin-limit", "10m"]);
    let proxy = Proxy::to(url.trim_start_matches("ws://").parse().expect("an address"));
    let mut rust = Client::Rust.chat(&["--reflector", &url]).expect("it is there");
    let Some(mut other) = who.chat(&["--reflector", &proxy.url()]) else { return };
    rust.wait_for_participants(2);
    let seen = (rust.seen.len(), other.seen.len());
    proxy.hold(true);
    proxy.cut();
    rust.post("meanwhile");
    rust.wait_for_line("meanwhile");
    assert_eq!(other.wait_for("connection")["state"], "reconnecting");
    other.post("from there");
    proxy.hold(false);
    assert_eq!(other.wait_for("connection")["state"], "live");
    rust.wait_for_line("from there");
    let lines = other.wait_for_line("from there");
    assert!(lines[lines.len() - 2].ends_with("meanwhile"), "{lines:?}");
    let counts = |seen: &[Value]| seen.iter().filter(|it| it["event"] == "view_info").count();
    assert_eq!((counts(&rust.seen[seen.0..]), counts(&other.seen[seen.1..])), (0, 0));
}

/// The reflector was killed and continues, and the participant has exited meanwhile. It comes back alone, with its id.
fn acceptance_28_alone_with_a_post_of_its_own_keeps_the_history(who: Client) {
    let data = scratch(&format!("alone-{who:?}"));
    // Of a former run.
    let _ = fs::remove_dir_all(&data);
    let stored = ["--rejoin-limit", "0s", "--data", data.to_str().expect("UTF-8")];
    let (mut first, url) = teatime().reflector(&stored);
    let Some(mut other) = who.chat(&["--reflector", &url]) else { return };
    other.post("mine");
    other.wait_for_line("mine");
    first.signal("KILL");
    first.exit_code();
    let seen = other.seen.len();
    let _second = teatime().reflector_at(url.trim_start_matches("ws://"), &stored);
    assert_eq!(other.wait_for("joined")["participants"], 1);
    other.post("too");
    let lines = other.wait_for_line("too");
    assert!(lines.len() == 3 && lines[1].ends_with("mine"), "{lines:?}");
    assert!(!other.seen[seen..].iter().any(|it| texts(it).len() == 1), "{:?}", &other.seen[seen..]);
}

/// Acceptance 12: the reflector ends and another one takes its place.
fn is_live_again_when_the_reflector_is(who: Client) {
    let (mut first, url) = teatime().reflector(&[]);
    let Some(mut other) = who.chat(&["--reflector", &url]) else { return };
    first.signal("TERM");
    assert_eq!(other.wait_for("connection")["state"], "reconnecting");
    assert_eq!(first.exit_code(), Some(0));
    let listen = url.trim_start_matches("ws://");
    let _second = teatime().reflector_at(listen, &[]);
    assert_eq!(other.wait_for("connection")["state"], "live");
    other.post("again");
    other.wait_for_line("again");
}

macro_rules! of_every_client {
    ($($test:ident),+ $(,)?) => {
        of_every_client!(rust, Client::Rust, $($test),+);
        of_every_client!(c, Client::C, $($test),+);
        of_every_client!(swift, Client::Swift, $($test),+);
        of_every_client!(kotlin, Client::Kotlin, $($test),+);
    };
    ($language:ident, $client:expr, $($test:ident),+) => {
        mod $language {
            use super::Client;
            $(#[test]
            fn $test() {
                super::$test($client);
            })+
        }
    };
}

of_every_client!(
    chats_with_the_program_and_has_its_history_and_hash,
    fails_as_the_program_does,
    hints_at_another_password,
    shows_who_is_typing,
    posts_lines_and_shows_text_in_plain_mode,
    shows_every_line_in_plain_mode_and_nothing_that_a_terminal_obeys,
    leaves_when_its_terminal_or_the_reader_of_its_output_is_gone,
    speaks_tls_and_says_what_is_wrong_with_a_certificate,
    shows_what_cannot_be_persisted,
    sees_through_a_reflector_that_repeats_an_event,
    acceptance_12_stands_still_for_a_while_and_misses_nothing,
    acceptance_12_a_lost_connection_loses_nothing_and_others_see_no_exit,
    acceptance_28_alone_with_a_post_of_its_own_keeps_the_history,
    is_live_again_when_the_reflector_is,
);

#[test]
fn acceptance_43_rust_c_swift_and_kotlin_in_one_room_have_one_history_and_one_hash() {
    let (_reflector, url) = teatime().reflector(&[]);
    let room = ["--reflector", url.as_str(), "--name", "one room", "--password", "for all"];
    let mut all: Vec<_> = Client::ALL.iter().filter_map(|client| client.chat(&room)).collect();
    let number = all.len();
    for one in &mut all {
        one.wait_for_participants(number as u64);
    }
    // All publish at the same time.
    for at in 0..number * 20 {
        all[at % number].post(&format!("{at} <&\"' ü 🫖"));
    }
    let complete = |value: &Value| texts(value).len() == number * 20 + 1;
    let mut histories = Vec::new();
    for one in &mut all {
        let history = match one.last("history").clone() {
            known if complete(&known) => known,
            _ => one.wait_until("whole history", complete),
        };
        histories.push(history);
    }
    assert_equal(&histories);
    all[number - 1].say(&json!({ "do": "vote" }));
    assert_unanimous(&mut all.iter_mut().collect::<Vec<_>>());
    // One is killed. The others agree again, an old and a late participant of each kind.
    let _ = all[0].child.kill();
    for one in &mut all[1..] {
        one.wait_for_participants(number as u64 - 1);
    }
    all.remove(0);
    all.extend(Client::ALL.iter().filter_map(|client| client.chat(&room)));
    for one in &mut all {
        one.wait_for_participants(2 * number as u64 - 1);
    }
    all[0].say(&json!({ "do": "vote" }));
    assert_unanimous(&mut all.iter_mut().collect::<Vec<_>>());
    let nicknames: BTreeSet<_> =
        all.iter().map(|one| one.last("view_info")["nickname"].to_string()).collect();
    assert!(!nicknames.contains("null"), "{nicknames:?}");
    for mut one in all {
        one.end_input();
        assert_eq!(one.exit_code(), Some(0));
    }
}
