//! The server on real sockets: what it refuses, whom it drops, how it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use teatime_net::server::{Server, ServerConfig};
use teatime_wire::{ClientMessage, CloseReason, Join, Send, ServerMessage, SessionId, ViewSecret};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

const PATIENCE: Duration = Duration::from_secs(20);

fn server(config: ServerConfig) -> Server {
    Server::bind("127.0.0.1:0", config).expect("there is a free port")
}

async fn connect(server: &Server) -> Socket {
    let mut request = server.url().into_client_request().expect("it is a URL");
    let protocol = teatime_wire::SUBPROTOCOL.parse().expect("it is plain text");
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    connect_async(request).await.expect("the server lets us in").0
}

async fn join(server: &Server, session: u8, view: u8) -> Socket {
    let mut socket = connect(server).await;
    join_over(&mut socket, session, view).await;
    socket
}

async fn join_over(socket: &mut Socket, session: u8, view: u8) {
    let join = Join {
        protocol: 1,
        session: SessionId([session; 32]),
        secret: ViewSecret([view; 32]),
        password_proof: None,
        view_data: None,
        ticks_per_second: 20,
        attempt: 1,
        resume: None,
        agent: "test",
    };
    say(socket, &ClientMessage::Join(join)).await;
    wait_for(socket, |message| matches!(message, ServerMessage::Views(_))).await;
}

async fn say(socket: &mut Socket, message: &ClientMessage<'_>) {
    socket.send(Message::Binary(message.encode().into())).await.expect("it is open");
}

/// Reads until this message.
async fn wait_for(socket: &mut Socket, wanted: impl Fn(&ServerMessage<'_>) -> bool) {
    let read = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(frame) = message
                && wanted(&ServerMessage::decode(&frame).expect("it is a message"))
            {
                return;
            }
        }
        panic!("the connection ended");
    };
    timeout(PATIENCE, read).await.expect("the message comes");
}

/// Reads until the server closes, and returns its code.
async fn close_code(socket: &mut Socket) -> Option<CloseReason> {
    let read = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(close) = message {
                return close.and_then(|close| CloseReason::from_code(close.code.into()));
            }
        }
        None
    };
    timeout(PATIENCE, read).await.expect("the server closes")
}

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
        // The server may close before it has read all.
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
    for _ in 0..50 {
        second.send(Message::Ping(vec![7; 125].into())).await.expect("it is open");
    }
    join_over(&mut second, 3, 2).await;
    say(&mut first, &ClientMessage::Send(Send { counter: 1, payload: b"x" })).await;
    wait_for(&mut second, |message| matches!(message, ServerMessage::Event(_))).await;
    let mut endless = connect(&server).await;
    let flood = async { while endless.send(Message::Ping(vec![7; 125].into())).await.is_ok() {} };
    // Long before a handshake takes too long.
    timeout(ServerConfig::default().handshake_timeout / 2, flood).await.expect("it is cut off");
}

#[tokio::test]
async fn who_reads_nothing_is_dropped_and_the_others_get_everything() {
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
    // What fills the socket's own buffers still comes, then the reason or a broken connection.
    let reason = close_code(&mut slow).await;
    assert!(matches!(reason, Some(CloseReason::TooSlow) | None), "{reason:?}");
}

#[tokio::test]
async fn shutting_down_tells_everybody_to_come_back() {
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
    let healthy = ask("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(healthy.starts_with("HTTP/1.1 200") && healthy.ends_with("ok\n"), "{healthy}");
    assert!(healthy.contains("Server: teatime/"));
    assert!(ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 426"));
    assert!(ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    let endless = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(9_000));
    assert!(ask(&endless).starts_with("HTTP/1.1 431"));
}
