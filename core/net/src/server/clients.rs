//! The connections of one thread of the server, and what waits to be written to them.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use teatime_reflector::{ConnId, LogBlock, SessionKey};
use teatime_wire::CloseReason;

use super::frame;
use super::stream::Stream;

/// The most bytes that a connection writes before the others have their turns: a socket may take a large snapshot as fast as
/// its client reads.
const WRITTEN_AT_ONCE: usize = 256 * 1024;

/// How far a queue was written.
pub(super) enum Written {
    All,
    /// As much as one turn allows.
    Some,
    SocketIsFull,
}

/// A message of at least this many bytes is not copied for each client that receives it. So the parts of a snapshot are in
/// memory once, however many wait for it.
const SHARED: usize = 4 * 1024;

/// How much of a log is copied for a client at a time: only when its socket takes it.
const UNPACKED: usize = 64 * 1024;

/// Something to be written.
enum Piece {
    /// Messages as they are written, or a part of them.
    Bytes(Bytes),
    /// The messages of a log from this one on, which other clients receive too.
    Log { block: LogBlock, next: usize },
}

impl Piece {
    /// How many bytes are to be written.
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Log { block, next } => {
                block.frames_from(*next).map(|frame| frame::binary_length(frame.len())).sum()
            }
        }
    }
}

/// What is to be written at the end of the turn, in order.
#[derive(Default)]
struct Pending {
    older: Vec<Piece>,
    newest: BytesMut,
}

impl Pending {
    fn add_message(&mut self, message: Bytes) {
        if message.len() < SHARED {
            frame::write_binary(&mut self.newest, &message);
            return;
        }
        frame::write_binary_header(&mut self.newest, message.len());
        self.end_newest();
        self.older.push(Piece::Bytes(message));
    }

    fn add_log(&mut self, block: LogBlock) {
        self.end_newest();
        self.older.push(Piece::Log { block, next: 0 });
    }

    fn end_newest(&mut self) {
        if !self.newest.is_empty() {
            self.older.push(Piece::Bytes(self.newest.split().freeze()));
        }
    }

    fn is_empty(&self) -> bool {
        self.older.is_empty() && self.newest.is_empty()
    }

    fn len(&self) -> usize {
        self.older.iter().map(Piece::len).sum::<usize>() + self.newest.len()
    }
}

#[derive(Default)]
pub(super) struct Clients {
    connections: HashMap<ConnId, Connection>,
    sessions: HashMap<SessionKey, Members>,
    /// Those for which something waits until the end of the turn.
    dirty_connections: Vec<ConnId>,
    dirty_sessions: Vec<SessionKey>,
    /// Those that may lack some of what participants show of themselves.
    uninformed: BTreeSet<ConnId>,
    next: u64,
}

#[derive(Default)]
struct Members {
    connections: BTreeSet<ConnId>,
    /// What is for all of them, until the end of the turn.
    pending: BytesMut,
}

pub(super) struct Connection {
    stream: Rc<Stream>,
    member_of: Option<SessionKey>,
    /// How much its client has of what participants show of themselves: see
    /// [`Reflector::presences`](teatime_reflector::Reflector::presences).
    presence_version: u64,
    /// What is for this connection alone, until the end of the turn.
    pending: Pending,
    /// What the socket did not take yet.
    queue: VecDeque<Piece>,
    /// The bytes of all of them.
    queued: usize,
    /// The socket did not take more when it was last asked.
    socket_is_full: bool,
    /// More than this may not wait: the log that a client receives when it joins, and what comes on top of it.
    allowed: usize,
    /// A task waits for the socket to take more.
    draining: bool,
    /// The connection ends when the queue is empty.
    closing: bool,
}

impl Clients {
    pub(super) fn add(&mut self, stream: Stream, allowed: usize) -> ConnId {
        let id = ConnId(self.next);
        self.next += 1;
        let connection = Connection {
            stream: Rc::new(stream),
            member_of: None,
            presence_version: 0,
            pending: Pending::default(),
            queue: VecDeque::new(),
            queued: 0,
            socket_is_full: false,
            allowed,
            draining: false,
            closing: false,
        };
        self.connections.insert(id, connection);
        id
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.connections.get_mut(&id)
    }

    pub(super) fn stream(&self, id: ConnId) -> Option<Rc<Stream>> {
        self.connections.get(&id).map(|connection| connection.stream.clone())
    }

    pub(super) fn session_of(&self, id: ConnId) -> Option<SessionKey> {
        self.connections.get(&id).and_then(|connection| connection.member_of)
    }

    /// Whether a connection is there, and not about to be closed.
    pub(super) fn is_open(&self, id: ConnId) -> bool {
        self.connections.get(&id).is_some_and(|connection| !connection.closing)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Whether something waits for the end of the turn.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty_connections.is_empty()
            || !self.dirty_sessions.is_empty()
            || !self.uninformed.is_empty()
    }

    pub(super) fn take_dirty(&mut self) -> (Vec<ConnId>, Vec<SessionKey>) {
        (std::mem::take(&mut self.dirty_connections), std::mem::take(&mut self.dirty_sessions))
    }

    /// Forgets a connection that has ended. Returns whether it was open.
    pub(super) fn remove(&mut self, id: ConnId) -> bool {
        self.leave(id);
        self.connections.remove(&id).is_some_and(|connection| !connection.closing)
    }

    pub(super) fn send(&mut self, id: ConnId, message: Bytes) {
        self.write(id, |pending| pending.add_message(message));
    }

    pub(super) fn send_log(&mut self, id: ConnId, block: LogBlock) {
        self.write(id, |pending| pending.add_log(block));
    }

    pub(super) fn pong(&mut self, id: ConnId, payload: &[u8]) {
        self.write(id, |pending| frame::write_pong(&mut pending.newest, payload));
    }

    fn write(&mut self, id: ConnId, write: impl FnOnce(&mut Pending)) {
        if let Some(connection) = self.connections.get_mut(&id) {
            if connection.pending.is_empty() {
                self.dirty_connections.push(id);
            }
            write(&mut connection.pending);
        }
    }

    pub(super) fn broadcast(&mut self, key: SessionKey, bytes: &[u8]) {
        // A storage may acknowledge something when all members have left.
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if session.pending.is_empty() {
            self.dirty_sessions.push(key);
        }
        frame::write_binary(&mut session.pending, bytes);
    }

    pub(super) fn enter(&mut self, id: ConnId, key: SessionKey, most: usize) {
        let Some(connection) = self.connections.get_mut(&id).filter(|one| !one.closing) else {
            return;
        };
        connection.member_of = Some(key);
        connection.allowed = connection.queued + connection.pending.len() + most;
        self.sessions.entry(key).or_default().connections.insert(id);
        self.uninformed.insert(id);
    }

    /// Participants of a session show something new of themselves.
    pub(super) fn mark_uninformed(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get(&key) {
            self.uninformed.extend(&session.connections);
        }
    }

    /// A connection may lack some of what participants show.
    pub(super) fn mark_one_uninformed(&mut self, id: ConnId) {
        self.uninformed.insert(id);
    }

    /// Takes the connections that may lack some of what participants show.
    pub(super) fn take_uninformed(&mut self) -> BTreeSet<ConnId> {
        std::mem::take(&mut self.uninformed)
    }

    /// Ends the membership of a connection.
    fn leave(&mut self, id: ConnId) {
        let member_of = self.connections.get_mut(&id).and_then(|one| one.member_of.take());
        let Some(key) = member_of else { return };
        if let Some(session) = self.sessions.get_mut(&key) {
            session.connections.remove(&id);
            if session.connections.is_empty() {
                self.sessions.remove(&key);
            }
        }
    }

    /// Writes what waits for the members of a session; for each of them the caller does what is left.
    pub(super) fn flush_session(
        &mut self,
        key: SessionKey,
        mut written: impl FnMut(ConnId, &mut Connection),
    ) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if session.pending.is_empty() {
            return;
        }
        let bytes = session.pending.split().freeze();
        for id in &session.connections {
            let Some(connection) = self.connections.get_mut(id) else { continue };
            // What is for it alone comes first: the welcome, above all.
            connection.write_pending();
            connection.write(Piece::Bytes(bytes.clone()));
            written(*id, connection);
        }
    }

    /// Drops what a connection has not begun to take.
    pub(super) fn drop_queue(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            // A part of the first may be written; the rest means nothing without it.
            connection.queue.truncate(1);
            connection.queue.retain(|piece| matches!(piece, Piece::Bytes(_)));
            connection.queued = connection.queue.iter().map(Piece::len).sum();
        }
    }

    /// Ends a connection. Returns its stream if it was open.
    pub(super) fn close(
        &mut self,
        id: ConnId,
        reason: CloseReason,
        detail: &str,
    ) -> Option<Rc<Stream>> {
        self.leave(id);
        let connection = self.connections.get_mut(&id).filter(|connection| !connection.closing)?;
        frame::write_close(&mut connection.pending.newest, reason, detail);
        connection.closing = true;
        self.dirty_connections.push(id);
        Some(connection.stream.clone())
    }
}

impl Connection {
    pub(super) fn is_too_slow(&self) -> bool {
        !self.closing && self.socket_is_full && self.queued > self.allowed
    }

    pub(super) fn write_pending(&mut self) {
        let Pending { older, newest } = std::mem::take(&mut self.pending);
        for piece in older {
            self.write(piece);
        }
        if !newest.is_empty() {
            self.write(Piece::Bytes(newest.freeze()));
        }
    }

    /// Writes, or queues what the socket does not take.
    fn write(&mut self, piece: Piece) {
        let was_empty = self.queue.is_empty();
        self.queued += piece.len();
        self.queue.push_back(piece);
        if was_empty {
            self.write_front();
        }
        self.end_if_done();
    }

    /// The session of the connection, and how much it has of what participants show there. `None` if its socket has yet to take
    /// something else: until then a newer state may come, and it costs no memory.
    pub(super) fn takes_presences(&self) -> Option<(SessionKey, u64)> {
        let is_ready = !self.closing && self.pending.is_empty() && !self.waits_for_socket();
        self.member_of.filter(|_| is_ready).map(|key| (key, self.presence_version))
    }

    /// Writes what participants show. Its client then has this version.
    pub(super) fn write_presences(&mut self, message: Bytes, version: u64) {
        self.presence_version = version;
        self.write(Piece::Bytes(message));
    }

    /// Writes from the front of the queue.
    fn write_front(&mut self) -> Written {
        let mut left = WRITTEN_AT_ONCE;
        loop {
            self.unpack();
            let Some(Piece::Bytes(first)) = self.queue.front_mut() else { return Written::All };
            if left == 0 {
                return Written::Some;
            }
            match self.stream.try_write(&first[..first.len().min(left)]) {
                Ok(written) => {
                    self.queued -= written;
                    left -= written;
                    first.advance(written);
                    if first.is_empty() {
                        self.queue.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket_is_full = true;
                    return Written::SocketIsFull;
                }
                // The reader will notice.
                Err(_) => {
                    self.queue.clear();
                    self.queued = 0;
                }
            }
        }
    }

    /// Copies some of a log that is at the front of the queue, as it is written.
    fn unpack(&mut self) {
        let mut bytes = BytesMut::new();
        while bytes.len() < UNPACKED
            && let Some(Piece::Log { block, next }) = self.queue.front_mut()
        {
            for frame in block.frames_from(*next) {
                frame::write_binary(&mut bytes, frame);
                *next += 1;
                if bytes.len() >= UNPACKED {
                    break;
                }
            }
            if *next == block.count() {
                self.queue.pop_front();
            }
        }
        if !bytes.is_empty() {
            self.queue.push_front(Piece::Bytes(bytes.freeze()));
        }
    }

    /// If the socket has yet to take something and no task waits for that: the stream to wait for.
    pub(super) fn start_draining(&mut self) -> Option<Rc<Stream>> {
        let must_wait = self.waits_for_socket() && !self.draining;
        self.draining |= must_wait;
        must_wait.then(|| self.stream.clone())
    }

    /// Writes some of the queue. If all of it is written, or the connection is broken, the task that waits for the socket
    /// ends.
    pub(super) fn write_queue(&mut self) -> Written {
        match self.write_front() {
            Written::All => {}
            Written::Some => {
                self.socket_is_full = false;
                return Written::Some;
            }
            Written::SocketIsFull => return Written::SocketIsFull,
        }
        if !self.stream.try_flush().unwrap_or(true) {
            return Written::SocketIsFull;
        }
        (self.draining, self.socket_is_full) = (false, false);
        self.end_if_done();
        Written::All
    }

    /// Whether the socket has yet to take something.
    fn waits_for_socket(&self) -> bool {
        // A broken connection takes nothing. The reader will notice.
        !self.queue.is_empty() || !self.stream.try_flush().unwrap_or(true)
    }

    /// Nothing follows a close frame.
    fn end_if_done(&self) {
        if self.closing && self.pending.is_empty() && !self.waits_for_socket() {
            // One direction only: the server reads what the client still sends, until the client closes its side.
            self.stream.shutdown(std::net::Shutdown::Write);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(piece: &Piece) -> &[u8] {
        match piece {
            Piece::Bytes(bytes) => bytes,
            Piece::Log { .. } => panic!("expected bytes, found a log"),
        }
    }

    #[test]
    fn large_messages_are_shared_and_everything_is_written_in_order() {
        let messages = [10, SHARED, 20, SHARED + 1, 70_000, 30]
            .map(|size| Bytes::from(vec![size as u8; size]));
        let (mut pending, mut copied) = (Pending::default(), BytesMut::new());
        for message in &messages {
            pending.add_message(message.clone());
            frame::write_binary(&mut copied, message);
        }
        assert_eq!(pending.len(), copied.len());
        let shared = pending.older.iter().filter(|piece| match piece {
            Piece::Bytes(bytes) => messages.iter().any(|it| it.as_ptr() == bytes.as_ptr()),
            Piece::Log { .. } => false,
        });
        assert_eq!(shared.count(), 3);
        let written: Vec<u8> =
            pending.older.iter().flat_map(bytes_of).chain(&pending.newest).copied().collect();
        assert_eq!(written, copied);
    }
}
