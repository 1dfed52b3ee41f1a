//! What each fault of a plan does to the world.

use teatime_session::ConnectionState;

use super::plan::{Keeps, What};
use super::report::{Outcome, Wrong};
use super::scenario::User;
use super::server::End;
use super::storage::Mood;
use super::world::{Happening, SECOND, World};

impl World<'_> {
    /// Whether somebody has another state than the others, or is about to.
    pub(super) fn is_healing(&self) -> bool {
        self.participants.iter().any(|one| one.alive && (one.corrupt || one.diverged.is_some()))
    }

    pub(super) fn fault(&mut self, number: usize) -> Outcome {
        let fault = self.plan.faults[number];
        let dice = fault.dice;
        let alive = self.alive(None);
        let room = usize::try_from(dice >> 32).unwrap_or(0) % self.plan.rooms;
        let victim = alive.get(usize::try_from(dice % 1_000).unwrap_or(0) % alive.len().max(1));
        let until = self.now + (dice >> 8) % (5 * SECOND);
        let happened = match (fault.what, victim.copied()) {
            (What::Starts, _) => {
                let fits = self.alive(Some(room)).len() < self.plan.clients;
                if fits {
                    self.start(room, false)?;
                }
                fits
            }
            (What::LiarStarts, _) => {
                let there = self.alive(Some(room));
                let fits = there.len() < self.plan.clients
                    && !there.iter().any(|at| self.participants[*at].lies);
                if fits {
                    self.start(room, true)?;
                }
                fits
            }
            (What::AllCut, _) => {
                alive.iter().for_each(|at| self.cut(*at, dice));
                true
            }
            (What::Partition, _) => {
                for at in alive.iter().filter(|at| dice >> (*at % 64) & 1 == 1) {
                    let one = &mut self.participants[*at];
                    (one.up_blocked, one.down_blocked) = (until, until);
                }
                true
            }
            (What::ReflectorClockJumps, _) => {
                // Up to a minute: longer than any silence is borne.
                self.server.jump((dice >> 8) % (60 * SECOND));
                self.after_server();
                true
            }
            (What::ReflectorCrashes | What::PowerCut | What::ReflectorStops, _) => {
                self.reflector_fault(fault.what, dice)
            }
            (
                What::DiskFull
                | What::DiskReadOnly
                | What::WriteFails
                | What::WriteTears
                | What::SyncFails,
                _,
            ) => self.disk_fault(fault.what, dice, until),
            (What::StorageLate | What::StorageFailsLate | What::StorageSilent, _) => {
                self.storage_fault(fault.what, dice, until)
            }
            (What::SilentConnection, _) => {
                self.stranger(None);
                true
            }
            (What::Rubbish, _) => {
                let bytes = dice.to_be_bytes();
                let length = usize::try_from(dice % 40).unwrap_or(0);
                self.stranger(Some(bytes.iter().cycle().take(length).copied().collect()));
                true
            }
            (what, Some(victim)) => self.client_fault(what, victim, dice, until)?,
            (_, None) => false,
        };
        if happened {
            *self.report.faults.entry(fault.what).or_default() += 1;
            let whom = if fault.what.is_of_one() { victim.copied() } else { None };
            self.tell_fault(fault.what, whom);
        }
        Ok(())
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
                one.client.leave();
                self.obey_client(victim);
                self.participants[victim].alive = false;
            }
            What::Cut => self.cut(victim, dice),
            What::UpBlocked => one.up_blocked = until,
            // Now and then for so long that too much waits.
            What::DownBlocked if dice.is_multiple_of(4) => one.down_blocked = until + 8 * SECOND,
            What::DownBlocked => one.down_blocked = until,
            What::Freezes => one.frozen_until = one.frozen_until.max(until),
            What::Idles => one.idle_until = one.idle_until.max(until),
            What::ClockJumps => {
                one.jump((dice >> 8) % (3_600 * SECOND));
                self.wake(victim, now);
            }
            What::Diverges => return Ok(self.diverge(victim)),
            What::Panics if one.lies => return Ok(false),
            What::Panics => {
                let by = one.below(100);
                self.scenario.poison(by, &mut User::new(one, now, self.plan));
                self.obey_client(victim);
            }
            What::Bursts if one.lies => return Ok(false),
            What::Bursts => {
                for _ in 0..1 + dice % 200 {
                    self.user_acts(victim)?;
                }
                self.obey_client(victim);
            }
            What::VoteAsked => {
                let _ = one.client.request_vote();
                self.obey_client(victim);
            }
            // What overtakes the join itself is not a repetition.
            What::JoinRepeated if one.client.connection_state() != ConnectionState::Live => {
                return Ok(false);
            }
            What::JoinRepeated => {
                let join = one.last_join.clone();
                self.stranger(Some(join));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Somebody computes something wrong, if there is somebody else to tell, and nothing keeps them. Two
    /// have no majority: then the log decides.
    fn diverge(&mut self, victim: usize) -> bool {
        let room = self.participants[victim].room;
        let there = self.alive(Some(room));
        let is_well = |at: &usize| {
            let one = &self.participants[*at];
            let busy =
                one.frozen_until.max(one.idle_until).max(one.up_blocked.max(one.down_blocked));
            let line = one.connection.and_then(|connection| self.network.lines.get(&connection));
            busy <= self.now
                && line.is_some_and(|line| !line.is_dead_down)
                && one.client.connection_state() == ConnectionState::Live
        };
        let honest = there.iter().filter(|at| !self.participants[**at].lies).count();
        let calm = !self.is_healing()
            && self.disk_works
            && self.down_until <= self.now
            && there.iter().all(is_well);
        let diverges = calm && honest >= 2 && !self.participants[victim].lies;
        self.participants[victim].corrupt = diverges;
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
            // Now and then in the middle of what it does with its disk.
            _ if dice.is_multiple_of(2) => {
                self.server.disk.die_after(dice % 7);
                self.disk_works = false;
                let later = self.now + (dice >> 16) % 100_000;
                self.at(later, Happening::End(End::Process, dice));
            }
            _ => self.at(self.now, Happening::End(End::Process, dice)),
        }
        true
    }

    fn disk_fault(&mut self, what: What, dice: u64, until: u64) -> bool {
        if self.plan.storage == Keeps::Nowhere || !self.disk_works {
            return false;
        }
        let disk = &self.server.disk;
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

    fn storage_fault(&mut self, what: What, dice: u64, until: u64) -> bool {
        let mood = match what {
            What::StorageLate => Mood::Late,
            What::StorageFailsLate => Mood::FailsLate,
            _ => Mood::Silent,
        };
        self.server.set_mood(mood, self.now, until, dice)
    }

    /// The connection breaks with all that is under way; each side learns it in its own time.
    fn cut(&mut self, at: usize, dice: u64) {
        let Some(connection) = self.participants[at].connection else { return };
        let Some(line) = self.network.lines.get_mut(&connection) else { return };
        line.is_dead_down = true;
        // What is on its way up counts as gone, too: the reflector knows no such line any more.
        let (up, down) = (dice % SECOND, (dice >> 20) % SECOND);
        self.at(self.now + up, Happening::GoneAtReflector(connection));
        self.at(self.now + down, Happening::GoneAtClient(connection, None));
    }

    /// The client is gone without a word.
    fn crash(&mut self, at: usize, dice: u64) {
        self.participants[at].alive = false;
        if let Some(connection) = self.participants[at].connection.take() {
            self.network.lines.remove(&connection);
            self.at(self.now + dice % SECOND, Happening::GoneAtReflector(connection));
        }
    }
}
