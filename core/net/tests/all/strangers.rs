//! Strangers who only join, and those who store as much as they can, on a server with storage and several threads.

use futures_util::StreamExt;
use futures_util::future::join_all;
use teatime_net::server::{ServerConfig, SharedStorage};
use teatime_store::{Config, Durability, MemoryDisk, MemoryStore, Shared};
use teatime_wire::{ClientMessage, CloseReason, Hold, Send, ServerMessage};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{PATIENCE, Socket, join, say, server};

fn store(disk: &MemoryDisk) -> Shared<MemoryDisk> {
    let config = Config { durability: Durability::Process, ..Config::default() };
    Shared::new(MemoryStore::open(disk.clone(), config).expect("a store"))
}

fn config(storage: SharedStorage) -> ServerConfig {
    let storage = Some(storage);
    ServerConfig { storage, workers: 4, limit_loopback: true, ..ServerConfig::default() }
}

#[derive(Debug, PartialEq, Eq)]
enum Posted {
    Ordered,
    /// Ordered, and then the sender is asked to pause.
    Held,
    Closed(Option<CloseReason>),
}

/// Posts, and waits for what becomes of it.
async fn post(socket: &mut Socket, counter: u64, bytes: usize) -> Posted {
    say(socket, &ClientMessage::Send(Send { counter, payload: &vec![7; bytes] })).await;
    say(socket, &ClientMessage::Ping(counter)).await;
    let (mut is_ordered, mut is_held, mut is_answered) = (false, false, false);
    let outcome = async {
        while !(is_ordered && is_answered) {
            match socket.next().await {
                Some(Ok(Message::Binary(frame))) => {
                    match ServerMessage::decode(&frame).expect("it is a message") {
                        ServerMessage::Event(event) => is_ordered |= event.counter == counter,
                        ServerMessage::Pong(number) => is_answered |= number == counter,
                        ServerMessage::Hold(hold) => is_held = hold == Hold::Pause,
                        _ => {}
                    }
                }
                Some(Ok(Message::Close(close))) => {
                    let reason = close.map(|close| u16::from(close.code));
                    return Posted::Closed(reason.and_then(CloseReason::from_code));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Posted::Closed(None),
            }
        }
        if is_held { Posted::Held } else { Posted::Ordered }
    };
    timeout(PATIENCE, outcome).await.expect("something becomes of it")
}

#[tokio::test]
async fn a_flood_of_joins_to_sessions_of_their_own_writes_nothing() {
    let disk = MemoryDisk::default();
    let first = store(&disk);
    let server_ = server(config(SharedStorage::new(first.clone())));
    let all = join_all((1..=200).map(|session| join(&server_, session, 1))).await;
    assert!(first.infos().is_empty(), "{:?}", first.infos());
    drop(all);
    let mut one = join(&server_, 201, 1).await;
    assert!(first.infos().is_empty());
    assert_eq!(post(&mut one, 1, 10).await, Posted::Ordered);
    assert_eq!(first.infos().len(), 1);
    drop(one);
    server_.shutdown();
    assert_eq!(first.infos().len(), 1);
    drop(first);
    // The session goes on: a client finds the join and the event in its log.
    let second = store(&disk);
    let server_ = server(config(SharedStorage::new(second.clone())));
    let mut again = join(&server_, 201, 2).await;
    assert_eq!(post(&mut again, 1, 10).await, Posted::Ordered);
    assert!(second.infos()[0].newest >= 3, "a join and two events");
}

#[tokio::test]
async fn an_address_that_has_stored_its_share_begins_no_more_sessions_also_after_a_restart() {
    let (disk, folder) = (MemoryDisk::default(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("SHARES");
    let start = || {
        let store = store(&disk);
        let storage = SharedStorage::new(store.clone()).with_shares(file.clone(), move || {
            store.infos().iter().map(|info| (info.key.holder(), info.bytes)).collect()
        });
        let mut config = config(storage);
        config.reflector.max_stored_bytes_per_address = 256 * 1024;
        server(config)
    };
    let first = start();
    let mut one = join(&first, 1, 1).await;
    let mut counter = 1;
    while post(&mut one, counter, 20_000).await == Posted::Ordered {
        counter += 1;
        assert!(counter < 20, "it may store more than its share");
    }
    // On another thread of the server.
    for session in 2..6 {
        let mut more = join(&first, session, 1).await;
        assert_eq!(post(&mut more, 1, 10).await, Posted::Closed(Some(CloseReason::Full)));
    }
    drop(one);
    first.shutdown();
    let second = start();
    let mut more = join(&second, 6, 1).await;
    assert_eq!(post(&mut more, 1, 10).await, Posted::Closed(Some(CloseReason::Full)));
    second.shutdown();
    // Without the file nothing is known, so nothing counts.
    std::fs::remove_file(&file).expect("it was written");
    let third = start();
    let mut more = join(&third, 6, 1).await;
    assert_eq!(post(&mut more, 1, 10).await, Posted::Ordered);
}
