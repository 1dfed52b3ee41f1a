//! How fast the virtual machine is.

use serde_json::{Value, json};
use teatime::{
    App, Cx, Duration, Handle, Model, OrderedMap, SessionId, Time, Vm, handlers, model, to_bytes,
};

use crate::statistics::median;
use crate::usage::cpu_of;

const RUNS: usize = 7;

/// Measures everything.
pub(crate) fn run(quick: bool) -> Vec<Value> {
    let scale = if quick { 10 } else { 1 };
    vec![
        futures(1_000, 4_000_000 / scale, 30.0),
        futures(100_000, 2_000_000 / scale, 7.0),
        events(20_000 / scale),
        snapshots(),
    ]
}

fn start<M: Model>(app: &App, options: &M::Options) -> Vm {
    let options = to_bytes(options).expect("options are plain data");
    Vm::new(app, SessionId([1; 32]), &options).expect("the benchmark's models are sound")
}

/// Creates the runners and is otherwise idle.
#[model(id = "herd", version = 1)]
struct Herd {
    runners: Vec<Handle<Runner>>,
}

#[handlers]
impl Herd {
    fn init(cx: &mut Cx<Self>, runners: &u64) -> Self {
        let runners = (0..*runners).filter_map(|_| cx.create::<Runner>(&())).collect();
        Self { runners }
    }
}

/// Draws a number and schedules itself again, every millisecond.
#[model(id = "runner", version = 1)]
struct Runner {
    sum: u64,
}

#[handlers]
impl Runner {
    fn init(cx: &mut Cx<Self>, (): &()) -> Self {
        let first = Duration::from_micros(cx.random_below(1_000));
        cx.future(first).call(Self::run, ());
        Self { sum: 0 }
    }

    fn run(&mut self, cx: &mut Cx<Self>) {
        self.sum ^= cx.random_u64();
        cx.future(Duration::from_millis(1)).call(Self::run, ());
    }
}

fn futures(models: u64, turns: u64, wanted: f64) -> Value {
    let app = App::builder::<Herd>("bench.futures").model::<Runner>().build();
    let mut vm = start::<Herd>(&app.expect("it is sound"), &models);
    let span = turns / models * 1_000;
    let mut now = 10_000;
    vm.advance(Time::from_micros(now), u64::MAX);
    let rates = (0..RUNS).map(|_| {
        now += span;
        let (seconds, _) = cpu_of(|| vm.advance(Time::from_micros(now), u64::MAX));
        turns as f64 / seconds / 1e6
    });
    json!({
        "work": format!("futures: {models} models, a draw and a re-schedule every ms"),
        "unit": "million turns/s", "measured": median(rates.collect()), "wanted_at_least": wanted,
    })
}

/// Publishes on every topic at every tick.
#[model(id = "speaker", version = 1)]
struct Speaker {
    hearers: Vec<Handle<Hearer>>,
}

const TOPICS: u64 = 10;
const HEARERS: u64 = 100;

#[handlers]
impl Speaker {
    fn init(cx: &mut Cx<Self>, (): &()) -> Self {
        cx.every(Duration::from_micros(1)).call(Self::speak, ());
        let hearers =
            (0..TOPICS * HEARERS).filter_map(|number| cx.create::<Hearer>(&(number % TOPICS)));
        Self { hearers: hearers.collect() }
    }

    fn speak(&mut self, cx: &mut Cx<Self>) {
        for topic in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] {
            cx.publish("bench", topic, Word { value: 3, weight: 0.5 });
        }
    }
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Word {
    value: u64,
    weight: f64,
}

#[model(id = "hearer", version = 1)]
struct Hearer {
    sum: u64,
}

#[handlers]
impl Hearer {
    fn init(cx: &mut Cx<Self>, topic: &u64) -> Self {
        cx.subscribe("bench", &topic.to_string(), Self::hear);
        Self { sum: 0 }
    }

    fn hear(&mut self, _cx: &mut Cx<Self>, word: &Word) {
        self.sum = self.sum.wrapping_add(word.value);
    }
}

fn events(rounds: u64) -> Value {
    let app = App::builder::<Speaker>("bench.events").model::<Hearer>().build();
    let mut vm = start::<Speaker>(&app.expect("it is sound"), &());
    let mut now = 100;
    vm.advance(Time::from_micros(now), u64::MAX);
    let rates = (0..RUNS).map(|_| {
        now += rounds;
        let (seconds, _) = cpu_of(|| vm.advance(Time::from_micros(now), u64::MAX));
        (rounds * TOPICS * HEARERS) as f64 / seconds / 1e6
    });
    json!({
        "work": "events between models: 10 topics, 100 handlers each",
        "unit": "million handlers/s", "measured": median(rates.collect()), "wanted_at_least": 80.0,
    })
}

/// Creates many small models.
#[model(id = "crowd", version = 1)]
struct Crowd {
    count: u64,
}

#[handlers]
impl Crowd {
    fn init(cx: &mut Cx<Self>, count: &u64) -> Self {
        for number in 0..*count {
            cx.create::<Small>(&number);
        }
        Self { count: *count }
    }
}

/// A name, three floats, a map of two.
#[model(id = "small", version = 1)]
struct Small {
    name: String,
    x: f64,
    y: f64,
    z: f64,
    marks: OrderedMap<String, u32>,
}

#[handlers]
impl Small {
    fn init(cx: &mut Cx<Self>, number: &u64) -> Self {
        Self {
            name: format!("model {number}"),
            x: cx.random(),
            y: cx.random(),
            z: cx.random(),
            marks: [("a".to_owned(), 1), ("b".to_owned(), 2)].into_iter().collect(),
        }
    }
}

fn snapshots() -> Value {
    let app = App::builder::<Crowd>("bench.snapshot").model::<Small>().build().expect("sound");
    let vm = start::<Crowd>(&app, &100_000);
    let (mut taking, mut restoring, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..RUNS {
        let (seconds, snapshot) = cpu_of(|| {
            let snapshot = vm.snapshot().expect("it can be saved");
            std::hint::black_box(teatime::StateHash::of(&snapshot));
            snapshot
        });
        taking.push(seconds * 1e3);
        bytes = snapshot.len();
        let (seconds, restored) = cpu_of(|| Vm::restore(&app, &snapshot));
        restoring.push(seconds * 1e3);
        drop(restored);
    }
    json!({
        "work": "snapshot of 100,000 small models, with hash, and restore",
        "snapshot_ms": median(taking), "snapshot_ms_wanted_at_most": 15.0,
        "snapshot_mb": bytes as f64 / 1e6, "snapshot_mb_wanted_at_most": 6.0,
        "restore_ms": median(restoring), "restore_ms_wanted_at_most": 50.0,
    })
}
