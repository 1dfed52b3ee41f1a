//! A stranger who knows all that a join carries, but for the password, never disturbs the owners of a session.

use teatime::server::{Server, ServerConfig, SharedStorage};
use teatime_store::{Config, Durability, MemoryDisk, MemoryStore, Shared};
use teatime_wire::{Digest, Join, SecretKey};

use crate::support::socket::{Heard, Socket};

const OWN: Digest = Digest([8; 32]);

/// The key of the password of this number.
fn password(number: u8) -> SecretKey {
    SecretKey::of_password(&[number; 32])
}

/// The number of the password of the owners, and of another.
const RIGHT: u8 = 8;
const WRONG: u8 = 9;

/// A join with the keys that prove it.
struct Attempt {
    join: Join<'static>,
    view: SecretKey,
    password: Option<SecretKey>,
}

impl Attempt {
    fn new(name: Digest, version: u32, secret: [u8; 32], number: Option<u8>) -> Self {
        let (view, password) = (SecretKey::of_view(&secret), number.map(password));
        let join = Join {
            protocol: 1,
            program: OWN,
            name,
            version,
            view_key: view.public(),
            password_key: password.as_ref().map(SecretKey::public),
            view_data: None,
            ticks_per_second: 1,
            attempt: 1,
            resume: None,
            agent: "test",
        };
        Self { join, view, password }
    }

    async fn make(self, url: &str) -> Socket {
        Socket::join_as(url, self.join, &self.view, self.password.as_ref()).await
    }
}

fn owner(view: u8) -> Attempt {
    Attempt::new(OWN, 1, [view; 32], Some(RIGHT))
}

/// Every join with the program of the owners that a stranger without their password can prove. The names lead to all four
/// workers. Each round has views of its own.
fn attempts(round: u8) -> Vec<Attempt> {
    let mut all = Vec::new();
    for name in [OWN, Digest([5; 32]), Digest([6; 32]), Digest([7; 32]), Digest([12; 32])] {
        for (version, number) in [(1, None), (1, Some(WRONG)), (2, None), (2, Some(WRONG))] {
            let mut secret = [round; 32];
            secret[0] = 100 + all.len() as u8;
            all.push(Attempt::new(name, version, secret, number));
        }
    }
    all
}

/// Tries everything. Returns the connections that are in some session, in which each has posted an event.
async fn try_all(url: &str, round: u8) -> Vec<Socket> {
    let mut inside = Vec::new();
    for attempt in attempts(round) {
        let is_session_of_owners = attempt.join.session() == owner(0).join.session();
        let mut socket = attempt.make(url).await;
        match socket.hear().await {
            Heard::Welcome(_) => {
                assert!(!is_session_of_owners, "a stranger is in");
                assert!(socket.post(b"strange").await);
                inside.push(socket);
            }
            other => panic!("{other:?}"),
        }
    }
    inside
}

/// An owner joins, and finds the event of the owners as the only one.
async fn owner_finds_its_event(url: &str, view: u8) -> Socket {
    let mut socket = owner(view).make(url).await;
    let found = socket.wait_for(|heard| match heard {
        Heard::Event(_, payload) => Some(payload.clone()),
        _ => None,
    });
    assert_eq!(found.await, b"own");
    socket
}

#[tokio::test]
async fn a_stranger_with_any_join_but_the_right_one_never_disturbs_the_owners_of_a_session() {
    for is_stored in [false, true] {
        let disk = MemoryDisk::default();
        let server = || {
            let config = Config { durability: Durability::Process, ..Config::default() };
            let storage = is_stored.then(|| {
                let store = MemoryStore::open(disk.clone(), config).expect("a store");
                SharedStorage::new(Shared::new(store))
            });
            let config = ServerConfig { storage, workers: 4, ..ServerConfig::default() };
            Server::bind("127.0.0.1:0", config).expect("there is a free port")
        };
        let first = server();
        let url = first.url();
        let mut one = owner(1).make(&url).await;
        assert!(one.post(b"own").await);
        one.wait_for(|heard| matches!(heard, Heard::Event(..)).then_some(())).await;
        // While an owner is there, and while none is.
        let before = try_all(&url, 1).await;
        let two = owner_finds_its_event(&url, 2).await;
        drop((one, two));
        let meanwhile = try_all(&url, 2).await;
        assert!(!before.is_empty() && !meanwhile.is_empty());
        drop(owner_finds_its_event(&url, 3).await);
        drop((before, meanwhile));
        if is_stored {
            first.shutdown();
            // Strangers come first, and each thread has the chance to take the session.
            let second = server();
            let inside = try_all(&second.url(), 3).await;
            owner_finds_its_event(&second.url(), 4).await;
            drop(inside);
        }
    }
}
