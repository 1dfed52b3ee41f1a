//! Simulating what has arrived.

use teatime_base::{Binding, BrokenSealError, ViewId};
use teatime_vm::recording::Input;
use teatime_vm::{External, Time, ViewInfo};
use teatime_wire::{ClientMessage, Send};

use super::Client;
use super::backlog::{Content, Ordered};
use super::model::Model;
use super::outbox::Next;
use super::presences;
use super::tape::Tape;
use crate::alarm::{Alarm, AlarmKind};
use crate::content::external;
use crate::event::{DisconnectReason, SessionEvent, Stepped, Unconfirmed};
use crate::limits::{MAX_ALARMS, MAX_BACKLOG_BYTES, TURNS_PER_LOOK};

impl Client {
    /// Does what is due, and simulates what has arrived as long as `more` returns true. `more` is called after
    /// every 10 µs of work, more or less.
    pub fn step(&mut self, now: u64, more: &mut dyn FnMut() -> bool) -> Stepped {
        self.keep_connection(now);
        self.flush_outbox(now);
        self.flush_presence(now);
        self.continue_upload();
        let stepped = self.simulate(more);
        if self.model.is_broken() {
            self.replace_model(now);
            return Stepped::Done;
        }
        if std::mem::take(&mut self.is_expelled) && self.connection.is_running() {
            // Only another join brings the view back.
            self.disconnect(now, DisconnectReason::Lost);
        }
        self.last_step = stepped;
        if stepped == Stepped::Done || self.is_full() {
            self.update_synced();
        }
        self.ask_to_persist();
        self.report_connection(None);
        stepped
    }

    /// A turn failed and could not be undone. A client with an older checkpoint could undo it, and has another
    /// state now. From a snapshot and the log all clients come to the same state. But if this model came to the
    /// failure in just that way, it would do so again.
    #[cold]
    fn replace_model(&mut self, now: u64) {
        let is_history = self.history.includes(self.model.seq());
        self.forget_model();
        let reason = if is_history {
            DisconnectReason::Model("a turn that failed cannot be undone".into())
        } else {
            DisconnectReason::Diverged
        };
        self.disconnect(now, reason);
    }

    /// When to call [`step`](Self::step) even if nothing arrives, in µs of the driver's clock. `None` if only input
    /// can make it worthwhile.
    pub fn next_wakeup(&self) -> Option<u64> {
        let can_simulate = !self.wants_attention() && !self.is_full();
        if self.last_step != Stepped::Done && self.model.vm().is_some() && can_simulate {
            return Some(0);
        }
        let deadline = self.connection.deadline()?;
        if !self.connection.is_running() {
            return Some(deadline);
        }
        if self.voting.is_uploading() || (can_simulate && !self.backlog.is_empty()) {
            return Some(0);
        }
        let sends = if self.may_send() { self.outbox.next_wakeup() } else { None };
        let presence = self.presences.next_wakeup().filter(|_| self.view.is_known());
        let connection = deadline.min(self.pulse.next_wakeup());
        [sends, presence].into_iter().flatten().chain([connection]).min()
    }

    fn keep_connection(&mut self, now: u64) {
        if self.connection.deadline().is_some_and(|deadline| now >= deadline) {
            self.disconnect(now, DisconnectReason::Silent);
            return;
        }
        if !self.connection.is_running() {
            return;
        }
        if self.backlog.bytes() > MAX_BACKLOG_BYTES {
            self.forget_model();
            self.disconnect(now, DisconnectReason::TooSlow);
        } else if let Some(nonce) = self.pulse.due(now) {
            self.outgoing.send(&ClientMessage::Ping(nonce));
        }
    }

    /// What was published while the connection was broken waits for this view's new join: the models do not know
    /// the sender before.
    fn may_send(&self) -> bool {
        self.connection.is_running() && self.view.is_known() && !self.outbox.is_held()
    }

    pub(super) fn flush_outbox(&mut self, now: u64) {
        if !self.may_send() {
            return;
        }
        let count = self.outbox.settle(self.backlog.newest_seq());
        if count > 0 {
            self.tell(SessionEvent::Unconfirmed(Unconfirmed { count }));
        }
        let (view, attempt) = (self.identity.view_id(), self.connection.attempt());
        while let Some(Next { counter, previous, content }) = self.outbox.next_to_send(now) {
            // Sealed when it is sent, also if it is sent again: what it says of the order is as new as can be.
            let sealed = self.transcript.claim(view, attempt, previous).map(|claim| {
                self.seal.seal(Binding::Event(view, counter), &claim.append_to(content))
            });
            let payload = sealed.as_deref().unwrap_or(content);
            self.outgoing.send(&ClientMessage::Send(Send { counter, payload }));
        }
    }

    /// Sends what this participant shows, once the others know its view.
    pub(super) fn flush_presence(&mut self, now: u64) {
        if !self.connection.is_running() || !self.view.is_known() {
            return;
        }
        let (view, attempt) = (self.identity.view_id(), self.connection.attempt());
        if let Some((number, data)) = self.presences.next_to_send(now) {
            let sealed = presences::sealed(&mut self.seal, view, (attempt, number), data);
            self.outgoing.send(&ClientMessage::Presence(&sealed));
        }
    }

    fn simulate(&mut self, more: &mut dyn FnMut() -> bool) -> Stepped {
        if self.model.vm().is_none() {
            return Stepped::Done;
        }
        loop {
            if self.wants_attention() {
                return Stepped::Attention;
            }
            if self.model.is_broken() {
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

    /// Up to when the model may go: to the newest time that the reflector has promised, once all of the history
    /// has arrived.
    fn time_reached(&self) -> u64 {
        if self.history.ends_at(self.backlog.newest_seq()) { self.clock.external() } else { 0 }
    }

    /// Whether the owner must poll something before the next turn.
    fn wants_attention(&self) -> bool {
        self.subscriptions.has_immediate() || self.view.is_announced()
    }

    /// Runs some of the future messages that are due. True when none is left.
    fn advance(&mut self, until: u64) -> bool {
        let Some(vm) = self.model.vm_mut() else { return true };
        let until = Time::from_micros(until).max(vm.time());
        let turns = if self.subscriptions.has_immediate_topics() { 1 } else { TURNS_PER_LOOK };
        let is_done = vm.advance(until, turns);
        self.collect();
        is_done
    }

    fn deliver(&mut self, message: Ordered) {
        let Ordered { seq, time, content } = message;
        let is_vote = matches!(content, Content::Vote);
        match content {
            Content::Event { sender, counter, plain } => {
                let plain = plain.map(|length| self.backlog.take_plain(length));
                let opened = plain.ok_or(BrokenSealError);
                let (content, alarm) = self.transcript.place(seq, (sender, counter), opened);
                deliver(&mut self.model, &mut self.tape, (seq, time), &external(sender, content));
                let seen = content.and_then(|content| content.claim).map(|claim| claim.seq);
                let is_read = content.is_some();
                if let Some(kind) = alarm {
                    self.raise(kind, seq, Some(sender), seen);
                }
                // Without content it may be none that this client has sent.
                if sender == self.view_id() && is_read {
                    self.outbox.apply(counter);
                }
            }
            Content::Views { exited, joined, attempts } => {
                let gone = exited.iter().map(|view| view.view_id);
                let come = joined.iter().map(|view| view.view_id).zip(attempts);
                for ghost in self.transcript.change_views(gone, come) {
                    self.raise(AlarmKind::Invented, seq, Some(ghost), None);
                }
                self.see_own_view(seq, &exited, &joined);
                // What a participant shows may come before its join has been simulated.
                if joined.iter().any(|view| self.presences.has(view.view_id)) {
                    self.presences_changed();
                }
                let external = External::Presence { exited: &exited, joined: &joined };
                deliver(&mut self.model, &mut self.tape, (seq, time), &external);
            }
            Content::Vote => {
                deliver(&mut self.model, &mut self.tape, (seq, time), &External::Marker);
            }
        }
        if self.transcript.set_handled(seq) {
            self.raise(AlarmKind::Rewound, seq, None, None);
        }
        self.collect();
        if is_vote {
            self.compare_with_doubted(seq);
            if !self.history.includes(seq) {
                self.cast_vote(seq, time);
            }
        }
        self.catch_up(seq);
    }

    /// Views have exited and joined. What was ordered before this connection was made says nothing of this client's own view:
    /// the welcome has said what became of it.
    fn see_own_view(&mut self, seq: u64, exited: &[ViewInfo], joined: &[ViewInfo]) {
        let own = self.view_id();
        let has_own = |views: &[ViewInfo]| views.iter().any(|view| view.view_id == own);
        if self.history.includes(seq) {
            return;
        }
        if has_own(exited) && self.view.is_known() {
            // No reflector lets a view exit over the connection that it has.
            self.raise(AlarmKind::Expelled, seq, Some(own), None);
            self.lose_view();
            self.is_expelled = true;
        }
        if has_own(joined) {
            self.view.join();
        }
    }

    /// Tells the owner that the order is wrong, once for each kind and participant.
    #[cold]
    pub(super) fn raise(
        &mut self,
        kind: AlarmKind,
        seq: u64,
        participant: Option<ViewId>,
        seen: Option<u64>,
    ) {
        let alarm = SessionEvent::Alarm(Alarm { kind, seq, participant, seen });
        if matches!(kind, AlarmKind::Rewound | AlarmKind::Clock) {
            // What a crash or an operator undoes is news each time.
            self.tell(alarm);
        } else if self.alarms.len() < MAX_ALARMS && self.alarms.insert((kind, participant)) {
            self.outgoing.report(alarm);
        }
    }

    /// Takes what the last turns published, and which handlers failed.
    fn collect(&mut self) {
        let (is_ready, subscriptions) = (self.view.is_ready(), &mut self.subscriptions);
        let faults = self.model.collect(|event| {
            if is_ready {
                subscriptions.route(event);
            }
        });
        self.outgoing.report_faults(faults);
    }

    /// Asks for a vote if the model has persisted something that is not stored.
    fn ask_to_persist(&mut self) {
        let may_ask = self.connection.is_running() && self.view.is_ready();
        if let (true, Some(persisted)) = (may_ask, self.model.persisted())
            && self.persisting.request(persisted)
        {
            self.outgoing.send(&ClientMessage::Persist);
        }
    }

    fn update_synced(&mut self) {
        let is_live = self.connection.is_running() && self.view.is_ready();
        let is_synced = is_live && self.clock.is_near(self.now().as_micros());
        self.set_synced(is_synced);
    }
}

/// Delivers what has this position in the log, and tapes it.
fn deliver(model: &mut Model, tape: &mut Tape, (seq, time): (u64, u64), external: &External<'_>) {
    let Some(vm) = model.vm_mut() else { return };
    let at = Time::from_micros(time);
    tape.input(seq, || Input::new(at, external));
    vm.deliver(at, seq, external)
        .expect("the backlog holds gapless, ordered messages that follow the model");
}
