//! The reflector's storage: a store on a disk in memory. It may answer late, fail late, or stay silent.

use std::collections::BTreeMap;

use teatime_reflector::storage::{
    Answer, Completion, Key, Opened, RecordKind, Request, Storage, StorageError, Ticket,
};
use teatime_store::{MemoryDisk, Shared};

use crate::planted::Bug;

/// A slow storage answers within this time, in µs.
const LATEST: u64 = 2_000_000;

/// With the planted bug [`Bug::SendsBeforeStoring`] a storage acknowledges this many appends before it writes them.
const UNWRITTEN: usize = 100;

/// What the storage does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It carries out each request at once.
    Prompt,
    /// It carries out each request after a random time.
    Late,
    /// After a random time each, half of the requests fail.
    FailsLate,
    /// It carries out no request before the mood ends.
    Silent,
}

/// A request that waits, in the order of submission.
enum Waiting {
    Request { ticket: Ticket, request: Request, fails: bool },
    Release(Key),
}

pub(crate) struct SlowStorage {
    store: Shared<MemoryDisk>,
    bug: Option<Bug>,
    mood: Mood,
    until: u64,
    dice: u64,
    /// By the time at which they are carried out, and their numbers.
    waiting: BTreeMap<(u64, u64), Waiting>,
    next: u64,
    /// When the newest request of each key is carried out. No later request of the key overtakes it.
    newest: BTreeMap<Key, u64>,
    answers: Vec<Completion>,
    /// Appends that were acknowledged and not written: a planted bug.
    unwritten: Vec<Request>,
}

impl SlowStorage {
    pub(crate) fn new(store: Shared<MemoryDisk>, bug: Option<Bug>) -> Self {
        let (waiting, newest) = (BTreeMap::new(), BTreeMap::new());
        let (answers, unwritten) = (Vec::new(), Vec::new());
        let (mood, until, dice, next) = (Mood::Prompt, 0, 0, 0);
        Self { store, bug, mood, until, dice, waiting, next, newest, answers, unwritten }
    }

    pub(crate) fn opened(&self) -> Opened {
        self.store.opened()
    }

    /// Puts the storage in a mood until then.
    pub(crate) fn set_mood(&mut self, mood: Mood, until: u64, dice: u64) {
        (self.mood, self.until, self.dice) = (mood, until, dice);
    }

    pub(crate) fn submit(&mut self, now: u64, ticket: Ticket, request: Request) {
        let key = match &request {
            Request::Append(append) => Key::Session(append.session),
            Request::Load(key) => *key,
            Request::Claims(room) | Request::Persist { room, .. } => Key::Room(*room),
            Request::Checkpoint { session, .. }
            | Request::Proven { session, .. }
            | Request::GoBack { session, .. } => Key::Session(*session),
        };
        let (due, fails) = self.fate(now);
        self.wait(key, due, Waiting::Request { ticket, request, fails });
    }

    pub(crate) fn release(&mut self, now: u64, key: Key) {
        self.wait(key, now, Waiting::Release(key));
    }

    fn wait(&mut self, key: Key, due: u64, waiting: Waiting) {
        let newest = self.newest.entry(key).or_default();
        *newest = due.max(*newest);
        self.waiting.insert((*newest, self.next), waiting);
        self.next += 1;
    }

    /// When a request is carried out that arrives now, and whether it then fails.
    fn fate(&mut self, now: u64) -> (u64, bool) {
        if now >= self.until {
            self.mood = Mood::Prompt;
        }
        self.dice =
            self.dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let dice = self.dice >> 33;
        match self.mood {
            Mood::Prompt => (now, false),
            Mood::Late => (now + dice % LATEST, false),
            Mood::FailsLate => (now + dice % LATEST, dice & (1 << 30) != 0),
            Mood::Silent => (self.until, false),
        }
    }

    /// When the next request is carried out.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// Carries out all requests that are due. Returns the answers.
    pub(crate) fn run(&mut self, now: u64) -> Vec<Completion> {
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Waiting::Release(key) => {
                    self.write_late();
                    self.store.release(key);
                }
                Waiting::Request { ticket, fails: true, .. } => {
                    let why = StorageError::Io("the storage failed after a while".into());
                    self.answers.push((ticket, Err(why)));
                }
                Waiting::Request { ticket, request, .. } => self.carry_out(ticket, request),
            }
        }
        self.store.flush();
        while let Some(answer) = self.store.completed() {
            self.answers.push(answer);
        }
        std::mem::take(&mut self.answers)
    }

    fn carry_out(&mut self, ticket: Ticket, mut request: Request) {
        if let Request::Append(append) = &mut request {
            if self.bug == Some(Bug::ForgetsTime) {
                append.records.retain(|record| record.kind != RecordKind::Time);
            }
            if self.bug == Some(Bug::SendsBeforeStoring) {
                self.unwritten.push(request);
                self.answers.push((ticket, Ok(Answer::Done)));
                if self.unwritten.len() >= UNWRITTEN {
                    self.write_late();
                }
                return;
            }
        }
        self.write_late();
        self.store.submit(ticket, request);
    }

    /// Writes the appends that were acknowledged before: a planted bug.
    fn write_late(&mut self) {
        for request in std::mem::take(&mut self.unwritten) {
            // The reflector ignores the answer: it never draws this ticket.
            self.store.submit(Ticket(u64::MAX), request);
        }
    }
}
