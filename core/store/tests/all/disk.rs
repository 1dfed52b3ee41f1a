//! On a real disk: one at a time, private files, few of them open, tools, speed.

use crate::common::content::Content;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::common::content::{content, history};
use crate::common::{id, small};
use teatime_reflector::storage::RecordKind::Ordered;
use teatime_store::{
    Config, DiskStore, Durability, Error, Key, Retention, check, export, import, list,
};

fn written(dir: &Path) -> Content {
    let config = small(Durability::Process, 300);
    let mut store = DiskStore::open_dir(dir, config).expect("a new store");
    history().iter().for_each(|step| step.take(&mut store).expect("nothing fails"));
    content(&store).expect("readable")
}

/// Set for this same program when it runs as the second process.
const SECOND: &str = "TEATIME_STORE_SECOND_PROCESS";

#[test]
fn a_second_process_is_refused_until_the_first_has_ended() {
    if let Some(dir) = std::env::var_os(SECOND) {
        let opened = DiskStore::open_dir(dir, Config::default());
        std::process::exit(if matches!(opened, Err(Error::Locked)) { 42 } else { 43 });
    }
    let dir = tempfile::tempdir().expect("a directory");
    let store = DiskStore::open_dir(dir.path(), Config::default()).expect("a new store");
    let again = || DiskStore::open_dir(dir.path(), Config::default());
    assert!(matches!(again(), Err(Error::Locked)));
    assert!(matches!(check(dir.path()), Err(Error::Locked)));
    let me = std::env::current_exe().expect("a path");
    let second = |code| {
        let test = "disk::a_second_process_is_refused_until_the_first_has_ended";
        let status = Command::new(&me)
            .args(["--exact", test])
            .env(SECOND, dir.path())
            .status()
            .expect("it starts");
        assert_eq!(status.code(), Some(code));
    };
    second(42);
    drop(store);
    second(43);
    again().expect("no process has it open");
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_files_and_few_of_them_are_open() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().join("deep/store");
    written(&dir);
    let mut seen = 0;
    let mut folders = vec![dir.clone()];
    while let Some(folder) = folders.pop() {
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in fs::read_dir(&folder).expect("listed") {
            let path = entry.expect("listed").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 4, "{seen} files");
    let open = || {
        let links = fs::read_dir("/proc/self/fd").expect("listed").flatten();
        let links = links.filter_map(|link| fs::read_link(link.path()).ok());
        links.filter(|path| path.starts_with(&dir)).count()
    };
    let store = DiskStore::open_dir(&dir, small(Durability::Process, 300)).expect("it opens");
    content(&store).expect("readable");
    assert!(store.stats().segments > 2);
    if Path::new("/proc/self/fd").exists() {
        assert!((2..=3).contains(&open()), "{} files are open", open());
        drop(store);
        assert_eq!(open(), 0);
    }
}

#[test]
fn tools_report_what_is_there_and_change_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(matches!(check(dir.path()), Err(Error::NoStore)));
    assert!(matches!(list(dir.path().join("none")), Err(Error::NoStore)));
    let wanted = written(dir.path());
    let report = check(dir.path()).expect("it looks");
    assert!(report.problem.is_none() && report.torn.is_none(), "{report:?}");
    assert_eq!((report.sessions, report.rooms), (wanted.len(), 0));
    let records: usize = wanted.values().map(|session| session.records.len()).sum();
    assert_eq!(report.records, records as u64);
    let listed = list(dir.path()).expect("it looks");
    assert!(listed.iter().map(|info| info.key).eq(wanted.keys().copied()));

    let newest = fs::read_dir(dir.path().join("log")).expect("listed").flatten();
    let newest = newest.map(|entry| entry.path()).max().expect("there is a log");
    let bytes = fs::read(&newest).expect("readable");
    fs::write(&newest, [&bytes[..], b"torn"].concat()).expect("written");
    let report = check(dir.path()).expect("it looks");
    let Some(Error::Corrupt { offset, .. }) = report.torn else { panic!("{report:?}") };
    assert_eq!(offset, bytes.len() as u64);
    assert_eq!(fs::read(&newest).expect("readable").len(), bytes.len() + 4, "it was changed");
    fs::write(&newest, &bytes).expect("written");

    let checkpoints = fs::read_dir(dir.path().join("checkpoints")).expect("listed").flatten();
    let checkpoint = checkpoints.map(|entry| entry.path()).next().expect("there is one");
    let mut wrong = fs::read(&checkpoint).expect("readable");
    wrong[0] ^= 1;
    fs::write(&checkpoint, wrong).expect("written");
    let report = check(dir.path()).expect("it looks");
    let Some(Error::Corrupt { file, .. }) = report.problem else { panic!("{report:?}") };
    assert_eq!(dir.path().join(file), checkpoint);
}

#[test]
fn a_session_is_exported_as_one_stream_and_importing_overwrites_nothing() {
    let (from, to) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    let wanted = written(from.path());
    for (key, stored) in &wanted {
        let mut stream = Vec::new();
        let bytes = export(from.path(), *key, &mut stream).expect("written");
        assert_eq!(bytes, stream.len() as u64);
        assert_eq!(import(to.path(), &stream[..]).expect("read"), *key);
        assert!(matches!(import(to.path(), &stream[..]), Err(Error::Exists)));
        let store = DiskStore::open_dir(to.path(), Config::default()).expect("it opens");
        assert_eq!(store.load(*key).expect("readable").as_ref(), Some(stored));
    }
    let unknown = export(from.path(), id(99), Vec::new());
    assert!(matches!(unknown, Err(Error::Unknown)), "{unknown:?}");
}

#[test]
fn a_damaged_stream_is_never_imported() {
    let (from, to) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    written(from.path());
    let mut stream = Vec::new();
    export(from.path(), id(2), &mut stream).expect("written");
    for length in 0..stream.len() {
        let cut = import(to.path(), &stream[..length]);
        assert!(matches!(cut, Err(Error::Corrupt { .. })), "{length} bytes: {cut:?}");
    }
    for bit in 0..stream.len() * 8 {
        stream[bit / 8] ^= 1 << (bit % 8);
        let wrong = import(to.path(), &stream[..]);
        assert!(
            matches!(wrong, Err(Error::Corrupt { .. } | Error::OtherFormat { .. })),
            "bit {bit}: {wrong:?}"
        );
        stream[bit / 8] ^= 1 << (bit % 8);
    }
    stream.push(0);
    let more = import(to.path(), &stream[..]);
    assert!(matches!(more, Err(Error::Corrupt { .. })), "{more:?}");
    assert!(!to.path().join("FORMAT").exists(), "a store was made for a damaged stream");
}

#[test]
fn unused_sessions_are_removed_the_oldest_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = Config { durability: Durability::Process, ..Config::default() };
    let mut store = DiskStore::open_dir(dir.path(), config.clone()).expect("a new store");
    for n in 1..=5 {
        store.begin(id(n), &[0; 1000]).expect("begun");
        // So it counts as used.
        store.checkpoint(id(n), 0, &vec![0; if n == 2 { 5000 } else { 1 }]).expect("written");
    }
    let generous = Retention { max_age_unused: 1600, max_bytes: u64::MAX };
    let unused = |_: &Key| false;
    assert!(store.retain(&generous, &unused, 10_000).expect("retained").is_empty());
    // Session 1 is in use, the others were last used at 10,000; 5 is used once more.
    let some = |key: &Key| *key == id(1) || *key == id(5);
    assert!(store.retain(&generous, &some, 11_600).expect("retained").is_empty());
    drop(store);
    let mut store = DiskStore::open_dir(dir.path(), config).expect("it opens");
    let one = |key: &Key| *key == id(1);
    let tight = Retention { max_bytes: 9000, ..generous };
    let gone = store.retain(&tight, &one, 11_600).expect("retained");
    assert_eq!(gone, [id(2)], "the first that makes it fit");
    let gone = store.retain(&generous, &one, 11_601).expect("retained");
    assert_eq!(gone, [id(3), id(4)], "unused for longer than 1,600 s");
    let gone =
        store.retain(&Retention { max_bytes: 0, ..generous }, &one, 11_601).expect("retained");
    assert_eq!(gone, [id(5)], "what is in use stays");
    assert_eq!(store.stats().keys, 1);
    assert_eq!(fs::read_dir(dir.path().join("checkpoints")).expect("listed").count(), 1);
}

#[test]
fn sessions_that_participants_only_joined_go_before_all_others_and_after_a_day() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = Config { durability: Durability::Process, ..Config::default() };
    let mut store = DiskStore::open_dir(dir.path(), config).expect("a new store");
    let unused = |_: &Key| false;
    let policy = Retention { max_age_unused: 365 * 86_400, max_bytes: u64::MAX };
    store.begin(id(1), &[0; 1000]).expect("begun");
    store.checkpoint(id(1), 0, &[0; 1000]).expect("written");
    assert!(store.retain(&policy, &unused, 1_000_000).expect("retained").is_empty());
    // A stranger makes many sessions later.
    for n in 2..=9 {
        store.begin(id(n), &[0; 1000]).expect("begun");
    }
    assert!(store.retain(&policy, &unused, 1_080_000).expect("retained").is_empty());
    let tight = Retention { max_bytes: 4000, ..policy };
    let gone = store.retain(&tight, &unused, 1_080_000).expect("retained");
    assert!(gone.len() > 5 && !gone.contains(&id(1)), "{gone:?}");
    let gone = store.retain(&policy, &unused, 1_080_000 + 86_401).expect("retained");
    assert_eq!((gone.contains(&id(1)), store.stats().keys), (false, 1));
}

#[test]
fn a_million_records_are_written_and_found_again_in_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = Config { durability: Durability::Process, ..Config::default() };
    let start = Instant::now();
    let mut store = DiskStore::open_dir(dir.path(), config.clone()).expect("a new store");
    (0..100).for_each(|n| store.begin(id(n), b"head").expect("begun"));
    for at in 0..1_000_000u64 {
        store.append(id((at % 100) as u8), at, Ordered, &at.to_le_bytes()).expect("taken");
        if at % 64 == 63 {
            store.commit().expect("written");
        }
    }
    drop(store);
    let store = DiskStore::open_dir(dir.path(), config).expect("it opens");
    let records: u64 = store.infos().iter().map(|session| session.records).sum();
    assert_eq!(records, 1_000_000);
    let last = store.load(id(99)).expect("readable").expect("there").records.pop();
    assert_eq!(last.expect("it has some").bytes, &999_999u64.to_le_bytes()[..]);
    // About two seconds on an idle machine.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn a_store_knows_how_long_its_log_was_not_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let open = || DiskStore::open_dir(dir.path(), Config::default()).expect("it opens");
    let mut store = open();
    assert_eq!(store.unused_for(), None);
    store.begin(id(1), b"head").expect("begun");
    store.commit().expect("written");
    drop(store);
    let hour = Duration::from_secs(3_600);
    let age = |back: Duration| {
        for file in fs::read_dir(dir.path().join("log")).expect("there is a log") {
            let file = fs::File::options().append(true).open(file.expect("a file").path());
            let changed = SystemTime::now() - back;
            file.expect("it opens").set_modified(changed).expect("it can be set");
        }
    };
    age(hour);
    let unused = open().unused_for().expect("the disk knows");
    assert!((3_600..3_660).contains(&(unused / 1_000_000)), "{unused} µs");
    // To open it is not to use it.
    assert!(open().unused_for() >= Some(unused));
}
