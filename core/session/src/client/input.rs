//! What arrives: connections that stand or break, and the frames of the reflector.

use std::sync::Arc;

use teatime_base::{Binding, Digest};
use teatime_vm::{MigrationError, Time, Vm, VmError};
use teatime_wire::{
    Chain, CloseReason, Envelope, Event, Hold, Presence, ServerMessage, SnapshotInfo, Views,
    VoteRequest, Welcome, WireError, limits,
};

use super::Client;
use super::backlog::{Content, Ordered};
use super::connection::Phase;
use super::outbox::{Accepted, Doubt};
use crate::alarm::AlarmKind;
use crate::content::view_info;
use crate::envelope::{open_persisted, split_transcript};
use crate::event::{DisconnectReason, Input, OtherPassword, SessionEvent};
use crate::transcript::Transcript;

impl Client {
    /// Takes in what the driver has to report.
    pub fn handle(&mut self, now: u64, input: Input) {
        self.connection.hear(now);
        match (input, self.connection.phase()) {
            (_, Phase::Idle | Phase::Parked | Phase::Over(_)) => {}
            (Input::Connected(channel), Phase::Connecting { .. }) => {
                self.connection.greet(now, channel);
            }
            (Input::Connected(_), _) => {}
            (Input::Unreachable(why), _) => self.retry(now, DisconnectReason::Unreachable(why)),
            (Input::BadCertificate(why), _) => {
                self.retry(now, DisconnectReason::BadCertificate(why));
            }
            (Input::Disconnected(close), _) => {
                let known = close.and_then(|(code, detail)| CloseReason::read(code, &detail));
                let reason = known.map_or(DisconnectReason::Lost, |(reason, detail)| {
                    DisconnectReason::Closed(reason, detail)
                });
                self.retry(now, reason);
            }
            // Still in flight, from a connection that this client has given up.
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

    fn receive(&mut self, now: u64, mut frame: Vec<u8>) -> Result<(), DisconnectReason> {
        let message = ServerMessage::decode(&frame).map_err(|error| match error {
            // Trying again would end the same way.
            WireError::UnknownMessage(_) => {
                DisconnectReason::Closed(CloseReason::Version, error.to_string())
            }
            error => protocol(error),
        })?;
        // What the chain is after an ordered message.
        let next = |transcript: &Transcript| transcript.newest().1.next(&frame);
        match (message, self.connection.phase()) {
            (ServerMessage::Hello(greeting), Phase::Greeting { .. }) => self.join(now, greeting),
            (ServerMessage::Welcome(welcome), Phase::Joining { .. }) => self.welcome(now, welcome),
            (ServerMessage::SnapshotPart(piece), Phase::Loading(loading)) => {
                let (info, persisted_by) = (loading.info(), loading.persisted_by());
                match (self.connection.add_piece(piece)?, persisted_by) {
                    (Some(sealed), Some(version)) => self.begin_with(info, version, sealed),
                    (Some(sealed), None) => {
                        if let Err(reason) = self.restore(info, sealed) {
                            self.refuse_snapshot(now, info, reason);
                        }
                        Ok(())
                    }
                    (None, _) => Ok(()),
                }
            }
            (ServerMessage::NewerVersion(version), Phase::Running | Phase::Loading(_)) => {
                let own = self.config().app.version();
                let news = self.persisting.hear_newer_version(version, own);
                self.tell_if(news);
                Ok(())
            }
            (ServerMessage::OtherPassword, Phase::Running | Phase::Loading(_)) => {
                if !std::mem::replace(&mut self.is_password_doubted, true) {
                    self.tell_if(Some(SessionEvent::OtherPassword(OtherPassword)));
                }
                Ok(())
            }
            (ServerMessage::Later(_), _) => Ok(()),
            (ServerMessage::Pong(nonce), _) => {
                self.pulse.answer(now, nonce);
                Ok(())
            }
            (ServerMessage::Event(event), Phase::Running) => {
                let Event { seq, time, sender, counter, payload } = event;
                let start = payload.as_ptr() as usize - frame.as_ptr() as usize;
                let payload = start..start + payload.len();
                let chain = next(&self.transcript);
                self.hear_echo(now, sender == self.view_id(), counter);
                // Opened while the processor still has the frame at hand. The content waits for its turn.
                let opened = self.seal.open(Binding::Event(sender, counter), &mut frame[payload]);
                let (plain, bytes) = (opened.ok().map(<[u8]>::len), opened.unwrap_or_default());
                let content = Content::Event { sender, counter, plain };
                self.enqueue(now, Ordered { seq, time, content }, bytes, chain)
            }
            (ServerMessage::Views(views), Phase::Running) => {
                let chain = next(&self.transcript);
                let Views { seq, time, exited, joined, .. } = views;
                let gone = exited.iter().filter(|view| self.presences.forget(view.view_id)).count();
                if gone > 0 {
                    self.presences_changed();
                }
                let seal = &mut self.seal;
                let exited = exited.iter().map(|view| view_info(seal, view).0).collect();
                let (joined, attempts) = joined.iter().map(|view| view_info(seal, view)).unzip();
                let content = Content::Views { exited, joined, attempts };
                self.enqueue(now, Ordered { seq, time, content }, &[], chain)
            }
            (ServerMessage::VoteRequest(VoteRequest { seq, time }), Phase::Running) => {
                let chain = next(&self.transcript);
                self.voting.hear_request();
                self.enqueue(now, Ordered { seq, time, content: Content::Vote }, &[], chain)
            }
            (message, Phase::Running) => self.receive_running(now, message),
            (message, _) => Err(out_of_place(&message)),
        }
    }

    /// What comes once the model is there, and has no place in the order.
    fn receive_running(
        &mut self,
        now: u64,
        message: ServerMessage<'_>,
    ) -> Result<(), DisconnectReason> {
        match message {
            ServerMessage::Verdict(verdict) => return self.hear_verdict(now, verdict),
            ServerMessage::Diverged(seq) => return self.hear_diverged(now, seq),
            ServerMessage::Disagreement(found) => self.hear_disagreement(&found),
            ServerMessage::Presences(entries) => self.hear_presences(&entries),
            ServerMessage::Tick(time) => {
                self.check_clock(now, time)?;
                self.clock.hear(now, time);
            }
            ServerMessage::SnapshotWanted(seq) => {
                self.voting.start_upload(seq, self.outbox.max_snapshot());
            }
            ServerMessage::Persisted(seq) => {
                let news = self.persisting.hear_persisted(seq, self.model.seq());
                self.tell_if(news);
            }
            ServerMessage::NotPersisted(told) => {
                let news = self.persisting.hear_not_persisted(told.failure);
                self.tell_if(news);
            }
            ServerMessage::Hold(hold) => {
                if self.outbox.set_hold(hold) {
                    self.tell(SessionEvent::Held(hold == Hold::Pause));
                }
            }
            message => return Err(out_of_place(&message)),
        }
        Ok(())
    }

    fn hear_presences(&mut self, entries: &[Presence<'_>]) {
        let own = self.view_id();
        let mut has_changed = false;
        for Presence { view_id, data } in entries.iter().filter(|entry| entry.view_id != own) {
            has_changed |= self.presences.hear(&mut self.seal, *view_id, data);
        }
        if has_changed {
            self.presences_changed();
        }
    }

    /// Tells the owner, unless it has yet to hear of the change before.
    pub(super) fn presences_changed(&mut self) {
        if self.presences.change() {
            self.outgoing.report(SessionEvent::PresencesChanged);
        }
    }

    /// An event came back. If this view has sent it, the round trip counts.
    fn hear_echo(&mut self, now: u64, is_own: bool, counter: u64) {
        if is_own && let Some(round_trip) = self.outbox.echo(now, counter) {
            self.pulse.measured(round_trip);
        }
    }

    fn enqueue(
        &mut self,
        now: u64,
        message: Ordered,
        plain: &[u8],
        chain: Chain,
    ) -> Result<(), DisconnectReason> {
        // The model may have gone on to the time that a tick promised. What is history may be before it.
        let is_history = self.history.includes(message.seq);
        let promised = if is_history { 0 } else { self.clock.external() };
        if message.time < promised.max(self.now().as_micros()) {
            return Err(DisconnectReason::Protocol("time went back".into()));
        }
        self.check_clock(now, message.time)?;
        self.clock.hear(now, message.time);
        let (seq, is_event) = (message.seq, matches!(message.content, Content::Event { .. }));
        self.backlog.push(message, plain).map_err(protocol)?;
        if !self.transcript.push(chain, is_event) {
            self.raise(AlarmKind::Rewound, seq, None, None);
        }
        Ok(())
    }

    /// A session time that runs ahead of this client's clock is not followed: models would act too early.
    fn check_clock(&self, now: u64, time: u64) -> Result<(), DisconnectReason> {
        let Some(lead) = self.clock.lead(now, time) else { return Ok(()) };
        let what = format!("it ran {} s ahead since the connection began", lead / 1_000_000);
        Err(DisconnectReason::Clock(what))
    }

    fn welcome(&mut self, now: u64, welcome: Welcome) -> Result<(), DisconnectReason> {
        let is_same_log = self.connection.timeline() == Some(welcome.timeline);
        let accepted = self.accepted(&welcome);
        if welcome.view_id != self.view_id() {
            return Err(DisconnectReason::Protocol("the welcome is for another view".into()));
        }
        if welcome.time.max(welcome.seq) > limits::MAX_TIME_OR_SEQ {
            return Err(DisconnectReason::Protocol("the session is too old to be true".into()));
        }
        if welcome.resumed && (self.model.vm().is_none() || !is_same_log) {
            return Err(DisconnectReason::Protocol("there was nothing to resume".into()));
        }
        if !is_same_log {
            // The right state of a vote in the log before will never be known.
            self.resolve_doubt(None);
        }
        self.connection.welcome(welcome.timeline);
        self.pulse.start_connection(now);
        self.voting.start_connection();
        self.persisting.start_connection();
        if !self.presences.is_empty() {
            self.presences_changed();
        }
        self.presences.start_connection();
        self.outbox.start_connection(now, accepted, welcome.limits);
        self.history.start_connection(welcome.seq);
        if !self.clock.start_connection(now, welcome.time) {
            self.raise(AlarmKind::Clock, welcome.seq, None, None);
        }
        self.is_expelled = false;
        if !welcome.resumed {
            self.drop_model();
        } else if !welcome.seamless {
            self.lose_view();
        }
        if welcome.seamless {
            self.view.join();
        }
        if welcome.resumed {
            self.history.resume(self.model.seq());
            self.clock.hear(now, welcome.time);
            self.connection.run();
            return Ok(());
        }
        self.clock.restart(now, welcome.time);
        match welcome.snapshot {
            Some(info) => self.connection.load(info, welcome.persisted),
            // Without the announced data the session would begin as if nothing had been persisted.
            None if welcome.persisted.is_some() => {
                Err(DisconnectReason::Protocol("the persisted data is not announced".into()))
            }
            None => {
                let config = self.identity.config();
                let vm = Vm::new(&config.app, self.session_id(), &config.options)
                    .map_err(|error| DisconnectReason::Model(error.to_string()))?;
                let start = Chain::start(self.session_id(), None);
                let transcript = Transcript::new(start, self.seal.has_password());
                self.start_model(vm, transcript, None, None);
                Ok(())
            }
        }
    }

    /// What the reflector has accepted from this view, before the model is dropped that the welcome replaces.
    fn accepted(&self, welcome: &Welcome) -> Accepted {
        if let Some(counter) = welcome.counter {
            return Accepted::UpTo(counter);
        }
        // Events that only a snapshot covers never come back. On another timeline the events before have not happened.
        let is_same_log = self.connection.timeline() == Some(welcome.timeline);
        let log_is_complete = welcome.resumed
            || welcome
                .snapshot
                .is_none_or(|snapshot| is_same_log && snapshot.seq <= self.backlog.newest_seq());
        Accepted::Unknown(Doubt { until: welcome.seq, log_is_complete })
    }

    /// Starts the model with a snapshot.
    fn restore(&mut self, info: SnapshotInfo, mut bytes: Vec<u8>) -> Result<(), DisconnectReason> {
        let refused = |why: String| DisconnectReason::BadSnapshot(why);
        if Digest::of(&bytes) != info.hash {
            return Err(refused("it is not the state that the majority voted for".into()));
        }
        let opened = Envelope::open(&[&bytes]).map_err(|error| refused(error.to_string()))?;
        let (state, _) = opened;
        let binding = Binding::Snapshot(info.seq);
        let snapshot = self.seal.open(binding, &mut bytes[state]);
        let snapshot = snapshot.map_err(|broken| refused(broken.to_string()))?;
        let (transcript, snapshot) = transcript_of(&info, snapshot, self.seal.has_password())
            .ok_or_else(|| refused("it is not of the log that the reflector has".into()))?;
        let vm = Vm::restore(&self.identity.config().app, snapshot);
        let vm = vm.map_err(|error| refused(error.to_string()))?;
        if (vm.seq(), vm.time()) != (info.seq, Time::from_micros(info.time)) {
            return Err(refused("it belongs to another position in the log".into()));
        }
        let base = self.tape.is_running().then(|| Arc::from(snapshot));
        if let Some(doubted) = self.healing.doubted().filter(|doubted| *doubted <= info.seq) {
            let right = (doubted == info.seq).then(|| snapshot.into());
            self.resolve_doubt(right);
        }
        let stored = vm.persisted().cloned();
        self.history.restore(info.seq);
        self.start_model(vm, transcript, base, stored);
        Ok(())
    }

    /// Starts the model with the data that this version of the app has persisted.
    fn begin_with(
        &mut self,
        info: SnapshotInfo,
        app_version: u32,
        sealed: Vec<u8>,
    ) -> Result<(), DisconnectReason> {
        let damaged =
            || MigrationError::Damaged { version: 0, why: "it is not what was persisted".into() };
        let is_whole = Digest::of(&sealed) == info.hash;
        let opened =
            is_whole.then(|| open_persisted(&mut self.seal, app_version, sealed)).flatten();
        let opened = opened.ok_or_else(damaged).map_err(DisconnectReason::Migration)?;
        let config = self.identity.config();
        let migrated = config.app.migrate(&opened).map_err(DisconnectReason::Migration)?;
        let vm = Vm::begin(&config.app, self.session_id(), &config.options, migrated.as_ref());
        let vm = vm.map_err(|error| match error {
            VmError::Migration(error) => DisconnectReason::Migration(error),
            error => DisconnectReason::Model(error.to_string()),
        })?;
        let base = if self.tape.is_running() { vm.snapshot().ok() } else { None };
        let start = Chain::start(self.session_id(), Some(info.hash));
        let transcript = Transcript::new(start, self.seal.has_password());
        self.start_model(vm, transcript, base.map(Arc::from), migrated);
        Ok(())
    }
}

/// The transcript of an opened snapshot, and the state. Without a password the chain is the one that the reflector names.
/// `None` if the two do not belong together.
fn transcript_of<'a>(
    info: &SnapshotInfo,
    opened: &'a [u8],
    has_password: bool,
) -> Option<(Transcript, &'a [u8])> {
    let chain = Chain::at(info.chain);
    if !has_password {
        return Some((Transcript::new(chain, false), opened));
    }
    let (transcript, state) = split_transcript(opened)?;
    let transcript = Transcript::read(info.seq, transcript)?;
    (transcript.newest().1 == chain).then_some((transcript, state))
}

fn out_of_place(message: &ServerMessage<'_>) -> DisconnectReason {
    let name = format!("{message:?}");
    let name = name.split(['(', ' ']).next().unwrap_or_default();
    DisconnectReason::Protocol(format!("a {name} message came out of place"))
}

fn protocol(error: impl std::fmt::Display) -> DisconnectReason {
    DisconnectReason::Protocol(error.to_string())
}
