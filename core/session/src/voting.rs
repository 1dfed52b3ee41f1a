//! Voting on the state hash, and handing in the snapshot that was voted for.

use std::sync::Arc;

use teatime_vm::{Fault, FaultKind, StateHash, Time};
use teatime_wire::{ClientMessage, Digest, SnapshotPart, Verdict, Vote, limits};

use crate::client::Client;
use crate::event::{Action, DisconnectReason, SessionEvent};
use crate::limits::SNAPSHOT_PARTS_PER_STEP;
use crate::trailer::end_with_trailer;

/// The newest vote that this client took part in.
#[derive(Default)]
pub(crate) struct Voting {
    cast: Option<Cast>,
    /// The first vote of which a majority has said that it was wrong; others may follow before the
    /// reflector asks this client to join anew.
    pub(crate) accused: Option<Cast>,
    /// The vote whose state may be wrong, as the reflector says; how it ended is on its way.
    doubted: Option<u64>,
    upload: Option<Upload>,
    /// The owner has asked for a vote that has not come.
    pub(crate) asked: bool,
}

pub(crate) struct Cast {
    pub(crate) seq: u64,
    pub(crate) time: u64,
    pub(crate) hash: StateHash,
    pub(crate) snapshot: Arc<[u8]>,
    /// As it is handed in, and the hash of that.
    sealed: Arc<[u8]>,
    vote: Digest,
    /// How the vote ended: how many agreed, and how many were asked. Nobody as long as it lasts.
    pub(crate) agreed: u32,
    pub(crate) of: u32,
}

struct Upload {
    seq: u64,
    sealed: Arc<[u8]>,
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

    /// Whether a vote has not ended yet as far as this client knows. Then what the reflector says about
    /// it has overtaken the verdict, and is to be heard after it.
    pub(crate) fn is_early(&mut self, seq: u64) -> bool {
        let is_early = self.cast.as_ref().is_some_and(|cast| cast.seq == seq && cast.of == 0);
        self.doubted = is_early.then_some(seq);
        is_early
    }

    /// This client's part in a vote that has ended without a majority.
    pub(crate) fn undecided(&mut self, seq: u64) -> Option<Cast> {
        self.cast.take_if(|cast| cast.seq == seq && cast.of > 0)
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
        let sealed = self.seal.seal_snapshot(seq, hash.0, &snapshot);
        let persisted = vm.persisted().cloned();
        let (version, seal, space) = (self.config.app.version(), &mut self.seal, &self.space);
        let sealed = end_with_trailer(sealed, &snapshot, persisted.as_ref(), version, seal, space);
        // Mostly it is the same if there is no password.
        let plain = Arc::ptr_eq(&sealed, &snapshot);
        let vote = Digest(if plain { hash.0 } else { StateHash::of(&sealed).0 });
        let cast = Cast { seq, time, hash, snapshot, sealed, vote, agreed: 0, of: 0 };
        self.voting.cast = Some(cast);
        let vote = Vote { seq, hash: vote };
        self.events.push_back(SessionEvent::State { seq, time: Time::from_micros(time), hash });
        self.send(&ClientMessage::Vote(vote));
        self.persisted_at_vote(seq, persisted);
    }

    pub(crate) fn hear_verdict(
        &mut self,
        now: u64,
        verdict: Verdict,
    ) -> Result<(), DisconnectReason> {
        let Verdict { seq, mut hash, agreed, of } = verdict;
        if let Some(mut cast) = self.voting.cast.take_if(|cast| cast.seq == seq) {
            (cast.agreed, cast.of) = (agreed, of);
            // On the wire is the hash of the sealed state; ours we know plain.
            if hash.is_some_and(|hash| hash != cast.vote) {
                self.voting.accused.get_or_insert(cast);
                self.doubt_what_was_persisted();
            } else {
                if let Some(hash) = &mut hash {
                    *hash = Digest(cast.hash.0);
                    self.voting.accused = None;
                    if let Some(vm) = &mut self.vm {
                        vm.believe(seq, cast.snapshot.clone());
                    }
                }
                self.voting.cast = Some(cast);
            }
        }
        self.tell(SessionEvent::Verdict { seq, hash, agreed, of });
        if self.voting.doubted.take_if(|doubted| *doubted == seq).is_some() {
            return self.hear_diverged(now, seq);
        }
        Ok(())
    }

    /// The reflector wants our snapshot of this vote. If we no longer have it, or it is too large,
    /// the reflector will ask somebody else in a while.
    pub(crate) fn start_upload(&mut self, seq: u64) {
        let Some(cast) = self.voting.cast.as_ref().filter(|cast| cast.seq == seq) else { return };
        let sealed = cast.sealed.clone();
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
