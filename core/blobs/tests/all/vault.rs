//! A vault whose files fail one by one, and how a vault bounds what it stores.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};

use teatime_blobs::limits::{BLOB_CHUNK, counts_as};
use teatime_blobs::{
    ChunkFiles, ChunkName, Completion, Kind, MemoryFiles, Vault, VaultLimits, check,
};
use teatime_wire::{BlobLimits, Digest, Holding, Refused, SessionId};

const SPACE: Digest = Digest([5; 32]);
const SESSION: SessionId = SessionId([1; 32]);
const LONG: u64 = VaultLimits::IN_MEMORY.unclaimed;

/// Files, some of them impossible to read or to remove.
#[derive(Clone, Default)]
struct Failing {
    files: Arc<Mutex<MemoryFiles>>,
    broken: Arc<Mutex<HashSet<ChunkName>>>,
    /// Number of syncs that succeed before the first that fails. `None` if all succeed.
    syncs: Arc<Mutex<Option<usize>>>,
}

impl Failing {
    fn with<R>(&self, run: impl FnOnce(&mut MemoryFiles) -> R) -> R {
        run(&mut self.files.lock().expect("no test thread panics while it holds this"))
    }

    fn names(&self, kind: Kind) -> Vec<ChunkName> {
        let all = self.with(|files| files.list().expect("it is in memory"));
        let mut names: Vec<_> = all.into_iter().map(|(name, _)| name).collect();
        names.retain(|name| name.kind == kind);
        names.sort_unstable();
        names
    }

    fn bytes(&self) -> u64 {
        self.with(|files| files.list().expect("it is in memory")).iter().map(|(_, len)| len).sum()
    }

    fn break_down(&self, name: ChunkName) {
        self.broken.lock().expect("no test thread panics while it holds this").insert(name);
    }

    fn check(&self, name: &ChunkName) -> io::Result<()> {
        let is_broken =
            self.broken.lock().expect("no test thread panics while it holds this").contains(name);
        if is_broken { Err(io::Error::other("broken")) } else { Ok(()) }
    }
}

impl ChunkFiles for Failing {
    fn list(&mut self) -> io::Result<Vec<(ChunkName, u64)>> {
        self.with(MemoryFiles::list)
    }

    fn write(&mut self, name: &ChunkName, bytes: &[u8]) -> io::Result<()> {
        self.with(|files| files.write(name, bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        match &mut *self.syncs.lock().expect("no test thread panics while it holds this") {
            Some(0) => Err(io::Error::other("broken")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn read(&mut self, name: &ChunkName) -> io::Result<Vec<u8>> {
        self.check(name)?;
        self.with(|files| files.read(name))
    }

    fn remove(&mut self, name: &ChunkName) -> io::Result<()> {
        self.check(name)?;
        self.with(|files| files.remove(name))
    }
}

fn open(files: &Failing) -> Vault<Failing> {
    Vault::open(files.clone(), VaultLimits::IN_MEMORY, 0).expect("it can be listed")
}

/// The manifest of a blob of one chunk of this many bytes.
fn manifest(chunk: Digest, size: u64) -> Vec<u8> {
    [&b"TEABLOB1"[..], &size.to_be_bytes(), &chunk.0].concat()
}

fn store<F: ChunkFiles>(vault: &mut Vault<F>, content: &[u8]) -> Result<Digest, Refused> {
    let chunk = vault.put(0, SPACE, content)?;
    let manifest = manifest(chunk, content.len() as u64);
    match vault.complete(0, SPACE, &manifest)? {
        Completion::Stored(root) => Ok(root),
        other => panic!("the chunk was just stored: {other:?}"),
    }
}

#[test]
fn a_blob_that_cannot_be_made_durable_is_neither_confirmed_nor_counted() {
    let files = Failing::default();
    let mut vault = open(&files);
    let chunk = vault.put(0, SPACE, b"content").expect("there is room");
    let (before, room) = (vault.usage(), vault.limits_for(SPACE));
    *files.syncs.lock().expect("no test thread panics while it holds this") = Some(0);
    for _ in 0..3 {
        let done = vault.complete(0, SPACE, &manifest(chunk, 7));
        assert_eq!(done, Err(Refused::Failed));
        assert_eq!((vault.usage(), vault.limits_for(SPACE)), (before, room));
        assert_eq!(files.bytes(), before.bytes);
    }
    *files.syncs.lock().expect("no test thread panics while it holds this") = None;
    store(&mut vault, b"content").expect("it works again");
    assert_eq!(files.bytes(), vault.usage().bytes);
}

#[test]
fn a_file_that_cannot_be_removed_does_not_prevent_removing_others() {
    let files = Failing::default();
    let mut vault = open(&files);
    for content in [b"a", b"b", b"c"] {
        store(&mut vault, content).expect("there is room");
    }
    for kind in [Kind::Manifest, Kind::Chunk] {
        files.break_down(files.names(kind)[1]);
    }
    assert!(vault.collect(LONG).is_err());
    // The remaining manifest cannot be read and may need any chunk, so all chunks stay.
    assert_eq!(files.names(Kind::Manifest).len(), 1);
    files
        .broken
        .lock()
        .expect("no test thread panics while it holds this")
        .retain(|name| name.kind == Kind::Chunk);
    assert!(vault.collect(LONG).is_err());
    assert_eq!((files.names(Kind::Manifest).len(), files.names(Kind::Chunk).len()), (0, 1));
    files.broken.lock().expect("no test thread panics while it holds this").clear();
    vault.collect(LONG).expect("it works again");
    assert_eq!((files.bytes(), vault.usage().bytes), (0, 0));
}

#[test]
fn a_file_that_cannot_be_read_does_not_prevent_reading_others() {
    let files = Failing::default();
    let mut vault = open(&files);
    vault.hear(0, SPACE, SESSION, Holding::Awake(vec![])).expect("it is in memory");
    let roots = [b"a", b"b"].map(|content| store(&mut vault, content).expect("there is room"));
    vault.hear(0, SPACE, SESSION, Holding::Snapshot(vec![], 0)).expect("it is in memory");
    vault.save().expect("it is in memory");
    for kind in [Kind::Manifest, Kind::Chunk, Kind::References, Kind::Times] {
        let broken = files.names(kind)[0];
        files.break_down(broken);
        let mut again = open(&files);
        let whole = roots.iter().filter(|root| matches!(again.get(0, SPACE, **root), Ok(Some(_))));
        let expected = if kind == Kind::Manifest { 1 } else { 2 };
        assert_eq!(whole.count(), expected, "{kind:?}");
        // A session whose references are unknown may need all blobs.
        let _ = again.collect(LONG);
        assert_eq!(files.names(Kind::Manifest).len() + files.names(Kind::Chunk).len(), 4);
        let mut sound = 0;
        let found = check(&mut files.clone(), |_, _| {
            sound += 1;
            Ok(())
        });
        let found = found.expect("it can be listed");
        assert_eq!(found.damaged, [broken]);
        assert_eq!(found.incomplete.len(), usize::from(kind == Kind::Chunk));
        assert_eq!(sound, if kind == Kind::Chunk { 4 } else { 5 });
        files.broken.lock().expect("no test thread panics while it holds this").clear();
    }
}

#[test]
fn even_the_smallest_pieces_use_up_the_room() {
    let limits = VaultLimits { max_space: 1 << 20, max_total: 3 << 19, ..VaultLimits::IN_MEMORY };
    let mut vault = Vault::open(MemoryFiles::default(), limits, 0).expect("empty");
    let fill = |vault: &mut Vault<MemoryFiles>, space| {
        let kept = (0_u32..).take_while(|number| {
            let put = vault.put(0, space, &number.to_be_bytes());
            put.map_err(|refused| assert_eq!(refused, Refused::NoRoom)).is_ok()
        });
        kept.count() as u64
    };
    assert_eq!(fill(&mut vault, SPACE), (1 << 20) / counts_as(4));
    let rest = (3 << 19) - (1 << 20) / counts_as(4) * counts_as(4);
    assert_eq!(fill(&mut vault, Digest([6; 32])), rest / counts_as(4));
    assert!(counts_as(1) >= 4096 && counts_as(BLOB_CHUNK as u64) > BLOB_CHUNK as u64);
}

#[test]
fn lists_of_references_use_up_room_too_and_a_list_without_room_is_dropped() {
    let limits = VaultLimits { max_space: 1 << 20, ..VaultLimits::IN_MEMORY };
    let files = Failing::default();
    let mut vault = Vault::open(files.clone(), limits, 0).expect("empty");
    let content = store(&mut vault, b"content").expect("there is room");
    let list = |length: u64| {
        let root =
            |at: u64| Digest([&[at.to_be_bytes(); 4][..]].concat().concat().try_into().unwrap());
        Holding::Snapshot((0..length).map(root).collect(), 0)
    };
    let before = vault.limits_for(SPACE).room;
    vault.hear(0, SPACE, SESSION, list(1000)).expect("it is in memory");
    assert_eq!(vault.limits_for(SPACE).room, before - 64 * 1000);
    vault.hear(LONG, SPACE, SESSION, list(1 << 20)).expect("it is in memory");
    let BlobLimits { room, .. } = vault.limits_for(SPACE);
    assert_eq!(room, before);
    // The list was dropped, so the session may need all blobs.
    assert_eq!(vault.collect(90 * LONG).expect("it is in memory").blobs, 0);
    assert!(vault.get(0, SPACE, content).is_ok_and(|bytes| bytes.is_some()));
    assert!(files.bytes() < 10_000);
}
