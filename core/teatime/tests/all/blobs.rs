//! An app stores and fetches blobs.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use teatime::blobs::{BlobError, BlobHandle, Blobs};
use teatime::server::{ReflectorConfig, Server, ServerConfig, SharedBlobs};
use teatime::{Config, Cx, handlers, model};
use teatime_blobs::{ChunkFiles, ChunkName, MemoryFiles, VaultLimits, VaultUse};

use crate::peer::{Peer, agree, until};

#[model]
struct Album {
    photos: Vec<BlobHandle>,
}

#[handlers]
impl Album {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("album", "add", Self::add);
        cx.subscribe("album", "clear", Self::clear);
        Self { photos: Vec::new() }
    }

    fn add(&mut self, _: &mut Cx<Self>, photo: BlobHandle) {
        self.photos.push(photo);
    }

    fn clear(&mut self, _: &mut Cx<Self>, (): ()) {
        self.photos.clear();
    }
}

fn config(version: u32, password: Option<&str>) -> Config {
    let app = teatime::App::builder::<Album>("org.example.album").version(version);
    let app = app.build().expect("it declares one model with a valid id");
    Config::new(app, "holidays", &()).expect("it has no options").password(password)
}

fn server() -> Server {
    Server::bind("127.0.0.1:0", ServerConfig::default()).expect("there is a free port")
}

fn data(server: &Server, password: Option<&str>) -> Blobs {
    Blobs::new(&config(1, password), &server.url()).expect("the configuration is right")
}

fn photo(seed: u8) -> Vec<u8> {
    (0..1_000_000).map(|at| (at / 7) as u8 ^ seed).collect()
}

#[test]
fn a_handle_outlives_the_version_of_the_model_and_no_other_room_or_password_knows_it() {
    let server = server();
    let photo = photo(1);
    let handle = data(&server, Some("pw")).store(&photo).expect("there is room");
    let newer = Blobs::new(&config(2, Some("pw")), &server.url()).expect("it is right");
    assert_eq!(newer.fetch(handle), Ok(photo));
    for other in [data(&server, None), data(&server, Some("wp"))] {
        assert!(!other.owns(&handle));
        assert_eq!(other.fetch(handle), Err(BlobError::OtherSession));
    }
}

fn bytes_in(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("it is there");
    entries.map(|entry| entry.and_then(|entry| entry.metadata()).expect("it is there").len()).sum()
}

#[test]
fn what_was_fetched_once_needs_no_server_until_the_cache_is_full_or_damaged() {
    let directory = tempfile::tempdir().expect("there is room");
    let server = server();
    let most = 2_200_000;
    let plain = data(&server, Some("pw"));
    let cached = || plain.clone().with_cache(directory.path(), most).expect("it can be made");
    let handles: Vec<_> =
        (0..3).map(|seed| plain.store(&photo(seed)).expect("there is room")).collect();
    let first = cached();
    for (seed, handle) in (0..).zip(&handles) {
        assert_eq!(first.fetch(*handle), Ok(photo(seed)));
        assert!(bytes_in(directory.path()) <= most);
    }
    // A damaged piece is fetched from the server again, and is right from then on.
    for entry in fs::read_dir(directory.path()).expect("it is there").flatten() {
        let mut bytes = fs::read(entry.path()).expect("it is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(entry.path(), bytes).expect("it can be written");
    }
    let again = cached();
    assert_eq!(again.fetch(handles[2]), Ok(photo(2)));
    // One program was killed while it wrote a piece, long ago. Another one is writing a piece now.
    let piece = "ab".repeat(32);
    let left =
        [format!("{piece}.1"), format!("{piece}.2-3")].map(|name| directory.path().join(name));
    left.iter().for_each(|file| fs::write(file, b"a part").expect("there is room"));
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(4000);
    let old = fs::File::options().write(true).open(&left[0]).expect("it is there");
    old.set_modified(long_ago).expect("it can be set");
    drop(cached());
    assert_eq!(left.map(|file| file.exists()), [false, true]);
    drop(server);
    // The next program finds them too.
    assert_eq!(cached().fetch(handles[2]), Ok(photo(2)));
    assert!(matches!(cached().fetch(handles[0]), Err(BlobError::Unreachable(_))));
}

#[test]
fn a_file_is_there_whole_or_as_it_was() {
    let directory = tempfile::tempdir().expect("there is room");
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    let server = server();
    let data = data(&server, None);
    fs::write(&from, photo(4)).expect("there is room");
    fs::write(&to, b"before").expect("there is room");
    let handle = data.store_file(&from, &mut |_| ControlFlow::Continue(())).expect("it is read");
    let cancelled = data.fetch_file(handle, &to, &mut |progress| {
        if progress.done > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(cancelled, Err(BlobError::Cancelled));
    assert_eq!(fs::read(&to).expect("it is there"), b"before");
    data.fetch_file(handle, &to, &mut |_| ControlFlow::Continue(())).expect("it is there");
    assert_eq!(fs::read(&to).expect("it is there"), photo(4));
    assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 2);
    let missing = data.store_file(Path::new("/nowhere"), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(missing, Err(BlobError::Local(_))));
    // The error names the path of a folder or a device.
    for none in [directory.path(), Path::new("/dev/zero")].into_iter().filter(|one| one.exists()) {
        let error = data.store_file(none, &mut |_| ControlFlow::Continue(()));
        let Err(BlobError::Local(why)) = error else { panic!("{error:?}") };
        assert!(why.starts_with(&none.display().to_string()), "{why}");
    }
}

#[test]
fn a_blob_goes_when_the_state_ceases_to_refer_to_it_and_late_joiners_load_such_states() {
    [None, Some("pw")].into_iter().for_each(goes_when_nothing_refers_to_it);
}

fn goes_when_nothing_refers_to_it(password: Option<&str>) {
    let limits = VaultLimits { grace: 0, ..VaultLimits::IN_MEMORY };
    let blobs = SharedBlobs::open(MemoryFiles::default(), limits).expect("it is in memory");
    // Every event in the log triggers a snapshot.
    let reflector = ReflectorConfig {
        snapshot_after_events: 1,
        vote_retry: 50_000,
        ..ReflectorConfig::default()
    };
    let config = ServerConfig { blobs: Some(blobs.clone()), reflector, ..ServerConfig::default() };
    let server = Server::bind("127.0.0.1:0", config).expect("there is a free port");
    let data = data(&server, password);
    let photo = photo(9);
    let handle = data.store(&photo).expect("there is room");
    let mut first = Peer::live_of(self::config(1, password), &server);
    first.driver.publish("album", "add", &handle).expect("it has joined");
    let photos = |peer: &Peer| {
        let vm = peer.driver.vm()?;
        Some(vm.root::<Album>()?.photos.clone())
    };
    until("the photo", &mut [&mut first], |all| photos(all[0]) == Some(vec![handle]));
    agree(&mut [&mut first]);
    // The state has its handle: the blob stays, and a late joiner can fetch it.
    let mut second = Peer::of(self::config(1, password), &server);
    until("the state", &mut [&mut first, &mut second], |all| photos(all[1]) == Some(vec![handle]));
    agree(&mut [&mut first, &mut second]);
    assert_eq!(data.fetch(handle).as_ref(), Ok(&photo));
    first.driver.publish("album", "clear", &()).expect("it has joined");
    until("an empty album", &mut [&mut first, &mut second], |all| photos(all[1]) == Some(vec![]));
    let gone = |all: &mut [&mut Peer]| {
        // The log grows, so there are snapshots.
        let _ = all[0].driver.publish("album", "clear", &());
        blobs.collect().expect("it is in memory");
        blobs.usage() == VaultUse::default()
    };
    until("the end of the photo", &mut [&mut first, &mut second], gone);
    assert_eq!(data.fetch(handle), Err(BlobError::Unknown));
}

#[test]
fn a_transfer_runs_by_itself_wakes_its_owner_and_can_be_cancelled() {
    let server = server();
    let data = data(&server, Some("pw"));
    let (sender, woken) = std::sync::mpsc::channel();
    let waker: teatime::Waker = std::sync::Arc::new(move || {
        let _ = sender.send(());
    });
    let content = photo(5);
    let source = std::io::Cursor::new(content.clone());
    let patience = Duration::from_secs(120);
    let store = data.start_store(content.len() as u64, source, waker.clone()).expect("it starts");
    let handle = store.wait(patience).expect("it ends").expect("there is room");
    assert_eq!((store.progress().done, store.progress().total), (1_000_000, 1_000_000));
    assert!(woken.recv_timeout(patience).is_ok() && store.poll().is_none());
    let fetch = data.start_fetch(handle, waker.clone()).expect("it starts");
    assert_eq!(fetch.wait(patience), Some(Ok(content)));
    // No server answers there, and the transfer tries for seconds.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let url = format!("ws://{}", silent.local_addr().expect("it listens"));
    let nowhere = Blobs::new(&config(1, Some("pw")), &url).expect("it is right");
    let fetch = nowhere.start_fetch(handle, waker).expect("it starts");
    assert_eq!(fetch.wait(Duration::from_millis(50)), None);
    fetch.cancel();
    assert_eq!(fetch.wait(patience), Some(Err(BlobError::Cancelled)));
}

/// Counts the bytes that are read.
struct Counted(MemoryFiles, Arc<AtomicUsize>);

impl ChunkFiles for Counted {
    fn list(&mut self) -> io::Result<Vec<(ChunkName, u64)>> {
        self.0.list()
    }

    fn write(&mut self, name: &ChunkName, bytes: &[u8]) -> io::Result<()> {
        self.0.write(name, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }

    fn read(&mut self, name: &ChunkName) -> io::Result<Vec<u8>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read(name)
    }

    fn remove(&mut self, name: &ChunkName) -> io::Result<()> {
        self.0.remove(name)
    }
}

/// Blobs of several servers after each other, and how often their chunks are read.
fn counted() -> (SharedBlobs, Arc<AtomicUsize>) {
    let reads = Arc::new(AtomicUsize::new(0));
    let files = Counted(MemoryFiles::default(), reads.clone());
    (SharedBlobs::open(files, VaultLimits::IN_MEMORY).expect("it is in memory"), reads)
}

fn served(blobs: &SharedBlobs) -> Server {
    let config = ServerConfig { blobs: Some(blobs.clone()), ..ServerConfig::default() };
    Server::bind("127.0.0.1:0", config).expect("there is a free port")
}

#[test]
fn a_file_of_which_a_part_is_there_is_not_fetched_from_the_beginning() {
    let (blobs, reads) = counted();
    let go_on = &mut |_| ControlFlow::Continue(());
    let server = served(&blobs);
    for password in [None, Some("pw")] {
        let directory = tempfile::tempdir().expect("there is room");
        let to = directory.path().join("photo");
        let data = data(&server, password);
        // Four chunks.
        let photo = photo(7);
        let handle = data.store(&photo).expect("there is room");
        let root = handle.root().to_string();
        let part = directory.path().join(format!("photo.{}.part", &root[..16]));
        let chunk = teatime_blobs::limits::BLOB_CHUNK;
        let mut damaged = photo.clone();
        damaged[chunk + 5] ^= 1;
        let longer = [&photo[..], b"and more"].concat();
        // With the manifest, and with the file of a killed program: how many bytes are read.
        for (left, expected) in [
            (&b""[..], 5),
            (&photo[..2 * chunk + 9], 3),
            (&photo[..3 * chunk], 2),
            (&damaged[..], 4),
            (&photo[..], 1),
            (&longer[..], 2),
            (b"rubbish", 5),
        ] {
            fs::write(&part, left).expect("there is room");
            reads.store(0, Ordering::Relaxed);
            data.fetch_file(handle, &to, go_on).expect("it is there");
            assert_eq!(fs::read(&to).expect("it is there"), photo);
            assert_eq!(reads.load(Ordering::Relaxed), expected, "{} bytes", left.len());
            assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 1);
        }
        // Only one transfer fetches it at a time; one that waits can be cancelled.
        let cancelled = data.fetch_file(handle, &to, &mut |_| {
            let again = data.fetch_file(handle, &to, &mut |_| ControlFlow::Break(()));
            assert_eq!(again, Err(BlobError::Cancelled));
            ControlFlow::Break(())
        });
        // The file is empty.
        assert_eq!((cancelled, part.exists()), (Err(BlobError::Cancelled), false));
        // What was fetched before stays, whatever ends the transfer, unless the blob cannot be fetched at all.
        let closed = Server::bind("127.0.0.1:0", ServerConfig::default());
        let closed = closed.expect("there is a free port");
        let other = self::data(&closed, password);
        for (data, kept) in [(&data, true), (&other, false)] {
            fs::write(&part, &photo[..2 * chunk]).expect("there is room");
            let ended = data.fetch_file(handle, &to, &mut |progress| {
                if progress.done > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let error = if kept { BlobError::Cancelled } else { BlobError::Unknown };
            assert_eq!((ended, part.exists()), (Err(error), kept));
        }
        assert_eq!(fs::read(&to).expect("it is there"), photo);
    }
}

#[test]
fn what_has_arrived_stays_when_the_server_shuts_down() {
    let (blobs, reads) = counted();
    let server = served(&blobs);
    let directory = tempfile::tempdir().expect("there is room");
    let to = directory.path().join("film");
    let film: Vec<u8> = (0..60 * 262_144).map(|at| (at / 5 + at / 262_144) as u8).collect();
    let handle = data(&server, None).store(&film).expect("there is room");
    let data_here = data(&server, None);
    let mut server = Some(server);
    let lost = data_here.fetch_file(handle, &to, &mut |progress| {
        if progress.done > 0 {
            drop(server.take());
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(lost, Err(BlobError::Unreachable(_))), "{lost:?}");
    assert!(!to.exists());
    assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 1);
    reads.store(0, Ordering::Relaxed);
    let go_on = &mut |_| ControlFlow::Continue(());
    data(&served(&blobs), None).fetch_file(handle, &to, go_on).expect("it is there");
    assert!(fs::read(&to).expect("it is there") == film);
    assert!(reads.load(Ordering::Relaxed) < 61);
    assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 1);
}

#[cfg(unix)]
#[test]
fn a_part_that_is_a_link_is_neither_written_nor_used() {
    let server = server();
    let data = data(&server, None);
    let handle = data.store(&photo(7)).expect("there is room");
    let part = format!("photo.{}.part", &handle.root().to_string()[..16]);
    let go_on = &mut |_| ControlFlow::Continue(());
    let directory = || {
        let directory = tempfile::tempdir().expect("there is room");
        let other = directory.path().join("other");
        fs::write(&other, b"precious").expect("there is room");
        let (to, part) = (directory.path().join("photo"), directory.path().join(&part));
        (directory, to, part, other)
    };
    // Not a plain file.
    let (_directory, to, part, other) = directory();
    std::os::unix::fs::symlink(&other, part).expect("it can be made");
    let refused = data.fetch_file(handle, &to, go_on);
    assert!(matches!(refused, Err(BlobError::Local(why)) if why.contains("not a plain file")));
    assert_eq!(fs::read(&other).expect("it is there"), b"precious");
    // A file with a second name.
    let (_directory, to, part, other) = directory();
    fs::hard_link(&other, part).expect("it can be made");
    data.fetch_file(handle, &to, go_on).expect("it is there");
    assert_eq!(fs::read(&other).expect("it is there"), b"precious");
    assert_eq!(fs::read(&to).expect("it is there"), photo(7));
}

#[test]
fn a_second_fetch_into_one_file_waits_and_fetches_nothing_twice() {
    let reads = Arc::new(AtomicUsize::new(0));
    let files = Counted(MemoryFiles::default(), reads.clone());
    let blobs = SharedBlobs::open(files, VaultLimits::IN_MEMORY).expect("it is in memory");
    let config = ServerConfig { blobs: Some(blobs), ..ServerConfig::default() };
    let server = Server::bind("127.0.0.1:0", config).expect("there is a free port");
    let data = data(&server, Some("pw"));
    let directory = tempfile::tempdir().expect("there is room");
    let to = directory.path().join("photo");
    let handle = data.store(&photo(3)).expect("there is room");
    reads.store(0, Ordering::Relaxed);
    let cancel = std::sync::atomic::AtomicBool::new(false);
    let fetch =
        |watch: &mut dyn FnMut() -> ControlFlow<()>| data.fetch_file(handle, &to, &mut |_| watch());
    std::thread::scope(|scope| {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let first = scope.spawn(|| {
            let begun = begun;
            fetch(&mut || {
                // It holds the file until it is cancelled.
                let _ = begun.send(());
                while !cancel.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                ControlFlow::Break(())
            })
        });
        has_begun.recv().expect("it begins");
        // A transfer that starts meanwhile asks at once whether to wait.
        let again: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    fetch(&mut || {
                        cancel.store(true, Ordering::Release);
                        ControlFlow::Continue(())
                    })
                })
            })
            .collect();
        assert_eq!(first.join().expect("it does not panic"), Err(BlobError::Cancelled));
        for one in again {
            assert_eq!(one.join().expect("it does not panic"), Ok(()));
        }
    });
    assert_eq!(fs::read(&to).expect("it is there"), photo(3));
    assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 1);
    // Four chunks; the manifest is not stored anywhere.
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads <= 4 + 4 + 1, "{reads}");
}
