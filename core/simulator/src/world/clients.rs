//! The clients: what reaches them, what they send, and how they step.

use teatime_reflector::ConnId;
use teatime_session::{Action, Input, Stepped};
use teatime_wire::{ClientMessage, CloseReason};

use super::queue::Happening;
use super::{SECOND, World};
use crate::planted::Bug;
use crate::report::Outcome;

/// A client that has diverged must have learned it within this time, in µs.
const HEALS_WITHIN: u64 = 600 * SECOND;

impl World<'_> {
    /// Lets a client step at this time, unless it steps before.
    pub(super) fn wake(&mut self, at: usize, time: u64) {
        if self.participants[at].plan_step(time) {
            self.at(time, Happening::Step(at));
        }
    }

    pub(super) fn input(&mut self, at: usize, input: Input) {
        let one = &mut self.participants[at];
        if one.is_alive() {
            let clock = one.clock(self.now);
            one.client_mut().handle(clock, input);
            self.obey_client(at);
            let pause = if self.plan.noise { self.participants[at].below(30_000) } else { 1_000 };
            self.wake(at, self.now + pause);
        }
    }

    pub(super) fn reach_client(&mut self, connection: ConnId, frame: Vec<u8>) -> Outcome {
        let Some(at) = self.network.reader(connection) else { return Ok(()) };
        let time = self.participants[at].hindrances().runs_at();
        if time > self.now {
            self.at(time, Happening::ToClient(connection, frame));
            return Ok(());
        }
        self.network.remove_unread(connection, frame.len());
        if self.participants[at].connection() == Some(connection) {
            self.note(&frame);
            self.oracle.saw(&mut self.participants[at], &frame)?;
            self.watch_frame(at, &frame);
            self.input(at, Input::Frame(frame));
        }
        Ok(())
    }

    pub(super) fn gone_at_client(&mut self, connection: ConnId, reason: Option<CloseReason>) {
        let Some(at) = self.network.close(connection) else { return };
        if self.participants[at].connection() == Some(connection) {
            self.participants[at].take_connection();
            let close = reason.map(|reason| (reason.code(), String::new()));
            self.input(at, Input::Disconnected(close));
        }
    }

    pub(super) fn connect(&mut self, at: usize, attempt: u64) {
        let one = &mut self.participants[at];
        if !one.awaits(attempt) {
            return;
        }
        let time = one.hindrances().runs_at();
        if time > self.now {
            self.at(time, Happening::Connect(at, attempt));
            return;
        }
        let blocked = one.hindrances().is_blocked(self.now);
        let unlucky = !self.quiet && self.plan.noise && one.chance(8);
        if self.down_until > self.now || blocked || unlucky {
            if unlucky && self.participants[at].chance(3) {
                // The reflector has seen the attempt all the same.
                self.stranger(None);
            }
            self.input(at, Input::Unreachable("no luck".into()));
            return;
        }
        let connection = self.network.open(self.now, Some(at));
        self.participants[at].set_connection(connection);
        self.server.connected(self.now, connection, None);
        self.input(at, Input::Connected(None));
        self.after_server();
    }

    /// A stranger connects, and sends at most this.
    pub(super) fn stranger(&mut self, says: Option<Vec<u8>>) {
        let connection = self.network.open(self.now, None);
        self.server.connected(self.now, connection, None);
        self.after_server();
        if let Some(frame) = says {
            let later = self.now + self.below(SECOND);
            self.at(later, Happening::ToReflector(connection, frame));
        }
    }

    pub(super) fn obey_client(&mut self, at: usize) {
        while let Some(action) = self.participants[at].client_mut().poll_action() {
            match action {
                Action::Connect { after } => {
                    if self.quiet && self.bug == Some(Bug::GivesUp) {
                        continue;
                    }
                    let one = &mut self.participants[at];
                    let attempt = one.begin_attempt();
                    let pause = after + one.delay(self.plan.noise, !self.quiet);
                    self.at(self.now + pause, Happening::Connect(at, attempt));
                }
                Action::Send(frame) => self.send_up(at, frame),
                Action::Close => {
                    if let Some(connection) = self.participants[at].take_connection() {
                        let open = self.participants[at].hindrances().up_at().max(self.now);
                        if let Some(time) = self.network.up(connection, open) {
                            self.at(time, Happening::GoneAtReflector(connection));
                        }
                        self.network.close(connection);
                    }
                }
            }
        }
    }

    pub(super) fn send_up(&mut self, at: usize, frame: Vec<u8>) {
        let Some(connection) = self.participants[at].connection() else { return };
        let one = &mut self.participants[at];
        if matches!(ClientMessage::decode(&frame), Ok(ClientMessage::Join(..))) {
            one.remember_join(&frame);
        }
        one.record(&frame);
        let mut frames = if one.is_liar() { one.lie(frame) } else { vec![frame] };
        if self.bug == Some(Bug::LosesEvent) && !self.quiet && one.chance(200) {
            frames.clear();
        }
        for frame in frames {
            let one = &mut self.participants[at];
            let open = self.now + one.delay(self.plan.noise, !self.quiet);
            let open = open.max(one.hindrances().up_at());
            // A send may arrive twice: the reflector recognizes it by its counter.
            let is_send = matches!(ClientMessage::decode(&frame), Ok(ClientMessage::Send(_)));
            let twice = is_send && self.plan.noise && !self.quiet && one.chance(20);
            let Some(time) = self.network.up(connection, open) else { return };
            if twice {
                self.at(time, Happening::ToReflector(connection, frame.clone()));
            }
            self.at(time, Happening::ToReflector(connection, frame));
        }
    }

    pub(super) fn step(&mut self, at: usize) -> Outcome {
        let now = self.now;
        let one = &mut self.participants[at];
        if !one.begin_step(now) {
            return Ok(());
        }
        let later = one.hindrances().steps_at();
        if later > now {
            self.wake(at, later);
            return Ok(());
        }
        // One message at a time, so that every position is compared.
        loop {
            let one = &mut self.participants[at];
            let before = one.seq();
            let stepped = one.step(now, HEALS_WITHIN, |step| self.scenario.corrupt(step));
            let moved = one.seq() != before;
            let dropped = self.oracle.take_events(self.scenario, at, one)?;
            self.oracle.check_alarms(&self.participants)?;
            self.check_latency(at)?;
            let snapshot = if moved || stepped == Stepped::Done {
                self.oracle.compare(now, at, &mut self.participants, moved)?
            } else {
                None
            };
            let state = snapshot.as_ref().map_or(0, |snapshot| snapshot.len());
            self.sizes.state = self.sizes.state.max(state);
            self.watch(at, stepped == Stepped::Done, snapshot)?;
            if dropped {
                self.obey_client(at);
                self.end_client(at);
                return Ok(());
            }
            if stepped == Stepped::Done {
                break;
            }
        }
        self.obey_client(at);
        let one = &self.participants[at];
        if let Some(next) = one.client().next_wakeup() {
            let next = one.world(next).max(now + 1_000);
            self.wake(at, next);
        }
        Ok(())
    }

    /// A client has given up.
    fn end_client(&mut self, at: usize) {
        let one = &mut self.participants[at];
        one.end();
        if one.is_liar() {
            self.report.liars_closed += 1;
        }
    }
}
