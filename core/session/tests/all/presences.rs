//! What participants show each other of themselves, through a reflector.

use std::collections::BTreeMap;

use serde_bytes::{ByteBuf, Bytes};
use teatime_session::{Client, PublishError, SessionEvent};
use teatime_wire::{ClientMessage, ServerMessage, ViewId};

use crate::healing::world::{MS, SECOND, World};

/// What a client sees of the others.
fn seen(client: &Client) -> BTreeMap<ViewId, Vec<u8>> {
    let read = |data| rmp_serde::from_slice::<ByteBuf>(data).expect("bytes").into_vec();
    client.presences().map(|(view, data)| (view, read(data))).collect()
}

fn world(password: Option<&str>) -> World {
    World::new(3, teatime_reflector::Config::default(), password)
}

fn show(world: &mut World, at: usize, data: &[u8]) {
    let now = world.now;
    let client = &mut world.peers[at].client;
    let shown = match data {
        [] => client.clear_presence(now),
        data => client.set_presence(now, Bytes::new(data)),
    };
    shown.expect("it fits");
    world.run();
}

fn changes(world: &mut World, at: usize) -> usize {
    let events = std::mem::take(&mut world.peers[at].events);
    events.iter().filter(|event| matches!(event, SessionEvent::PresencesChanged)).count()
}

#[test]
fn the_others_see_the_newest_with_a_password_and_without() {
    for password in [None, Some("secret")] {
        let mut world = world(password);
        let ids: Vec<_> = world.peers.iter().map(|peer| peer.client.view_id()).collect();
        show(&mut world, 0, b"a");
        show(&mut world, 1, b"b");
        show(&mut world, 0, b"c");
        world.pass(SECOND);
        assert_eq!(seen(&world.peers[0].client), BTreeMap::from([(ids[1], b"b".to_vec())]));
        let both = BTreeMap::from([(ids[0], b"c".to_vec()), (ids[1], b"b".to_vec())]);
        assert_eq!(seen(&world.peers[2].client), both);
        assert!(changes(&mut world, 2) > 0);
        show(&mut world, 0, b"");
        world.pass(SECOND);
        assert_eq!(seen(&world.peers[2].client), BTreeMap::from([(ids[1], b"b".to_vec())]));
        world.add(password);
        world.pass(SECOND);
        assert_eq!(seen(&world.peers[3].client), BTreeMap::from([(ids[1], b"b".to_vec())]));
        world.peers[1].client.leave();
        world.pass(SECOND);
        assert!(seen(&world.peers[2].client).is_empty(), "gone with the participant");
    }
}

#[test]
fn it_can_be_set_before_the_join_and_is_shown_again_after_a_reconnection() {
    let mut world = world(Some("secret"));
    let early = world.peers.len();
    world.add(Some("secret"));
    show(&mut world, early, b"early");
    world.pass(SECOND);
    let id = world.peers[early].client.view_id();
    assert_eq!(seen(&world.peers[0].client), BTreeMap::from([(id, b"early".to_vec())]));
    let now = world.now;
    world.peers[early].client.reconnect(now);
    world.peers[0].client.reconnect(now);
    world.pass(SECOND);
    assert_eq!(seen(&world.peers[0].client), BTreeMap::from([(id, b"early".to_vec())]));
}

#[test]
fn a_movement_in_each_millisecond_leads_to_thirty_messages_a_second() {
    let mut world = world(None);
    world.peers.iter_mut().for_each(|peer| peer.events.clear());
    let mut told = 0;
    for number in 0..1_000u32 {
        show(&mut world, 0, &number.to_be_bytes());
        world.pass(MS);
        told += changes(&mut world, 1);
    }
    assert!((25..=31).contains(&told), "{told} messages");
    world.pass(SECOND);
    let id = world.peers[0].client.view_id();
    assert_eq!(seen(&world.peers[1].client)[&id], 999u32.to_be_bytes());
}

#[test]
fn what_is_too_large_is_refused_and_what_was_shown_before_stays() {
    let mut world = world(Some("secret"));
    // With three bytes before them.
    show(&mut world, 0, &[7; 1021]);
    let now = world.now;
    let client = &mut world.peers[0].client;
    let refused = client.set_presence(now, Bytes::new(&[8; 1022]));
    assert_eq!(refused, Err(PublishError::TooLarge { size: 1025, most: 1024 }));
    for not_one in [&[][..], b"\x01\x02", b"\x91", b"\xc1"] {
        let refused = client.set_presence_encoded(now, not_one);
        assert!(matches!(refused, Err(PublishError::Encoding(_))), "{refused:?}");
    }
    world.pass(SECOND);
    let id = world.peers[0].client.view_id();
    assert_eq!(seen(&world.peers[1].client)[&id], [7; 1021]);
    world.peers[0].client.leave();
    let over = world.peers[0].client.set_presence(now, "x");
    assert_eq!(over, Err(PublishError::Over));
}

/// A reflector shows a client something else than what participants have sealed: of another participant, of before, junk.
#[test]
fn with_a_password_a_reflector_can_neither_make_nor_repeat_what_a_participant_shows() {
    let mut world = world(Some("secret"));
    let ids: Vec<_> = world.peers.iter().map(|peer| peer.client.view_id()).collect();
    let first = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let kept = first.clone();
    let victim = ids[1];
    world.twist = Some(Box::new(move |at, frame| {
        let Ok(ServerMessage::Presences(mut entries)) = ServerMessage::decode(&frame) else {
            return vec![frame];
        };
        if at != 2 {
            return vec![frame.clone()];
        }
        let mut kept = kept.borrow_mut();
        if kept.is_empty() {
            kept.extend_from_slice(&frame);
            return vec![frame.clone()];
        }
        for entry in &mut entries {
            entry.view_id = victim;
        }
        let forged = ServerMessage::Presences(entries).encode();
        // What it was before comes again, behind what is true.
        vec![forged, frame.clone(), kept.clone()]
    }));
    show(&mut world, 0, b"first");
    world.pass(SECOND);
    show(&mut world, 0, b"second");
    world.pass(SECOND);
    assert!(!first.borrow().is_empty());
    assert_eq!(seen(&world.peers[2].client), BTreeMap::from([(ids[0], b"second".to_vec())]));
}

#[test]
fn junk_of_a_participant_costs_only_what_it_shows() {
    let mut world = world(Some("secret"));
    show(&mut world, 0, b"fine");
    world.pass(SECOND);
    let connection = world.peers[1].connection.expect("it is connected");
    let now = world.now;
    world.reflector.received(now, connection, &ClientMessage::Presence(b"not sealed").encode());
    world.pass(SECOND);
    let id = world.peers[0].client.view_id();
    assert_eq!(seen(&world.peers[2].client), BTreeMap::from([(id, b"fine".to_vec())]));
    assert!(world.peers.iter().all(crate::healing::world::Peer::is_live));
}
