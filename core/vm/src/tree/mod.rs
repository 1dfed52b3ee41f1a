//! The state as a tree with names, to print it and to find where two states differ.
//!
//! A [`Tree`] is made from the bytes of a snapshot. It needs no models, only the names of their fields:
//! each [recording](crate::recording::Head::schema) carries them.

mod node;
mod place;

pub use node::Node;
pub use place::{Place, Step};

use std::fmt;

use rmpv::Value;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::app::App;
use crate::limits::MAX_DEPTH;
use crate::snapshot::{MODELS, PARTS, PERSISTED, SnapshotError};

/// For each type of models: its id, and the names of its fields. Foreign models have no fields.
pub type Schema = [(String, Vec<String>)];

/// The whole state of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// All models in the order of their ids.
    pub models: Vec<Model>,
    /// What belongs to the session as a whole: time, views, subscriptions, future messages.
    pub session: Vec<(&'static str, Node)>,
}

/// A model and its state.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Id of the model.
    pub id: u64,
    /// Id of its type.
    pub kind: String,
    /// The fields of the model.
    pub state: Node,
}

impl Tree {
    /// The tree of a snapshot of this app.
    ///
    /// # Errors
    /// If the bytes are not a snapshot.
    pub fn of_app(app: &App, snapshot: &[u8]) -> Result<Self, SnapshotError> {
        Self::read(&app.schema(), snapshot)
    }

    /// The tree of a snapshot. The bytes may come from anywhere.
    ///
    /// # Errors
    /// If the bytes are not a snapshot.
    pub fn read(schema: &Schema, snapshot: &[u8]) -> Result<Self, SnapshotError> {
        let wrong = |why: &str| SnapshotError { place: "head".to_owned(), why: why.to_owned() };
        let mut rest = snapshot;
        let value = rmpv::decode::read_value_with_max_depth(&mut rest, 4 * MAX_DEPTH)
            .map_err(|error| wrong(&error.to_string()))?;
        let Value::Array(parts) = value else { return Err(wrong("not the parts of a snapshot")) };
        if parts.len() != PARTS.len() {
            return Err(wrong("not the parts of a snapshot"));
        }
        let mut tree = Self { models: Vec::new(), session: Vec::new() };
        for (name, part) in PARTS.into_iter().zip(parts) {
            match part {
                Value::Array(models) if name == MODELS => {
                    tree.models =
                        models.into_iter().map(|model| Model::of(schema, model)).collect();
                }
                Value::Array(end) if name == "end" => {
                    tree.session.extend(end.into_iter().map(|one| (PERSISTED, persisted(one))));
                }
                // These parts are not state.
                _ if ["head", "version", "end"].contains(&name) => {}
                other => tree.session.push((name, Node::of(other).labelled(name))),
            }
        }
        Ok(tree)
    }

    /// The part at some place.
    pub fn get(&self, place: &Place) -> Option<&Node> {
        let mut path = place.path.iter();
        let mut node = match &place.model {
            Some((id, _)) => &self.models.iter().find(|model| model.id == *id)?.state,
            None => {
                let Some(Step::Name(name)) = path.next() else { return None };
                &self.session.iter().find(|(part, _)| part == name)?.1
            }
        };
        for step in path {
            node = match (node, step) {
                (Node::List(list), Step::Index(at)) => list.get(*at)?,
                (Node::Named(list), Step::Name(name)) => {
                    &list.iter().find(|(known, _)| known == name)?.1
                }
                _ => return None,
            };
        }
        Some(node)
    }

    /// Parses a place such as `M1.history[3]`, `time`, or `M1` for a whole model. `None` if this tree has no
    /// such place.
    pub fn place(&self, text: &str) -> Option<Place> {
        let (first, rest) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
        let id = first.strip_prefix('M').and_then(|id| id.parse::<u64>().ok());
        let model = id.and_then(|id| self.models.iter().find(|model| model.id == id));
        let mut path = Vec::new();
        if model.is_none() {
            path.push(Step::Name(first.to_owned()));
        }
        let mut rest = rest;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (index, after) = inner.split_once(']')?;
                path.push(Step::Index(index.parse().ok()?));
                rest = after;
            } else {
                let inner = rest.strip_prefix('.')?;
                let (name, after) = inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len()));
                path.push(Step::Name(name.to_owned()));
                rest = after;
            }
        }
        let place = Place { model: model.map(|model| (model.id, model.kind.clone())), path };
        self.get(&place).is_some().then_some(place)
    }

    /// The first place at which two states differ. Models come first, because the rest follows from them.
    pub fn first_difference(&self, other: &Self) -> Option<Place> {
        let in_models = self.first_different_model(other);
        in_models.or_else(|| {
            let mut pairs = self.session.iter().zip(&other.session);
            let different = pairs.find_map(|((name, one), (_, other))| {
                let mut path = vec![Step::Name((*name).to_owned())];
                one.difference(other, &mut path).then_some(Place { model: None, path })
            });
            different.or_else(|| {
                let path = vec![Step::Name(PERSISTED.to_owned())];
                let is_missing = self.session.len() != other.session.len();
                is_missing.then_some(Place { model: None, path })
            })
        })
    }

    fn first_different_model(&self, other: &Self) -> Option<Place> {
        let at = |tree: &Self, at: usize| tree.models.get(at).map(|model| model.id);
        for index in 0..self.models.len().max(other.models.len()) {
            let (one, two) = (at(self, index), at(other, index));
            let mut path = Vec::new();
            let model = match (self.models.get(index), other.models.get(index)) {
                (Some(one), Some(other)) if one.id == other.id => {
                    let differ = one.state.difference(&other.state, &mut path);
                    if !differ && one.kind == other.kind {
                        continue;
                    }
                    one
                }
                // The model with the lower id is missing on the other side.
                (Some(model), _) if two.is_none_or(|two| one < Some(two)) => model,
                (_, Some(model)) => model,
                _ => continue,
            };
            return Some(Place { model: Some((model.id, model.kind.clone())), path });
        }
        None
    }
}

/// The persisted data: the version of its layout, and a value of MessagePack.
fn persisted(part: Value) -> Node {
    let mut part = part;
    if let Value::Array(parts) = &mut part
        && let [_, data] = &mut parts[..]
        && let Value::Binary(bytes) = data
        && let Ok(value) = rmpv::decode::read_value_with_max_depth(&mut &bytes[..], 4 * MAX_DEPTH)
    {
        *data = value;
        return Node::of(part).with_names(&["version", "data"]);
    }
    Node::of(part)
}

impl Model {
    /// In a snapshot a model is its id, the index of its type, and its state.
    fn of(schema: &Schema, model: Value) -> Self {
        let Value::Array(parts) = model else {
            return Self { id: 0, kind: "?".to_owned(), state: Node::of(model) };
        };
        let mut parts = parts.into_iter();
        let id = parts.next().and_then(|id| id.as_u64()).unwrap_or_default();
        let kind = parts.next().and_then(|at| at.as_u64());
        let kind = kind.and_then(|at| schema.get(usize::try_from(at).ok()?));
        let state = match (parts.next().unwrap_or(Value::Nil), kind) {
            (Value::Array(values), Some((_, fields))) if values.len() == fields.len() => {
                let fields = fields.iter().cloned().zip(values.into_iter().map(Node::of));
                Node::Named(fields.collect())
            }
            (other, _) => Node::of(other),
        };
        Self { id, kind: kind.map_or_else(|| "?".to_owned(), |(kind, _)| kind.clone()), state }
    }
}

/// Several lines, indented: one for each value.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.iter().try_for_each(|(name, node)| node.write(f, name, 0))?;
        let name = |model: &Model| format!("M{} {}", model.id, model.kind);
        self.models.iter().try_for_each(|model| model.state.write_lines(f, &name(model), 0))
    }
}

/// For JSON: the parts of the session, and `models`.
impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(self.session.len() + 1))?;
        for (name, node) in &self.session {
            out.serialize_entry(name, node)?;
        }
        let models = self.models.iter().map(|model| {
            let id = Node::Leaf(Value::from(model.id));
            let kind = Node::Leaf(Value::from(model.kind.as_str()));
            let entries = [("id", id), ("type", kind), ("state", model.state.clone())];
            Node::Named(entries.map(|(name, node)| (name.to_owned(), node)).into())
        });
        out.serialize_entry("models", &Node::List(models.collect()))?;
        out.end()
    }
}
