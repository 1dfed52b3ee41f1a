//! The inputs of a session in a queue that copies each event once, and rarely allocates.

use std::collections::VecDeque;

use crate::external::{External, Input};
use crate::id::ViewId;
use crate::presence::ViewInfo;
use crate::time::Time;

/// Bytes of a chunk: those of a hundred events or more, and few enough to go with the inputs that are forgotten.
const CHUNK: usize = 16 * 1024;

/// Inputs with their times, the oldest first.
#[derive(Default)]
pub(crate) struct Inputs {
    inputs: VecDeque<Stored>,
    /// Scope, event and payload of each event.
    chunks: VecDeque<Vec<u8>>,
    /// Number of chunks that were forgotten.
    forgotten: u64,
    bytes: usize,
}

struct Stored {
    time: Time,
    content: Content,
}

enum Content {
    Event {
        sender: ViewId,
        /// Number of the chunk.
        chunk: u64,
        /// Where the scope begins in it, and where scope, event and payload end.
        bounds: [u32; 4],
    },
    Presence {
        exited: Box<[ViewInfo]>,
        joined: Box<[ViewInfo]>,
    },
    Marker,
}

impl Inputs {
    /// The number of inputs.
    pub(crate) fn len(&self) -> usize {
        self.inputs.len()
    }

    /// The memory that they take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a copy of an external event.
    pub(crate) fn push(&mut self, time: Time, external: &External<'_>) {
        let content = match *external {
            External::Event { sender, scope, event, payload } => {
                let (chunk, bounds) = self.store([scope.as_bytes(), event.as_bytes(), payload]);
                Content::Event { sender, chunk, bounds }
            }
            External::Presence { exited, joined } => {
                Content::Presence { exited: exited.into(), joined: joined.into() }
            }
            External::Marker => Content::Marker,
        };
        let input = Stored { time, content };
        self.bytes += input.bytes();
        self.inputs.push_back(input);
    }

    /// Copies the parts of an event into the newest chunk. Returns its number and the bounds.
    fn store(&mut self, parts: [&[u8]; 3]) -> (u64, [u32; 4]) {
        let length = parts.iter().map(|part| part.len()).sum();
        let has_room =
            self.chunks.back().is_some_and(|chunk| chunk.capacity() - chunk.len() >= length);
        if !has_room {
            self.chunks.push_back(Vec::with_capacity(length.max(CHUNK)));
        }
        let number = self.forgotten + self.chunks.len() as u64 - 1;
        let chunk = self.chunks.back_mut().expect("there is one with room");
        let end = |chunk: &Vec<u8>| {
            u32::try_from(chunk.len()).expect("an event is far shorter than 4 GiB")
        };
        let mut bounds = [end(chunk); 4];
        for (bound, part) in bounds[1..].iter_mut().zip(parts) {
            chunk.extend_from_slice(part);
            *bound = end(chunk);
        }
        (number, bounds)
    }

    /// The inputs from this one on, with their times.
    pub(crate) fn from(&self, first: usize) -> impl Iterator<Item = (Time, External<'_>)> {
        self.inputs.range(first..).map(|input| (input.time, self.external(input)))
    }

    fn external<'a>(&'a self, input: &'a Stored) -> External<'a> {
        match &input.content {
            Content::Event { sender, chunk, bounds } => {
                let chunk = usize::try_from(chunk - self.forgotten).unwrap_or(usize::MAX);
                let chunk: &[u8] = self.chunks.get(chunk).map_or(&[], Vec::as_slice);
                let [scope, event, payload, end] = bounds.map(|bound| bound as usize);
                let text = |bytes| std::str::from_utf8(bytes).expect("it was copied from a text");
                External::Event {
                    sender: *sender,
                    scope: text(&chunk[scope..event]),
                    event: text(&chunk[event..payload]),
                    payload: &chunk[payload..end],
                }
            }
            Content::Presence { exited, joined } => External::Presence { exited, joined },
            Content::Marker => External::Marker,
        }
    }

    /// The first inputs, as a recording has them. `None` if there are fewer.
    pub(crate) fn first(&self, number: usize) -> Option<Vec<Input>> {
        let all = (number <= self.len()).then(|| self.from(0))?;
        Some(all.take(number).map(|(time, external)| Input::new(time, &external)).collect())
    }

    /// Forgets the first inputs.
    pub(crate) fn forget(&mut self, number: usize) {
        self.bytes -= self.inputs.drain(..number).map(|input| input.bytes()).sum::<usize>();
        let oldest = self.inputs.iter().find_map(|input| match input.content {
            Content::Event { chunk, .. } => Some(chunk),
            _ => None,
        });
        let newest = self.forgotten + self.chunks.len() as u64;
        let unused = oldest.unwrap_or(newest) - self.forgotten;
        self.chunks.drain(..usize::try_from(unused).unwrap_or(usize::MAX));
        self.forgotten += unused;
    }
}

impl Stored {
    fn bytes(&self) -> usize {
        let content = match &self.content {
            Content::Event { bounds: [start, .., end], .. } => (end - start) as usize,
            Content::Presence { exited, joined } => {
                exited.iter().chain(joined).map(ViewInfo::bytes).sum()
            }
            Content::Marker => 0,
        };
        size_of::<Self>() + content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events with payloads of these lengths, and a marker after each.
    fn inputs(lengths: &[usize]) -> Inputs {
        let mut inputs = Inputs::default();
        for (at, length) in lengths.iter().enumerate() {
            let payload = vec![at as u8; *length];
            let sender = ViewId([at as u8; 16]);
            let event = External::Event { sender, scope: "scope", event: "e", payload: &payload };
            inputs.push(Time::from_micros(at as u64), &event);
            inputs.push(Time::from_micros(at as u64), &External::Marker);
        }
        inputs
    }

    #[test]
    fn what_is_left_after_forgetting_is_what_came_last() {
        let lengths: Vec<usize> =
            (0..40).map(|at| at * 131 % 5_000).chain([CHUNK, 0, 70_000, 9]).collect();
        let all = inputs(&lengths).first(2 * lengths.len()).expect("they are all there");
        for forgotten in 0..=all.len() {
            let mut left = inputs(&lengths);
            for step in [forgotten / 3, forgotten - forgotten / 3] {
                left.forget(step);
            }
            let number = all.len() - forgotten;
            assert_eq!(left.first(number).as_deref(), Some(&all[forgotten..]));
            assert_eq!((left.len(), left.first(number + 1)), (number, None));
            let newest = left.from(number.saturating_sub(1));
            let newest = newest.map(|(time, external)| Input::new(time, &external));
            assert!(newest.eq(all[forgotten..].last().cloned()));
        }
    }

    #[test]
    fn the_memory_of_forgotten_events_is_freed() {
        let mut inputs = inputs(&[10_000; 40]);
        assert!(inputs.bytes() > 400_000 && inputs.chunks.len() == 40);
        inputs.forget(77);
        assert_eq!(inputs.chunks.len(), 1);
        inputs.forget(3);
        assert_eq!((inputs.bytes(), inputs.chunks.len()), (0, 0));
        inputs.push(Time::ZERO, &External::Marker);
        assert_eq!(inputs.first(1), Some(vec![Input::new(Time::ZERO, &External::Marker)]));
    }
}
