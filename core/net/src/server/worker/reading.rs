//! How a connection is read: in turns, so that the other connections of the thread have theirs, and not faster than its
//! client and its address are allowed to send.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use teatime_reflector::ConnId;
use teatime_wire::CloseReason;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::{MAX_FRAME, SCRATCH, Worker};
use crate::server::addresses::Address;
use crate::server::frame::{self, BadFrame, Incoming};
use crate::server::inbox::Inbox;
use crate::server::stream::Stream;

/// The most frames, and reads, of a turn: less than a millisecond of work.
const FRAMES_PER_TURN: usize = 256;

/// The longest pause without a look whether it may end.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a connection has used of its turn.
#[derive(Debug, Default)]
struct Turn {
    /// Of frames and reads: a client that sends byte by byte has its turns, too.
    steps: usize,
    frames: u64,
    bytes: usize,
}

impl Turn {
    fn is_over(&self) -> bool {
        self.steps >= FRAMES_PER_TURN || self.bytes >= SCRATCH
    }

    fn has_read(&mut self, bytes: usize) {
        self.steps += 1;
        self.bytes += bytes;
    }

    fn has_handled_frame(&mut self) {
        self.steps += 1;
        self.frames += 1;
    }
}

/// What a read of a stream has led to.
enum Read {
    /// Bytes.
    Some,
    /// Nothing is there just now.
    Nothing,
    /// The connection has ended.
    End,
}

impl Worker {
    /// Reads a connection until it ends, then forgets it. After the server has closed it, this reads and drops what still
    /// comes: otherwise the system would reset the connection, and the client might never learn why.
    pub(super) async fn read(self: Rc<Self>, id: ConnId, address: Option<Address>, first: Vec<u8>) {
        let Some(stream) = self.inner.borrow().clients.stream(id) else { return };
        let (mut inbox, mut turn) = (Inbox::new(first), Turn::default());
        // A TLS record can hold more than the join. What is decrypted already does not make the socket readable.
        let mut is_drained = !stream.is_encrypted();
        loop {
            let handled = self.handle(id, inbox.rest(), &mut turn);
            inbox.mark_handled(handled);
            if turn.is_over() {
                self.end_reading_turn(id, address, std::mem::take(&mut turn)).await;
                continue;
            }
            if is_drained && stream.readable().await.is_err() {
                break;
            }
            match self.read_once(id, &stream, &mut inbox, &mut turn) {
                Read::Some => is_drained = !stream.is_encrypted(),
                Read::Nothing => is_drained = true,
                Read::End => break,
            }
        }
        // A client that connects again and again pays for all of it.
        self.addresses.spend(address, turn.frames, turn.bytes as u64);
        self.with(|inner, now| {
            if inner.clients.remove(id) {
                inner.reflector.disconnected(now, id);
            }
        });
        self.progress.notify_one();
    }

    /// Reads what is there, up to the size of the buffer, and handles it as far as the turn goes.
    fn read_once(
        self: &Rc<Self>,
        id: ConnId,
        stream: &Stream,
        inbox: &mut Inbox,
        turn: &mut Turn,
    ) -> Read {
        let mut scratch = std::mem::take(&mut self.inner.borrow_mut().scratch);
        scratch.resize(SCRATCH, 0);
        let read = match stream.try_read(&mut scratch) {
            Ok(0) => Read::End,
            Ok(length) => {
                turn.has_read(length);
                let bytes = &mut scratch[..length];
                // Mostly only whole frames come, and nothing needs to be copied.
                let handled = if inbox.is_empty() { self.handle(id, bytes, turn) } else { 0 };
                if handled < length {
                    inbox.push(&bytes[handled..]);
                }
                Read::Some
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Read::Nothing,
            Err(_) => Read::End,
        };
        self.inner.borrow_mut().scratch = scratch;
        read
    }

    /// Handles whole frames at the front of `bytes` until the turn is over. Returns how many bytes they are. If the
    /// connection is closed, that is all.
    fn handle(self: &Rc<Self>, id: ConnId, bytes: &mut [u8], turn: &mut Turn) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        let mut handled = 0;
        self.with(|inner, now| {
            while !turn.is_over() || !inner.clients.is_open(id) {
                if !inner.clients.is_open(id) {
                    handled = bytes.len();
                    break;
                }
                match frame::parse(&mut bytes[handled..], MAX_FRAME) {
                    Ok(None) => break,
                    Ok(Some((Incoming::Close, _))) => {
                        inner.reflector.disconnected(now, id);
                        self.close(inner, id, CloseReason::Left, "");
                    }
                    Ok(Some((incoming, length))) => {
                        inner.handle(now, id, &incoming);
                        self.obey(inner, now);
                        turn.has_handled_frame();
                        handled += length;
                    }
                    Err(BadFrame(reason, what)) => {
                        inner.reflector.disconnected(now, id);
                        self.close(inner, id, reason, what);
                    }
                }
            }
        });
        handled
    }

    /// Lets the other connections of the thread have their turns. If the client or its address has sent more than its
    /// allowance, its next turn comes later: the line holds it back.
    async fn end_reading_turn(&self, id: ConnId, address: Option<Address>, turn: Turn) {
        let mut of_address = self.addresses.spend(address, turn.frames, turn.bytes as u64);
        let mut has_waited = false;
        loop {
            let pause = {
                let inner = &mut *self.inner.borrow_mut();
                let now = self.now();
                let is_open = inner.clients.is_open(id);
                let of_view = inner.reflector.may_read_at(id).saturating_sub(now);
                let pause = of_address.max(Duration::from_micros(of_view));
                if is_open && !pause.is_zero() {
                    inner.reflector.mark_unread(now, id);
                    pause
                } else {
                    Duration::ZERO
                }
            };
            if pause.is_zero() {
                break;
            }
            sleep(pause.min(LONGEST_PAUSE)).await;
            has_waited = true;
            of_address = self.addresses.spend(address, 0, 0);
        }
        if !has_waited {
            yield_now().await;
        }
    }
}
