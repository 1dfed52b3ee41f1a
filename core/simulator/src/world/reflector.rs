//! The reflector: when it runs, what it sends, and how it ends.

use rand_chacha::rand_core::Rng;
use teatime_reflector::ConnId;
use teatime_wire::ServerMessage;

use super::queue::Happening;
use super::{SECOND, World};
use crate::network::{Line, delay};
use crate::plan::Keeps;
use crate::planted::Bug;
use crate::report::{Invariant, Outcome, Wrong};
use crate::server::{Down, End};

impl World<'_> {
    pub(super) fn after_server(&mut self) {
        if self.server.is_dirty() && !self.flush_planned {
            self.flush_planned = true;
            let soon = self.now + self.below(1_000);
            self.at(soon, Happening::Flush);
        }
        if let Some(wake_at) = self.server.next_timeout() {
            let wake_at = wake_at.max(self.now + 1);
            if self.wake_at.is_none_or(|planned| planned > wake_at) {
                self.wake_at = Some(wake_at);
                self.at(wake_at, Happening::Wake);
            }
        }
    }

    pub(super) fn flush(&mut self) {
        self.flush_planned = false;
        let all = self.server.flush();
        for (connection, down) in &all {
            let Down::Frame(frame) = down else { continue };
            if matches!(ServerMessage::decode(frame), Ok(ServerMessage::Welcome(_)))
                && let Some(line) = self.network.lines.get_mut(connection)
            {
                let of_it = all.iter().filter(|(other, _)| other == connection);
                line.allow_joiner(of_it.map(|(_, down)| down.length()).sum());
            }
        }
        for (connection, down) in all {
            self.send_down(connection, down);
        }
        let unread = |line: &Line| line.is_unread(self.sizes);
        let slow: Vec<_> =
            self.network.lines.iter().filter(|(_, line)| unread(line)).map(|(id, _)| *id).collect();
        for id in slow {
            if let Some(line) = self.network.lines.get_mut(&id) {
                self.report.dropped_slow += 1;
                (line.is_dead_down, line.unread) = (true, 0);
                self.server.drop_slow(self.now, id);
            }
        }
        self.after_server();
    }

    pub(super) fn send_down(&mut self, connection: ConnId, down: Down) {
        let Some(line) = self.network.lines.get_mut(&connection) else { return };
        let Some(at) = line.client else { return };
        if let Down::Frame(frame) = &down {
            line.unread += frame.len();
            if self.bug == Some(Bug::SilentAboutDivergence)
                && matches!(ServerMessage::decode(frame), Ok(ServerMessage::Diverged(_)))
            {
                return;
            }
        }
        let one = &mut self.participants[at];
        let open = self.now + delay(&mut one.rng, self.plan.noise, !self.quiet);
        let open = open.max(one.down_blocked);
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
        if end == End::Power && self.plan.storage == Keeps::Process {
            self.oracle.may_lose();
        }
        self.server.restart(self.now, end, dice, seed).map_err(failed)?;
        self.disk_works = true;
        (self.wake_at, self.flush_planned) = (None, false);
        self.down_until = self.now + if self.quiet { 0 } else { dice % (3 * SECOND) };
        let broken: Vec<_> = self.network.lines.keys().copied().collect();
        for connection in broken {
            let open = self.now + 1;
            if let Some(time) = self.network.down(connection, open) {
                self.at(time, Happening::GoneAtClient(connection, None));
            }
        }
        Ok(())
    }

    pub(super) fn disk_is_well(&mut self) {
        self.disk_works = true;
        self.server.disk.set_capacity(None);
        self.server.disk.set_read_only(false);
    }

    pub(super) fn check_memory(&mut self) -> Outcome {
        let bytes = self.server.reflector.stats().log_bytes;
        self.report.log_bytes = self.report.log_bytes.max(bytes);
        Ok(self.oracle.check_memory(bytes, self.sizes)?)
    }
}
