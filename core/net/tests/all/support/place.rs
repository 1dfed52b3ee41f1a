//! A server in one of its settings, how a client reaches it, and how the client joins.

use std::path::PathBuf;

use futures_util::{SinkExt, StreamExt};
use teatime_net::server::{Server, ServerConfig, SharedStorage};
use teatime_store::{Config, DiskStore, Durability, Shared};
use teatime_wire::{
    Challenge, ChannelBinding, ClientMessage, CloseReason, Digest, Join, SecretKey, ServerMessage,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::PATIENCE;
use super::tap::{Record, Tap};

/// What a WebSocket runs over.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// How a server runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) is_encrypted: bool,
    pub(crate) workers: usize,
    pub(crate) is_stored: bool,
}

impl Setting {
    /// Every one that this build has.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for is_encrypted in [false, true].into_iter().take(1 + usize::from(cfg!(feature = "tls"))) {
            for workers in [1, 3] {
                for is_stored in [false, true] {
                    all.push(Self { is_encrypted, workers, is_stored });
                }
            }
        }
        all
    }
}

/// Where a server runs, and may run again with what it has stored.
pub(crate) struct Place {
    setting: Setting,
    folder: tempfile::TempDir,
    #[cfg(feature = "tls")]
    identity: super::tls::Identity,
}

impl Place {
    pub(crate) fn new(setting: Setting) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        #[cfg(feature = "tls")]
        let identity = super::tls::Identity::new(folder.path());
        Self {
            setting,
            folder,
            #[cfg(feature = "tls")]
            identity,
        }
    }

    /// Where it stores its sessions.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn open_store(&self) -> DiskStore {
        let config = Config { durability: Durability::Process, ..Config::default() };
        DiskStore::open_dir(self.data(), config).expect("a store")
    }

    pub(crate) fn start(&self) -> Server {
        let storage =
            self.setting.is_stored.then(|| SharedStorage::new(Shared::new(self.open_store())));
        let config =
            ServerConfig { workers: self.setting.workers, storage, ..ServerConfig::default() };
        #[cfg(feature = "tls")]
        let config = ServerConfig {
            tls: self.setting.is_encrypted.then(|| self.identity.files()),
            ..config
        };
        super::server(config)
    }

    /// Connects, with TLS if the server has it.
    pub(crate) async fn dial(&self, server: &Server) -> (Box<dyn Duplex>, Option<ChannelBinding>) {
        let stream = TcpStream::connect(server.local_addr()).await.expect("it listens");
        #[cfg(feature = "tls")]
        if self.setting.is_encrypted {
            let (stream, binding) = self.identity.connect(stream).await;
            return (Box::new(stream), Some(binding));
        }
        (Box::new(stream), None)
    }

    /// Connects, and hears the hello.
    pub(crate) async fn connect(&self, server: &Server) -> Line {
        let (stream, channel) = self.dial(server).await;
        Line::over(stream, channel).await
    }
}

/// A connection that has heard the hello.
pub(crate) struct Line {
    socket: WebSocketStream<Tap<Box<dyn Duplex>>>,
    pub(crate) record: Record,
    pub(crate) challenge: Challenge,
}

impl Line {
    pub(crate) async fn over(stream: Box<dyn Duplex>, channel: Option<ChannelBinding>) -> Self {
        let mut request = "ws://127.0.0.1/".into_client_request().expect("it is a URL");
        let protocol = teatime_wire::SUBPROTOCOL.parse().expect("it is plain text");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let (tap, record) = Tap::new(stream);
        let (mut socket, _) = client_async(request, tap).await.expect("the server lets us in");
        let first = timeout(PATIENCE, socket.next()).await.expect("it comes first");
        let Some(Ok(Message::Binary(frame))) = first else { panic!("no hello: {first:?}") };
        let Ok(ServerMessage::Hello(hello)) = ServerMessage::decode(&frame) else {
            panic!("no hello: {frame:?}")
        };
        let channel = channel.filter(|_| hello.binds_channel);
        Self { socket, record, challenge: Challenge { nonce: hello.nonce, channel } }
    }

    pub(crate) async fn say(&mut self, message: &ClientMessage<'_>) {
        // The server may have closed the connection.
        let _ = self.socket.send(Message::Binary(message.encode().into())).await;
    }

    pub(crate) async fn join(&mut self, keys: &Keys, join: Join<'_>) {
        let message = join.prove(&self.challenge, &keys.view, keys.password.as_ref());
        self.say(&message).await;
    }

    /// Reads until this message, and returns what the caller finds in it.
    pub(crate) async fn wait_for<T>(
        &mut self,
        mut wanted: impl FnMut(&ServerMessage<'_>) -> Option<T>,
    ) -> T {
        let read = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Binary(frame))) => {
                        let message = ServerMessage::decode(&frame).expect("it is a message");
                        if let Some(found) = wanted(&message) {
                            return found;
                        }
                    }
                    Some(Ok(Message::Close(close))) => panic!("closed: {close:?}"),
                    Some(Ok(_)) => {}
                    ended => panic!("the connection ended: {ended:?}"),
                }
            }
        };
        timeout(PATIENCE, read).await.expect("the message comes")
    }

    /// Reads until the server closes the connection.
    pub(crate) async fn end(&mut self) {
        let read = async {
            while let Some(Ok(message)) = self.socket.next().await {
                if message.is_close() {
                    return;
                }
            }
        };
        timeout(PATIENCE, read).await.expect("the server closes");
    }

    /// Whether the server lets the client in, or why not.
    pub(crate) async fn welcome_or_refusal(&mut self) -> Result<(), CloseReason> {
        let next = timeout(PATIENCE, self.socket.next()).await.expect("the server answers");
        match next {
            Some(Ok(Message::Binary(frame))) => match ServerMessage::decode(&frame) {
                Ok(ServerMessage::Welcome(_)) => Ok(()),
                other => panic!("no welcome: {other:?}"),
            },
            Some(Ok(Message::Close(Some(close)))) => {
                Err(CloseReason::from_code(close.code.into()).expect("it is one of ours"))
            }
            other => panic!("neither let in nor closed: {other:?}"),
        }
    }

    /// The code with which the server closes. Nothing else may come before.
    pub(crate) async fn refusal(&mut self) -> CloseReason {
        self.welcome_or_refusal().await.expect_err("it is let in")
    }
}

/// The secret keys of a client.
pub(crate) struct Keys {
    pub(crate) view: SecretKey,
    pub(crate) password: Option<SecretKey>,
}

impl Keys {
    /// Of the view of this number, with the password of this number.
    pub(crate) fn new(view: u8, password: Option<u8>) -> Self {
        let password = password.map(|number| SecretKey::of_password(&[number; 32]));
        Self { view: SecretKey::of_view(&[view; 32]), password }
    }

    /// A join that names these keys.
    pub(crate) fn join(&self, attempt: u64) -> Join<'static> {
        Join {
            protocol: 1,
            program: Digest([7; 32]),
            name: Digest([7; 32]),
            version: 1,
            view_key: self.view.public(),
            password_key: self.password.as_ref().map(SecretKey::public),
            view_data: None,
            ticks_per_second: 20,
            attempt,
            resume: None,
            agent: "test",
        }
    }
}
