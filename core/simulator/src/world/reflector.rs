//! The reflector: when it runs, what it sends, and how it ends.

use rand_chacha::rand_core::Rng;
use teatime_reflector::ConnId;
use teatime_wire::{Hold, ServerMessage};

use super::queue::Happening;
use super::{SECOND, World};
use crate::plan::PlannedStorage;
use crate::planted::Bug;
use crate::report::{Invariant, Outcome, Wrong};
use crate::server::{Down, End};

impl World<'_> {
    pub(super) fn after_server(&mut self) {
        if self.server.is_dirty(self.now) && !self.flush_planned {
            self.flush_planned = true;
            let soon = self.now + self.below(1_000);
            self.at(soon, Happening::Flush);
        }
        if let Some(wake_at) = self.server.next_timeout(self.now) {
            let wake_at = wake_at.max(self.now + 1);
            if self.wake_at.is_none_or(|planned| planned > wake_at) {
                self.wake_at = Some(wake_at);
                self.at(wake_at, Happening::Wake);
            }
        }
    }

    pub(super) fn flush(&mut self) {
        self.flush_planned = false;
        let all = self.server.flush(self.now);
        for (connection, down) in &all {
            let Down::Frame(frame) = down else { continue };
            if matches!(ServerMessage::decode(frame), Ok(ServerMessage::Welcome(_))) {
                let of_it = all.iter().filter(|(other, _)| other == connection);
                let bytes = of_it.map(|(_, down)| down.length()).sum();
                self.network.allow_joiner(*connection, bytes);
            }
        }
        for (connection, down) in all {
            self.send_down(connection, down);
        }
        for id in self.network.cut_slow(self.sizes) {
            self.report.dropped_slow += 1;
            self.server.drop_slow(self.now, id);
        }
        self.after_server();
    }

    pub(super) fn send_down(&mut self, connection: ConnId, down: Down) {
        if let Some(attacker) = self.network.attacker(connection) {
            return self.send_to_attacker(attacker, connection, down);
        }
        let Some(at) = self.network.client(connection) else { return };
        match down {
            Down::Frame(frame) => {
                for frame in self.twist(at, connection, &frame) {
                    self.send_to_client(at, connection, Down::Frame(frame));
                }
            }
            Down::Close(_) => self.send_to_client(at, connection, down),
        }
    }

    fn send_to_client(&mut self, at: usize, connection: ConnId, down: Down) {
        if let Down::Frame(frame) = &down {
            let room = self.participants[at].room();
            match ServerMessage::decode(frame) {
                Ok(ServerMessage::Hold(hold)) => self.is_held[room] = hold == Hold::Pause,
                Ok(ServerMessage::Welcome(welcome)) => self.oracle.welcomes(room, welcome.timeline),
                _ => {}
            }
            self.network.add_unread(connection, frame.len());
            if self.bug == Some(Bug::SilentAboutDivergence)
                && matches!(ServerMessage::decode(frame), Ok(ServerMessage::Diverged(_)))
            {
                return;
            }
        }
        let one = &mut self.participants[at];
        let open = self.now + one.delay(self.plan.noise, !self.quiet);
        let open = open.max(one.hindrances().down_at());
        let Some(time) = self.network.down(connection, open) else { return };
        match down {
            Down::Frame(frame) => self.at(time, Happening::ToClient(connection, frame.to_vec())),
            Down::Close(reason) => {
                self.at(time + 1, Happening::GoneAtClient(connection, Some(reason)));
            }
        }
    }

    /// The reflector ends, with all its connections, and starts again with what it has stored.
    pub(super) fn end_reflector(&mut self, end: End, dice: u64) -> Outcome {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        let failed = |what: String| Wrong::new(Invariant::Storage, what);
        if end == End::Power && self.plan.storage == PlannedStorage::Process {
            self.oracle.may_lose();
        }
        self.server.restart(self.now, end, dice, seed).map_err(failed)?;
        self.disk_works = true;
        (self.wake_at, self.flush_planned) = (None, false);
        self.is_held.fill(false);
        self.down_until = self.now + if self.quiet { 0 } else { dice % (3 * SECOND) };
        for connection in self.network.open_lines() {
            let open = self.now + 1;
            if let Some(time) = self.network.down(connection, open) {
                self.at(time, Happening::GoneAtClient(connection, None));
            }
        }
        Ok(())
    }

    pub(super) fn disk_is_well(&mut self) {
        self.disk_works = true;
        self.server.disk().set_capacity(None);
        self.server.disk().set_read_only(false);
    }

    pub(super) fn check_memory(&mut self) -> Outcome {
        let bytes = self.server.log_bytes();
        self.report.log_bytes = self.report.log_bytes.max(bytes);
        Ok(self.oracle.check_memory(bytes.saturating_sub(self.hoarded()), self.sizes)?)
    }
}
