//! The state as a tree with names, to print it and to find where two states differ.
//!
//! It is made from the bytes of a snapshot alone: no model is needed, only the names of their fields,
//! which every [recording](crate::recording::Head::schema) carries.

use std::fmt;

use rmpv::Value;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::app::App;
use crate::limits::MAX_DEPTH;
use crate::snapshot::{MODELS, PARTS, PERSISTED, SnapshotError};

/// Every type of models: its id, and the names of its fields. A model that is no Rust type has none.
pub type Schema = [(String, Vec<String>)];

/// The whole state of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// All models in the order of their ids.
    pub models: Vec<Model>,
    /// What belongs to the session as a whole: its time, its views, who subscribes to what.
    pub session: Vec<(&'static str, Node)>,
}

/// A model and its state.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its id.
    pub id: u64,
    /// The id of its type.
    pub kind: String,
    /// Its fields.
    pub state: Node,
}

/// A part of a state.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A single value.
    Leaf(Value),
    /// Values in order.
    List(Vec<Node>),
    /// Values with names.
    Named(Vec<(String, Node)>),
}

/// Longest value, in characters, that is shown on one line although it consists of several.
const SHORT: usize = 120;

/// A step from a node into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the element at this index.
    Index(usize),
    /// To what has this name.
    Name(String),
}

/// A place in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The model and its type; without one it is of the session as a whole.
    pub model: Option<(u64, String)>,
    /// The way from there: to a field of the model, and into it.
    pub path: Vec<Step>,
}

impl Tree {
    /// The state with this snapshot, of this app.
    pub fn of_app(app: &App, snapshot: &[u8]) -> Result<Self, SnapshotError> {
        let schema = crate::recording::Head::new(app, crate::id::SessionId([0; 32]), &[]).schema;
        Self::read(&schema, snapshot)
    }

    /// The state with this snapshot. The bytes may come from anywhere.
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
                // They say nothing about the state.
                _ if ["head", "version", "end"].contains(&name) => {}
                other => tree.session.push((name, Node::of(other).labelled(name))),
            }
        }
        Ok(tree)
    }

    /// What is at some place.
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

    /// Reads a place as it is written: `M1.history[3]`, `time`. A model without a field is all of it.
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

    /// Where two states differ first: models before anything else, because what they do shows in
    /// the rest.
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
                // Whoever comes first is missing on the other side.
                (Some(model), _) if two.is_none_or(|two| one < Some(two)) => model,
                (_, Some(model)) => model,
                _ => continue,
            };
            return Some(Place { model: Some((model.id, model.kind.clone())), path });
        }
        None
    }
}

/// What was persisted is the version of its layout, and MessagePack.
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
    /// A model in a snapshot is its id, the index of its type, and its state.
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

impl Node {
    /// One line for every value, indented, below this name.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl fmt::Display + 'a {
        struct Lines<'a>(&'a Node, &'a str);
        impl fmt::Display for Lines<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write_lines(f, self.1, 0)
            }
        }
        Lines(self, name)
    }

    fn of(value: Value) -> Self {
        match value {
            Value::Array(list) => Self::List(list.into_iter().map(Self::of).collect()),
            Value::Map(pairs) => {
                let name = |name: &Value| name.as_str().map_or_else(|| shown(name), str::to_owned);
                Self::Named(
                    pairs.into_iter().map(|(key, one)| (name(&key), Self::of(one))).collect(),
                )
            }
            leaf => Self::Leaf(leaf),
        }
    }

    /// With names for what stands in this part of a snapshot.
    fn labelled(self, part: &str) -> Self {
        let of_each = |list: Vec<Self>, names: &[&str]| {
            Self::List(list.into_iter().map(|one| one.with_names(names)).collect())
        };
        match (part, self) {
            ("counters", node) => {
                node.with_names(&["next model", "next future message", "next subscription"])
            }
            ("views", Self::List(list)) => of_each(list, &["view", "data"]),
            ("names", Self::List(list)) => of_each(list, &["name", "model"]),
            ("subscriptions", Self::List(list)) => {
                of_each(list, &["scope", "event", "order", "model", "method"])
            }
            ("future messages", Self::List(list)) => {
                let due = ["time", "order", "model", "method", "every", "handle"];
                let message = |one: Self| match one.with_names(&["due", "payload"]) {
                    Self::Named(mut pair) => {
                        let (name, node) = pair.remove(0);
                        pair.insert(0, (name, node.with_names(&due)));
                        Self::Named(pair)
                    }
                    other => other,
                };
                Self::List(list.into_iter().map(message).collect())
            }
            (_, other) => other,
        }
    }

    /// A list of just so many values, with a name for each.
    fn with_names(self, names: &[&str]) -> Self {
        match self {
            Self::List(list) if list.len() == names.len() => {
                Self::Named(names.iter().map(|name| (*name).to_owned()).zip(list).collect())
            }
            other => other,
        }
    }

    /// Goes on to where two nodes differ first; false if they do not.
    fn difference(&self, other: &Self, path: &mut Vec<Step>) -> bool {
        match (self, other) {
            (Self::List(one), Self::List(other)) => {
                for at in 0..one.len().max(other.len()) {
                    path.push(Step::Index(at));
                    match (one.get(at), other.get(at)) {
                        (Some(one), Some(other)) if !one.difference(other, path) => {}
                        _ => return true,
                    }
                    path.pop();
                }
                false
            }
            (Self::Named(one), Self::Named(other)) => {
                for at in 0..one.len().max(other.len()) {
                    let (mine, theirs) = (one.get(at), other.get(at));
                    let Some((name, node)) = mine.or(theirs) else { break };
                    path.push(Step::Name(name.clone()));
                    match theirs.filter(|(theirs, _)| theirs == name) {
                        Some((_, theirs)) if mine.is_some() && !node.difference(theirs, path) => {}
                        _ => return true,
                    }
                    path.pop();
                }
                false
            }
            (one, other) => one != other,
        }
    }

    /// Whether it is read more easily on one line than on several.
    fn is_short(&self) -> bool {
        let is_leaf = |node: &Self| matches!(node, Self::Leaf(_));
        let are_leaves = match self {
            Self::Leaf(_) => true,
            Self::List(list) => list.iter().all(is_leaf),
            Self::Named(list) => list.iter().all(|(_, node)| is_leaf(node)),
        };
        are_leaves && self.to_string().chars().count() <= SHORT
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, name: &str, depth: usize) -> fmt::Result {
        if self.is_short() {
            let indent = 2 * depth;
            return writeln!(f, "{:indent$}{name}: {self}", "");
        }
        self.write_lines(f, name, depth)
    }

    fn write_lines(&self, f: &mut fmt::Formatter<'_>, name: &str, depth: usize) -> fmt::Result {
        let indent = 2 * depth;
        match self {
            Self::Leaf(value) => writeln!(f, "{:indent$}{name}: {}", "", shown(value)),
            Self::List(list) if list.is_empty() => writeln!(f, "{:indent$}{name}: []", ""),
            Self::Named(list) if list.is_empty() => writeln!(f, "{:indent$}{name}: {{}}", ""),
            Self::List(list) => {
                writeln!(f, "{:indent$}{name}:", "")?;
                let mut nodes = list.iter().enumerate();
                nodes.try_for_each(|(at, node)| node.write(f, &format!("[{at}]"), depth + 1))
            }
            Self::Named(list) => {
                writeln!(f, "{:indent$}{name}:", "")?;
                list.iter().try_for_each(|(name, node)| node.write(f, name, depth + 1))
            }
        }
    }
}

/// Byte strings are hexadecimal, everything else is as in JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::Binary(bytes) => hex(bytes),
        // On one line, and nothing that a terminal would obey.
        Value::String(text) if text.is_str() => {
            format!("{:?}", text.as_str().unwrap_or_default())
        }
        other => other.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One line for every value, indented.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.iter().try_for_each(|(name, node)| node.write(f, name, 0))?;
        let name = |model: &Model| format!("M{} {}", model.id, model.kind);
        self.models.iter().try_for_each(|model| model.state.write_lines(f, &name(model), 0))
    }
}

/// On one line.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        match self {
            Self::Leaf(value) => f.write_str(&shown(value)),
            Self::List(list) => {
                f.write_str("[")?;
                for node in list {
                    write!(f, "{comma}{node}")?;
                    comma = ", ";
                }
                f.write_str("]")
            }
            Self::Named(list) => {
                f.write_str("{")?;
                for (name, node) in list {
                    write!(f, "{comma}{name}: {node}")?;
                    comma = ", ";
                }
                f.write_str("}")
            }
        }
    }
}

impl Place {
    /// The way within the model or the session, as `history[3].text`.
    pub fn field(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Index(at) => text.push_str(&format!("[{at}]")),
                Step::Name(name) => {
                    let dot = if text.is_empty() { "" } else { "." };
                    text.push_str(dot);
                    text.push_str(name);
                }
            }
        }
        text
    }
}

/// As `model M1 (chat), field history[3]`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.model {
            Some((id, kind)) if self.path.is_empty() => write!(f, "model M{id} ({kind})"),
            Some((id, kind)) => write!(f, "model M{id} ({kind}), field {}", self.field()),
            None => f.write_str(&self.field()),
        }
    }
}

/// As JSON; byte strings are hexadecimal.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Leaf(Value::Binary(bytes)) => serializer.serialize_str(&hex(bytes)),
            Self::Leaf(value) => value.serialize(serializer),
            Self::List(list) => {
                let mut out = serializer.serialize_seq(Some(list.len()))?;
                list.iter().try_for_each(|node| out.serialize_element(node))?;
                out.end()
            }
            Self::Named(list) => {
                let mut out = serializer.serialize_map(Some(list.len()))?;
                list.iter().try_for_each(|(name, node)| out.serialize_entry(name, node))?;
                out.end()
            }
        }
    }
}

/// As JSON: the parts of the session, and `models`.
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
