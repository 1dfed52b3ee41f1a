//! Chats and blobs behind an HTTP proxy, which alone can look up the reflector's name.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::support::{Program, private_directory, teatime};

/// The reflector, by a name that no name server knows.
const NAMED: &str = "ws://far.invalid:9090";

/// A proxy that lets every CONNECT through to one reflector, and what it was asked for.
struct Proxy {
    place: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn to(reflector: &str) -> Self {
        let target: SocketAddr =
            reflector.strip_prefix("ws://").and_then(|at| at.parse().ok()).expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let place = listener.local_addr().expect("it listens").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = asked.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let asked = shared.clone();
                std::thread::spawn(move || tunnel(client, target, &asked));
            }
        });
        Self { place, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nothing panics with it").clone()
    }
}

fn tunnel(mut client: TcpStream, target: SocketAddr, asked: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read_exact(&mut byte).is_err() {
            return;
        }
        request.push(byte[0]);
    }
    let first = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
    asked.lock().expect("nothing panics with it").push(first);
    let mut server = TcpStream::connect(target).expect("it listens");
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").expect("it reads");
    let copy = |stream: &TcpStream| stream.try_clone().expect("there are sockets");
    let (mut up, mut to) = (copy(&client), copy(&server));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut up, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Write);
}

/// A command with this proxy, whatever the environment of the tests says.
fn behind(place: &str, arguments: &[&str]) -> Command {
    let mut command = teatime().command(arguments);
    for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"] {
        command.env_remove(name);
    }
    command.env("http_proxy", format!("http://{place}"));
    command
}

#[test]
fn chats_and_blobs_go_through_the_proxy_of_the_environment() {
    let (_reflector, url) = teatime().reflector(&["--allow-host", "far.invalid"]);
    let proxy = Proxy::to(&url);
    let folder = private_directory("proxies");
    let path = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let content: Vec<u8> = (0..700_000_u32).map(|at| (at / 7) as u8).collect();
    fs::write(path("photo"), &content).expect("there is room");
    let room = ["--reflector", NAMED, "--password", "sesame"];
    let (photo, copy) = (path("photo"), path("copy"));
    let put = [&["blobs", "put", "--json", &photo], &room[..]].concat();
    let mut put = Program::spawn(&mut behind(&proxy.place, &put));
    let handle = put.wait_for("stored")["handle"].as_str().expect("a string").to_owned();
    let get = [&["blobs", "get", "--json", &handle, &copy], &room[..]].concat();
    let mut get = Program::spawn(&mut behind(&proxy.place, &get));
    get.wait_for("fetched");
    assert_eq!((put.exit_code(), get.exit_code()), (Some(0), Some(0)));
    assert_eq!(fs::read(path("copy")).expect("it was fetched"), content);
    let chat = [&["chat", "--json"], &room[..]].concat();
    let mut chat = Program::spawn(&mut behind(&proxy.place, &chat));
    chat.wait_for("view_info");
    chat.post("from behind the proxy");
    let mut other = teatime().chat(&url, &["--password", "sesame"]);
    other.wait_for_line("from behind the proxy");
    assert_eq!(proxy.asked(), ["CONNECT far.invalid:9090 HTTP/1.1"; 3]);
}

#[test]
fn a_proxy_that_accepts_and_says_nothing_is_named_with_a_remedy() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let place = silent.local_addr().expect("it listens").to_string();
    let mut chat = Program::spawn(&mut behind(&place, &["chat", "--json", "--reflector", NAMED]));
    let error = chat.wait_for("error");
    assert_eq!(error["code"], "UNREACHABLE");
    let message = error["message"].as_str().expect("a string");
    for part in
        [&place, "then does not answer", "correct http_proxy", "add far.invalid to no_proxy"]
    {
        assert!(message.contains(part), "{part} is missing: {message}");
    }
    // It tries again, and does not keep the user from leaving.
    chat.end_input();
    assert_eq!(chat.exit_code(), Some(0));
}
