//! What must hold with TLS as without: limits of time, and bytes that come together.

mod floods;
mod http;
mod linear;
mod silent;
mod unread;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use teatime_wire::{
    Challenge, ChannelBinding, ClientMessage, CloseReason, Digest, Join, SecretKey, Send,
    ServerMessage,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::accept::NO_JOIN;
use super::*;
use crate::client::{Duplex, Purpose, Socket, open};
use crate::dial::Dialer;
use crate::tls::{Trust, connect};

/// Longer than anything here takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

const LIMIT: Duration = Duration::from_millis(300);

const SESSION: Purpose =
    Purpose { subprotocol: teatime_wire::SUBPROTOCOL, read_buffer: 1 << 14, max_frame: 1 << 20 };

/// A server with short limits of time, with TLS or without, and what a client needs to trust it.
fn server(tls: bool, workers: usize) -> (Server, Trust, tempfile::TempDir) {
    let mut config = ServerConfig { workers, handshake_timeout: LIMIT, ..Default::default() };
    config.reflector.join_timeout = u64::try_from(LIMIT.as_micros()).expect("it is short");
    server_with(tls, config)
}

/// A server with these settings, with TLS or without, and what a client needs to trust it.
fn server_with(tls: bool, config: ServerConfig) -> (Server, Trust, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("there is room");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a name");
    let (certificate, key) = (folder.path().join("certificate"), folder.path().join("key"));
    let pem = made.cert.pem();
    std::fs::write(&certificate, &pem).expect("there is room");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("there is room");
    let tls = tls.then_some(TlsFiles { certificate, key });
    let trust = Trust::new(tls.is_some().then_some(pem.as_bytes())).expect("a certificate");
    let config = ServerConfig { tls, ..config };
    (Server::bind("127.0.0.1:0", config).expect("there is a free port"), trust, folder)
}

/// Connects. Returns what a join must be signed for, too.
async fn socket(server: &Server, trust: &Trust) -> (Socket, Challenge) {
    let opened = open(&Dialer::of_system(), &server.url(), trust, SESSION).await;
    let (mut socket, channel) = opened.expect("it lets us in");
    let Message::Binary(frame) = next(&mut socket).await else { panic!("no hello") };
    (socket, challenge_of(&frame, channel))
}

/// What a join must be signed for after this first frame of the server.
fn challenge_of(hello: &[u8], channel: Option<ChannelBinding>) -> Challenge {
    let Ok(ServerMessage::Hello(greeting)) = ServerMessage::decode(hello) else {
        panic!("no hello")
    };
    assert_eq!(greeting.binds_channel, channel.is_some());
    Challenge { nonce: greeting.nonce, channel }
}

async fn next<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Message {
    let message = timeout(PATIENCE, socket.next()).await.expect("it comes in time");
    message.expect("the connection is open").expect("it is a message")
}

/// Each setting: with TLS and without, with one thread for sessions and with several.
const SETTINGS: [(bool, usize); 4] = [(false, 1), (false, 3), (true, 1), (true, 3)];

#[tokio::test]
async fn a_client_that_does_not_join_in_time_is_closed_with_silent_on_every_setting() {
    for setting in SETTINGS {
        let (server, trust, _folder) = server(setting.0, setting.1);
        let (mut silent, _) = socket(&server, &trust).await;
        let Message::Close(Some(close)) = next(&mut silent).await else {
            panic!("{setting:?}: another message");
        };
        assert_eq!(u16::from(close.code), CloseReason::Silent.code(), "{setting:?}");
        assert_eq!(close.reason.as_str(), NO_JOIN);
    }
}

#[tokio::test]
async fn a_request_that_is_not_whole_in_time_is_answered_with_408_on_every_setting() {
    for setting in SETTINGS {
        let (server, trust, _folder) = server(setting.0, setting.1);
        let stream = TcpStream::connect(server.local_addr()).await.expect("it listens");
        let mut stream: Box<dyn Duplex> = match setting.0 {
            true => Box::new(connect(&trust, "127.0.0.1", stream).await.expect("it is trusted").0),
            false => Box::new(stream),
        };
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n").await.expect("it reads");
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends").expect("TCP");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{setting:?}: {answer:?}");
    }
}

/// The join of the view with this secret to a session.
fn joins(session: u8, secret: [u8; 32], challenge: &Challenge) -> ClientMessage<'static> {
    let key = SecretKey::of_view(&secret);
    let join = Join {
        protocol: teatime_wire::PROTOCOL_VERSION,
        program: Digest([session; 32]),
        name: Digest([session; 32]),
        version: 1,
        view_key: key.public(),
        password_key: None,
        view_data: None,
        ticks_per_second: 20,
        attempt: 1,
        resume: None,
        agent: "test",
    };
    join.prove(challenge, &key, None)
}

/// A frame of a client. Its mask is zero, so it changes nothing.
fn frame(message: &ClientMessage<'_>) -> Vec<u8> {
    let payload = message.encode();
    let length = u16::try_from(payload.len()).expect("it is short").to_be_bytes();
    [&[0x82, 0x80 | 126][..], &length, &[0; 4], &payload].concat()
}

#[tokio::test]
async fn what_comes_together_with_the_join_is_handled_with_it_on_every_setting() {
    for setting in SETTINGS {
        let (server, trust, _folder) = server(setting.0, setting.1);
        let (mut client, challenge) = socket(&server, &trust).await;
        let join = joins(1, [1; 32], &challenge);
        let send = Send { counter: 1, payload: &[7; 9_000] };
        // One write, so one record: it may have 16 KiB.
        let both = [join, ClientMessage::Send(send)].map(|each| frame(&each));
        client.get_mut().write_all(&both.concat()).await.expect("it reads");
        client.get_mut().flush().await.expect("it reads");
        loop {
            if let Message::Binary(bytes) = next(&mut client).await
                && let Ok(ServerMessage::Event(event)) = ServerMessage::decode(&bytes)
            {
                assert_eq!(event.payload.len(), 9_000, "{setting:?}");
                break;
            }
        }
    }
}

/// Which thread serves the connection is not known before the join.
#[tokio::test]
async fn a_ping_before_the_join_is_answered_once_on_every_setting() {
    for setting in SETTINGS {
        let config = ServerConfig { workers: setting.1, ..Default::default() };
        let (server, trust, _folder) = server_with(setting.0, config);
        let (mut client, challenge) = socket(&server, &trust).await;
        let ping = Message::Ping(b"are you there"[..].into());
        client.send(ping).await.expect("it is open");
        let answer = next(&mut client).await;
        assert_eq!(answer, Message::Pong(b"are you there"[..].into()), "{setting:?}");
        let join = joins(1, [1; 32], &challenge).encode();
        client.send(Message::Binary(join.into())).await.expect("it is open");
        let Message::Binary(frame) = next(&mut client).await else {
            panic!("{setting:?}: it was answered twice");
        };
        let welcome = ServerMessage::decode(&frame);
        assert!(matches!(welcome, Ok(ServerMessage::Welcome(_))), "{setting:?}: {welcome:?}");
    }
}
