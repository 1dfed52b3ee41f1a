//! Blobs on real sockets.

use std::io::{self, Cursor, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use teatime_blobs::limits::BLOB_CHUNK;
use teatime_blobs::{
    BlobError, BlobHandle, ChunkFiles, ChunkName, MemoryFiles, Progress, Space, VaultLimits,
};
use teatime_net::blobs::{Remote, fetch, limits, store};
use teatime_net::server::{Server, ServerConfig, SharedBlobs};
use teatime_net::tls::Trust;
use teatime_wire::{BlobRequest, Challenge, CloseReason, Digest, Hello, SecretKey};

fn server() -> Server {
    Server::bind("127.0.0.1:0", ServerConfig::default()).expect("there is a free port")
}

fn remote(url: &str) -> Remote {
    Remote { url: url.to_owned(), trust: Trust::new(None).expect("nothing is wrong with it") }
}

fn space() -> Arc<Space> {
    Arc::new(Space::new("org.example", "room", Some("pw")))
}

fn content(chunks: usize) -> Vec<u8> {
    (0..chunks * BLOB_CHUNK - 77).map(|at| (at / 3 + at / BLOB_CHUNK) as u8).collect()
}

fn put(remote: &Remote, content: &[u8]) -> Result<BlobHandle, BlobError> {
    let goes_on = &mut |_| ControlFlow::Continue(());
    store(remote, &space(), content.len() as u64, &mut Cursor::new(content), goes_on)
}

fn get(remote: &Remote, handle: BlobHandle) -> Result<Vec<u8>, BlobError> {
    let mut content = Vec::new();
    let goes_on = &mut |_| ControlFlow::Continue(());
    fetch(remote, &space(), handle, &mut (), &mut content, goes_on).map(|()| content)
}

#[test]
fn what_one_client_stores_another_fetches() {
    let server = server();
    let remote = remote(&server.url());
    for content in [vec![], vec![1; 10], content(30)] {
        let handle = put(&remote, &content).expect("there is room");
        assert_eq!(get(&remote, handle).as_ref(), Ok(&content));
    }
}

/// Passes connections on, and cuts each of them after a number of bytes up, or down.
struct Cutter {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Cutter {
    fn before(server: &Server, up: usize, down: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it listens");
        let (to, connections) = (server.local_addr(), Arc::new(AtomicUsize::new(0)));
        let count = connections.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::Relaxed);
                let Ok(server) = TcpStream::connect(to) else { return };
                pass_on(&client, &server, up);
                pass_on(&server, &client, down);
            }
        });
        Self { address, connections }
    }

    fn url(&self) -> String {
        format!("ws://{}", self.address)
    }
}

fn pass_on(from: &TcpStream, to: &TcpStream, most: usize) {
    let mut from = from.try_clone().expect("there are sockets");
    let mut to = to.try_clone().expect("there are sockets");
    std::thread::spawn(move || {
        let (mut rest, mut buffer) = (most, [0; 16 * 1024]);
        while rest > 0 {
            let room = buffer.len().min(rest);
            let Ok(length @ 1..) = from.read(&mut buffer[..room]) else { break };
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
            rest -= length;
        }
        // Both ends, in both directions. It fails if one end is closed already.
        let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
    });
}

#[test]
fn a_transfer_goes_on_after_cuts() {
    let server = server();
    let content = content(24);
    // Each connection carries about five chunks.
    let most = 5 * BLOB_CHUNK + BLOB_CHUNK / 2;
    let up = Cutter::before(&server, most, usize::MAX);
    let handle = put(&remote(&up.url()), &content).expect("it gets there");
    assert!(up.connections.load(Ordering::Relaxed) > 4);
    let down = Cutter::before(&server, usize::MAX, 5 * BLOB_CHUNK + BLOB_CHUNK / 2);
    assert_eq!(get(&remote(&down.url()), handle), Ok(content));
    assert!(down.connections.load(Ordering::Relaxed) > 4);
}

#[test]
fn limits_are_known_before_the_upload() {
    let limits = VaultLimits { max_blob: 1 << 20, ..VaultLimits::IN_MEMORY };
    let blobs = SharedBlobs::open(MemoryFiles::default(), limits).expect("it is in memory");
    let config = ServerConfig { blobs: Some(blobs), ..ServerConfig::default() };
    let server = Server::bind("127.0.0.1:0", config).expect("there is a free port");
    struct Untouched;
    impl Read for Untouched {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("nothing is to be read");
        }
    }
    let size = (1 << 20) + 1;
    let goes_on = &mut |_| ControlFlow::Continue(());
    let stored = store(&remote(&server.url()), &space(), size, &mut Untouched, goes_on);
    assert_eq!(stored, Err(BlobError::TooLarge { size, most: 1 << 20 }));
}

#[test]
fn limits_are_known_without_a_blob() {
    let most = VaultLimits { max_blob: 1 << 20, max_space: 3 << 20, ..VaultLimits::IN_MEMORY };
    let blobs = SharedBlobs::open(MemoryFiles::default(), most).expect("it is in memory");
    let config = ServerConfig { blobs: Some(blobs.clone()), ..ServerConfig::default() };
    let server = Server::bind("127.0.0.1:0", config).expect("there is a free port");
    let remote = remote(&server.url());
    let before = limits(&remote, &space()).expect("it answers");
    assert_eq!((before.max_blob, before.room), (1 << 20, 3 << 20));
    assert_eq!(blobs.usage(), Default::default());
    put(&remote, &content(2)).expect("there is room");
    let after = limits(&remote, &space()).expect("it answers");
    assert!(after.room < before.room - content(2).len() as u64, "{after:?}");
    // Another room has its own.
    let elsewhere = Arc::new(Space::new("org.example", "other room", None));
    assert_eq!(limits(&remote, &elsewhere), Ok(before));
}

/// A disk that is full after a number of files.
struct Small(MemoryFiles, usize);

impl ChunkFiles for Small {
    fn list(&mut self) -> io::Result<Vec<(ChunkName, u64)>> {
        self.0.list()
    }

    fn write(&mut self, name: &ChunkName, bytes: &[u8]) -> io::Result<()> {
        self.1 = self.1.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        self.0.write(name, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }

    fn read(&mut self, name: &ChunkName) -> io::Result<Vec<u8>> {
        self.0.read(name)
    }

    fn remove(&mut self, name: &ChunkName) -> io::Result<()> {
        self.0.remove(name)
    }
}

#[test]
fn a_client_that_stores_on_a_full_disk_hears_why_and_stored_blobs_can_be_fetched() {
    // In the first chunk of the second blob, in a later one, in its manifest.
    for rest in [0, 20, 30] {
        let files = Small(MemoryFiles::default(), 31 + rest);
        let blobs = SharedBlobs::open(files, VaultLimits::IN_MEMORY).expect("it is in memory");
        let config = ServerConfig { blobs: Some(blobs.clone()), ..ServerConfig::default() };
        let server = Server::bind("127.0.0.1:0", config).expect("there is a free port");
        let remote = remote(&server.url());
        let first = content(30);
        let handle = put(&remote, &first).expect("there is room");
        let second: Vec<_> = first.iter().map(|byte| !byte).collect();
        assert_eq!(put(&remote, &second), Err(BlobError::ServerDiskFull), "{rest}");
        assert_eq!(get(&remote, handle), Ok(first));
        assert_eq!(blobs.usage().blobs, 1);
    }
}

#[test]
fn an_address_stores_no_more_blobs_than_its_share() {
    let limits = VaultLimits { max_total: 20 << 20, max_space: 20 << 20, ..VaultLimits::IN_MEMORY };
    let blobs = SharedBlobs::open(MemoryFiles::default(), limits).expect("it is in memory");
    let blobs = Some(blobs);
    let mut config = ServerConfig { blobs, limit_loopback: true, ..ServerConfig::default() };
    config.reflector.max_stored_bytes_per_address = 4 << 20;
    let server = Server::bind("127.0.0.1:0", config).expect("there is a free port");
    let remote = remote(&server.url());
    let share = self::limits(&remote, &space()).expect("it answers").room;
    assert_eq!(share, 4 << 20);
    let handle = put(&remote, &content(10)).expect("there is room");
    let left = self::limits(&remote, &space()).expect("it answers").room;
    assert!((1 << 20..2 << 20).contains(&left), "{left}");
    let second: Vec<_> = content(10).iter().map(|byte| !byte).collect();
    assert_eq!(put(&remote, &second), Err(BlobError::NoRoom));
    // What the server has already takes no room.
    assert_eq!(put(&remote, &content(10)), Ok(handle));
    assert_eq!(get(&remote, handle), Ok(content(10)));
}

#[test]
fn a_client_without_the_password_of_a_room_neither_stores_nor_fetches_there() {
    let server = server();
    let remote = remote(&server.url());
    let handle = put(&remote, b"content").expect("there is room");
    let password = SecretKey::of_password(&[5; 32]);
    // What an eavesdropper has: a hello for another connection.
    let challenge = Challenge { nonce: Digest([1; 32]), channel: None };
    let recorded = Hello::new(Digest([5; 32]), Some(&password), "test", &challenge);
    for hello in [recorded, Hello { signature: None, ..recorded }] {
        let mut stream = idle(&server);
        let frame = BlobRequest::Hello(hello).encode();
        let length = (frame.len() as u16).to_be_bytes();
        let header = [0x82, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
        stream.write_all(&[&header, &frame[..]].concat()).expect("it is open");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it is closed");
        // Behind the hello of the server.
        let close = &answer[2 + usize::from(answer[1])..];
        assert_eq!(close[0], 0x88);
        assert_eq!(u16::from_be_bytes([close[2], close[3]]), CloseReason::BadProof.code());
    }
    assert_eq!(get(&remote, handle), Ok(b"content".to_vec()));
}

#[test]
fn a_source_with_more_or_fewer_bytes_than_said_is_refused() {
    let server = server();
    let remote = remote(&server.url());
    let content = content(3);
    for size in [0, 1, content.len() - 1, content.len() + 1, content.len() + BLOB_CHUNK] {
        let goes_on = &mut |_| ControlFlow::Continue(());
        let size = size as u64;
        let stored = store(&remote, &space(), size, &mut Cursor::new(&content), goes_on);
        assert_eq!(stored, Err(BlobError::WrongSize(size)));
    }
}

#[test]
fn a_transfer_tells_how_far_it_is_and_can_be_cancelled() {
    let server = server();
    let remote = remote(&server.url());
    let content = content(40);
    let total = content.len() as u64;
    let mut told = Vec::new();
    let mut watch = |progress: Progress| {
        told.push(progress.done);
        assert_eq!(progress.total, total);
        ControlFlow::Continue(())
    };
    let handle = store(&remote, &space(), total, &mut Cursor::new(&content), &mut watch);
    let handle = handle.expect("there is room");
    assert!(told.is_sorted() && told.first() == Some(&0) && told.last() == Some(&total));
    assert!(told.len() > 10);
    let mut fetched = Vec::new();
    let half = &mut |progress: Progress| {
        if progress.done > total / 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let cancelled = fetch(&remote, &space(), handle, &mut (), &mut fetched, half);
    assert_eq!(cancelled, Err(BlobError::Cancelled));
    // The target has a beginning of the blob, and nothing else.
    assert!(fetched.len() < content.len() && content.starts_with(&fetched));
}

#[test]
fn another_server_is_not_mistaken_for_a_blob_server_that_lacks_the_blob() {
    let server = server();
    let handle = put(&remote(&server.url()), b"content").expect("there is room");
    let other = self::server();
    assert_eq!(get(&remote(&other.url()), handle), Err(BlobError::Unknown));
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let silent = format!("ws://{}", listener.local_addr().expect("it listens"));
    drop(listener);
    assert!(matches!(get(&remote(&silent), handle), Err(BlobError::Unreachable(_))));
}

/// Opens a blob connection by hand, and sends nothing.
fn idle(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.local_addr()).expect("it listens");
    let request = "GET /blobs HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: teatime.blobs.v1\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("it answers");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream
}

#[test]
fn connections_that_say_nothing_do_not_keep_others_out_for_long() {
    let server = server();
    let mut idle: Vec<_> = (0..64).map(|_| idle(&server)).collect();
    // The server may not have accepted all of them yet. The client tries for some seconds.
    let busy = put(&remote(&server.url()), b"content");
    assert!(matches!(busy, Err(BlobError::Busy(_))), "{busy:?}");
    // A connection without a request is closed with a code, within a minute.
    let mut close = [0; 4];
    idle[0].set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("it can be set");
    let mut hello = [0; 2];
    idle[0].read_exact(&mut hello).expect("it says hello");
    idle[0].read_exact(&mut vec![0; hello[1].into()]).expect("it says hello");
    idle[0].read_exact(&mut close).expect("it is sent away");
    assert_eq!(u16::from_be_bytes([close[2], close[3]]), 4002);
    put(&remote(&server.url()), b"content").expect("there is room again");
}
