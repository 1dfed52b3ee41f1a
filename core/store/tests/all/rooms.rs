//! The persisted data of rooms, on a disk that can fail.

use teatime_store::{Crash, MemoryDisk};
use teatime_wire::limits::MAX_PERSISTED;
use teatime_wire::{ClientMessage, Digest, Send, ServerMessage};

use crate::common::room::Client;
use crate::common::used;
use crate::common::world::{Gate, SECOND};

#[test]
fn persisted_data_and_a_session_that_began_with_it_survive_a_power_cut() {
    for seed in 0..5 {
        let disk = MemoryDisk::default();
        let mut client = Client::new(&disk);
        client.join(1);
        assert!(client.persist(b"first") && client.persist(b"second"));
        let disk = disk.crash(Crash::Power, seed);
        let mut client = Client::new(&disk);
        client.join(2);
        assert_eq!(client.begun_with().as_deref(), Some(&b"second"[..]));
        client.say(&ClientMessage::Send(Send { counter: 1, payload: b"done" }));
        client.leave();
        client.join(1);
        // Until then, a participant from before may come back, and counts in the vote.
        client.pass(15 * SECOND);
        assert!(client.persist(b"third"));
        // The session of the second version has no snapshot, and goes on with what it began with.
        let disk = disk.crash(Crash::Power, seed);
        let mut client = Client::new(&disk);
        client.join(2);
        assert_eq!(client.begun_with().as_deref(), Some(&b"second"[..]));
        client.leave();
        client.join(3);
        assert_eq!(client.begun_with().as_deref(), Some(&b"third"[..]));
    }
}

#[test]
fn a_failing_disk_leaves_the_data_from_before_and_the_reflector_tries_again() {
    let large = vec![9; 50_000];
    let fails: [fn(&MemoryDisk, &Gate); 2] = [
        |disk, _| {
            disk.set_capacity(Some(used(disk) + 20_000));
        },
        |_, gate| gate.fail_next(),
    ];
    for (at, fail) in fails.into_iter().enumerate() {
        let disk = MemoryDisk::default();
        let mut client = Client::new(&disk);
        client.join(1);
        assert!(client.persist(b"first"));
        client.wait_for_vote();
        fail(&disk, &client.gate);
        assert!(!client.answer(&large), "{at}");
        // The clients learn why.
        let why = client.failures();
        assert_eq!((why.len(), why[0] == "the disk is full"), (1, at == 0), "{why:?}");
        // The data from before is still there, and the session goes on.
        let mut other = Client::new(&disk.copy());
        other.join(2);
        assert_eq!(other.begun_with().as_deref(), Some(&b"first"[..]), "{at}");
        assert!(!client.is_closed(), "{at}");
        disk.set_capacity(None);
        // The client need not ask again.
        client.wait_for_retry();
        assert!(client.answer(&large), "{at}");
        client.leave();
        client.join(2);
        assert_eq!(client.begun_with(), Some(large.clone()), "{at}");
    }
}

#[test]
fn a_session_that_was_only_looked_at_begins_again_after_a_restart_too() {
    for seed in 0..5 {
        let disk = MemoryDisk::default();
        let mut client = Client::new(&disk);
        client.join(1);
        assert!(client.persist(b"on monday"));
        client.leave();
        client.join(2);
        assert_eq!(client.begun_with().as_deref(), Some(&b"on monday"[..]));
        client.leave();
        let mut client = Client::new(&disk.crash(Crash::Power, seed));
        client.join(1);
        client.pass(15 * SECOND);
        assert!(client.persist(b"on friday"));
        client.leave();
        let disk = client.world.disk.clone();
        let mut client = Client::new(&disk.crash(Crash::Power, seed));
        client.join(2);
        assert_eq!(client.begun_with().as_deref(), Some(&b"on friday"[..]));
        // It has replaced the other one in the store too.
        client.say(&ClientMessage::Send(Send { counter: 1, payload: b"done" }));
        let disk = client.world.disk.clone();
        let mut client = Client::new(&disk.crash(Crash::Power, seed));
        client.join(2);
        assert_eq!(client.begun_with().as_deref(), Some(&b"on friday"[..]));
        assert_eq!(client.events(), 1);
    }
}

/// A client of version 1 with persisted data. The disk has failed when it persisted other data.
fn with_second_lost(disk: &MemoryDisk) -> Client {
    let mut client = Client::new(disk);
    client.join(1);
    assert!(client.persist(b"first"));
    client.wait_for_vote();
    client.gate.fail_next();
    assert!(!client.answer(b"second"));
    client
}

#[test]
fn data_that_could_not_be_stored_when_all_left_is_stored_when_a_client_comes_back() {
    let mut client = with_second_lost(&MemoryDisk::default());
    client.leave();
    client.join(1);
    // It believes that what is in the snapshot is stored, and does not ask.
    client.wait_for_retry();
    assert!(client.answer(b"second"));
    client.leave();
    client.join(2);
    assert_eq!(client.begun_with().as_deref(), Some(&b"second"[..]));
}

#[test]
fn a_session_begins_with_the_most_that_an_app_may_persist() {
    let disk = MemoryDisk::default();
    let mut client = Client::new(&disk);
    client.join(1);
    let most: Vec<u8> = (0..MAX_PERSISTED).map(|at| at as u8).collect();
    assert!(client.persist(&most));
    client.leave();
    client.join(2);
    assert!(client.begun_with().as_ref() == Some(&most));
    let mut client = Client::new(&disk.crash(Crash::Power, 1));
    client.join(2);
    assert!(client.begun_with() == Some(most));
}

#[test]
fn acknowledged_data_survives_a_crash_at_any_change_of_the_disk() {
    let works: [(u32, &[u8]); 4] = [(1, b"first"), (1, b"second"), (2, b"third"), (2, b"fourth")];
    let mut cuts = 0;
    loop {
        let disk = MemoryDisk::default();
        let mut client = Client::new(&disk);
        disk.die_after(cuts);
        let (mut acknowledged, mut tried) = (None, None);
        let mut version = 0;
        for (its, data) in works {
            if version != its {
                version = its;
                client.leave();
                client.join(version);
            }
            let before = client.votes().len();
            client.say(&ClientMessage::Persist);
            for _ in 0..60 {
                if client.is_closed() || client.votes().len() > before {
                    break;
                }
                client.say(&ClientMessage::Ping(1));
                client.pass(SECOND);
            }
            if client.votes().len() == before {
                break;
            }
            tried = Some(data);
            if !client.answer(data) {
                break;
            }
            acknowledged = Some(data);
        }
        let power = (0..4).map(|seed| disk.crash(Crash::Power, seed));
        for found in power.chain([disk.crash(Crash::Process, 0)]) {
            let mut client = Client::new(&found);
            client.join(3);
            let begun = client.begun_with();
            let is_right = [acknowledged, tried].contains(&begun.as_deref());
            assert!(is_right, "{cuts}: {begun:?} after {acknowledged:?} and {tried:?}");
            // Each session has what it must have, and can be begun.
            for version in [1, 2] {
                client.leave();
                client.join(version);
                assert!(!client.is_closed(), "{cuts}");
            }
            // Until then, a participant from before may come back, and counts in the vote.
            client.pass(15 * SECOND);
            assert!(client.persist(b"and on"), "{cuts}");
        }
        if acknowledged == Some(b"fourth") {
            break;
        }
        cuts += 1;
        assert!(cuts < 1_000, "it never works");
    }
    assert!(cuts > 40, "only {cuts} changes of the disk");
}

#[test]
fn no_client_waits_for_data_that_is_being_stored_and_it_counts_once_it_is() {
    let disk = MemoryDisk::default();
    let mut client = Client::new(&disk);
    let gate = client.gate.clone();
    let set_shut = |shut| gate.set_shut(shut);
    let persisted = |client: &Client| {
        let each = |message| match message {
            ServerMessage::Persisted(seq) => Some(seq),
            _ => None,
        };
        client.messages().filter_map(each).collect::<Vec<_>>()
    };
    client.join(1);
    assert!(client.persist(b"first"));
    set_shut(true);
    client.wait_for_vote();
    assert!(!client.answer(b"second"));
    // It goes on, and something else is persisted.
    client.say(&ClientMessage::Send(Send { counter: 1, payload: b"done" }));
    assert_eq!(client.events(), 1);
    client.wait_for_vote();
    assert!(!client.answer(b"third"));
    let votes = client.votes();
    assert_eq!((persisted(&client), client.failures().len()), (vec![votes[0]], 0));
    client.leave();
    // Meanwhile a version begins with what there was.
    client.join(2);
    assert_eq!(client.begun_with().as_deref(), Some(&b"first"[..]));
    client.leave();
    client.join(1);
    set_shut(false);
    client.pass(SECOND);
    assert_eq!(persisted(&client), votes[1..]);
    client.leave();
    client.join(2);
    assert_eq!(client.begun_with().as_deref(), Some(&b"third"[..]));
    client.leave();
    // The reflector no longer has it in memory when it is stored, and what another version persists is added to it.
    client.join(1);
    client.pass(15 * SECOND);
    client.wait_for_vote();
    set_shut(true);
    assert!(!client.answer(b"fourth"));
    client.forget();
    client.join(3);
    assert_eq!(client.begun_with().as_deref(), Some(&b"third"[..]));
    client.wait_for_vote();
    assert!(!client.answer(b"of the third version"));
    client.forget();
    set_shut(false);
    client.pass(SECOND);
    for (version, data) in [(2, &b"fourth"[..]), (4, b"of the third version")] {
        client.join(version);
        assert_eq!(client.begun_with().as_deref(), Some(data));
        client.leave();
    }
}

#[test]
fn a_client_learns_that_its_data_could_not_be_stored_and_the_reflector_tries_again() {
    let disk = MemoryDisk::default();
    let mut client = Client::new(&disk);
    client.join(3);
    assert!(client.persist(b"of the third version"));
    client.pass(15 * SECOND);
    client.wait_for_vote();
    client.gate.set_shut(true);
    assert!(!client.answer(b"fifth"));
    client.gate.fail_next();
    client.gate.set_shut(false);
    client.pass(SECOND);
    assert_eq!(client.failures().len(), 1);
    client.leave();
    client.join(5);
    assert_eq!(client.begun_with().as_deref(), Some(&b"of the third version"[..]));
    client.leave();
    client.join(3);
    client.wait_for_retry();
    assert!(client.answer(b"fifth"));
}

#[test]
fn data_that_could_not_be_stored_is_stored_when_the_session_is_loaded_again() {
    for restarts in [false, true] {
        let disk = MemoryDisk::default();
        let mut client = with_second_lost(&disk);
        if restarts {
            client = Client::new(&disk.crash(Crash::Power, 1));
        } else {
            client.forget();
        }
        client.join(1);
        assert!(client.failures().is_empty());
        assert_eq!(client.votes(), [0; 0], "no vote is needed");
        client.leave();
        client.join(2);
        assert_eq!(client.begun_with().as_deref(), Some(&b"second"[..]));
        // Data that came later is not replaced by it.
        client.forget();
        client.join(1);
        client.pass(15 * SECOND);
        assert!(client.persist(b"third"));
        client.forget();
        client.join(1);
        client.leave();
        client.join(2);
        assert_eq!(client.begun_with().as_deref(), Some(&b"third"[..]));
    }
}

#[test]
fn data_that_could_not_be_stored_does_not_replace_what_another_session_persists_later() {
    let mut client = with_second_lost(&MemoryDisk::default());
    client.forget();
    client.program = Some(Digest([100; 32]));
    client.join(1);
    assert_eq!(client.begun_with().as_deref(), Some(&b"first"[..]));
    assert!(client.persist(b"newer"));
    client.leave();
    client.program = None;
    client.join(1);
    client.leave();
    client.join(2);
    assert_eq!(client.begun_with().as_deref(), Some(&b"newer"[..]));
}

#[test]
fn data_that_comes_late_is_newer_than_what_its_session_began_with() {
    let disk = MemoryDisk::default();
    let mut client = Client::new(&disk);
    client.join(1);
    assert!(client.persist(b"first"));
    client.forget();
    client.program = Some(Digest([100; 32]));
    client.join(1);
    assert_eq!(client.begun_with().as_deref(), Some(&b"first"[..]));
    client.wait_for_vote();
    client.gate.fail_next();
    assert!(!client.answer(b"second"));
    let mut client = Client::new(&disk.crash(Crash::Power, 1));
    client.program = Some(Digest([100; 32]));
    client.join(1);
    client.leave();
    client.program = None;
    client.join(2);
    assert_eq!(client.begun_with().as_deref(), Some(&b"second"[..]));
}
