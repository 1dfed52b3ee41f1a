//! The whole state as bytes and back.
//!
//! A snapshot is one canonical MessagePack array. [`write`] shows its elements in order.
//!
//! The state of a model is an array of fields without their names, so that a snapshot is small. The names come
//! from the declaration of the models, whose hash is at the front of the snapshot.

use std::sync::Arc;

use rmp::encode as mp;
use serde::de::DeserializeOwned;
use serde_bytes::{ByteArray, ByteBuf, Bytes};

use crate::app::App;
use crate::arena::Arena;
use crate::encode;
use crate::id::{ModelId, SessionId, ViewId};
use crate::limits::{MAX_COUNTER, MAX_DEPTH, MAX_MODEL_ID, MAX_PERSISTED};
use crate::model::ModelState;
use crate::payload::Payload;
use crate::persisted::PersistedData;
use crate::random::Random;
use crate::state::State;
use crate::topics::Subscription;
use crate::wheel::{Due, Wheel};

/// Changes with the layout of snapshots.
pub(crate) const FORMAT: u32 = 1;

/// First element of each snapshot.
const MAGIC: &str = "teatime snapshot";

/// Elements of the outermost array, in order.
pub(crate) const PARTS: [&str; 13] = [
    "head",
    "version",
    "session",
    "time",
    "sequence number",
    "counters",
    "random",
    "views",
    "names",
    MODELS,
    "subscriptions",
    "future messages",
    "end",
];

/// The name of the persisted data, which is in the last part.
pub(crate) const PERSISTED: &str = "persisted";

/// The name of the part that holds the models.
pub(crate) const MODELS: &str = "models";

/// Why bytes are not a valid snapshot of this app, or a state cannot be saved as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct SnapshotError {
    /// The place: a part of the snapshot, or a model and its field.
    pub place: String,
    /// What is wrong at that place.
    pub why: String,
}

/// What is wrong in the state of a model, and in which field.
pub(crate) struct FieldError {
    pub(crate) field: String,
    pub(crate) why: String,
}

fn wrong(place: &str, why: impl ToString) -> SnapshotError {
    SnapshotError { place: place.to_owned(), why: why.to_string() }
}

pub(crate) fn write(state: &State) -> Result<Vec<u8>, SnapshotError> {
    write_as(state, state.session)
}

/// Writes the state as that of another session: see [`Vm::snapshot_for`](crate::Vm::snapshot_for).
pub(crate) fn write_as(state: &State, session: SessionId) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes = Vec::new();
    let out = &mut bytes;
    array(out, PARTS.len());
    put(out, "head", &(MAGIC, FORMAT))?;
    put(out, "version", &Bytes::new(&state.app.version_hash()))?;
    put(out, "session", &session)?;
    put(out, "time", &state.time)?;
    put(out, "sequence number", &state.seq)?;
    put(out, "counters", &(state.next_model, state.next_future, state.next_subscription))?;
    put(out, "random", &state.random.position())?;
    array(out, state.views.len() as usize);
    for (view, data) in state.views.iter() {
        put(out, "views", &(view, data.as_deref().map(Bytes::new)))?;
    }
    array(out, state.names.len() as usize);
    for name in state.names.iter() {
        put(out, "names", &name)?;
    }
    let models = state.arena.iter().filter(|(_, slot)| slot.object.is_some()).count();
    array(out, models);
    for (id, slot) in state.arena.iter() {
        if let Some(object) = &slot.object {
            array(out, 3);
            put(out, "models", &id)?;
            put(out, "models", &slot.definition)?;
            let definition = &state.app.0.definitions[usize::from(slot.definition)].id;
            let place = || format!("model {id} ({definition})");
            object.append(out).map_err(|error| wrong(&place(), error))?;
        }
    }
    let subscriptions = state.topics.in_order();
    array(out, subscriptions.len());
    let (own, its) = (state.session.to_string(), session.to_string());
    for (topic, Subscription { order, model, method }) in subscriptions {
        let scope = if *topic.scope == *own { &*its } else { &*topic.scope };
        put(out, "subscriptions", &(scope, &*topic.event, order, model, method))?;
    }
    let futures = state.wheel.in_order();
    array(out, futures.len());
    for (Due { time, id, model, method, every, handle }, payload) in futures {
        let payload = payload.to_msgpack().map_err(|error| wrong("future messages", error))?;
        let due = (time, id, model, method, every, handle);
        put(out, "future messages", &(due, Bytes::new(&payload)))?;
    }
    // Empty for apps that persist nothing, as most do.
    array(out, usize::from(state.persisted.is_some()));
    if let Some(PersistedData { version, bytes }) = &state.persisted {
        put(out, PERSISTED, &(version, Bytes::new(bytes)))?;
    }
    Ok(bytes)
}

fn array(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("memory ends before 2³² entries");
    // Writing into a `Vec` cannot fail.
    let _ = mp::write_array_len(out, len);
}

fn put<T: serde::Serialize + ?Sized>(
    out: &mut Vec<u8>,
    place: &str,
    value: &T,
) -> Result<(), SnapshotError> {
    encode::append(out, value).map_err(|error| wrong(place, error))
}

/// Reads a snapshot from the front to the back.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn array(&mut self, place: &str) -> Result<u32, SnapshotError> {
        rmp::decode::read_array_len(&mut self.rest).map_err(|_| wrong(place, "expected an array"))
    }

    fn next<T: DeserializeOwned>(&mut self, place: &str) -> Result<T, SnapshotError> {
        let mut reader = rmp_serde::Deserializer::new(&mut self.rest);
        reader.set_max_depth(MAX_DEPTH);
        T::deserialize(&mut reader).map_err(|error| wrong(place, error))
    }
}

pub(crate) fn read(app: &App, snapshot: &[u8]) -> Result<State, SnapshotError> {
    let mut reader = Reader { rest: snapshot };
    if reader.array("head")? as usize != PARTS.len() {
        return Err(wrong("head", format!("expected an array of {} parts", PARTS.len())));
    }
    let (magic, format): (String, u32) = reader.next("head")?;
    if (magic.as_str(), format) != (MAGIC, FORMAT) {
        let found = format!("expected {MAGIC:?} {FORMAT}, found {magic:?} {format}");
        return Err(wrong("head", found));
    }
    if reader.next::<ByteArray<32>>("version")?.into_array() != app.version_hash() {
        return Err(wrong("version", "another version of the app's models has made it"));
    }
    let session: SessionId = reader.next("session")?;
    let mut state = State::new(app.clone(), session);
    state.time = reader.next("time")?;
    state.seq = reader.next("sequence number")?;
    (state.next_model, state.next_future, state.next_subscription) = reader.next("counters")?;
    if state.next_future > MAX_COUNTER || state.next_subscription > MAX_COUNTER {
        return Err(wrong("counters", format!("expected at most {MAX_COUNTER}")));
    }
    state.random = Random::at(&session, reader.next("random")?);
    read_views(&mut reader, &mut state)?;
    let names: Vec<(String, ModelId)> = read_list(&mut reader, "names")?;
    read_models(&mut reader, &mut state)?;
    for (name, id) in names {
        if state.arena.get(id).is_none() || state.names.insert(name, id).is_some() {
            return Err(wrong("names", "a name appears twice, or its model does not exist"));
        }
    }
    read_subscriptions(&mut reader, &mut state)?;
    read_futures(&mut reader, &mut state)?;
    read_persisted(&mut reader, &mut state)?;
    if !reader.rest.is_empty() {
        return Err(wrong("end", "bytes follow the snapshot"));
    }
    state.restored();
    Ok(state)
}

fn read_list<T: DeserializeOwned>(
    reader: &mut Reader<'_>,
    place: &str,
) -> Result<Vec<T>, SnapshotError> {
    (0..reader.array(place)?).map(|_| reader.next(place)).collect()
}

fn read_views(reader: &mut Reader<'_>, state: &mut State) -> Result<(), SnapshotError> {
    let views: Vec<(ViewId, Option<ByteBuf>)> = read_list(reader, "views")?;
    for (view, data) in views {
        let data = data.map(|data| Arc::from(data.into_vec()));
        if state.views.insert(view, data).is_some() {
            return Err(wrong("views", format!("{view} appears twice")));
        }
    }
    Ok(())
}

fn read_models(reader: &mut Reader<'_>, state: &mut State) -> Result<(), SnapshotError> {
    let definitions = state.app.clone();
    let mut newest = 0;
    let mut models = Vec::new();
    for _ in 0..reader.array("models")? {
        if reader.array("models")? != 3 {
            return Err(wrong("models", "expected an array of 3 parts"));
        }
        let id: ModelId = reader.next("models")?;
        let at: u16 = reader.next("models")?;
        if id.0 <= newest || id.0 >= state.next_model.min(MAX_MODEL_ID) {
            return Err(wrong("models", format!("{id} is out of order")));
        }
        newest = id.0;
        let Some(definition) = definitions.0.definitions.get(usize::from(at)) else {
            return Err(wrong("models", format!("the app does not declare the type of {id}")));
        };
        let object = (definition.read)(&mut reader.rest).map_err(|FieldError { field, why }| {
            wrong(&format!("model {id} ({}), field {field}", definition.id), why)
        })?;
        models.push((id, at, object));
    }
    state.arena = Arena::restore(models);
    match state.arena.get(ModelId::ROOT) {
        Some(root) if root.definition == 0 => Ok(()),
        _ => Err(wrong("models", "the root model is missing")),
    }
}

fn read_persisted(reader: &mut Reader<'_>, state: &mut State) -> Result<(), SnapshotError> {
    match (reader.array("end")?, state.app.persists()) {
        (0, _) => return Ok(()),
        (1, Some(declared)) => {
            // Without serde, because that takes far less code.
            let rest = &mut reader.rest;
            let parts = rmp::decode::read_array_len(rest).ok();
            let version: Option<u32> = rmp::decode::read_int(rest).ok();
            let length = rmp::decode::read_bin_len(rest).map_or(usize::MAX, |n| n as usize);
            if parts == Some(2)
                && version == Some(declared)
                && length <= MAX_PERSISTED
                && let Some(bytes) = rest.split_off(..length)
            {
                state.persisted = Some(PersistedData { version: declared, bytes: bytes.into() });
                return Ok(());
            }
        }
        _ => {}
    }
    Err(wrong(PERSISTED, "the app does not persist data of this version"))
}

fn check_method(state: &State, model: ModelId, method: u16) -> bool {
    let definition = state.arena.get(model).map(|slot| usize::from(slot.definition));
    definition.is_some_and(|at| usize::from(method) < state.app.0.definitions[at].handlers.len())
}

fn read_subscriptions(reader: &mut Reader<'_>, state: &mut State) -> Result<(), SnapshotError> {
    const PLACE: &str = "subscriptions";
    let mut newest = 0;
    for _ in 0..reader.array(PLACE)? {
        let (scope, event, order, model, method): (String, String, u64, ModelId, u16) =
            reader.next(PLACE)?;
        let in_order = order > newest && order < state.next_subscription;
        if !in_order || !check_method(state, model, method) {
            return Err(wrong(
                PLACE,
                format!("invalid subscription of {model} to {scope}/{event}"),
            ));
        }
        newest = order;
        let subscription = Subscription { order, model, method };
        let topic = state.topics.subscribe(&scope, &event, subscription);
        let topic = topic
            .ok_or_else(|| wrong(PLACE, format!("duplicate subscription to {scope}/{event}")))?;
        if let Some(slot) = state.arena.get_mut(model) {
            slot.topics.push(topic);
        }
    }
    Ok(())
}

fn read_futures(reader: &mut Reader<'_>, state: &mut State) -> Result<(), SnapshotError> {
    const PLACE: &str = "future messages";
    state.wheel = Wheel::new(state.time.as_micros());
    let mut newest = (state.time.as_micros(), 0);
    for _ in 0..reader.array(PLACE)? {
        let (due, payload): ((u64, u64, ModelId, u16, u64, u64), ByteBuf) = reader.next(PLACE)?;
        let (time, id, model, method, every, handle) = due;
        let in_order = (time, id) > newest && id < state.next_future && handle <= id;
        if !in_order || !check_method(state, model, method) {
            return Err(wrong(PLACE, format!("invalid message to {model} at {time} µs")));
        }
        newest = (time, id);
        let payload = Payload::from_msgpack(&payload);
        if let Some(slot) = state.arena.get_mut(model) {
            let due = Due { time, id, model, method, every, handle };
            state.wheel.insert(&mut slot.futures, due, payload);
        }
    }
    Ok(())
}

/// Reads the state of a model.
pub(crate) fn read_state<M: ModelState>(bytes: &mut &[u8]) -> Result<M, FieldError> {
    let start = *bytes;
    let mut reader = rmp_serde::Deserializer::new(&mut *bytes);
    reader.set_max_depth(MAX_DEPTH);
    match M::deserialize(&mut reader) {
        Ok(state) => Ok(state),
        Err(error) => {
            let field = locate(M::FIELDS, start, start.len() - bytes.len());
            Err(FieldError { field, why: error.to_string() })
        }
    }
}

/// The field of a model, such as `history[3][1]`, in which a reader stopped after `stopped` bytes.
fn locate(fields: &[(&str, &str)], start: &[u8], stopped: usize) -> String {
    let mut path = String::new();
    let mut value = start;
    while let Some((index, element)) = element_at(start, value, stopped) {
        match fields.get(index) {
            Some((name, _)) if path.is_empty() => path.push_str(name),
            _ => path.push_str(&format!("[{index}]")),
        }
        value = element;
    }
    if path.is_empty() { "?".to_owned() } else { path }
}

/// The element, of the array or map at the front of `value`, in which the first `end` bytes of `start` end.
/// `value` and the element that is returned reach to the end of `start`.
fn element_at<'a>(start: &'a [u8], value: &'a [u8], end: usize) -> Option<(usize, &'a [u8])> {
    let mut rest = value;
    let (count, parts) = match rmp::decode::read_array_len(&mut rest) {
        Ok(count) => (count, 1),
        Err(_) => {
            rest = value;
            (rmp::decode::read_map_len(&mut rest).ok()?, 2)
        }
    };
    if start.len() - rest.len() >= end {
        return None;
    }
    for index in 0..count as usize {
        for _ in 0..parts {
            let element = rest;
            let whole = encode::split_value(&mut rest).is_ok();
            if !whole || start.len() - rest.len() >= end {
                return Some((index, element));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_field_in_which_the_reader_stopped() {
        let fields = [("a", "u8"), ("b", "Vec<(u8, u8)>"), ("c", "u8")];
        let bytes = encode::to_bytes(&(1u8, [(1u8, 2u8), (3, 4)], 5u8)).expect("numbers");
        let expected =
            ["?", "a", "b", "b[0]", "b[0][0]", "b[0][1]", "b[1]", "b[1][0]", "b[1][1]", "c"];
        for (at, field) in expected.iter().enumerate() {
            assert_eq!(locate(&fields, &bytes, at + 1), *field, "{at}");
        }
    }
}
