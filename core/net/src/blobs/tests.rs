use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use teatime_blobs::limits::BLOB_CHUNK;
use teatime_blobs::{MemoryFiles, Serving, Vault, VaultLimits};
use teatime_wire::{BLOB_SUBPROTOCOL, BlobReply, CloseReason, Greeting, ServerMessage};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocket};
use tokio_tungstenite::tungstenite::{Message, accept_hdr};

use super::line::{ASK_EVERY, Broken, MAX_FAILURES, SILENCE, connection};
use super::*;

type Line = WebSocket<TcpStream>;

/// A server that does this with each connection, one after the other, and how many there have been.
#[expect(clippy::result_large_err, reason = "tungstenite wants such a closure")]
fn serving(mut with: impl FnMut(Line) + Send + 'static) -> (Remote, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let url = format!("ws://{}", listener.local_addr().expect("it listens"));
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            count.fetch_add(1, Ordering::Relaxed);
            let name = |_: &Request, mut response: Response| {
                let subprotocol = BLOB_SUBPROTOCOL.parse().expect("it is a header");
                response.headers_mut().insert("sec-websocket-protocol", subprotocol);
                Ok(response)
            };
            // The client that has connected may be gone already.
            if let Ok(line) = accept_hdr(stream, name) {
                with(line);
            }
        }
    });
    (Remote { url, trust: Trust::new(None).expect("nothing is wrong with it") }, connections)
}

/// Says hello.
fn greet(line: &mut Line) -> Serving {
    let nonce = Digest([9; 32]);
    let hello = ServerMessage::Hello(Greeting { nonce, binds_channel: false }).encode();
    // The client may be gone.
    let _ = line.send(Message::Binary(hello.into()));
    Serving::new(Challenge { nonce, channel: None })
}

/// Closes it, and hears the client out, so that the system does not reset the connection.
fn close(mut line: Line, code: u16, reason: &str) {
    let frame = CloseFrame { code: code.into(), reason: reason.into() };
    let _ = line.close(Some(frame));
    while line.read().is_ok() {}
}

fn space() -> Arc<Space> {
    Arc::new(Space::new("org.example", "room", None))
}

fn put(remote: &Remote, content: &[u8]) -> Result<BlobHandle, BlobError> {
    let goes_on = &mut |_| ControlFlow::Continue(());
    store(remote, &space(), content.len() as u64, &mut &*content, goes_on)
}

/// How one connection ends at which nothing is answered.
fn connect(remote: &Remote, watch: &mut Watch<'_>) -> Broken {
    let upload = Upload::new(space(), 1).expect("it is small");
    let mut storing = Storing { upload, source: &mut &b"x"[..], buffer: Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("there are threads");
    runtime.block_on(connection(remote, &mut storing, watch)).expect_err("it does not answer")
}

/// Sends pings and nothing else, at this pace.
fn ping(pause: Duration) -> impl FnMut(Line) + Send {
    move |mut line| {
        while line.send(Message::Ping(Bytes::new())).is_ok() {
            std::thread::sleep(pause);
        }
    }
}

#[test]
fn a_server_that_pings_or_says_nothing_is_given_up() {
    let says_nothing = |mut line: Line| while line.read().is_ok() {};
    for (remote, _) in [serving(ping(SILENCE / 10)), serving(says_nothing)] {
        let end = connect(&remote, &mut |_| ControlFlow::Continue(()));
        assert!(matches!(end, Broken::Retry(why) if why.contains("no longer answers")));
    }
}

#[test]
fn in_a_flood_of_pings_the_caller_is_heard() {
    let begun = Instant::now();
    let end = connect(&serving(ping(Duration::ZERO)).0, &mut |_| {
        if begun.elapsed() > SILENCE / 4 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(matches!(end, Broken::Fatal(BlobError::Cancelled)));
}

#[test]
fn what_a_server_says_when_it_closes_decides_whether_it_is_tried_again() {
    let known = CloseReason::ALL.into_iter().filter(|reason| *reason != CloseReason::Left);
    for code in known.map(CloseReason::code).chain([1000, 1001, 4099, 4100, 4999]) {
        let (remote, connections) = serving(move |line| close(line, code, "for a test"));
        let error = put(&remote, b"content").expect_err("it is closed");
        let connections = connections.load(Ordering::Relaxed);
        let told = CloseReason::read(code, "for a test");
        match told.filter(|(reason, _)| !reason.is_retryable()) {
            Some((reason, detail)) => {
                let why = format!("{reason} ({detail})");
                assert_eq!((error, connections), (BlobError::Closed(why), 1), "{code}");
                continue;
            }
            None => assert_eq!(connections, MAX_FAILURES as usize, "{code}"),
        }
        match (CloseReason::from_code(code), error) {
            (Some(CloseReason::Full), BlobError::Busy(why)) => assert!(why.contains(&remote.url)),
            (Some(reason), BlobError::Unreachable(why)) if reason != CloseReason::Full => {
                assert_eq!(why, format!("{}: {reason}", remote.url));
            }
            (None, BlobError::Unreachable(why)) => assert!(why.contains("broke"), "{why}"),
            (_, error) => panic!("{code}: {error:?}"),
        }
    }
}

#[test]
fn after_any_number_of_farewells_a_transfer_goes_on_as_long_as_it_gets_on() {
    let vault = Vault::open(MemoryFiles::default(), VaultLimits::IN_MEMORY, 0);
    let mut vault = vault.expect("it is in memory");
    // It goes down each time that it has kept a chunk.
    let (remote, connections) = serving(move |mut line| {
        let mut serving = greet(&mut line);
        while let Ok(message) = line.read() {
            let Message::Binary(frame) = message else { continue };
            let reply = serving.received(0, &mut vault, &frame).expect("the client is right");
            let kept = matches!(BlobReply::decode(&reply), Ok(BlobReply::Stored(_)));
            if line.send(Message::Binary(reply.into())).is_err() {
                return;
            }
            if kept {
                return close(line, CloseReason::GoingAway.code(), "");
            }
        }
    });
    let chunks = 2 * MAX_FAILURES as usize;
    let content: Vec<u8> = (0..chunks * BLOB_CHUNK).map(|at| (at / BLOB_CHUNK) as u8).collect();
    put(&remote, &content).expect("it gets there");
    // One for each chunk, and one for the manifest.
    assert_eq!(connections.load(Ordering::Relaxed), chunks + 1);
}

#[test]
fn a_server_without_blobs_is_reported_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let url = format!("ws://{}", listener.local_addr().expect("it listens"));
    let statuses = [(400, 1), (404, 1), (429, MAX_FAILURES), (502, MAX_FAILURES)];
    let server = std::thread::spawn(move || {
        for (status, times) in statuses {
            for _ in 0..times {
                let (mut stream, _) = listener.accept().expect("the client connects");
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).expect("it asks");
                    request.push(byte[0]);
                }
                let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).expect("it listens");
            }
        }
    });
    let remote = Remote { url, trust: Trust::new(None).expect("nothing is wrong with it") };
    for (status, _) in statuses {
        let error = put(&remote, b"content").expect_err("it is none");
        let BlobError::Unreachable(why) = error else { panic!("{error:?}") };
        assert!(why.contains(&status.to_string()), "{why}");
    }
    server.join().expect("each was asked as often as it makes sense");
}

#[test]
fn a_request_for_limits_does_not_wait_for_ever() {
    let (remote, _) = serving(|mut line: Line| while line.read().is_ok() {});
    let begun = Instant::now();
    let asked = limits(&remote, &space());
    assert!(matches!(asked, Err(BlobError::Unreachable(why)) if why.contains("no answer")));
    assert!(begun.elapsed() < 2 * PATIENCE);
}

/// Pieces that were fetched before, on a slow disk.
#[derive(Default)]
struct Slow(HashMap<Digest, Vec<u8>>);

impl Nearby for Slow {
    fn look_up(&mut self, id: &Digest) -> Option<Vec<u8>> {
        std::thread::sleep(ASK_EVERY / 2);
        self.0.get(id).cloned()
    }

    fn keep(&mut self, id: &Digest, piece: &[u8]) {
        self.0.insert(*id, piece.to_vec());
    }

    fn discard(&mut self, _: &Digest) {}
}

#[test]
fn checking_what_was_fetched_before_obeys_the_caller_and_does_not_blame_the_server() {
    let vault = Vault::open(MemoryFiles::default(), VaultLimits::IN_MEMORY, 0);
    let mut vault = vault.expect("it is in memory");
    let (remote, connections) = serving(move |mut line| {
        let mut serving = greet(&mut line);
        while let Ok(message) = line.read() {
            let Message::Binary(frame) = message else { continue };
            let reply = serving.received(0, &mut vault, &frame).expect("the client is right");
            if line.send(Message::Binary(reply.into())).is_err() {
                return;
            }
        }
    });
    let chunks = 30;
    assert!(ASK_EVERY / 2 * chunks > SILENCE, "it takes longer than a server may be silent");
    let content: Vec<u8> =
        (0..chunks as usize * BLOB_CHUNK).map(|at| (at / BLOB_CHUNK) as u8).collect();
    let handle = put(&remote, &content).expect("it is kept");
    let mut nearby = Slow::default();
    let get = |nearby: &mut Slow, watch: &mut Watch<'_>| {
        let mut target = Vec::new();
        fetch(&remote, &space(), handle, nearby, &mut target, watch).map(|()| target)
    };
    let mut goes_on = |_| ControlFlow::Continue(());
    assert!(get(&mut nearby, &mut goes_on).as_ref() == Ok(&content));
    // The manifest and the last chunk are still to come.
    let last =
        nearby.0.iter().find(|(_, piece)| piece[..] == content[content.len() - BLOB_CHUNK..]);
    let last = *last.expect("it is not sealed").0;
    nearby.0.remove(&handle.root());
    nearby.0.remove(&last);
    let mut told = Vec::new();
    let cancelled = get(&mut nearby, &mut |progress| {
        told.push(progress.done);
        if progress.done >= 3 * BLOB_CHUNK as u64 {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    assert_eq!(cancelled, Err(BlobError::Cancelled));
    assert!(told.last().is_some_and(|done| *done < content.len() as u64 / 2), "{told:?}");
    // Both are fetched with one connection.
    nearby.0.remove(&handle.root());
    let before = nearby.0.len();
    let made = connections.load(Ordering::Relaxed);
    assert!(get(&mut nearby, &mut goes_on).as_ref() == Ok(&content));
    assert_eq!(nearby.0.len(), before + 2);
    assert_eq!(connections.load(Ordering::Relaxed), made + 1);
}
