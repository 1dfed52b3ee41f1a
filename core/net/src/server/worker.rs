//! One thread of the server: the sessions pinned to it and their connections.
//!
//! Everything here runs on one single-threaded runtime. A reader task per connection feeds the state machine. What it
//! wants broadcast is encoded once into the session's pending bytes. One task ends each turn, after all readers that were
//! ready: it hands the storage what has gathered, takes the answers that are there, and writes what may be sent. So a burst
//! of events costs one write to the storage, and one to each member. The thread never waits for the storage, which wakes that
//! task when there are more answers.

mod reading;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use teatime_reflector::{Budget, ConnId, Output, Reflector, SessionKey};
use teatime_wire::limits::MAX_CLIENT_FRAME;
use teatime_wire::{Challenge, CloseReason};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{spawn_local, yield_now};
use tokio::time::{sleep, timeout};

use super::addresses::{Address, Addresses};
use super::clients::{Clients, Connection, Written};
use super::frame::{self, Incoming};
use super::slots::Slot;
use super::storage::Handle;
use super::stream::{Stream, Tls};
use super::{Librarian, ServerConfig};

/// Bytes that one read takes from a socket: one buffer for all connections of a thread.
const SCRATCH: usize = 64 * 1024;

/// How long a closed connection may take to send what waits and to receive the other side's farewell.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

/// The same for one that did not read: if it reads again by then it learns why the server dropped it.
const SLOW_FAREWELL: Duration = Duration::from_secs(30);

/// How long a server that ends waits for its storage.
const STORAGE_FAREWELL: Duration = Duration::from_secs(5);

/// Largest frame that is read.
pub(crate) const MAX_FRAME: usize = MAX_CLIENT_FRAME;

/// A connection after its handshake, on its way to the thread of its session.
pub(crate) struct Arrived {
    pub(crate) stream: std::net::TcpStream,
    /// Where it comes from, if that is limited.
    pub(super) address: Option<Address>,
    /// It counts as a handshake until it is here: so those that wait for this thread are bounded.
    pub(super) slot: Slot,
    /// Its TLS session, if it has one.
    pub(crate) tls: Option<Tls>,
    /// What the server has said hello with: the first message must be signed for it.
    pub(crate) challenge: Challenge,
    /// What was read beyond the handshake.
    pub(crate) bytes: Vec<u8>,
}

/// Serves what arrives until told to stop. Then asks all clients to come back, and ends.
pub(crate) async fn run(
    config: ServerConfig,
    seed: [u8; 32],
    mut arrivals: mpsc::UnboundedReceiver<Arrived>,
    librarian: Librarian,
    (addresses, budget): (Addresses, Budget),
    mut stop: watch::Receiver<bool>,
) {
    let turn_ends = Arc::new(Notify::new());
    let storage = Handle::open(&config.storage, turn_ends.clone());
    let mut reflector = storage.reflector(config.reflector.clone(), seed);
    reflector.share_budget(budget);
    let clients = Clients::default();
    let worker = Rc::new(Worker {
        inner: RefCell::new(Inner { reflector, storage, clients, scratch: vec![0; SCRATCH] }),
        started: Instant::now(),
        turn_ends,
        timer: Notify::new(),
        progress: Notify::new(),
        librarian,
        addresses,
        config,
    });
    spawn_local(worker.clone().end_turns());
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
    // Clients that do not listen, and a storage that does not answer, must not keep the server.
    let _ = timeout(FAREWELL, worker.until(|inner| inner.clients.is_empty())).await;
    let is_stored = |inner: &Inner| !inner.reflector.is_storing();
    if timeout(STORAGE_FAREWELL, worker.until(is_stored)).await.is_err() {
        tracing::error!("the storage does not answer: the server ends without it");
    }
}

struct Worker {
    inner: RefCell<Inner>,
    started: Instant,
    /// Something is to be stored or written, or the storage has an answer.
    turn_ends: Arc<Notify>,
    /// The state machine may want to be woken earlier.
    timer: Notify,
    /// A turn or a connection has ended.
    progress: Notify,
    librarian: Librarian,
    addresses: Addresses,
    config: ServerConfig,
}

struct Inner {
    reflector: Reflector,
    storage: Handle,
    clients: Clients,
    scratch: Vec<u8>,
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
        let must_store = inner.reflector.needs_flush() || inner.storage.has_requests();
        if must_store || inner.clients.is_dirty() {
            self.turn_ends.notify_one();
        }
    }

    /// Waits until something is so.
    async fn until(&self, is_so: impl Fn(&Inner) -> bool) {
        while !is_so(&self.inner.borrow()) {
            self.progress.notified().await;
        }
    }

    fn obey(self: &Rc<Self>, inner: &mut Inner, now: u64) {
        while let Some(output) = inner.reflector.poll_output() {
            match output {
                Output::Send { connection, frame } => inner.clients.send(connection, frame),
                Output::SendLog { connection, block } => inner.clients.send_log(connection, block),
                Output::Broadcast { session, frame } => inner.clients.broadcast(session, &frame),
                Output::Presences { session } => inner.clients.mark_uninformed(session),
                Output::References { holder, room, holding } => {
                    self.librarian.tell(room, holder.holder(), holding);
                }
                Output::Enter { connection, session } => {
                    // What is pending was ordered before, and is in the log that the new member receives.
                    self.flush_session(inner, session, now);
                    inner.clients.enter(connection, session, self.config.max_queued_bytes);
                }
                Output::Close { connection, reason, detail } => {
                    if let Some(session) = inner.clients.session_of(connection) {
                        self.flush_session(inner, session, now);
                    }
                    self.close(inner, connection, reason, &detail);
                }
                Output::Store { ticket, request } => inner.storage.submit(ticket, request),
                Output::Release(key) => inner.storage.release(key),
            }
        }
    }

    fn admit(self: &Rc<Self>, arrived: Arrived) {
        let Ok(stream) = TcpStream::from_std(arrived.stream) else { return };
        drop(arrived.slot);
        let mut id = ConnId(0);
        self.with(|inner, now| {
            let stream = Stream::new(stream, arrived.tls);
            id = inner.clients.add(stream, self.config.max_queued_bytes);
            inner.reflector.connected(now, id, arrived.challenge);
            if let Some(address) = arrived.address {
                inner.reflector.comes_from(id, address.id());
            }
        });
        spawn_local(self.clone().read(id, arrived.address, arrived.bytes));
    }

    /// Says why a connection ends, and ends it when that has been sent.
    fn close(self: &Rc<Self>, inner: &mut Inner, id: ConnId, reason: CloseReason, detail: &str) {
        tracing::debug!(connection = id.0, reason = reason.name(), detail, "closing");
        if let Some(stream) = inner.clients.close(id, reason, detail) {
            let patience = if reason == CloseReason::TooSlow { SLOW_FAREWELL } else { FAREWELL };
            spawn_local(async move {
                sleep(patience).await;
                // Ends the reader, if the client has not done so.
                stream.shutdown(std::net::Shutdown::Both);
            });
        }
    }

    async fn end_turns(self: Rc<Self>) {
        loop {
            self.turn_ends.notified().await;
            self.with(|inner, now| self.end_turn(inner, now));
            self.progress.notify_one();
        }
    }

    /// Stores what has gathered, takes the answers of the storage that are there, and writes what may be sent.
    fn end_turn(self: &Rc<Self>, inner: &mut Inner, now: u64) {
        loop {
            inner.reflector.flush(now);
            self.obey(inner, now);
            inner.storage.flush();
            if !inner.storage.deliver(&mut inner.reflector, now) {
                break;
            }
        }
        let (connections, sessions) = inner.clients.take_dirty();
        for id in connections {
            self.flush_connection(inner, id, now);
        }
        for session in sessions {
            self.flush_session(inner, session, now);
        }
        let uninformed = inner.clients.take_uninformed();
        self.write_presences(inner, uninformed);
    }

    /// Writes what participants show of themselves to those whose sockets take it: one message, and the next in another turn.
    /// The others get it when theirs do.
    fn write_presences(self: &Rc<Self>, inner: &mut Inner, ids: BTreeSet<ConnId>) {
        // Most members have the same version, so they share the message.
        let mut messages = HashMap::new();
        for id in ids {
            let Some(connection) = inner.clients.get_mut(id) else { continue };
            let Some((session, version)) = connection.takes_presences() else { continue };
            let newer = messages.entry((session, version)).or_insert_with(|| {
                let (frame, version) = inner.reflector.presences(session, version)?;
                let mut message = BytesMut::new();
                frame::write_binary(&mut message, &frame);
                Some((message.freeze(), version))
            });
            let Some((message, version)) = newer else { continue };
            connection.write_presences(message.clone(), *version);
            self.drain_if_needed(id, connection);
            if inner.reflector.has_presences(session, *version) {
                inner.clients.mark_one_uninformed(id);
            }
        }
    }

    fn flush_connection(self: &Rc<Self>, inner: &mut Inner, id: ConnId, now: u64) {
        if let Some(connection) = inner.clients.get_mut(id) {
            connection.write_pending();
            self.drain_if_needed(id, connection);
            if connection.is_too_slow() {
                self.drop_slow(inner, id, now);
            }
        }
    }

    /// Drops a client that does not read. It catches up when it is back.
    fn drop_slow(self: &Rc<Self>, inner: &mut Inner, id: ConnId, now: u64) {
        let is_member = inner.clients.session_of(id).is_some();
        let reason = if is_member { CloseReason::TooSlow } else { CloseReason::NotJoined };
        inner.reflector.disconnected(now, id);
        inner.clients.drop_queue(id);
        self.close(inner, id, reason, "");
    }

    /// Writes what waits for the members of a session.
    fn flush_session(self: &Rc<Self>, inner: &mut Inner, key: SessionKey, now: u64) {
        let mut too_slow = Vec::new();
        inner.clients.flush_session(key, |id, connection| {
            if connection.is_too_slow() {
                too_slow.push(id);
            }
            self.drain_if_needed(id, connection);
        });
        for id in too_slow {
            self.drop_slow(inner, id, now);
        }
    }

    fn drain_if_needed(self: &Rc<Self>, id: ConnId, connection: &mut Connection) {
        if let Some(stream) = connection.start_draining() {
            spawn_local(self.clone().drain(id, stream));
        }
    }

    /// Writes a connection's queue as fast as its socket takes it. A client that takes nothing for as long as it may be silent
    /// is dropped, even if it is not silent: what waits for it takes memory.
    async fn drain(self: Rc<Self>, id: ConnId, stream: Rc<Stream>) {
        let patience = Duration::from_micros(self.config.reflector.silence_timeout);
        loop {
            match timeout(patience, stream.writable()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => {
                    self.with(|inner, now| self.drop_slow(inner, id, now));
                    return;
                }
            }
            let written = {
                let mut inner = self.inner.borrow_mut();
                let Some(connection) = inner.clients.get_mut(id) else { return };
                connection.write_queue()
            };
            match written {
                Written::All => {
                    // Behind what has come to be written meanwhile.
                    self.with(|inner, _| inner.clients.mark_one_uninformed(id));
                    return;
                }
                // The other connections have their turns, too.
                Written::Some => yield_now().await,
                Written::SocketIsFull => {}
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
                self.clients.pong(id, payload);
            }
            Incoming::Pong | Incoming::Close => self.reflector.heard(now, id),
        }
    }
}
