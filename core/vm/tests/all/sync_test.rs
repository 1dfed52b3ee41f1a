//! A sync test finds planted bugs and names their places.

use std::sync::atomic::{AtomicU64, Ordering};

use teatime_vm::testing::{SyncError, SyncTest};
use teatime_vm::{App, Cx, Duration, Model, ViewId, handlers, model};

const VIEW: ViewId = ViewId([1; 16]);

/// Plays a few inputs on a session of this model.
fn play<M: Model<Options = ()>>(every: u64) -> Result<(), SyncError> {
    let app = App::builder::<M>("test.sync").build().expect("it declares one model");
    let mut test = SyncTest::new(&app, &())?.every(every);
    test.join(VIEW)?;
    for number in 0..20u64 {
        test.event(VIEW, "test", "add", &number)?;
        test.pass(Duration::from_millis(50))?;
    }
    test.exit(VIEW)?;
    test.finish()
}

fn difference(result: Result<(), SyncError>) -> (String, Option<String>) {
    match result {
        Err(SyncError::Differs(difference)) => (difference.place, difference.field),
        other => panic!("no difference was found: {other:?}"),
    }
}

/// A model without bugs.
#[model(id = "clean")]
struct Clean {
    sum: u64,
    noise: f64,
}

#[handlers]
impl Clean {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("test", "add", Self::add);
        cx.every(Duration::from_millis(7)).call(Self::tick, ());
        Self { sum: 0, noise: f64::NAN }
    }

    fn add(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.sum += number;
        if number > 0 {
            cx.future(Duration::from_millis(number)).call(Self::add, number / 2);
        }
        // Without the canonical encoding the sign of this NaN would show.
        self.noise = -f64::NAN * cx.random();
    }

    fn tick(&mut self, cx: &mut Cx<Self>) {
        self.sum ^= cx.random_u64();
    }
}

/// Its count is not in a snapshot.
#[model(id = "forgetful")]
struct Forgetful {
    sum: u64,
    doubled: u64,
    #[serde(skip)]
    calls: u64,
}

#[handlers]
impl Forgetful {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("test", "add", Self::add);
        Self { sum: 0, doubled: 0, calls: 0 }
    }

    fn add(&mut self, _cx: &mut Cx<Self>, number: u64) {
        self.calls += 1;
        self.sum += number;
        self.doubled = self.calls * 2;
    }
}

static OUTSIDE: AtomicU64 = AtomicU64::new(0);

/// Its count is not even in the model.
#[model(id = "leaky")]
struct Leaky {
    count: u64,
}

#[handlers]
impl Leaky {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("test", "add", Self::add);
        Self { count: 0 }
    }

    fn add(&mut self, _cx: &mut Cx<Self>, _number: u64) {
        self.count = OUTSIDE.fetch_add(1, Ordering::Relaxed);
    }
}

/// Draws random numbers depending on a field that snapshots do not contain.
#[model(id = "gambler")]
struct Gambler {
    #[serde(skip)]
    lucky: bool,
}

#[handlers]
impl Gambler {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("test", "add", Self::add);
        Self { lucky: true }
    }

    fn add(&mut self, cx: &mut Cx<Self>, _number: u64) {
        if !self.lucky {
            cx.random_u64();
        }
        self.lucky = true;
    }
}

/// Its handler panics.
#[model(id = "clumsy")]
struct Clumsy {}

#[handlers]
impl Clumsy {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("test", "add", Self::add);
        Self {}
    }

    fn add(&mut self, _cx: &mut Cx<Self>, number: u64) {
        assert!(number < 3, "three is too much");
    }
}

#[test]
fn a_clean_model_passes_at_every_distance() {
    for every in [1, 2, 7, 1000] {
        assert_eq!(play::<Clean>(every), Ok(()));
    }
}

#[test]
fn a_field_that_snapshots_forget_is_found_where_it_shows() {
    for every in [1, 5] {
        let expected = ("model M1 (forgetful)".to_owned(), Some("doubled".to_owned()));
        assert_eq!(difference(play::<Forgetful>(every)), expected);
    }
}

#[test]
fn state_outside_the_model_is_found() {
    let expected = ("model M1 (leaky)".to_owned(), Some("count".to_owned()));
    assert_eq!(difference(play::<Leaky>(1)), expected);
}

#[test]
fn a_difference_outside_the_models_is_named_too() {
    assert_eq!(difference(play::<Gambler>(3)), ("random".to_owned(), None));
}

#[test]
fn a_handler_that_panics_is_an_error_with_its_place() {
    let Err(SyncError::Fault(fault)) = play::<Clumsy>(1) else { panic!("no fault was found") };
    assert_eq!((fault.handler.as_str(), fault.seq), ("clumsy.add", 5));
    assert!(fault.to_string().contains("three is too much"));
}
