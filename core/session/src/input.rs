//! What arrives: connections that stand or break, and the frames of the reflector.

use std::sync::Arc;

use rand_chacha::rand_core::Rng;
use teatime_base::{Binding, Digest};
use teatime_vm::{PersistedData, Time, ViewInfo, Vm};
use teatime_wire::{
    ClientMessage, CloseReason, Event, Hold, Join, PROTOCOL_VERSION, Resume, ServerMessage,
    Trailer, View, Views, Welcome,
};

use crate::backlog::{Content, Ordered, OutOfOrder};
use crate::client::{Client, Phase};
use crate::event::{Action, ConnectionState, DisconnectReason, Input, SessionEvent};
use crate::limits::JOIN_TIMEOUT;
use crate::loading::Loading;

impl Client {
    /// Starts: asks the driver for a connection. Does nothing if that was done before.
    pub fn connect(&mut self) {
        if matches!(self.phase, Phase::Idle) {
            self.phase = Phase::Connecting { from: 0 };
            let after = self.backoff.pause(self.rng.next_u32());
            self.actions.push_back(Action::Connect { after });
            let connecting = SessionEvent::Connection(ConnectionState::Connecting, None);
            self.events.push_back(connecting);
        }
    }

    /// Leaves the session; the model is gone with it. Does nothing if it is over already.
    pub fn leave(&mut self) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        if !matches!(self.phase, Phase::Idle | Phase::Connecting { .. }) {
            self.send(&ClientMessage::Leave);
        }
        self.end(None);
    }

    /// Gives up the connection as it is and makes a new one at once: for whoever knows that the line
    /// is dead before silence tells, such as an app that comes back from the background. Others see
    /// an exit only if it takes longer than the reflector's rejoin limit.
    pub fn reconnect(&mut self, now: u64) {
        match self.phase {
            Phase::Idle | Phase::Over => {}
            // The attempt is under way.
            Phase::Connecting { from } if from <= now => {}
            Phase::Connecting { .. } => {
                self.phase = Phase::Connecting { from: now };
                self.backoff.reset();
                self.actions.push_back(Action::Connect { after: 0 });
            }
            Phase::Joining { .. } | Phase::Loading(_) | Phase::Running => {
                self.backoff.reset();
                self.disconnect(now, DisconnectReason::Lost);
            }
        }
    }

    /// Takes in what the driver has to say.
    pub fn handle(&mut self, now: u64, input: Input) {
        self.last_heard = now;
        match (input, &self.phase) {
            (_, Phase::Idle | Phase::Over) => {}
            (Input::Connected, Phase::Connecting { .. }) => self.join(now),
            (Input::Connected, _) => {}
            (Input::Unreachable(why), _) => self.retry(now, DisconnectReason::Unreachable(why)),
            (Input::BadCertificate(why), _) => {
                self.retry(now, DisconnectReason::BadCertificate(why));
            }
            (Input::Disconnected(close), _) => {
                let known = close.and_then(|(code, detail)| {
                    CloseReason::from_code(code).map(|reason| (reason, detail))
                });
                let reason = known.map_or(DisconnectReason::Lost, |(reason, detail)| {
                    DisconnectReason::Closed(reason, detail)
                });
                self.retry(now, reason);
            }
            // Still in flight from a connection that we have given up.
            (Input::Frame(_), Phase::Connecting { .. }) => {}
            (Input::Frame(frame), _) => {
                if let Err(reason) = self.receive(now, frame) {
                    if matches!(reason, DisconnectReason::Protocol(_)) {
                        self.forget_model();
                    }
                    self.disconnect(now, reason);
                }
            }
        }
        self.report_connection(None);
    }

    fn join(&mut self, now: u64) {
        let mut prefix = [0; 16];
        self.rng.fill_bytes(&mut prefix);
        self.seal.start_connection(prefix);
        let binding = Binding::ViewData(self.view_id);
        let view_data = self.config.view_data.as_ref().map(|data| self.seal.seal(binding, data));
        let resume = self
            .timeline
            .filter(|_| self.vm.is_some())
            .map(|timeline| Resume { timeline, seq: self.backlog.newest_seq() });
        self.attempt += 1;
        let join = ClientMessage::Join(Join {
            protocol: PROTOCOL_VERSION,
            session: self.session_id,
            room: self.room,
            secret: self.secret,
            password_proof: self.seal.password_proof(),
            view_data: view_data.as_deref(),
            ticks_per_second: self.config.ticks_per_second,
            attempt: self.attempt,
            resume,
            agent: &self.config.agent,
        })
        .encode();
        self.actions.push_back(Action::Send(join));
        self.phase = Phase::Joining { until: now + JOIN_TIMEOUT };
    }

    fn receive(&mut self, now: u64, mut frame: Vec<u8>) -> Result<(), DisconnectReason> {
        let base = frame.as_ptr() as usize;
        let message = ServerMessage::decode(&frame).map_err(protocol)?;
        match (message, &mut self.phase) {
            (ServerMessage::Welcome(welcome), Phase::Joining { .. }) => self.welcome(now, welcome),
            (ServerMessage::SnapshotPart(part), Phase::Loading(loading)) => {
                match loading.add(part).map_err(DisconnectReason::Protocol)? {
                    Some(snapshot) => self.restore(snapshot),
                    None => Ok(()),
                }
            }
            (ServerMessage::Event(event), Phase::Running) => {
                let Event { seq, time, sender, counter, payload } = event;
                let start = payload.as_ptr() as usize - base;
                let payload = start..start + payload.len();
                if sender == self.view_id
                    && let Some(round_trip) = self.outbox.echo(now, counter)
                {
                    self.pulse.measured(round_trip);
                }
                frame.shrink_to_fit();
                let content = Content::Event { sender, counter, frame, payload };
                self.enqueue(now, Ordered { seq, time, content })
            }
            (ServerMessage::Views(views), Phase::Running) => {
                let Views { seq, time, exited, joined, .. } = views;
                let content = Content::Views {
                    exited: exited.iter().map(|view| view_info(&mut self.seal, view)).collect(),
                    joined: joined.iter().map(|view| view_info(&mut self.seal, view)).collect(),
                };
                self.enqueue(now, Ordered { seq, time, content })
            }
            (ServerMessage::VoteRequest(vote), Phase::Running) => {
                self.voting.asked = false;
                let content = Content::Vote;
                self.enqueue(now, Ordered { seq: vote.seq, time: vote.time, content })
            }
            (ServerMessage::Tick(time), Phase::Running) => {
                self.clock.hear(now, time);
                Ok(())
            }
            (ServerMessage::Verdict(verdict), Phase::Running) => self.hear_verdict(now, verdict),
            (ServerMessage::SnapshotWanted(seq), Phase::Running) => {
                self.start_upload(seq);
                Ok(())
            }
            (ServerMessage::Diverged(seq), Phase::Running) => self.hear_diverged(now, seq),
            (ServerMessage::Persisted(seq), Phase::Running) => {
                self.hear_persisted(seq);
                Ok(())
            }
            (ServerMessage::NotPersisted(told), Phase::Running) => {
                self.hear_not_persisted(told.failure);
                Ok(())
            }
            (ServerMessage::NewerVersion(version), Phase::Running | Phase::Loading(_)) => {
                self.hear_newer_version(version);
                Ok(())
            }
            (ServerMessage::Pong(nonce), _) => {
                self.pulse.answer(now, nonce);
                Ok(())
            }
            (ServerMessage::Hold(hold), Phase::Running) => {
                let held = hold == Hold::Pause;
                if self.held != held {
                    self.held = held;
                    self.tell(SessionEvent::Held(held));
                }
                Ok(())
            }
            (message, _) => {
                let name = format!("{message:?}");
                let name = name.split(['(', ' ']).next().unwrap_or_default();
                Err(DisconnectReason::Protocol(format!("a {name} message came out of place")))
            }
        }
    }

    fn enqueue(&mut self, now: u64, message: Ordered) -> Result<(), DisconnectReason> {
        // The model may have gone on to the time that was told; what is old news may be before it.
        let told = if message.seq > self.history_until { self.clock.external() } else { 0 };
        if message.time < told.max(self.now().as_micros()) {
            return Err(DisconnectReason::Protocol("time went back".into()));
        }
        self.clock.hear(now, message.time);
        self.backlog.push(message).map_err(|OutOfOrder(what)| DisconnectReason::Protocol(what))
    }

    fn welcome(&mut self, now: u64, welcome: Welcome) -> Result<(), DisconnectReason> {
        if welcome.view_id != self.view_id {
            return Err(DisconnectReason::Protocol("the welcome is for another view".into()));
        }
        if welcome.resumed && (self.vm.is_none() || self.timeline != Some(welcome.timeline)) {
            return Err(DisconnectReason::Protocol("nothing was there to resume".into()));
        }
        if self.timeline != Some(welcome.timeline) {
            // Another log: what was right in the one before is nowhere any more.
            self.resolve_doubt(None);
        }
        self.backoff.reset();
        self.pulse.start_connection(now);
        self.voting.start_connection();
        self.ask_again_to_persist();
        self.held = false;
        self.limits = welcome.limits;
        self.timeline = Some(welcome.timeline);
        self.outbox.start_connection(now, welcome.counter, welcome.limits);
        self.history_until = welcome.seq;
        self.own_join_seen = welcome.seamless;
        if welcome.resumed {
            self.history_from = self.vm.as_ref().map_or(0, Vm::seq);
            self.clock.hear(now, welcome.time);
            if !welcome.seamless {
                self.lose_view();
            }
            self.phase = Phase::Running;
            return Ok(());
        }
        self.drop_model();
        self.clock.restart(now, welcome.time);
        match welcome.snapshot {
            Some(info) => {
                let loading =
                    Loading::new(info, welcome.persisted).map_err(DisconnectReason::Protocol)?;
                self.phase = Phase::Loading(loading);
                Ok(())
            }
            // Without what is announced it would begin without what was persisted.
            None if welcome.persisted.is_some() => {
                Err(DisconnectReason::Protocol("what it is to begin with is missing".into()))
            }
            None => {
                let vm = Vm::new(&self.config.app, self.session_id(), &self.config.options)
                    .map_err(|error| DisconnectReason::Model(error.to_string()))?;
                self.start_model(vm, None, None);
                Ok(())
            }
        }
    }

    fn restore(&mut self, mut sealed: Vec<u8>) -> Result<(), DisconnectReason> {
        let Phase::Loading(loading) = &self.phase else { return Ok(()) };
        let info = loading.info;
        if let Some(version) = loading.persisted_by {
            return self.begin_with(info, version, sealed);
        }
        let refused = |why: String| Err(DisconnectReason::BadSnapshot(why));
        if Digest::of(&sealed) != info.hash {
            return refused("it is not the state that the majority voted for".into());
        }
        match Trailer::snapshot_length(&sealed) {
            Ok(length) => sealed.truncate(length),
            Err(error) => return refused(error.to_string()),
        }
        let snapshot = match self.seal.open(Binding::Snapshot(info.seq), &mut sealed) {
            Ok(snapshot) => snapshot,
            Err(broken) => return refused(broken.to_string()),
        };
        let vm = match Vm::restore(&self.config.app, snapshot) {
            Ok(vm) => vm,
            Err(error) => return refused(error.to_string()),
        };
        if (vm.seq(), vm.time()) != (info.seq, Time::from_micros(info.time)) {
            return refused("it belongs to another position in the log".into());
        }
        let base = self.tape.is_some().then(|| Arc::from(snapshot));
        if self.doubt.as_ref().is_some_and(|doubt| doubt.seq() <= info.seq) {
            let is_there = self.doubt.as_ref().is_some_and(|doubt| doubt.seq() == info.seq);
            self.resolve_doubt(is_there.then(|| snapshot.into()));
        }
        let kept = vm.persisted().cloned();
        self.start_model(vm, base, kept);
        Ok(())
    }

    /// `base` is what it was made from, if somebody wants to know that, and `kept` what the reflector keeps of what
    /// is persisted.
    pub(crate) fn start_model(
        &mut self,
        mut vm: Vm,
        base: Option<Arc<[u8]>>,
        kept: Option<PersistedData>,
    ) {
        self.begin_persisting(kept);
        for (scope, event) in self.subscriptions.topics() {
            vm.watch(scope, event);
        }
        self.history_from = vm.seq();
        self.loaded_at = self.history_until;
        self.backlog.restart(vm.seq(), vm.time().as_micros());
        let (faults, seq) = (vm.drain_faults(), vm.seq());
        self.vm = Some(vm);
        self.tape_beginning(base);
        self.report_faults(faults);
        self.phase = Phase::Running;
        // Nothing may follow, if this view had not left and nobody does anything.
        self.check_view_ready(seq);
    }

    /// The view is not the one that the models know any more.
    fn lose_view(&mut self) {
        if self.view_ready {
            self.view_ready = false;
            self.subscriptions.clear_waiting();
            // A view that was announced and not yet built need not be announced as lost.
            if std::mem::take(&mut self.view_unbuilt) {
                self.events.retain(|event| !matches!(event, SessionEvent::ViewReady));
            } else {
                self.events.push_back(SessionEvent::ViewLost);
            }
        }
    }

    fn drop_model(&mut self) {
        self.lose_view();
        self.set_synced(false);
        self.vm = None;
        self.not_undone = false;
        self.backlog.restart(0, 0);
    }

    /// The model cannot be continued: the next join starts from a snapshot.
    pub(crate) fn forget_model(&mut self) {
        self.drop_model();
        // Still known to have been welcomed, so what is published now is kept.
        self.history_until = 0;
    }

    /// Gives up the connection and tries again, if that can help.
    pub(crate) fn disconnect(&mut self, now: u64, reason: DisconnectReason) {
        self.actions.push_back(Action::Close);
        self.retry(now, reason);
    }

    fn retry(&mut self, now: u64, reason: DisconnectReason) {
        self.set_synced(false);
        if !reason.is_retryable() {
            self.end(Some(reason));
            return;
        }
        self.voting.stop_upload();
        self.reconnecting_since.get_or_insert(now);
        let after = self.backoff.pause(self.rng.next_u32());
        self.phase = Phase::Connecting { from: now + after };
        self.actions.push_back(Action::Connect { after });
        self.report_connection(Some(reason));
    }

    fn end(&mut self, reason: Option<DisconnectReason>) {
        self.resolve_doubt(None);
        self.drop_model();
        self.actions.push_back(Action::Close);
        self.phase = Phase::Over;
        self.failure.clone_from(&reason);
        self.report_connection(reason);
    }

    /// Tells the owner if the connection has changed its state, or has failed once more.
    pub(crate) fn report_connection(&mut self, reason: Option<DisconnectReason>) {
        let state = self.connection_state();
        if matches!(state, ConnectionState::Live) {
            self.reconnecting_since = None;
        }
        if self.reported != state || reason.is_some() {
            self.reported = state;
            self.tell(SessionEvent::Connection(state, reason));
        }
    }
}

/// What models learn about a view; view data that nobody can read counts as none, for everybody.
pub(crate) fn view_info(seal: &mut teatime_base::Seal, view: &View<'_>) -> ViewInfo {
    let view_data = view.view_data.and_then(|sealed| {
        let mut sealed = sealed.to_vec();
        let opened = seal.open(Binding::ViewData(view.view_id), &mut sealed);
        opened.ok().map(|data| data.to_vec().into())
    });
    ViewInfo { view_id: view.view_id, view_data }
}

fn protocol(error: impl std::fmt::Display) -> DisconnectReason {
    DisconnectReason::Protocol(error.to_string())
}
