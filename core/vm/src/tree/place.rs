//! Places in a state.

use std::fmt;

/// A step from a node into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the element at this index.
    Index(usize),
    /// To the value with this name.
    Name(String),
}

/// A place in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Id of the model, and id of its type. `None` for a place in the session as a whole.
    pub model: Option<(u64, String)>,
    /// The steps from there: to a field of the model, and into it.
    pub path: Vec<Step>,
}

impl Place {
    /// The path within the model or the session, such as `history[3].text`.
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

/// Such as `model M1 (chat), field history[3]`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.model {
            Some((id, kind)) if self.path.is_empty() => write!(f, "model M{id} ({kind})"),
            Some((id, kind)) => write!(f, "model M{id} ({kind}), field {}", self.field()),
            None => f.write_str(&self.field()),
        }
    }
}
