//! Where two states differ first that should be equal, in a developer's words.

use std::fmt;

use serde::Serialize;
use teatime_vm::App;
use teatime_vm::tree::{Place, Tree};

/// Most characters of a whole value: a longer one is shown only around the difference.
const SHOWN: usize = 80;

/// Longer texts of values are cut.
const MOST_SHOWN: usize = 400;

/// The first place at which two states differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clash {
    /// The model: its id and the id of its type. `None`: the difference belongs to the session as a whole.
    pub model: Option<(u64, String)>,
    /// The field, and the path into it: `counts[3]`. Empty if one side does not have the model.
    pub field: String,
    /// The value of one side.
    pub here: String,
    /// That side.
    pub here_is: String,
    /// The value of the other side.
    pub there: String,
    /// The other side.
    pub there_is: String,
    /// After which event, if that is known.
    pub after: String,
}

impl Clash {
    /// Compares two snapshots of an app.
    pub(crate) fn of(
        app: &App,
        here: (String, &[u8]),
        there: (String, &[u8]),
        after: &str,
    ) -> Self {
        let (here_is, there_is) = (here.0, there.0);
        let mut clash = Self {
            model: None,
            field: "the snapshot".to_owned(),
            here: "one encoding".to_owned(),
            here_is,
            there: "another".to_owned(),
            there_is,
            after: after.to_owned(),
        };
        if let (Ok(one), Ok(two)) = (Tree::of_app(app, here.1), Tree::of_app(app, there.1))
            && let Some(place) = one.first_difference(&two)
        {
            let (place, here, there) = widest(&one, &two, place);
            clash.field = place.field();
            (clash.here, clash.there) = (cut(here), cut(there));
            clash.model = place.model;
        }
        clash
    }
}

/// The whole field if it is short, otherwise as much of it around the difference as fits.
fn widest(one: &Tree, two: &Tree, place: Place) -> (Place, String, String) {
    let shown = |tree: &Tree, place: &Place| match tree.get(place) {
        Some(node) => node.to_string(),
        None => "nothing".to_owned(),
    };
    for length in 1..place.path.len() {
        let wider = Place { model: place.model.clone(), path: place.path[..length].to_vec() };
        let (here, there) = (shown(one, &wider), shown(two, &wider));
        if here.len().max(there.len()) <= SHOWN {
            return (wider, here, there);
        }
    }
    let (here, there) = (shown(one, &place), shown(two, &place));
    (place, here, there)
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.model {
            Some((id, kind)) if self.field.is_empty() => write!(f, "model `{kind}` (id {id})")?,
            Some((id, kind)) => write!(f, "model `{kind}` (id {id}), field `{}`", self.field)?,
            None => write!(f, "not in a model but in the session: `{}`", self.field)?,
        }
        writeln!(f, ": {} here, {} there; {}", self.here, self.there, self.after)?;
        write!(f, "  here: {}; there: {}", self.here_is, self.there_is)
    }
}
