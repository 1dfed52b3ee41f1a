//! Ordered messages of a log in blocks, which the session, its history and the clients that receive them share.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use teatime_wire::Chain;

/// A block is full with this many messages, or with this many bytes of them. So what waits for a client costs little more
/// than a pointer for each block, and a block of which only a part is needed retains little else.
const MESSAGES: usize = 256;
const BYTES: usize = 64 * 1024;

/// A message, and the chain after it.
type Entry = (Bytes, Chain);

/// Some ordered messages of a log, one after the other. Clones share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBlock {
    entries: Arc<Vec<Entry>>,
    start: usize,
    end: usize,
}

impl LogBlock {
    fn new(entries: Vec<Entry>) -> Self {
        let (start, end) = (0, entries.len());
        Self { entries: Arc::new(entries), start, end }
    }

    fn entries(&self) -> &[Entry] {
        &self.entries[self.start..self.end]
    }

    /// How many messages it has.
    pub fn count(&self) -> usize {
        self.end - self.start
    }

    /// Its messages from this one on, each one WebSocket binary message.
    pub fn frames_from(&self, first: usize) -> impl Iterator<Item = &Bytes> {
        self.entries().iter().skip(first).map(|(frame, _)| frame)
    }

    /// It without this many messages at its front, at least one less than it has.
    fn without_first(&self, count: usize) -> Self {
        Self { start: self.start + count, ..self.clone() }
    }

    /// The first messages of it, at least one.
    fn first(&self, count: usize) -> Self {
        Self { end: self.start + count, ..self.clone() }
    }
}

/// A part of a log on its way to one client.
#[derive(Debug)]
pub(crate) enum Piece {
    Block(LogBlock),
    /// A message that is in no full block yet.
    Frame(Bytes),
}

/// Ordered messages with the values of the chain after each, and their bytes.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    blocks: VecDeque<LogBlock>,
    /// The newest ones, fewer than a block has.
    newest: Vec<Entry>,
    newest_bytes: usize,
    count: usize,
    bytes: u64,
}

impl Frames {
    pub(crate) fn push(&mut self, frame: Bytes, chain: Chain) {
        self.bytes += frame.len() as u64;
        self.newest_bytes += frame.len();
        self.count += 1;
        self.newest.push((frame, chain));
        if self.newest.len() >= MESSAGES || self.newest_bytes >= BYTES {
            self.fill_block();
        }
    }

    fn fill_block(&mut self) {
        if !self.newest.is_empty() {
            self.newest_bytes = 0;
            self.newest.shrink_to_fit();
            self.blocks.push_back(LogBlock::new(std::mem::take(&mut self.newest)));
        }
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> u64 {
        self.count as u64
    }

    /// Bytes of all messages.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The chain after the newest message.
    pub(crate) fn newest_chain(&self) -> Option<Chain> {
        let in_blocks = || self.blocks.back().and_then(|block| block.entries().last());
        self.newest.last().or_else(in_blocks).map(|(_, chain)| *chain)
    }

    /// The chain after the message at this place.
    pub(crate) fn chain_after(&self, mut at: usize) -> Option<Chain> {
        for block in &self.blocks {
            match at.checked_sub(block.count()) {
                None => return block.entries().get(at).map(|(_, chain)| *chain),
                Some(rest) => at = rest,
            }
        }
        self.newest.get(at).map(|(_, chain)| *chain)
    }

    /// All messages.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        let in_blocks = self.blocks.iter().flat_map(|block| block.frames_from(0));
        in_blocks.chain(self.newest.iter().map(|(frame, _)| frame))
    }

    /// All but this many of the oldest messages, in pieces.
    pub(crate) fn pieces_from(&self, mut first: usize) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for block in &self.blocks {
            if first >= block.count() {
                first -= block.count();
                continue;
            }
            pieces.push(Piece::Block(block.without_first(std::mem::take(&mut first))));
        }
        let newest = self.newest.iter().skip(first);
        pieces.extend(newest.map(|(frame, _)| Piece::Frame(frame.clone())));
        pieces
    }

    /// Takes out all but this number of the newest ones.
    pub(crate) fn take_all_but(&mut self, later: u64) -> Self {
        let later = usize::try_from(later).unwrap_or(usize::MAX);
        let mut left = self.count.saturating_sub(later);
        let mut taken = Self::default();
        if left > self.count - self.newest.len() {
            self.fill_block();
        }
        while left > 0
            && let Some(block) = self.blocks.pop_front()
        {
            if block.count() > left {
                self.blocks.push_front(block.without_first(left));
                taken.add_block(block.first(left));
                break;
            }
            left -= block.count();
            taken.add_block(block);
        }
        self.count -= taken.count;
        self.bytes -= taken.bytes;
        taken
    }

    /// Adds what comes after.
    pub(crate) fn append(&mut self, mut later: Self) {
        self.fill_block();
        self.blocks.append(&mut later.blocks);
        (self.newest, self.newest_bytes) = (later.newest, later.newest_bytes);
        self.count += later.count;
        self.bytes += later.bytes;
    }

    fn add_block(&mut self, block: LogBlock) {
        self.count += block.count();
        self.bytes += block.frames_from(0).map(|frame| frame.len() as u64).sum::<u64>();
        self.blocks.push_back(block);
    }
}

#[cfg(test)]
mod tests {
    use teatime_wire::SessionId;

    use super::*;

    fn frames(numbers: std::ops::Range<u32>) -> Frames {
        let mut frames = Frames::default();
        let mut chain = Chain::start(SessionId([1; 32]), None);
        for number in numbers {
            let frame = Bytes::copy_from_slice(&number.to_be_bytes());
            chain = chain.next(&frame);
            frames.push(frame, chain);
        }
        frames
    }

    fn numbers(frames: &Frames, first: usize) -> Vec<u32> {
        let number = |frame: &Bytes| u32::from_be_bytes(frame[..].try_into().expect("four bytes"));
        let each = |piece: &Piece| match piece {
            Piece::Block(block) => block.frames_from(0).map(number).collect::<Vec<_>>(),
            Piece::Frame(frame) => vec![number(frame)],
        };
        frames.pieces_from(first).iter().flat_map(each).collect()
    }

    #[test]
    fn messages_stay_in_order_wherever_they_are_cut_and_joined_again() {
        let all = 3 * MESSAGES as u32 + 10;
        for later in [0, 1, 9, 10, 11, 300, 3 * MESSAGES as u64, u64::from(all), u64::MAX] {
            let mut rest = frames(0..all);
            let mut taken = rest.take_all_but(later);
            let cut = all - u32::try_from(later).unwrap_or(all).min(all);
            assert_eq!(numbers(&taken, 0), (0..cut).collect::<Vec<_>>(), "{later}");
            assert_eq!(numbers(&rest, 0), (cut..all).collect::<Vec<_>>(), "{later}");
            assert_eq!((taken.len(), taken.bytes()), (u64::from(cut), 4 * u64::from(cut)));
            assert_eq!(rest.len() + taken.len(), u64::from(all));
            taken.append(rest);
            assert_eq!(numbers(&taken, 7), (7..all).collect::<Vec<_>>(), "{later}");
            let whole = frames(0..all);
            assert_eq!(taken.newest_chain(), whole.newest_chain());
            for at in [0, 255, 256, 300, all as usize - 1, all as usize] {
                assert_eq!(taken.chain_after(at), whole.chain_after(at), "{later} {at}");
            }
            assert_eq!((taken.len(), taken.bytes()), (whole.len(), whole.bytes()));
        }
    }

    #[test]
    fn what_waits_for_a_client_is_shared() {
        let frames = frames(0..10_000);
        let (one, two) = (frames.pieces_from(5), frames.pieces_from(9_999 / 2));
        assert!(one.len() < 10_000 / MESSAGES + MESSAGES);
        let blocks = |pieces: &[Piece]| {
            let block = |piece: &Piece| match piece {
                Piece::Block(block) => Some(Arc::as_ptr(&block.entries)),
                Piece::Frame(_) => None,
            };
            pieces.iter().filter_map(block).collect::<Vec<_>>()
        };
        assert!(blocks(&one).ends_with(&blocks(&two)) && !blocks(&two).is_empty());
    }
}
