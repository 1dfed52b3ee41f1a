//! Voting on the state hash, and handing in the snapshot that was voted for.

use std::sync::Arc;

use teatime_vm::{Fault, FaultKind, StateHash, Time};
use teatime_wire::{ClientMessage, Digest, SnapshotPart, Verdict, Vote, limits};

use crate::client::Client;
use crate::crypto::Binding;
use crate::event::{Action, SessionEvent};
use crate::limits::SNAPSHOT_PARTS_PER_STEP;

/// The newest vote that this client took part in.
#[derive(Default)]
pub(crate) struct Voting {
    cast: Option<Cast>,
    upload: Option<Upload>,
    /// The owner has asked for a vote that has not come.
    pub(crate) asked: bool,
}

struct Cast {
    seq: u64,
    hash: StateHash,
    snapshot: Arc<[u8]>,
}

struct Upload {
    seq: u64,
    sealed: Vec<u8>,
    offset: usize,
}

impl Voting {
    pub(crate) fn start_connection(&mut self) {
        *self = Self::default();
    }

    /// The connection over which a snapshot was being handed in is gone.
    pub(crate) fn stop_upload(&mut self) {
        self.upload = None;
    }

    pub(crate) fn is_uploading(&self) -> bool {
        self.upload.is_some()
    }
}

impl Client {
    /// Votes on the state as it stands now, right after the vote was simulated.
    pub(crate) fn cast_vote(&mut self, seq: u64, time: u64) {
        let Some(vm) = &mut self.vm else { return };
        let snapshot = match vm.checkpoint() {
            Ok(snapshot) => snapshot,
            Err(error) => {
                // There is nothing to vote for; the others have the same.
                let kind = FaultKind::Encoding(error.to_string());
                let (time, seq) = (vm.time(), vm.seq());
                let handler = String::new();
                let fault = Fault { time, seq, model: None, handler, sender: None, kind };
                self.report_faults(vec![fault]);
                return;
            }
        };
        let hash = StateHash::of(&snapshot);
        let vote = Vote { seq, hash: self.seal.vote(hash.0) };
        self.voting.cast = Some(Cast { seq, hash, snapshot });
        self.events.push_back(SessionEvent::State { seq, time: Time::from_micros(time), hash });
        self.send(&ClientMessage::Vote(vote));
    }

    pub(crate) fn hear_verdict(&mut self, verdict: Verdict) {
        let own = self.voting.cast.as_ref().filter(|cast| cast.seq == verdict.seq);
        let hash = verdict.hash.map(|hash| match own {
            // On the wire hashes are keyed if there is a password; ours we know plain.
            Some(cast) if self.seal.vote(cast.hash.0) == hash => Digest(cast.hash.0),
            _ => hash,
        });
        let Verdict { seq, agreed, of, .. } = verdict;
        self.tell(SessionEvent::Verdict { seq, hash, agreed, of });
    }

    /// The reflector wants our snapshot of this vote. If we no longer have it, or it is too large,
    /// the reflector will ask somebody else in a while.
    pub(crate) fn start_upload(&mut self, seq: u64) {
        let Some(cast) = self.voting.cast.as_ref().filter(|cast| cast.seq == seq) else { return };
        let sealed = self.seal.seal(Binding::Snapshot(seq), &cast.snapshot);
        if sealed.len() as u64 <= self.limits.max_snapshot {
            self.voting.upload = Some(Upload { seq, sealed, offset: 0 });
        }
    }

    pub(crate) fn continue_upload(&mut self) {
        for _ in 0..SNAPSHOT_PARTS_PER_STEP {
            let Some(upload) = &mut self.voting.upload else { return };
            let rest = &upload.sealed[upload.offset..];
            let data = &rest[..rest.len().min(limits::MAX_SNAPSHOT_PART)];
            let part = SnapshotPart {
                seq: upload.seq,
                offset: upload.offset as u64,
                total: upload.sealed.len() as u64,
                data,
            };
            self.actions.push_back(Action::Send(ClientMessage::SnapshotPart(part).encode()));
            upload.offset += data.len();
            if upload.offset == upload.sealed.len() {
                self.voting.upload = None;
            }
        }
    }
}
