//! Ordered messages that have arrived and were not simulated yet.

use std::collections::VecDeque;
use std::ops::Range;

use teatime_vm::ViewInfo;
use teatime_wire::ViewId;

/// An ordered message.
pub(super) struct Ordered {
    pub(super) seq: u64,
    pub(super) time: u64,
    pub(super) content: Content,
}

pub(super) enum Content {
    /// The payload stays in the frame that it arrived in, and is opened there when its turn comes.
    Event {
        sender: ViewId,
        counter: u64,
        frame: Vec<u8>,
        payload: Range<usize>,
    },
    Views {
        exited: Vec<ViewInfo>,
        joined: Vec<ViewInfo>,
        /// The numbers of the connections that the joins have sealed, in a session with a password.
        attempts: Vec<Option<u64>>,
    },
    Vote,
}

/// A queue without gaps: the log of the session from the position of the model on.
#[derive(Default)]
pub(super) struct Backlog {
    queue: VecDeque<Ordered>,
    bytes: usize,
    newest: (u64, u64),
}

/// A message that does not follow the one before.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OrderError {
    #[error("message {found} came after message {newest}")]
    Seq { found: u64, newest: u64 },
    #[error("time went back from {newest} to {found} µs")]
    Time { found: u64, newest: u64 },
}

impl Backlog {
    /// Empties the queue. The next message must be the one after `seq`, at `time` or later.
    pub(super) fn restart(&mut self, seq: u64, time: u64) {
        self.queue.clear();
        self.bytes = 0;
        self.newest = (seq, time);
    }

    /// Sequence number of the newest message that arrived.
    pub(super) fn newest_seq(&self) -> u64 {
        self.newest.0
    }

    pub(super) fn push(&mut self, message: Ordered) -> Result<(), OrderError> {
        let (seq, time) = self.newest;
        if Some(message.seq) != seq.checked_add(1) {
            return Err(OrderError::Seq { found: message.seq, newest: seq });
        }
        if message.time < time {
            return Err(OrderError::Time { found: message.time, newest: time });
        }
        self.newest = (message.seq, message.time);
        self.bytes += message.size();
        self.queue.push_back(message);
        Ok(())
    }

    pub(super) fn next_time(&self) -> Option<u64> {
        self.queue.front().map(|message| message.time)
    }

    pub(super) fn pop(&mut self) -> Option<Ordered> {
        let message = self.queue.pop_front()?;
        self.bytes -= message.size();
        Some(message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Ordered {
    fn size(&self) -> usize {
        let content = match &self.content {
            Content::Event { frame, .. } => frame.len(),
            Content::Views { exited, joined, .. } => {
                (exited.len() + joined.len()) * size_of::<ViewInfo>()
            }
            Content::Vote => 0,
        };
        size_of::<Self>() + content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(seq: u64, time: u64) -> Ordered {
        Ordered { seq, time, content: Content::Vote }
    }

    #[test]
    fn gaps_repetitions_and_time_that_runs_backwards_are_refused() {
        let mut backlog = Backlog::default();
        backlog.restart(4, 100);
        for wrong in [vote(4, 100), vote(6, 100), vote(5, 99)] {
            assert!(backlog.push(wrong).is_err());
        }
        assert_eq!(backlog.push(vote(5, 100)), Ok(()));
        assert_eq!((backlog.newest_seq(), backlog.next_time()), (5, Some(100)));
        backlog.restart(u64::MAX, 0);
        assert!(backlog.push(vote(0, 0)).is_err());
    }
}
