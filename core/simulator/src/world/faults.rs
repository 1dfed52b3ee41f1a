//! What each fault of a plan does to the world.

use teatime_session::ConnectionState;

use super::queue::Happening;
use super::{SECOND, World};
use crate::plan::PlannedStorage;
use crate::report::{Outcome, Wrong};
use crate::server::End;
use crate::storage::Mood;
use crate::what::What;

impl World<'_> {
    /// Whether a participant has another state than the others, or is about to.
    pub(super) fn is_healing(&self) -> bool {
        self.participants
            .iter()
            .any(|one| one.is_alive() && (one.health().is_corrupt() || one.health().is_diverged()))
    }

    pub(super) fn fault(&mut self, number: usize) -> Outcome {
        let fault = self.plan.faults[number];
        if self.calm_until > self.now {
            return Ok(());
        }
        let dice = fault.dice;
        let alive = self.alive(None);
        let victim = alive.get(usize::try_from(dice % 1_000).unwrap_or(0) % alive.len().max(1));
        let until = self.now + (dice >> 8) % (5 * SECOND);
        let happened = match victim {
            Some(victim) if fault.what == What::ConnectionReplayed => {
                self.attack(number, Some(*victim))?
            }
            _ if matches!(fault.what, What::SybilsJoin | What::HoarderStarts) => {
                self.attack(number, None)?
            }
            _ if fault.what == What::ReflectorLies => self.begin_lie(number),
            _ if !fault.what.is_of_one() => self.common_fault(fault.what, dice, until)?,
            Some(victim) => self.client_fault(fault.what, *victim, dice, until)?,
            None => false,
        };
        if happened {
            *self.report.faults.entry(fault.what).or_default() += 1;
            let whom = if fault.what.is_of_one() { victim.copied() } else { None };
            self.tell_fault(fault.what, whom);
        }
        Ok(())
    }

    /// A fault that has no single participant as its victim.
    fn common_fault(&mut self, what: What, dice: u64, until: u64) -> Result<bool, Wrong> {
        match what {
            What::Starts => return self.newcomer(dice, false),
            What::LiarStarts => return self.newcomer(dice, true),
            What::AllCut => self.alive(None).iter().for_each(|at| self.cut(*at, dice)),
            What::Partition => {
                for at in self.alive(None).iter().filter(|at| dice >> (*at % 64) & 1 == 1) {
                    let hindrances = self.participants[*at].hindrances_mut();
                    hindrances.block_up(until);
                    hindrances.block_down(until);
                }
            }
            What::ReflectorClockJumps => {
                // Up to a minute: longer than the reflector or a client bears silence.
                self.server.jump((dice >> 8) % (60 * SECOND));
                self.oracle.may_jump();
                self.after_server();
            }
            What::ReflectorCrashes | What::PowerCut | What::ReflectorStops => {
                return Ok(self.reflector_fault(what, dice));
            }
            What::DiskFull
            | What::DiskReadOnly
            | What::WriteFails
            | What::WriteTears
            | What::SyncFails => return Ok(self.disk_fault(what, dice, until)),
            What::StorageLate => return Ok(self.storage_fault(Mood::Late, dice, until)),
            What::StorageFailsLate => return Ok(self.storage_fault(Mood::FailsLate, dice, until)),
            What::StorageSilent => return Ok(self.storage_fault(Mood::Silent, dice, until)),
            What::SilentConnection => self.stranger(None),
            What::Rubbish => {
                let bytes = dice.to_be_bytes();
                let length = usize::try_from(dice % 40).unwrap_or(0);
                self.stranger(Some(bytes.iter().cycle().take(length).copied().collect()));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A participant joins a room that is not full. A room has at most one liar.
    fn newcomer(&mut self, dice: u64, is_liar: bool) -> Result<bool, Wrong> {
        let room = usize::try_from(dice >> 32).unwrap_or(0) % self.plan.rooms;
        let there = self.alive(Some(room));
        let fits = there.len() < self.plan.clients
            && !(is_liar && there.iter().any(|at| self.participants[*at].is_liar()));
        if fits {
            self.start(room, is_liar)?;
        }
        Ok(fits)
    }

    fn client_fault(
        &mut self,
        what: What,
        victim: usize,
        dice: u64,
        until: u64,
    ) -> Result<bool, Wrong> {
        let now = self.now;
        let one = &mut self.participants[victim];
        match what {
            What::Crashes => self.crash(victim, dice),
            What::Leaves => {
                one.client_mut().leave();
                self.obey_client(victim);
                self.participants[victim].end();
            }
            What::Cut => self.cut(victim, dice),
            What::UpBlocked => one.hindrances_mut().block_up(until),
            // Now and then long enough that too much waits.
            What::DownBlocked if dice.is_multiple_of(4) => {
                one.hindrances_mut().block_down(until + 8 * SECOND);
            }
            What::DownBlocked => one.hindrances_mut().block_down(until),
            What::Freezes => one.hindrances_mut().freeze(until),
            What::Idles => one.hindrances_mut().idle(until),
            What::ClockJumps => {
                one.jump((dice >> 8) % (3_600 * SECOND));
                self.wake(victim, now);
            }
            What::Diverges => return Ok(self.diverge(victim)),
            What::Panics if one.is_liar() => return Ok(false),
            What::Panics => {
                let by = one.below(100);
                self.scenario.poison(by, &mut self.user(victim));
                self.obey_client(victim);
            }
            What::Bursts if one.is_liar() => return Ok(false),
            What::Bursts => {
                for _ in 0..1 + dice % 200 {
                    self.user_acts(victim)?;
                }
                self.obey_client(victim);
            }
            What::VoteAsked => {
                let _ = one.client_mut().request_vote();
                self.obey_client(victim);
            }
            // Before the join is through, a second one would not be a repetition.
            What::JoinRepeated if one.client().connection_state() != ConnectionState::Live => {
                return Ok(false);
            }
            What::JoinRepeated => {
                let join = one.last_join().to_vec();
                self.stranger(Some(join));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A participant computes a wrong state, if another participant can notice and nothing disturbs either. Two
    /// participants have no majority: then the log decides.
    fn diverge(&mut self, victim: usize) -> bool {
        let room = self.participants[victim].room();
        let there = self.alive(Some(room));
        let is_well = |at: &usize| {
            let one = &self.participants[*at];
            one.hindrances().is_free(self.now)
                && one.connection().is_some_and(|connection| self.network.works(connection))
                && one.client().connection_state() == ConnectionState::Live
        };
        let honest = there.iter().filter(|at| !self.participants[**at].is_liar()).count();
        let calm = !self.is_healing()
            && self.deceits[room].is_none()
            && self.disk_works
            && self.down_until <= self.now
            && there.iter().all(is_well);
        let diverges = calm && honest >= 2 && !self.participants[victim].is_liar();
        self.participants[victim].health_mut().corrupt(diverges);
        diverges
    }

    fn reflector_fault(&mut self, what: What, dice: u64) -> bool {
        match what {
            What::PowerCut => self.at(self.now, Happening::End(End::Power, dice)),
            What::ReflectorStops => {
                self.server.shutdown(self.now);
                self.flush();
                let later = self.now + 1_000;
                self.at(later, Happening::End(End::Process, dice));
            }
            // Now and then in the middle of a write to the disk.
            _ if dice.is_multiple_of(2) => {
                self.server.disk().die_after(dice % 7);
                self.disk_works = false;
                let later = self.now + (dice >> 16) % 100_000;
                self.at(later, Happening::End(End::Process, dice));
            }
            _ => self.at(self.now, Happening::End(End::Process, dice)),
        }
        true
    }

    fn disk_fault(&mut self, what: What, dice: u64, until: u64) -> bool {
        if self.plan.storage == PlannedStorage::Nowhere || !self.disk_works {
            return false;
        }
        let disk = self.server.disk();
        match what {
            What::DiskFull | What::DiskReadOnly => {
                if what == What::DiskFull {
                    let used: usize = disk.files().iter().map(|(_, data)| data.len()).sum();
                    disk.set_capacity(Some(used as u64 + dice % 1_000));
                } else {
                    disk.set_read_only(true);
                }
                self.disk_works = false;
                self.at(until, Happening::DiskWorks);
            }
            What::WriteFails => disk.fail_next_write(),
            What::WriteTears => disk.tear_next_write(usize::try_from(dice % 200).unwrap_or(0)),
            _ => disk.fail_next_sync(),
        }
        true
    }

    fn storage_fault(&mut self, mood: Mood, dice: u64, until: u64) -> bool {
        self.storage_slow_until = self.storage_slow_until.max(until);
        self.server.set_mood(mood, self.now, until, dice)
    }

    /// The connection breaks, and loses what is under way. Each side learns it in its own time.
    fn cut(&mut self, at: usize, dice: u64) {
        let Some(connection) = self.participants[at].connection() else { return };
        if !self.network.cut(connection) {
            return;
        }
        // The reflector no longer knows the line, so what is under way to it is lost as well.
        let (up, down) = (dice % SECOND, (dice >> 20) % SECOND);
        self.at(self.now + up, Happening::GoneAtReflector(connection));
        self.at(self.now + down, Happening::GoneAtClient(connection, None));
    }

    /// The client's process ends without leaving the session.
    fn crash(&mut self, at: usize, dice: u64) {
        self.participants[at].end();
        if let Some(connection) = self.participants[at].take_connection() {
            self.network.close(connection);
            self.at(self.now + dice % SECOND, Happening::GoneAtReflector(connection));
        }
    }
}
