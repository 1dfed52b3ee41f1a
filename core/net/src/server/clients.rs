//! The connections of one thread of the server, and what waits to be written to them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use teatime_reflector::{ConnId, SessionKey};
use teatime_wire::CloseReason;

use super::frame;
use super::stream::Stream;

#[derive(Default)]
pub(super) struct Clients {
    connections: HashMap<ConnId, Connection>,
    sessions: HashMap<SessionKey, Members>,
    /// Those for which something waits until the end of the turn.
    dirty_connections: Vec<ConnId>,
    dirty_sessions: Vec<SessionKey>,
    next: u64,
}

#[derive(Default)]
struct Members {
    connections: Vec<ConnId>,
    /// What is for all of them, until the end of the turn.
    pending: BytesMut,
}

pub(super) struct Connection {
    stream: Rc<Stream>,
    member_of: Option<SessionKey>,
    /// What is for this connection alone, until the end of the turn.
    pending: BytesMut,
    /// What the socket did not take yet.
    queue: VecDeque<Bytes>,
    queued: usize,
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
            pending: BytesMut::new(),
            queue: VecDeque::new(),
            queued: 0,
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
        !self.dirty_connections.is_empty() || !self.dirty_sessions.is_empty()
    }

    pub(super) fn take_dirty(&mut self) -> (Vec<ConnId>, Vec<SessionKey>) {
        (std::mem::take(&mut self.dirty_connections), std::mem::take(&mut self.dirty_sessions))
    }

    /// Forgets a connection that has ended. Returns whether it was open.
    pub(super) fn remove(&mut self, id: ConnId) -> bool {
        self.leave(id);
        self.connections.remove(&id).is_some_and(|connection| !connection.closing)
    }

    pub(super) fn send(&mut self, id: ConnId, bytes: &[u8]) {
        self.write(id, |pending| frame::write_binary(pending, bytes));
    }

    pub(super) fn pong(&mut self, id: ConnId, payload: &[u8]) {
        self.write(id, |pending| frame::write_pong(pending, payload));
    }

    fn write(&mut self, id: ConnId, write: impl FnOnce(&mut BytesMut)) {
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
        self.sessions.entry(key).or_default().connections.push(id);
    }

    /// Ends the membership of a connection.
    fn leave(&mut self, id: ConnId) {
        let member_of = self.connections.get_mut(&id).and_then(|one| one.member_of.take());
        let Some(key) = member_of else { return };
        if let Some(session) = self.sessions.get_mut(&key) {
            session.connections.retain(|member| *member != id);
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
            connection.write(bytes.clone());
            written(*id, connection);
        }
    }

    /// Drops what a connection has not begun to take.
    pub(super) fn drop_queue(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            // A part of the first may be written; the rest means nothing without it.
            connection.queue.truncate(1);
            connection.queued = connection.queue.iter().map(Bytes::len).sum();
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
        frame::write_close(&mut connection.pending, reason, detail);
        connection.closing = true;
        self.dirty_connections.push(id);
        Some(connection.stream.clone())
    }
}

impl Connection {
    pub(super) fn is_too_slow(&self) -> bool {
        !self.closing && self.queued > self.allowed
    }

    pub(super) fn write_pending(&mut self) {
        if !self.pending.is_empty() {
            let bytes = std::mem::take(&mut self.pending).freeze();
            self.write(bytes);
        }
    }

    /// Writes, or queues what the socket does not take.
    fn write(&mut self, mut bytes: Bytes) {
        if self.queue.is_empty() {
            while !bytes.is_empty() {
                match self.stream.try_write(&bytes) {
                    Ok(written) => bytes.advance(written),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // The reader will notice.
                    Err(_) => return,
                }
            }
        }
        if !bytes.is_empty() {
            self.queued += bytes.len();
            self.queue.push_back(bytes);
        }
        self.end_if_done();
    }

    /// If the socket has yet to take something and no task waits for that: the stream to wait for.
    pub(super) fn start_draining(&mut self) -> Option<Rc<Stream>> {
        let must_wait = self.waits_for_socket() && !self.draining;
        self.draining |= must_wait;
        must_wait.then(|| self.stream.clone())
    }

    /// Writes the queue. Returns whether it is empty, or the connection broken: then the task that waits for the
    /// socket ends.
    pub(super) fn write_queue(&mut self) -> bool {
        while let Some(first) = self.queue.front_mut() {
            match self.stream.try_write(first) {
                Ok(written) => {
                    self.queued -= written;
                    first.advance(written);
                    if first.is_empty() {
                        self.queue.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.queue.clear();
                    self.queued = 0;
                }
            }
        }
        if !self.stream.try_flush().unwrap_or(true) {
            return false;
        }
        self.draining = false;
        self.end_if_done();
        true
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
