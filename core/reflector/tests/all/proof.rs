//! Only a client that holds the keys of a view and of a room gets in, and only on its own connection.

use crate::support::keys::{password_key, prove};
use crate::support::stored::StoredWorld;
use crate::support::{SECOND, World, join, world};
use teatime_reflector::{Config, ConnId};
use teatime_wire::{
    Challenge, ChannelBinding, ClientMessage, CloseReason, Digest, Join, Proof, PublicKey,
    Signature,
};

/// The owner of the room with a password.
fn owner(view: u8) -> Join<'static> {
    Join { password_key: Some(password_key(1)), ..join(view) }
}

/// The parts of a message that joins.
fn taken_apart<'a>(join: Join<'a>, challenge: &Challenge) -> (Join<'a>, Proof) {
    match prove(join, challenge) {
        ClientMessage::Join(join, proof) => (join, *proof),
        other => panic!("{other:?}"),
    }
}

/// The reflector has closed this connection for lack of proof, and nothing else has happened.
fn assert_refused(world: &mut World, connection: ConnId) {
    assert_eq!(world.closed.pop(), Some((connection, CloseReason::BadProof)));
    assert!(world.closed.is_empty() && world.messages(connection).is_empty());
}

#[test]
fn a_recorded_join_is_refused_on_every_other_connection_and_disturbs_no_one() {
    let mut world = world();
    let first = world.connect();
    let recorded = world.proven(first, Join { attempt: 1, ..owner(1) });
    world.say_raw(first, &recorded);
    world.pass(SECOND);
    let before = world.messages(first).len();
    for _ in 0..3 {
        let thief = world.connect();
        world.say_raw(thief, &recorded);
        assert_refused(&mut world, thief);
    }
    // The thief cannot change it either: not the attempt, not the view, not the session.
    let (join, proof) = taken_apart(owner(1), &world.challenge(first));
    let changed = [
        Join { attempt: 2, ..join.clone() },
        Join { attempt: u64::MAX, ..join.clone() },
        Join { view_key: owner(2).view_key, ..join.clone() },
        Join { program: Digest([9; 32]), ..join.clone() },
        Join { version: 2, ..join.clone() },
        Join { name: Digest([9; 32]), ..join },
    ];
    for join in changed {
        let thief = world.connect();
        world.say(thief, &ClientMessage::Join(join, Box::new(proof)));
        assert_refused(&mut world, thief);
    }
    assert_eq!((world.messages(first).len(), world.members.len()), (before, 1));
    assert_eq!(world.reflector.stats().sessions, 1);
}

#[test]
fn a_thief_with_all_public_keys_is_neither_the_view_nor_in_the_room() {
    let mut world = world();
    let first = world.join_as(owner(1));
    world.post(first, 1);
    // The thief signs with keys of their own, and names those of the owner.
    for (view, password) in [(owner(1).view_key, true), (join(9).view_key, true)] {
        let thief = world.connect();
        let challenge = world.challenge(thief);
        let own = Join { password_key: Some(password_key(9)), ..join(9) };
        let (_, proof) = taken_apart(own, &challenge);
        let password_key = owner(1).password_key.filter(|_| password);
        let forged = Join { view_key: view, password_key, attempt: 99, ..owner(1) };
        world.say(thief, &ClientMessage::Join(forged.clone(), Box::new(proof)));
        assert_refused(&mut world, thief);
        let thief = world.connect();
        let without = Proof { password: None, ..proof };
        world.say(thief, &ClientMessage::Join(forged, Box::new(without)));
        assert_refused(&mut world, thief);
    }
    // A valid signature of a view does not stand for that of the password.
    let thief = world.connect();
    let own = Join { password_key: owner(1).password_key, ..join(9) };
    let (join, proof) = taken_apart(own, &world.challenge(thief));
    let twice = Proof { password: Some(proof.view), ..proof };
    world.say(thief, &ClientMessage::Join(join, Box::new(twice)));
    assert_refused(&mut world, thief);
    assert_eq!(world.members, [first]);
}

#[test]
fn a_wrong_proof_is_refused_alike_whatever_the_reflector_has_and_before_its_storage_is_asked() {
    let mut world = StoredWorld::new(Config::default());
    let first = world.join_well(owner(1));
    world.post(first, 1);
    world.answer_all();
    let nothing = Proof { view: Signature([0; 64]), password: Some(Signature([0; 64])) };
    let other = Join { program: Digest([9; 32]), ..owner(2) };
    let small_order = Join { view_key: PublicKey([0; 32]), ..owner(2) };
    for join in [owner(1), owner(2), other, small_order] {
        let thief = world.connect();
        world.say(thief, &ClientMessage::Join(join, Box::new(nothing)));
        assert!(world.waiting.is_empty(), "the storage is asked");
        assert_eq!(world.closed.pop(), Some((thief, CloseReason::BadProof)));
    }
    // The proof of another password is a proof, for another session.
    let wrong = Join { password_key: Some(password_key(9)), ..join(2) };
    let mistyped = world.join_well(wrong);
    assert_eq!((world.welcome(mistyped).seq, world.closed.len()), (0, 0));
}

#[test]
fn a_join_counts_only_with_the_channel_that_the_reflector_knows() {
    let nonce = Digest([5; 32]);
    let channels = [None, Some(ChannelBinding([1; 32])), Some(ChannelBinding([2; 32]))];
    for known in channels {
        for signed in channels {
            let mut world = world();
            let connection = ConnId(7);
            world.reflector.connected(0, connection, Challenge { nonce, channel: known });
            world.say(connection, &prove(owner(1), &Challenge { nonce, channel: signed }));
            assert_eq!(world.members.is_empty(), known != signed, "{known:?} {signed:?}");
            assert_eq!(world.closed.is_empty(), known == signed);
        }
    }
}
