//! Simulating what has arrived.

use teatime_vm::recording::Input;
use teatime_vm::{External, Fault, FaultKind, Time, Vm};
use teatime_wire::ClientMessage;

use crate::backlog::{Content, Ordered};
use crate::client::{Client, Phase};
use crate::event::{Action, DisconnectReason, SessionEvent};
use crate::limits::{
    MAX_BACKLOG_BYTES, MAX_WAITING_DELIVERIES, MAX_WAITING_EVENTS, SILENCE, SYNCED_LAG,
    TURNS_PER_LOOK, UNSYNCED_LAG,
};
use crate::tape::Tape;
use teatime_base::Binding;

/// Why a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stepped {
    /// Everything that has arrived was simulated.
    Done,
    /// The time budget was used up, or as much waits to be pulled as may; there is more to simulate.
    Budget,
    /// An immediate delivery or a [`SessionEvent::ViewReady`] wants to be taken before the
    /// simulation goes on.
    Attention,
}

impl Client {
    /// Does what is due and simulates what has arrived, as long as `more` says that there is time.
    /// `more` is asked about every 10 µs of work.
    pub fn step(&mut self, now: u64, more: &mut dyn FnMut() -> bool) -> Stepped {
        self.keep_connection(now);
        self.flush_outbox(now);
        self.continue_upload();
        let stepped = self.simulate(more);
        if std::mem::take(&mut self.not_undone) {
            self.replace_model(now);
            return Stepped::Done;
        }
        self.unfinished = stepped != Stepped::Done;
        if stepped == Stepped::Done || self.is_full() {
            self.update_synced();
        }
        self.ask_to_persist();
        self.report_connection(None);
        stepped
    }

    /// Whoever has an older checkpoint could undo the turn, and has another state now: from a snapshot
    /// and the log everybody comes to the same. Where that is how it came to this it is no use.
    #[cold]
    fn replace_model(&mut self, now: u64) {
        let is_live = self.vm.as_ref().is_some_and(|vm| vm.seq() > self.history_until);
        self.forget_model();
        let reason = if is_live {
            DisconnectReason::Diverged
        } else {
            DisconnectReason::Model("a turn that failed cannot be undone".into())
        };
        self.disconnect(now, reason);
    }

    /// When [`step`](Self::step) should be called even if nothing arrives, on the driver's clock.
    pub fn next_wakeup(&self) -> Option<u64> {
        let is_blocked = self.wants_attention() || self.is_full();
        if self.unfinished && self.vm.is_some() && !is_blocked {
            return Some(0);
        }
        let connection = match &self.phase {
            Phase::Idle | Phase::Connecting { .. } | Phase::Over => return None,
            Phase::Joining { until } => return Some(*until),
            Phase::Loading(_) => return Some(self.last_heard + SILENCE),
            Phase::Running => (self.last_heard + SILENCE).min(self.pulse.next_wakeup()),
        };
        let to_simulate = !self.backlog.is_empty() && !is_blocked;
        if self.voting.is_uploading() || to_simulate {
            return Some(0);
        }
        let sends = if self.may_send() { self.outbox.next_wakeup() } else { None };
        Some(sends.map_or(connection, |at| at.min(connection)))
    }

    fn keep_connection(&mut self, now: u64) {
        match self.phase {
            Phase::Joining { until } if now >= until => {
                self.disconnect(now, DisconnectReason::Silent);
            }
            Phase::Loading(_) | Phase::Running if now >= self.last_heard + SILENCE => {
                self.disconnect(now, DisconnectReason::Silent);
            }
            Phase::Running if self.backlog.bytes() > MAX_BACKLOG_BYTES => {
                self.forget_model();
                self.disconnect(now, DisconnectReason::TooSlow);
            }
            Phase::Running => {
                if let Some(nonce) = self.pulse.due(now) {
                    self.send(&ClientMessage::Ping(nonce));
                }
            }
            _ => {}
        }
    }

    /// What was published while the connection was broken waits for this view's new join: the models
    /// do not know the sender before.
    fn may_send(&self) -> bool {
        matches!(self.phase, Phase::Running) && self.own_join_seen && !self.held
    }

    pub(crate) fn flush_outbox(&mut self, now: u64) {
        if !self.may_send() {
            return;
        }
        while let Some((counter, payload)) = self.outbox.next_to_send(now) {
            let message = ClientMessage::Send(teatime_wire::Send { counter, payload });
            let frame = message.encode();
            self.actions.push_back(Action::Send(frame));
        }
    }

    fn simulate(&mut self, more: &mut dyn FnMut() -> bool) -> Stepped {
        if self.vm.is_none() {
            return Stepped::Done;
        }
        loop {
            if self.wants_attention() {
                return Stepped::Attention;
            }
            if self.not_undone {
                return Stepped::Done;
            }
            if self.is_full() {
                return Stepped::Budget;
            }
            let next = self.backlog.next_time();
            let until = next.unwrap_or_else(|| self.time_reached());
            if !self.advance(until) {
                if !more() {
                    return Stepped::Budget;
                }
                continue;
            }
            let Some(message) = self.backlog.pop() else {
                return if self.wants_attention() { Stepped::Attention } else { Stepped::Done };
            };
            self.deliver(message);
            if !more() {
                return if self.wants_attention() { Stepped::Attention } else { Stepped::Budget };
            }
        }
    }

    /// Up to when nothing more can come before: the newest time heard, once the log that was old
    /// when the connection was made has arrived.
    fn time_reached(&self) -> u64 {
        if self.backlog.newest_seq() >= self.history_until { self.clock.external() } else { 0 }
    }

    /// Whether something must be taken before the next turn.
    fn wants_attention(&self) -> bool {
        self.subscriptions.has_immediate() || self.view_unbuilt
    }

    /// Whether as much waits for the owner as may: the model stands still until he pulls some of it.
    pub(crate) fn is_full(&self) -> bool {
        self.events.len() >= MAX_WAITING_EVENTS
            || self.subscriptions.waiting() >= MAX_WAITING_DELIVERIES
            || self.tape.as_ref().is_some_and(Tape::is_full)
    }

    /// Runs some of the future messages that are due; true when none is left.
    fn advance(&mut self, until: u64) -> bool {
        let Some(vm) = &mut self.vm else { return true };
        let until = Time::from_micros(until).max(vm.time());
        let turns = if self.subscriptions.has_immediate_topics() { 1 } else { TURNS_PER_LOOK };
        let done = vm.advance(until, turns);
        self.collect();
        done
    }

    fn deliver(&mut self, message: Ordered) {
        let Some(vm) = &mut self.vm else { return };
        let Ordered { seq, time, content } = message;
        let at = Time::from_micros(time);
        let is_vote = matches!(content, Content::Vote);
        let votes = is_vote && seq > self.history_until;
        let tape = &mut self.tape;
        let mut deliver = |vm: &mut Vm, external: &External<'_>| {
            if let Some(tape) = tape {
                tape.input(seq, Input::new(at, external));
            }
            vm.deliver(at, seq, external)
        };
        let delivered = match content {
            Content::Event { sender, counter, mut frame, payload } => {
                let sealed = &mut frame[payload];
                let opened = self.seal.open(Binding::Event(sender, counter), sealed);
                let external = opened.ok().and_then(event_of).map_or(
                    // What nobody can read is a turn in which nothing happens, for everybody.
                    External::Marker,
                    |(scope, event, payload)| External::Event { sender, scope, event, payload },
                );
                let delivered = deliver(vm, &external);
                if sender == self.view_id {
                    self.applied = self.applied.max(counter);
                }
                delivered
            }
            Content::Views { exited, joined } => {
                let own = self.view_id;
                self.own_join_seen |= joined.iter().any(|view| view.view_id == own);
                let external = External::Presence { exited: &exited, joined: &joined };
                deliver(vm, &external)
            }
            Content::Vote => deliver(vm, &External::Marker),
        };
        delivered.expect("the backlog holds gapless, ordered messages that follow the model");
        self.collect();
        if is_vote {
            self.look_at_doubt(seq);
        }
        if votes {
            self.cast_vote(seq, time);
        }
        self.check_view_ready(seq);
    }

    /// Takes what the last turns published and which handlers failed.
    fn collect(&mut self) {
        let Some(vm) = &mut self.vm else { return };
        vm.drain_published(&mut self.published);
        let faults = vm.drain_faults();
        let not_undone = |fault: &Fault| matches!(fault.kind, FaultKind::NotUndone(_));
        self.not_undone |= faults.iter().any(not_undone);
        if self.view_ready {
            for event in &self.published {
                self.subscriptions.route(event);
            }
        }
        self.published.clear();
        self.report_faults(faults);
    }

    pub(crate) fn check_view_ready(&mut self, seq: u64) {
        if !self.view_ready && self.own_join_seen && seq >= self.history_until {
            self.view_ready = true;
            self.view_unbuilt = true;
            self.events.push_back(SessionEvent::ViewReady);
        }
    }

    fn update_synced(&mut self) {
        let lag = self.clock.external().saturating_sub(self.now().as_micros());
        let running = matches!(self.phase, Phase::Running) && self.view_ready;
        let synced = running && lag <= if self.synced { UNSYNCED_LAG } else { SYNCED_LAG };
        self.set_synced(synced);
    }

    pub(crate) fn set_synced(&mut self, synced: bool) {
        if self.synced != synced {
            self.synced = synced;
            self.tell(SessionEvent::Synced(synced));
        }
    }
}

/// Reads the content of an event: `[scope, event, data]`.
pub(crate) fn event_of(plain: &[u8]) -> Option<(&str, &str, &[u8])> {
    let (scope, event, data): (&str, &str, &serde_bytes::Bytes) =
        rmp_serde::from_slice(plain).ok()?;
    Some((scope, event, data.as_ref()))
}
