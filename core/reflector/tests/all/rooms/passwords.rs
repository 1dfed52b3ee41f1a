//! Another password is another room. A client that may have mistyped one gets a hint.

use super::{announced, begins_with, persist, version, world};
use crate::support::keys::password_key;
use crate::support::{SECOND, World};
use teatime_reflector::ConnId;
use teatime_wire::{ClientMessage, Digest, Join, ServerMessage};

/// The version 1 of an app, with the password of this number, or without one.
fn with(number: u8, password: Option<u8>) -> Join<'static> {
    Join { password_key: password.map(password_key), ..version(number, 1) }
}

fn hints(world: &World, of: ConnId) -> usize {
    let messages = world.messages(of);
    messages.iter().filter(|message| **message == ServerMessage::OtherPassword).count()
}

#[test]
fn members_of_two_rooms_of_one_name_do_not_see_each_other() {
    let mut world = world();
    let passwords = [None, Some(1), Some(9)];
    let all: Vec<_> = passwords
        .map(|password| {
            let one = announced(&mut world, with(1 + password.unwrap_or(0), password));
            world.post(one, 1);
            one
        })
        .into();
    assert_eq!(world.reflector.stats().sessions, 3);
    for (one, password) in all.iter().zip(passwords) {
        assert_eq!(world.events(*one).len(), 1, "{password:?}");
        assert_eq!(world.views(*one).len(), 1, "{password:?}");
    }
    // What is persisted in one is not there in the others.
    persist(&mut world, all[1], b"of the room", &[]);
    for (password, begun) in passwords.into_iter().zip([None, Some(b"of the room"), None]) {
        let next = Join { password_key: password.map(password_key), ..version(5, 2) };
        let next = announced(&mut world, next);
        assert_eq!(begins_with(&world, next), begun.map(|data| (1, data.to_vec())));
    }
    assert!(world.closed.is_empty());
}

#[test]
fn a_stranger_who_comes_first_keeps_no_owner_out() {
    let mut world = world();
    // It has its own password, and also tries the same session id under another name.
    let stranger = announced(&mut world, with(9, Some(9)));
    world.post(stranger, 1);
    let elsewhere = Join { name: Digest([7; 32]), ..with(8, Some(1)) };
    announced(&mut world, elsewhere);
    world.say(stranger, &ClientMessage::Leave);
    let owners = [1, 2].map(|number| announced(&mut world, with(number, Some(1))));
    assert!(world.closed.iter().all(|(one, _)| *one == stranger));
    for (counter, owner) in (1..).zip(owners) {
        assert_eq!(world.welcome(owner).timeline, world.welcome(owners[0]).timeline);
        world.post(owner, 1);
        assert_eq!(world.events(owners[0]).len(), counter);
    }
    // Their room was new when the first came, and is not now.
    let later = announced(&mut world, with(3, Some(1)));
    assert_eq!((hints(&world, owners[0]), hints(&world, later)), (1, 0));
}

#[test]
fn a_client_in_a_new_room_hears_that_the_name_is_used_with_another_password() {
    let mut world = world();
    let owner = announced(&mut world, with(1, Some(1)));
    // As long as they only look at each other it goes both ways, once for each room.
    let early = announced(&mut world, with(2, Some(2)));
    assert_eq!((hints(&world, owner), hints(&world, early)), (1, 1));
    let another = announced(&mut world, with(3, None));
    assert_eq!((hints(&world, owner), hints(&world, early)), (1, 1));
    assert_eq!(hints(&world, another), 1);
    world.post(owner, 1);
    for gone in [owner, early, another] {
        world.say(gone, &ClientMessage::Leave);
    }
    // The room is used, with or without clients.
    let mistyped = announced(&mut world, with(4, Some(3)));
    let right = announced(&mut world, with(5, Some(1)));
    assert_eq!((hints(&world, mistyped), hints(&world, right)), (1, 0));
    // A client hears nothing of rooms of other names, nor of rooms that are unused.
    let other = announced(&mut world, Join { name: Digest([7; 32]), ..with(6, Some(2)) });
    assert_eq!(hints(&world, other), 0);
}

#[test]
fn strangers_who_only_join_push_no_session_of_members_out_of_memory() {
    let config =
        teatime_reflector::Config { max_idle_sessions: 3, ..teatime_reflector::Config::default() };
    let mut world = World::new(config);
    for password in [1, 2] {
        let owner = announced(&mut world, with(password, Some(password)));
        world.post(owner, 1);
        world.say(owner, &ClientMessage::Leave);
    }
    for password in 100..200 {
        let stranger = announced(&mut world, with(9, Some(password)));
        world.say(stranger, &ClientMessage::Leave);
    }
    for password in [1, 2] {
        let back = announced(&mut world, with(password, Some(password)));
        assert_eq!(world.events(back).len(), 1);
    }
}

#[test]
fn an_empty_session_that_was_left_gives_no_hint() {
    let mut world = world();
    let stranger = announced(&mut world, with(9, Some(9)));
    world.say(stranger, &ClientMessage::Leave);
    world.pass(SECOND);
    let owner = announced(&mut world, with(1, Some(1)));
    assert_eq!(hints(&world, owner), 0);
}
