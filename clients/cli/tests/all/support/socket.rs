//! A client without a model: it sees every frame of the protocol.

use futures_util::{SinkExt, StreamExt};
use teatime_tests::pace::PATIENCE;
use teatime_wire::{
    Challenge, ClientMessage, CloseReason, Digest, Join, SecretKey, Send, ServerMessage,
};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// What a client receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The reflector lets it in. The newest sequence number.
    Welcome(u64),
    /// An event: its sequence number, and what was sent.
    Event(u64, Vec<u8>),
    /// Anything else.
    Other,
    /// The end.
    Closed(Option<CloseReason>, String),
}

/// A connection.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    counter: u64,
}

impl Socket {
    /// Connects and asks to be let in.
    pub(crate) async fn join(url: &str, session: u8, view: u8) -> Self {
        let key = SecretKey::of_view(&[view; 32]);
        let join = Join {
            protocol: 1,
            program: Digest([session; 32]),
            name: Digest([session; 32]),
            version: 1,
            view_key: key.public(),
            password_key: None,
            view_data: None,
            ticks_per_second: 1,
            attempt: 1,
            resume: None,
            agent: "test",
        };
        Self::join_as(url, join, &key, None).await
    }

    /// Connects and sends this join, signed with these keys.
    pub(crate) async fn join_as(
        url: &str,
        join: Join<'_>,
        view: &SecretKey,
        password: Option<&SecretKey>,
    ) -> Self {
        let mut request = url.into_client_request().expect("it is a URL");
        let protocol = teatime_wire::SUBPROTOCOL.parse().expect("it is plain text");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let stream = connect_async(request).await.expect("the reflector is there").0;
        let mut socket = Self { stream, counter: 0 };
        let challenge = socket.hear_hello().await;
        socket.say(&join.prove(&challenge, view, password)).await.expect("it is open");
        socket
    }

    /// What a join on this connection must be signed for.
    async fn hear_hello(&mut self) -> Challenge {
        let next = timeout(PATIENCE, self.stream.next()).await.expect("it comes first");
        let Some(Ok(Message::Binary(frame))) = next else { panic!("no hello: {next:?}") };
        match ServerMessage::decode(&frame) {
            Ok(ServerMessage::Hello(hello)) => Challenge { nonce: hello.nonce, channel: None },
            other => panic!("no hello: {other:?}"),
        }
    }

    async fn say(&mut self, message: &ClientMessage<'_>) -> Result<(), Error> {
        self.stream.send(Message::Binary(message.encode().into())).await
    }

    /// Sends an event; false if the connection has ended.
    pub(crate) async fn post(&mut self, payload: &[u8]) -> bool {
        self.counter += 1;
        let send = Send { counter: self.counter, payload };
        self.say(&ClientMessage::Send(send)).await.is_ok()
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Heard {
        let next = timeout(PATIENCE, self.stream.next()).await.expect("it never ends");
        match next {
            Some(Ok(Message::Binary(frame))) => {
                match ServerMessage::decode(&frame).expect("it is a message") {
                    ServerMessage::Welcome(welcome) => Heard::Welcome(welcome.seq),
                    ServerMessage::Event(event) => Heard::Event(event.seq, event.payload.to_vec()),
                    _ => Heard::Other,
                }
            }
            Some(Ok(Message::Close(close))) => {
                let reason =
                    close.as_ref().and_then(|close| CloseReason::from_code(close.code.into()));
                Heard::Closed(
                    reason,
                    close.map(|close| close.reason.to_string()).unwrap_or_default(),
                )
            }
            Some(Ok(_)) => Heard::Other,
            Some(Err(_)) | None => Heard::Closed(None, String::new()),
        }
    }

    /// Waits until `wanted` returns something.
    pub(crate) async fn wait_for<T>(&mut self, wanted: impl Fn(&Heard) -> Option<T>) -> T {
        loop {
            let heard = self.hear().await;
            if let Some(found) = wanted(&heard) {
                return found;
            }
            assert!(!matches!(heard, Heard::Closed(..)), "{heard:?}");
        }
    }
}
