//! Snapshots by their parts, and envelopes.

use rmpv::Value as Msgpack;
use serde_json::{Value, json};
use teatime::{App, Cx, SessionId, StateHash, Vm, handlers, model, to_bytes};
use teatime_base::Digest;
use teatime_wire::{Envelope, PersistedPart};

use super::text::{bytes, expect_equal, hex, list, optional_hex};
use super::{board, run};

/// The smallest model.
#[derive(Debug)]
#[model(id = "n", version = 1, code = "n")]
struct Number {
    number: u8,
}

#[handlers]
impl Number {
    fn init(_cx: &mut Cx<Self>, _: &()) -> Self {
        Self { number: 5 }
    }
}

/// The app of the example in MODEL.md.
fn smallest_app() -> App {
    App::builder::<Number>("n").build().expect("the declaration is valid")
}

pub(super) fn make() -> Value {
    let unit = to_bytes(&()).expect("a unit can be encoded");
    let smallest = Vm::new(&smallest_app(), SessionId([0x11; 32]), &unit);
    let smallest = smallest.and_then(|vm| Ok(vm.snapshot()?)).expect("the session starts");
    let states = [vec![("of the smallest model", smallest)], run::snapshots()].concat();
    json!({
        "comment": "Snapshots: their parts, their bytes, and the state hash. States of models and payloads are hexadecimal digits. `envelopes`: the parts of \
            an envelope, its bytes, and the hash that is voted for.",
        "vectors": states.iter().map(|(shows, bytes)| state(shows, bytes)).collect::<Vec<_>>(),
        "envelopes": envelopes(&states[0].1).iter().map(|(envelope, state)| of_envelope(envelope, state)).collect::<Vec<_>>(),
    })
}

fn state(shows: &str, snapshot: &[u8]) -> Value {
    json!({
        "shows": shows,
        "parts": parts(snapshot).expect("the code reads what it has written"),
        "snapshot": hex(snapshot),
        "hash": hex(StateHash::of(snapshot).0),
    })
}

/// The position of the random numbers.
pub(super) fn position(snapshot: &[u8]) -> u64 {
    let whole = rmpv::decode::read_value(&mut &*snapshot).expect("it is MessagePack");
    whole.as_array().and_then(|parts| parts[6].as_u64()).expect("it is the seventh part")
}

/// The parts by their names.
fn parts(snapshot: &[u8]) -> Result<Value, String> {
    let wrong = |_| "not the parts of a snapshot".to_owned();
    let whole = rmpv::decode::read_value(&mut &*snapshot).map_err(|error| error.to_string())?;
    let parts: Vec<Msgpack> = whole.try_into().map_err(wrong)?;
    let parts: [Msgpack; 13] = parts.try_into().map_err(|_| "not thirteen parts".to_owned())?;
    let [head, version, session, time, seq, counters, random, views, names, models, rest @ ..] =
        parts;
    let [subscriptions, futures, end] = rest;
    let models: Vec<Msgpack> = models.try_into().map_err(wrong)?;
    let models = models.into_iter().map(|model| {
        let model: Vec<Msgpack> = model.try_into().map_err(wrong)?;
        let state = to_bytes(&model[2]).map_err(|error| error.to_string())?;
        Ok(json!([plain(&model[0]), plain(&model[1]), hex(state)]))
    });
    Ok(json!({
        "head": plain(&head),
        "version": plain(&version),
        "session": plain(&session),
        "time": plain(&time),
        "seq": plain(&seq),
        "counters": plain(&counters),
        "random": plain(&random),
        "views": plain(&views),
        "names": plain(&names),
        "models": models.collect::<Result<Vec<_>, String>>()?,
        "subscriptions": plain(&subscriptions),
        "futures": plain(&futures),
        "persisted": plain(&end),
    }))
}

/// MessagePack without maps and floats as JSON. Byte strings become digits.
fn plain(value: &Msgpack) -> Value {
    match value {
        Msgpack::Integer(number) => {
            number.as_u64().map_or_else(|| json!(number.as_i64()), super::text::number)
        }
        Msgpack::String(text) => json!(text.as_str()),
        Msgpack::Binary(bytes) => hex(bytes),
        Msgpack::Array(values) => values.iter().map(plain).collect(),
        _ => Value::Null,
    }
}

fn envelopes(state: &[u8]) -> Vec<(Envelope, Vec<u8>)> {
    let (one, two, space) = (Digest([1; 32]), Digest([2; 32]), Digest([0xee; 32]));
    let nothing = Envelope { persisted: None, roots: Vec::new(), space };
    let persisted = |length: usize, roots: &[Digest]| {
        Some(PersistedPart { data: vec![7; length], roots: roots.to_vec() })
    };
    vec![
        (nothing.clone(), b"s".to_vec()),
        (nothing.clone(), state.to_vec()),
        (Envelope { persisted: persisted(5, &[]), ..nothing.clone() }, state.to_vec()),
        (
            Envelope { persisted: persisted(300, &[two]), roots: vec![one, two], ..nothing },
            vec![0; 256],
        ),
    ]
}

fn of_envelope(envelope: &Envelope, state: &[u8]) -> Value {
    let Envelope { persisted, roots, space } = envelope;
    let digests = |digests: &[Digest]| digests.iter().map(|one| hex(one.0)).collect::<Vec<_>>();
    let bytes = envelope.wrap(state);
    json!({
        "state": hex(state),
        "persisted": persisted.as_ref().map(|part| json!([hex(&part.data), digests(&part.roots)])),
        "roots": digests(roots),
        "space": hex(space.0),
        "envelope": hex(&bytes),
        "hash": hex(Digest::of(&bytes).0),
    })
}

/// Restores each snapshot, and saves it again.
pub(super) fn check(content: &Value) -> Result<(), String> {
    let apps = [smallest_app(), board::app()];
    for vector in list(&content["vectors"])? {
        let snapshot = bytes(&vector["snapshot"])?;
        let app = apps.iter().find(|app| hex(app.version_hash()) == vector["parts"]["version"]);
        let vm = Vm::restore(app.ok_or("no app has this version")?, &snapshot);
        let again = vm.and_then(|vm| vm.snapshot()).map_err(|error| error.to_string())?;
        expect_equal("a restored snapshot", &vector["snapshot"], &hex(&again))?;
        expect_equal("the parts", &vector["parts"], &parts(&again)?)?;
        expect_equal("the hash", &vector["hash"], &hex(StateHash::of(&again).0))?;
    }
    for vector in list(&content["envelopes"])? {
        let bytes = bytes(&vector["envelope"])?;
        let (range, envelope) = Envelope::open(&[&bytes]).map_err(|error| error.to_string())?;
        expect_equal("an envelope", vector, &of_envelope(&envelope, &bytes[range]))?;
        let short = Envelope::open(&[&bytes[..bytes.len() - 1]]);
        expect_equal(
            "a shorter envelope",
            &Value::Null,
            &optional_hex(short.ok().map(|_| [0; 0])),
        )?;
    }
    Ok(())
}
