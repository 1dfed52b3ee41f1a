//! The thread that serves blob connections. Disk access for blobs and bulk transfers happen on this thread only.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use teatime_blobs::{ChunkFiles, MemoryFiles, Serving, Vault, VaultLimits, VaultUse};
use teatime_reflector::{AgingClock, Owner, Shares};
use teatime_wire::limits::MAX_BLOB_FRAME;
use teatime_wire::{Challenge, CloseReason, Digest, Holding, SessionId};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{spawn_local, yield_now};
use tokio::time::{interval, sleep, timeout};

use super::addresses::{Address, Addresses};
use super::frame::{self, BadFrame, Incoming};
use super::news::News;
use super::stream::Stream;
use super::worker::Arrived;

/// The most blob connections. Each may have a chunk on its way in, and one on its way out.
const MAX_CONNECTIONS: usize = 64;

/// A connection without a request for this long is closed if it never made one, or if another client needs the room.
const IDLE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// A connection without a request for this long, or which does not take its reply for this long, is closed. The client
/// comes back when it needs to.
const SILENCE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 60 });

/// Long enough to read what has arrived already.
const MOMENT: Duration = Duration::from_millis(1);

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// The longest pause of a connection whose address has sent more than its allowance.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often unused blobs are deleted.
const COLLECT_EVERY: Duration = Duration::from_secs(600);

/// The size of the read buffer: two of the largest frames, so that the rest of one fits behind another.
const BUFFER: usize = 2 * (MAX_BLOB_FRAME + 16);

/// The storage of a server's blobs.
#[derive(Clone)]
pub struct SharedBlobs {
    vault: Arc<Mutex<Vault<Box<dyn ChunkFiles>>>>,
    opened: Instant,
    clock: Arc<Mutex<AgingClock>>,
    /// What the machine's clock shows, in seconds since 1970.
    wall: fn() -> u64,
    sessions: Option<Arc<Sessions>>,
}

type Sessions = dyn Fn() -> HashSet<SessionId> + Send + Sync;

impl SharedBlobs {
    /// Opens the blobs in these files, with these limits.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn open(files: impl ChunkFiles + 'static, limits: VaultLimits) -> io::Result<Self> {
        Self::open_by(files, limits, || {
            SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs())
        })
    }

    /// As [`open`](Self::open), on a machine with this clock.
    fn open_by(
        files: impl ChunkFiles + 'static,
        limits: VaultLimits,
        wall: fn() -> u64,
    ) -> io::Result<Self> {
        let mut files: Box<dyn ChunkFiles> = Box::new(files);
        let (opened, mut clock) = (Instant::now(), AgingClock::default());
        let now = clock.look(Duration::ZERO, wall(), Vault::newest_use(&mut files)?);
        let vault = Vault::open(files, limits, now)?;
        let incomplete = vault.incomplete();
        if incomplete > 0 {
            tracing::warn!(incomplete, "some blobs are incomplete: clients cannot fetch them");
        }
        let (vault, clock) = (Arc::new(Mutex::new(vault)), Arc::new(Mutex::new(clock)));
        Ok(Self { vault, opened, clock, wall, sessions: None })
    }

    /// Asks from time to time which sessions are stored, and drops blobs that only other sessions refer to. Without this the
    /// blobs of a session stay when it is removed from the storage.
    #[must_use]
    pub fn of_sessions(
        mut self,
        stored: impl Fn() -> HashSet<SessionId> + Send + Sync + 'static,
    ) -> Self {
        self.sessions = Some(Arc::new(stored));
        self
    }

    pub(super) fn in_memory() -> io::Result<Self> {
        Self::open(MemoryFiles::default(), VaultLimits::IN_MEMORY)
    }

    fn now(&self) -> u64 {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        // The first look has set where it begins.
        clock.look(self.opened.elapsed(), (self.wall)(), None)
    }

    fn vault(&self) -> MutexGuard<'_, Vault<Box<dyn ChunkFiles>>> {
        // Each change is whole before anything in it could panic.
        self.vault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes unused blobs, as a server does every ten minutes. Returns how many it deleted.
    ///
    /// # Errors
    /// What the operating system says; what is gone by then is gone.
    pub fn collect(&self) -> io::Result<VaultUse> {
        // Asked before the vault is locked: reading the list of sessions must not delay transfers.
        let sessions = self.sessions.as_ref().map(|sessions| sessions());
        let (mut vault, now) = (self.vault(), self.now());
        let kept = sessions.map_or(Ok(()), |sessions| vault.retain_sessions(now, &sessions));
        let gone = vault.collect(now);
        let gone = kept.and(gone);
        match &gone {
            Ok(gone) if gone.bytes > 0 => {
                tracing::info!(gone.blobs, gone.chunks, gone.bytes, "unused blobs deleted");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "cannot delete unused blobs"),
        }
        gone
    }

    /// How much is kept.
    pub fn usage(&self) -> VaultUse {
        self.vault().usage()
    }

    fn hear(&self, news: Vec<(Digest, SessionId, Holding)>) {
        for (room, session, holding) in news {
            if let Err(error) = self.vault().hear(self.now(), room, session, holding) {
                tracing::error!(%session, %error, "it cannot be stored which blobs are needed");
            }
        }
    }
}

impl std::fmt::Debug for SharedBlobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedBlobs")
    }
}

/// What each address may store.
#[derive(Clone)]
pub(super) struct Quota {
    shares: Shares,
    limit: u64,
}

impl Quota {
    /// No address may take more than half of what all blobs may take.
    pub(super) fn new(shares: Shares, limit: u64, blobs: &SharedBlobs) -> Self {
        let limit = limit.min(blobs.vault().limits().max_total / 2);
        let quota = Self { shares, limit };
        quota.reconcile(blobs);
        quota
    }

    /// What an address may still store.
    fn left(&self, address: Option<Address>) -> u64 {
        let used = |address: Address| self.shares.used(address.id());
        address.map_or(u64::MAX, |address| self.limit.saturating_sub(used(address)))
    }

    /// Blobs may have been deleted.
    fn reconcile(&self, blobs: &SharedBlobs) {
        let vault = blobs.vault();
        self.shares.reconcile(|owner| match owner {
            Owner::Blobs(space) => Some(vault.counted_in(*space)),
            Owner::Key(_) => None,
        });
    }
}

/// Serves what arrives until told to stop.
pub(super) async fn run(
    blobs: SharedBlobs,
    mut arrivals: mpsc::UnboundedReceiver<Arrived>,
    news: Arc<News>,
    (addresses, quota): (Addresses, Quota),
    mut stop: watch::Receiver<bool>,
) {
    let guests = Guests::default();
    let mut collect = interval(COLLECT_EVERY);
    loop {
        tokio::select! {
            arrived = arrivals.recv() => match arrived {
                Some(arrived) => admit(arrived, &blobs, &guests, (&addresses, &quota)),
                None => break,
            },
            () = news.wait() => blobs.hear(news.take()),
            _ = collect.tick() => {
                // Sessions that have just begun count too.
                blobs.hear(news.take());
                // It logs its errors, and the next time may succeed.
                let _ = blobs.collect();
                quota.reconcile(&blobs);
            }
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    // The threads of sessions may end after this one. Then their sessions still count as in use.
    blobs.hear(news.take());
    if let Err(error) = blobs.vault().save() {
        tracing::error!(%error, "cannot store which blobs were used");
    }
}

/// The connected clients.
type Guests = Rc<RefCell<Vec<Rc<Guest>>>>;

struct Guest {
    /// The time of its last request.
    asked: Cell<Instant>,
    /// Asks it to close.
    leave: Notify,
}

fn admit(
    arrived: Arrived,
    blobs: &SharedBlobs,
    guests: &Guests,
    (addresses, quota): (&Addresses, &Quota),
) {
    let Ok(stream) = TcpStream::from_std(arrived.stream) else { return };
    drop(arrived.slot);
    let guest = Rc::new(Guest { asked: Cell::new(Instant::now()), leave: Notify::new() });
    let line = Line {
        stream: Stream::new(stream, arrived.tls),
        out: BytesMut::new(),
        guest: guest.clone(),
        address: arrived.address,
        addresses: addresses.clone(),
        quota: quota.clone(),
        challenge: arrived.challenge,
    };
    let has_room = make_room(&mut guests.borrow_mut());
    if has_room {
        guests.borrow_mut().push(guest.clone());
    }
    let (blobs, guests) = (blobs.clone(), guests.clone());
    spawn_local(async move {
        if has_room {
            line.serve(&blobs, arrived.bytes).await;
            guests.borrow_mut().retain(|other| !Rc::ptr_eq(other, &guest));
        } else {
            line.close(CloseReason::Full, "the server has its maximum of transfers").await;
        }
    });
}

/// Makes room for one more connection. If there are too many, it closes the one that has been idle longest.
fn make_room(guests: &mut Vec<Rc<Guest>>) -> bool {
    if guests.len() < MAX_CONNECTIONS {
        return true;
    }
    let idlest = (0..guests.len()).min_by_key(|at| guests[*at].asked.get());
    let idlest = idlest.filter(|at| guests[*at].asked.get().elapsed() >= IDLE);
    idlest.map(|at| guests.swap_remove(at).leave.notify_one()).is_some()
}

/// A blob connection.
struct Line {
    stream: Stream,
    out: BytesMut,
    guest: Rc<Guest>,
    /// Where it comes from, if that is limited.
    address: Option<Address>,
    addresses: Addresses,
    quota: Quota,
    /// What the client must sign.
    challenge: Challenge,
}

/// Why a connection ends.
enum End {
    /// The connection broke, or the client has closed it.
    Gone,
    Close(CloseReason, String),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<(CloseReason, String)> for End {
    fn from((reason, detail): (CloseReason, String)) -> Self {
        Self::Close(reason, detail)
    }
}

impl Line {
    async fn serve(mut self, blobs: &SharedBlobs, first: Vec<u8>) {
        if let Err(End::Close(reason, detail)) = self.answer_all(blobs, first).await {
            tracing::debug!(reason = reason.name(), detail, "closing a blob connection");
            self.close(reason, &detail).await;
        }
    }

    /// Answers one request after the other. While a reply waits for the socket, the connection is not read, so TCP holds
    /// the client back.
    async fn answer_all(&mut self, blobs: &SharedBlobs, first: Vec<u8>) -> Result<(), End> {
        let (mut serving, mut patience) = (Serving::new(self.challenge), IDLE);
        let mut buffer = first;
        let (mut start, mut end) = (0, buffer.len());
        buffer.resize(BUFFER.max(end), 0);
        // Bytes read since the time limit.
        let mut late = 0;
        // What was read since the last turn.
        let (mut frames, mut bytes) = (0, 0);
        loop {
            while let Some((incoming, length)) =
                frame::parse(&mut buffer[start..end], MAX_BLOB_FRAME)
                    .map_err(|BadFrame(reason, what)| (reason, what.to_owned()))?
            {
                match incoming {
                    Incoming::Binary(frame) => {
                        let reply = self.answer(blobs, &mut serving, frame)?;
                        frame::write_binary(&mut self.out, &reply);
                        self.guest.asked.set(Instant::now());
                        (patience, late) = (SILENCE, 0);
                    }
                    Incoming::Ping(payload) => frame::write_pong(&mut self.out, payload),
                    Incoming::Pong => {}
                    Incoming::Close => return Err(End::Close(CloseReason::Left, String::new())),
                }
                start += length;
                frames += 1;
                self.send().await?;
            }
            if start > 0 {
                buffer.copy_within(start..end, 0);
                (start, end) = (0, end - start);
            }
            self.end_turn(std::mem::take(&mut frames), std::mem::take(&mut bytes)).await;
            // Only requests count, not other messages.
            let rest = patience.saturating_sub(self.guest.asked.get().elapsed());
            // A request may have arrived while this thread was busy. Then it is in the buffers of the socket, and no
            // larger than a frame can be.
            if late > MAX_BLOB_FRAME {
                return Err(End::Close(CloseReason::Silent, String::new()));
            }
            let guest = self.guest.clone();
            let read = self.read(&mut buffer[end..]);
            let read = tokio::select! {
                read = timeout(rest.max(MOMENT), read) => read.ok(),
                () = guest.leave.notified() => None,
            };
            match read {
                Some(read) => {
                    let length = read?;
                    end += length;
                    bytes += length;
                    late += if rest.is_zero() { length } else { 0 };
                }
                None => return Err(End::Close(CloseReason::Silent, String::new())),
            }
        }
    }

    /// Answers a request. What it adds counts for the address of the client.
    fn answer(
        &self,
        blobs: &SharedBlobs,
        serving: &mut Serving,
        frame: &[u8],
    ) -> Result<Vec<u8>, (CloseReason, String)> {
        let mut vault = blobs.vault();
        serving.set_share(self.quota.left(self.address));
        let before = serving.space().map(|space| vault.counted_in(space));
        let reply = serving.received(blobs.now(), &mut vault, frame)?;
        if let Some((space, before)) = serving.space().zip(before) {
            let (after, address) = (vault.counted_in(space), self.address.map(Address::id));
            self.quota.shares.settle(Owner::Blobs(space), before, after, address);
        }
        Ok(reply)
    }

    /// Lets the other connections have their turns, and waits as long as the allowance of the address demands.
    async fn end_turn(&self, frames: u64, bytes: usize) {
        let pause = self.addresses.spend(self.address, frames, bytes as u64);
        if pause.is_zero() {
            yield_now().await;
        } else {
            sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }

    async fn read(&self, into: &mut [u8]) -> Result<usize, End> {
        loop {
            match self.stream.try_read(into) {
                Ok(0) => return Err(End::Gone),
                Ok(length) => return Ok(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.readable().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn send(&mut self) -> Result<(), End> {
        let sent = timeout(SILENCE, write_all(&self.stream, &self.out)).await;
        self.out.clear();
        match sent {
            Ok(sent) => Ok(sent?),
            Err(_) => {
                // In the middle of a frame the server cannot send a reason.
                tracing::debug!("a blob connection reads too slowly");
                Err(End::Gone)
            }
        }
    }

    /// Sends the reason, and waits until the client has closed the connection too. Otherwise the operating system would
    /// reset it, and the client might never read the reason.
    async fn close(mut self, reason: CloseReason, detail: &str) {
        frame::write_close(&mut self.out, reason, detail);
        let farewell = async {
            write_all(&self.stream, &self.out).await?;
            self.stream.shutdown(std::net::Shutdown::Write);
            let mut rest = vec![0; 64 * 1024];
            while self.read(&mut rest).await.is_ok() {}
            io::Result::Ok(())
        };
        // A client that does not read cannot get the reason.
        let _ = timeout(FAREWELL, farewell).await;
    }
}

async fn write_all(stream: &Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    while !stream.try_flush()? {
        stream.writable().await?;
    }
    // Let other connections have their turn, however fast this one is.
    tokio::task::yield_now().await;
    Ok(())
}

#[cfg(test)]
mod tests;
