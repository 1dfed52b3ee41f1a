//! What goes into the model, for the owner that records it.

use std::sync::Arc;

use teatime_vm::Vm;
use teatime_vm::recording::{Head, Input};

use crate::limits::MAX_TAPED_BYTES;
use crate::taped::Taped;

/// What has gone into the model and was not taken yet.
#[derive(Default)]
pub(super) struct Tape {
    reel: Option<Reel>,
}

#[derive(Default)]
struct Reel {
    taped: Vec<Taped>,
    bytes: usize,
}

impl Tape {
    pub(super) fn is_running(&self) -> bool {
        self.reel.is_some()
    }

    /// Whether the model must stand still until the owner has taken what waits.
    pub(super) fn is_full(&self) -> bool {
        self.reel.as_ref().is_some_and(|reel| reel.bytes >= MAX_TAPED_BYTES)
    }

    pub(super) fn start(&mut self) {
        self.reel.get_or_insert_default();
    }

    pub(super) fn stop(&mut self) {
        self.reel = None;
    }

    pub(super) fn take(&mut self) -> Vec<Taped> {
        self.reel.as_mut().map(std::mem::take).unwrap_or_default().taped
    }

    /// This goes into the model next.
    pub(super) fn input(&mut self, seq: u64, input: impl FnOnce() -> Input) {
        if let Some(reel) = &mut self.reel {
            let input = input();
            reel.bytes += input.bytes();
            reel.taped.push(Taped::Input(seq, input));
        }
    }

    /// The model begins as `vm`, which was made from `base`.
    pub(super) fn begin(
        &mut self,
        head: impl FnOnce() -> Head,
        base: Option<Arc<[u8]>>,
        vm: &Vm,
        timeline: u64,
    ) {
        if let Some(reel) = &mut self.reel {
            reel.bytes += base.as_ref().map_or(0, |base| base.len());
            let (head, seq, time) = (Box::new(head()), vm.seq(), vm.time());
            reel.taped.push(Taped::Began { head, base, seq, time, timeline });
        }
    }
}
