//! What a session persists takes the place of nothing that another session has persisted.

use super::{announced, begins_with, persist, version, world};
use crate::support::World;
use crate::support::keys::password_key;
use teatime_reflector::ConnId;
use teatime_wire::{ClientMessage, Digest, Join, NotPersisted, ServerMessage};

/// How many sessions can have persisted data in a room, and how much of it leaves no place for another session.
const MAX_RECORDS: u32 = 16;
const FULL_BYTES: usize = 8 << 20;

/// A client of another build of a version: another program.
fn build(number: u8, of: u32, program: u8) -> Join<'static> {
    Join { program: Digest([program; 32]), ..version(number, of) }
}

/// A client comes, persists something, and leaves. Returns what it began with, and whether its data was stored.
fn visit(world: &mut World, join: Join<'static>, data: &[u8]) -> (Option<Vec<u8>>, bool) {
    let one = announced(world, join);
    let begun = begins_with(world, one).map(|(_, data)| data);
    let is_stored = stores(world, one, data);
    world.say(one, &ClientMessage::Leave);
    (begun, is_stored)
}

fn stores(world: &mut World, one: ConnId, data: &[u8]) -> bool {
    let seq = persist(world, one, data, &[]);
    let refused = ServerMessage::NotPersisted(NotPersisted { seq, failure: None });
    let said = (world.has(one, &ServerMessage::Persisted(seq)), world.has(one, &refused));
    assert!(said.0 != said.1, "{said:?}");
    said.0
}

fn begins(world: &mut World, join: Join<'static>) -> Option<Vec<u8>> {
    let one = announced(world, join);
    let data = begins_with(world, one).map(|(_, data)| data);
    world.say(one, &ClientMessage::Leave);
    data
}

#[test]
fn a_claim_of_newer_versions_neither_pushes_out_nor_silences_an_owner() {
    let mut world = world();
    let owner = announced(&mut world, version(1, 1));
    assert!(stores(&mut world, owner, b"work"));
    for claimed in [u32::MAX, u32::MAX - 1, 3] {
        let (begun, is_stored) = visit(&mut world, build(9, claimed, claimed as u8), b"junk");
        assert!(begun.is_some() && is_stored);
    }
    assert!(stores(&mut world, owner, b"more work"));
    assert_eq!(begins(&mut world, version(2, 2)).as_deref(), Some(&b"more work"[..]));
}

#[test]
fn another_build_of_a_version_stands_beside_the_first_and_the_newest_of_both_goes_on() {
    let mut world = world();
    let owner = announced(&mut world, version(1, 1));
    assert!(stores(&mut world, owner, b"one"));
    let (begun, is_stored) = visit(&mut world, build(2, 1, 50), b"two");
    assert_eq!((begun.as_deref(), is_stored), (Some(&b"one"[..]), true));
    assert_eq!(begins(&mut world, version(3, 2)).as_deref(), Some(&b"two"[..]));
    assert!(stores(&mut world, owner, b"three"));
    assert_eq!(begins(&mut world, version(3, 2)).as_deref(), Some(&b"three"[..]));
}

#[test]
fn a_session_that_was_lost_begins_with_what_it_had_persisted_itself() {
    let mut world = super::World::new(teatime_reflector::Config {
        max_idle_sessions: 0,
        ..teatime_reflector::Config::default()
    });
    visit(&mut world, version(1, 1), b"own");
    visit(&mut world, build(2, 1, 50), b"of a stranger");
    let (begun, _) = visit(&mut world, version(1, 1), b"own again");
    assert_eq!(begun.as_deref(), Some(&b"own"[..]));
    assert_eq!(begins(&mut world, build(2, 1, 50)).as_deref(), Some(&b"of a stranger"[..]));
}

#[test]
fn a_full_open_room_takes_nothing_new_and_loses_nothing() {
    for large in [false, true] {
        let mut world = world();
        let owner = announced(&mut world, version(1, 1));
        assert!(stores(&mut world, owner, b"work"));
        let junk = vec![7; if large { 1 << 20 } else { 1 }];
        let most = if large { FULL_BYTES >> 20 } else { MAX_RECORDS as usize - 1 };
        let stored = (0..20u8).filter(|claimed| {
            let join = build(9, 100 + u32::from(*claimed), 100 + claimed);
            visit(&mut world, join, &junk).1
        });
        assert_eq!(stored.count(), most);
        // Those who are there can persist as much as any.
        assert!(stores(&mut world, owner, &vec![1; 1 << 20]));
        assert!(visit(&mut world, build(9, 100, 100), b"less").1);
        assert_eq!(begins(&mut world, version(2, 2)), Some(vec![1; 1 << 20]));
    }
}

#[test]
fn in_a_full_room_with_a_password_a_lineage_goes_on_and_others_stay() {
    let mut world = world();
    let member = |join| Join { password_key: Some(password_key(1)), ..join };
    // It stands beside the lineage: nothing newer begins with it.
    visit(&mut world, member(version(1, 1_000)), b"beside");
    for number in 1..=40 {
        let (begun, is_stored) =
            visit(&mut world, member(version(2, number)), &number.to_be_bytes());
        assert!(is_stored, "{number}");
        let before = (number > 1).then(|| (number - 1).to_be_bytes().to_vec());
        assert_eq!(begun, before);
    }
    // Of the lineage the newest are there, and another branch of it finds no place.
    for (number, expected) in [(39, Some(39u32)), (26, Some(26)), (25, None)] {
        let begun = begins(&mut world, member(build(3, number, 200 + number as u8)));
        assert_eq!(begun, expected.map(|number| number.to_be_bytes().to_vec()), "{number}");
    }
    let (begun, is_stored) = visit(&mut world, member(build(4, 26, 250)), b"branch");
    assert_eq!((begun, is_stored), (Some(26u32.to_be_bytes().to_vec()), false));
    let last = begins(&mut world, member(build(5, 2_000, 251)));
    assert_eq!(last.as_deref(), Some(&b"beside"[..]));
}
