//! A whole session of the [board](super::board), from outside: each input, and the state after it.

use serde::Serialize;
use serde_json::{Value, json};
use teatime::{
    External, FaultKind, SessionId, StateHash, Time, USER_EXIT, VIEW_JOIN, ViewId, ViewInfo, Vm,
    to_bytes,
};

use super::board::{self, Add, Mood};
use super::text::{array, bytes, expect_equal, hex, list, number, optional_hex, read_number, text};

const SESSION: SessionId = SessionId([0x5e; 32]);

/// Something that comes to the session.
#[derive(Clone)]
enum Input {
    Event {
        sender: ViewId,
        scope: String,
        event: String,
        payload: Vec<u8>,
    },
    Views {
        exited: Vec<ViewInfo>,
        joined: Vec<ViewInfo>,
    },
    Marker,
    /// Only time passes.
    Time,
}

struct Step {
    shows: String,
    time: u64,
    input: Input,
}

fn view(byte: u8) -> ViewId {
    ViewId([byte; 16])
}

fn info(byte: u8, data: Option<&[u8]>) -> ViewInfo {
    ViewInfo { view_id: view(byte), view_data: data.map(Into::into) }
}

fn encoded<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    to_bytes(value).expect("MessagePack can express it")
}

/// With the names of fields.
fn named(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("MessagePack can express it")
}

/// The steps of a session, in their order.
#[derive(Default)]
struct Script(Vec<Step>);

impl Script {
    fn add(&mut self, time_ms: u64, input: Input, shows: &str) {
        self.0.push(Step { shows: shows.to_owned(), time: time_ms * 1000, input });
    }

    fn event(&mut self, time_ms: u64, (sender, event): (u8, &str), payload: Vec<u8>, shows: &str) {
        let (scope, event) = event.split_once('/').expect("scope and event");
        let (scope, event) = (scope.to_owned(), event.to_owned());
        self.add(time_ms, Input::Event { sender: view(sender), scope, event, payload }, shows);
    }
}

fn script() -> Vec<Step> {
    let mut script = Script::default();
    add_events(&mut script);
    add_failures_and_models(&mut script);
    add_presence_and_the_rest(&mut script);
    script.0
}

fn add_events(script: &mut Script) {
    let joined = vec![info(0xaa, None), info(0xbb, Some(b"\xa1b"))];
    let views = Input::Views { exited: vec![], joined };
    script.add(0, views, "two views join: each by itself, then both together");
    let add = Add { number: 5, text: "hi".to_owned() };
    script.event(
        0,
        (0xaa, "board/add"),
        encoded(&add),
        "wildcards first, then the own topic; what it publishes follows",
    );
    let add = Add { number: 6, text: "ho".to_owned() };
    script.event(1, (0xbb, "board/add"), named(&add), "a struct may be a map");
    script.add(250, Input::Marker, "at one time, futures come before the input and by their id");
    script.add(251, Input::Time, "only time passes; a future without a sender");
    script.event(300, (0xbb, "any/mood"), encoded(&Mood::Loud(9)), "a scope that is a wildcard");
    let mood = Mood::Named { name: "loud".to_owned(), level: f64::NAN };
    script.event(300, (0xaa, "board/mood"), encoded(&mood), "both wildcards; NaN in the state");
    script.event(310, (0xaa, "board/mood"), encoded(&Mood::Split(-300, 0.1)), "a float of 32 bits");
}

fn add_failures_and_models(script: &mut Script) {
    script.event(
        320,
        (0xaa, "board/add"),
        encoded("text"),
        "the payload does not fit: the handler is not called, and the turn stays",
    );
    script.event(
        330,
        (0xbb, "board/break"),
        encoded(&3u8),
        "a panic: nothing of the turn stays but time and seq",
    );
    script.event(340, (0xbb, "board/break"), encoded(&2u8), "the same without a panic");
    script.event(350, (0xaa, "board/make"), encoded("p"), "a model is made, and called");
    let add = Add { number: 70_000, text: "!".to_owned() };
    script.event(360, (0xaa, "board/add"), encoded(&add), "two models hear; the scope of a model");
}

fn add_presence_and_the_rest(script: &mut Script) {
    let (exited, joined) = (
        vec![info(0xbb, Some(b"\xa1b")), info(0xee, None)],
        vec![info(0xcc, None), info(0xaa, None)],
    );
    script.add(
        370,
        Input::Views { exited, joined },
        "exits first; an unknown exit and a second join do nothing",
    );
    script.event(
        380,
        (0xcc, "board/fuse"),
        encoded(&5u8),
        "a future that will panic, and one without delay",
    );
    script.add(380, Input::Time, "the future without delay has its own turn at that time");
    script.add(
        400,
        Input::Time,
        "the future has panicked: it is gone, and nothing else has changed",
    );
    let own = SESSION.to_string();
    for event in [VIEW_JOIN, USER_EXIT] {
        let topic = format!("{own}/{event}");
        script.event(410, (0xcc, &topic), encoded(&view(0xdd)), "a view cannot invent joins");
    }
    script.event(
        410,
        (0xcc, "other/view-join"),
        encoded(&()),
        "in another scope that is an event like others",
    );
    script.event(420, (0xcc, "board/save"), encoded(&()), "the root model persists");
    script.event(
        420,
        (0xdd, "board/unmake"),
        encoded(&()),
        "a model goes with all that belongs to it; the sender is no view of the session",
    );
    script.event(
        430,
        (0xcc, "board/stop"),
        encoded(&()),
        "futures are cancelled, a subscription ends",
    );
    script.event(440, (0xcc, "board/make"), encoded("q"), "ids of models are not used again");
    script.add(900, Input::Marker, "the future of the second model only");
    let joined = vec![info(0xbb, Some(b""))];
    script.add(
        900,
        Input::Views { exited: vec![info(0xaa, None)], joined },
        "a view that joins again comes last",
    );
    script.add(1_000_000_000, Input::Time, "after a long time");
}

/// A step as it stands in the file.
fn described(step: &Step) -> Value {
    let views = |views: &[ViewInfo]| {
        let view =
            |view: &ViewInfo| json!([hex(view.view_id.0), optional_hex(view.view_data.as_deref())]);
        views.iter().map(view).collect::<Vec<_>>()
    };
    let input = match &step.input {
        Input::Event { sender, scope, event, payload } => json!({
            "event": [hex(sender.0), scope, event, hex(payload)],
        }),
        Input::Views { exited, joined } => {
            json!({ "views": { "exited": views(exited), "joined": views(joined) } })
        }
        Input::Marker => json!("marker"),
        Input::Time => json!("time"),
    };
    json!({ "shows": step.shows, "time": number(step.time), "input": input })
}

fn read_step(value: &Value) -> Result<Step, String> {
    let views = |value: &Value| {
        let view = |view: &Value| {
            let data = view[1].as_str().map(|_| bytes(&view[1])).transpose()?;
            Ok(ViewInfo { view_id: ViewId(array(&view[0])?), view_data: data.map(Into::into) })
        };
        list(value)?.iter().map(view).collect::<Result<Vec<_>, String>>()
    };
    let input = &value["input"];
    let input = match (input.as_str(), &input["event"], &input["views"]) {
        (Some("marker"), ..) => Input::Marker,
        (Some("time"), ..) => Input::Time,
        (_, Value::Array(event), _) => Input::Event {
            sender: ViewId(array(&event[0])?),
            scope: text(&event[1])?.to_owned(),
            event: text(&event[2])?.to_owned(),
            payload: bytes(&event[3])?,
        },
        (.., value) => {
            Input::Views { exited: views(&value["exited"])?, joined: views(&value["joined"])? }
        }
    };
    Ok(Step { shows: text(&value["shows"])?.to_owned(), time: read_number(&value["time"])?, input })
}

struct Player(Vm);

impl Player {
    fn new() -> Self {
        Self(Vm::new(&board::app(), SESSION, &board::options()).expect("the session starts"))
    }

    fn play(&mut self, step: &Step) -> Result<Value, String> {
        let (time, seq) = (Time::from_micros(step.time), self.0.seq() + 1);
        let external = match &step.input {
            Input::Event { sender, scope, event, payload } => {
                Some(External::Event { sender: *sender, scope, event, payload })
            }
            Input::Views { exited, joined } => Some(External::Presence { exited, joined }),
            Input::Marker => Some(External::Marker),
            Input::Time => None,
        };
        match external {
            Some(external) => {
                self.0.deliver(time, seq, &external).map_err(|error| error.to_string())?;
            }
            None => while !self.0.advance(time, u64::MAX) {},
        }
        let mut after = described(step);
        after["seq"] = number(self.0.seq());
        after["faults"] =
            self.0.drain_faults().iter().map(|fault| fault_name(&fault.kind)).collect();
        let snapshot = self.snapshot();
        after["snapshot"] = hex(&snapshot);
        after["state"] = hex(StateHash::of(&snapshot).0);
        Ok(after)
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.snapshot().expect("it can be saved")
    }
}

fn fault_name(kind: &FaultKind) -> &'static str {
    match kind {
        FaultKind::Panicked(_) => "panicked",
        FaultKind::Payload(_) => "payload",
        FaultKind::ReservedTopic(_) => "reserved topic",
        FaultKind::Unpaired(_) => "unpaired",
        _ => "other",
    }
}

pub(super) fn make() -> Value {
    let mut player = Player::new();
    let start = player.snapshot();
    let steps: Result<Vec<_>, _> = script().iter().map(|step| player.play(step)).collect();
    json!({
        "comment": "A whole session of the model that tests/src/vectors/board.rs declares, and tests/vectors/board.py in another language: each input with its \
            time in microseconds, then seq, faults, the snapshot and the state hash after it. The input `time` is no message: only time passes.",
        "app": board::APP_ID,
        "version": board::app().version(),
        "version_hash": hex(board::app().version_hash()),
        "session": hex(SESSION.0),
        "options": hex(board::options()),
        "start": hex(&start),
        "state": hex(StateHash::of(&start).0),
        "vectors": steps.expect("the script is in order"),
    })
}

/// The state at the start, and at the position where it has most parts.
pub(super) fn snapshots() -> Vec<(&'static str, Vec<u8>)> {
    let mut player = Player::new();
    let start = player.snapshot();
    let mut saved = Vec::new();
    for step in script() {
        player.play(&step).expect("the script is in order");
        if step.shows == "the root model persists" {
            saved = player.snapshot();
        }
    }
    vec![("at the start of run.json", start), ("with every part: in run.json, persisted", saved)]
}

/// Plays the inputs of the file, from the start and from each snapshot.
pub(super) fn check(content: &Value) -> Result<(), String> {
    let mut player = Player::new();
    expect_equal("the start", &content["start"], &hex(player.snapshot()))?;
    for found in list(&content["vectors"])? {
        let step = read_step(found)?;
        let after = player.play(&step)?;
        expect_equal(&step.shows, found, &after)?;
        let snapshot = bytes(&found["snapshot"])?;
        let restored = Vm::restore(&board::app(), &snapshot).map_err(|error| error.to_string())?;
        player = Player(restored);
    }
    Ok(())
}
