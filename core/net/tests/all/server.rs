//! The server on real sockets: what it refuses, which clients it drops, how it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, close_code, connect, join, join_over, say, server, wait_for};
use futures_util::{SinkExt, StreamExt};
use teatime_net::server::{ServerConfig, Token};
use teatime_wire::{ClientMessage, CloseReason, Send, ServerMessage};
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::test]
async fn every_kind_of_bad_frame_closes_only_its_own_connection() {
    let server = server(ServerConfig { workers: 2, ..ServerConfig::default() });
    let mut watcher = join(&server, 1, 1).await;
    let text = Message::Text("hello".into());
    let nonsense = Message::Binary(b"nonsense".to_vec().into());
    let large = Message::Binary(vec![0; 1 << 20].into());
    let early = Message::Binary(ClientMessage::RequestVote.encode().into());
    for (bad, expected) in [
        (text, CloseReason::Malformed),
        (nonsense, CloseReason::Malformed),
        (large, CloseReason::TooLarge),
        (early, CloseReason::NotJoined),
    ] {
        let mut socket = connect(&server).await;
        // The server may close before it has read everything.
        let _ = socket.send(bad).await;
        assert_eq!(close_code(&mut socket).await, Some(expected));
    }
    say(&mut watcher, &ClientMessage::Send(Send { counter: 1, payload: b"still here" })).await;
    wait_for(&mut watcher, |message| matches!(message, ServerMessage::Event(_))).await;
}

#[tokio::test]
async fn pings_are_answered_with_their_content() {
    let server = server(ServerConfig::default());
    let mut socket = join(&server, 1, 1).await;
    socket.send(Message::Ping(b"tea".to_vec().into())).await.expect("it is open");
    let read = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Pong(content) = message {
                return content;
            }
        }
        panic!("the connection ended");
    };
    assert_eq!(timeout(PATIENCE, read).await.expect("it comes"), b"tea".as_slice());
}

#[tokio::test]
async fn what_the_transport_says_before_the_join_neither_parts_a_session_nor_goes_on_for_ever() {
    let server = server(ServerConfig { workers: 4, ..ServerConfig::default() });
    let mut first = join(&server, 3, 1).await;
    let mut second = connect(&server).await;
    for _ in 0..16 {
        second.send(Message::Ping(vec![7; 125].into())).await.expect("it is open");
    }
    let mut second = join_over(second, 3, 2).await;
    say(&mut first, &ClientMessage::Send(Send { counter: 1, payload: b"x" })).await;
    wait_for(&mut second, |message| matches!(message, ServerMessage::Event(_))).await;
    let mut endless = connect(&server).await;
    let flood = async { while endless.send(Message::Ping(vec![7; 125].into())).await.is_ok() {} };
    // Long before the handshake timeout.
    timeout(ServerConfig::default().handshake_timeout / 2, flood).await.expect("it is cut off");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_dropped_and_the_others_get_everything() {
    let mut config = ServerConfig { max_queued_bytes: 64 * 1024, ..ServerConfig::default() };
    config.reflector.send_limits.per_second = 1_000_000;
    config.reflector.send_limits.burst = 1_000_000;
    config.reflector.snapshot_after_bytes = u64::MAX;
    let server = server(config);
    let mut sender = join(&server, 1, 1).await;
    let mut slow = join(&server, 1, 2).await;
    let payload = vec![7; 60_000];
    for counter in 1..=400 {
        say(&mut sender, &ClientMessage::Send(Send { counter, payload: &payload })).await;
        wait_for(
            &mut sender,
            |message| matches!(message, ServerMessage::Event(event) if event.counter == counter),
        )
        .await;
    }
    // The content of the socket's buffers still arrives, then the reason or a broken connection.
    let reason = close_code(&mut slow).await;
    assert!(matches!(reason, Some(CloseReason::TooSlow) | None), "{reason:?}");
}

#[tokio::test]
async fn a_client_that_reads_late_learns_why_it_was_dropped() {
    let mut config = ServerConfig { max_queued_bytes: 64 * 1024, ..ServerConfig::default() };
    config.reflector.rejoin_limit = 1_000_000;
    let server = server(config);
    let mut sender = join(&server, 1, 1).await;
    let mut slow = join(&server, 1, 2).await;
    let payload = vec![7; 60_000];
    let mut counter = 0;
    // Until the others see its exit.
    let flood = async {
        loop {
            counter += 1;
            say(&mut sender, &ClientMessage::Send(Send { counter, payload: &payload })).await;
            let gone = std::cell::Cell::new(false);
            wait_for(&mut sender, |message| match message {
                ServerMessage::Event(event) => event.counter == counter,
                ServerMessage::Views(views) => {
                    gone.set(!views.exited.is_empty());
                    gone.get()
                }
                _ => false,
            })
            .await;
            if gone.get() {
                return;
            }
            // Slowly enough that the log does not fill up first.
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    timeout(PATIENCE, flood).await.expect("it is dropped");
    // Longer than closing usually takes.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(close_code(&mut slow).await, Some(CloseReason::TooSlow));
}

#[tokio::test]
async fn a_client_that_floods_with_pings_and_reads_nothing_is_dropped_even_before_it_joins() {
    // With one worker, a connection is served before it joins.
    let config =
        ServerConfig { max_queued_bytes: 64 * 1024, workers: 1, ..ServerConfig::default() };
    let server = server(config);
    let mut socket = connect(&server).await;
    let sent = async {
        loop {
            let ping = Message::Ping(vec![7; 125].into());
            if socket.feed(ping).await.is_err() || socket.flush().await.is_err() {
                return;
            }
        }
    };
    // The server closes a connection that does not join within ten seconds. This must be faster.
    let patience = Duration::from_secs(8);
    timeout(patience, sent).await.expect("the server ends the connection");
}

#[tokio::test]
async fn a_silent_client_is_closed_after_the_stated_time_and_others_see_the_exit() {
    let mut config = ServerConfig::default();
    config.reflector.silence_timeout = 2_000_000;
    config.reflector.rejoin_limit = 500_000;
    let server = server(config);
    let watcher = join(&server, 1, 1).await;
    let mut silent = join(&server, 1, 2).await;
    let started = Instant::now();
    // The exit comes half a second after the connection was closed.
    let (mut talker, mut listener) = watcher.split();
    let chatter = async move {
        for nonce in 0.. {
            let ping = ClientMessage::Ping(nonce).encode();
            talker.send(Message::Binary(ping.into())).await.expect("it is open");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let exit = async move {
        while let Some(Ok(message)) = listener.next().await {
            if let Message::Binary(frame) = message
                && let Ok(ServerMessage::Views(views)) = ServerMessage::decode(&frame)
                && !views.exited.is_empty()
            {
                return;
            }
        }
        panic!("the watcher is closed, too");
    };
    let seen = timeout(PATIENCE, async {
        tokio::select! {
            () = chatter => unreachable!("it talks on"),
            seen = async { tokio::join!(close_code(&mut silent), exit) } => seen,
        }
    });
    let (code, ()) = seen.await.expect("it is closed");
    assert_eq!(code, Some(CloseReason::Silent));
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[tokio::test]
async fn shutting_down_asks_all_clients_to_come_back() {
    let server = server(ServerConfig::default());
    let mut sockets = [join(&server, 1, 1).await, join(&server, 2, 1).await];
    let down = tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        server.shutdown();
        started.elapsed()
    });
    for socket in &mut sockets {
        assert_eq!(close_code(socket).await, Some(CloseReason::GoingAway));
    }
    assert!(down.await.expect("it ends") < Duration::from_secs(10));
}

#[test]
fn the_health_check_answers_and_everything_else_is_refused() {
    let server = server(ServerConfig::default());
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(server.local_addr()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers and closes");
        answer
    };
    let healthy = ask("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(healthy.starts_with("HTTP/1.1 200") && healthy.ends_with("ok\n"), "{healthy}");
    assert!(healthy.contains("Server: teatime/"));
    let head = ask("HEAD /healthz?from=probe HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains("Content-Length: 3\r\n"), "{head}");
    assert!(ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 426"));
    assert!(ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    let endless = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(9_000));
    assert!(ask(&endless).starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_client_that_speaks_only_another_version_hears_so() {
    let server = server(ServerConfig::default());
    let closed = |path: &'static str, offered: &'static str| {
        let url = format!("{}{path}", server.url());
        async move {
            let mut request = url.into_client_request().expect("it is a URL");
            request
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", HeaderValue::from_static(offered));
            let (mut socket, answer) = connect_async(request).await.expect("it is let in");
            let spoken = answer.headers().get("Sec-WebSocket-Protocol").cloned();
            // Its join is on the way already.
            let join = Message::Binary(vec![0x92, 1, 0x91, 2].into());
            socket.send(join).await.expect("it is open");
            let Some(Ok(Message::Close(Some(close)))) = socket.next().await else {
                panic!("{offered}: it is not closed");
            };
            (spoken, u16::from(close.code), close.reason.to_string())
        }
    };
    let session = ("", "teatime.v2", "teatime.v1");
    let blobs = ("/blobs", "teatime.blobs.v9", "teatime.blobs.v1");
    for (path, offered, spoken) in
        [Some(session), cfg!(feature = "blobs").then_some(blobs)].into_iter().flatten()
    {
        let (chosen, code, detail) = closed(path, offered).await;
        assert_eq!(chosen.as_ref().and_then(|chosen| chosen.to_str().ok()), Some(offered));
        assert_eq!(code, CloseReason::Version.code());
        assert_eq!(detail, format!("expected {spoken}, found {offered}"));
    }
}

#[tokio::test]
async fn a_private_server_lets_in_who_knows_its_token_and_proves_that_it_has_it() {
    let token = Token::draw().expect("random bytes");
    let config = ServerConfig {
        token: Some(token.clone()),
        is_private: true,
        workers: 1,
        ..ServerConfig::default()
    };
    let server = server(config);
    assert!(server.url().ends_with(&format!("/{}", token.as_str())));
    let mut inside = join(&server, 1, 1).await;
    say(&mut inside, &ClientMessage::Send(Send { counter: 1, payload: b"x" })).await;
    wait_for(&mut inside, |message| matches!(message, ServerMessage::Event(_))).await;
    let other = Token::draw().expect("random bytes");
    for path in
        ["", "/", "/blobs", &format!("/{}", other.as_str()), &format!("/{}x", token.as_str())]
    {
        let url = format!("ws://{}{path}", server.local_addr());
        let mut request = url.into_client_request().expect("it is a URL");
        let protocol = HeaderValue::from_static(teatime_wire::SUBPROTOCOL);
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let Err(Error::Http(answer)) = connect_async(request).await else {
            panic!("{path}: let in");
        };
        assert_eq!(answer.status(), 404, "{path}");
    }
    let proof = |challenge: &str| {
        let mut stream = TcpStream::connect(server.local_addr()).expect("it listens");
        let request =
            format!("GET /healthz?challenge={challenge} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers and closes");
        let lines = answer.lines().filter_map(|line| line.strip_prefix("Teatime-Proof: "));
        lines.map(str::to_owned).next()
    };
    assert_eq!(proof("abc"), token.answer("abc"));
    assert_ne!(proof("abc"), other.answer("abc"));
    assert_eq!(proof(&"a".repeat(65)), None);
}
