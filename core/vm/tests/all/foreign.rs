//! Models in other languages keep the same promises as models in Rust.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use teatime_vm::testing::{SyncError, SyncTest};
use teatime_vm::{
    App, AppError, Cx, Duration, External, FaultKind, ForeignModel, ForeignObject, ModelId,
    Payload, QueryError, SessionId, Time, UntypedCx, ViewId, Vm, handlers, model, to_bytes,
};

const VIEW: ViewId = ViewId([1; 16]);
const ADD: u16 = 0;
const ECHOED: u16 = 1;

/// A counter, as it might be written in another language: its state crosses as a map.
#[derive(Clone, Serialize, Deserialize)]
struct Counter {
    sum: u64,
    echoes: u64,
    #[serde(skip)]
    lost: u64,
}

impl ForeignObject for Counter {
    fn handle(
        &mut self,
        cx: &mut UntypedCx<'_>,
        handler: u16,
        argument: &Payload,
    ) -> Result<(), String> {
        match handler {
            ADD => {
                let number: u64 = argument.get().map_err(|_| "not a number".to_owned())?;
                assert_ne!(number, 13, "unlucky");
                self.sum += number + cx.random_below(3);
                if number > 0 {
                    let next = Payload::new(number / 2);
                    cx.future(Duration::from_millis(number), Duration::ZERO, ADD, next);
                }
                cx.publish("counter", "changed", Payload::new(self.sum));
            }
            _ => self.echoes += 1,
        }
        self.lost += 1;
        Ok(())
    }

    fn query(&self, query: u16, argument: &[u8]) -> Result<Payload, String> {
        assert_eq!(query, 0);
        if argument == [0xc0] { Ok(Payload::new(self.sum)) } else { Err("no argument".into()) }
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        rmp_serde::to_vec_named(self).map_err(|error| error.to_string())
    }
}

fn counter() -> ForeignModel {
    ForeignModel {
        id: "counter".into(),
        version: 1,
        code: String::new(),
        handlers: vec!["add".into(), "echoed".into()],
        queries: vec!["sum".into()],
        init: Box::new(|cx, options| {
            assert!(cx.subscribe("counter", "add", ADD) && !cx.subscribe("counter", "add", 9));
            cx.subscribe("echo", "echo", ECHOED);
            cx.set_well_known("counter", cx.me()).map_err(|error| error.to_string())?;
            cx.create("echo", &[0xc0])?;
            let sum = rmp_serde::from_slice(options).map_err(|error| error.to_string())?;
            Ok(Box::new(Counter { sum, echoes: 0, lost: 0 }))
        }),
        load: Box::new(|saved| {
            let counter: Counter =
                rmp_serde::from_slice(saved).map_err(|error| error.to_string())?;
            Ok(Box::new(counter))
        }),
    }
}

/// Answers the foreign counter.
#[model(id = "echo")]
struct Echo {
    heard: Vec<u64>,
}

#[handlers]
impl Echo {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("counter", "changed", Self::changed);
        Self { heard: Vec::new() }
    }

    fn changed(&mut self, cx: &mut Cx<Self>, sum: u64) {
        self.heard.push(sum);
        cx.publish("echo", "echo", ());
    }

    #[query]
    fn heard(&self) -> u64 {
        self.heard.len() as u64
    }
}

fn app() -> App {
    let builder = App::builder_without_root("test.foreign").foreign_model(counter());
    builder.model::<Echo>().build().expect("it is sound")
}

fn start() -> Vm {
    Vm::new(&app(), SessionId([7; 32]), &to_bytes(&5u64).expect("a number")).expect("it starts")
}

fn event(vm: &mut Vm, payload: &[u8]) {
    let external = External::Event { sender: VIEW, scope: "counter", event: "add", payload };
    vm.deliver(vm.time(), vm.seq() + 1, &external).expect("it is in order");
}

#[test]
fn a_foreign_and_a_rust_model_exchange_events_and_survive_a_snapshot() {
    let mut vm = start();
    event(&mut vm, &to_bytes(&4u64).expect("a number"));
    let mut twin =
        Vm::restore(&app(), &vm.snapshot().expect("it can be saved")).expect("it is a snapshot");
    for vm in [&mut vm, &mut twin] {
        while !vm.advance(Time::from_micros(100_000), u64::MAX) {}
    }
    assert_eq!(vm.hash().expect("it can be saved"), twin.hash().expect("it can be saved"));
    let id = vm.well_known("counter").expect("it has a name");
    // 4, and after 4, 2 and 1 ms 2, 1 and 0 more; each time up to 2 by chance.
    let sum: u64 = vm.query(id, "sum", &[0xc0]).expect("an answer").get().expect("a number");
    assert!((12..=20).contains(&sum), "{sum}");
    let heard = vm.query(ModelId(2), "heard", &[0xc0]).expect("an answer");
    assert_eq!(heard.get::<u64>(), Ok(4));
    let state: Counter = {
        let bytes = vm.snapshot().expect("it can be saved");
        let value = rmpv::decode::read_value(&mut bytes.as_slice()).expect("MessagePack");
        let state = to_bytes(&value[9][0][2]).expect("a map");
        rmp_serde::from_slice(&state).expect("a counter")
    };
    assert_eq!((state.sum, state.echoes), (sum, 4));
}

#[test]
fn a_failing_foreign_handler_is_a_fault_and_a_failing_query_an_error() {
    let mut vm = start();
    event(&mut vm, &to_bytes("x").expect("a text"));
    event(&mut vm, &to_bytes(&13u64).expect("a number"));
    let faults = vm.drain_faults();
    assert_eq!(faults[0].kind, FaultKind::Failed("not a number".into()));
    assert_eq!(faults[0].handler, "counter.add");
    assert!(matches!(&faults[1].kind, FaultKind::Panicked(why) if why.contains("unlucky")));
    let ask = |name, argument: &[u8]| vm.query(ModelId::ROOT, name, argument).expect_err("none");
    assert_eq!(ask("nothing", &[0xc0]), QueryError::UnknownQuery("nothing".into()));
    assert_eq!(ask("sum", &[0xc2]), QueryError::Failed("no argument".into()));
}

#[test]
fn a_sync_test_names_the_state_that_a_foreign_model_does_not_save() {
    static STRAY: AtomicU64 = AtomicU64::new(0);
    let play = |stray: bool| {
        let mut model = counter();
        if stray {
            model.load = Box::new(|saved| {
                let mut counter: Counter =
                    rmp_serde::from_slice(saved).map_err(|error| error.to_string())?;
                counter.echoes += u64::from(STRAY.fetch_add(1, Ordering::Relaxed) == 5);
                Ok(Box::new(counter))
            });
        }
        let app = App::builder_without_root("test.foreign").foreign_model(model).model::<Echo>();
        let mut test = SyncTest::new(&app.build().expect("it is sound"), &1u64)?;
        test.join(VIEW)?;
        for number in 0..10u64 {
            test.event(VIEW, "counter", "add", &number)?;
            test.pass(Duration::from_millis(3))?;
        }
        test.finish()
    };
    assert_eq!(play(false), Ok(()));
    match play(true) {
        Err(SyncError::Differs(found)) => {
            assert_eq!(found.place, "model M1 (counter)");
            assert_eq!(found.field.as_deref(), Some("echoes"));
        }
        other => panic!("not found: {other:?}"),
    }
}

#[test]
fn a_foreign_state_that_is_not_one_value_starts_no_session() {
    struct Broken(&'static [u8]);
    impl ForeignObject for Broken {
        fn handle(&mut self, _: &mut UntypedCx<'_>, _: u16, _: &Payload) -> Result<(), String> {
            Ok(())
        }
        fn query(&self, _: u16, _: &[u8]) -> Result<Payload, String> {
            Ok(Payload::UNIT)
        }
        fn save(&self) -> Result<Vec<u8>, String> {
            Ok(self.0.to_vec())
        }
    }
    for saved in [&b""[..], &[0xc0, 0xc0], &[0x91], &[0xd4, 1, 1], &[0x91; 100]] {
        let model = ForeignModel {
            id: "broken".into(),
            version: 1,
            code: String::new(),
            handlers: Vec::new(),
            queries: Vec::new(),
            init: Box::new(move |_, _| Ok(Box::new(Broken(saved)))),
            load: Box::new(|_| Err("never".into())),
        };
        let app = App::builder_without_root("test.broken").foreign_model(model).build();
        let started = Vm::new(&app.expect("it is sound"), SessionId([0; 32]), &[0xc0]);
        assert!(started.is_err(), "{saved:x?}");
    }
}

#[test]
fn options_have_one_form_and_an_app_needs_a_root() {
    let map = to_bytes(&[("b", 1u8)].into_iter().collect::<std::collections::BTreeMap<_, _>>());
    let map = map.expect("a map");
    assert_eq!(app().canonical_options(&map), Ok(map));
    // An integer that is encoded longer than necessary.
    assert_eq!(app().canonical_options(&[0xcd, 0, 5]), Ok(vec![5]));
    assert!(app().canonical_options(&[0x91]).is_err());
    let none = App::builder_without_root("test.none").build();
    assert_eq!(none.err(), Some(AppError::NoRoot));
}
