//! What arrives: connections that stand or break, and the frames of the reflector.

use std::sync::Arc;

use teatime_base::{Binding, Digest};
use teatime_vm::{MigrationError, Time, Vm, VmError};
use teatime_wire::{
    CloseReason, Envelope, Event, Hold, ServerMessage, SnapshotInfo, Views, Welcome,
};

use super::Client;
use super::backlog::{Content, Ordered};
use super::connection::Phase;
use crate::content::view_info;
use crate::envelope::open_persisted;
use crate::event::{DisconnectReason, Input, SessionEvent};

impl Client {
    /// Takes in what the driver has to report.
    pub fn handle(&mut self, now: u64, input: Input) {
        self.connection.hear(now);
        match (input, self.connection.phase()) {
            (_, Phase::Idle | Phase::Over(_)) => {}
            (Input::Connected, Phase::Connecting { .. }) => self.join(now),
            (Input::Connected, _) => {}
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

    fn receive(&mut self, now: u64, frame: Vec<u8>) -> Result<(), DisconnectReason> {
        let message = ServerMessage::decode(&frame).map_err(protocol)?;
        match (message, self.connection.phase()) {
            (ServerMessage::Welcome(welcome), Phase::Joining { .. }) => self.welcome(now, welcome),
            (ServerMessage::SnapshotPart(piece), Phase::Loading(loading)) => {
                let (info, persisted_by) = (loading.info(), loading.persisted_by());
                match (self.connection.add_piece(piece)?, persisted_by) {
                    (Some(sealed), Some(version)) => self.begin_with(info, version, sealed),
                    (Some(sealed), None) => self.restore(info, sealed),
                    (None, _) => Ok(()),
                }
            }
            (ServerMessage::NewerVersion(version), Phase::Running | Phase::Loading(_)) => {
                let own = self.config().app.version();
                let news = self.persisting.hear_newer_version(version, own);
                self.tell_if(news);
                Ok(())
            }
            (ServerMessage::Pong(nonce), _) => {
                self.pulse.answer(now, nonce);
                Ok(())
            }
            (ServerMessage::Event(event), Phase::Running) => {
                let Event { seq, time, sender, counter, payload } = event;
                let start = payload.as_ptr() as usize - frame.as_ptr() as usize;
                let payload = start..start + payload.len();
                let content = Content::Event { sender, counter, frame, payload };
                self.hear_echo(now, sender == self.view_id(), counter);
                self.enqueue(now, Ordered { seq, time, content })
            }
            (message, Phase::Running) => self.receive_running(now, message),
            (message, _) => Err(out_of_place(&message)),
        }
    }

    /// What comes once the model is there, but for events.
    fn receive_running(
        &mut self,
        now: u64,
        message: ServerMessage<'_>,
    ) -> Result<(), DisconnectReason> {
        match message {
            ServerMessage::Views(views) => {
                let Views { seq, time, exited, joined, .. } = views;
                let content = Content::Views {
                    exited: exited.iter().map(|view| view_info(&mut self.seal, view)).collect(),
                    joined: joined.iter().map(|view| view_info(&mut self.seal, view)).collect(),
                };
                return self.enqueue(now, Ordered { seq, time, content });
            }
            ServerMessage::VoteRequest(vote) => {
                self.voting.hear_request();
                let content = Content::Vote;
                return self.enqueue(now, Ordered { seq: vote.seq, time: vote.time, content });
            }
            ServerMessage::Verdict(verdict) => return self.hear_verdict(now, verdict),
            ServerMessage::Diverged(seq) => return self.hear_diverged(now, seq),
            ServerMessage::Tick(time) => self.clock.hear(now, time),
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

    /// An event came back. If this view has sent it, the round trip counts.
    fn hear_echo(&mut self, now: u64, is_own: bool, counter: u64) {
        if is_own && let Some(round_trip) = self.outbox.echo(now, counter) {
            self.pulse.measured(round_trip);
        }
    }

    fn enqueue(&mut self, now: u64, message: Ordered) -> Result<(), DisconnectReason> {
        // The model may have gone on to the time that a tick promised. What is history may be before it.
        let is_history = self.history.includes(message.seq);
        let promised = if is_history { 0 } else { self.clock.external() };
        if message.time < promised.max(self.now().as_micros()) {
            return Err(DisconnectReason::Protocol("time went back".into()));
        }
        self.clock.hear(now, message.time);
        self.backlog.push(message).map_err(protocol)
    }

    fn welcome(&mut self, now: u64, welcome: Welcome) -> Result<(), DisconnectReason> {
        let is_same_log = self.connection.timeline() == Some(welcome.timeline);
        if welcome.view_id != self.view_id() {
            return Err(DisconnectReason::Protocol("the welcome is for another view".into()));
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
        self.outbox.start_connection(now, welcome.counter, welcome.limits);
        self.history.start_connection(welcome.seq);
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
                self.start_model(vm, None, None);
                Ok(())
            }
        }
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
        self.start_model(vm, base, stored);
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
        self.start_model(vm, base.map(Arc::from), migrated);
        Ok(())
    }
}

fn out_of_place(message: &ServerMessage<'_>) -> DisconnectReason {
    let name = format!("{message:?}");
    let name = name.split(['(', ' ']).next().unwrap_or_default();
    DisconnectReason::Protocol(format!("a {name} message came out of place"))
}

fn protocol(error: impl std::fmt::Display) -> DisconnectReason {
    DisconnectReason::Protocol(error.to_string())
}
