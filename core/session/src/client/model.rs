//! The model of this client, while it has one.

use teatime_vm::{Fault, FaultKind, PersistedData, Published, Time, Vm};

/// Whether the model can be what the others have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Health {
    #[default]
    Sound,
    /// A turn failed and could not be undone.
    NotUndone,
}

#[derive(Default)]
pub(super) struct Model {
    vm: Option<Vm>,
    health: Health,
    /// Taken from the model, reused for every turn.
    published: Vec<Published>,
}

impl Model {
    pub(super) fn vm(&self) -> Option<&Vm> {
        self.vm.as_ref()
    }

    pub(super) fn vm_mut(&mut self) -> Option<&mut Vm> {
        self.vm.as_mut()
    }

    pub(super) fn start(&mut self, vm: Vm) {
        self.vm = Some(vm);
        self.health = Health::Sound;
    }

    pub(super) fn drop(&mut self) {
        self.vm = None;
        self.health = Health::Sound;
    }

    /// Sequence number of the newest event that it has simulated.
    pub(super) fn seq(&self) -> u64 {
        self.vm.as_ref().map_or(0, Vm::seq)
    }

    pub(super) fn time(&self) -> Time {
        self.vm.as_ref().map_or(Time::ZERO, Vm::time)
    }

    /// What its root has persisted. `None` without a model, `Some(None)` if it has persisted nothing.
    pub(super) fn persisted(&self) -> Option<Option<&PersistedData>> {
        self.vm.as_ref().map(Vm::persisted)
    }

    /// Whether it must be replaced, because a turn failed and could not be undone.
    pub(super) fn is_broken(&self) -> bool {
        self.health == Health::NotUndone
    }

    /// Takes what the last turns published, and which handlers failed.
    pub(super) fn collect(&mut self, each: impl FnMut(&Published)) -> Vec<Fault> {
        let Some(vm) = &mut self.vm else { return Vec::new() };
        vm.drain_published(&mut self.published);
        self.published.iter().for_each(each);
        self.published.clear();
        let faults = vm.drain_faults();
        if faults.iter().any(|fault| matches!(fault.kind, FaultKind::NotUndone(_))) {
            self.health = Health::NotUndone;
        }
        faults
    }
}
