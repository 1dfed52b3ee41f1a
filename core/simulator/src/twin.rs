//! The sync test within a run: a participant, and a twin that is restored from its snapshots.

use std::sync::Arc;

use teatime_session::Taped;
use teatime_vm::{App, External, SnapshotError, Vm};

use crate::clash::Clash;
use crate::participant::Participant;
use crate::report::{Invariant, Wrong};

/// The participant of a session that is compared with its twin.
pub(crate) struct Observer {
    /// Its number.
    at: usize,
    twin: Option<Vm>,
    inputs: u64,
    /// The newest input, for people.
    newest: String,
}

impl Observer {
    pub(crate) fn new(at: usize) -> Self {
        Self { at, twin: None, inputs: 0, newest: String::new() }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The participant has made a step. `snapshot` is its state if it moved on; `is_done`: nothing more is due. Returns
    /// whether the two were compared.
    pub(crate) fn watch(
        &mut self,
        app: &App,
        one: &mut Participant,
        is_done: bool,
        mut snapshot: Option<Arc<Vec<u8>>>,
        distance: u64,
    ) -> Result<bool, Wrong> {
        let mut moved = false;
        for taped in one.client_mut().take_tape() {
            match taped {
                Taped::Began { base: Some(base), .. } => self.restore(app, &base)?,
                // The model is new.
                Taped::Began { base: None, head, .. } => {
                    self.twin = Vm::new(app, head.session, &head.options).ok();
                }
                Taped::Input(seq, input) => {
                    let Some(twin) = &mut self.twin else { continue };
                    self.newest = told(seq, &input.external());
                    moved = twin.deliver(input.time, seq, &input.external()).is_ok();
                }
            }
        }
        let in_doubt = one.health().is_in_doubt();
        let (Some(vm), Some(twin), false) = (one.vm(), &mut self.twin, in_doubt) else {
            self.twin = None;
            let snapshot = one.vm().filter(|_| is_done && !in_doubt).map(Vm::snapshot);
            if let Some(Ok(snapshot)) = snapshot {
                self.restore(app, &snapshot)?;
            }
            return Ok(false);
        };
        if is_done && !moved {
            // Future messages.
            let mut turns = 0;
            while !twin.advance(vm.time(), 1) {
                turns += 1;
            }
            if turns > 0 {
                moved = true;
                snapshot = None;
                self.newest = format!("after seq {}, {turns} future messages later", vm.seq());
            }
        }
        twin.drain_faults();
        if !moved {
            return Ok(false);
        }
        self.inputs += 1;
        if !self.inputs.is_multiple_of(distance) {
            return Ok(false);
        }
        let own = match snapshot {
            Some(snapshot) => snapshot,
            None => Arc::new(vm.snapshot().map_err(cannot_be_saved)?),
        };
        let other = twin.snapshot().map_err(cannot_be_saved)?;
        if *own != other {
            let at = self.at + 1;
            let here = (format!("participant {at}, which went on"), own.as_slice());
            let there = "the same, restored from its snapshot before that";
            let clash = Clash::of(app, here, (there.to_owned(), &other), &self.newest);
            return Err(Wrong { clash: Some(Box::new(clash)), ..Wrong::new(Invariant::Sync, "") });
        }
        self.restore(app, &own)?;
        Ok(true)
    }

    fn restore(&mut self, app: &App, snapshot: &[u8]) -> Result<(), Wrong> {
        let refused = |error: SnapshotError| {
            Wrong::new(Invariant::Snapshot, format!("a twin cannot restore it: {error}"))
        };
        self.twin = Some(Vm::restore(app, snapshot).map_err(refused)?);
        Ok(())
    }
}

pub(crate) fn cannot_be_saved(error: SnapshotError) -> Wrong {
    Wrong::new(Invariant::Snapshot, format!("it cannot be saved: {error}"))
}

fn told(seq: u64, external: &External<'_>) -> String {
    match external {
        External::Event { scope, event, .. } => format!("after seq {seq}, event {scope}/{event}"),
        External::Presence { exited, joined } => {
            format!("after seq {seq}: {} exited, {} joined", exited.len(), joined.len())
        }
        External::Marker => {
            format!("after seq {seq}, a vote, or bytes that no client could decode")
        }
    }
}
