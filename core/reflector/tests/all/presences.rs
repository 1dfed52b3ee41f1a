//! What participants show of themselves: who gets it, when, and what it costs.

use teatime_reflector::{AddressId, Config, ConnId};
use teatime_wire::{ClientMessage, ServerMessage, ViewId};

use crate::support::stored::StoredWorld;
use crate::support::{MS, SECOND, World, id, join};

/// What a connection has got, in order: the views and what they show.
fn shown(world: &World, connection: ConnId) -> Vec<(ViewId, Vec<u8>)> {
    let messages = world.messages(connection).into_iter();
    let entries = messages.filter_map(|message| match message {
        ServerMessage::Presences(entries) => Some(entries),
        _ => None,
    });
    entries.flatten().map(|entry| (entry.view_id, entry.data.to_vec())).collect()
}

fn show(world: &mut World, connection: ConnId, data: &[u8]) {
    world.say(connection, &ClientMessage::Presence(data));
}

/// A session of the views 1 and 2.
fn two(config: Config) -> (World, ConnId, ConnId) {
    let mut world = World::new(config);
    let (one, two) = (world.join(1), world.join(2));
    world.pass(SECOND);
    (world, one, two)
}

#[test]
fn everybody_gets_the_newest_and_no_more_often_than_the_interval() {
    let (mut world, one, two) = two(Config::default());
    show(&mut world, one, b"a");
    assert_eq!(shown(&world, two), [(id(1), b"a".to_vec())], "at once");
    for number in 0..30 {
        show(&mut world, one, &[number]);
        world.pass(MS);
    }
    assert_eq!(shown(&world, two).len(), 1);
    world.pass(10 * MS);
    assert_eq!(shown(&world, two)[1..], [(id(1), vec![29])]);
    // It is not part of the order.
    assert!(!world.messages(two).iter().any(|message| matches!(message, ServerMessage::Event(_))));
}

#[test]
fn a_newcomer_gets_all_and_nothing_of_those_who_have_left() {
    let (mut world, one, two) = two(Config::default());
    show(&mut world, one, b"one");
    show(&mut world, two, b"two");
    world.pass(SECOND);
    world.say(two, &ClientMessage::Leave);
    world.pass(SECOND);
    let three = world.join(3);
    world.pass(SECOND);
    assert_eq!(shown(&world, three), [(id(1), b"one".to_vec())]);
    show(&mut world, one, b"");
    world.pass(SECOND);
    assert_eq!(shown(&world, three)[1..], [(id(1), vec![])]);
}

#[test]
fn it_outlives_a_broken_connection_and_ends_with_the_exit() {
    let (mut world, one, _) = two(Config::default());
    show(&mut world, one, b"here");
    world.cut(one);
    world.pass(SECOND);
    let three = world.join(3);
    world.pass(SECOND);
    assert_eq!(shown(&world, three), [(id(1), b"here".to_vec())]);
    world.pass(Config::default().rejoin_limit);
    let four = world.join(4);
    world.pass(SECOND);
    assert_eq!(shown(&world, four), []);
}

#[test]
fn a_session_without_clients_has_none() {
    let (mut world, one, two) = two(Config::default());
    show(&mut world, one, b"here");
    world.cut(one);
    world.cut(two);
    world.pass(SECOND);
    let three = world.join(3);
    world.pass(SECOND);
    assert_eq!(shown(&world, three), [], "the views may come back, and show it again then");
}

#[test]
fn a_view_whose_join_is_not_ordered_yet_shows_nothing() {
    let mut world = World::new(Config::default());
    let one = world.join(1);
    show(&mut world, one, b"early");
    world.pass(SECOND);
    let two = world.join(2);
    world.pass(SECOND);
    assert_eq!(shown(&world, two), []);
}

#[test]
fn what_is_beyond_the_share_of_an_address_is_not_shown_and_harms_no_other_address() {
    let config = Config { max_session_bytes_per_address: 8 * 1024, ..Config::default() };
    let (mut world, one, two) = two(config);
    // All of the share is used: by the session that it has begun, and by what it shows.
    for (connection, address) in [(one, 1), (two, 2)] {
        world.reflector.comes_from(connection, AddressId(address));
    }
    world.post_bytes(one, 1, 7_500);
    show(&mut world, one, &[1; 1_000]);
    show(&mut world, two, &[2; 1_000]);
    world.pass(SECOND);
    let three = world.join(3);
    world.pass(SECOND);
    assert_eq!(shown(&world, three), [(id(2), vec![2; 1_000])]);
}

#[test]
fn what_no_longer_fits_ends_what_was_shown_before() {
    let config = Config { max_session_bytes_per_address: 8 * 1024, ..Config::default() };
    let (mut world, one, two) = two(config);
    world.reflector.comes_from(one, AddressId(1));
    show(&mut world, one, b"old");
    world.pass(SECOND);
    world.post_bytes(one, 1, 7_500);
    show(&mut world, one, &[1; 1_000]);
    world.pass(SECOND);
    assert_eq!(shown(&world, two), [(id(1), b"old".to_vec()), (id(1), vec![])]);
}

#[test]
fn nothing_of_it_is_stored_and_a_session_in_which_only_that_has_happened_leaves_nothing_behind() {
    let mut world = StoredWorld::new(Config::default());
    let one = world.join_well(join(1));
    world.pass_well(SECOND);
    world.say(one, &ClientMessage::Presence(b"here"));
    world.pass_well(SECOND);
    world.restart(Config::default());
    let two = world.join_well(join(2));
    world.pass_well(SECOND);
    assert!(!world.views(two).into_iter().any(|(_, joined)| joined.contains(&id(1))));
}
