//! How a connection begins and ends, and the model with it.

use std::sync::Arc;

use rand_chacha::rand_core::Rng;
use teatime_base::Binding;
use teatime_vm::{PersistedData, Vm};
use teatime_wire::{ClientMessage, Join, PROTOCOL_VERSION};

use super::Client;
use super::view::Loss;
use crate::event::{Action, ConnectionState, DisconnectReason, SessionEvent};

impl Client {
    /// Starts: asks the driver for a connection. Does nothing if that was done before.
    pub fn connect(&mut self) {
        if let Some(after) = self.connection.begin(self.rng.next_u32()) {
            self.outgoing.act(Action::Connect { after });
            let state = ConnectionState::Connecting;
            self.outgoing.report(SessionEvent::Connection(state, None));
        }
    }

    /// Leaves the session, and drops the model. Does nothing if the session is over already.
    pub fn leave(&mut self) {
        if self.connection.is_over() {
            return;
        }
        if self.connection.has_joined() {
            self.outgoing.send(&ClientMessage::Leave);
        }
        self.end(None);
    }

    /// Gives up the connection as it is, and makes a new one at once. Call it if you know that the line is dead
    /// before silence shows it, for example when an app comes back from the background. Others see an exit only if
    /// the new connection takes longer than the reflector's rejoin limit.
    pub fn reconnect(&mut self, now: u64) {
        if self.connection.has_joined() {
            self.connection.forget_pauses();
            self.disconnect(now, DisconnectReason::Lost);
        } else if self.connection.skip_pause(now) {
            self.outgoing.act(Action::Connect { after: 0 });
        }
    }

    /// The connection stands: joins over it.
    pub(super) fn join(&mut self, now: u64) {
        let mut prefix = [0; 16];
        self.rng.fill_bytes(&mut prefix);
        self.seal.start_connection(prefix);
        let config = self.identity.config();
        let binding = Binding::ViewData(self.identity.view_id());
        let view_data = config.view_data.as_ref().map(|data| self.seal.seal(binding, data));
        let has_model = self.model.vm().is_some();
        let resume = self.connection.resume_at(self.backlog.newest_seq()).filter(|_| has_model);
        let join = ClientMessage::Join(Join {
            protocol: PROTOCOL_VERSION,
            session: self.identity.session_id(),
            room: self.identity.room(),
            secret: self.identity.secret(),
            password_proof: self.seal.password_proof(),
            view_data: view_data.as_deref(),
            ticks_per_second: config.ticks_per_second,
            attempt: self.connection.join(now),
            resume,
            agent: &config.agent,
        });
        self.outgoing.send(&join);
    }

    /// The model begins as `vm`. `base` is the snapshot that it was made from, if a tape needs that, and `stored` is
    /// the persisted data that the reflector has.
    pub(super) fn start_model(
        &mut self,
        mut vm: Vm,
        base: Option<Arc<[u8]>>,
        stored: Option<PersistedData>,
    ) {
        self.persisting.begin(stored);
        for (scope, event) in self.subscriptions.topics() {
            vm.watch(scope, event);
        }
        let (faults, seq) = (vm.drain_faults(), vm.seq());
        self.history.load(seq);
        self.backlog.restart(seq, vm.time().as_micros());
        let timeline = self.connection.timeline().unwrap_or_default();
        self.tape.begin(|| self.identity.head(), base, &vm, timeline);
        self.model.start(vm);
        self.outgoing.report_faults(faults);
        self.connection.run();
        // If this view had not left, and the session is idle, no message follows.
        self.announce_view(seq);
    }

    /// Asks the owner to build the view, if the model has caught up and knows the view.
    pub(super) fn announce_view(&mut self, seq: u64) {
        if self.history.ends_at(seq) && self.view.announce() {
            self.outgoing.report(SessionEvent::ViewReady);
        }
    }

    /// The models no longer know this view.
    pub(super) fn lose_view(&mut self) {
        let loss = self.view.lose();
        match loss {
            Loss::Nothing => return,
            Loss::Announcement => self.outgoing.retract_view_ready(),
            Loss::View => self.outgoing.report(SessionEvent::ViewLost),
        }
        self.subscriptions.clear_waiting();
    }

    pub(super) fn drop_model(&mut self) {
        self.lose_view();
        self.set_synced(false);
        self.model.drop();
        self.backlog.restart(0, 0);
    }

    /// The model cannot go on: the next join starts from a snapshot. The timeline stays known, so what is published
    /// now waits for that join.
    pub(super) fn forget_model(&mut self) {
        self.drop_model();
        self.history.forget();
    }

    /// Gives up the connection, and tries again if that can help.
    pub(super) fn disconnect(&mut self, now: u64, reason: DisconnectReason) {
        self.outgoing.act(Action::Close);
        self.retry(now, reason);
    }

    /// The connection is gone: tries again if that can help.
    pub(super) fn retry(&mut self, now: u64, reason: DisconnectReason) {
        self.set_synced(false);
        if !reason.is_retryable() {
            self.end(Some(reason));
            return;
        }
        self.voting.stop_upload();
        let after = self.connection.retry(now, self.rng.next_u32());
        self.outgoing.act(Action::Connect { after });
        self.report_connection(Some(reason));
    }

    fn end(&mut self, reason: Option<DisconnectReason>) {
        self.resolve_doubt(None);
        self.drop_model();
        self.outgoing.act(Action::Close);
        self.connection.end(reason.clone());
        self.report_connection(reason);
    }

    /// Tells the owner if the connection has changed its state, or has failed once more.
    pub(super) fn report_connection(&mut self, reason: Option<DisconnectReason>) {
        let change = self.connection.take_change(self.view.is_ready());
        if change.is_some() || reason.is_some() {
            self.tell(SessionEvent::Connection(self.connection_state(), reason));
        }
    }

    pub(super) fn set_synced(&mut self, is_synced: bool) {
        if self.clock.set_synced(is_synced) {
            self.tell(SessionEvent::Synced(is_synced));
        }
    }

    /// Tells the owner something that may also happen while the model stands still.
    pub(super) fn tell(&mut self, event: SessionEvent) {
        self.outgoing.tell(event, self.is_full());
    }

    pub(super) fn tell_if(&mut self, event: Option<SessionEvent>) {
        if let Some(event) = event {
            self.tell(event);
        }
    }

    /// Whether the model must stand still until the owner has polled some of what waits.
    pub(super) fn is_full(&self) -> bool {
        self.outgoing.is_full() || self.subscriptions.is_full() || self.tape.is_full()
    }
}
