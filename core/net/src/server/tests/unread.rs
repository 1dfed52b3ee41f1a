//! Clients that do not read what they have asked for.

use tokio::time::{Instant, timeout_at};

use super::*;

/// More than a socket and the kernel take.
const POSTS: u64 = 300;
const POST: usize = 64_000;

/// A server that gives up a client after a short silence.
fn impatient(tls: bool) -> (Server, Trust, tempfile::TempDir) {
    let mut config = ServerConfig { workers: 1, ..Default::default() };
    config.reflector.silence_timeout = 2_000_000;
    config.reflector.rejoin_limit = 100_000;
    server_with(tls, config)
}

async fn say(socket: &mut Socket, message: &ClientMessage<'_>) {
    socket.send(Message::Binary(message.encode().into())).await.expect("it is open");
}

/// Fills the log of a session, and stays in it.
async fn fill(server: &Server, trust: &Trust) -> Socket {
    let (mut socket, challenge) = socket(server, trust).await;
    say(&mut socket, &joins(1, [1; 32], &challenge)).await;
    for counter in 1..=POSTS {
        let send = Send { counter, payload: &[7; POST] };
        say(&mut socket, &ClientMessage::Send(send)).await;
        // What comes back is read, so this client is not slow.
        loop {
            if let Message::Binary(bytes) = next(&mut socket).await
                && let Ok(ServerMessage::Event(event)) = ServerMessage::decode(&bytes)
            {
                assert_eq!(event.counter, counter);
                break;
            }
        }
    }
    socket
}

#[tokio::test]
async fn a_joiner_that_pings_and_never_reads_is_dropped() {
    for tls in [false, true] {
        let (server, trust, _folder) = impatient(tls);
        let mut sender = fill(&server, &trust).await;
        let (mut joiner, challenge) = socket(&server, &trust).await;
        say(&mut joiner, &joins(1, [2; 32], &challenge)).await;
        // The others see it leave when the server has dropped it. Meanwhile it gives signs of life.
        let mut views = 0;
        timeout(PATIENCE, async {
            loop {
                say(&mut sender, &ClientMessage::Ping(1)).await;
                // A ping that is not answered; when the server has closed the line this may fail.
                let _ = joiner.feed(Message::Ping(Vec::new().into())).await;
                let _ = timeout(Duration::from_millis(100), joiner.flush()).await;
                let end = Instant::now() + Duration::from_millis(100);
                while let Ok(message) = timeout_at(end, sender.next()).await {
                    let message = message.expect("the sender is not dropped");
                    let Ok(Message::Binary(bytes)) = message else { continue };
                    let Ok(ServerMessage::Views(change)) = ServerMessage::decode(&bytes) else {
                        continue;
                    };
                    views = views.max(change.active);
                    if !change.exited.is_empty() {
                        return;
                    }
                }
            }
        })
        .await
        .expect("it is dropped");
        assert_eq!(views, 2, "it had joined");
    }
}
