//! How a reflector uses a shared store: hands in requests, and waits to be woken for the answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::task::Wake;
use std::time::Duration;

use teatime_reflector::storage::{
    Answer, Append, Checkpoint, Record, RecordKind, Request, RoomId, Storage, StorageError, Stored,
    Ticket,
};
use teatime_store::{Disk, Key, Shared, Store};
use teatime_wire::SessionId;

pub(crate) type Result<T> = std::result::Result<T, StorageError>;

/// Counts how often it was woken.
#[derive(Default)]
struct Alarm {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        *self.rings.lock().expect("not poisoned") += 1;
        self.rung.notify_all();
    }
}

/// A handle of a shared store, and the answers that came.
pub(crate) struct Handle<D: Disk> {
    pub(crate) shared: Shared<D>,
    alarm: Arc<Alarm>,
    next: u64,
    answers: BTreeMap<Ticket, Result<Answer>>,
}

impl<D: Disk> Handle<D> {
    pub(crate) fn new(mut shared: Shared<D>) -> Self {
        let alarm = Arc::new(Alarm::default());
        shared.set_waker(alarm.clone().into());
        Self { shared, alarm, next: 0, answers: BTreeMap::new() }
    }

    /// Without threads.
    pub(crate) fn alone(store: Store<D>) -> Self {
        Self::new(Shared::new(store))
    }

    /// With threads.
    pub(crate) fn threaded(store: Store<D>) -> Self {
        Self::new(Shared::with_threads(store, None).expect("threads can be started"))
    }

    pub(crate) fn another(&self) -> Self {
        Self::new(self.shared.clone())
    }

    /// Hands in without flushing.
    pub(crate) fn submit(&mut self, request: Request) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        self.shared.submit(ticket, request);
        ticket
    }

    pub(crate) fn ask(&mut self, request: Request) -> Ticket {
        let ticket = self.submit(request);
        self.shared.flush();
        ticket
    }

    /// Takes the answers that are there. Each request is answered once.
    pub(crate) fn collect(&mut self) {
        while let Some((ticket, result)) = self.shared.completed() {
            let before = self.answers.insert(ticket, result);
            assert!(before.is_none(), "{ticket:?} was answered twice");
        }
    }

    /// The answer, if it is there.
    pub(crate) fn answer_now(&mut self, ticket: Ticket) -> Option<Result<Answer>> {
        self.collect();
        self.answers.get(&ticket).cloned()
    }

    /// The answer, when the store wakes the reflector for it.
    pub(crate) fn answer(&mut self, ticket: Ticket) -> Result<Answer> {
        loop {
            let before = *self.alarm.rings.lock().expect("not poisoned");
            if let Some(answer) = self.answer_now(ticket) {
                return answer;
            }
            let rings = self.alarm.rings.lock().expect("not poisoned");
            let wait = Duration::from_secs(20);
            let waited = self.alarm.rung.wait_timeout_while(rings, wait, |rings| *rings == before);
            assert!(!waited.expect("not poisoned").1.timed_out(), "no answer to {ticket:?}");
        }
    }

    fn done(&mut self, request: Request) -> Result<()> {
        let ticket = self.ask(request);
        self.answer(ticket).map(|answer| assert_eq!(answer, Answer::Done))
    }

    pub(crate) fn load(&mut self, key: Key) -> Result<Option<Stored>> {
        let ticket = self.ask(Request::Load(key));
        match self.answer(ticket)? {
            Answer::Loaded(stored) => Ok(stored),
            other => panic!("not what was loaded: {other:?}"),
        }
    }

    pub(crate) fn append(&mut self, append: Append) -> Result<()> {
        self.done(Request::Append(append))
    }

    pub(crate) fn checkpoint(&mut self, session: SessionId, seq: u64, bytes: &[u8]) -> Result<()> {
        self.done(checkpoint(session, seq, bytes))
    }

    pub(crate) fn persist(&mut self, room: RoomId, seq: u64, bytes: &[u8]) -> Result<()> {
        self.done(persist(room, seq, bytes))
    }

    /// Begins a session with this many records.
    pub(crate) fn begin(&mut self, session: SessionId, records: u64) {
        assert_eq!(self.load(Key::Session(session)), Ok(None));
        let all = (1..=records).map(|seq| record(seq, b"record")).collect();
        let begin = Some(b"head"[..].into());
        self.append(Append { session, begin, records: all }).expect("the disk works");
    }

    /// The sequence numbers of the checkpoint and of the records.
    pub(crate) fn shape(&mut self, session: SessionId) -> (Option<u64>, Vec<u64>) {
        let stored = self.load(Key::Session(session)).expect("readable").expect("it exists");
        let records = stored.records.iter().map(|record| record.seq).collect();
        (stored.checkpoint.map(|checkpoint| checkpoint.seq), records)
    }
}

pub(crate) fn record(seq: u64, bytes: &'static [u8]) -> Record {
    Record { seq, kind: RecordKind::Ordered, bytes: bytes.into() }
}

pub(crate) fn records(session: SessionId, records: impl IntoIterator<Item = Record>) -> Append {
    Append { session, begin: None, records: records.into_iter().collect() }
}

pub(crate) fn checkpoint(session: SessionId, seq: u64, bytes: &[u8]) -> Request {
    let checkpoint = Checkpoint { seq, bytes: bytes.to_vec().into() };
    Request::Checkpoint { session, checkpoint, previous: None }
}

pub(crate) fn persist(room: RoomId, seq: u64, bytes: &[u8]) -> Request {
    Request::Persist { room, checkpoint: Checkpoint { seq, bytes: bytes.to_vec().into() } }
}
