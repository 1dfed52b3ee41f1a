//! Ordered messages that have arrived and not been simulated yet.

use std::collections::VecDeque;
use std::ops::Range;

use teatime_vm::ViewInfo;
use teatime_wire::ViewId;

/// An ordered message.
pub(crate) struct Ordered {
    pub(crate) seq: u64,
    pub(crate) time: u64,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    /// The payload stays where it arrived, in its frame, and is opened there when its turn comes.
    Event {
        sender: ViewId,
        counter: u64,
        frame: Vec<u8>,
        payload: Range<usize>,
    },
    Views {
        exited: Vec<ViewInfo>,
        joined: Vec<ViewInfo>,
    },
    Vote,
}

/// A queue without gaps: the log of the session from where the model stands.
#[derive(Default)]
pub(crate) struct Backlog {
    queue: VecDeque<Ordered>,
    bytes: usize,
    newest: (u64, u64),
}

/// What a message in the wrong place is called in the error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder(pub(crate) String);

impl Backlog {
    /// Empties the queue: the next message must be the one after `seq`, and not before `time`.
    pub(crate) fn restart(&mut self, seq: u64, time: u64) {
        self.queue.clear();
        self.bytes = 0;
        self.newest = (seq, time);
    }

    /// Sequence number of the newest message that arrived.
    pub(crate) fn newest_seq(&self) -> u64 {
        self.newest.0
    }

    pub(crate) fn push(&mut self, message: Ordered) -> Result<(), OutOfOrder> {
        let (seq, time) = self.newest;
        if Some(message.seq) != seq.checked_add(1) {
            return Err(OutOfOrder(format!("message {} came after message {seq}", message.seq)));
        }
        if message.time < time {
            return Err(OutOfOrder(format!("time went back from {time} to {} µs", message.time)));
        }
        self.newest = (message.seq, message.time);
        self.bytes += message.size();
        self.queue.push_back(message);
        Ok(())
    }

    pub(crate) fn next_time(&self) -> Option<u64> {
        self.queue.front().map(|message| message.time)
    }

    pub(crate) fn pop(&mut self) -> Option<Ordered> {
        let message = self.queue.pop_front()?;
        self.bytes -= message.size();
        Some(message)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Ordered {
    fn size(&self) -> usize {
        let content = match &self.content {
            Content::Event { frame, .. } => frame.len(),
            Content::Views { exited, joined } => {
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
    fn gaps_repetitions_and_time_running_backwards_are_refused() {
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
