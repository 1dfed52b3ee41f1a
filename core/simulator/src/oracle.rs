//! What is known of each session from whoever came there first, and what everybody must agree with.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use teatime_session::{ConnectionState, DisconnectReason, SessionEvent};
use teatime_vm::{StateHash, ViewId};
use teatime_wire::ServerMessage;

use super::clash::Clash;
use super::network::Sizes;
use super::participant::Participant;
use super::report::{Invariant, Report, Wrong};
use super::scenario::{End, Event, Scenario};
use super::twin::cannot_be_saved;

/// Most bytes of logs and snapshots where events and states are small: the log asks for a snapshot at 40 messages,
/// and where none can be had it grows only as long as faults keep the clients from voting.
const MOST_LOG_BYTES: u64 = 1024 * 1024;

/// Most bytes of states that are kept of a session, to say how another one differs.
const MOST_STATE_BYTES: usize = 1024 * 1024;

/// The same of the oldest states of a run that is remembered: when it is played again, the first that is another one is
/// told, and for a clock that is an early one. There is only one such run.
const MOST_REMEMBERED_BYTES: usize = 64 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Oracle<'a> {
    rooms: Vec<Room>,
    time: Time<'a>,
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

/// Which time it is that a plan is played.
#[derive(Clone, Copy, Default)]
pub(crate) enum Time<'a> {
    /// The only one.
    #[default]
    Only,
    /// The first of two.
    First,
    /// The second, with what was known after the first.
    Second(&'a Memory),
}

/// What is known of a run once it is over.
pub(crate) struct Memory(Vec<Room>);

#[derive(Default)]
struct Room {
    timelines: BTreeMap<u64, Timeline>,
    /// How many agreed in the newest vote.
    agreed: u64,
    /// Something else has been sent than when the plan was played before: nothing can be compared with that any more.
    is_other: bool,
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
    /// What the events are: who has sent each, and the counter by which.
    events: BTreeMap<u64, (ViewId, u64)>,
    /// The newest states that are known, who had each first.
    states: VecDeque<(u64, usize, Arc<Vec<u8>>)>,
    states_bytes: usize,
    /// The oldest ones, if the run is to be played again.
    first_states: Vec<(u64, usize, Arc<Vec<u8>>)>,
    first_bytes: usize,
}

type Outcome = Result<(), (Invariant, String)>;

impl<'a> Oracle<'a> {
    pub(super) fn new(rooms: usize, time: Time<'a>) -> Self {
        Self { rooms: (0..rooms).map(|_| Room::default()).collect(), time, ..Self::default() }
    }

    pub(super) fn into_memory(self) -> Memory {
        Memory(self.rooms)
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
            Ok(ServerMessage::Event(event)) => {
                let sender = (event.sender, event.counter);
                let timeline = room.timelines.entry(one.timeline).or_default();
                timeline.events.entry(event.seq).or_insert(sender);
                event.seq
            }
            Ok(ServerMessage::Views(views)) => views.seq,
            Ok(ServerMessage::VoteRequest(vote)) => vote.seq,
            _ => return Ok(()),
        };
        let mut hasher = DefaultHasher::new();
        frame.hash(&mut hasher);
        let digest = hasher.finish();
        let then = self.time.first().and_then(|first| first.timeline(one));
        room.is_other |= then.is_some_and(|then| then.messages.get(&seq) != Some(&digest));
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

    pub(super) fn check_memory(&self, bytes: u64, sizes: Sizes) -> Outcome {
        // While one snapshot is stored, the one before it is still there; what is persisted stands in each of them, and
        // once more behind it. What a session begins with is there for itself, and like that in the older one's.
        let large = 4 * sizes.state as u64 + 3 * sizes.begun as u64;
        let most = MOST_LOG_BYTES * sizes.times() as u64 + large;
        if bytes > most * self.rooms.len() as u64 {
            return Err((Invariant::Memory, format!("{bytes} bytes of logs and snapshots")));
        }
        Ok(())
    }

    /// Whoever reaches a position must have the state that the first one had there.
    pub(super) fn compare(
        &mut self,
        now: u64,
        at: usize,
        all: &mut [Participant],
        moved: bool,
    ) -> Result<Option<Arc<Vec<u8>>>, Wrong> {
        // The verdict may have come in the same step as the message that is compared.
        if self.usurped {
            return Ok(None);
        }
        let one = &mut all[at];
        let told = one.client.external_now().as_micros();
        if told < one.told {
            let what = format!("participant {}: time went from {} to {told}", at + 1, one.told);
            return Err(Wrong::new(Invariant::Monotony, what));
        }
        one.told = told;
        if one.diverged.is_some_and(|until| now > until) {
            let what = format!("participant {} diverged, and nobody has told it", at + 1);
            return Err(Wrong::new(Invariant::Healing, what));
        }
        let Some(vm) = one.client.vm().filter(|_| moved) else { return Ok(None) };
        let snapshot = Arc::new(vm.snapshot().map_err(cannot_be_saved)?);
        let (seq, hash) = (vm.seq(), StateHash::of(&snapshot));
        let then = self.time.first().filter(|_| !self.rooms[one.room].is_other);
        let then = then.and_then(|first| first.timeline(one));
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
                return Err(self.disagreement(at, all, seq, &snapshot));
            }
            (Some(_), None) => self.compared += 1,
            (None, None) if then.is_some_and(|then| then.is_other(seq, hash)) => {
                return Err(self.another_state(at, all, seq, &snapshot, then));
            }
            (None, None) => {
                room.hashes.insert(seq, hash);
                room.newest = room.newest.max(seq);
                if matches!(self.time, Time::First) {
                    room.remember_first(seq, at, snapshot.clone());
                }
                room.remember(seq, at, snapshot.clone());
            }
        }
        Ok(Some(snapshot))
    }

    /// Says which model and field differ, if the other state is still there.
    fn disagreement(&self, at: usize, all: &[Participant], seq: u64, own: &[u8]) -> Wrong {
        let one = &all[at];
        let Some(timeline) = self.rooms[one.room].timelines.get(&one.timeline) else {
            return Wrong::new(Invariant::Agreement, "");
        };
        let after = timeline.after(seq, all);
        let Some((first, state)) = timeline.state(seq) else {
            let what = format!("participant {} has another state than others, {after}", at + 1);
            return Wrong::new(Invariant::Agreement, what);
        };
        let (here, there) =
            (format!("participant {}", at + 1), format!("participant {}", first + 1));
        let app = &one.client.config().app;
        let clash = Clash::of(app, (here, own), (there, state), &after);
        Wrong { clash: Some(Box::new(clash)), ..Wrong::new(Invariant::Agreement, "") }
    }

    /// The same for somebody who is first at a position, and had another state there when the plan was played before.
    fn another_state(
        &self,
        at: usize,
        all: &[Participant],
        seq: u64,
        own: &[u8],
        then: Option<&Timeline>,
    ) -> Wrong {
        let one = &all[at];
        let now = self.rooms[one.room].timelines.get(&one.timeline);
        let after = now.map_or_else(String::new, |now| now.after(seq, all));
        let Some((_, state)) = then.and_then(|then| then.state(seq)) else {
            return Wrong::new(Invariant::Again, after);
        };
        let here = (format!("participant {}", at + 1), own);
        let there = ("when the seed was played first".to_owned(), state);
        let clash = Clash::of(&one.client.config().app, here, there, &after);
        Wrong { clash: Some(Box::new(clash)), ..Wrong::new(Invariant::Again, "") }
    }

    /// Hears what a client tells its owner. True if the client is over.
    pub(super) fn take_events(
        &mut self,
        scenario: &dyn Scenario,
        at: usize,
        one: &mut Participant,
    ) -> Result<bool, (Invariant, String)> {
        let mut over = false;
        while let Some(event) = one.client.poll_event() {
            match event {
                SessionEvent::Fault(fault) => {
                    let what = format!("participant {}: {fault}", at + 1);
                    if !scenario.allows(&fault) {
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
                        let what = format!("participant {} was told that it diverged", at + 1);
                        return Err((Invariant::Healing, what));
                    }
                    one.was_wrong = false;
                    self.healed += 1;
                }
                SessionEvent::Connection(ConnectionState::Failed, reason) => {
                    if let Some(DisconnectReason::BadSnapshot(why)) = &reason {
                        let what = format!("participant {} cannot restore it: {why}", at + 1);
                        return Err((Invariant::Snapshot, what));
                    }
                    if let Some(
                        why @ (DisconnectReason::Model(_) | DisconnectReason::Migration(_)),
                    ) = &reason
                    {
                        let what = format!("participant {} cannot begin: {why}", at + 1);
                        return Err((Invariant::Start, what));
                    }
                    if !one.lies {
                        let what = format!("participant {} failed: {reason:?}", at + 1);
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

    /// Nothing that was accepted is lost or doubled, nothing that was seen, and the app is content.
    pub(super) fn check_the_end(
        &mut self,
        scenario: &dyn Scenario,
        at: usize,
        all: &[Participant],
    ) -> Outcome {
        let one = &all[at];
        let Some(vm) = one.client.vm() else {
            return Err((
                Invariant::Liveness,
                format!("participant {} is live and has no model", at + 1),
            ));
        };
        let timeline = self.rooms[one.room].timelines.entry(one.timeline).or_default();
        let mut log = Vec::new();
        let mut newest = BTreeMap::new();
        for (view, counter) in timeline.events.values() {
            let before = newest.insert(*view, *counter).unwrap_or(0);
            // A liar may leave some out, and is thrown out for it.
            if *counter <= before {
                let what = format!("event {counter} of view {view} comes after its event {before}");
                return Err((Invariant::Delivery, what));
            }
            log.extend(event_of(all, (*view, *counter)).map(|(_, event)| event.clone()));
        }
        let view = one.client.view_id();
        let own = timeline.events.values().filter(|(sender, _)| *sender == view).count();
        if own != one.published.len() && !self.lossy {
            let accepted = one.published.len();
            let what = format!(
                "participant {}: {accepted} events were accepted, and {own} were delivered",
                at + 1
            );
            return Err((Invariant::Delivery, what));
        }
        if vm.seq() < timeline.newest {
            let what = format!("participant {} is before message {}", at + 1, timeline.newest);
            return Err((Invariant::Durability, what));
        }
        self.entries += log.len() as u64;
        let (own, is_lossy) = (&*one.published, self.lossy);
        let end = End { vm, view, own, log: &log, is_lossy };
        let said = |what| (Invariant::Check, format!("participant {}: {what}", at + 1));
        scenario.check(&end).map_err(said)
    }
}

impl<'a> Time<'a> {
    fn first(self) -> Option<&'a Memory> {
        match self {
            Self::Second(first) => Some(first),
            _ => None,
        }
    }
}

impl Memory {
    /// That on which a participant is.
    fn timeline(&self, one: &Participant) -> Option<&Timeline> {
        self.0.get(one.room)?.timelines.get(&one.timeline)
    }
}

impl Timeline {
    /// Whether another state than this one is known at a position.
    fn is_other(&self, seq: u64, hash: StateHash) -> bool {
        self.hashes.get(&seq).is_some_and(|known| *known != hash)
    }

    /// Who was first at a position, and with which state, if that is still there.
    fn state(&self, seq: u64) -> Option<(usize, &[u8])> {
        let mut known = self.states.iter().chain(&self.first_states);
        let (_, first, state) = known.find(|(of, ..)| *of == seq)?;
        Some((*first, state))
    }

    /// A position, for people.
    fn after(&self, seq: u64, all: &[Participant]) -> String {
        match self.events.get(&seq).and_then(|sent| event_of(all, *sent)) {
            Some((who, event)) => format!(
                "after seq {seq}, event {}/{} from participant {}",
                event.scope,
                event.event,
                who + 1
            ),
            None => format!("after seq {seq}"),
        }
    }

    /// Keeps the state at a position, if there is room for it still.
    fn remember_first(&mut self, seq: u64, first: usize, state: Arc<Vec<u8>>) {
        if self.first_bytes < MOST_REMEMBERED_BYTES {
            self.first_bytes += state.len();
            self.first_states.push((seq, first, state));
        }
    }

    /// Keeps the state at a position, and forgets older ones.
    fn remember(&mut self, seq: u64, first: usize, state: Arc<Vec<u8>>) {
        self.states_bytes += state.len();
        self.states.push_back((seq, first, state));
        while self.states_bytes > MOST_STATE_BYTES && self.states.len() > 1 {
            let oldest = self.states.pop_front();
            self.states_bytes -= oldest.map_or(0, |(_, _, state)| state.len());
        }
    }
}

/// What a participant has sent with some counter, and which one.
fn event_of(all: &[Participant], (view, counter): (ViewId, u64)) -> Option<(usize, &Event)> {
    let at = all.iter().position(|one| one.client.view_id() == view)?;
    let index = usize::try_from(counter.checked_sub(1)?).ok()?;
    Some((at, all[at].published.get(index)?))
}
