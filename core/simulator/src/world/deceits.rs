//! A reflector that lies: in a session with a password, to some participants, about one event. What it shows them later
//! follows from that. When it becomes honest again, their connections end.

use std::collections::BTreeMap;

use bytes::Bytes;
use teatime_reflector::ConnId;
use teatime_session::ConnectionState;
use teatime_wire::{ClientMessage, ServerMessage};

use super::queue::Happening;
use super::{SECOND, World};
use crate::deceit::{Deceit, Lie, Watch};
use crate::dice::{ATTACKS, Dice};
use crate::note::Note;
use crate::plan::Pace;
use crate::report::{Invariant, Outcome, Wrong};

/// When all participants have received what shows a lie, one must be alarmed within this time, in µs. One may not simulate
/// for five seconds.
const ALARMS_WITHIN: u64 = 10 * SECOND;

impl World<'_> {
    /// The reflector lies, if in a room with a password two participants or more are well.
    pub(super) fn begin_lie(&mut self, number: usize) -> bool {
        let fault = self.plan.faults[number];
        let mut dice = Dice::of(self.plan.seed ^ fault.dice, ATTACKS, fault.at_ms);
        let room = usize::try_from(dice.below(self.plan.rooms as u64)).unwrap_or(0);
        let present = self.present(room);
        let alive = self.alive(Some(room));
        let is_calm = !self.is_healing()
            && self.down_until <= self.now
            && !alive.iter().any(|at| self.participants[*at].is_liar());
        if !self.plan.password || !is_calm || present.len() < 2 || self.deceits[room].is_some() {
            return false;
        }
        let lie = Lie::drawn(&mut dice);
        let victims = loop {
            let mask = dice.number();
            let victims = present.iter().filter(|(at, _)| mask >> (*at % 64) & 1 == 1);
            let victims: BTreeMap<_, _> = victims.map(|(at, (id, _))| (*id, *at)).collect();
            let are_all = victims.len() == present.len();
            if !(victims.is_empty() || lie.must_differ() && are_all) {
                break victims;
            }
        };
        let (_, first) = *dice.pick(&present.into_values().collect::<Vec<_>>());
        let seconds = match self.plan.pace {
            Pace::Brisk => 5 + dice.below(5),
            Pace::Steady => 60 + dice.below(60),
        };
        let until = self.now + seconds * SECOND;
        if !dice.chance(4) {
            // Nothing else goes wrong, so that the lie is not cut short.
            self.calm_until = until;
        }
        let deceit = Deceit::new(lie, first, victims, until);
        self.tell(Note::Attack(deceit.to_string()));
        self.deceits[room] = Some(deceit);
        self.at(until, Happening::LieEnds(room));
        true
    }

    /// The participants of a room that are well, with their connections and views.
    fn present(&self, room: usize) -> BTreeMap<usize, (ConnId, teatime_wire::ViewId)> {
        let alive = self.alive(Some(room)).into_iter();
        let well = alive.filter_map(|at| {
            let one = &self.participants[at];
            let connection = one.connection().filter(|id| self.network.works(*id))?;
            let is_well = one.client().connection_state() == ConnectionState::Live
                && one.hindrances().is_free(self.now)
                && !one.is_deceived();
            is_well.then(|| (at, (connection, one.view_id())))
        });
        well.collect()
    }

    /// What the reflector sends to a participant in the place of a frame, if it lies to it.
    pub(super) fn twist(&mut self, at: usize, connection: ConnId, frame: &Bytes) -> Vec<Bytes> {
        let room = self.participants[at].room();
        let same = || vec![frame.clone()];
        let Some(deceit) = &mut self.deceits[room] else { return same() };
        let had_lied = deceit.has_lied_to(connection);
        let Some(frames) = deceit.twist(connection, frame) else { return same() };
        if !had_lied {
            self.participants[at].deceive();
            self.oracle.deceive(room);
            self.watch_lie(room, frame);
        }
        frames.into_iter().map(Bytes::from).collect()
    }

    /// The reflector has lied about this event for the first time.
    fn watch_lie(&mut self, room: usize, frame: &[u8]) {
        let Ok(ServerMessage::Event(event)) = ServerMessage::decode(frame) else { return };
        let Some(mut deceit) = self.deceits[room].take() else { return };
        if deceit.watch.is_none() {
            // What they are shown first stands before what they hear from others.
            let mut present = self.present(room);
            for (id, at) in &deceit.victims {
                let one = &self.participants[*at];
                if one.connection() == Some(*id) {
                    present.insert(*at, (*id, one.view_id()));
                }
            }
            let has = |view| present.values().any(|(_, present)| *present == view);
            let is_known = present.keys().any(|at| self.oracle.is_alarmed(room, *at));
            let differs = present.len() > deceit.victims.len();
            let proves = has(event.sender)
                && has(deceit.first())
                && deceit.victims.keys().all(|id| present.values().any(|(own, _)| own == id))
                && (differs || !deceit.lie.must_differ());
            if proves && !is_known && present.len() >= 2 {
                let alarms = self.oracle.alarms(room);
                deceit.watch = Some(Watch::new(event.seq, present, alarms));
            }
        }
        self.deceits[room] = Some(deceit);
    }

    /// A participant has received a frame.
    pub(super) fn watch_frame(&mut self, at: usize, frame: &[u8]) {
        let room = self.participants[at].room();
        let published = self.participants[at].published().len() as u64;
        let Some(watch) = self.deceits[room].as_mut().and_then(|deceit| deceit.watch.as_mut())
        else {
            return;
        };
        if watch.receive(at, frame, published) {
            self.at(self.now + ALARMS_WITHIN, Happening::LieDue(room));
        }
    }

    /// All have received what shows a lie, some time ago.
    pub(super) fn check_lie(&mut self, room: usize) -> Outcome {
        let Some(deceit) = &mut self.deceits[room] else { return Ok(()) };
        let Some(watch) = deceit.watch.take_if(|watch| watch.is_complete()) else {
            return Ok(());
        };
        if self.oracle.alarms(room) > watch.alarms() {
            self.report.lies_found += 1;
            return Ok(());
        }
        let stays = |(at, (id, _)): (&usize, &(ConnId, teatime_wire::ViewId))| {
            let one = &self.participants[*at];
            one.is_alive() && one.connection() == Some(*id) && self.network.works(*id)
        };
        if watch.present().iter().all(stays) {
            let what = format!("{deceit}, and none of them was alarmed");
            return Err(Wrong::new(Invariant::Defence, what));
        }
        Ok(())
    }

    /// The reflector becomes honest: the connections of those that it has lied to end.
    pub(super) fn end_lie(&mut self, room: usize) {
        let Some(deceit) = &self.deceits[room] else { return };
        if !self.quiet && deceit.until > self.now {
            // A newer one.
            return;
        }
        let is_due = deceit.watch.as_ref().is_some_and(Watch::is_complete);
        if is_due && !self.quiet {
            self.at(self.now + ALARMS_WITHIN, Happening::LieEnds(room));
            return;
        }
        let Some(deceit) = self.deceits[room].take() else { return };
        if let Some(watch) = &deceit.watch {
            // It was found out before all had sent enough.
            self.report.lies_found += u64::from(self.oracle.alarms(room) > watch.alarms());
        }
        for (connection, at) in &deceit.victims {
            if deceit.has_lied_to(*connection)
                && self.participants[*at].connection() == Some(*connection)
            {
                self.at(self.now, Happening::GoneAtReflector(*connection));
                self.at(self.now + 1, Happening::GoneAtClient(*connection, None));
            }
        }
    }

    /// Whether the reflector ignores a frame: votes of clients that it has lied to are about other states.
    pub(super) fn is_ignored(&self, connection: ConnId, frame: &[u8]) -> bool {
        let Some(at) = self.network.client(connection) else { return false };
        let is_victim = |deceit: &Deceit| deceit.has_lied_to(connection);
        self.deceits[self.participants[at].room()].as_ref().is_some_and(is_victim)
            && matches!(
                ClientMessage::decode(frame),
                Ok(ClientMessage::Vote(_)
                    | ClientMessage::SnapshotPart(_)
                    | ClientMessage::Confirm(_)
                    | ClientMessage::Loaded(_)
                    | ClientMessage::Unusable(_))
            )
    }
}
