//! The history as a view follows it: no line is lost, and none is shown twice.

use std::collections::VecDeque;

use crate::model::{Change, Chat, Line};

/// The lines of a chat after a certain change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    lines: VecDeque<Line>,
    /// The number of the last line, counted from the first line of the session.
    last: u64,
}

impl History {
    /// The history of the model as it is now.
    pub fn of(model: &Chat) -> Self {
        Self { lines: model.history().into(), last: model.lines() }
    }

    /// Applies the next change.
    pub fn apply(&mut self, change: &Change) {
        let dropped = (change.dropped as usize).min(self.lines.len() + 1);
        self.lines.push_back(change.line.clone());
        self.lines.drain(..dropped.min(self.lines.len() - 1));
        self.last += 1;
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> &VecDeque<Line> {
        &self.lines
    }

    /// How many lines at the end of this history the user has not seen yet, if the user has seen `shown`.
    ///
    /// A view that is built again after an outage needs this. Lines are the same if their numbers and contents are. A
    /// reflector that has lost the session starts a new one, with other lines under the same numbers: then all are new.
    pub fn unseen(&self, shown: &Self) -> usize {
        let Some(new) = self.last.checked_sub(shown.last) else { return self.lines.len() };
        let new = usize::try_from(new).unwrap_or(usize::MAX).min(self.lines.len());
        let (kept, last) = (self.lines.len() - new, shown.lines.len());
        let is_shown = |back| self.lines[kept - back] == shown.lines[last - back];
        if kept <= last && (1..=kept).all(is_shown) { new } else { self.lines.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line { view_id: None, html: text.to_owned() }
    }

    fn history(last: u64, lines: &[&str]) -> History {
        History { lines: lines.iter().copied().map(line).collect(), last }
    }

    #[test]
    fn equal_lines_are_told_apart_by_their_numbers() {
        let shown = history(3, &["x", "x", "x"]);
        assert_eq!(history(3, &["x", "x", "x"]).unseen(&shown), 0);
        assert_eq!(history(5, &["x", "x", "x"]).unseen(&shown), 2);
        assert_eq!(history(9, &["x", "x", "x"]).unseen(&shown), 3);
        // A reset, and then another session with fewer or with other lines.
        assert_eq!(history(4, &["reset"]).unseen(&shown), 1);
        assert_eq!(history(1, &["x"]).unseen(&shown), 1);
        assert_eq!(history(4, &["reset", "y", "y", "y"]).unseen(&shown), 4);
        assert_eq!(history(2, &["a", "b"]).unseen(&History::default()), 2);
    }

    #[test]
    fn changes_drop_lines_at_the_front_and_add_one_at_the_end() {
        let mut now = history(2, &["a", "b"]);
        now.apply(&Change { dropped: 1, line: line("c") });
        assert_eq!(now, history(3, &["b", "c"]));
        now.apply(&Change { dropped: 2, line: line("reset") });
        assert_eq!(now, history(4, &["reset"]));
    }
}
