//! One thread of the server: the sessions pinned to it and their connections.
//!
//! Everything here runs on one single-threaded runtime. A reader task per connection feeds the
//! state machine. What it wants broadcast is encoded once into the session's pending bytes, and one
//! task flushes them to all members after all readers that were ready have had their turn: so a
//! burst of events costs each member one write.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use teatime_reflector::{ConnId, Output, Reflector, SessionKey};
use teatime_wire::CloseReason;
use teatime_wire::limits::{MAX_CLIENT_FRAME, MAX_VIEW_DATA};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::frame::{self, BadFrame, Incoming};
use super::stream::{Stream, Tls};
use super::{Librarian, ServerConfig};

/// Bytes that one read takes from a socket: one buffer for all connections of a thread.
const SCRATCH: usize = 64 * 1024;

/// How long a closed connection may take to send what waits and to hear the other side's farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// The same for one that did not read: if it reads again by then it learns why it was dropped.
const SLOW_FAREWELL: Duration = Duration::from_secs(30);

/// Largest frame that is read.
pub(crate) const MAX_FRAME: usize = MAX_CLIENT_FRAME + MAX_VIEW_DATA;

/// A connection after its handshake, on its way to the thread of its session.
pub(crate) struct Arrived {
    pub(crate) stream: std::net::TcpStream,
    /// It counts as a handshake until it is here: so those that wait for this thread are bounded.
    pub(crate) slot: OwnedSemaphorePermit,
    /// Its TLS session, if it has one.
    pub(crate) tls: Option<Tls>,
    /// What was read beyond the handshake.
    pub(crate) bytes: Vec<u8>,
}

/// Serves what arrives until told to stop; then tells everybody to come back, and ends.
pub(crate) async fn run(
    config: ServerConfig,
    seed: [u8; 32],
    mut arrivals: mpsc::UnboundedReceiver<Arrived>,
    librarian: Librarian,
    mut stop: watch::Receiver<bool>,
) {
    let worker = Rc::new(Worker {
        inner: RefCell::new(Inner {
            reflector: reflector(&config, seed),
            connections: HashMap::new(),
            sessions: HashMap::new(),
            dirty_connections: Vec::new(),
            dirty_sessions: Vec::new(),
            scratch: vec![0; SCRATCH],
            next_connection: 0,
        }),
        started: Instant::now(),
        flush: Notify::new(),
        timer: Notify::new(),
        librarian,
        config,
    });
    spawn_local(worker.clone().flush_whenever_needed());
    spawn_local(worker.clone().keep_time());
    loop {
        tokio::select! {
            arrived = arrivals.recv() => match arrived {
                Some(arrived) => worker.admit(arrived),
                None => break,
            },
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    worker.with(|inner, now| inner.reflector.shutdown(now));
    let all_gone = async {
        while !worker.inner.borrow().connections.is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    // Whoever does not listen any more cannot be told.
    let _ = timeout(FAREWELL, all_gone).await;
    // The last one may have gone meanwhile.
    worker.inner.borrow_mut().reflector.commit();
}

fn reflector(config: &ServerConfig, seed: [u8; 32]) -> Reflector {
    #[cfg(feature = "storage")]
    if let Some(storage) = &config.storage {
        return Reflector::with_storage(config.reflector.clone(), seed, storage.open());
    }
    Reflector::new(config.reflector.clone(), seed)
}

struct Worker {
    inner: RefCell<Inner>,
    started: Instant,
    /// Something is to be written.
    flush: Notify,
    /// The state machine may want to be woken earlier.
    timer: Notify,
    librarian: Librarian,
    config: ServerConfig,
}

struct Inner {
    reflector: Reflector,
    connections: HashMap<ConnId, Connection>,
    sessions: HashMap<SessionKey, Members>,
    dirty_connections: Vec<ConnId>,
    dirty_sessions: Vec<SessionKey>,
    scratch: Vec<u8>,
    next_connection: u64,
}

struct Connection {
    stream: Rc<Stream>,
    member_of: Option<SessionKey>,
    /// What is for this connection alone, until the next flush.
    pending: BytesMut,
    /// What the socket did not take yet.
    queue: VecDeque<Bytes>,
    queued: usize,
    /// More than this may not wait: the joiner's log and what comes on top of it.
    allowed: usize,
    /// A task waits for the socket to take more.
    draining: bool,
    /// The connection ends when the queue is empty.
    closing: bool,
}

#[derive(Default)]
struct Members {
    connections: Vec<ConnId>,
    /// What is for all of them, until the next flush.
    pending: BytesMut,
}

impl Worker {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Lets the state machine do something, and does what it wants.
    fn with(self: &Rc<Self>, run: impl FnOnce(&mut Inner, u64)) {
        let now = self.now();
        let inner = &mut *self.inner.borrow_mut();
        let before = inner.reflector.next_timeout();
        run(inner, now);
        self.obey(inner, now);
        if inner.reflector.next_timeout() != before {
            self.timer.notify_one();
        }
    }

    fn obey(self: &Rc<Self>, inner: &mut Inner, now: u64) {
        while let Some(output) = inner.reflector.poll_output() {
            match output {
                Output::Send { connection, frame } => inner.send(connection, &frame),
                Output::Broadcast { session, frame } => inner.broadcast(session, &frame),
                Output::References { session, room, holding } => {
                    self.librarian.tell(room, session, holding);
                }
                Output::Retract { session } => inner.retract(session),
                Output::Enter { connection, session } => {
                    // What is pending was ordered before, and is in the log that the joiner gets.
                    self.flush_session(inner, session, now);
                    inner.enter(connection, session, self.config.max_queued_bytes);
                }
                Output::Close { connection, reason, detail } => {
                    let member_of = inner.connections.get(&connection).and_then(|c| c.member_of);
                    if member_of.is_some_and(|session| !self.flush_session(inner, session, now)) {
                        inner.drop_pending(connection);
                    }
                    self.close(inner, connection, reason, &detail);
                }
            }
        }
        if !inner.dirty_connections.is_empty()
            || !inner.dirty_sessions.is_empty()
            || inner.reflector.has_uncommitted()
        {
            self.flush.notify_one();
        }
    }

    fn admit(self: &Rc<Self>, arrived: Arrived) {
        let Ok(stream) = TcpStream::from_std(arrived.stream) else { return };
        drop(arrived.slot);
        let mut id = ConnId(0);
        self.with(|inner, now| {
            id = ConnId(inner.next_connection);
            inner.next_connection += 1;
            let connection = Connection {
                stream: Rc::new(Stream::new(stream, arrived.tls)),
                member_of: None,
                pending: BytesMut::new(),
                queue: VecDeque::new(),
                queued: 0,
                allowed: self.config.max_queued_bytes,
                draining: false,
                closing: false,
            };
            inner.connections.insert(id, connection);
            inner.reflector.connected(now, id);
        });
        spawn_local(self.clone().read(id, arrived.bytes));
    }

    /// Reads a connection until it ends, then forgets it. After the server has closed it, what
    /// still comes is read and thrown away: otherwise the system would reset the connection, and
    /// the client might never see why.
    async fn read(self: Rc<Self>, id: ConnId, first: Vec<u8>) {
        let Some(stream) = self.inner.borrow().connections.get(&id).map(|c| c.stream.clone())
        else {
            return;
        };
        // Bytes of a frame that has not arrived whole; mostly there are none, and no memory.
        let mut partial = Vec::new();
        let mut first = first;
        self.take_in(id, &mut partial, &mut first);
        drop(first);
        while stream.readable().await.is_ok() && self.read_ready(id, &stream, &mut partial) {}
        self.with(|inner, now| {
            inner.leave(id);
            if inner.connections.remove(&id).is_some_and(|connection| !connection.closing) {
                inner.reflector.disconnected(now, id);
            }
        });
    }

    /// Reads once, or through TLS until nothing is left; false when the connection has ended.
    fn read_ready(self: &Rc<Self>, id: ConnId, stream: &Stream, partial: &mut Vec<u8>) -> bool {
        let mut scratch = std::mem::take(&mut self.inner.borrow_mut().scratch);
        scratch.resize(SCRATCH, 0);
        let goes_on = loop {
            match stream.try_read(&mut scratch) {
                Ok(0) => break false,
                Ok(length) if partial.is_empty() => {
                    self.take_in(id, partial, &mut scratch[..length]);
                }
                Ok(length) => {
                    let mut bytes = std::mem::take(partial);
                    bytes.extend_from_slice(&scratch[..length]);
                    self.take_in(id, partial, &mut bytes);
                }
                Err(error) => break error.kind() == io::ErrorKind::WouldBlock,
            }
            if !stream.is_encrypted() {
                break true;
            }
        };
        self.inner.borrow_mut().scratch = scratch;
        goes_on
    }

    /// Handles the frames in `bytes`, and keeps what is left of them in `partial`.
    fn take_in(self: &Rc<Self>, id: ConnId, partial: &mut Vec<u8>, mut bytes: &mut [u8]) {
        self.with(|inner, now| {
            while inner.connections.get(&id).is_some_and(|connection| !connection.closing) {
                match frame::parse(bytes, MAX_FRAME) {
                    Ok(None) => {
                        *partial = bytes.to_vec();
                        break;
                    }
                    Ok(Some((Incoming::Close, _))) => {
                        inner.reflector.disconnected(now, id);
                        self.close(inner, id, CloseReason::Left, "");
                    }
                    Ok(Some((incoming, length))) => {
                        inner.handle(now, id, &incoming);
                        self.obey(inner, now);
                        bytes = &mut std::mem::take(&mut bytes)[length..];
                    }
                    Err(BadFrame(reason, what)) => {
                        inner.reflector.disconnected(now, id);
                        self.close(inner, id, reason, what);
                    }
                }
            }
        });
    }

    /// Says why a connection ends, and ends it when that has been sent.
    fn close(self: &Rc<Self>, inner: &mut Inner, id: ConnId, reason: CloseReason, detail: &str) {
        tracing::debug!(connection = id.0, reason = reason.name(), detail, "closing");
        if let Some(stream) = inner.close(id, reason, detail) {
            let patience = if reason == CloseReason::TooSlow { SLOW_FAREWELL } else { FAREWELL };
            spawn_local(async move {
                sleep(patience).await;
                // Ends the reader, if the client has not done so.
                stream.shutdown(std::net::Shutdown::Both);
            });
        }
    }

    async fn flush_whenever_needed(self: Rc<Self>) {
        loop {
            self.flush.notified().await;
            let now = self.now();
            let inner = &mut *self.inner.borrow_mut();
            if !inner.reflector.commit() {
                // Takes back what waits, before it is sent. Those who have just been closed are no members any more.
                inner.drop_pending_of_closed();
                self.obey(inner, now);
            }
            for id in std::mem::take(&mut inner.dirty_connections) {
                self.flush_connection(inner, id, now);
            }
            for session in std::mem::take(&mut inner.dirty_sessions) {
                self.flush_session(inner, session, now);
            }
            self.obey(inner, now);
        }
    }

    fn flush_connection(self: &Rc<Self>, inner: &mut Inner, id: ConnId, now: u64) {
        if let Some(connection) = inner.connections.get_mut(&id) {
            connection.write_pending();
            self.drain_if_needed(connection, id);
            if connection.is_too_slow() {
                self.drop_slow(inner, id, now);
            }
        }
    }

    /// Whoever does not read goes, and catches up when he is back.
    fn drop_slow(self: &Rc<Self>, inner: &mut Inner, id: ConnId, now: u64) {
        let is_member = inner.connections.get(&id).is_some_and(|c| c.member_of.is_some());
        let reason = if is_member { CloseReason::TooSlow } else { CloseReason::NotJoined };
        inner.reflector.disconnected(now, id);
        inner.drop_queue(id);
        self.close(inner, id, reason, "");
    }

    /// Sends what waits for the members of a session; false if it could not be stored.
    fn flush_session(self: &Rc<Self>, inner: &mut Inner, key: SessionKey, now: u64) -> bool {
        if !inner.reflector.commit() && !inner.reflector.has_session(key) {
            // Whoever has called obeys the state machine, which takes back what waits.
            return false;
        }
        let Some(session) = inner.sessions.get_mut(&key) else { return true };
        if session.pending.is_empty() {
            return true;
        }
        let bytes = session.pending.split().freeze();
        let mut too_slow = Vec::new();
        for id in &session.connections {
            let Some(connection) = inner.connections.get_mut(id) else { continue };
            // What is for it alone comes first: the welcome, above all.
            connection.write_pending();
            connection.write(bytes.clone());
            if connection.is_too_slow() {
                too_slow.push(*id);
            }
            self.drain_if_needed(connection, *id);
        }
        for id in too_slow {
            self.drop_slow(inner, id, now);
        }
        true
    }

    fn drain_if_needed(self: &Rc<Self>, connection: &mut Connection, id: ConnId) {
        if connection.waits_for_socket() && !connection.draining {
            connection.draining = true;
            spawn_local(self.clone().drain(id, connection.stream.clone()));
        }
    }

    /// Writes a connection's queue as fast as its socket takes it.
    async fn drain(self: Rc<Self>, id: ConnId, stream: Rc<Stream>) {
        while stream.writable().await.is_ok() {
            let mut inner = self.inner.borrow_mut();
            let Some(connection) = inner.connections.get_mut(&id) else { return };
            if connection.write_queue() {
                connection.draining = false;
                return;
            }
        }
    }

    /// Wakes the state machine when it wants to be woken.
    async fn keep_time(self: Rc<Self>) {
        loop {
            let due = self.inner.borrow().reflector.next_timeout();
            let pause = due.map(|due| Duration::from_micros(due.saturating_sub(self.now())));
            tokio::select! {
                () = sleep(pause.unwrap_or(Duration::from_secs(3600))) => {
                    self.with(|inner, now| inner.reflector.handle_timeout(now));
                }
                () = self.timer.notified() => {}
            }
        }
    }
}

impl Inner {
    fn handle(&mut self, now: u64, id: ConnId, incoming: &Incoming<'_>) {
        match incoming {
            Incoming::Binary(frame) => self.reflector.received(now, id, frame),
            Incoming::Ping(payload) => {
                self.reflector.heard(now, id);
                if let Some(connection) = self.connections.get_mut(&id) {
                    frame::write_pong(&mut connection.pending, payload);
                    self.dirty_connections.push(id);
                }
            }
            Incoming::Pong | Incoming::Close => self.reflector.heard(now, id),
        }
    }

    fn send(&mut self, id: ConnId, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&id) {
            if connection.pending.is_empty() {
                self.dirty_connections.push(id);
            }
            frame::write_binary(&mut connection.pending, bytes);
        }
    }

    fn broadcast(&mut self, key: SessionKey, bytes: &[u8]) {
        // What was persisted may be kept only when everybody has left.
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if session.pending.is_empty() {
            self.dirty_sessions.push(key);
        }
        frame::write_binary(&mut session.pending, bytes);
    }

    /// What waits was not stored: nobody shall get it.
    fn retract(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.pending.clear();
        for id in &session.connections {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.pending.clear();
            }
        }
    }

    fn enter(&mut self, id: ConnId, key: SessionKey, most: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.member_of = Some(key);
        connection.allowed = connection.queued + connection.pending.len() + most;
        self.sessions.entry(key).or_default().connections.push(id);
    }

    /// Ends the membership of a connection.
    fn leave(&mut self, id: ConnId) {
        let Some(key) = self.connections.get_mut(&id).and_then(|c| c.member_of.take()) else {
            return;
        };
        if let Some(session) = self.sessions.get_mut(&key) {
            session.connections.retain(|member| *member != id);
            if session.connections.is_empty() {
                self.sessions.remove(&key);
            }
        }
    }

    /// What waits for one connection could not be stored.
    fn drop_pending(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.pending.clear();
        }
    }

    fn drop_pending_of_closed(&mut self) {
        for id in self.dirty_connections.clone() {
            if self.connections.get(&id).is_some_and(|connection| connection.closing) {
                self.drop_pending(id);
            }
        }
    }

    fn drop_queue(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            // The first may be written in part; the rest is nothing without it.
            connection.queue.truncate(1);
            connection.queued = connection.queue.iter().map(Bytes::len).sum();
        }
    }

    /// The stream, if the connection was still open.
    fn close(&mut self, id: ConnId, reason: CloseReason, detail: &str) -> Option<Rc<Stream>> {
        self.leave(id);
        let connection = self.connections.get_mut(&id).filter(|connection| !connection.closing)?;
        frame::write_close(&mut connection.pending, reason, detail);
        connection.closing = true;
        self.dirty_connections.push(id);
        Some(connection.stream.clone())
    }
}

impl Connection {
    fn is_too_slow(&self) -> bool {
        !self.closing && self.queued > self.allowed
    }

    fn write_pending(&mut self) {
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
                    // The reader will see it.
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

    /// Writes the queue; true when it is empty, or the connection broken.
    fn write_queue(&mut self) -> bool {
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
        self.end_if_done();
        true
    }

    /// Whether the socket has yet to take something.
    fn waits_for_socket(&self) -> bool {
        // A broken connection takes nothing; the reader will see it.
        !self.queue.is_empty() || !self.stream.try_flush().unwrap_or(true)
    }

    /// After a close frame nothing follows.
    fn end_if_done(&self) {
        if self.closing && self.pending.is_empty() && !self.waits_for_socket() {
            // Half of it: what the client still sends is read until it closes its side.
            self.stream.shutdown(std::net::Shutdown::Write);
        }
    }
}
