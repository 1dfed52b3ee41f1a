//! Parts of a state: values with names, and how they are shown.

use std::fmt;

use rmpv::Value;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::place::Step;

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

/// Longest list, in characters, that is shown on one line.
const SHORT: usize = 120;

impl Node {
    /// Several lines below this name, indented: one for each value.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl fmt::Display + 'a {
        struct Lines<'a>(&'a Node, &'a str);
        impl fmt::Display for Lines<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write_lines(f, self.1, 0)
            }
        }
        Lines(self, name)
    }

    pub(super) fn of(value: Value) -> Self {
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

    /// Names the values in this part of a snapshot.
    pub(super) fn labelled(self, part: &str) -> Self {
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
                        if let Some((_, node)) = pair.first_mut() {
                            let due_node = std::mem::replace(node, Self::List(Vec::new()));
                            *node = due_node.with_names(&due);
                        }
                        Self::Named(pair)
                    }
                    other => other,
                };
                Self::List(list.into_iter().map(message).collect())
            }
            (_, other) => other,
        }
    }

    /// Turns a list of as many values as there are names into values with names.
    pub(super) fn with_names(self, names: &[&str]) -> Self {
        match self {
            Self::List(list) if list.len() == names.len() => {
                Self::Named(names.iter().map(|name| (*name).to_owned()).zip(list).collect())
            }
            other => other,
        }
    }

    /// Extends `path` to the first place at which two nodes differ. Returns false if they are equal.
    pub(super) fn difference(&self, other: &Self, path: &mut Vec<Step>) -> bool {
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
            (Self::Leaf(one), Self::Leaf(other)) => !is_same(one, other),
            (one, other) => one != other,
        }
    }

    /// Whether it is easier to read on one line than on several.
    fn is_short(&self) -> bool {
        let is_leaf = |node: &Self| matches!(node, Self::Leaf(_));
        let are_leaves = match self {
            Self::Leaf(_) => true,
            Self::List(list) => list.iter().all(is_leaf),
            Self::Named(list) => list.iter().all(|(_, node)| is_leaf(node)),
        };
        are_leaves && self.to_string().chars().count() <= SHORT
    }

    pub(super) fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        depth: usize,
    ) -> fmt::Result {
        if self.is_short() {
            let indent = 2 * depth;
            return writeln!(f, "{:indent$}{name}: {self}", "");
        }
        self.write_lines(f, name, depth)
    }

    pub(super) fn write_lines(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        depth: usize,
    ) -> fmt::Result {
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

/// One line.
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

/// For JSON: byte strings are hexadecimal digits.
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

/// Byte strings as hexadecimal digits, everything else as in JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::Binary(bytes) => hex(bytes),
        // Escaped: text must not break the line, nor send control sequences to a terminal.
        Value::String(text) if text.is_str() => {
            format!("{:?}", text.as_str().unwrap_or_default())
        }
        other => other.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether two values have the same bytes in a snapshot. A float that is not a number is the same as itself there, and 0.0 is not
/// the same as -0.0.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::F32(one), Value::F32(other)) => one.total_cmp(other).is_eq(),
        (Value::F64(one), Value::F64(other)) => one.total_cmp(other).is_eq(),
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_differ_if_their_bits_do() {
        let differ = |one: f64, other: f64| {
            let leaf = |float| Node::Leaf(Value::F64(float));
            leaf(one).difference(&leaf(other), &mut Vec::new())
        };
        assert!(!differ(f64::NAN, f64::NAN));
        assert!(differ(0.0, -0.0));
        assert!(differ(f64::NAN, 1.0));
        assert!(!differ(1.5, 1.5));
    }
}
