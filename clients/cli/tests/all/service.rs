//! What strangers and web pages cannot do to a reflector, and what its operator can.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{Program, private_directory, run, teatime};
use teatime_wire::{Challenge, Digest, Join, PROTOCOL_VERSION, SecretKey, ServerMessage};

/// An address at which nothing listens just now.
pub(crate) fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it listens").to_string()
}

/// What a reflector answers to a health check that calls it by this name.
pub(crate) fn health(address: &str, host: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("it listens");
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn the_operator_has_an_address_of_their_own_for_the_health_check() {
    let words = ["--admin", "127.0.0.1:0"];
    let mut command = teatime().command(&["reflector", "--json", "--listen", "127.0.0.1:0"]);
    let mut reflector = Program::spawn(command.args(words));
    let line = reflector.wait_for("listening");
    let (url, admin) = (line["url"].as_str().expect("text"), line["admin"].as_str().expect("text"));
    let (public, admin) = (url.trim_start_matches("ws://"), admin.trim_start_matches("http://"));
    assert_ne!(public, admin);
    for address in [public, admin] {
        assert!(health(address, "localhost").starts_with("HTTP/1.1 200"), "{address}");
        // A page whose name was made to lead here.
        assert!(health(address, "page.example").starts_with("HTTP/1.1 421"), "{address}");
    }
    let (code, _, errors) = run(&["reflector", "--admin", "nowhere"], "");
    assert!(code == Some(2) && errors.contains("--admin"), "{errors}");
}

/// The status that a web page gets which wants to connect.
fn page_gets(url: &str, origin: &str, host: &str) -> String {
    let mut socket = TcpStream::connect(url.trim_start_matches("ws://")).expect("it listens");
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: teatime.v1\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).expect("it answers");
    line.split(' ').nth(1).expect("a status").to_owned()
}

#[test]
fn web_pages_connect_only_from_origins_that_the_operator_allows() {
    let (_closed, closed) = teatime().reflector(&[]);
    let (_open, open) =
        teatime().reflector(&["--allow-origin", "*", "--allow-host", "tea.example"]);
    let flags = ["--allow-origin", "https://a.example", "--allow-origin", "http://b.example:81"];
    let (_some, some) = teatime().reflector(&flags);
    for (url, origin, host, expected) in [
        (&closed, "https://a.example", "localhost", "403"),
        (&some, "https://a.example", "localhost", "101"),
        (&some, "http://b.example:81", "127.0.0.1", "101"),
        (&some, "http://b.example", "127.0.0.1", "403"),
        (&some, "https://a.example", "tea.example", "421"),
        (&open, "https://c.example", "tea.example", "101"),
        (&open, "https://c.example", "other.example", "421"),
    ] {
        assert_eq!(page_gets(url, origin, host), expected, "{url} {origin} {host}");
    }
    let mut chat = teatime().chat(&closed, &[]);
    chat.post("a program needs no permission");
    chat.wait_for_line("a program needs no permission");
    for wrong in ["a.example", "https://a.example/", ""] {
        let (code, _, errors) = run(&["reflector", "--allow-origin", wrong], "");
        assert!(code == Some(2) && errors.contains("--allow-origin"), "{errors}");
    }
}

#[cfg(unix)]
#[test]
fn a_flood_does_not_keep_a_reflector_from_ending() {
    let (mut reflector, url) = teatime().reflector(&["--workers", "1"]);
    let mut socket = TcpStream::connect(url.trim_start_matches("ws://")).expect("it listens");
    assert_eq!(flood_begins(&mut socket), "101");
    let pongs = [0x8a, 0x80, 0, 0, 0, 0].repeat(10_000);
    let flood = std::thread::spawn(move || while socket.write_all(&pongs).is_ok() {});
    let mut chat = teatime().chat(&url, &[]);
    chat.post("beside the flood");
    chat.wait_for_line("beside the flood");
    let started = Instant::now();
    reflector.signal("TERM");
    assert_eq!(reflector.exit_code(), Some(0));
    assert!(started.elapsed() <= Duration::from_secs(3), "{:?}", started.elapsed());
    flood.join().expect("it ends with the connection");
}

/// Makes a connection a member of a session. Returns the status of the answer.
#[cfg(unix)]
fn flood_begins(socket: &mut TcpStream) -> String {
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: teatime.v1\r\n\r\n";
    socket.write_all(request.as_bytes()).expect("it reads");
    let copy = socket.try_clone().expect("there are descriptors");
    let mut answer = BufReader::new(copy);
    let mut line = String::new();
    answer.read_line(&mut line).expect("it answers");
    let status = line.split(' ').nth(1).expect("a status").to_owned();
    if status != "101" {
        return status;
    }
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line).expect("it answers");
    }
    // A short frame without a mask.
    let mut header = [0; 2];
    answer.read_exact(&mut header).expect("it says hello");
    let mut hello = vec![0; usize::from(header[1])];
    answer.read_exact(&mut hello).expect("it says hello");
    let Ok(ServerMessage::Hello(greeting)) = ServerMessage::decode(&hello) else {
        panic!("no hello")
    };
    let challenge = Challenge { nonce: greeting.nonce, channel: None };
    let key = SecretKey::of_view(&[1; 32]);
    let join = Join {
        protocol: PROTOCOL_VERSION,
        program: Digest([1; 32]),
        name: Digest([1; 32]),
        version: 1,
        view_key: key.public(),
        password_key: None,
        view_data: None,
        ticks_per_second: 20,
        attempt: 1,
        resume: None,
        agent: "flood",
    };
    let payload = join.prove(&challenge, &key, None).encode();
    let length = u16::try_from(payload.len()).expect("it is short").to_be_bytes();
    socket
        .write_all(&[&[0x82, 0x80 | 126][..], &length, &[0; 4], &payload].concat())
        .expect("it reads");
    status
}

/// A program that says at every request that it is a reflector. Returns its port.
fn impostor() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = listener.local_addr().expect("it listens").port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nServer: teatime/1\r\n\
                          Teatime-Proof: abc\r\nConnection: close\r\n\r\nok\n";
            // A client that has gone needs no answer.
            let _ = client.read(&mut [0; 1024]);
            let _ = client.write_all(answer.as_bytes());
        }
    });
    port
}

#[cfg(unix)]
#[test]
fn a_chat_is_not_led_to_a_program_that_only_listens_where_a_reflector_could_be() {
    let directory = private_directory("impostor");
    let port = impostor();
    let start = || {
        let mut chat = teatime().command(&["chat", "--json"]);
        chat.env("XDG_RUNTIME_DIR", &directory).env("TEATIME_PORT", port.to_string());
        let mut chat = Program::spawn(&mut chat);
        chat.wait_for("view_info");
        chat
    };
    let first = start();
    let link = first.last("joined")["link"].as_str().expect("text").to_owned();
    assert!(!link.contains(&format!(":{port}/")), "{link}");
    drop(first);
    // The host was killed, and left its note. Now another program listens there.
    let note = directory.join("teatime").join("reflector.url");
    let noted = std::fs::read_to_string(&note).expect("it was written");
    let (_, token) = noted.trim_end().split_once('\n').expect("two lines");
    std::fs::write(&note, format!("ws://127.0.0.1:{port}/{token}\n{token}\n")).expect("ours");
    let second = start();
    let link = second.last("joined")["link"].as_str().expect("text").to_owned();
    assert!(!link.contains(&format!(":{port}/")), "{link}");
}

#[cfg(unix)]
#[test]
fn the_reflector_that_a_chat_hosts_is_open_only_to_who_has_its_link() {
    let directory = private_directory("hosted");
    let mut chat = teatime().command(&["chat", "--json"]);
    chat.env("XDG_RUNTIME_DIR", &directory).env("TEATIME_PORT", "0");
    let mut host = Program::spawn(&mut chat);
    host.wait_for("view_info");
    let link = host.last("joined")["link"].as_str().expect("text").to_owned();
    let address = link.trim_start_matches("teatime://").split('/').next().expect("an address");
    let mut stranger = TcpStream::connect(address).expect("it listens");
    assert_eq!(flood_begins(&mut stranger), "404");
    let mut friend = teatime().start(&["chat", "--json", &link]);
    friend.wait_for("view_info");
    friend.post("with the link");
    host.wait_for_line("with the link");
}

#[cfg(unix)]
#[test]
fn a_chat_that_cannot_get_the_lock_says_which_program_to_end() {
    let directory = private_directory("locked");
    std::fs::create_dir(directory.join("teatime")).expect("there is room");
    let lock = directory.join("teatime").join("lock");
    let lock = std::fs::File::create(lock).expect("there is room");
    lock.lock().expect("it is free");
    let mut chat = teatime().command(&["chat", "--json"]);
    let ended = chat.env("XDG_RUNTIME_DIR", &directory).output().expect("it is built");
    let output = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(1), "{output}");
    assert!(output.contains("UNREACHABLE") && output.contains("has locked"), "{output}");
}
