//! What goes into the model, for whoever records it.

use std::sync::Arc;

#[cfg(feature = "recording")]
use teatime_vm::Time;
#[cfg(feature = "recording")]
use teatime_vm::recording::Head;
use teatime_vm::recording::{Input, Recording};

use crate::client::Client;
#[cfg(feature = "recording")]
use crate::limits::MAX_TAPED_BYTES;

/// Something that went into the model.
#[cfg(feature = "recording")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taped {
    /// The model begins with a state, or anew: what follows comes after that.
    Began {
        /// Of which session it is.
        head: Box<Head>,
        /// The state as a snapshot; without one it is the session's beginning.
        base: Option<Arc<[u8]>>,
        /// Sequence number of its newest event.
        seq: u64,
        /// Its time.
        time: Time,
        /// Which log the sequence numbers belong to.
        timeline: u64,
    },
    /// An event, and its sequence number.
    Input(u64, Input),
}

/// What has gone into the model and was not taken yet.
#[cfg(feature = "recording")]
#[derive(Default)]
pub(crate) struct Tape {
    taped: Vec<Taped>,
    bytes: usize,
}

/// There is none, so whatever would be done with one is left out of the program.
#[cfg(not(feature = "recording"))]
pub(crate) enum Tape {}

#[cfg(not(feature = "recording"))]
impl Tape {
    pub(crate) fn input(&mut self, _: u64, _: Input) {
        match *self {}
    }

    pub(crate) fn is_full(&self) -> bool {
        match *self {}
    }
}

#[cfg(feature = "recording")]
impl Tape {
    pub(crate) fn input(&mut self, seq: u64, input: Input) {
        self.bytes += input.bytes();
        self.taped.push(Taped::Input(seq, input));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= MAX_TAPED_BYTES
    }
}

#[cfg(feature = "recording")]
impl Client {
    /// Keeps all that goes into the model from now on, for [`take_tape`](Self::take_tape): from the join
    /// on if there has been none. What is kept is plain, also if the session has a password. Does
    /// nothing if it is kept already.
    pub fn start_tape(&mut self) {
        if self.tape.is_some() {
            return;
        }
        self.tape = Some(Tape::default());
        // The state of a model that cannot be saved cannot be told; the next one is.
        if let Some(snapshot) = self.vm.as_ref().and_then(|vm| vm.snapshot().ok()) {
            self.tape_beginning(Some(snapshot.into()));
        }
    }

    /// Keeps it no more.
    pub fn stop_tape(&mut self) {
        self.tape = None;
    }

    /// What has gone into the model since the last time, to be taken after every
    /// [`step`](Self::step): when much waits the model stands still.
    pub fn take_tape(&mut self) -> Vec<Taped> {
        self.tape.as_mut().map(std::mem::take).unwrap_or_default().taped
    }

    pub(crate) fn tape_beginning(&mut self, base: Option<Arc<[u8]>>) {
        let (Some(tape), Some(vm)) = (&mut self.tape, &self.vm) else { return };
        let session = self.session_id;
        let head = Box::new(Head::new(&self.config.app, session, &self.config.options));
        let (seq, time) = (vm.seq(), vm.time());
        let timeline = self.timeline.unwrap_or_default();
        tape.bytes += base.as_ref().map_or(0, |base| base.len());
        tape.taped.push(Taped::Began { head, base, seq, time, timeline });
    }
}

#[cfg(not(feature = "recording"))]
impl Client {
    pub(crate) fn tape_beginning(&mut self, _: Option<Arc<[u8]>>) {}
}

impl Client {
    /// The newest state of which others have said that it is right, and all that has come since: for a
    /// report of what goes wrong here. It is plain, also if the session has a password. None before
    /// the session has been joined, or if it was too much to be kept.
    pub fn recording(&self) -> Option<Recording> {
        let vm = self.vm.as_ref()?;
        vm.recording(&self.config.options, (vm.time(), vm.seq()))
    }
}
