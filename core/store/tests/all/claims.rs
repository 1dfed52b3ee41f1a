//! Whose a room is: other rooms of the name, other sessions, damaged and crafted rooms.

use teatime_reflector::storage::{Append, Checkpoint, Key, StorageError};
use teatime_store::{Crash, MemoryDisk};
use teatime_wire::limits::MAX_PERSISTED;
use teatime_wire::{ClientMessage, Digest, Holding, Send};

use crate::common::room::{Client, OWN, room, session, stored_room};
use crate::common::world::SECOND;

#[test]
fn a_session_that_is_copied_without_its_room_restores_the_persisted_data() {
    let disk = MemoryDisk::default();
    let mut client = Client::new(&disk);
    client.join(1);
    assert!(client.persist(b"first"));
    client.leave();
    let disk = client.world.disk.copy();
    drop(client);
    let session = session(1);
    // As exporting and importing the session would copy it.
    let mut from = Client::new(&disk);
    let stored =
        from.world.other.load(Key::Session(session)).expect("it is whole").expect("it is there");
    let mut client = Client::new(&MemoryDisk::default());
    let begin = Append { session, begin: Some(stored.head), records: Vec::new() };
    client.world.other.append(begin).expect("the disk works");
    let Checkpoint { seq, bytes } = stored.checkpoint.expect("it has a snapshot");
    client.world.other.checkpoint(session, seq, &bytes).expect("the disk works");
    client.join(1);
    client.leave();
    client.join(2);
    assert_eq!(client.begun_with().as_deref(), Some(&b"first"[..]));
}

#[test]
fn a_crafted_room_is_refused_and_harms_no_other() {
    let disk = MemoryDisk::default();
    let mut client = Client::new(&disk);
    client.join(1);
    assert!(client.persist(b"first"));
    client.leave();
    let copy = client.world.disk.copy();
    drop(client);
    let mut client = Client::new(&copy);
    let stored = client.world.other.load(stored_room()).expect("it is whole").expect("it is there");
    let bytes = stored.checkpoint.expect("it has one").bytes;
    // Persisted data is a byte string in MessagePack.
    let first = b"\xc4\x05first";
    let at = bytes.windows(first.len()).position(|part| part == first).expect("it is there");
    let with = |data: &[u8]| [&bytes[..at], data, &bytes[at + first.len()..]].concat();
    let length = u32::try_from(MAX_PERSISTED + 1).expect("it fits").to_be_bytes();
    let large = [&[0xc6], &length[..], &vec![7; MAX_PERSISTED + 1]].concat();
    let crafted = [(u64::MAX, bytes.to_vec()), (2, with(b"\xc4\x00")), (2, with(&large))];
    for (attempt, (changes, bytes)) in crafted.into_iter().enumerate() {
        let copy = client.world.disk.copy();
        let mut client = Client::new(&copy);
        client.world.other.persist(room(), changes, &bytes).expect("the disk works");
        client.join(2);
        assert!(client.is_closed() && client.begun_with().is_none(), "{attempt}");
        client.name = Digest([6; 32]);
        client.join(3);
        assert!(!client.is_closed() && client.persist(b"other"), "{attempt}");
    }
}

#[test]
fn rooms_of_one_name_know_of_each_other_and_do_not_touch_after_a_restart_too() {
    let (own, other) = (OWN, 8);
    let disk = MemoryDisk::default();
    let mut client = Client::new(&disk);
    let join_as = |client: &mut Client, password, version| {
        client.password = password;
        client.join(version);
        assert!(!client.is_closed());
        client.is_doubtful()
    };
    // A stranger comes first, with a password of its own, and persists something.
    assert!(!join_as(&mut client, other, 1));
    assert!(client.persist(b"strange"));
    client.leave();
    let mut client = Client::new(&client.world.disk.crash(Crash::Power, 1));
    // The members hear that there is another room, until something has happened in theirs.
    assert!(join_as(&mut client, own, 1));
    assert_eq!(client.begun_with(), None);
    assert!(client.persist(b"work"));
    client.leave();
    let mut client = Client::new(&client.world.disk.crash(Crash::Power, 1));
    for version in [1, 2] {
        assert!(!join_as(&mut client, own, version));
        client.leave();
    }
    // With another password, or a mistyped one, there is another room.
    for (password, begun) in [(own, Some(&b"work"[..])), (other, Some(b"strange")), (6, None)] {
        assert_eq!(join_as(&mut client, password, 3), begun.is_none());
        assert_eq!(client.begun_with().as_deref(), begun);
        client.leave();
    }
}

#[test]
fn a_client_that_names_another_room_takes_nothing_from_its_members() {
    let disk = MemoryDisk::default();
    let mut client = Client::new(&disk);
    client.join(1);
    assert!(client.persist(b"first"));
    drop(client);
    let mut client = Client::new(&disk.copy());
    client.password = 6;
    client.join(1);
    assert_eq!((client.is_closed(), client.begun_with()), (false, None));
    client.password = OWN;
    client.name = Digest([6; 32]);
    // The version that the members use, and another one: neither is their session.
    client.join(1);
    assert_eq!((client.is_closed(), client.begun_with()), (false, None));
    // A session of its own in a room of another name has none of the data, and does not shut others out.
    client.join(2);
    assert_eq!((client.is_closed(), client.begun_with()), (false, None));
    assert!(client.persist(b"other"));
    client.name = Digest([4; 32]);
    client.join(1);
    assert!(!client.is_closed() && client.got_something());
    client.join(3);
    assert_eq!(client.begun_with().as_deref(), Some(&b"first"[..]));
}

#[test]
fn looking_at_a_session_from_another_room_shuts_no_client_out() {
    for is_restarted in [false, true] {
        let disk = MemoryDisk::default();
        let mut client = Client::new(&disk);
        client.join(1);
        assert!(client.persist(b"first"));
        client.leave();
        let own = std::mem::replace(&mut client.name, Digest([6; 32]));
        client.join(2);
        assert_eq!((client.is_closed(), client.begun_with()), (false, None));
        client.leave();
        client.name = own;
        if is_restarted {
            client = Client::new(&client.world.disk.crash(Crash::Power, 1));
        }
        client.join(2);
        assert_eq!(client.begun_with().as_deref(), Some(&b"first"[..]));
    }
}

#[test]
fn an_unreadable_room_takes_no_data_and_does_not_change() {
    let disk = MemoryDisk::default();
    let mut client = Client::new(&disk);
    client.join(1);
    assert!(client.persist(b"first"));
    client.say(&ClientMessage::Send(Send { counter: 1, payload: b"done" }));
    client.forget();
    let name = format!("room-{}-{}", room().name, room().id);
    let file = |disk: &MemoryDisk| {
        let mut files = disk.files().into_iter().filter(|(file, _)| file.contains(&name));
        let file = files.next().expect("it is there");
        assert_eq!(files.next(), None);
        file
    };
    let (path, _) = file(&disk);
    disk.rot(&path, 20);
    let damaged = file(&disk);
    // A new version would begin without the data.
    client.join(2);
    assert!(client.is_closed() && !client.got_something());
    // A session that exists goes on.
    client.join(1);
    assert_eq!((client.is_closed(), client.events()), (false, 1));
    client.say(&ClientMessage::Send(Send { counter: 2, payload: b"done" }));
    assert!(!client.persist(b"second"));
    let (failures, votes) = (client.failures(), client.votes());
    // One for what the session had persisted before, when it was loaded, and one for the vote.
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(failures.iter().all(|failure| failure.contains("checksum")), "{failures:?}");
    // The reflector does not try again and again.
    (0..5).for_each(|_| {
        client.say(&ClientMessage::Ping(1));
        client.pass(20 * SECOND);
    });
    assert_eq!((client.failures().len(), client.votes()), (2, votes));
    client.leave();
    client.join(2);
    assert!(client.is_closed() && !client.got_something());
    assert_eq!(file(&disk), damaged);
    // Nor is it removed as unused.
    let other = client.world.other.load(stored_room());
    assert!(matches!(other, Err(StorageError::Io(_))), "{other:?}");
    // Once it is whole again, everything is as it should be.
    disk.rot(&path, 20);
    client.join(1);
    client.pass(15 * SECOND);
    assert!(client.persist(b"third"));
    client.leave();
    client.join(2);
    assert_eq!(client.begun_with().as_deref(), Some(&b"third"[..]));
}

#[test]
fn loading_another_session_of_a_version_replaces_only_the_data_that_it_began_with() {
    let disk = MemoryDisk::default();
    let mut client = Client::new(&disk);
    client.join(1);
    assert!(client.persist(b"first"));
    client.leave();
    // A repaired build of the same number.
    client.program = Some(Digest([100; 32]));
    client.join(1);
    assert_eq!(client.begun_with().as_deref(), Some(&b"first"[..]));
    client.wait_for_vote();
    client.gate.fail_next();
    assert!(!client.answer(b"repaired"));
    client.forget();
    client.join(1);
    client.forget();
    client.program = None;
    client.join(2);
    assert_eq!(client.begun_with().as_deref(), Some(&b"repaired"[..]));
    client.leave();
    // The one before has other data in its snapshot, which is not newer.
    client.join(1);
    client.forget();
    client.program = Some(Digest([101; 32]));
    client.join(3);
    assert_eq!(client.begun_with().as_deref(), Some(&b"repaired"[..]));
}

#[test]
fn data_that_a_session_began_with_is_stored_again_if_it_was_lost() {
    let disk = MemoryDisk::default();
    let mut client = Client::new(&disk);
    client.join(1);
    assert!(client.persist_with(&[7; 300], &[1, 2]));
    client.leave();
    client.join(2);
    client.say(&ClientMessage::Send(Send { counter: 1, payload: b"done" }));
    client.forget();
    client.world.references.clear();
    let mut store = client.world.other.shared.store();
    store.remove(stored_room()).expect("it is there");
    store.remove(Key::Session(session(1))).expect("it is there");
    store.commit().expect("the disk works");
    drop(store);
    client.join(2);
    client.pass(SECOND);
    let roots = [1, 2].map(|root| Digest([root; 32])).to_vec();
    let held = (stored_room(), Holding::Exactly(roots));
    assert_eq!(client.world.references.last(), Some(&held));
    client.leave();
    client.join(3);
    assert_eq!(client.begun_with(), Some(vec![7; 300]));
}
