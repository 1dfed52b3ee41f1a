//! A line between a client and a reflector that can be held up without being cut.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Passes on what comes at its own address, unless it is held up. Its threads end with the process.
pub struct Proxy {
    address: SocketAddr,
    held: Arc<(Mutex<Held>, Condvar)>,
}

#[derive(Default)]
struct Held {
    now: bool,
    /// Bytes after which the connection that they come on is dead.
    dead_after: Option<usize>,
}

impl Proxy {
    /// One that leads to this address.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it listens");
        let held = Arc::<(Mutex<Held>, Condvar)>::default();
        let gate = held.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(target).expect("the target listens");
                let both =
                    (client.try_clone().expect("a copy"), server.try_clone().expect("a copy"));
                let (up, down) = (gate.clone(), gate.clone());
                let dead = Arc::new(AtomicBool::new(false));
                let also = dead.clone();
                std::thread::spawn(move || pass(&client, &server, &up, &dead, true));
                std::thread::spawn(move || pass(&both.1, &both.0, &down, &also, false));
            }
        });
        Self { address, held }
    }

    /// Where clients connect to.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// From now on nothing passes, on all connections and in both directions; or everything does again.
    pub fn hold(&self, hold: bool) {
        self.set(Held { now: hold, dead_after: None });
    }

    /// When clients have sent so much nothing passes any more on the connection that it came on, ever.
    pub fn die_after(&self, bytes: usize) {
        self.set(Held { now: false, dead_after: Some(bytes) });
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
    up: bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let mut gate = held.0.lock().unwrap_or_else(PoisonError::into_inner);
        if up && let Some(after) = &mut gate.dead_after {
            *after = after.saturating_sub(length);
            if *after == 0 {
                gate.dead_after = None;
                dead.store(true, Ordering::Relaxed);
            }
        }
        let held_up = |held: &mut Held| held.now || dead.load(Ordering::Relaxed);
        drop(held.1.wait_while(gate, held_up).unwrap_or_else(PoisonError::into_inner));
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // The other side may have ended it.
    let _ = to.shutdown(std::net::Shutdown::Write);
}
