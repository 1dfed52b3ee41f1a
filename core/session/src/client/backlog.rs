//! Ordered messages that have arrived and were not simulated yet.

use std::collections::VecDeque;

use teatime_vm::ViewInfo;
use teatime_wire::ViewId;

/// An ordered message.
pub(super) struct Ordered {
    pub(super) seq: u64,
    pub(super) time: u64,
    pub(super) content: Content,
}

pub(super) enum Content {
    Event {
        sender: ViewId,
        counter: u64,
        /// The length of the content, which waits [beside](Backlog::take_plain) the queue. `None` if its seal is broken.
        plain: Option<usize>,
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
    plain: Plain,
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
        self.plain = Plain::default();
        self.bytes = 0;
        self.newest = (seq, time);
    }

    /// Sequence number of the newest message that arrived.
    pub(super) fn newest_seq(&self) -> u64 {
        self.newest.0
    }

    /// Adds a message, with the content of an event whose seal is whole.
    pub(super) fn push(&mut self, message: Ordered, plain: &[u8]) -> Result<(), OrderError> {
        let (seq, time) = self.newest;
        if Some(message.seq) != seq.checked_add(1) {
            return Err(OrderError::Seq { found: message.seq, newest: seq });
        }
        if message.time < time {
            return Err(OrderError::Time { found: message.time, newest: time });
        }
        self.newest = (message.seq, message.time);
        self.bytes += message.size();
        self.plain.push(plain);
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

    /// The content of the event that was popped last. It has this length.
    pub(super) fn take_plain(&mut self, length: usize) -> &[u8] {
        self.plain.pop(length)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.plain.bytes
    }
}

/// Bytes of a chunk: those of a hundred events or more, and few enough to go while the rest of the log waits.
const CHUNK: usize = 16 * 1024;

/// Contents one after another. A client that joins late has the whole log waiting: that takes half as much memory as the
/// frames, and is read from front to back.
#[derive(Default)]
struct Plain {
    /// No content is in two chunks.
    chunks: VecDeque<Vec<u8>>,
    /// Where the first content that is left begins in the first chunk.
    start: usize,
    /// The memory of the chunks.
    bytes: usize,
}

impl Plain {
    fn push(&mut self, content: &[u8]) {
        match self.chunks.back_mut() {
            Some(last) if last.capacity() - last.len() >= content.len() => {
                last.extend_from_slice(content);
            }
            _ if content.is_empty() => {}
            _ => {
                let mut chunk = Vec::with_capacity(content.len().max(CHUNK));
                chunk.extend_from_slice(content);
                self.bytes += chunk.capacity();
                self.chunks.push_back(chunk);
            }
        }
    }

    fn pop(&mut self, length: usize) -> &[u8] {
        if length > 0
            && let Some(read) = self.chunks.pop_front_if(|first| first.len() == self.start)
        {
            self.bytes -= read.capacity();
            self.start = 0;
        }
        let start = self.start;
        self.start += length;
        self.chunks.front().map_or(&[], |first| &first[start..start + length])
    }
}

impl Ordered {
    fn size(&self) -> usize {
        let content = match &self.content {
            // What it contains is counted with the chunks.
            Content::Event { .. } | Content::Vote => 0,
            Content::Views { exited, joined, attempts } => {
                let views = exited.iter().chain(joined).map(ViewInfo::bytes).sum::<usize>();
                views + size_of_val(attempts.as_slice())
            }
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
            assert!(backlog.push(wrong, &[]).is_err());
        }
        assert_eq!(backlog.push(vote(5, 100), &[]), Ok(()));
        assert_eq!((backlog.newest_seq(), backlog.next_time()), (5, Some(100)));
        backlog.restart(u64::MAX, 0);
        assert!(backlog.push(vote(0, 0), &[]).is_err());
    }

    #[test]
    fn contents_come_out_as_they_went_in_and_leave_no_memory_behind() {
        let mut backlog = Backlog::default();
        let lengths = [0, 1, CHUNK - 1, 1, 0, CHUNK, 3 * CHUNK, 0, 7, CHUNK - 7, 1];
        let contents: Vec<Vec<u8>> = lengths.iter().map(|length| vec![9; *length]).collect();
        let contents: Vec<Vec<u8>> = contents
            .into_iter()
            .enumerate()
            .map(|(at, content)| content.into_iter().map(|byte| byte + at as u8).collect())
            .collect();
        // The queue is full, empty, and half full in turn.
        let mut expected = VecDeque::new();
        for round in 0..100_u64 {
            for (at, content) in contents.iter().enumerate() {
                let seq = round * contents.len() as u64 + at as u64 + 1;
                let plain = Some(content.len());
                let content_of = Content::Event { sender: ViewId([1; 16]), counter: seq, plain };
                let message = Ordered { seq, time: 0, content: content_of };
                assert_eq!(backlog.push(message, content), Ok(()));
                expected.push_back(content);
            }
            let most = [usize::MAX, 5][(round % 2) as usize];
            for _ in 0..most {
                let Some(Ordered { content: Content::Event { plain, .. }, .. }) = backlog.pop()
                else {
                    break;
                };
                let length = plain.expect("its seal was whole");
                assert_eq!(
                    Some(backlog.take_plain(length)),
                    expected.pop_front().map(Vec::as_slice)
                );
            }
            let most_chunks = if expected.is_empty() { 1 } else { 2 * contents.len() };
            assert!(backlog.plain.chunks.len() <= most_chunks);
            let memory = backlog.plain.chunks.iter().map(Vec::capacity).sum::<usize>();
            assert!(backlog.bytes() >= memory);
            assert!(backlog.bytes() <= memory + expected.len() * size_of::<Ordered>());
        }
    }
}
