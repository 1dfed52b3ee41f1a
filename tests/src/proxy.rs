//! A proxy between a client and a reflector. It can block without closing connections, close
//! them, insert messages to the client, and repeat an event.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use teatime_wire::{Event, ServerMessage};

/// Forwards connections to its own address, unless it blocks. Its threads end with the process.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    held: Arc<(Mutex<Held>, Condvar)>,
    insertion: Arc<Insertion>,
    clients: Arc<Mutex<Vec<TcpStream>>>,
}

/// What follows the next frame of the reflector.
#[derive(Debug, Default)]
struct Insertion {
    frames: Mutex<Vec<u8>>,
    /// The next event comes twice.
    repeats: AtomicBool,
}

#[derive(Debug, Default)]
struct Held {
    now: bool,
    /// Bytes from clients after which their connection is dead.
    dead_after: Option<usize>,
}

impl Proxy {
    /// A proxy to this address.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it listens");
        let held = Arc::<(Mutex<Held>, Condvar)>::default();
        let gate = held.clone();
        let insertion = Arc::<Insertion>::default();
        let inserts = insertion.clone();
        let clients = Arc::<Mutex<Vec<TcpStream>>>::default();
        let connected = clients.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(target).expect("the target listens");
                let both =
                    (client.try_clone().expect("a copy"), server.try_clone().expect("a copy"));
                let (up, down, inserts) = (gate.clone(), gate.clone(), inserts.clone());
                let client_again = client.try_clone().expect("a copy");
                connected.lock().unwrap_or_else(PoisonError::into_inner).push(client_again);
                let dead = Arc::new(AtomicBool::new(false));
                let also = dead.clone();
                std::thread::spawn(move || pass(&client, &server, &up, &dead, None));
                std::thread::spawn(move || {
                    pass(&both.1, &both.0, &down, &also, Some((Frames::default(), &inserts)));
                });
            }
        });
        Self { address, held, insertion, clients }
    }

    /// The address for clients.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Blocks all connections in both directions, or unblocks them.
    pub fn hold(&self, hold: bool) {
        self.set(Held { now: hold, dead_after: None });
    }

    /// Closes all connections of clients. They may connect again.
    pub fn cut(&self) {
        for client in self.clients.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may have closed the connection itself.
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// After clients have sent this number of bytes, blocks the connection of the last one forever.
    pub fn die_after(&self, bytes: usize) {
        self.set(Held { now: false, dead_after: Some(bytes) });
    }

    /// Inserts a message to one client after the next frame of the reflector.
    pub fn tell(&self, message: &ServerMessage<'_>) {
        let mut inserted = self.insertion.frames.lock().unwrap_or_else(PoisonError::into_inner);
        inserted.extend(frame_of(message));
    }

    /// Shows one client the next event twice, as a reflector could.
    pub fn repeat_next_event(&self) {
        self.insertion.repeats.store(true, Ordering::Relaxed);
    }

    fn set(&self, held: Held) {
        *self.held.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
        self.held.1.notify_all();
    }
}

fn pass(
    mut from: &TcpStream,
    mut to: &TcpStream,
    held: &(Mutex<Held>, Condvar),
    dead: &AtomicBool,
    mut down: Option<(Frames, &Insertion)>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let mut gate = held.0.lock().unwrap_or_else(PoisonError::into_inner);
        if down.is_none()
            && let Some(after) = &mut gate.dead_after
        {
            *after = after.saturating_sub(length);
            if *after == 0 {
                gate.dead_after = None;
                dead.store(true, Ordering::Relaxed);
            }
        }
        let held_up = |held: &mut Held| held.now || dead.load(Ordering::Relaxed);
        drop(held.1.wait_while(gate, held_up).unwrap_or_else(PoisonError::into_inner));
        let mut passed = buffer[..length].to_vec();
        if let Some((frames, insertion)) = &mut down {
            frames.take(&passed);
            if frames.are_whole() {
                passed.extend(insertion.after(&frames.newest));
            }
        }
        if to.write_all(&passed).is_err() {
            break;
        }
    }
    // The other side may have closed it.
    let _ = to.shutdown(std::net::Shutdown::Write);
}

impl Insertion {
    /// What follows this message.
    fn after(&self, newest: &[u8]) -> Vec<u8> {
        let mut inserted = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = std::mem::take(&mut *inserted);
        if let Ok(ServerMessage::Event(event)) = ServerMessage::decode(newest)
            && self.repeats.swap(false, Ordering::Relaxed)
        {
            all.extend(frame_of(&ServerMessage::Event(Event { seq: event.seq + 1, ..event })));
        }
        all
    }
}

/// A whole binary frame without a mask.
fn frame_of(message: &ServerMessage<'_>) -> Vec<u8> {
    let message = message.encode();
    let length = u16::try_from(message.len()).expect("such messages are enough here");
    let mut frame = vec![0x82];
    match u8::try_from(length) {
        Ok(length @ ..126) => frame.push(length),
        _ => frame.extend([&[126], &length.to_be_bytes()[..]].concat()),
    }
    frame.extend(message);
    frame
}

/// Finds the boundaries of frames in the bytes of a server.
#[derive(Default)]
struct Frames {
    /// The HTTP response, which comes first, is complete.
    upgraded: bool,
    /// The bytes of an incomplete frame.
    rest: Vec<u8>,
    /// The content of the newest complete one.
    newest: Vec<u8>,
}

impl Frames {
    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend(bytes);
        if !self.upgraded
            && let Some(end) = self.rest.windows(4).position(|four| four == b"\r\n\r\n")
        {
            self.upgraded = true;
            self.rest.drain(..end + 4);
        }
        while self.upgraded
            && let Some((head, length)) = self.first()
            && length <= self.rest.len()
        {
            self.newest = self.rest.drain(..length).skip(head).collect();
        }
    }

    /// Length of the head of the first frame, and of the frame, in bytes.
    fn first(&self) -> Option<(usize, usize)> {
        let extended = |bytes: usize| {
            let length = self.rest.get(2..2 + bytes)?.iter();
            let head = 2 + bytes;
            Some((head, head + length.fold(0, |sum, byte| sum << 8 | usize::from(*byte))))
        };
        match self.rest.get(1)? {
            126 => extended(2),
            127 => extended(8),
            length => Some((2, 2 + usize::from(*length))),
        }
    }

    fn are_whole(&self) -> bool {
        self.upgraded && self.rest.is_empty()
    }
}
