//! What is told of a run that fails: the newest that happened before.

use super::plan::What;
use super::scenario::Event;
use super::world::World;

/// How much of what happened is kept to be told.
const STORY: usize = 12;

/// Something to be told of a run that fails, besides what users publish.
pub(super) enum Note {
    Joins(usize),
    Fault(What, Option<usize>),
}

impl World<'_> {
    /// The newest that happened.
    pub(super) fn story(&self) -> Vec<(u64, String)> {
        let notes = self.notes.iter().map(|(at, note)| (*at, note.to_string()));
        let mut story: Vec<_> = notes.collect();
        for (at, one) in self.participants.iter().enumerate() {
            let told = |event: &Event| {
                let (scope, name) = (&event.scope, &event.event);
                (event.at_us, format!("participant {} publishes {scope}/{name}", at + 1))
            };
            story.extend(one.published.iter().rev().take(STORY).map(told));
        }
        story.sort_by_key(|(at, _)| *at);
        story.drain(..story.len().saturating_sub(STORY));
        story
    }

    pub(super) fn tell(&mut self, note: Note) {
        if self.notes.len() == STORY {
            self.notes.pop_front();
        }
        self.notes.push_back((self.now, note));
    }

    pub(super) fn tell_fault(&mut self, what: What, victim: Option<usize>) {
        if !matches!(what, What::Starts | What::LiarStarts) {
            self.tell(Note::Fault(what, victim));
        }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Joins(at) => write!(f, "participant {} joins", at + 1),
            Self::Fault(what, None) => f.write_str(what.tells()),
            Self::Fault(what, Some(at)) => write!(f, "participant {}: {}", at + 1, what.tells()),
        }
    }
}
