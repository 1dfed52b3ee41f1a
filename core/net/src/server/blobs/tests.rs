use teatime_blobs::ChunkName;
use teatime_reflector::Allowance;
use teatime_wire::{BlobReply, BlobRequest, Hello};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const NAME: Digest = Digest([7; 32]);
const CHALLENGE: Challenge = Challenge { nonce: Digest([9; 32]), channel: None };

/// The space of the room with this name.
fn space() -> Digest {
    Hello::new(NAME, None, "test", &CHALLENGE).space()
}

/// A client's socket, and the server's side of the connection.
async fn connection() -> (TcpStream, Line) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("it listens");
    let client = TcpStream::connect(address).await.expect("it listens");
    let (server, _) = listener.accept().await.expect("the client connects");
    let guest = Rc::new(Guest { asked: Cell::new(Instant::now()), leave: Notify::new() });
    let addresses = Addresses::new(Allowance::UNLIMITED);
    let (stream, out) = (Stream::new(server, None), BytesMut::new());
    let blobs = SharedBlobs::in_memory().expect("it is in memory");
    let quota = Quota::new(Shares::default(), u64::MAX, &blobs);
    let challenge = CHALLENGE;
    (client, Line { stream, out, guest, address: None, addresses, quota, challenge })
}

/// Masked with zeros, as which it stays what it is.
fn masked(request: &BlobRequest<'_>) -> Vec<u8> {
    let payload = request.encode();
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126);
    let length = length.expect("these are short");
    [&[0x82, 0x80 | length, 0, 0, 0, 0], &payload[..]].concat()
}

fn hello() -> Vec<u8> {
    masked(&BlobRequest::Hello(Hello::new(NAME, None, "test", &CHALLENGE)))
}

/// The kinds and contents of frames, and what there is of one that is cut short.
fn frames(mut bytes: &[u8]) -> (Vec<(u8, &[u8])>, &[u8]) {
    let mut frames = Vec::new();
    while let [first, second, ..] = *bytes {
        let (from, length) = match second {
            126 => (4, u64::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
            127 => (10, u64::from_be_bytes(bytes[2..10].try_into().expect("there are eight"))),
            short => (2, u64::from(short)),
        };
        let Some(content) = bytes.get(from..from + length as usize) else { return (frames, bytes) };
        frames.push((first & 0x0f, content));
        bytes = &bytes[from + content.len()..];
    }
    (frames, bytes)
}

#[tokio::test]
async fn a_client_that_asks_for_nothing_is_closed_with_the_reason() {
    for (requests, patience) in [(vec![], IDLE), (hello(), SILENCE)] {
        let blobs = SharedBlobs::in_memory().expect("it is in memory");
        let begun = Instant::now();
        let (mut client, line) = connection().await;
        // Pings ask for nothing, however many come. It goes in the end, so that the server need not wait for it.
        let pinging = async move {
            client.write_all(&requests).await.expect("it is open");
            let (mut read, mut write) = client.split();
            let mut heard = Vec::new();
            let flood = async {
                while write.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.is_ok() {
                    tokio::task::yield_now().await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                _ = read.read_to_end(&mut heard) => {}
                () = flood => {}
            }
            heard
        };
        let serving = line.serve(&blobs, Vec::new());
        let ended = timeout(Duration::from_secs(30), async { tokio::join!(serving, pinging) });
        let ((), heard) = ended.await.expect("it is sent away");
        assert!(begun.elapsed() >= patience);
        let (frames, _) = frames(&heard);
        let told = frames.last().expect("the server sends a frame");
        assert_eq!((told.0, &told.1[..2]), (8, &CloseReason::Silent.code().to_be_bytes()[..]));
    }
}

#[tokio::test]
async fn a_client_that_does_not_take_its_reply_is_left_and_gets_nothing_else() {
    let blobs = SharedBlobs::in_memory().expect("it is in memory");
    let chunk = vec![9; teatime_wire::limits::MAX_BLOB_CHUNK];
    let id = blobs.vault().put(0, space(), &chunk).expect("there is room");
    let (mut client, line) = connection().await;
    // Far more than the system keeps of a connection.
    let asked = 400;
    let requests = [hello(), masked(&BlobRequest::Get(id)).repeat(asked)].concat();
    let (mut read, mut write) = client.split();
    tokio::join!(line.serve(&blobs, Vec::new()), async {
        // The server does not read the rest.
        let _ = write.write_all(&requests).await;
    });
    let mut heard = Vec::new();
    // The system may reset it.
    let _ = timeout(Duration::from_secs(30), read.read_to_end(&mut heard)).await.expect("it ends");
    let (frames, rest) = frames(&heard);
    let [ready, contents @ ..] = &frames[..] else { panic!("it was welcome") };
    assert!(matches!(BlobReply::decode(ready.1), Ok(BlobReply::Ready(_))));
    let content = BlobReply::Content(&chunk).encode();
    assert!(contents.iter().all(|frame| *frame == (2, &content[..])));
    assert!(contents.len() < asked, "{}", contents.len());
    let mut whole = BytesMut::new();
    frame::write_binary(&mut whole, &content);
    assert!(whole.starts_with(rest), "something else stands in the middle of a frame");
}

#[tokio::test]
async fn a_request_that_came_while_the_thread_had_no_time_is_answered() {
    let blobs = SharedBlobs::in_memory().expect("it is in memory");
    let (mut client, line) = connection().await;
    client.write_all(&hello()).await.expect("it is open");
    let long_ago = Instant::now().checked_sub(2 * SILENCE).expect("the machine runs for longer");
    line.guest.asked.set(long_ago);
    let asking = async move {
        let mut first = [0];
        client.read_exact(&mut first).await.expect("it is answered");
        first[0] & 0x0f
    };
    let serving = line.serve(&blobs, Vec::new());
    let ended = timeout(Duration::from_secs(30), async { tokio::join!(serving, asking) });
    // No farewell, but a frame with a reply.
    assert_eq!(ended.await.expect("it ends"), ((), 2));
}

/// A date on which the clock of the machine is right, in seconds since 1970.
const TODAY: u64 = 1_700_000_000;

const DAY: u64 = 24 * 3600;

/// Files that outlive the server.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<MemoryFiles>>);

impl Files {
    fn with<T>(&self, act: impl FnOnce(&mut MemoryFiles) -> T) -> T {
        act(&mut self.0.lock().expect("no test panics with it"))
    }
}

impl ChunkFiles for Files {
    fn list(&mut self) -> io::Result<Vec<(ChunkName, u64)>> {
        self.with(MemoryFiles::list)
    }

    fn read(&mut self, file: &ChunkName) -> io::Result<Vec<u8>> {
        self.with(|files| files.read(file))
    }

    fn write(&mut self, file: &ChunkName, bytes: &[u8]) -> io::Result<()> {
        self.with(|files| files.write(file, bytes))
    }

    fn remove(&mut self, file: &ChunkName) -> io::Result<()> {
        self.with(|files| files.remove(file))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(MemoryFiles::sync)
    }
}

#[test]
fn a_start_with_a_clock_that_is_years_ahead_deletes_no_blob() {
    let files = Files::default();
    let open = |wall| SharedBlobs::open_by(files.clone(), VaultLimits::IN_MEMORY, wall);
    let blobs = open(|| TODAY).expect("there is nothing");
    // In a room without sessions a chunk of no blob lives for a day.
    blobs.vault().put(TODAY - 2 * DAY, space(), b"old").expect("there is room");
    let new = blobs.vault().put(TODAY, space(), b"new").expect("there is room");
    blobs.vault().save().expect("it is in memory");
    let wrong: [fn() -> u64; 2] = [|| TODAY + 730 * DAY, || 0];
    for wall in wrong.into_iter().chain([(|| TODAY) as fn() -> u64]) {
        let blobs = open(wall).expect("the files are whole");
        assert_eq!(blobs.now().abs_diff(TODAY) / DAY, 0);
        blobs.collect().expect("it is in memory");
        assert_eq!(blobs.usage().chunks, 1, "the old one is gone");
        assert_eq!(blobs.vault().missing(TODAY, space(), vec![new]), []);
    }
}
