//! Which participants the models know after a restart, or after their session left memory.

use std::collections::BTreeSet;

use crate::support::stored::StoredWorld;
use crate::support::{SECOND, id, join};
use teatime_reflector::{Config, ConnId};
use teatime_wire::{ClientMessage, Digest, Join, ViewId};

/// The participants, as the models of this one know them from the messages so far.
fn present(world: &StoredWorld, participant: ConnId) -> BTreeSet<ViewId> {
    let mut present = BTreeSet::new();
    for (exited, joined) in world.views(participant) {
        exited.iter().for_each(|view| assert!(present.remove(view), "{view:?} is not there"));
        present.extend(joined);
    }
    present
}

/// A session of the views 1, 2 and 3.
fn three() -> (StoredWorld, [ConnId; 3]) {
    let config = Config { max_idle_time: 60 * SECOND, max_idle_sessions: 1, ..Config::default() };
    let mut world = StoredWorld::new(config);
    let all = [1, 2, 3].map(|number| world.join_well(join(number)));
    world.post(all[0], 1);
    world.pass_well(SECOND);
    assert_eq!(present(&world, all[2]), [1, 2, 3].map(id).into());
    (world, all)
}

/// The participants once a newcomer is there.
fn newcomer(world: &mut StoredWorld) -> BTreeSet<ViewId> {
    let newcomer = world.join_well(join(9));
    world.pass_well(SECOND);
    present(world, newcomer)
}

#[test]
fn participants_that_have_left_are_gone_after_a_restart() {
    for last_leaves in [false, true] {
        let (mut world, all) = three();
        for one in &all[..if last_leaves { 3 } else { 2 }] {
            world.say(*one, &ClientMessage::Leave);
            world.pass_well(SECOND);
        }
        let mut there = BTreeSet::from([id(9)]);
        if !last_leaves {
            there.insert(id(3));
        }
        world.restart(Config::default());
        assert_eq!(newcomer(&mut world), there, "{last_leaves}");
    }
}

#[test]
fn after_a_restart_participants_have_the_rejoin_limit_to_come_back() {
    let limit = Config::default().rejoin_limit;
    let (mut world, _) = three();
    world.restart_after(Config::default(), Some(limit));
    let back = world.join_well(join(1));
    world.pass_well(limit - 2 * SECOND);
    assert_eq!(present(&world, back), [1, 2, 3].map(id).into());
    world.pass_well(3 * SECOND);
    assert_eq!(present(&world, back), [id(1)].into());
    // The first comes after the limit, or the reflector was away for longer than that.
    for (away, waits) in [(0, limit + SECOND), (limit + SECOND, 0)] {
        let (mut world, _) = three();
        world.restart_after(Config::default(), Some(away));
        world.pass_well(waits);
        assert_eq!(newcomer(&mut world), [id(9)].into(), "{away}");
    }
}

#[test]
fn a_participant_leaves_when_it_has_said_so_connected_or_cut_off() {
    let limit = Config::default().rejoin_limit;
    let seconds =
        |number: u64| ClientMessage::LeaveAfter(u32::try_from(1_000 * number).expect("few"));
    // Its line breaks, or does not; its time is shorter than the rejoin limit, or longer.
    for (breaks, after) in [(false, 3), (true, 3), (true, 20)] {
        let (mut world, all) = three();
        world.say(all[0], &seconds(after));
        if breaks {
            world.cut(all[0]);
        }
        world.pass_well((after - 1) * SECOND);
        assert_eq!(present(&world, all[2]), [1, 2, 3].map(id).into(), "{breaks} {after}");
        world.pass_well(2 * SECOND);
        assert_eq!(present(&world, all[2]), [2, 3].map(id).into(), "{breaks} {after}");
    }
    // It comes back in time, on another connection: nothing has happened.
    let (mut world, all) = three();
    world.say(all[0], &seconds(3));
    world.join_well(Join { attempt: 2, ..join(1) });
    world.pass_well(limit);
    assert_eq!(present(&world, all[2]), [1, 2, 3].map(id).into());
    // The reflector bounds what a participant asks for.
    let config = Config { max_leave_after: 20 * SECOND, ..Config::default() };
    let mut world = StoredWorld::new(config);
    let all = [1, 2].map(|number| world.join_well(join(number)));
    world.say(all[0], &ClientMessage::LeaveAfter(u32::MAX));
    world.cut(all[0]);
    world.pass_well(19 * SECOND);
    assert_eq!(present(&world, all[1]), [1, 2].map(id).into());
    world.pass_well(2 * SECOND);
    assert_eq!(present(&world, all[1]), [id(2)].into());
}

#[test]
fn participants_of_a_session_that_was_unloaded_are_gone() {
    let (mut world, all) = three();
    for one in all {
        world.cut(one);
    }
    world.pass_well(61 * SECOND);
    assert!(!world.released.is_empty(), "it was unloaded");
    assert_eq!(newcomer(&mut world), [id(9)].into());
}

#[test]
fn participants_of_a_session_that_was_unloaded_early_can_come_back() {
    let (mut world, all) = three();
    for one in all {
        world.cut(one);
    }
    world.pass_well(SECOND);
    // There is memory for one session without clients.
    let other = world.join_well(Join { name: Digest([7; 32]), ..join(4) });
    world.cut(other);
    world.pass_well(SECOND);
    assert!(!world.released.is_empty(), "it was unloaded");
    assert_eq!(newcomer(&mut world), [1, 2, 3, 9].map(id).into());
}
