//! What is known of each session from whoever came there first, and what everybody must agree with.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use teatime::{ModelId, StateHash};
use teatime_session::{ConnectionState, DisconnectReason, SessionEvent};
use teatime_wire::ServerMessage;

use super::participant::Participant;
use super::report::{Invariant, Report};
use super::world::Outcome;

/// Most bytes of logs and snapshots: the log asks for a snapshot at 40 messages, and where none can be had
/// it grows only as long as faults keep the clients from voting.
const MOST_LOG_BYTES: u64 = 1024 * 1024;

#[derive(Default)]
pub(super) struct Oracle {
    rooms: Vec<Room>,
    compared: u64,
    unanimous: u64,
    healed: u64,
    undone: u64,
    held: u64,
    entries: u64,
    /// What was stored may have been lost, as the operator has chosen: then sessions may go on with another
    /// timeline, and entries may be missing.
    lossy: bool,
    /// A majority has voted for a wrong state: what is compared from now on is compared with that.
    usurped: bool,
}

#[derive(Default)]
struct Room {
    timelines: BTreeMap<u64, Timeline>,
    /// How many agreed in the newest vote.
    agreed: u64,
}

#[derive(Default)]
struct Timeline {
    /// Each ordered message that somebody has got, as a hash of its bytes.
    messages: HashMap<u64, u64>,
    /// The hash of the state after each of them.
    hashes: HashMap<u64, StateHash>,
    newest: u64,
    /// What each position's failing handlers said.
    faults: BTreeMap<u64, String>,
}

impl Oracle {
    pub(super) fn new(rooms: usize) -> Self {
        Self { rooms: (0..rooms).map(|_| Room::default()).collect(), ..Self::default() }
    }

    pub(super) fn report(&self, report: &mut Report) {
        report.compared = self.compared;
        report.unanimous = self.unanimous;
        report.healed = self.healed;
        report.undone = self.undone;
        report.held = self.held;
        report.entries = self.entries;
    }

    /// A power cut has hit a reflector that does not store durably.
    pub(super) fn may_lose(&mut self) {
        self.lossy = true;
    }

    /// Somebody gets a frame. What anybody has got as a message stays that message, whatever happens to the
    /// reflector.
    pub(super) fn saw(&mut self, one: &mut Participant, frame: &[u8]) -> Outcome {
        let room = &mut self.rooms[one.room];
        let seq = match ServerMessage::decode(frame) {
            Ok(ServerMessage::Welcome(welcome)) => {
                if one.timeline != welcome.timeline {
                    (one.timeline, one.told) = (welcome.timeline, 0);
                }
                if !welcome.resumed && one.diverged.take().is_some() {
                    // It loads the log again, for whatever reason.
                    one.was_wrong = true;
                }
                room.timelines.entry(welcome.timeline).or_default();
                if room.timelines.len() > 1 && !self.lossy {
                    return Err((Invariant::Durability, "a session has begun anew".into()));
                }
                return Ok(());
            }
            Ok(ServerMessage::Event(event)) => event.seq,
            Ok(ServerMessage::Views(views)) => views.seq,
            Ok(ServerMessage::VoteRequest(vote)) => vote.seq,
            _ => return Ok(()),
        };
        let mut hasher = DefaultHasher::new();
        frame.hash(&mut hasher);
        let digest = hasher.finish();
        let timeline = room.timelines.entry(one.timeline).or_default();
        if *timeline.messages.entry(seq).or_insert(digest) != digest {
            return Err((Invariant::Durability, format!("message {seq} has become another one")));
        }
        Ok(())
    }

    /// Whether a run is to be counted in full.
    pub(super) fn is_lossy(&self) -> bool {
        self.lossy
    }

    /// Whether nothing can be said any more about what is right.
    pub(super) fn is_usurped(&self) -> bool {
        self.usurped
    }

    /// Votes of the past do not count.
    pub(super) fn forget_votes(&mut self) {
        self.rooms.iter_mut().for_each(|room| room.agreed = 0);
    }

    /// How many agreed in the newest vote of a room.
    pub(super) fn agreed(&self, room: usize) -> u64 {
        self.rooms[room].agreed
    }

    pub(super) fn check_memory(&self, bytes: u64) -> Outcome {
        if bytes > MOST_LOG_BYTES * self.rooms.len() as u64 {
            return Err((Invariant::Memory, format!("{bytes} bytes of logs and snapshots")));
        }
        Ok(())
    }

    /// Whoever reaches a position must have the state that the first one had there.
    pub(super) fn compare(
        &mut self,
        now: u64,
        at: usize,
        one: &mut Participant,
        moved: bool,
    ) -> Outcome {
        let told = one.client.external_now().as_micros();
        if told < one.told {
            let what = format!("client {at}: time went from {} to {told}", one.told);
            return Err((Invariant::Monotony, what));
        }
        one.told = told;
        if one.diverged.is_some_and(|until| now > until) {
            let what = format!("client {at} diverged, and nobody has told it");
            return Err((Invariant::Healing, what));
        }
        let Some(vm) = one.client.vm().filter(|_| moved) else { return Ok(()) };
        let (seq, hash) = (vm.seq(), vm.hash().expect("it can be saved"));
        let room = self.rooms[one.room].timelines.entry(one.timeline).or_default();
        match (room.hashes.get(&seq), one.diverged) {
            (Some(known), Some(_)) => {
                if *known == hash {
                    // It has run that turn once more, with another one that was undone.
                    one.diverged = None;
                }
            }
            (None, Some(_)) => {}
            (Some(known), None) if *known != hash => {
                let what = format!("client {at} has another state after message {seq}");
                return Err((Invariant::Agreement, what));
            }
            (Some(_), None) => self.compared += 1,
            (None, None) => {
                room.hashes.insert(seq, hash);
                room.newest = room.newest.max(seq);
            }
        }
        Ok(())
    }

    /// Hears what a client tells its owner. True if the client is over.
    pub(super) fn take_events(
        &mut self,
        at: usize,
        one: &mut Participant,
    ) -> Result<bool, (Invariant, String)> {
        let mut over = false;
        while let Some(event) = one.client.poll_event() {
            match event {
                SessionEvent::Fault(fault) => {
                    let what = format!("client {at}: {fault}");
                    if !fault.handler.ends_with("poison") {
                        return Err((Invariant::Faults, what));
                    }
                    let said = (fault.time, fault.sender, fault.kind);
                    let said = format!("{said:?}");
                    self.undone += 1;
                    let timelines = &mut self.rooms[one.room].timelines;
                    let faults = &mut timelines.entry(one.timeline).or_default().faults;
                    let known = faults.entry(fault.seq).or_insert(said.clone());
                    if *known != said {
                        return Err((Invariant::Faults, format!("{what}, but others: {known}")));
                    }
                }
                SessionEvent::State { seq, hash, .. } => one.voted = Some((seq, hash)),
                SessionEvent::Verdict { seq, agreed, of, hash } => {
                    let is_that = |(of, _): &(u64, StateHash)| *of == seq && seq > one.wrong_after;
                    let own = one.voted.filter(is_that).map(|(_, hash)| hash.0);
                    if one.diverged.is_some() && own.is_some() && own == hash.map(|hash| hash.0) {
                        // Alone, everybody else having been away for so long, it is right by definition.
                        // With others it has run that turn once more, with another one that was undone.
                        self.usurped |= agreed == 1;
                        one.diverged = None;
                    }
                    self.unanimous += u64::from(agreed == of && hash.is_some());
                    self.rooms[one.room].agreed = if hash.is_some() { agreed.into() } else { 0 };
                }
                // Without a majority those who are right may have to load the log, too.
                SessionEvent::Connection(_, Some(DisconnectReason::Diverged)) => {
                    one.was_wrong |= one.diverged.take().is_some();
                }
                SessionEvent::Diverged(_) => {
                    if one.diverged.take().is_none() && !one.was_wrong && !one.lies {
                        let what = format!("client {at} was told that it diverged");
                        return Err((Invariant::Healing, what));
                    }
                    one.was_wrong = false;
                    self.healed += 1;
                }
                SessionEvent::Connection(ConnectionState::Failed, reason) => {
                    if !one.lies {
                        let what = format!("client {at} failed: {reason:?}");
                        return Err((Invariant::Innocence, what));
                    }
                    over = true;
                }
                SessionEvent::Held(true) => self.held += 1,
                _ => {}
            }
        }
        Ok(over)
    }

    /// Nothing that was accepted is lost, and nothing that was seen.
    pub(super) fn check_the_end(&mut self, at: usize, one: &Participant) -> Outcome {
        let Some(vm) = one.client.vm() else {
            return Err((Invariant::Liveness, format!("client {at} is live and has no model")));
        };
        let ask = |name: &str, argument: &[u8]| -> Result<u64, (Invariant, String)> {
            let answer = vm.query(ModelId::ROOT, name, argument);
            let number = answer.map_err(|error| error.to_string());
            let number = number.and_then(|answer| answer.get().map_err(|error| error.to_string()));
            number.map_err(|error| (Invariant::Ledger, format!("client {at}: {name}: {error}")))
        };
        let nil = [0xc0];
        let violations = ask("violations", &nil)?;
        let gaps = if self.lossy { 0 } else { ask("gaps", &nil)? };
        if violations + gaps > 0 {
            return Err((
                Invariant::Ledger,
                format!("client {at}: {violations} violations, {gaps} gaps"),
            ));
        }
        let view = teatime::to_bytes(&one.client.view_id()).expect("an id is bytes");
        if ask("newest", &view)? != one.sent && !self.lossy {
            return Err((Invariant::Ledger, format!("client {at}: an accepted entry is lost")));
        }
        self.entries += ask("entries", &nil)?;
        let timeline = self.rooms[one.room].timelines.get(&one.timeline);
        let newest = timeline.map_or(0, |timeline| timeline.newest);
        if vm.seq() < newest {
            let what = format!("client {at} is before message {newest}");
            return Err((Invariant::Durability, what));
        }
        Ok(())
    }
}
