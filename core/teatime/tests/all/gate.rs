//! A line between one participant and a server that the test cuts, at moments that matter.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// Passes bytes on to a server, which may change.
pub(crate) struct Gate {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    /// The server. `None`: connections are closed at once.
    target: Option<SocketAddr>,
    /// What the server says is lost.
    is_deaf: bool,
    sockets: Vec<TcpStream>,
}

impl Gate {
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it listens");
        let state = State { target: Some(target), is_deaf: false, sockets: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                open(client, &shared);
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// From now on the participant hears nothing, but is heard.
    pub(crate) fn deafen(&self) {
        self.state().is_deaf = true;
    }

    /// Cuts the line, and lets no other connection through.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.target = None;
        for socket in state.sockets.drain(..) {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through to this server.
    pub(crate) fn open(&self, target: SocketAddr) {
        let mut state = self.state();
        (state.target, state.is_deaf) = (Some(target), false);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics with it")
    }
}

fn open(client: TcpStream, shared: &Arc<Mutex<State>>) {
    let mut state = shared.lock().expect("nothing panics with it");
    let Some(Ok(server)) = state.target.map(TcpStream::connect) else { return };
    let copy = |stream: &TcpStream| stream.try_clone().expect("there are sockets");
    state.sockets.extend([copy(&client), copy(&server)]);
    let (from, to) = (copy(&client), copy(&server));
    std::thread::spawn(move || pass(from, to, || false));
    let shared = shared.clone();
    let is_deaf = move || shared.lock().is_ok_and(|state| state.is_deaf);
    std::thread::spawn(move || pass(server, client, is_deaf));
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_lost: impl Fn() -> bool) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !is_lost() && to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
