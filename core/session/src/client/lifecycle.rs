//! How a connection begins and ends, and the model with it.

use std::sync::Arc;

use rand_chacha::rand_core::Rng;
use teatime_vm::{PersistedData, Vm};
use teatime_wire::{ClientMessage, Greeting, SnapshotInfo};

use super::Client;
use super::view::Loss;
use crate::alarm::AlarmKind;
use crate::content::seal_join;
use crate::event::{Action, ConnectionState, DisconnectReason, SessionEvent};
use crate::transcript::Transcript;

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

    /// The app goes to the background, where the system may freeze it at any moment: the others see this view exit
    /// after `pause` µs (at most an hour, by default), whether the app still runs then or not. Without a working
    /// connection the reflector cannot learn of that, and its rejoin limit counts. A connection that ends meanwhile is
    /// not made again: when the app is back it must call [`reconnect`](Self::reconnect), even if the connection still
    /// stands. If that comes in time, the others notice nothing. Does nothing when the session is over.
    pub fn leave_after(&mut self, now: u64, pause: u64) {
        if self.connection.has_joined() {
            let milliseconds = u32::try_from(pause.div_ceil(1_000)).unwrap_or(u32::MAX);
            self.outgoing.send(&ClientMessage::LeaveAfter(milliseconds));
        }
        if self.connection.enter_background(now) {
            self.outgoing.act(Action::Close);
            self.report_connection(None);
        }
    }

    /// Gives up the connection as it is, and makes a new one at once. Call it if you know that the line is dead
    /// before silence shows it, for example when an app comes back from the background. Others see an exit only if
    /// the new connection takes longer than the reflector's rejoin limit. It also ends what
    /// [`leave_after`](Self::leave_after) has begun.
    pub fn reconnect(&mut self, now: u64) {
        if self.connection.leave_background(now) {
            self.outgoing.act(Action::Connect { after: 0 });
            self.report_connection(None);
        } else if self.connection.stands() {
            self.connection.forget_pauses();
            self.disconnect(now, DisconnectReason::Lost);
        } else if self.connection.skip_pause(now) {
            self.outgoing.act(Action::Connect { after: 0 });
        }
    }

    /// The reflector has said hello on the connection that stands: joins over it.
    pub(super) fn join(&mut self, now: u64, greeting: Greeting) -> Result<(), DisconnectReason> {
        let challenge = self.connection.challenge(greeting)?;
        let mut prefix = [0; 16];
        self.rng.fill_bytes(&mut prefix);
        self.seal.start_connection(prefix);
        let has_model = self.model.vm().is_some();
        let resume = self.connection.resume_at(self.transcript.newest()).filter(|_| has_model);
        let attempt = self.connection.join(now);
        let mut view_data = self.config().view_data.clone();
        if self.seal.has_password() {
            let view = self.identity.view_id();
            view_data = Some(seal_join(&mut self.seal, view, attempt, view_data.as_deref()));
        }
        let position = (attempt, resume);
        let join = self.identity.join(&challenge, view_data.as_deref(), position);
        self.outgoing.send(&join);
        Ok(())
    }

    /// The model begins as `vm`, at the position of the transcript. `base` is the snapshot that it was made from, if a tape needs that, and `stored` is
    /// the persisted data that the reflector has.
    pub(super) fn start_model(
        &mut self,
        mut vm: Vm,
        transcript: Transcript,
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
        let lacking = self.transcript.restart(seq, transcript);
        if let Some(lost) = self.transcript.take_lost(self.history.until()).or(lacking) {
            self.raise(AlarmKind::Rewound, lost, None, None);
        }
        let timeline = self.connection.timeline().unwrap_or_default();
        self.tape.begin(|| self.identity.head(), base, &vm, timeline);
        self.model.start(vm);
        self.outgoing.report_faults(faults);
        self.connection.run();
        // If this view had not left, and the session is idle, no message follows.
        self.catch_up(seq);
    }

    /// The model has come to this number: reports what follows from it if that is the end of the history.
    pub(super) fn catch_up(&mut self, seq: u64) {
        // A model that falls behind may come to it when the connection has broken.
        if self.connection.is_running()
            && let Some(snapshot) = self.history.take_loaded(seq)
        {
            self.outgoing.send(&ClientMessage::Loaded(snapshot));
        }
        if self.history.ends_at(seq) {
            self.outbox.catch_up();
        }
        self.announce_view(seq);
    }

    /// Asks the owner to build the view, if the model has caught up and knows the view.
    fn announce_view(&mut self, seq: u64) {
        if self.history.ends_at(seq) && self.view.announce() {
            self.outgoing.report(SessionEvent::ViewReady);
            // It may have come before the model that knows the participants.
            if !self.presences.is_empty() {
                self.presences_changed();
            }
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
        // Without a model no participants are known.
        if self.model.vm().is_some() && !self.presences.is_empty() {
            self.presences_changed();
        }
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
        if reason.is_retryable() {
            self.connect_again(now, reason);
        } else {
            self.set_synced(false);
            self.end(Some(reason));
        }
    }

    /// The snapshot cannot be used. The reflector hears that, and may give another one to the next join. If it gives the
    /// same one again, that is final.
    pub(super) fn refuse_snapshot(
        &mut self,
        now: u64,
        info: SnapshotInfo,
        reason: DisconnectReason,
    ) {
        let refused = self.connection.timeline().map(|timeline| (timeline, info));
        if std::mem::replace(&mut self.refused, refused) == refused {
            self.disconnect(now, reason);
            return;
        }
        self.outgoing.send(&ClientMessage::Unusable(info.seq));
        self.forget_model();
        self.outgoing.act(Action::Close);
        self.connect_again(now, reason);
    }

    fn connect_again(&mut self, now: u64, reason: DisconnectReason) {
        self.set_synced(false);
        self.voting.stop_upload();
        if let Some(after) = self.connection.retry(now, self.rng.next_u32()) {
            self.outgoing.act(Action::Connect { after });
        }
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
