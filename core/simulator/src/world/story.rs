//! The story of a run that fails: what happened last.

use super::World;
use crate::event::Event;
use crate::note::Note;
use crate::what::What;

/// Most happenings in a story.
const STORY: usize = 12;

impl World<'_> {
    /// What happened last, oldest first: virtual time in µs, and a sentence.
    pub(super) fn story(&self) -> Vec<(u64, String)> {
        let notes = self.notes.iter().map(|(at, note)| (*at, note.to_string()));
        let mut story: Vec<_> = notes.collect();
        for (at, one) in self.participants.iter().enumerate() {
            let told = |event: &Event| {
                let (scope, name) = (&event.scope, &event.event);
                (event.at_us(), format!("participant {} publishes {scope}/{name}", at + 1))
            };
            story.extend(one.published().iter().rev().take(STORY).map(told));
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
