//! Compares all participants: the first at a position sets what all others must agree with.

mod timeline;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use teatime_session::{
    Alarm, AlarmKind, ConnectionState, DisconnectReason, NotPersisted, SessionEvent,
};
use teatime_vm::{Fault, StateHash};
use teatime_wire::{Digest, ServerMessage};

use self::timeline::{Timeline, event_of};
use crate::clash::Clash;
use crate::network::Sizes;
use crate::participant::Participant;
use crate::report::{Invariant, Report, Wrong};
use crate::scenario::{End, Scenario};
use crate::twin::cannot_be_saved;

/// Most bytes of logs and snapshots if events and states are small. The reflector asks for a snapshot after 40 messages,
/// and the log grows beyond that only while faults keep the clients from voting.
const MOST_LOG_BYTES: u64 = 1024 * 1024;

#[derive(Default)]
pub(crate) struct Oracle<'a> {
    rooms: Vec<Room>,
    time: Time<'a>,
    compared: u64,
    unanimous: u64,
    healed: u64,
    undone: u64,
    held: u64,
    entries: u64,
    /// A power cut has hit storage that does not survive it. Then sessions may continue on another timeline, and events
    /// may be missing.
    lossy: bool,
    /// The reflector's clock has jumped ahead, and with it the time of its sessions.
    jumped: bool,
    /// A session in which something had happened has begun again.
    has_restarted: bool,
    /// Alarms that clients have raised, and which participants they are.
    alarms: Vec<(usize, Alarm)>,
    /// A majority has voted for a wrong state, which later comparisons take for the right one.
    usurped: bool,
    /// The hashes of states that attackers have forged, as they would be handed in, and whether clients can load them.
    forged: BTreeMap<Digest, bool>,
    /// A planted bug: alarms come to no user.
    hides_alarms: bool,
}

/// How often a plan is played, and which time this is.
#[derive(Clone, Copy, Default)]
pub(crate) enum Time<'a> {
    /// The only one.
    #[default]
    Only,
    /// The first of two.
    First,
    /// The second, with the memory of the first.
    Second(&'a Memory),
}

/// All states of a run, for comparison with a second run.
pub(crate) struct Memory(Vec<Room>);

#[derive(Default)]
struct Room {
    timelines: BTreeMap<u64, Timeline>,
    /// How many participants agreed in the newest vote.
    agreed: u64,
    /// A vote was unanimous since this was asked last.
    is_united: bool,
    /// The reflector has lied here: the log may tell of it for as long as it goes on.
    was_deceived: bool,
    /// How many alarms were raised, and by which participants.
    alarms: u64,
    alarmed: BTreeSet<usize>,
    /// The session has a record in its room.
    has_persisted: bool,
    /// A message differs from the first run, so the states after it cannot be compared.
    is_other: bool,
}

type Outcome = Result<(), (Invariant, String)>;

impl<'a> Oracle<'a> {
    pub(crate) fn new(rooms: usize, time: Time<'a>) -> Self {
        Self { rooms: (0..rooms).map(|_| Room::default()).collect(), time, ..Self::default() }
    }

    /// A planted bug: alarms come to no user.
    pub(crate) fn hide_alarms(&mut self) {
        self.hides_alarms = true;
    }

    /// The reflector lies in a room.
    pub(crate) fn deceive(&mut self, room: usize) {
        self.rooms[room].was_deceived = true;
    }

    /// How many alarms were raised in a room.
    pub(crate) fn alarms(&self, room: usize) -> u64 {
        self.rooms[room].alarms
    }

    /// Whether a participant was alarmed: it may not be once more of the same.
    pub(crate) fn is_alarmed(&self, room: usize, at: usize) -> bool {
        self.rooms[room].alarmed.contains(&at)
    }

    /// Whether a vote was unanimous since the last call.
    pub(crate) fn take_united(&mut self, room: usize) -> bool {
        std::mem::take(&mut self.rooms[room].is_united)
    }

    /// An attacker votes for a state that no log leads to.
    pub(crate) fn forge(&mut self, envelope: Digest, is_loadable: bool) {
        self.forged.insert(envelope, is_loadable);
    }

    /// The state at a position, if a participant was there, and if it is still in memory.
    pub(crate) fn state(&self, room: usize, timeline: u64, seq: u64) -> Option<&[u8]> {
        self.rooms[room].timelines.get(&timeline)?.state(seq).map(|(_, state)| state)
    }

    pub(crate) fn into_memory(self) -> Memory {
        Memory(self.rooms)
    }

    pub(crate) fn report(&self, report: &mut Report) {
        report.compared = self.compared;
        report.unanimous = self.unanimous;
        report.healed = self.healed;
        report.undone = self.undone;
        report.held = self.held;
        report.entries = self.entries;
    }

    /// From now on sends may be missing: a power cut has hit a reflector that does not store durably.
    pub(crate) fn may_lose(&mut self) {
        self.lossy = true;
    }

    /// From now on clients may find the time of a session ahead of their own clocks.
    pub(crate) fn may_jump(&mut self) {
        self.jumped = true;
    }

    /// The reflector welcomes a participant to this timeline. It does not store a session before its first event, so until
    /// then that may be another timeline than before. The welcome may arrive much later.
    pub(crate) fn welcomes(&mut self, room: usize, timeline: u64) {
        let timelines = &mut self.rooms[room].timelines;
        let mut others = timelines.iter().filter(|(other, _)| **other != timeline);
        let is_late = others.any(|(_, other)| other.events().next().is_some());
        self.has_restarted |= is_late && !timelines.contains_key(&timeline);
        timelines.entry(timeline).or_default();
    }

    /// A participant receives a frame. A message that a client has received must stay the same, whatever happens to the
    /// reflector.
    pub(crate) fn saw(&mut self, one: &mut Participant, frame: &[u8]) -> Outcome {
        let room = &mut self.rooms[one.room()];
        let seq = match ServerMessage::decode(frame) {
            Ok(ServerMessage::Welcome(welcome)) => {
                one.set_timeline(welcome.timeline);
                one.undeceive();
                // Whether the reflector was allowed to take it was checked when it did.
                let hash = welcome.snapshot.map(|snapshot| snapshot.hash);
                let forged = hash.and_then(|hash| self.forged.get(&hash));
                self.usurped |= forged == Some(&true);
                one.begin_with_junk(forged == Some(&false));
                if !welcome.resumed {
                    one.health_mut().reload();
                }
                room.timelines.entry(welcome.timeline).or_default();
                if self.has_restarted && !self.lossy {
                    return Err((
                        Invariant::Durability,
                        "a session has started from scratch".into(),
                    ));
                }
                return Ok(());
            }
            _ if one.is_deceived() => return Ok(()),
            Ok(ServerMessage::Event(event)) => {
                let sender = (event.sender, event.counter);
                let timeline = room.timelines.entry(one.timeline()).or_default();
                timeline.record_event(event.seq, sender);
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
        room.is_other |= then.is_some_and(|then| !then.has_message(seq, digest));
        let timeline = room.timelines.entry(one.timeline()).or_default();
        if !timeline.record_message(seq, digest) {
            return Err((Invariant::Durability, format!("message {seq} has become another one")));
        }
        Ok(())
    }

    /// Whether events may have been lost, so that less can be checked.
    pub(crate) fn is_lossy(&self) -> bool {
        self.lossy
    }

    /// Whether a wrong state has won a vote, so that the oracle cannot tell which one is right.
    pub(crate) fn is_usurped(&self) -> bool {
        self.usurped
    }

    /// Votes of the past do not count.
    pub(crate) fn forget_votes(&mut self) {
        self.rooms.iter_mut().for_each(|room| room.agreed = 0);
    }

    /// How many participants agreed in the newest vote of a room.
    pub(crate) fn agreed(&self, room: usize) -> u64 {
        self.rooms[room].agreed
    }

    pub(crate) fn check_memory(&self, bytes: u64, sizes: Sizes) -> Outcome {
        // While the reflector stores a snapshot it still has the one before. Each holds the persisted data twice. The
        // data that a session begins with is there once on its own, and twice in the older snapshot.
        let large = 4 * sizes.state as u64 + 3 * sizes.begun as u64;
        let most = MOST_LOG_BYTES * sizes.times() as u64 + large;
        if bytes > most * self.rooms.len() as u64 {
            return Err((Invariant::Memory, format!("{bytes} bytes of logs and snapshots")));
        }
        Ok(())
    }

    /// Each participant at a position must have the state of the first one there.
    pub(crate) fn compare(
        &mut self,
        now: u64,
        at: usize,
        all: &mut [Participant],
        moved: bool,
    ) -> Result<Option<Arc<Vec<u8>>>, Wrong> {
        // The verdict may have come in the same step as the message that is compared. And a lie leads to another state.
        if self.usurped || all[at].is_deceived() {
            return Ok(None);
        }
        let one = &mut all[at];
        one.check_time(at)?;
        if one.health().is_overdue(now) {
            let what = format!("participant {} diverged and has not learned it", at + 1);
            return Err(Wrong::new(Invariant::Healing, what));
        }
        let Some(vm) = one.vm().filter(|_| moved) else { return Ok(None) };
        let snapshot = Arc::new(vm.snapshot().map_err(cannot_be_saved)?);
        let (seq, hash) = (vm.seq(), StateHash::of(&snapshot));
        let then = self.time.first().filter(|_| !self.rooms[one.room()].is_other);
        let then = then.and_then(|first| first.timeline(one));
        let room = self.rooms[one.room()].timelines.entry(one.timeline()).or_default();
        match (room.hash(seq), one.health().is_diverged()) {
            (Some(known), true) => {
                if known == hash {
                    // It has run the wrong turn again, after another one had been undone.
                    one.health_mut().recover();
                }
            }
            (None, true) => {}
            (Some(known), false) if known != hash => {
                return Err(self.disagreement(at, all, seq, &snapshot));
            }
            (Some(_), false) => self.compared += 1,
            (None, false) if then.is_some_and(|then| then.is_other(seq, hash)) => {
                return Err(self.another_state(at, all, seq, &snapshot, then));
            }
            (None, false) => {
                if matches!(self.time, Time::First) {
                    room.remember_first(seq, at, snapshot.clone());
                }
                room.record_state(seq, hash, at, snapshot.clone());
            }
        }
        Ok(Some(snapshot))
    }

    /// Explains which model and field differ, if the other state is still in memory.
    fn disagreement(&self, at: usize, all: &[Participant], seq: u64, own: &[u8]) -> Wrong {
        let one = &all[at];
        let Some(timeline) = self.rooms[one.room()].timelines.get(&one.timeline()) else {
            return Wrong::new(Invariant::Agreement, "");
        };
        let after = timeline.after(seq, all);
        let Some((first, state)) = timeline.state(seq) else {
            let what = format!("participant {} has another state than others, {after}", at + 1);
            return Wrong::new(Invariant::Agreement, what);
        };
        let (here, there) =
            (format!("participant {}", at + 1), format!("participant {}", first + 1));
        let app = &one.client().config().app;
        let clash = Clash::of(app, (here, own), (there, state), &after);
        Wrong { clash: Some(Box::new(clash)), ..Wrong::new(Invariant::Agreement, "") }
    }

    /// The same for the first participant at a position, which had another state there in the first run.
    fn another_state(
        &self,
        at: usize,
        all: &[Participant],
        seq: u64,
        own: &[u8],
        then: Option<&Timeline>,
    ) -> Wrong {
        let one = &all[at];
        let now = self.rooms[one.room()].timelines.get(&one.timeline());
        let after = now.map_or_else(String::new, |now| now.after(seq, all));
        let Some((_, state)) = then.and_then(|then| then.state(seq)) else {
            return Wrong::new(Invariant::Again, after);
        };
        let here = (format!("participant {}", at + 1), own);
        let there = ("in the first run of the seed".to_owned(), state);
        let clash = Clash::of(&one.client().config().app, here, there, &after);
        Wrong { clash: Some(Box::new(clash)), ..Wrong::new(Invariant::Again, "") }
    }

    /// Takes a client's events and checks them. Returns true if the client has given up.
    pub(crate) fn take_events(
        &mut self,
        scenario: &dyn Scenario,
        at: usize,
        one: &mut Participant,
    ) -> Result<bool, (Invariant, String)> {
        let mut over = false;
        while let Some(event) = one.client_mut().poll_event() {
            match event {
                SessionEvent::Fault(_) if one.is_deceived() => {}
                SessionEvent::Fault(fault) => self.check_fault(scenario, at, one, &fault)?,
                SessionEvent::State { seq, hash, .. } => one.health_mut().vote(seq, hash),
                SessionEvent::Verdict { seq, agreed, of, hash } => {
                    let is_own = one.health_mut().take_verdict(seq, hash);
                    // A lone participant is right by definition: all others were away for too long. With others, this
                    // one has run the wrong turn again, after another one had been undone.
                    self.usurped |= is_own && agreed == 1;
                    self.unanimous += u64::from(agreed == of && hash.is_some());
                    self.rooms[one.room()].is_united |= agreed == of && hash.is_some();
                    self.rooms[one.room()].agreed = if hash.is_some() { agreed.into() } else { 0 };
                }
                // Without a majority, clients with the right state may have to load the log, too.
                SessionEvent::Connection(_, Some(DisconnectReason::Diverged)) => {
                    one.health_mut().reload();
                }
                SessionEvent::Diverged(_) => {
                    let was_deceived = self.rooms[one.room()].was_deceived;
                    if !one.health_mut().learn() && !one.is_liar() && !was_deceived {
                        let what = format!("participant {} learned that it diverged", at + 1);
                        return Err((Invariant::Healing, what));
                    }
                    self.healed += 1;
                }
                // Two attackers who were alone have agreed about junk: the reflector takes that for proof.
                SessionEvent::Connection(
                    ConnectionState::Failed,
                    Some(DisconnectReason::BadSnapshot(_)),
                ) if one.has_junk() => {
                    (self.usurped, over) = (true, true);
                }
                SessionEvent::Connection(ConnectionState::Failed, reason) => {
                    may_fail(at, one, reason.as_ref())?;
                    over = true;
                }
                SessionEvent::PresencesChanged => {
                    let wrong =
                        |what| (Invariant::Presence, format!("participant {}: {what}", at + 1));
                    one.look().map_err(wrong)?;
                }
                SessionEvent::Alarm(_) if self.hides_alarms => {}
                SessionEvent::Alarm(alarm) => self.alarms.push((at, alarm)),
                SessionEvent::Persisted { .. } => self.rooms[one.room()].has_persisted = true,
                SessionEvent::NotPersisted(NotPersisted::RoomFull)
                    if self.rooms[one.room()].has_persisted && !self.lossy =>
                {
                    let what = format!(
                        "participant {}: the record of its session no longer fits into the room",
                        at + 1
                    );
                    return Err((Invariant::Defence, what));
                }
                SessionEvent::Held(true) => self.held += 1,
                _ => {}
            }
        }
        Ok(over)
    }

    /// An honest reflector gives no reason for an alarm, unless it has lost events or its clock has jumped. A liar does.
    pub(crate) fn check_alarms(&mut self, all: &[Participant]) -> Outcome {
        for (at, alarm) in self.alarms.drain(..) {
            let room = &mut self.rooms[all[at].room()];
            room.alarms += 1;
            room.alarmed.insert(at);
            let was_deceived = room.was_deceived;
            let is_liar =
                |one: &Participant| one.is_liar() && Some(one.view_id()) == alarm.participant;
            let is_right = match alarm.kind {
                AlarmKind::Rewound => self.lossy,
                AlarmKind::Clock => self.jumped,
                _ => all.iter().any(is_liar),
            };
            if !is_right && !was_deceived {
                return Err((Invariant::Alarm, format!("participant {}: {alarm:?}", at + 1)));
            }
        }
        Ok(())
    }

    /// A handler of a participant has failed. It must fail in the same way for all others.
    fn check_fault(
        &mut self,
        scenario: &dyn Scenario,
        at: usize,
        one: &Participant,
        fault: &Fault,
    ) -> Outcome {
        let what = format!("participant {}: {fault}", at + 1);
        if !scenario.allows(fault) {
            return Err((Invariant::Faults, what));
        }
        let said = format!("{:?}", (fault.time, fault.sender, &fault.kind));
        self.undone += 1;
        let timelines = &mut self.rooms[one.room()].timelines;
        let known = timelines.entry(one.timeline()).or_default().record_fault(fault.seq, &said);
        if known != said {
            return Err((Invariant::Faults, format!("{what}, but others: {known}")));
        }
        Ok(())
    }

    /// At the end no accepted event is lost or doubled, no message that a client has seen is lost, and the app's own
    /// checks pass.
    pub(crate) fn check_the_end(
        &mut self,
        scenario: &dyn Scenario,
        at: usize,
        all: &[Participant],
    ) -> Outcome {
        let one = &all[at];
        let Some(vm) = one.vm() else {
            return Err((
                Invariant::Liveness,
                format!("participant {} is live and has no model", at + 1),
            ));
        };
        let timeline = self.rooms[one.room()].timelines.entry(one.timeline()).or_default();
        let mut log = Vec::new();
        let mut newest = BTreeMap::new();
        for (view, counter) in timeline.events() {
            let before = newest.insert(*view, *counter).unwrap_or(0);
            // A liar may skip counters: the reflector closes its connection for that.
            if *counter <= before {
                let what = format!("event {counter} of view {view} comes after its event {before}");
                return Err((Invariant::Delivery, what));
            }
            log.extend(event_of(all, (*view, *counter)).map(|(_, event)| event.clone()));
        }
        let view = one.view_id();
        let own = timeline.events().filter(|(sender, _)| *sender == view).count();
        let accepted = one.published().len();
        if own != accepted && !self.lossy {
            let what = format!(
                "participant {}: {accepted} events were accepted, and {own} were delivered",
                at + 1
            );
            return Err((Invariant::Delivery, what));
        }
        if vm.seq() < timeline.newest() {
            let what = format!("participant {} is before message {}", at + 1, timeline.newest());
            return Err((Invariant::Durability, what));
        }
        self.entries += log.len() as u64;
        let end = End::new(vm, view, one.published(), &log, self.lossy);
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
    /// The timeline of a participant.
    fn timeline(&self, one: &Participant) -> Option<&Timeline> {
        self.0.get(one.room())?.timelines.get(&one.timeline())
    }
}

/// Whether a participant had a right to fail for this reason: only liars have.
fn may_fail(at: usize, one: &Participant, reason: Option<&DisconnectReason>) -> Outcome {
    let participant = format!("participant {}", at + 1);
    match reason {
        Some(DisconnectReason::BadSnapshot(why)) => {
            Err((Invariant::Snapshot, format!("{participant} cannot restore it: {why}")))
        }
        Some(why @ (DisconnectReason::Model(_) | DisconnectReason::Migration(_))) => {
            Err((Invariant::Start, format!("{participant} cannot begin: {why}")))
        }
        _ if one.is_liar() => Ok(()),
        _ => Err((Invariant::Innocence, format!("{participant} failed: {reason:?}"))),
    }
}
