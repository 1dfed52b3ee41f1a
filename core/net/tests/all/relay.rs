//! A machine in the middle of TLS, with a certificate of its own that its victim trusts.

use rustls::version::{TLS12, TLS13};
use teatime_net::server::{Server, ServerConfig};
use teatime_wire::{ChannelBinding, CloseReason};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::place::{Duplex, Keys, Line};
use crate::support::server;
use crate::support::tls::Identity;

/// What the machine in the middle does with the hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trick {
    /// Passes it on as it is.
    Nothing,
    /// Tells the client that the channel does not count.
    Strip,
}

fn identity() -> (Identity, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("there is room");
    (Identity::new(folder.path()), folder)
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("there is a free port")
}

fn encrypted(identity: &Identity, workers: usize) -> Server {
    server(ServerConfig { workers, tls: Some(identity.files()), ..ServerConfig::default() })
}

/// Joins over this connection. Returns why the server refused, if it did.
async fn join(stream: Box<dyn Duplex>, own: ChannelBinding) -> Result<(), CloseReason> {
    let keys = Keys::new(1, Some(3));
    let mut line = Line::over(stream, Some(own)).await;
    line.join(&keys, keys.join(1)).await;
    line.welcome_or_refusal().await
}

/// Ends the TLS of one client with the certificate `own`, and passes everything on to the server: over TLS if its identity is
/// given.
async fn relay(
    listener: TcpListener,
    own: Identity,
    server: (String, Option<Identity>),
    trick: Trick,
) {
    let (stream, _) = listener.accept().await.expect("the victim comes");
    let mut victim = own.accept(stream).await;
    let stream = TcpStream::connect(&server.0).await.expect("the server listens");
    let mut ahead: Box<dyn Duplex> = match &server.1 {
        Some(identity) => Box::new(identity.connect(stream).await.0),
        None => Box::new(stream),
    };
    if trick == Trick::Strip {
        // The request of the victim first, and then the answer with the hello.
        let mut buffer = [0; 4096];
        let length = victim.read(&mut buffer).await.expect("it asks");
        ahead.write_all(&buffer[..length]).await.expect("the server reads");
        ahead.flush().await.expect("the server reads");
        let mut answer = Vec::new();
        let flag = loop {
            let length = ahead.read(&mut buffer).await.expect("the server answers");
            answer.extend_from_slice(&buffer[..length]);
            let hello = answer.windows(5).position(|part| part == [0x92, 15, 0x92, 0xc4, 32]);
            if let Some(flag) = hello.map(|at| at + 37).filter(|flag| answer.len() > *flag) {
                break flag;
            }
        };
        // c3 and c2: true and false.
        assert_eq!(std::mem::replace(&mut answer[flag], 0xc2), 0xc3);
        victim.write_all(&answer).await.expect("the victim reads");
    }
    // The end of it does not matter.
    let _ = copy_bidirectional(&mut victim, &mut ahead).await;
}

#[tokio::test]
async fn a_machine_in_the_middle_of_tls_can_neither_pass_a_join_on_nor_strip_the_channel() {
    for workers in [1, 3] {
        for version in [&TLS12, &TLS13] {
            let (right, _folder) = identity();
            let server = encrypted(&right, workers);
            let address = server.local_addr().to_string();
            // Without it the same client is let in.
            let stream = TcpStream::connect(&address).await.expect("it listens");
            let (stream, own) = right.connect_with(stream, version).await;
            assert_eq!(join(Box::new(stream), own).await, Ok(()), "{version:?}");
            for trick in [Trick::Nothing, Trick::Strip] {
                let ((evil, _folder), listener) = (identity(), listen().await);
                let place = listener.local_addr().expect("it has one");
                let ahead = (address.clone(), Some(right.clone()));
                let machine = tokio::spawn(relay(listener, evil.clone(), ahead, trick));
                let stream = TcpStream::connect(place).await.expect("it listens");
                let (stream, own) = evil.connect_with(stream, version).await;
                let refused = join(Box::new(stream), own).await;
                assert_eq!(refused, Err(CloseReason::BadProof), "{version:?} {trick:?}");
                machine.abort();
            }
        }
    }
}

/// A proxy that ends TLS is a machine in the middle that the operator wants: the reflector behind it has no TLS.
#[tokio::test]
async fn a_client_joins_a_reflector_behind_a_proxy_that_ends_tls() {
    for workers in [1, 3] {
        let server = server(ServerConfig { workers, ..ServerConfig::default() });
        let ((proxy, _folder), listener) = (identity(), listen().await);
        let place = listener.local_addr().expect("it has one");
        let ahead = (server.local_addr().to_string(), None);
        let machine = tokio::spawn(relay(listener, proxy.clone(), ahead, Trick::Nothing));
        let stream = TcpStream::connect(place).await.expect("it listens");
        let (stream, own) = proxy.connect(stream).await;
        assert_eq!(join(Box::new(stream), own).await, Ok(()));
        machine.abort();
    }
}
