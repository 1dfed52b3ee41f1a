//! A turn in which a handler fails leaves no trace except the fault.

use std::panic;

use proptest::prelude::*;
use teatime_vm::{
    App, Cx, Duration, External, FaultKind, ModelId, OrderedMap, SessionId, Time, ViewId, ViewInfo,
    Vm, handlers, model, to_bytes,
};

const SESSION: SessionId = SessionId([3; 32]);
const SENDER: ViewId = ViewId([9; 16]);

/// Changes everything that a handler can change, and fails afterwards in `fail`.
#[model(id = "clumsy", version = 1)]
struct Clumsy {
    numbers: OrderedMap<u64, u64>,
    steps: u64,
    fails_at: u64,
    views: Vec<ViewId>,
}

#[handlers]
impl Clumsy {
    fn init(cx: &mut Cx<Self>, fails_at: &u64) -> Self {
        cx.subscribe("do", "work", Self::work);
        cx.subscribe("do", "fail", Self::fail);
        cx.subscribe("do", "listen", Self::note);
        cx.subscribe(cx.session_scope(), teatime_vm::VIEW_JOIN, Self::joined);
        cx.every(Duration::from_millis(10)).call(Self::step, ());
        Self { numbers: OrderedMap::new(), steps: 0, fails_at: *fails_at, views: Vec::new() }
    }

    fn change_everything(&mut self, cx: &mut Cx<Self>, number: u64) {
        let draw = cx.random_u64();
        self.numbers.insert(number, draw);
        cx.publish("do", "listen", number);
        cx.publish("view", "told", number);
        cx.future(Duration::from_millis(number % 7)).call(Self::note, number);
        let child = cx.create::<Child>(&number);
        let taken =
            child.and_then(|child| cx.set_well_known(&format!("child {number}"), child).err());
        assert!(taken.is_none() || number < 1_000);
        cx.subscribe("late", &number.to_string(), Self::note);
    }

    fn work(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.change_everything(cx, number);
    }

    fn fail(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.change_everything(cx, number);
        panic!("{number} is too much");
    }

    fn note(&mut self, cx: &mut Cx<Self>, number: u64) {
        let draw = cx.random_u64();
        self.numbers.insert(number << 32, draw);
    }

    fn step(&mut self, cx: &mut Cx<Self>) {
        self.steps += 1;
        let now = cx.now().as_micros();
        if now == self.fails_at {
            self.change_everything(cx, now);
            panic!("at {now}");
        }
    }

    fn joined(&mut self, _cx: &mut Cx<Self>, view: ViewId) {
        self.views.push(view);
        assert_ne!(view, ViewId([13; 16]), "an unlucky one");
    }
}

#[model(id = "child", version = 1)]
struct Child {
    number: u64,
}

#[handlers]
impl Child {
    fn init(cx: &mut Cx<Self>, number: &u64) -> Self {
        cx.subscribe("do", "fail", Self::count);
        Self { number: *number }
    }

    fn count(&mut self, _cx: &mut Cx<Self>) {
        self.number += 1;
    }
}

fn app() -> App {
    App::builder::<Clumsy>("test.clumsy").model::<Child>().build().expect("it is sound")
}

fn start(fails_at: u64) -> Vm {
    // Expected panics must not fill the log.
    panic::set_hook(Box::new(|_| {}));
    Vm::new(&app(), SESSION, &to_bytes(&fails_at).expect("a number")).expect("it starts")
}

fn tell(vm: &mut Vm, at: u64, what: Option<(&str, u64)>) {
    let payload = what.map(|(_, number)| to_bytes(&number).expect("a number")).unwrap_or_default();
    let external = match what {
        Some((event, _)) => {
            External::Event { sender: SENDER, scope: "do", event, payload: &payload }
        }
        None => External::Marker,
    };
    vm.deliver(Time::from_micros(at), vm.seq() + 1, &external).expect("it is in order");
}

#[test]
fn an_event_whose_handler_panics_changes_nothing() {
    let (mut vm, mut other) = (start(u64::MAX), start(u64::MAX));
    tell(&mut vm, 1_000, Some(("work", 1)));
    tell(&mut other, 1_000, Some(("work", 1)));
    vm.watch("view", "told");
    tell(&mut vm, 12_345, Some(("fail", 2)));
    tell(&mut other, 12_345, None);
    assert_eq!(vm.hash(), other.hash());
    let mut published = Vec::new();
    vm.drain_published(&mut published);
    assert!(published.is_empty(), "views receive nothing of the failed turn");
    let fault = vm.drain_faults().remove(0);
    assert_eq!(fault.kind, FaultKind::Panicked("2 is too much".into()));
    assert_eq!((fault.seq, fault.time, fault.sender), (2, Time::from_micros(12_345), Some(SENDER)));
    // Topics stay watched.
    tell(&mut vm, 20_000, Some(("work", 3)));
    tell(&mut other, 20_000, Some(("work", 3)));
    vm.drain_published(&mut published);
    assert_eq!(published.len(), 1);
    assert_eq!(vm.hash(), other.hash());
}

#[test]
fn events_published_before_the_failed_turn_stay() {
    let mut vm = start(u64::MAX);
    vm.watch("view", "told");
    tell(&mut vm, 1_000, Some(("work", 1)));
    tell(&mut vm, 1_000, Some(("fail", 2)));
    let mut published = Vec::new();
    vm.drain_published(&mut published);
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].payload.get(), Ok(1u64));
}

#[test]
fn a_repeating_future_message_comes_again_after_a_panic() {
    let mut vm = start(30_000);
    tell(&mut vm, 15_000, Some(("work", 1)));
    vm.advance(Time::from_micros(95_000), u64::MAX);
    assert_eq!(vm.drain_faults().len(), 1);
    let root = vm.root::<Clumsy>().expect("it is the root");
    assert_eq!(root.steps, 8, "nine were due, one was undone");
    assert_eq!(root.numbers.len(), 2, "the event, and what it had published and scheduled");
}

#[test]
fn a_view_joins_even_if_its_join_makes_a_handler_panic() {
    let mut vm = start(u64::MAX);
    let views = [ViewId([1; 16]), ViewId([13; 16])];
    let joined = views.map(|view_id| ViewInfo { view_id, view_data: None });
    let presence = External::Presence { exited: &[], joined: &joined };
    vm.deliver(Time::ZERO, 1, &presence).expect("it is in order");
    assert_eq!(vm.views().collect::<Vec<_>>(), views);
    assert_eq!(vm.root::<Clumsy>().expect("it is the root").views, []);
    assert_eq!(vm.drain_faults().len(), 1);
    let presence = External::Presence { exited: &joined, joined: &[] };
    vm.deliver(Time::ZERO, 2, &presence).expect("it is in order");
    assert_eq!(vm.drain_faults(), [], "the exits are paired");
}

#[test]
fn a_handler_that_fails_all_the_time_does_not_make_each_turn_slower() {
    let mut vm = start(u64::MAX);
    for number in 0..2_000 {
        tell(
            &mut vm,
            number * 100,
            Some((["fail", "work"][usize::from(number % 20 == 0)], number)),
        );
    }
    assert_eq!(vm.drain_faults().len(), 1_000, "the most that are stored");
    assert_eq!(vm.models().count(), 101);
    assert!(vm.well_known("child 40").is_some_and(|id| id > ModelId::ROOT));
    assert!(vm.well_known("child 41").is_none());
}

proptest! {
    /// Three participants undo the same turns: one from the beginning, one that made checkpoints in between,
    /// and one restored from a snapshot at any point.
    #[test]
    fn participants_undo_the_same_wherever_their_histories_start(
        events in prop::collection::vec((0..4u8, 0..20_000u64), 1..40),
        snapshot_at in 0..40usize,
        checkpoint_every in 1..5usize,
    ) {
        let (mut veteran, mut careful) = (start(50_000), start(50_000));
        let mut joiner = None;
        let mut time = 0;
        for (at, (what, pause)) in events.iter().enumerate() {
            if at == snapshot_at {
                let snapshot = veteran.snapshot().expect("it can be saved");
                joiner = Some(Vm::restore(&app(), &snapshot).expect("it is one"));
            }
            if at % checkpoint_every == 0 {
                careful.checkpoint().expect("it can be saved");
            }
            time += pause;
            let number = at as u64;
            let event = [Some(("work", number)), Some(("fail", number)), Some(("listen", number)), None];
            for vm in [&mut veteran, &mut careful].into_iter().chain(&mut joiner) {
                tell(vm, time, event[usize::from(*what)]);
            }
        }
        prop_assert_eq!(veteran.hash(), careful.hash());
        if let Some(joiner) = joiner {
            prop_assert_eq!(veteran.hash(), joiner.hash());
        }
        prop_assert_eq!(veteran.drain_faults(), careful.drain_faults());
    }
}
