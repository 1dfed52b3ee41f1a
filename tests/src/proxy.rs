//! A line between a client and a reflector that can be held up without being cut.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Passes on what comes at its own address, unless it is held up. Its threads end with the process.
pub struct Proxy {
    address: SocketAddr,
    held: Arc<(Mutex<bool>, Condvar)>,
}

impl Proxy {
    /// One that leads to this address.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it listens");
        let held = Arc::new((Mutex::new(false), Condvar::new()));
        let gate = held.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(target).expect("the target listens");
                let both =
                    (client.try_clone().expect("a copy"), server.try_clone().expect("a copy"));
                let (up, down) = (gate.clone(), gate.clone());
                std::thread::spawn(move || pass(&client, &server, &up));
                std::thread::spawn(move || pass(&both.1, &both.0, &down));
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
        *self.held.0.lock().unwrap_or_else(PoisonError::into_inner) = hold;
        self.held.1.notify_all();
    }
}

fn pass(mut from: &TcpStream, mut to: &TcpStream, held: &(Mutex<bool>, Condvar)) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let gate = held.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(held.1.wait_while(gate, |held| *held).unwrap_or_else(PoisonError::into_inner));
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // The other side may have ended it.
    let _ = to.shutdown(std::net::Shutdown::Write);
}
