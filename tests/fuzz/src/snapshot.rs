//! The snapshot of a model, which a client restores.

use std::sync::LazyLock;

use teatime_vm::tree::Tree;
use teatime_vm::{App, Duration, External, Vm};

use crate::diary::app;

static APP: LazyLock<App> = LazyLock::new(app);

/// Most future messages that a state runs here.
const TURNS: u64 = 1_000;

/// A state that can be restored has one snapshot, can go on, and is restored again from there.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(tree) = Tree::of_app(&APP, bytes) {
        assert_eq!(tree.first_difference(&tree), None);
    }
    let Ok(mut vm) = Vm::restore(&APP, bytes) else { return };
    assert_comes_back(&vm);
    let soon = vm.time().as_micros().saturating_add(Duration::from_millis(200).as_micros());
    let is_done = vm.advance(teatime_vm::Time::from_micros(soon), TURNS);
    if is_done && let Some(seq) = vm.seq().checked_add(1) {
        let sender = teatime_vm::ViewId([7; 16]);
        let payload = b"\xa4page";
        let event = External::Event { sender, scope: "diary", event: "write", payload };
        vm.deliver(vm.time(), seq, &event).expect("it is the next one");
    }
    assert_comes_back(&vm);
}

fn assert_comes_back(vm: &Vm) {
    let Ok(snapshot) = vm.snapshot() else { return };
    let again = Vm::restore(&APP, &snapshot).expect("it was just saved");
    assert_eq!(again.snapshot().as_ref(), Ok(&snapshot));
    assert_eq!(again.hash(), vm.hash());
}
