//! Reflectors share a store: none waits for the disk, none takes a session from another, and every request
//! is answered once.

use std::time::{Duration, Instant};

use teatime_reflector::storage::{
    Answer, Append, Claims, Record, RecordKind, Request, RoomId, Storage, StorageError, Ticket,
};
use teatime_store::{
    Crash, Disk, Durability, Key, MemoryDisk, MemoryStore, Retention, Shared, Store, Upkeep,
};
use teatime_wire::{Digest, SessionId};

use crate::common::gate::{At, Gated};
use crate::common::handle::{Handle, checkpoint, persist, record, records};
use crate::common::{small, used};

const ONE: SessionId = SessionId([1; 32]);
const TWO: SessionId = SessionId([2; 32]);
const ROOM: RoomId = RoomId { name: Digest([3; 32]), id: Digest([4; 32]) };
const BOTH: [Durability; 2] = [Durability::Process, Durability::Power];

fn open<D: Disk>(disk: &D, durability: Durability) -> Store<D> {
    Store::open(disk.clone(), small(durability, 100_000)).expect("it opens")
}

fn found(disk: &MemoryDisk, crash: Crash) -> Handle<MemoryDisk> {
    Handle::alone(open(&disk.crash(crash, 1), Durability::Process))
}

/// The second record of a session.
fn second_record(session: SessionId) -> Request {
    Request::Append(records(session, [record(2, b"two")]))
}

/// A disk that can hold up syncs, and two handles of its store that have begun a session each.
fn two_handles() -> (Gated, Handle<Gated>, Handle<Gated>) {
    let disk = Gated::new(At::Syncs);
    let mut one = Handle::threaded(open(&disk, Durability::Power));
    let mut two = one.another();
    one.begin(ONE, 1);
    two.begin(TWO, 1);
    (disk, one, two)
}

/// Shuts the disk while it syncs an append of the first session. Returns the ticket of that.
fn shut_in(disk: &Gated, handle: &mut Handle<Gated>) -> Ticket {
    disk.set_shut(true);
    let ticket = handle.ask(second_record(ONE));
    disk.wait_until_reached();
    ticket
}

fn checkpoints(disk: &MemoryDisk) -> Vec<Vec<u8>> {
    let files = disk.files().into_iter();
    files.filter(|(name, _)| name.starts_with("checkpoints/")).map(|(_, data)| data).collect()
}

#[test]
fn appends_do_not_wait_for_a_checkpoint_and_it_stands_for_what_was_there_when_it_came() {
    for durability in BOTH {
        let disk = Gated::new(At::Checkpoints);
        let mut handle = Handle::threaded(open(&disk, durability));
        handle.begin(ONE, 4);
        disk.set_shut(true);
        let first = handle.ask(checkpoint(ONE, 4, b"all so far"));
        disk.wait_until_reached();
        // With the sequence number of the checkpoint, but after it.
        let time = Record { seq: 4, kind: RecordKind::Time, bytes: vec![0; 8].into() };
        handle.append(records(ONE, [time, record(5, b"later")])).expect("it does not wait");
        assert_eq!(handle.shape(ONE), (None, vec![1, 2, 3, 4, 4, 5]));
        assert_eq!(found(&disk.disk, Crash::Process).shape(ONE), (None, vec![1, 2, 3, 4, 4, 5]));
        // Two more while the first is being written: the second is never begun.
        let second = handle.ask(checkpoint(ONE, 4, b"needless"));
        handle.append(records(ONE, [record(6, b"newest")])).expect("it does not wait");
        let third = handle.ask(checkpoint(ONE, 5, b"the last"));
        assert_eq!(handle.answer_now(second), Some(Ok(Answer::Done)));
        assert_eq!((handle.answer_now(first), handle.answer_now(third)), (None, None));
        disk.set_shut(false);
        assert_eq!(handle.answer(first), Ok(Answer::Done));
        assert_eq!(handle.answer(third), Ok(Answer::Done));
        assert_eq!(handle.shape(ONE), (Some(5), vec![6]));
        handle.shared.finish();
        assert_eq!(checkpoints(&disk.disk), [b"the last"], "obsolete files are deleted");
        handle.shared.store().close().expect("all is durable");
        assert_eq!(found(&disk.disk, Crash::Power).shape(ONE), (Some(5), vec![6]));
    }
}

#[test]
fn persisted_data_is_replaced_as_a_whole_and_no_handle_waits_for_it() {
    let disk = Gated::new(At::Checkpoints);
    let mut handle = Handle::threaded(open(&disk, Durability::Process));
    let mut other = handle.another();
    assert_eq!(handle.load(Key::Room(ROOM)), Ok(None));
    disk.set_shut(true);
    let first = handle.ask(persist(ROOM, 1, b"first"));
    disk.wait_until_reached();
    other.begin(TWO, 3);
    let mut crashed = found(&disk.disk, Crash::Process);
    assert_eq!(crashed.load(Key::Room(ROOM)), Ok(None));
    assert_eq!(crashed.shape(TWO), (None, vec![1, 2, 3]));
    assert_eq!(handle.answer_now(first), None);
    disk.set_shut(false);
    assert_eq!(handle.answer(first), Ok(Answer::Done));
    let there = |disk: &MemoryDisk| {
        let stored = found(disk, Crash::Power).load(Key::Room(ROOM));
        let stored = stored.expect("readable").expect("it exists");
        assert_eq!((&stored.head[..], stored.records), (&b""[..], vec![]));
        stored.checkpoint.map(|checkpoint| (checkpoint.seq, checkpoint.bytes.to_vec()))
    };
    assert_eq!(there(&disk.disk), Some((1, b"first".to_vec())));
    handle.persist(ROOM, 2, b"second").expect("there is space");
    assert_eq!(there(&disk.disk), Some((2, b"second".to_vec())));
    disk.disk.set_capacity(Some(used(&disk.disk) + 20));
    assert_eq!(handle.persist(ROOM, 3, &[7; 100]), Err(StorageError::Full));
    disk.disk.set_capacity(None);
    assert_eq!(there(&disk.disk), Some((2, b"second".to_vec())));
    handle.persist(ROOM, 3, b"third").expect("there is space");
    assert_eq!(there(&disk.disk), Some((3, b"third".to_vec())));
}

#[test]
fn a_refused_append_leaves_nothing_and_a_refused_checkpoint_leaves_the_records() {
    for durability in BOTH {
        for threaded in [false, true] {
            let disk = MemoryDisk::default();
            let store = open(&disk, durability);
            let mut handle = if threaded { Handle::threaded(store) } else { Handle::alone(store) };
            handle.begin(ONE, 3);
            disk.set_capacity(Some(used(&disk) + 20));
            let large = Record { seq: 4, kind: RecordKind::Ordered, bytes: vec![7; 100].into() };
            assert_eq!(handle.append(records(ONE, [large])), Err(StorageError::Full));
            disk.set_capacity(None);
            assert_eq!(handle.shape(ONE), (None, vec![1, 2, 3]));
            // All or nothing: the first record would be valid.
            let disordered = [record(4, b"4"), record(2, b"2")];
            assert!(handle.append(records(ONE, disordered)).is_err());
            let unknown = records(TWO, [record(1, b"a session that never began")]);
            assert!(handle.append(unknown).is_err());
            assert_eq!(handle.shape(ONE), (None, vec![1, 2, 3]));
            disk.set_capacity(Some(used(&disk) + 300));
            handle.append(records(ONE, [record(4, b"4")])).expect("it fits");
            assert_eq!(handle.checkpoint(ONE, 3, &[7; 1000]), Err(StorageError::Full));
            assert_eq!(handle.shape(ONE), (None, vec![1, 2, 3, 4]));
            assert_eq!(checkpoints(&disk), [[0; 0]; 0]);
            // A handle that begins a session again replaces all of it.
            disk.set_capacity(None);
            handle.checkpoint(ONE, 3, b"three").expect("there is space");
            let begin = Some(b"new head"[..].into());
            let append = Append { session: ONE, begin, records: vec![record(1, b"new")] };
            handle.append(append).expect("there is space");
            assert_eq!(handle.shape(ONE), (None, vec![1]));
        }
    }
}

#[test]
fn appends_that_gather_during_a_sync_share_the_next_one_and_submitting_does_not_wait() {
    const SESSIONS: u8 = 50;
    let disk = Gated::new(At::Syncs);
    let mut handle = Handle::threaded(open(&disk, Durability::Power));
    let mut others: Vec<_> = (0..SESSIONS).map(|_| handle.another()).collect();
    handle.begin(ONE, 1);
    let session = |n: usize| SessionId([100 + n as u8; 32]);
    others.iter_mut().enumerate().for_each(|(n, other)| other.begin(session(n), 1));
    let first = shut_in(&disk, &mut handle);
    let before = disk.disk.syncs();
    let tickets: Vec<_> = (others.iter_mut().enumerate())
        .map(|(n, other)| other.ask(second_record(session(n))))
        .collect();
    assert_eq!(handle.answer_now(first), None);
    // Reading does not wait for the sync either, and shows what is committed.
    let ticket = others[0].ask(Request::Claims(ROOM));
    assert_eq!(others[0].answer(ticket), Ok(Answer::Claims(Claims::default())));
    disk.set_shut(false);
    assert_eq!(handle.answer(first), Ok(Answer::Done));
    for (other, ticket) in others.iter_mut().zip(&tickets) {
        assert_eq!(other.answer(*ticket), Ok(Answer::Done));
    }
    let syncs = disk.disk.syncs() - before;
    assert!(syncs <= 3, "{syncs} syncs for {SESSIONS} appends");
    assert_eq!(found(&disk.disk, Crash::Power).shape(session(7)), (None, vec![1, 2]));
}

#[test]
fn an_append_fails_neither_because_of_an_invalid_one_nor_of_a_large_one_in_its_group() {
    let (disk, mut handle, mut two) = two_handles();
    let mut three = handle.another();
    let third = SessionId([3; 32]);
    three.begin(third, 1);
    let first = shut_in(&disk, &mut handle);
    let large = Record { seq: 2, kind: RecordKind::Ordered, bytes: vec![7; 10_000].into() };
    let too_large = two.ask(Request::Append(records(TWO, [large])));
    let fits = three.ask(second_record(third));
    let invalid = three.ask(Request::Append(records(SessionId([9; 32]), [record(1, b"")])));
    disk.disk.set_capacity(Some(used(&disk.disk) + 1000));
    disk.set_shut(false);
    assert_eq!(handle.answer(first), Ok(Answer::Done));
    assert_eq!(two.answer(too_large), Err(StorageError::Full));
    assert_eq!(three.answer(fits), Ok(Answer::Done));
    assert!(matches!(three.answer(invalid), Err(StorageError::Io(_))));
    assert_eq!(found(&disk.disk, Crash::Power).shape(TWO), (None, vec![1]));
    assert_eq!(found(&disk.disk, Crash::Power).shape(third), (None, vec![1, 2]));
}

#[test]
fn a_failed_sync_fails_all_appends_of_its_group_and_leaves_none_of_them() {
    let (disk, mut handle, mut two) = two_handles();
    let first = shut_in(&disk, &mut handle);
    disk.disk.fail_next_sync();
    let second = two.ask(second_record(TWO));
    disk.set_shut(false);
    assert!(matches!(handle.answer(first), Err(StorageError::Io(_))));
    // It was not part of that group.
    assert_eq!(two.answer(second), Ok(Answer::Done));
    handle.append(records(ONE, [record(2, b"again")])).expect("the disk works");
    for crash in [Crash::Process, Crash::Power] {
        assert_eq!(found(&disk.disk, crash).shape(ONE), (None, vec![1, 2]));
        assert_eq!(found(&disk.disk, crash).shape(TWO), (None, vec![1, 2]));
    }
}

#[test]
fn with_durability_process_an_append_is_answered_within_the_flush() {
    let disk = Gated::new(At::Syncs);
    let mut handle = Handle::threaded(open(&disk, Durability::Process));
    handle.begin(ONE, 1);
    handle.shared.finish();
    disk.set_shut(true);
    let ticket = handle.ask(second_record(ONE));
    assert_eq!(handle.answer_now(ticket), Some(Ok(Answer::Done)));
    let ticket = handle.ask(Request::Load(Key::Session(TWO)));
    assert_eq!(handle.answer_now(ticket), Some(Ok(Answer::Loaded(None))));
    let ticket = handle.ask(Request::Claims(ROOM));
    assert_eq!(handle.answer_now(ticket), Some(Ok(Answer::Claims(Claims::default()))));
    // While a checkpoint is synced, the append goes to the thread, and the flush does not wait.
    let written = handle.ask(checkpoint(ONE, 1, b"one"));
    disk.wait_until_reached();
    let ticket = handle.ask(Request::Append(records(ONE, [record(3, b"three")])));
    let mut other = handle.another();
    let claims = other.ask(Request::Claims(ROOM));
    disk.set_shut(false);
    assert_eq!(handle.answer(ticket), Ok(Answer::Done));
    assert_eq!(handle.answer(written), Ok(Answer::Done));
    assert!(other.answer(claims).is_ok());
    assert_eq!(handle.shape(ONE), (Some(1), vec![2, 3]));
}

#[test]
fn every_request_is_answered_once_when_a_thread_panics() {
    let (disk, mut handle, mut two) = two_handles();
    let first = shut_in(&disk, &mut handle);
    let second = two.ask(second_record(TWO));
    disk.panic_next();
    disk.set_shut(false);
    let closed = Err(StorageError::Io("the storage is closed".into()));
    assert_eq!(handle.answer(first), closed);
    assert_eq!(two.answer(second), closed);
    let after = handle.ask(second_record(ONE));
    assert_eq!(handle.answer(after), closed);
    // The store is whole: what the thread was at does not count.
    assert_eq!(handle.shape(ONE), (None, vec![1]));
    assert!(handle.shared.store().commit().is_ok());
    assert_eq!(found(&disk.disk, Crash::Process).shape(ONE), (None, vec![1]));
}

#[test]
fn what_was_flushed_is_committed_when_the_last_handle_is_dropped() {
    for durability in BOTH {
        let disk = MemoryDisk::default();
        let mut handle = Handle::threaded(open(&disk, durability));
        handle.begin(ONE, 1);
        handle.ask(second_record(ONE));
        handle.submit(Request::Append(records(ONE, [record(3, b"never flushed")])));
        drop(handle);
        let mut again = Handle::alone(open(&disk, durability));
        assert_eq!(again.shape(ONE), (None, vec![1, 2]));
    }
}

#[test]
fn a_session_belongs_to_one_handle_at_a_time() {
    for durability in BOTH {
        for threaded in [false, true] {
            let store = open(&MemoryDisk::default(), durability);
            let mut one = if threaded { Handle::threaded(store) } else { Handle::alone(store) };
            let mut two = one.another();
            one.begin(ONE, 1);
            assert!(two.load(Key::Session(ONE)).is_err());
            // What was tried in vain is not held.
            two.shared.release(Key::Session(ONE));
            assert!(two.load(Key::Session(ONE)).is_err());
            one.shared.release(Key::Session(ONE));
            assert_eq!(two.shape(ONE), (None, vec![1]));
            assert!(one.load(Key::Session(ONE)).is_err());
            drop(two);
            one.shared.finish();
            assert_eq!(one.shape(ONE), (None, vec![1]));
        }
    }
}

#[test]
fn a_release_in_a_turn_counts_after_what_was_submitted_before() {
    let mut one = Handle::alone(open(&MemoryDisk::default(), Durability::Process));
    let mut two = one.another();
    one.begin(ONE, 1);
    one.submit(second_record(ONE));
    one.shared.release(Key::Session(ONE));
    assert!(two.load(Key::Session(ONE)).is_err(), "an append waits for the flush");
    one.shared.flush();
    assert_eq!(two.shape(ONE), (None, vec![1, 2]));
}

#[test]
fn claims_count_persisted_data_and_used_sessions() {
    let mut handle = Handle::alone(open(&MemoryDisk::default(), Durability::Process));
    let other = RoomId { id: Digest([9; 32]), ..ROOM };
    let claims = |handle: &mut Handle<MemoryDisk>, room| {
        let ticket = handle.ask(Request::Claims(room));
        match handle.answer(ticket) {
            Ok(Answer::Claims(Claims { own, others })) => (own, others),
            answer => panic!("{answer:?}"),
        }
    };
    assert_eq!(claims(&mut handle, ROOM), (false, false));
    assert_eq!(handle.load(Key::Room(ROOM)), Ok(None));
    handle.persist(ROOM, 1, b"data").expect("there is space");
    assert_eq!(claims(&mut handle, ROOM), (true, false));
    assert_eq!(claims(&mut handle, other), (false, true));
    let mut store = handle.shared.store();
    store.remove(Key::Room(ROOM)).expect("it exists");
    store.commit().expect("the disk works");
    drop(store);
    assert_eq!(claims(&mut handle, other), (false, false));
}

fn with_upkeep(disk: &MemoryDisk, every: Duration) -> Handle<MemoryDisk> {
    let retention = Retention { max_age_unused: u64::MAX, max_bytes: 0 };
    let upkeep = Upkeep { retention, every };
    let store = open(disk, Durability::Process);
    Handle::new(Shared::with_threads(store, Some(upkeep)).expect("threads can be started"))
}

fn wait_for_removal(handle: &Handle<MemoryDisk>, rest: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while handle.shared.store().stats().keys > rest {
        assert!(Instant::now() < deadline, "unused sessions stay");
        std::thread::yield_now();
    }
}

#[test]
fn unused_sessions_are_removed_by_the_policy_but_never_while_a_handle_has_them() {
    let mut handle = with_upkeep(&MemoryDisk::default(), Duration::from_millis(1));
    handle.begin(ONE, 3);
    // More than one call may remove.
    for number in 0..=255 {
        let mut session = SessionId([number; 32]);
        session.0[31] = 0x55 ^ (number & 1);
        handle.begin(session, 1);
        handle.shared.release(Key::Session(session));
    }
    handle.begin(TWO, 3);
    wait_for_removal(&handle, 2);
    assert_eq!(handle.shape(ONE), (None, vec![1, 2, 3]));
    handle.append(records(TWO, [record(4, b"goes on")])).expect("it is there");
    handle.shared.release(Key::Session(TWO));
    wait_for_removal(&handle, 1);
    assert_eq!(handle.load(Key::Session(TWO)), Ok(None));
    assert_eq!(handle.shape(ONE), (None, vec![1, 2, 3]));
}

#[test]
fn at_the_start_everything_is_removed_that_the_policy_does_not_retain() {
    let disk = MemoryDisk::default();
    let mut handle = Handle::alone(open(&disk, Durability::Process));
    (0..=255).for_each(|number| handle.begin(SessionId([number; 32]), 1));
    drop(handle);
    wait_for_removal(&with_upkeep(&disk, Duration::from_secs(3600)), 0);
}

#[test]
fn a_clock_that_goes_back_makes_nothing_old() {
    let mut store = MemoryStore::open(MemoryDisk::default(), small(Durability::Power, 1000))
        .expect("a new store");
    let policy = Retention { max_age_unused: 1000, max_bytes: u64::MAX };
    let unused = |_: &Key| false;
    store.begin(Key::Session(ONE), b"").expect("begun");
    store.commit().expect("written");
    store.retain(&policy, &unused, 1_000_000).expect("retained");
    store.begin(Key::Session(TWO), b"").expect("begun");
    store.commit().expect("written");
    // It began while the clock was wrong.
    store.retain(&policy, &unused, 5).expect("retained");
    assert_eq!(store.retain(&policy, &unused, 1_000_500).expect("retained"), []);
}
