//! What a connection has sent and the server has not handled yet. Every byte is copied at most twice, however it comes.

/// Bytes in the order in which they came. Mostly there are none, and no memory.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// How many of them have been handled.
    handled: usize,
}

impl Inbox {
    /// Begins with what was read before.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, handled: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.handled == self.bytes.len()
    }

    /// Adds what was read. Before that, only a part of a frame may be left: so no byte moves to the front more than once.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.handled > 0 {
            self.bytes.drain(..self.handled);
            self.handled = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// What has not been handled.
    pub(super) fn rest(&mut self) -> &mut [u8] {
        &mut self.bytes[self.handled..]
    }

    /// Marks bytes at the front of the rest as handled.
    pub(super) fn mark_handled(&mut self, length: usize) {
        self.handled += length;
        if self.is_empty() {
            *self = Self::default();
        }
    }
}
