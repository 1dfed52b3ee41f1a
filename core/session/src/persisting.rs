//! What the root model persists: how a session begins with it, and that it is kept.

use std::collections::VecDeque;
use std::sync::Arc;

use teatime_base::Digest;
use teatime_vm::{MigrationError, PersistedData, Vm, VmError};
use teatime_wire::{ClientMessage, SnapshotInfo};

use crate::client::{Client, Phase};
use crate::event::{DisconnectReason, NewerVersion, NotPersisted, SessionEvent};
use crate::trailer::open_persisted;

/// What is kept of what the model persists.
#[derive(Default)]
pub(crate) struct Persisting {
    /// What the reflector has, as far as is known.
    kept: Option<PersistedData>,
    /// A vote for something newer was asked for on this connection, and has not led to anything yet.
    asked: bool,
    /// It was told that something is not kept, and nothing has been since.
    refused: bool,
    /// The newest version of the app that is known to be used in this room, if it is newer than this one.
    newer: Option<u32>,
    /// What was persisted at the newest votes: many may be held before the snapshot of one has been handed in.
    voted: VecDeque<Voted>,
    /// The reflector keeps what was persisted at this vote, to which the model has not come yet.
    early: Option<u64>,
}

/// Votes one after the other at which the same was persisted.
struct Voted {
    first: u64,
    last: u64,
    data: Option<PersistedData>,
}

/// Of so many changes of what is persisted it is remembered at which votes they were there.
const REMEMBERED: usize = 8;

/// Whether both are the same; mostly they are in the same place.
fn is_same(one: Option<&PersistedData>, other: Option<&PersistedData>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            one.version == other.version
                && (Arc::ptr_eq(&one.bytes, &other.bytes) || one.bytes == other.bytes)
        }
        (one, other) => one.is_none() && other.is_none(),
    }
}

impl Client {
    /// Whether the model has persisted something that the reflector does not keep yet. It asks for that by
    /// itself, and [`SessionEvent::Persisted`] tells when it is done. Whoever leaves before
    /// loses nothing in this session; but a later version of the app does not find it.
    pub fn unpersisted(&self) -> bool {
        let persisted = self.vm.as_ref().map(Vm::persisted);
        persisted.is_some_and(|data| !is_same(data, self.persisting.kept.as_ref()))
    }

    /// The newest version of the app that is used in this room, or has been, if it is newer than this one.
    pub fn newer_version(&self) -> Option<u32> {
        self.persisting.newer
    }

    /// A model begins with what is kept.
    pub(crate) fn begin_persisting(&mut self, kept: Option<PersistedData>) {
        let newer = self.persisting.newer;
        self.persisting = Persisting { kept, newer, ..Persisting::default() };
    }

    /// The model is at a vote.
    pub(crate) fn persisted_at_vote(&mut self, seq: u64, data: Option<PersistedData>) {
        let Persisting { voted, early, .. } = &mut self.persisting;
        match voted.back_mut().filter(|last| is_same(last.data.as_ref(), data.as_ref())) {
            Some(same) => same.last = seq,
            None => voted.push_back(Voted { first: seq, last: seq, data }),
        }
        if voted.len() > REMEMBERED {
            voted.pop_front();
        }
        if let Some(seq) = early.take_if(|early| *early <= seq) {
            self.hear_persisted(seq);
        }
    }

    /// What this client voted for may be wrong: what others have persisted is not known.
    pub(crate) fn doubt_what_was_persisted(&mut self) {
        self.persisting.voted.clear();
    }

    /// On a new connection.
    pub(crate) fn ask_again_to_persist(&mut self) {
        self.persisting.asked = false;
    }

    /// Asks for a vote if what is persisted is not kept.
    pub(crate) fn ask_to_persist(&mut self) {
        let may_ask = matches!(self.phase, Phase::Running) && self.view_ready;
        if may_ask && !self.persisting.asked && self.unpersisted() {
            self.persisting.asked = true;
            self.send(&ClientMessage::Persist);
        }
    }

    /// What had been persisted at a vote is kept.
    pub(crate) fn hear_persisted(&mut self, seq: u64) {
        if self.vm.as_ref().is_some_and(|vm| vm.seq() < seq) {
            self.persisting.early = Some(seq);
            return;
        }
        (self.persisting.asked, self.persisting.refused) = (false, false);
        let at = |voted: &&Voted| (voted.first..=voted.last).contains(&seq);
        let Some(voted) = self.persisting.voted.iter().find(at) else { return };
        if !is_same(voted.data.as_ref(), self.persisting.kept.as_ref()) {
            self.persisting.kept = voted.data.clone();
            self.tell(SessionEvent::Persisted { seq });
        }
    }

    /// What had been persisted at a vote is not kept. The reflector tries again by itself, if that may help.
    pub(crate) fn hear_not_persisted(&mut self, failure: Option<&str>) {
        // A snapshot that was loaded meanwhile looked as if it were.
        self.persisting.kept = None;
        if !std::mem::replace(&mut self.persisting.refused, true) {
            let why =
                failure.map_or(NotPersisted::Newer, |why| NotPersisted::NotStored(why.into()));
            self.tell(SessionEvent::NotPersisted(why));
        }
    }

    /// A newer version of the app is used in this room.
    pub(crate) fn hear_newer_version(&mut self, version: u32) {
        if self.persisting.newer.is_none_or(|newer| newer < version) {
            self.persisting.newer = Some(version);
            let own = self.config.app.version();
            self.tell(SessionEvent::NewerVersion(NewerVersion { newer: version, own }));
        }
    }

    /// Starts the model with what some version of the app has persisted.
    pub(crate) fn begin_with(
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
        let migrated = self.config.app.migrate(&opened).map_err(DisconnectReason::Migration)?;
        let (app, options) = (&self.config.app, &self.config.options);
        let vm = Vm::begin(app, self.session_id(), options, migrated.as_ref());
        let vm = vm.map_err(|error| match error {
            VmError::Migration(error) => DisconnectReason::Migration(error),
            error => DisconnectReason::Model(error.to_string()),
        })?;
        let base = self.tape.as_ref().and_then(|_| vm.snapshot().ok());
        self.start_model(vm, base.map(Arc::from), migrated);
        Ok(())
    }
}
