//! Transfers of blobs between a client and a server, both as state machines.

use std::sync::Arc;

use teatime_blobs::limits::BLOB_CHUNK;
use teatime_blobs::{
    BlobError, BlobHandle, ChunkFiles, Download, MemoryFiles, Serving, Space, Upload, Vault,
    VaultLimits,
};
use teatime_wire::{BlobReply, BlobRequest, Challenge, CloseReason, Digest, Hello};

/// What all connections here are for.
const CHALLENGE: Challenge = Challenge { nonce: Digest([9; 32]), channel: None };

type Lie = Box<dyn FnMut(&mut Vec<u8>)>;

/// Changes a content, given the content before.
type Change = fn(&mut Vec<u8>, &mut Vec<u8>);

/// A server with connections that break.
struct Server<F = MemoryFiles> {
    vault: Vault<F>,
    /// Frames of the client after which each connection breaks. The frames arrive; the reply to the last one
    /// does not.
    breaks_after: usize,
    /// Number of chunks that arrived.
    chunks: usize,
    /// Number of requests for a piece.
    gets: usize,
    connections: usize,
    /// Changes its replies.
    lie: Lie,
}

impl Server {
    fn new() -> Self {
        Self::over(MemoryFiles::default(), VaultLimits::IN_MEMORY)
    }
}

impl<F: ChunkFiles> Server<F> {
    fn over(files: F, limits: VaultLimits) -> Self {
        let vault = Vault::open(files, limits, 0).expect("it can be listed");
        let lie: Lie = Box::new(|_| {});
        Self { vault, breaks_after: usize::MAX, chunks: 0, gets: 0, connections: 0, lie }
    }

    /// `None` if the connection breaks before the reply.
    fn answer(&mut self, line: &mut (Serving, usize), frame: &[u8]) -> Option<Vec<u8>> {
        self.chunks += usize::from(matches!(BlobRequest::decode(frame), Ok(BlobRequest::Chunk(_))));
        self.gets += usize::from(matches!(BlobRequest::decode(frame), Ok(BlobRequest::Get(_))));
        let mut reply = line.0.received(0, &mut self.vault, frame).expect("the client is right");
        line.1 += 1;
        (self.lie)(&mut reply);
        (line.1 < self.breaks_after).then_some(reply)
    }

    fn connect(&mut self) -> (Serving, usize) {
        self.connections += 1;
        assert!(self.connections < 10_000, "it gets nowhere");
        (Serving::new(CHALLENGE), 0)
    }

    /// Stores with a client that dies after this many frames.
    fn upload_some(
        &mut self,
        space: &Arc<Space>,
        content: &[u8],
        frames: usize,
    ) -> Option<BlobHandle> {
        let breaks_after = std::mem::replace(&mut self.breaks_after, frames);
        let stored = self.store_until(space, content, 1);
        self.breaks_after = breaks_after;
        stored.expect("it is right so far")
    }

    fn store(&mut self, space: &Arc<Space>, content: &[u8]) -> Result<BlobHandle, BlobError> {
        let stored = self.store_until(space, content, usize::MAX)?;
        Ok(stored.expect("it goes on until it is done"))
    }

    /// Stores over at most this many connections.
    fn store_until(
        &mut self,
        space: &Arc<Space>,
        content: &[u8],
        connections: usize,
    ) -> Result<Option<BlobHandle>, BlobError> {
        let mut upload = Upload::new(space.clone(), content.len() as u64)?;
        let mut rest = content;
        for _ in 0..connections {
            let mut line = self.connect();
            upload.connected(&CHALLENGE);
            loop {
                if let Some(handle) = upload.handle() {
                    assert_eq!(upload.progress().done, content.len() as u64);
                    return Ok(Some(handle));
                }
                let wanted = upload.wants();
                if wanted > 0 {
                    upload.push(rest.split_off(..wanted).expect("it wants what there is"));
                    continue;
                }
                let frame = upload.poll_send().expect("the client has a frame to send");
                let Some(reply) = self.answer(&mut line, &frame) else { break };
                upload.received(&reply)?;
            }
        }
        Ok(None)
    }

    fn fetch(&mut self, space: &Arc<Space>, handle: BlobHandle) -> Result<Vec<u8>, BlobError> {
        let mut download = Download::new(space.clone(), handle)?;
        let mut content = Vec::new();
        loop {
            let mut line = self.connect();
            download.connected(&CHALLENGE);
            while !download.is_done() {
                let frame = download.poll_send().expect("the client has a frame to send");
                let Some(reply) = self.answer(&mut line, &frame) else { break };
                download.received(&reply)?;
                while let Some(piece) = download.take() {
                    content.extend(piece);
                }
            }
            if download.is_done() {
                return Ok(content);
            }
        }
    }
}

fn space(password: Option<&str>) -> Arc<Space> {
    Arc::new(Space::new("org.example", "room", password))
}

/// Chunks that differ, the last of them not full.
fn content(chunks: usize) -> Vec<u8> {
    (0..chunks * BLOB_CHUNK - 77).map(|at| (at / 3 + at / BLOB_CHUNK) as u8).collect()
}

#[test]
fn a_stored_blob_is_fetched_with_and_without_password() {
    for space in [space(None), space(Some("pw"))] {
        for content in [vec![], vec![7], vec![0; 5 * BLOB_CHUNK], content(1), content(40)] {
            let mut server = Server::new();
            let handle = server.store(&space, &content).expect("there is room");
            assert_eq!(handle.size(), content.len() as u64);
            assert_eq!(server.fetch(&space, handle), Ok(content));
        }
    }
}

#[test]
fn a_server_cannot_read_blobs_of_a_room_with_a_password() {
    let mut server = Server::new();
    let text = b"secret content".repeat(1000);
    server.store(&space(Some("pw")), &text).expect("there is room");
    let mut files = server.vault.into_files();
    for (name, _) in files.list().expect("it is in memory") {
        let bytes = files.read(&name).expect("it is in memory");
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
    }
}

#[test]
fn a_broken_connection_loses_nothing_and_repeats_no_chunk_that_arrived() {
    let (space, content) = (space(Some("pw")), content(20));
    // With fewer frames a connection breaks before it makes progress.
    for breaks_after in 3..60 {
        let mut server = Server { breaks_after, ..Server::new() };
        let handle = server.store(&space, &content).expect("it gets there");
        assert_eq!(server.chunks, 20, "cut after {breaks_after} frames");
        (server.connections, server.gets) = (0, 0);
        assert_eq!(server.fetch(&space, handle).as_ref(), Ok(&content));
        // The manifest and 20 chunks; of each connection the reply to its last request is lost.
        assert_eq!(server.gets, 21 + server.connections - 1, "cut after {breaks_after} frames");
    }
}

#[test]
fn stored_content_is_not_sent_again() {
    let (space, mut content) = (space(Some("pw")), content(20));
    let mut server = Server::new();
    let handle = server.store(&space, &content).expect("there is room");
    assert_eq!(server.store(&space, &content), Ok(handle));
    assert_eq!(server.chunks, 20);
    content[5 * BLOB_CHUNK] ^= 1;
    assert_ne!(server.store(&space, &content), Ok(handle));
    assert_eq!(server.chunks, 21);
}

#[test]
fn a_server_that_changes_truncates_or_swaps_pieces_is_detected() {
    let (space, content) = (space(Some("pw")), content(5));
    let mut server = Server::new();
    let handle = server.store(&space, &content).expect("there is room");
    // The first content that it sends is the manifest.
    for victim in 0..6 {
        let lies: [Change; 5] = [
            |content, _| content[20] ^= 1,
            |content, _| content.truncate(content.len() - 1),
            |content, _| content.push(0),
            |content, _| content.clear(),
            std::mem::swap,
        ];
        for (which, lie) in lies.into_iter().enumerate() {
            let (mut count, mut last) = (0, b"another".to_vec());
            server.lie = Box::new(move |reply| {
                let Ok(BlobReply::Content(bytes)) = BlobReply::decode(reply) else { return };
                let (mut content, mut before) = (bytes.to_vec(), last.clone());
                last = bytes.to_vec();
                if count == victim {
                    lie(&mut content, &mut before);
                    *reply = BlobReply::Content(&content).encode();
                }
                count += 1;
            });
            let fetched = server.fetch(&space, handle);
            assert_eq!(fetched, Err(BlobError::WrongBytes), "lie {which} about piece {victim}");
        }
    }
    server.lie = Box::new(|_| {});
    assert_eq!(server.fetch(&space, handle), Ok(content));
}

#[test]
fn a_server_that_claims_to_have_stored_another_blob_is_detected() {
    let space = space(None);
    let mut server = Server::new();
    let other = server.store(&space, b"another").expect("there is room");
    server.lie = Box::new(move |reply| {
        if let Ok(BlobReply::Complete(_)) = BlobReply::decode(reply) {
            *reply = BlobReply::Complete(other.root()).encode();
        }
    });
    assert!(matches!(server.store(&space, b"content"), Err(BlobError::Protocol(_))));
}

#[test]
fn a_reply_without_a_request_ends_a_transfer() {
    let handle = Server::new().store(&space(None), b"x").expect("there is room");
    let id = handle.root();
    let nonsense = [
        BlobReply::Wanted(vec![id]),
        BlobReply::Stored(id),
        BlobReply::Complete(id),
        BlobReply::Content(b"x"),
        BlobReply::Unknown(id),
    ];
    for reply in nonsense {
        let frame = reply.encode();
        let mut upload = Upload::new(space(None), 1).expect("it is small");
        upload.connected(&CHALLENGE);
        upload.poll_send();
        assert!(matches!(upload.received(&frame), Err(BlobError::Protocol(_))), "{reply:?}");
        let mut download = Download::new(space(None), handle).expect("it is ours");
        download.connected(&CHALLENGE);
        download.poll_send();
        assert!(matches!(download.received(&frame), Err(BlobError::Protocol(_))), "{reply:?}");
    }
}

#[test]
fn unknown_and_foreign_handles_are_told_apart() {
    let mut server = Server::new();
    let handle = server.store(&space(Some("pw")), b"content").expect("there is room");
    let elsewhere = Server::new().fetch(&space(Some("pw")), handle);
    assert_eq!(elsewhere, Err(BlobError::Unknown));
    for other in [space(None), space(Some("wp"))] {
        assert_eq!(server.fetch(&other, handle), Err(BlobError::OtherSession));
        let own = server.store(&other, b"content").expect("there is room");
        assert_ne!(own, handle);
    }
}

#[test]
fn a_blob_that_is_too_large_is_refused_before_any_content_is_sent() {
    let limits = VaultLimits {
        max_blob: 10 * BLOB_CHUNK as u64,
        max_space: 12 * BLOB_CHUNK as u64,
        ..VaultLimits::IN_MEMORY
    };
    let mut server = Server::over(MemoryFiles::default(), limits);
    let space = space(None);
    let large = server.store(&space, &content(11));
    let (size, most) = (content(11).len() as u64, 10 * BLOB_CHUNK as u64);
    assert_eq!(large, Err(BlobError::TooLarge { size, most }));
    server.store(&space, &content(9)).expect("there is room");
    let other: Vec<_> = content(9).iter().map(|byte| !byte).collect();
    assert_eq!(server.store(&space, &other), Err(BlobError::NoRoom));
    assert_eq!(server.chunks, 9);
    // Another room has room.
    let elsewhere = Arc::new(Space::new("org.example", "other room", None));
    server.store(&elsewhere, &other).expect("there is room");
    // A stored blob needs no room, nor does the rest of an interrupted one.
    server.store(&space, &content(9)).expect("it is there");
    assert_eq!(server.chunks, 18);
    let mut cut = Server::over(MemoryFiles::default(), limits);
    assert_eq!(cut.upload_some(&space, &content(9), 12), None);
    assert!(cut.chunks >= 6, "{}", cut.chunks);
    assert!(cut.vault.limits_for(space.id()).room < content(9).len() as u64);
    cut.store(&space, &content(9)).expect("there is room for the rest");
    assert_eq!(cut.chunks, 9);
    let huge = Upload::new(space, 1 << 40).err();
    assert_eq!(huge, Some(BlobError::TooLarge { size: 1 << 40, most: 1 << 31 }));
}

#[test]
fn a_transfer_holds_at_most_the_window() {
    let (space, content) = (space(None), content(100));
    let mut upload = Upload::new(space.clone(), content.len() as u64).expect("it is small");
    upload.connected(&CHALLENGE);
    assert_eq!(upload.wants(), 0, "the server has not yet sent its limits");
    let mut server = Server::new();
    let mut line = server.connect();
    let hello = upload.poll_send().expect("it greets");
    let reply = server.answer(&mut line, &hello).expect("it answers");
    upload.received(&reply).expect("it is welcome");
    let mut pushed = 0;
    while upload.wants() > 0 {
        upload.push(&content[pushed * BLOB_CHUNK..][..upload.wants()]);
        pushed += 1;
    }
    assert_eq!(pushed, teatime_blobs::limits::WINDOW);
    let handle = server.store(&space, &content).expect("there is room");
    let mut download = Download::new(space, handle).expect("it is ours");
    download.connected(&CHALLENGE);
    let mut line = server.connect();
    let mut asked = 0;
    // A client that takes no pieces requests no more.
    while let Some(frame) = download.poll_send() {
        let reply = server.answer(&mut line, &frame).expect("it answers");
        download.received(&reply).expect("it is right");
        asked += 1;
    }
    assert_eq!(asked, 2 + teatime_blobs::limits::WINDOW);
}

#[test]
fn cached_pieces_are_not_requested_unless_they_are_damaged() {
    let (space, content) = (space(Some("pw")), content(6));
    let mut server = Server::new();
    let handle = server.store(&space, &content).expect("there is room");
    let mut nearby = std::collections::BTreeMap::<_, Vec<u8>>::new();
    // Requests in each round: the manifest and six chunks, none, and the damaged piece.
    for (round, from_server) in [(0, 7), (1, 0), (2, 1)] {
        let mut download = Download::new(space.clone(), handle).expect("it is ours");
        download.connected(&CHALLENGE);
        let (mut line, mut frames, mut fetched) = (server.connect(), 0, Vec::new());
        let mut supplied = 0;
        while !download.is_done() {
            while let Some(id) = download.poll_wanted() {
                if let Some(piece) = nearby.get(&id) {
                    supplied += usize::from(download.supply(id, piece));
                }
            }
            if let Some(frame) = download.poll_send() {
                frames += 1;
                let reply = server.answer(&mut line, &frame).expect("it answers");
                if let Some((id, piece)) = download.received(&reply).expect("it is right") {
                    nearby.insert(id, piece.to_vec());
                }
            }
            while let Some(piece) = download.take() {
                fetched.extend(piece);
            }
        }
        assert_eq!(fetched, content);
        assert_eq!(supplied, 7 - from_server);
        // A greeting may have been sent before.
        assert!(frames <= 1 + from_server, "round {round}: {frames} frames");
        if round == 1 {
            let damaged = nearby.values_mut().last().expect("there are some");
            damaged[30] ^= 1;
        }
    }
}

#[test]
fn a_client_that_breaks_the_protocol_is_disconnected() {
    let mut vault = Vault::open(MemoryFiles::default(), VaultLimits::IN_MEMORY, 0).expect("empty");
    let hello = |version| {
        let open = Hello::new(Digest([1; 32]), None, "test", &CHALLENGE);
        BlobRequest::Hello(Hello { version, ..open }).encode()
    };
    let early = BlobRequest::Offer(vec![]).encode();
    let other = Challenge { nonce: Digest([8; 32]), ..CHALLENGE };
    let key = teatime_wire::SecretKey::of_password(&[1; 32]);
    let elsewhere = Hello::new(Digest([1; 32]), Some(&key), "test", &other);
    for (frames, reason) in [
        (vec![early.clone()], CloseReason::NotJoined),
        (vec![hello(2)], CloseReason::Version),
        (vec![BlobRequest::Hello(elsewhere).encode()], CloseReason::BadProof),
        (vec![hello(1), hello(1)], CloseReason::OutOfOrder),
        (vec![hello(1), BlobRequest::Manifest(b"none").encode()], CloseReason::Malformed),
        (vec![hello(1), b"nonsense".to_vec()], CloseReason::Malformed),
        (vec![hello(1), vec![0; 1 << 20]], CloseReason::TooLarge),
    ] {
        let mut serving = Serving::new(CHALLENGE);
        let (last, first) = frames.split_last().expect("there are some");
        for frame in first {
            serving.received(0, &mut vault, frame).expect("it is right so far");
        }
        let closed = serving.received(0, &mut vault, last).expect_err("it is wrong");
        assert_eq!(closed.0, reason);
    }
}
