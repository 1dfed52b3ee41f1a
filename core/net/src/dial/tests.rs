//! Connections over real sockets: dead addresses, name servers that do not answer, and proxies of all kinds.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use teatime_session::{Action, Input};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::client::Transport;
use crate::tls::Trust;

fn dialer(
    resolver: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    variables: &[(&str, &str)],
) -> Dialer {
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let proxies = Arc::new(Proxies::read(variable));
    // Long enough for a busy machine, and not a time that a test waits for without a reason.
    let proxy_timeout = Duration::from_secs(60);
    Dialer { resolver: Arc::new(resolver), proxies, proxy_timeout }
}

/// A listener that answers its first client, as servers of TLS and HTTP do: they speak when spoken to.
fn greeting() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it listens");
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client comes");
        stream.read_exact(&mut [0]).expect("it speaks");
        stream.write_all(b"hello").expect("it reads");
    });
    (address, thread)
}

/// An address at which nothing listens.
fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it listens")
}

async fn greeted(mut stream: TcpStream) -> bool {
    stream.write_all(b"?").await.expect("it reads");
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).await.is_ok_and(|_| heard == *b"hello")
}

#[tokio::test]
async fn an_address_that_does_not_answer_delays_the_next_by_a_quarter_of_a_second() {
    let addresses = ["[2001:db8::1]:1", "192.0.2.1:1", "192.0.2.2:1"];
    let addresses: Vec<SocketAddr> =
        addresses.iter().map(|text| text.parse().expect("an address")).collect();
    let tried = Mutex::new(Vec::new());
    let begun = Instant::now();
    let reached = race::first(addresses.clone(), |address| {
        tried.lock().expect("one thread").push((address, begun.elapsed()));
        async move {
            match address.ip().to_string().as_str() {
                "192.0.2.2" => Ok("reached"),
                // As packets that are dropped on their way.
                _ => std::future::pending().await,
            }
        }
    });
    assert_eq!(reached.await.expect("one answers"), "reached");
    let tried = tried.into_inner().expect("one thread");
    assert_eq!(tried.iter().map(|(address, _)| *address).collect::<Vec<_>>(), addresses);
    assert!(tried[2].1 >= 2 * race::ATTEMPT_DELAY, "{tried:?}");
}

#[tokio::test]
async fn an_address_that_refuses_gives_way_at_once_and_its_error_counts_if_all_fail() {
    let (open, thread) = greeting();
    let closed = refusing();
    let both = dialer(move |_, _| Ok(vec![closed, open]), &[]);
    let target = Target::parse("ws://two.addresses").expect("it is valid");
    let begun = Instant::now();
    assert!(greeted(both.dial(&target).await.expect("the second answers")).await);
    assert!(begun.elapsed() < race::ATTEMPT_DELAY, "{:?}", begun.elapsed());
    thread.join().expect("it greeted");
    let error = dialer(move |_, _| Ok(vec![closed, closed]), &[]).dial(&target).await;
    assert_eq!(error.expect_err("nothing listens").kind(), io::ErrorKind::ConnectionRefused);
    let error = dialer(|_, _| Ok(Vec::new()), &[]).dial(&target).await.expect_err("no address");
    assert!(error.to_string().contains("no address"), "{error}");
}

/// A connection whose name server has been asked, and answers when the sender is dropped: that it knows no address.
fn waiting_for_a_name_server() -> (Transport, mpsc::Sender<()>) {
    let (asked, was_asked) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let blocked = dialer(
        move |_, _| {
            asked.send(()).expect("the test waits");
            let _ = released.lock().expect("one thread").recv();
            Ok(Vec::new())
        },
        &[],
    );
    let trust = Trust::new(None).expect("nothing is wrong with it");
    let transport = Transport::with_dialer(blocked, "ws://unknown.example", trust, Arc::new(|| {}));
    let mut transport = transport.expect("there are threads");
    transport.perform(Action::Connect { after: 0 });
    was_asked.recv().expect("it looks the name up");
    (transport, release)
}

#[test]
fn leaving_does_not_wait_for_a_name_server_that_does_not_answer() {
    let (transport, _release) = waiting_for_a_name_server();
    let begun = Instant::now();
    drop(transport);
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
}

/// Otherwise a client that still sends something to the connection before would never connect again.
#[test]
fn what_is_sent_before_a_connection_stands_does_not_stop_the_attempt() {
    let (mut transport, release) = waiting_for_a_name_server();
    transport.perform(Action::Send(b"late".to_vec()));
    assert!(!transport.wait(Duration::from_millis(50)), "the name server has not answered");
    drop(release);
    assert!(transport.wait(Duration::from_secs(60)), "it says how the attempt ended");
    assert!(matches!(transport.poll_input(), Some(Input::Unreachable(_))));
}

/// A proxy that answers each CONNECT in this way, and keeps what it was asked. With a target it becomes a tunnel.
fn proxy(answer: &'static str, target: Option<SocketAddr>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it listens");
    let (sender, asked) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client comes");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("a whole request");
            request.push(byte[0]);
        }
        let _ = sender.send(String::from_utf8(request).expect("text"));
        client.write_all(answer.as_bytes()).expect("it reads");
        if let Some(target) = target {
            let mut server = std::net::TcpStream::connect(target).expect("it listens");
            let (mut asks, mut asked) =
                (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
            std::thread::spawn(move || std::io::copy(&mut asks, &mut asked));
            let _ = std::io::copy(&mut server, &mut client);
        }
    });
    (format!("127.0.0.1:{}", address.port()), asked)
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_to_the_name_and_told_user_and_password() {
    let (open, thread) = greeting();
    let (place, asked) = proxy("HTTP/1.1 200 Connection established\r\nVia: p\r\n\r\n", Some(open));
    let variable = format!("http://me%40home:pass%20word@{place}");
    // Names are the proxy's affair: this machine may be unable to look them up.
    let through = dialer(|_, _| panic!("looked up here"), &[("https_proxy", &variable)]);
    let target = Target::parse("wss://far.example/teatime").expect("it is valid");
    assert!(greeted(through.dial(&target).await.expect("the proxy lets it through")).await);
    thread.join().expect("it greeted");
    // RFC 7617: Base64 of "me@home:pass word".
    assert_eq!(
        asked.recv().expect("it was asked"),
        "CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n\
         Proxy-Authorization: Basic bWVAaG9tZTpwYXNzIHdvcmQ=\r\n\r\n"
    );
}

#[tokio::test]
async fn a_proxy_that_does_not_help_is_named_with_the_reason() {
    for (answer, why) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "http://USER:PASSWORD@HOST:PORT"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "refuses to connect to [2001:db8::1]:9090 (HTTP 403)"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "not an HTTP proxy"),
        ("HTTP/1.1 200 OK\r\n\r\nand more", "more than its answer"),
        ("HTTP/1.1 200", "closed the connection"),
    ] {
        let (place, _asked) = proxy(answer, None);
        let through = dialer(|_, _| Ok(Vec::new()), &[("all_proxy", &place)]);
        let target = Target::parse("ws://[2001:db8::1]:9090").expect("it is valid");
        let error = through.dial(&target).await.expect_err("it cannot work").to_string();
        assert!(error.starts_with(&format!("proxy {place}: ")), "{error}");
        assert!(error.contains(why), "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn a_proxy_that_accepts_and_says_nothing_is_named_with_the_variable_and_the_remedy() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let place = listener.local_addr().expect("it listens").to_string();
    let mut through = dialer(|_, _| Ok(Vec::new()), &[("https_proxy", &place)]);
    through.proxy_timeout = Duration::from_millis(200);
    let target = Target::parse("wss://far.example/teatime").expect("it is valid");
    let error = through.dial(&target).await.expect_err("it cannot work");
    assert_eq!(
        (error.kind(), error.to_string()),
        (
            io::ErrorKind::TimedOut,
            format!(
                "proxy {place}: it accepts the connection and then does not answer: check the proxy, correct \
                 https_proxy, or add far.example to no_proxy to connect without a proxy"
            )
        )
    );
    assert!(PROXY_TIMEOUT < crate::client::CONNECT_TIMEOUT, "the attempt must not end before");
}

#[test]
fn a_session_reports_why_its_proxy_does_not_help() {
    let (place, _asked) = proxy("HTTP/1.1 502 Bad Gateway\r\n\r\n", None);
    let through = dialer(|_, _| Ok(Vec::new()), &[("http_proxy", &place)]);
    let trust = Trust::new(None).expect("nothing is wrong with it");
    let transport = Transport::with_dialer(through, "ws://far.example", trust, Arc::new(|| {}));
    let mut transport = transport.expect("there are threads");
    transport.perform(Action::Connect { after: 0 });
    assert!(transport.wait(Duration::from_secs(60)));
    let Some(Input::Unreachable(why)) = transport.poll_input() else { panic!("it got through") };
    assert!(why.contains(&place) && why.contains("HTTP 502"), "{why}");
}
