//! What models may rely on: order, time, events, names, faults, snapshots.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this looks at models from outside"
)]

use teatime_vm::{
    App, Cx, Duration, External, FaultKind, FutureHandle, Handle, ModelId, NotInModelError,
    OrderedMap, SessionId, Time, ViewId, Vm, handlers, math, model, to_bytes,
};

const SESSION: SessionId = SessionId([3; 32]);
const SENDER: ViewId = ViewId([9; 16]);

/// Writes down what happens to it, and carries out orders.
#[model(id = "diary", version = 1)]
struct Diary {
    entries: Vec<String>,
    future: Option<FutureHandle>,
    other: Option<Handle<Other>>,
    draws: Vec<u64>,
}

#[handlers]
impl Diary {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        assert_eq!(cx.model_only(), Ok(()));
        for order in ["timers", "cancel", "every", "stop", "panic", "spin", "draw"] {
            cx.subscribe("do", order, Self::obey);
        }
        cx.subscribe("do", "order", Self::order);
        cx.subscribe("talk", "*", Self::hear_scope);
        cx.subscribe("*", "loud", Self::hear_event);
        cx.subscribe("talk", "loud", Self::hear);
        cx.subscribe("*", "*", Self::hear_all);
        Self { entries: Vec::new(), future: None, other: None, draws: Vec::new() }
    }

    fn note(&mut self, what: impl Into<String>) {
        self.entries.push(what.into());
    }

    fn order(&mut self, cx: &mut Cx<Self>, order: &String) {
        match order.as_str() {
            "timers" => {
                for (after, name) in [(10, "a"), (5, "b"), (10, "c"), (0, "d"), (0, "e")] {
                    cx.future(Duration::from_micros(after)).call(Self::timer, name.to_owned());
                }
            }
            "remember" => {
                let future = cx.future(Duration::from_millis(1)).call(Self::timer, "x".into());
                self.future = Some(future);
            }
            "cancel" => {
                let cancelled = self.future.map(|future| cx.cancel(future));
                self.note(format!("cancelled {cancelled:?}"));
            }
            "every" => {
                cx.every(Duration::from_millis(1)).call(Self::timer, "again".into());
            }
            "repeat" => {
                let future = cx.every(Duration::from_millis(1)).call(Self::timer, "r".into());
                self.future = Some(future);
            }
            "stop" => {
                let stopped = cx.cancel_all(Self::timer);
                self.note(format!("stopped {stopped}"));
            }
            "speak" => {
                cx.publish("talk", "loud", "first".to_owned());
                cx.publish("talk", "soft", "second".to_owned());
                self.note("spoken");
            }
            "panic" => panic!("as told"),
            "spin" => self.spin(cx),
            "create" => self.other = cx.create::<Other>(&5),
            "destroy" => {
                let destroyed = self.other.is_some_and(|other| cx.destroy(other));
                self.note(format!(
                    "destroyed {destroyed} {}",
                    cx.well_known::<Other>("it").is_some()
                ));
            }
            "update" => {
                let seen = self.other.map(|other| cx.get(other).map(|other| other.count));
                let set =
                    self.other.map(|it| cx.update(it, |it, _| std::mem::replace(&mut it.count, 7)));
                self.note(format!("{seen:?} {set:?}"));
            }
            "forge" => cx.publish(cx.session_scope(), "view-join", ()),
            "twice" => cx.subscribe("do", "order", Self::order),
            "draw" => self.draws = (0..1_000_000).map(|_| cx.random_u64()).collect(),
            _ => {}
        }
    }

    fn obey(&mut self, _cx: &mut Cx<Self>) {}

    fn timer(&mut self, cx: &mut Cx<Self>, name: String) {
        let now = cx.now();
        assert_eq!((cx.sender(), cx.now(), cx.model_only()), (None, now, Ok(())));
        self.note(format!("{name} at {}", now.as_micros()));
    }

    fn spin(&mut self, cx: &mut Cx<Self>) {
        cx.future(Duration::ZERO).call(Self::spin, ());
    }

    fn hear(&mut self, cx: &mut Cx<Self>, what: &String) {
        assert_eq!(cx.sender(), Some(SENDER));
        self.note(format!("talk/loud {what}"));
    }

    fn hear_scope(&mut self, _cx: &mut Cx<Self>, what: &String) {
        self.note(format!("talk/* {what}"));
    }

    fn hear_event(&mut self, _cx: &mut Cx<Self>, what: &String) {
        self.note(format!("*/loud {what}"));
    }

    fn hear_all(&mut self, cx: &mut Cx<Self>) {
        if cx.now() == Time::from_micros(77) {
            cx.publish("echo", "echo", ());
        }
    }
}

/// A model with subscriptions, a future message and a name.
#[model(id = "other", version = 1)]
struct Other {
    count: u64,
}

#[handlers]
impl Other {
    fn init(cx: &mut Cx<Self>, count: &u64) -> Self {
        cx.subscribe("do", "order", Self::count);
        cx.subscribe("*", "*", Self::count);
        cx.every(Duration::from_millis(1)).call(Self::count, ());
        let me = cx.me();
        cx.set_well_known("it", me).expect("the name is free");
        Self { count: *count }
    }

    fn count(&mut self, _cx: &mut Cx<Self>) {
        self.count += 1;
    }
}

struct Session {
    vm: Vm,
}

impl Session {
    fn new() -> Self {
        let app = App::builder::<Diary>("test.diary").model::<Other>().build().expect("sound");
        let options = to_bytes(&()).expect("nothing can be encoded");
        Self { vm: Vm::new(&app, SESSION, &options).expect("it starts") }
    }

    fn tell(&mut self, order: &str) {
        self.tell_at(self.vm.time().as_micros(), order);
    }

    fn tell_at(&mut self, at_us: u64, order: &str) {
        let payload = to_bytes(&order).expect("a string");
        let event =
            External::Event { sender: SENDER, scope: "do", event: "order", payload: &payload };
        let seq = self.vm.seq() + 1;
        self.vm.deliver(Time::from_micros(at_us), seq, &event).expect("it is in order");
    }

    fn pass_until(&mut self, at_us: u64) {
        assert!(self.vm.advance(Time::from_micros(at_us), u64::MAX));
    }

    fn diary(&self) -> &Diary {
        self.vm.root().expect("the diary is the root model")
    }

    fn restored(&self) -> Self {
        let vm = Vm::restore(self.vm.app(), &self.vm.snapshot().expect("it can be saved"))
            .expect("it is our own snapshot");
        assert_eq!(vm.hash().expect("it can be saved"), self.vm.hash().expect("it can be saved"));
        Self { vm }
    }

    fn faults(&mut self) -> Vec<FaultKind> {
        self.vm.drain_faults().into_iter().map(|fault| fault.kind).collect()
    }
}

#[test]
fn acceptance_30_futures_run_by_time_then_in_order_of_scheduling_each_at_its_own_time() {
    let mut session = Session::new();
    session.tell("timers");
    session.pass_until(20);
    assert_eq!(session.diary().entries, ["d at 0", "e at 0", "b at 5", "a at 10", "c at 10"]);
    assert_eq!(session.vm.time(), Time::from_micros(20));
}

#[test]
fn futures_come_before_external_events_of_the_same_time() {
    let mut session = Session::new();
    session.tell("timers");
    session.tell_at(10, "speak");
    let spoken = session.diary().entries.iter().position(|entry| entry == "spoken");
    assert_eq!(spoken, Some(5));
}

#[test]
fn acceptance_33_futures_can_be_cancelled_by_handle_also_after_a_restore() {
    for restore in [false, true] {
        let mut session = Session::new();
        session.tell("remember");
        if restore {
            session = session.restored();
        }
        session.tell("cancel");
        session.tell("cancel");
        session.pass_until(10_000);
        assert_eq!(session.diary().entries, ["cancelled Some(true)", "cancelled Some(false)"]);
    }
}

#[test]
fn repeating_futures_run_until_their_handler_is_cancelled() {
    let mut session = Session::new();
    session.tell("every");
    session.pass_until(3_500);
    session = session.restored();
    session.pass_until(4_000);
    session.tell("stop");
    session.pass_until(9_000);
    let entries = ["again at 1000", "again at 2000", "again at 3000", "again at 4000", "stopped 1"];
    assert_eq!(session.diary().entries, entries);
}

#[test]
fn a_repeating_future_can_be_cancelled_by_its_handle_after_it_has_come_and_after_a_restore() {
    for restore in [false, true] {
        let mut session = Session::new();
        session.tell("repeat");
        session.pass_until(2_500);
        if restore {
            session = session.restored();
        }
        session.tell("cancel");
        session.tell("cancel");
        session.pass_until(9_000);
        let entries = ["r at 1000", "r at 2000", "cancelled Some(true)", "cancelled Some(false)"];
        assert_eq!(session.diary().entries, entries);
    }
}

#[test]
fn models_receive_events_in_order_after_the_handler_has_returned_wildcards_first() {
    let mut session = Session::new();
    session.tell("speak");
    let expected = ["spoken", "talk/* first", "*/loud first", "talk/loud first", "talk/* second"];
    assert_eq!(session.diary().entries, expected);
}

#[test]
fn destroying_a_model_removes_all_that_belongs_to_it() {
    let mut session = Session::new();
    session.tell("create");
    session.pass_until(2_500);
    assert_eq!(session.vm.future_count(), 1);
    assert_eq!(session.vm.well_known("it"), Some(ModelId(2)));
    // Five, two ticks, and this event by the wildcard. By its own topic it comes later.
    session.tell("update");
    assert_eq!(session.diary().entries, ["Some(Ok(8)) Some(Ok(8))"]);
    let before = session.vm.models().count();
    session.tell("destroy");
    assert_eq!(session.diary().entries[1], "destroyed true false");
    assert_eq!((before, session.vm.models().count(), session.vm.future_count()), (2, 1, 0));
    // Only counters differ from a session that never had the model: it left no subscription, future
    // message or name.
    session.tell("nothing");
    session.tell("destroy");
    assert_eq!(session.diary().entries[2], "destroyed false false");
    assert_eq!(session.faults(), []);
    session.restored();
}

#[test]
fn ids_of_models_are_never_reused() {
    let mut session = Session::new();
    for id in 2..5 {
        session.tell("create");
        assert_eq!(session.diary().other.map(|other| other.id()), Some(ModelId(id)));
        session.tell("destroy");
        session = session.restored();
    }
}

#[test]
fn a_panic_is_a_fault_with_its_position_and_the_session_goes_on() {
    let mut session = Session::new();
    session.tell("nothing");
    session.tell_at(1_234, "panic");
    let fault = session.vm.drain_faults().remove(0);
    assert_eq!((fault.time, fault.seq, fault.sender), (Time::from_micros(1_234), 2, Some(SENDER)));
    assert_eq!((fault.handler.as_str(), fault.model), ("diary.order", Some(ModelId::ROOT)));
    assert_eq!(fault.kind, FaultKind::Panicked("as told".into()));
    session.tell("speak");
    assert_eq!(session.diary().entries.len(), 5);
}

#[test]
fn endless_futures_and_endless_events_are_cut_off_with_a_fault() {
    let mut session = Session::new();
    session.tell("spin");
    session.pass_until(1);
    assert_eq!(session.faults(), [FaultKind::TooManyTurns(1_000_000)]);
    assert_eq!(session.vm.future_count(), 0);
    let mut session = Session::new();
    session.tell_at(77, "nothing");
    assert_eq!(session.faults(), [FaultKind::TooManyEvents(1_000_000)]);
}

#[test]
fn forged_joins_and_double_subscriptions_are_refused_with_a_fault() {
    let mut session = Session::new();
    session.tell("forge");
    session.tell("twice");
    let scope = SESSION.to_string();
    let event =
        External::Event { sender: SENDER, scope: &scope, event: "user-exit", payload: &[0xc0] };
    session.vm.deliver(Time::ZERO, 3, &event).expect("it is in order");
    assert_eq!(
        session.faults(),
        [
            FaultKind::ReservedTopic(format!("{scope}/view-join")),
            FaultKind::SubscribedTwice("do/order".into()),
            FaultKind::ReservedTopic(format!("{scope}/user-exit")),
        ]
    );
}

#[test]
fn a_payload_that_does_not_fit_is_a_fault_and_the_handler_is_not_called() {
    let mut session = Session::new();
    for (seq, payload) in [(1, &[0xc1][..]), (2, &[]), (3, &[0x93, 1]), (4, &[5, 5])] {
        let event = External::Event { sender: SENDER, scope: "do", event: "order", payload };
        session.vm.deliver(Time::ZERO, seq, &event).expect("it is in order");
        assert!(matches!(session.faults()[..], [FaultKind::Payload(_)]), "{payload:?}");
    }
    assert_eq!(session.diary().entries, [""; 0]);
}

#[test]
fn events_out_of_order_are_refused_and_change_nothing() {
    let mut session = Session::new();
    session.pass_until(100);
    let before = session.vm.hash().expect("it can be saved");
    for (time, seq) in [(100, 0), (100, 2), (99, 1), (100, u64::MAX)] {
        assert!(session.vm.deliver(Time::from_micros(time), seq, &External::Marker).is_err());
    }
    assert_eq!(session.vm.hash().expect("it can be saved"), before);
}

#[test]
fn acceptance_40_model_only_fails_outside_of_handlers() {
    // The diary asserts in its init, handlers and timers that it passes there.
    let mut session = Session::new();
    session.tell("timers");
    session.pass_until(100);
    assert_eq!(session.vm.model_only(), Err(NotInModelError));
    assert_eq!(session.faults(), []);
}

/// The expected draws come from another implementation of ChaCha.
#[test]
fn acceptance_17_a_million_draws_are_the_keystream_of_chacha8_also_for_a_joiner() {
    use chacha20::ChaCha8;
    use chacha20::cipher::{KeyIvInit, StreamCipher};
    let mut session = Session::new();
    session.tell("draw");
    let mut joiner = session.restored();
    let key = blake3::derive_key("teatime v1 random", &SESSION.0);
    let mut keystream = vec![0; 16_000_000];
    // The original cipher has a 64-bit counter; up to 2³² blocks this one counts the same.
    ChaCha8::new(&key.into(), &[0; 12].into()).apply_keystream(&mut keystream);
    let draws: Vec<_> = keystream
        .chunks_exact(8)
        .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("chunks of eight")))
        .collect();
    assert_eq!(session.diary().draws, draws[..1_000_000]);
    for session in [&mut session, &mut joiner] {
        session.tell("draw");
        assert!(session.diary().draws == draws[1_000_000..]);
    }
}

#[test]
fn the_functions_of_math_are_right_and_have_the_same_bits_everywhere() {
    let mut hasher = blake3::Hasher::new();
    type Function = fn(f64) -> f64;
    let functions: [(Function, Function); 8] = [
        (math::sin, f64::sin),
        (math::cos, f64::cos),
        (math::atan, f64::atan),
        (math::exp, f64::exp),
        (math::ln, f64::ln),
        (math::cbrt, f64::cbrt),
        (math::tanh, f64::tanh),
        (math::sqrt, f64::sqrt),
    ];
    for (ours, platforms) in functions {
        for step in 1..10_000 {
            let x = f64::from(step) * 0.0137;
            let (y, reference) = (ours(x), platforms(x));
            assert!(
                (y - reference).abs() <= reference.abs() * 1e-14 + 1e-300,
                "{x}: {y} {reference}"
            );
            hasher.update(&y.to_bits().to_be_bytes());
        }
    }
    for step in 1..10_000 {
        let (x, y) = (f64::from(step) * 0.7, f64::from(10_000 - step) * 0.3);
        for value in [math::pow(x, y / 1000.0), math::atan2(y, x), math::hypot(x, y)] {
            hasher.update(&value.to_bits().to_be_bytes());
        }
    }
    // Computed on x86-64. A platform with another value would compute other states.
    assert_eq!(hasher.finalize().to_hex().as_str(), MATH_DIGEST);
}

const MATH_DIGEST: &str = "5676d353c15e628b607ae45788b2f4fac0cceff83f027b79f2b015c74a9b21b3";

#[test]
fn floats_and_maps_have_one_encoding() {
    let nan = to_bytes(&f64::NAN).expect("a float");
    assert_eq!(nan, [0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]);
    for other in [-f64::NAN, f64::from_bits(0x7ff0_0000_0000_0001), 0.0 / f64::from(0u8)] {
        assert_eq!(to_bytes(&other), Ok(nan.clone()));
    }
    assert_ne!(to_bytes(&0.0), to_bytes(&-0.0));
    let map: OrderedMap<_, _> = [("b", 1), ("a", 2)].into_iter().collect();
    // 82: a map of two; a1: a string of one.
    assert_eq!(to_bytes(&map), Ok(vec![0x82, 0xa1, b'b', 1, 0xa1, b'a', 2]));
}

#[test]
fn every_cut_and_every_changed_byte_of_a_snapshot_is_refused_or_harmless() {
    let mut session = Session::new();
    session.tell("create");
    session.tell("timers");
    session.tell("every");
    let snapshot = session.vm.snapshot().expect("it can be saved");
    let app = session.vm.app().clone();
    for length in 0..snapshot.len() {
        assert!(Vm::restore(&app, &snapshot[..length]).is_err(), "{length} bytes");
    }
    for at in 0..snapshot.len() {
        for to in [0x00, 0x7f, 0x80, 0xc1, 0xdd, 0xff] {
            let mut changed = snapshot.clone();
            changed[at] = to;
            // It may still be the snapshot of some session; what must not happen is a panic.
            if let Ok(mut vm) = Vm::restore(&app, &changed) {
                vm.advance(vm.time() + Duration::from_millis(10), 1_000);
            }
        }
    }
}

#[test]
fn the_error_of_an_invalid_snapshot_names_model_and_field() {
    let session = Session::new();
    let mut snapshot = session.vm.snapshot().expect("it can be saved");
    // The diary's first field, an empty array, directly follows its id and type.
    let fields = [0x93, 0x01, 0x00, 0x94, 0x90];
    let at = snapshot.windows(5).position(|bytes| bytes == fields).expect("the diary is there");
    snapshot[at + 4] = 0x07;
    let error = Vm::restore(session.vm.app(), &snapshot)
        .map(|_| ())
        .expect_err("a number where an array must be");
    assert_eq!(error.place, "model M1 (diary), field entries");
    assert!(error.why.contains("invalid type"), "{error}");
}

#[test]
fn another_version_of_the_app_is_refused_readably() {
    let session = Session::new();
    let app = |version| {
        App::builder::<Diary>("test.diary")
            .model::<Other>()
            .version(version)
            .build()
            .expect("sound")
    };
    assert_eq!(app(1).version_hash(), session.vm.app().version_hash());
    let error = Vm::restore(&app(2), &session.vm.snapshot().expect("it can be saved"))
        .map(|_| ())
        .expect_err("another version");
    assert_eq!(error.to_string(), "version: another version of the app's models has made it");
    let without = App::builder::<Diary>("test.diary").build().expect("sound");
    assert_ne!(without.version_hash(), app(1).version_hash());
}
