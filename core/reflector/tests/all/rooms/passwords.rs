//! Which clients may begin a session in a room, by their password.

use super::{announced, begins_with, persist, version, world};
use crate::support::{SECOND, World, room};
use teatime_wire::{ClientMessage, CloseReason, Digest, Join, Room, SessionId};

#[test]
fn a_visit_with_another_password_does_not_block_the_room() {
    let mut world = world();
    let right = |number| Join { password_proof: Some(Digest([1; 32])), ..version(number, 2) };
    let wrong = |number| Join {
        password_proof: Some(Digest([9; 32])),
        room: Room { id: Digest([7; 32]), ..room(2) },
        ..version(number, 2)
    };
    let typo = announced(&mut world, wrong(1));
    let refused = world.join_as(right(2));
    assert_eq!(world.closed, [(refused, CloseReason::WrongPassword)]);
    world.say(typo, &ClientMessage::Leave);
    let one = announced(&mut world, right(2));
    world.post(one, 1);
    world.say(one, &ClientMessage::Leave);
    // And a participant that has done something is not pushed out.
    let refused = world.join_as(wrong(3));
    assert_eq!(world.closed.last(), Some(&(refused, CloseReason::WrongPassword)));
    let again = announced(&mut world, right(4));
    assert_eq!(world.events(again).len(), 1);
}

/// The room and the proof of another password than that of the tests.
fn elsewhere(join: Join<'static>) -> Join<'static> {
    let room = Room { id: Digest([7; 32]), ..join.room };
    Join { room, password_proof: Some(Digest([9; 32])), ..join }
}

fn refused(world: &World) -> usize {
    world.closed.iter().filter(|(_, reason)| *reason == CloseReason::WrongPassword).count()
}

#[test]
fn a_new_version_is_begun_by_clients_that_can_read_the_persisted_data_of_the_room() {
    let mut world = world();
    let old = announced(&mut world, version(1, 1));
    // Nothing is persisted yet: the first client begins.
    let early = announced(&mut world, elsewhere(version(2, 2)));
    assert!(world.closed.is_empty());
    persist(&mut world, old, b"work", &[]);
    world.say(early, &ClientMessage::Leave);
    // The early client has only looked: it owns neither that session nor another.
    for number in [2, 3] {
        let typo = world.join_as(elsewhere(version(3, number)));
        assert_eq!(world.closed.last(), Some(&(typo, CloseReason::WrongPassword)));
        let one = announced(&mut world, version(4, number));
        assert_eq!(begins_with(&world, one), Some((1, b"work".to_vec())));
        world.say(one, &ClientMessage::Leave);
    }
    // Of rooms of other names nothing is said.
    for name in [0, 2] {
        let join = elsewhere(version(5, 3));
        let room = Room { name: Digest([name; 32]), ..join.room };
        let session = SessionId([100 + name; 32]);
        announced(&mut world, Join { room, session, ..join });
    }
    assert_eq!(refused(&world), 2);
}

#[test]
fn a_participant_of_a_room_is_not_shut_out_by_persisted_data_in_another_room() {
    for has_kept in [false, true] {
        let mut world = world();
        let one = announced(&mut world, elsewhere(version(1, 1)));
        if has_kept {
            persist(&mut world, one, b"own", &[]);
        } else {
            world.post(one, 1);
        }
        world.say(one, &ClientMessage::Leave);
        // They have a session of another version, and so another room.
        let stranger = world.join_as(version(2, 9));
        assert_eq!(refused(&world), usize::from(has_kept));
        if !has_kept {
            world.pass(SECOND);
            persist(&mut world, stranger, b"strange", &[]);
        }
        let before = refused(&world);
        let again = announced(&mut world, elsewhere(version(3, 2)));
        assert_eq!(refused(&world), before);
        assert_eq!(begins_with(&world, again), has_kept.then(|| (1, b"own".to_vec())));
    }
}
