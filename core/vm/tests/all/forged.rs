//! Snapshots that a stranger has edited: they harm no participant that loads them.

use rmpv::Value;
use teatime_vm::{App, Cx, Duration, SessionId, Vm, handlers, model};

#[model(id = "root")]
struct Root {
    ticks: u64,
}

#[handlers]
impl Root {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("root", "tick", Self::tick);
        cx.create::<Child>(&());
        Self { ticks: 0 }
    }

    fn tick(&mut self, cx: &mut Cx<Self>) {
        self.ticks += 1;
        cx.future(Duration::from_millis(1)).call(Self::tick, ());
    }
}

#[model(id = "child")]
struct Child {}

#[handlers]
impl Child {
    fn init(_cx: &mut Cx<Self>, _: &()) -> Self {
        Self {}
    }
}

fn app() -> App {
    App::builder::<Root>("test.forged").model::<Child>().build().expect("it is sound")
}

/// A snapshot of a new session, with other values in the parts that these paths lead to.
fn forged(changes: &[(&[usize], Value)]) -> Vec<u8> {
    let vm = Vm::new(&app(), SessionId([1; 32]), &[0xc0]).expect("it can be made");
    let snapshot = vm.snapshot().expect("it can be saved");
    let mut whole = rmpv::decode::read_value(&mut snapshot.as_slice()).expect("MessagePack");
    for (path, value) in changes {
        let mut place = &mut whole;
        for at in *path {
            let Value::Array(parts) = place else { panic!("it is an array") };
            place = &mut parts[*at];
        }
        *place = value.clone();
    }
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &whole).expect("there is memory");
    bytes
}

const COUNTERS: usize = 5;
const MODELS: usize = 9;

#[test]
fn counters_that_would_overflow_are_refused() {
    for at in [1, 2] {
        for (counter, is_valid) in
            [((1_u64 << 53), true), ((1 << 53) + 1, false), (u64::MAX, false)]
        {
            let restored = Vm::restore(&app(), &forged(&[(&[COUNTERS, at], counter.into())]));
            assert_eq!(restored.is_ok(), is_valid, "{at} {counter}");
        }
    }
}

#[test]
fn a_high_id_of_a_model_costs_no_memory_and_the_session_goes_on() {
    let high = (1_u64 << 32) - 2;
    let bytes = forged(&[(&[COUNTERS, 0], (high + 1).into()), (&[MODELS, 1, 0], high.into())]);
    let before = resident();
    let vm = Vm::restore(&app(), &bytes).expect("it is a snapshot");
    assert!(resident() - before < 64 * 1024 * 1024, "{}", resident() - before);
    assert_eq!(vm.snapshot().expect("it can be saved"), bytes);
}

/// Memory of this process, in bytes.
#[expect(clippy::disallowed_methods, reason = "no model runs this")]
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    resident.unwrap_or(0) * 4096
}
