//! Small clients that speak the protocol only.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod place;
pub(crate) mod tap;
#[cfg(feature = "tls")]
pub(crate) mod tls;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use teatime_net::server::{Server, ServerConfig};
use teatime_wire::{
    Challenge, ClientMessage, CloseReason, Digest, Join, Room, SecretKey, ServerMessage, SessionId,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

pub(crate) type Socket = WebSocketStream<TcpStream>;

pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn server(config: ServerConfig) -> Server {
    Server::bind("127.0.0.1:0", config).expect("there is a free port")
}

pub(crate) async fn connect(server: &Server) -> Socket {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    over(server, socket).await
}

/// Connects with a socket that the caller has configured.
async fn over(server: &Server, socket: TcpSocket) -> Socket {
    let stream = socket.connect(server.local_addr()).await.expect("the server listens");
    let mut request = server.url().into_client_request().expect("it is a URL");
    let protocol = teatime_wire::SUBPROTOCOL.parse().expect("it is plain text");
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    client_async(request, stream).await.expect("the server lets us in").0
}

pub(crate) async fn join(server: &Server, session: u8, view: u8) -> Socket {
    join_over(connect(server).await, session, view).await
}

/// Connects with a small receive buffer.
pub(crate) async fn join_with_small_buffer(server: &Server, session: u8, view: u8) -> Socket {
    join_over(connect_with_small_buffer(server).await, session, view).await
}

pub(crate) async fn connect_with_small_buffer(server: &Server) -> Socket {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    socket.set_recv_buffer_size(4096).expect("it can be set");
    over(server, socket).await
}

pub(crate) async fn join_over(mut socket: Socket, session: u8, view: u8) -> Socket {
    say_join(&mut socket, session, view).await;
    wait_for(&mut socket, |message| matches!(message, ServerMessage::Views(_))).await;
    socket
}

/// Joins, and reads no answer.
pub(crate) async fn say_join(socket: &mut Socket, session: u8, view: u8) {
    let challenge = hear_hello(socket).await;
    let key = SecretKey::of_view(&[view; 32]);
    let join = Join {
        protocol: 1,
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
    say(socket, &join.prove(&challenge, &key, None)).await;
}

/// Reads the hello. Returns what a join must be signed for.
async fn hear_hello(socket: &mut Socket) -> Challenge {
    let read = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(frame) = message
                && let Ok(ServerMessage::Hello(greeting)) = ServerMessage::decode(&frame)
            {
                return Challenge { nonce: greeting.nonce, channel: None };
            }
        }
        panic!("the connection ended");
    };
    timeout(PATIENCE, read).await.expect("it comes first")
}

/// The session that [`join`] joins for this number.
pub(crate) fn session_of(session: u8) -> SessionId {
    let room = Room::new(Digest([session; 32]), None, 1);
    SessionId::of(room.id, 1, Digest([session; 32]))
}

pub(crate) async fn say(socket: &mut Socket, message: &ClientMessage<'_>) {
    socket.send(Message::Binary(message.encode().into())).await.expect("it is open");
}

/// Reads until this message.
pub(crate) async fn wait_for(socket: &mut Socket, wanted: impl Fn(&ServerMessage<'_>) -> bool) {
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
pub(crate) async fn close_code(socket: &mut Socket) -> Option<CloseReason> {
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
