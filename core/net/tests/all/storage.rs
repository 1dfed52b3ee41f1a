//! A storage that takes its time holds up nothing but the session that waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::support::{close_code, connect, join, join_over, say, server, session_of, wait_for};
use teatime_net::server::{ReflectorConfig, Server, ServerConfig, SharedStorage};
use teatime_reflector::storage::{
    Answer, Claims, Completion, Key, Request, Storage, Stored, Ticket,
};
use teatime_wire::{ClientMessage, CloseReason, Send, ServerMessage};

/// The session whose appends are slow.
const SLOW: u8 = 1;

/// How long one append of it takes.
const DELAY: Duration = Duration::from_millis(400);

/// Answers everything at once but the appends of one session: these on a thread of their own, or never.
#[derive(Clone, Default)]
struct Disk {
    stored: Arc<Mutex<HashMap<Key, Stored>>>,
    inbox: Arc<Mutex<Inbox>>,
    is_stuck: Arc<Mutex<bool>>,
}

#[derive(Default)]
struct Inbox {
    answers: Vec<Completion>,
    waker: Option<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics with it")
}

impl Disk {
    fn carry_out(&self, request: Request) -> Answer {
        let mut stored = lock(&self.stored);
        match request {
            Request::Append(append) => {
                let session = stored.entry(Key::Session(append.session)).or_default();
                if let Some(head) = append.begin {
                    *session = Stored { head, ..Stored::default() };
                }
                session.records.extend(append.records);
                Answer::Done
            }
            Request::Load(key) => Answer::Loaded(stored.get(&key).cloned()),
            Request::Claims(_) => Answer::Claims(Claims::default()),
            Request::Checkpoint { .. }
            | Request::Proven { .. }
            | Request::GoBack { .. }
            | Request::Persist { .. } => Answer::Done,
        }
    }
}

impl Storage for Disk {
    fn set_waker(&mut self, waker: Waker) {
        lock(&self.inbox).waker = Some(waker);
    }

    fn submit(&mut self, ticket: Ticket, request: Request) {
        let is_slow = matches!(&request, Request::Append(one) if one.session == session_of(SLOW));
        if !is_slow {
            let answer = self.carry_out(request);
            lock(&self.inbox).answers.push((ticket, Ok(answer)));
        } else if !*lock(&self.is_stuck) {
            let disk = self.clone();
            std::thread::spawn(move || {
                std::thread::sleep(DELAY);
                let answer = disk.carry_out(request);
                let mut inbox = lock(&disk.inbox);
                inbox.answers.push((ticket, Ok(answer)));
                inbox.waker.iter().for_each(Waker::wake_by_ref);
            });
        }
    }

    fn flush(&mut self) {}

    fn completed(&mut self) -> Option<Completion> {
        let mut inbox = lock(&self.inbox);
        if inbox.answers.is_empty() { None } else { Some(inbox.answers.remove(0)) }
    }

    fn release(&mut self, _: Key) {}
}

fn over(disk: &Disk, reflector: ReflectorConfig) -> Server {
    let storage = Some(SharedStorage::new(disk.clone()));
    server(ServerConfig { workers: 1, storage, reflector, ..ServerConfig::default() })
}

fn post(counter: u64) -> ClientMessage<'static> {
    ClientMessage::Send(Send { counter, payload: b"post" })
}

fn is_event(message: &ServerMessage<'_>) -> bool {
    matches!(message, ServerMessage::Event(_))
}

#[tokio::test]
async fn a_slow_append_of_one_session_does_not_delay_another_one_of_the_same_thread() {
    let disk = Disk::default();
    let server = over(&disk, ReflectorConfig::default());
    let mut slow = join(&server, SLOW, 1).await;
    let mut quick = join(&server, 2, 1).await;
    let begun = Instant::now();
    say(&mut slow, &post(1)).await;
    let mut longest = Duration::ZERO;
    for counter in 1..=100 {
        let sent = Instant::now();
        say(&mut quick, &post(counter)).await;
        wait_for(&mut quick, is_event).await;
        longest = longest.max(sent.elapsed());
    }
    // A hundred round trips, and none of them waited for the other session.
    assert!(longest < DELAY / 2, "{longest:?}");
    wait_for(&mut slow, is_event).await;
    assert!(begun.elapsed() >= DELAY, "an event left before it was stored");
    server.shutdown();
    let events = |session: u8| {
        let stored = lock(&disk.stored);
        stored[&Key::Session(session_of(session))].records.iter().filter(|one| one.is_use()).count()
    };
    assert_eq!((events(SLOW), events(2)), (1, 100));
}

#[tokio::test]
async fn a_storage_that_never_answers_closes_its_clients_and_does_not_keep_the_server_from_ending()
{
    let disk = Disk::default();
    let reflector = ReflectorConfig { storage_timeout: 700_000, ..ReflectorConfig::default() };
    let server = over(&disk, reflector);
    let mut stuck = join(&server, SLOW, 1).await;
    let mut other = join(&server, 2, 1).await;
    *lock(&disk.is_stuck) = true;
    say(&mut stuck, &post(1)).await;
    assert_eq!(close_code(&mut stuck).await, Some(CloseReason::NotStored));
    say(&mut other, &post(1)).await;
    wait_for(&mut other, is_event).await;
    // One that waits for the outcome does not keep the server, either.
    let waiting = connect(&server).await;
    let waits = tokio::spawn(join_over(waiting, SLOW, 2));
    let begun = Instant::now();
    tokio::task::spawn_blocking(move || server.shutdown()).await.expect("it ends");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(waits.await.is_err(), "nothing lets it in");
}
