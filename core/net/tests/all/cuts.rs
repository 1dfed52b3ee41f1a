//! Blobs on real sockets that are cut after each single chunk.

use std::collections::{HashSet, VecDeque};
use std::io::{Cursor, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};

use teatime_blobs::limits::BLOB_CHUNK;
use teatime_blobs::{BlobHandle, Space};
use teatime_net::blobs::{Remote, fetch, store};
use teatime_net::server::{Server, ServerConfig};
use teatime_net::tls::Trust;
use teatime_wire::{BlobReply, BlobRequest, Digest};

/// More than the window, and more than the failures in a row after which a transfer fails.
const CHUNKS: usize = 24;

/// Where a connection is cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// After this many chunks that the server has stored and acknowledged.
    Up(usize),
    /// After this many chunks that the server has stored, before it acknowledges the last one.
    UpUnheard(usize),
    /// After this many pieces that have reached the client.
    Down(usize),
}

/// What the proxy has passed on.
#[derive(Default)]
struct Passed {
    connections: usize,
    chunks: usize,
    pieces: HashSet<Digest>,
    gets: usize,
    /// Pieces that the client requested although they had reached it.
    again: usize,
}

/// Passes whole frames on.
struct Proxy {
    address: SocketAddr,
    passed: Arc<Mutex<Passed>>,
}

impl Proxy {
    fn before(server: &Server, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it listens");
        let (to, passed) = (server.local_addr(), Arc::new(Mutex::new(Passed::default())));
        let shared = passed.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(to) else { return };
                let passed = shared.clone();
                passed.lock().expect("no thread panics").connections += 1;
                pass_on(client, server, cut, passed);
            }
        });
        Self { address, passed }
    }

    fn remote(&self) -> Remote {
        let trust = Trust::new(None).expect("nothing is wrong with it");
        Remote { url: format!("ws://{}", self.address), trust }
    }

    fn passed(&self) -> MutexGuard<'_, Passed> {
        self.passed.lock().expect("no thread panics")
    }
}

fn pass_on(mut client: TcpStream, mut server: TcpStream, cut: Cut, passed: Arc<Mutex<Passed>>) {
    let asked = Arc::new(Mutex::new(VecDeque::new()));
    let both = || {
        let clone = |stream: &TcpStream| stream.try_clone().expect("there are sockets");
        (clone(&client), clone(&server))
    };
    let ((mut from, mut to), (asking, counting)) = (both(), (asked.clone(), passed.clone()));
    std::thread::spawn(move || {
        pass_head(&mut from, &mut to);
        let mut chunks = 0;
        while let Some((raw, payload)) = read_frame(&mut from) {
            let mut passed = counting.lock().expect("no thread panics");
            match BlobRequest::decode(&payload) {
                Ok(BlobRequest::Chunk(_)) => {
                    if matches!(cut, Cut::Up(most) | Cut::UpUnheard(most) if chunks == most) {
                        // This frame and all later ones are lost.
                        break;
                    }
                    chunks += 1;
                    passed.chunks += 1;
                }
                Ok(BlobRequest::Get(id)) => {
                    passed.gets += 1;
                    passed.again += usize::from(passed.pieces.contains(&id));
                    asking.lock().expect("no thread panics").push_back(id);
                }
                _ => {}
            }
            drop(passed);
            if to.write_all(&raw).is_err() {
                break;
            }
        }
        // Wait until the client has seen the cut: a reset could discard bytes that it has not read.
        let _ = std::io::copy(&mut from, &mut std::io::sink());
        let _ = to.shutdown(Shutdown::Write);
    });
    std::thread::spawn(move || {
        pass_head(&mut server, &mut client);
        let mut count = 0;
        while let Some((raw, payload)) = read_frame(&mut server) {
            let (mut is_last, mut is_heard) = (false, true);
            match (BlobReply::decode(&payload), cut) {
                (Ok(BlobReply::Stored(_)), Cut::Up(most) | Cut::UpUnheard(most)) => {
                    count += 1;
                    is_last = count == most;
                    is_heard = !is_last || matches!(cut, Cut::Up(_));
                }
                (Ok(BlobReply::Content(_)), Cut::Down(most)) => {
                    count += 1;
                    is_last = count == most;
                    let id = asked.lock().expect("no thread panics").pop_front();
                    passed
                        .lock()
                        .expect("no thread panics")
                        .pieces
                        .insert(id.expect("it was asked for"));
                }
                _ => {}
            }
            if is_heard && client.write_all(&raw).is_err() || is_last {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Write);
    });
}

/// Passes on the HTTP handshake before the frames.
fn pass_head(from: &mut TcpStream, to: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if from.read_exact(&mut byte).is_err() {
            return;
        }
        head.push(byte[0]);
    }
    let _ = to.write_all(&head);
}

/// A whole frame, and its payload. `None` at the end.
fn read_frame(from: &mut TcpStream) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut raw = vec![0; 2];
    from.read_exact(&mut raw).ok()?;
    let more = |raw: &mut Vec<u8>, length: usize, from: &mut TcpStream| {
        let start = raw.len();
        raw.resize(start + length, 0);
        from.read_exact(&mut raw[start..]).ok().map(|()| start)
    };
    let length = match raw[1] & 0x7f {
        126 => {
            let at = more(&mut raw, 2, from)?;
            usize::from(u16::from_be_bytes([raw[at], raw[at + 1]]))
        }
        127 => {
            let at = more(&mut raw, 8, from)?;
            u64::from_be_bytes(raw[at..].try_into().expect("there are eight")) as usize
        }
        short => usize::from(short),
    };
    let mut mask = [0; 4];
    if raw[1] & 0x80 != 0 {
        let at = more(&mut raw, 4, from)?;
        mask.copy_from_slice(&raw[at..]);
    }
    let at = more(&mut raw, length, from)?;
    let payload = raw[at..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    let payload = payload.collect();
    Some((raw, payload))
}

fn space() -> Arc<Space> {
    Arc::new(Space::new("org.example", "room", None))
}

/// Chunks with different content. The last one is not full.
fn content() -> Vec<u8> {
    (0..CHUNKS * BLOB_CHUNK - 77).map(|at| (at / 3 + at / BLOB_CHUNK) as u8).collect()
}

fn put(remote: &Remote, content: &[u8]) -> BlobHandle {
    let goes_on = &mut |_| ControlFlow::Continue(());
    let stored = store(remote, &space(), content.len() as u64, &mut Cursor::new(content), goes_on);
    stored.expect("it gets there")
}

fn get(remote: &Remote, handle: BlobHandle) -> Vec<u8> {
    let mut content = Vec::new();
    let goes_on = &mut |_| ControlFlow::Continue(());
    fetch(remote, &space(), handle, &mut (), &mut content, goes_on).expect("it gets there");
    content
}

fn server() -> Server {
    Server::bind("127.0.0.1:0", ServerConfig::default()).expect("there is a free port")
}

#[test]
fn cut_behind_every_chunk_a_blob_gets_up_and_no_chunk_arrives_twice() {
    for (cut, each) in [(Cut::Up(1), 1), (Cut::UpUnheard(1), 1), (Cut::Up(5), 5)] {
        let server = server();
        let proxy = Proxy::before(&server, cut);
        let handle = put(&proxy.remote(), &content());
        let passed = proxy.passed();
        assert_eq!(passed.chunks, CHUNKS, "{cut:?}");
        // The manifest follows the last chunk.
        assert_eq!(passed.connections, CHUNKS / each + 1, "{cut:?}");
        let straight = Proxy::before(&server, Cut::Down(usize::MAX));
        assert_eq!(get(&straight.remote(), handle), content());
    }
}

#[test]
fn cut_behind_every_piece_a_blob_gets_down_and_nothing_that_arrived_is_asked_for_again() {
    let server = server();
    let straight = Proxy::before(&server, Cut::Up(usize::MAX));
    let handle = put(&straight.remote(), &content());
    for each in [1, 5] {
        let proxy = Proxy::before(&server, Cut::Down(each));
        assert_eq!(get(&proxy.remote(), handle), content());
        let passed = proxy.passed();
        // The manifest, and the chunks.
        assert_eq!((passed.pieces.len(), passed.again), (CHUNKS + 1, 0), "{each}");
        assert_eq!(passed.connections, (CHUNKS + 1).div_ceil(each), "{each}");
        // At most a window for each connection.
        let most = passed.connections * teatime_blobs::limits::WINDOW;
        assert!(passed.gets > CHUNKS && passed.gets <= most, "{}", passed.gets);
    }
}
