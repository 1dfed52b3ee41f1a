//! What attackers do: strangers who speak the protocol, each with connections from one address.

use std::collections::{BTreeMap, BTreeSet};

use teatime_base::program;
use teatime_reflector::{AddressId, ConnId};
use teatime_session::ConnectionState;
use teatime_wire::{ClientMessage, CloseReason, Digest, ServerMessage};

use super::queue::Happening;
use super::{SECOND, World};
use crate::attacker::{Aim, Attacker, Door, Forgery, Line, forged, wrap};
use crate::dice::{ATTACKS, BRINGS, Dice};
use crate::note::Note;
use crate::planted::Bug;
use crate::report::{Invariant, Outcome, Wrong};
use crate::server::{DISPUTE_LIMIT, Down, MOST_BY_ADDRESS};
use crate::what::What;

/// The address of all attackers. That of a participant makes no difference.
const ADDRESS: AddressId = AddressId(1);

/// An event of an undisturbed participant comes back within this time, in µs. The network alone may need four seconds.
const COMES_BACK_WITHIN: u64 = 10 * SECOND;

/// Bytes of each event with which an attacker fills a session of its own.
const FILLING: usize = 32 * 1024;

/// What the simulator knows of attackers.
#[derive(Debug, Default)]
pub(super) struct Attacks {
    all: Vec<Attacker>,
    /// The votes that clients have confirmed their states at: rooms and positions.
    confirmed: BTreeSet<(usize, u64)>,
    /// Since when clients contradict each other in a room.
    disputed: BTreeMap<usize, u64>,
    /// An attacker has filled sessions of its own.
    has_filled: bool,
}

impl World<'_> {
    /// An attack begins. Returns whether it is possible.
    pub(super) fn attack(&mut self, number: usize, victim: Option<usize>) -> Result<bool, Wrong> {
        let fault = self.plan.faults[number];
        let mut dice = Dice::of(self.plan.seed ^ fault.dice, ATTACKS, fault.at_ms);
        let seconds = 3 + dice.below(12);
        let mut recorded = Vec::new();
        let room = match victim {
            Some(at) => self.participants[at].room(),
            None => usize::try_from(dice.below(self.plan.rooms as u64)).unwrap_or(0),
        };
        let sybils = [
            Aim::Forge(Forgery::Loadable),
            Aim::Forge(Forgery::Loadable),
            Aim::Forge(Forgery::Junk),
            Aim::Silence,
            Aim::Leave,
        ];
        let aim = match fault.what {
            What::SybilsJoin => *dice.pick(&sybils),
            What::ConnectionReplayed => *dice.pick(&[Aim::Pose, Aim::Pose, Aim::Repeat]),
            _ => *dice.pick(&[Aim::Crowd, Aim::Fill, Aim::Persist]),
        };
        let own = self.door(room, &mut dice);
        let elsewhere = own.elsewhere(self.scenario.app().id(), self.attacks.all.len() as u64);
        let is_public = !self.plan.password;
        let (door, more) = match aim {
            Aim::Fill => (elsewhere, 1 + dice.below(3)),
            Aim::Persist if is_public => (own, 1 + dice.below(20)),
            Aim::Pose => (own, 1 + dice.below(2)),
            Aim::Repeat if is_public && dice.chance(2) => (own, 1),
            Aim::Repeat => (elsewhere, 1),
            Aim::Crowd if is_public => (own, 1),
            // A stranger does not know the password.
            _ if !is_public => (own.with_password(&dice.bytes()), 1 + dice.below(3)),
            _ => (own, 1 + dice.below(4)),
        };
        if let (What::ConnectionReplayed, Some(at)) = (fault.what, victim) {
            recorded = self.participants[at].recorded();
            if recorded.is_empty() {
                return Ok(false);
            }
        }
        self.attacks.has_filled |= aim == Aim::Fill;
        self.tell(Note::Attack(format!("a stranger {} ({more} connections)", aim.tells())));
        let until = self.now + seconds * SECOND;
        let lines = BTreeMap::new();
        self.attacks.all.push(Attacker { aim, room, until, dice, lines, more, door, recorded });
        let at = self.attacks.all.len() - 1;
        self.at(self.now, Happening::Attack(at));
        Ok(true)
    }

    /// The session of a room, as a stranger with the app and without the password knows it.
    fn door(&self, room: usize, dice: &mut Dice) -> Door {
        let (scenario, app) = (self.scenario, self.scenario.app());
        let config = self.config(room, 0);
        let mut brings = Dice::of(dice.number(), BRINGS, 0);
        Door {
            program: program(&app.version_hash(), &config.options),
            name: self.keys[room].name(),
            version: app.version(),
            password_key: None,
            view_data: scenario.view_data(&mut brings),
        }
    }

    /// An attacker acts, and again after a while.
    pub(super) fn attacker_acts(&mut self, at: usize) {
        let now = self.now;
        let attacker = &mut self.attacks.all[at];
        if self.quiet || now >= attacker.until {
            return self.attacker_goes(at);
        }
        if attacker.more > 0 && self.down_until <= now {
            self.attacker_connects(at);
        }
        let attacker = &mut self.attacks.all[at];
        let mut frames = Vec::new();
        for (id, line) in attacker.lines.iter_mut().filter(|(_, line)| line.is_in) {
            match attacker.aim {
                Aim::Forge(_) | Aim::Leave => {
                    frames.push((*id, ClientMessage::RequestVote.encode()));
                }
                Aim::Silence if attacker.dice.chance(2) => frames.push((*id, line.junk(9))),
                Aim::Crowd => frames.push((*id, line.junk(200))),
                Aim::Fill => frames.push((*id, line.junk(FILLING))),
                _ => {}
            }
        }
        let pause = match attacker.aim {
            Aim::Fill | Aim::Persist => SECOND / 10,
            Aim::Crowd => SECOND / 4,
            _ => SECOND,
        };
        for (id, frame) in frames {
            self.attacker_sends(id, frame);
        }
        self.at(now + pause, Happening::Attack(at));
    }

    fn attacker_connects(&mut self, at: usize) {
        let connection = self.network.open_for_attacker(self.now, at);
        let attacker = &mut self.attacks.all[at];
        attacker.more -= 1;
        let door = match attacker.aim {
            Aim::Persist => attacker.door.in_version(u32::try_from(attacker.more).unwrap_or(0)),
            _ => attacker.door.clone(),
        };
        let line = Line::new(door, attacker.dice.bytes(), attacker.recorded.clone());
        attacker.lines.insert(connection, line);
        self.server.connected(self.now, connection, Some(ADDRESS));
        self.after_server();
    }

    /// An attacker leaves, or just goes.
    fn attacker_goes(&mut self, at: usize) {
        let attacker = &mut self.attacks.all[at];
        let (leaves, lines) = (attacker.dice.chance(2), std::mem::take(&mut attacker.lines));
        for (id, line) in lines {
            if leaves && line.is_in {
                self.attacker_sends(id, ClientMessage::Leave.encode());
            }
            let later = self.now + SECOND / 10;
            self.at(later, Happening::GoneAtReflector(id));
        }
    }

    fn attacker_sends(&mut self, connection: ConnId, frame: Vec<u8>) {
        let soon = self.now + 1_000 + self.below(20_000);
        if let Some(time) = self.network.up(connection, soon) {
            self.at(time, Happening::ToReflector(connection, frame));
        }
    }

    /// The reflector sends something to an attacker.
    pub(super) fn send_to_attacker(&mut self, at: usize, connection: ConnId, down: Down) {
        let is_reading = self.attacks.all[at].aim != Aim::Crowd;
        let soon = self.now + 1_000 + self.below(20_000);
        let Some(time) = self.network.down(connection, soon) else { return };
        if self.bug == Some(Bug::ServesAttackersFirst) {
            self.server_busy_until = self.now + 20 * SECOND;
        }
        match down {
            Down::Frame(frame) => {
                // One that does not read still joins.
                let is_first =
                    !self.attacks.all[at].lines.get(&connection).is_some_and(|line| line.is_in);
                if is_reading || is_first {
                    self.at(time, Happening::ToAttacker(connection, frame.to_vec()));
                } else {
                    self.network.add_unread(connection, frame.len());
                }
            }
            Down::Close(reason) => {
                self.at(time + 1, Happening::ClosedAtAttacker(connection, reason));
            }
        }
    }

    pub(super) fn reach_attacker(&mut self, connection: ConnId, frame: &[u8]) -> Outcome {
        let Some(at) = self.network.attacker(connection) else { return Ok(()) };
        let attacker = &mut self.attacks.all[at];
        let Some(line) = attacker.lines.get_mut(&connection) else { return Ok(()) };
        let mut sends = Vec::new();
        match ServerMessage::decode(frame) {
            Ok(ServerMessage::Hello(greeting)) => match attacker.aim {
                Aim::Pose => sends = std::mem::take(&mut line.recorded),
                _ => sends.push(line.join(greeting)),
            },
            Ok(ServerMessage::Welcome(_)) if attacker.aim == Aim::Pose => {
                let what = "an attacker was let in with a recorded join";
                return Err(Wrong::new(Invariant::Defence, what));
            }
            Ok(ServerMessage::Welcome(welcome)) => {
                (line.is_in, line.timeline) = (true, welcome.timeline);
                if attacker.aim == Aim::Repeat {
                    sends.extend(line.recorded.drain(..).filter(|frame| {
                        let message = ClientMessage::decode(frame);
                        // In a public room it could say the same by itself.
                        !matches!(message, Ok(ClientMessage::Join(..) | ClientMessage::Send(_)))
                    }));
                }
                if attacker.aim == Aim::Persist {
                    sends.push(line.junk(9));
                    sends.push(ClientMessage::Persist.encode());
                }
            }
            Ok(ServerMessage::VoteRequest(vote)) => match attacker.aim {
                Aim::Forge(_) | Aim::Persist => {
                    // By then a participant has come to the state.
                    let later = self.now + 100_000 + self.below(300_000);
                    self.at(later, Happening::AttackerVotes(connection, vote.seq));
                }
                Aim::Leave => {
                    line.is_in = false;
                    sends.push(ClientMessage::Leave.encode());
                }
                _ => {}
            },
            Ok(ServerMessage::SnapshotWanted(seq)) => {
                sends = line.hand_in(seq);
                let is_forged = matches!(attacker.aim, Aim::Forge(_)) && !sends.is_empty();
                let room = attacker.room;
                if is_forged && !self.plan.password {
                    self.check_contradiction(room, seq)?;
                }
            }
            _ => {}
        }
        for frame in sends {
            self.attacker_sends(connection, frame);
        }
        Ok(())
    }

    /// The reflector takes a snapshot that no log leads to. No client may have said that the log leads to another state,
    /// unless the dispute lasts for long, or the log is full.
    fn check_contradiction(&mut self, room: usize, seq: u64) -> Outcome {
        let is_contradicted = self.attacks.confirmed.contains(&(room, seq));
        let since = self.attacks.disputed.get(&room).copied().unwrap_or(self.now);
        let is_long = self.now - since + 2 * SECOND >= DISPUTE_LIMIT;
        if is_contradicted && !is_long && !self.plan.tight && !self.is_held[room] {
            let what =
                format!("a forged snapshot at seq {seq} was taken although it is contradicted");
            return Err(Wrong::new(Invariant::Defence, what));
        }
        Ok(())
    }

    /// An attacker votes, for a state that it has made up.
    pub(super) fn attacker_votes(&mut self, connection: ConnId, seq: u64) {
        let Some(at) = self.network.attacker(connection) else { return };
        let attacker = &mut self.attacks.all[at];
        let (aim, room) = (attacker.aim, attacker.room);
        let Some(line) = attacker.lines.get_mut(&connection) else { return };
        let envelope = match aim {
            Aim::Forge(Forgery::Loadable) => {
                let state =
                    self.oracle.state(room, line.timeline, seq).filter(|_| !self.plan.password);
                let Some(forged) = state.and_then(forged) else { return };
                wrap(&forged, None)
            }
            Aim::Persist => wrap(b"junk", Some(b"persisted junk")),
            _ => wrap(format!("junk at {seq}").as_bytes(), None),
        };
        if let Aim::Forge(forgery) = aim {
            self.oracle.forge(Digest::of(&envelope), forgery == Forgery::Loadable);
        }
        let vote = line.vote(seq, envelope);
        self.attacker_sends(connection, vote);
    }

    pub(super) fn closed_at_attacker(
        &mut self,
        connection: ConnId,
        reason: CloseReason,
    ) -> Outcome {
        let Some(at) = self.network.attacker(connection) else { return Ok(()) };
        self.network.close(connection);
        let attacker = &mut self.attacks.all[at];
        let Some(line) = attacker.lines.remove(&connection) else { return Ok(()) };
        let has_posed = attacker.aim == Aim::Pose && line.recorded.is_empty();
        match reason {
            CloseReason::BadProof if has_posed => self.report.replays_refused += 1,
            // The reflector may end before it reads the join.
            CloseReason::GoingAway | CloseReason::Silent => {}
            reason if has_posed => {
                let what = format!("a recorded join was refused as {} only", reason.name());
                return Err(Wrong::new(Invariant::Defence, what));
            }
            _ => {}
        }
        Ok(())
    }

    /// A frame of a participant has come to the reflector.
    pub(super) fn note_confirmation(&mut self, connection: ConnId, frame: &[u8]) {
        let Some(at) = self.network.client(connection) else { return };
        let Ok(ClientMessage::Confirm(seq)) = ClientMessage::decode(frame) else { return };
        if !self.server.is_open(connection) {
            return;
        }
        let room = self.participants[at].room();
        if self.oracle.take_united(room) {
            self.attacks.disputed.remove(&room);
        }
        self.attacks.disputed.entry(room).or_insert(self.now);
        if !self.participants[at].is_liar() {
            self.attacks.confirmed.insert((room, seq));
            let is_forged = |attacker: &Attacker| {
                attacker.room == room
                    && matches!(attacker.aim, Aim::Forge(_))
                    && attacker.lines.values().any(|line| line.envelopes.contains_key(&seq))
            };
            let is_forged = self.attacks.all.iter().any(is_forged);
            self.report.forgeries_contradicted += u64::from(is_forged);
        }
    }

    /// Bytes that attackers may take of the reflector's memory.
    pub(super) fn hoarded(&self) -> u64 {
        // A limit may be exceeded by an eighth, and by what is sent at once.
        if self.attacks.has_filled { MOST_BY_ADDRESS + MOST_BY_ADDRESS / 4 } else { 0 }
    }

    /// Whether an event of a participant whom nothing disturbs is on its way for too long.
    pub(super) fn check_latency(&mut self, at: usize) -> Outcome {
        let until = self.disturbed_until(at);
        let waits = self.participants[at].waits_for(self.now, until);
        if waits > COMES_BACK_WITHIN && !self.quiet {
            let seconds = waits / SECOND;
            let what = format!("an event of participant {} is on its way for {seconds} s", at + 1);
            return Err(Wrong::new(Invariant::Liveness, what));
        }
        Ok(())
    }

    /// Until when something other than an attacker was in the way of a participant's events.
    fn disturbed_until(&self, at: usize) -> u64 {
        let one = &self.participants[at];
        let is_live = one.client().connection_state() == ConnectionState::Live;
        let works = one.connection().is_some_and(|connection| self.network.works(connection));
        let is_disturbed = one.is_liar()
            || !is_live
            || !works
            || one.is_deceived()
            || self.deceits[one.room()].is_some()
            || !self.disk_works
            || self.is_held[one.room()];
        if is_disturbed {
            return self.now;
        }
        one.hindrances().end_at().max(self.storage_slow_until)
    }
}
