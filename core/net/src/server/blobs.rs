//! The thread that serves blob connections: the disk, and bulk, are here and nowhere else.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use teatime_blobs::{ChunkFiles, MemoryFiles, Serving, Vault, VaultLimits, VaultUse};
use teatime_wire::limits::MAX_BLOB_FRAME;
use teatime_wire::{CloseReason, Digest, Holding, SessionId};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::{interval, timeout};

use super::frame::{self, BadFrame, Incoming};
use super::news::News;
use super::stream::Stream;
use super::worker::Arrived;

/// Most blob connections: each may have a chunk on its way in, and one on its way out.
const MAX_CONNECTIONS: usize = 64;

/// Who has not said by then what he wants, or has asked for nothing for so long when others want to come in, makes
/// room.
const IDLE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// Who has asked for nothing for so long, or has not taken what he asked for, comes back.
const SILENCE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 60 });

/// So long that it shows what has come already.
const MOMENT: Duration = Duration::from_millis(1);

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often it is looked for what nobody needs.
const COLLECT_EVERY: Duration = Duration::from_secs(600);

/// What a read fills: two of the largest frames, so that the rest of one fits behind another.
const BUFFER: usize = 2 * (MAX_BLOB_FRAME + 16);

/// Where a server keeps blobs.
#[derive(Clone)]
pub struct SharedBlobs {
    vault: Arc<Mutex<Vault<Box<dyn ChunkFiles>>>>,
    /// When it was opened, and that in seconds since 1970.
    opened: (Instant, u64),
    sessions: Option<Arc<Sessions>>,
}

type Sessions = dyn Fn() -> HashSet<SessionId> + Send + Sync;

impl SharedBlobs {
    /// What is in these files, and what is still to come.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(files: impl ChunkFiles + 'static, limits: VaultLimits) -> io::Result<Self> {
        let date = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs());
        let vault = Vault::open(Box::new(files) as Box<dyn ChunkFiles>, limits, date)?;
        let incomplete = vault.incomplete();
        if incomplete > 0 {
            tracing::warn!(
                incomplete,
                "of some blobs not everything is there: nobody can fetch them"
            );
        }
        let opened = (Instant::now(), date);
        Ok(Self { vault: Arc::new(Mutex::new(vault)), opened, sessions: None })
    }

    /// Asks from time to time which sessions are stored: what only others refer to is not needed. Without this
    /// whatever a session has referred to stays, should it be removed from the storage.
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
        // Whatever happens to the clock of the machine meanwhile.
        self.opened.1 + self.opened.0.elapsed().as_secs()
    }

    fn vault(&self) -> MutexGuard<'_, Vault<Box<dyn ChunkFiles>>> {
        // Each change is whole before anything in it could panic.
        self.vault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what nobody needs any more, as a server does every ten minutes; tells how much that was.
    ///
    /// # Errors
    /// What the operating system says; what is gone by then is gone.
    pub fn collect(&self) -> io::Result<VaultUse> {
        // Asked first: whoever stores sessions takes no time of those who store blobs.
        let sessions = self.sessions.as_ref().map(|sessions| sessions());
        let (mut vault, now) = (self.vault(), self.now());
        let kept = sessions.map_or(Ok(()), |sessions| vault.retain_sessions(now, &sessions));
        let gone = vault.collect(now);
        let gone = kept.and(gone);
        match &gone {
            Ok(gone) if gone.bytes > 0 => {
                tracing::info!(gone.blobs, gone.chunks, gone.bytes, "blobs nobody needs are gone");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "blobs that nobody needs cannot be removed"),
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

/// Serves what arrives until told to stop.
pub(super) async fn run(
    blobs: SharedBlobs,
    mut arrivals: mpsc::UnboundedReceiver<Arrived>,
    news: Arc<News>,
    mut stop: watch::Receiver<bool>,
) {
    let guests = Guests::default();
    let mut collect = interval(COLLECT_EVERY);
    loop {
        tokio::select! {
            arrived = arrivals.recv() => match arrived {
                Some(arrived) => admit(arrived, &blobs, &guests),
                None => break,
            },
            () = news.wait() => blobs.hear(news.take()),
            _ = collect.tick() => {
                // Whoever has just come is heard before.
                blobs.hear(news.take());
                // It tells what went wrong, and the next time it may go well.
                let _ = blobs.collect();
            }
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    // The sessions' threads may end after this: then somebody counts as being in their sessions.
    blobs.hear(news.take());
    if let Err(error) = blobs.vault().save() {
        tracing::error!(%error, "it cannot be stored which blobs were used");
    }
}

/// Who is connected.
type Guests = Rc<RefCell<Vec<Rc<Guest>>>>;

struct Guest {
    /// When it last asked for something.
    asked: Cell<Instant>,
    /// It shall go.
    leave: Notify,
}

fn admit(arrived: Arrived, blobs: &SharedBlobs, guests: &Guests) {
    let Ok(stream) = TcpStream::from_std(arrived.stream) else { return };
    drop(arrived.slot);
    let guest = Rc::new(Guest { asked: Cell::new(Instant::now()), leave: Notify::new() });
    let line = Line {
        stream: Stream::new(stream, arrived.tls),
        out: BytesMut::new(),
        guest: guest.clone(),
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
            line.close(CloseReason::Full, "as many transfers as the server takes").await;
        }
    });
}

/// Makes room for one more, if need be by sending away who has asked for nothing for longest.
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
}

/// Why a connection ends.
enum End {
    /// It is broken, or the client has closed it.
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

    /// Answers one request after the other: while a reply waits for the socket nothing is read, so TCP holds
    /// the client back.
    async fn answer_all(&mut self, blobs: &SharedBlobs, first: Vec<u8>) -> Result<(), End> {
        let (mut serving, mut patience) = (Serving::default(), IDLE);
        let mut buffer = first;
        let (mut start, mut end) = (0, buffer.len());
        buffer.resize(BUFFER.max(end), 0);
        // What has been read since the time was over.
        let mut late = 0;
        loop {
            while let Some((incoming, length)) =
                frame::parse(&mut buffer[start..end], MAX_BLOB_FRAME)
                    .map_err(|BadFrame(reason, what)| (reason, what.to_owned()))?
            {
                match incoming {
                    Incoming::Binary(frame) => {
                        let reply = serving.received(blobs.now(), &mut blobs.vault(), frame)?;
                        frame::write_binary(&mut self.out, &reply);
                        self.guest.asked.set(Instant::now());
                        (patience, late) = (SILENCE, 0);
                    }
                    Incoming::Ping(payload) => frame::write_pong(&mut self.out, payload),
                    Incoming::Pong => {}
                    Incoming::Close => return Err(End::Close(CloseReason::Left, String::new())),
                }
                start += length;
                self.send().await?;
            }
            buffer.copy_within(start..end, 0);
            (start, end) = (0, end - start);
            // Only what is asked for counts, not that something comes.
            let rest = patience.saturating_sub(self.guest.asked.get().elapsed());
            // A request may have come while this thread had no time for it; it is there already, and no larger
            // than a frame can be.
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
                    late += if rest.is_zero() { length } else { 0 };
                }
                None => return Err(End::Close(CloseReason::Silent, String::new())),
            }
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
                // In the middle of a frame nothing else can be said.
                tracing::debug!("a blob connection reads too slowly");
                Err(End::Gone)
            }
        }
    }

    /// Says why, and waits until the other side has ended it, too: otherwise the system would reset the
    /// connection, and the client might never see why.
    async fn close(mut self, reason: CloseReason, detail: &str) {
        frame::write_close(&mut self.out, reason, detail);
        let farewell = async {
            write_all(&self.stream, &self.out).await?;
            self.stream.shutdown(std::net::Shutdown::Write);
            let mut rest = vec![0; 64 * 1024];
            while self.read(&mut rest).await.is_ok() {}
            io::Result::Ok(())
        };
        // Who does not listen cannot be told.
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
    // Others have their turn, however fast this one is.
    tokio::task::yield_now().await;
    Ok(())
}

#[cfg(test)]
mod tests;
