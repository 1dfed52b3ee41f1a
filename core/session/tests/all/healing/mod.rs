//! Clients that diverge, with the real reflector, in virtual time: which client hears what, which goes on and which
//! joins from scratch, and what the evidence says.

mod world;

use teatime_session::Divergence;
use teatime_session::forensics::diff::{Diff, Right, Since, SinceError, diff};
use teatime_session::forensics::evidence::Evidence;
use teatime_vm::recording::RecordingError;
use teatime_vm::{StateHash, Vm};
use world::{MS, SECOND, WRONG, World, app};

fn read(divergence: &Divergence) -> Evidence {
    Evidence::decode(&divergence.evidence).expect("it was just made")
}

fn look(divergence: &Divergence) -> Diff {
    WRONG.set(false);
    diff(&read(divergence), Some(&app())).expect("the states are states")
}

fn hash(vm: Option<&Vm>) -> StateHash {
    vm.and_then(|vm| vm.hash().ok()).expect("there is a state")
}

/// This number of clients, and five events. The last client computes one of them wrongly.
fn diverged(number: usize, password: Option<&str>) -> World {
    let mut world = World::new(number, teatime_reflector::Config::default(), password);
    world.peers[number - 1].wrong = true;
    for part in [3, 4, 5, 6, 7] {
        world.pass(50 * MS);
        world.publish(0, part);
    }
    world.forget_events();
    world
}

#[test]
fn a_client_in_the_minority_makes_evidence_and_goes_on_with_the_majoritys_state() {
    for password in [None, Some("secret")] {
        let mut world = diverged(3, password);
        world.vote();
        world.pass(SECOND);
        assert_eq!(world.verdict(), (2, 3));
        assert!(!world.peers[0].was_disturbed() && !world.peers[1].was_disturbed());
        let culprit = &world.peers[2];
        assert!(culprit.is_live() && culprit.lost_its_view(), "{:?}", culprit.events);
        assert_eq!((culprit.reloads(), culprit.divergences().len()), (1, 1));
        assert_eq!(culprit.parts(), world.peers[0].parts());
        let divergence = &culprit.divergences()[0];
        let evidence = read(divergence);
        assert_eq!((evidence.agreed, evidence.of), (2, 3));
        assert_eq!((evidence.seq, evidence.own_hash()), (divergence.seq, divergence.hash));
        assert_eq!(evidence.right_hash(), divergence.right);
        let right = divergence.right.expect("the majority's state was loaded");
        // The newest state that all had in common is the first: there was no vote before.
        assert_eq!(evidence.recording.as_ref().expect("it was short").from, 0);
        let found = look(divergence);
        let place = found.place.as_ref().expect("they differ");
        assert_eq!(place.to_string(), "model M1 (sum), field parts[2][1]");
        let values = (found.own_value.clone(), found.right_value.clone());
        let values = (values.0.expect("six").to_string(), values.1.expect("five").to_string());
        assert_eq!(values, ("6".to_owned(), "5".to_owned()));
        assert_eq!((found.right, found.reproduced), (Right::Known, Some(true)));
        // Its join, then 3, 4 and 5.
        let Since::Event(moment) = &found.since else { panic!("{found}") };
        let sender = Some(world.peers[0].client.view_id());
        assert_eq!((moment.seq, moment.what.as_str(), moment.sender), (4, "sum:add", sender));
        world.publish(1, 8);
        assert_ne!(right, hash(world.peers[0].client.vm()));
        world.assert_unanimous();
    }
}

#[test]
fn without_a_majority_a_replay_shows_which_client_was_right_and_that_one_notices_nothing() {
    for number in [2, 4] {
        let mut world = diverged(number, None);
        if number == 4 {
            // Two and two.
            world.peers[2].wrong = true;
            world.publish(0, 5);
        }
        world.hasty = true;
        // They computed wrongly once: a glitch that a replay does not repeat.
        world.peers.iter_mut().for_each(|peer| peer.wrong = false);
        world.vote();
        world.pass(SECOND);
        let (right, wrong): (Vec<_>, Vec<_>) =
            world.peers.iter().partition(|peer| peer.divergences().is_empty());
        assert_eq!((right.len(), wrong.len()), (number - wrong.len(), number / 2), "{number}");
        for peer in right {
            assert!(!peer.was_disturbed() && peer.is_live());
        }
        for peer in wrong {
            assert!(peer.is_live() && peer.reloads() == 1);
            let divergence = &peer.divergences()[0];
            assert!(divergence.right.is_some() && divergence.right != Some(divergence.hash));
            let found = look(divergence);
            assert_eq!(found.reproduced, Some(false));
            let field = found.place.as_ref().expect("they differ").field();
            assert!(field.starts_with("parts["), "{field}");
            // The others never had a six there.
            assert!(matches!(&found.since, Since::LastChange(moment) if moment.what == "sum:add"));
        }
        world.assert_unanimous();
    }
}

#[test]
fn evidence_shows_which_event_a_client_has_missed() {
    let mut world = diverged(2, None);
    let now = world.now;
    world.peers[1].wrong = false;
    let recording = {
        world.vote();
        world.pass(SECOND);
        read(&world.peers[1].divergences()[0])
    };
    // The same evidence, of a client that computed nothing after the second of five events.
    let history = recording.recording.clone().expect("it was short");
    let state = |seq| {
        let until = teatime_vm::recording::Until::Seq(seq);
        history.replay(&app(), until).expect("it plays").snapshot().expect("it can be saved")
    };
    let evidence = Evidence {
        own: Some(state(3).into()),
        right: None,
        replayed: Vec::new(),
        ..recording.clone()
    };
    let found = diff(&evidence, Some(&app())).expect("they are states");
    assert_eq!((found.right, found.reproduced), (Right::Replayed, None));
    assert_eq!(
        found.place.as_ref().map(teatime_vm::tree::Place::field).as_deref(),
        Some("additions")
    );
    let Since::Missed(before, event) = &found.since else { panic!("{found}") };
    assert_eq!((before.seq, event.seq), (3, 4));
    assert!(now > 0 && found.to_string().contains("wrong: 2\n  right: 5\n"), "{found}");
    // Without the models only the states are compared, if both are there.
    let found = diff(&evidence, None).expect("they are states");
    assert_eq!((found.right, found.place), (Right::Unknown, None));
    assert_eq!(found.since, Since::Unknown(SinceError::NoApp("test.sum".into())));
    let known = Evidence { right: Some(state(6).into()), ..evidence };
    let found = diff(&known, None).expect("they are states");
    assert_eq!(
        found.place.map(|place| place.to_string()).as_deref(),
        Some("model M1 (sum), field additions")
    );
}

/// State that no snapshot contains makes veterans differ from late joiners. Loading the log again would heal none of
/// them.
#[test]
fn a_newcomer_in_the_minority_gets_the_majoritys_state_whatever_led_to_it() {
    let mut world = World::new(2, teatime_reflector::Config::default(), None);
    world.peers.iter_mut().for_each(|peer| peer.wrong = true);
    world.publish(0, 5);
    world.peers.iter_mut().for_each(|peer| peer.wrong = false);
    world.add(None);
    world.pass(SECOND);
    assert_eq!(world.peers[2].parts(), [(1, 5)]);
    world.vote();
    world.pass(SECOND);
    assert_eq!(world.peers[2].parts(), [(1, 6)]);
    assert_eq!(world.peers[2].divergences().len(), 1);
    world.assert_unanimous();
}

#[test]
fn a_client_that_lies_in_votes_disturbs_only_itself() {
    for number in [2, 3] {
        let mut world = World::new(number, teatime_reflector::Config::default(), None);
        world.liar = Some(number - 1);
        for round in 0..20 {
            world.publish(0, round);
            world.vote();
            world.pass(SECOND);
        }
        for peer in &world.peers[..number - 1] {
            assert!(!peer.was_disturbed());
        }
        world.liar = None;
        world.pass(5 * SECOND);
        world.assert_unanimous();
    }
}

/// More has come since the last vote than any client remembers.
#[test]
fn a_client_without_a_recording_loads_the_log_at_most_once_a_minute() {
    let config = teatime_reflector::Config {
        snapshot_after_events: u64::MAX,
        snapshot_after_bytes: u64::MAX,
        ..teatime_reflector::Config::default()
    };
    let mut world = World::new(2, config, None);
    world.peers[1].wrong = true;
    world.publish(0, 5);
    world.peers[1].wrong = false;
    let text = "x".repeat(60_000);
    let fill = |world: &mut World| {
        for _ in 0..300 {
            let client = &mut world.peers[0].client;
            client.publish(world.now, "sum", "say", &text).expect("there is room");
            world.pass(10 * MS);
        }
    };
    fill(&mut world);
    world.forget_events();
    world.vote();
    world.pass(SECOND);
    assert_eq!((world.peers[0].reloads(), world.peers[0].divergences().len()), (1, 0));
    assert_eq!((world.peers[1].reloads(), world.peers[1].divergences().len()), (1, 1));
    let evidence = read(&world.peers[1].divergences()[0]);
    assert!(evidence.recording.is_none() && evidence.right.is_some());
    let found = diff(&evidence, Some(&app())).expect("they are states");
    assert_eq!(found.place.map(|place| place.field()).as_deref(), Some("parts[0][1]"));
    assert_eq!(found.since, Since::Unknown(SinceError::NoRecording));
    world.assert_unanimous();
    // Now the other one lies, again and again.
    world.liar = Some(1);
    for reloads in [1, 2] {
        fill(&mut world);
        for _ in 0..3 {
            world.vote();
            world.pass(6 * SECOND);
        }
        assert_eq!((world.peers[0].reloads(), world.peers[0].divergences().len()), (reloads, 0));
        world.pass(40 * SECOND);
    }
}

#[test]
fn evidence_is_made_without_the_right_state_if_that_will_never_be_known() {
    let mut world = diverged(3, None);
    world.peers[2].offline = true;
    world.vote();
    assert!(world.peers[2].divergences().is_empty(), "the right state is on its way");
    assert_eq!(world.peers[2].reloads(), 1);
    world.peers[2].client.leave();
    world.run();
    let divergence = &world.peers[2].divergences()[0];
    assert_eq!(divergence.right, None);
    let found = look(divergence);
    assert_eq!(found.right, Right::Replayed);
    assert_eq!(
        found.place.as_ref().map(teatime_vm::tree::Place::field).as_deref(),
        Some("parts[2][1]")
    );
    assert!(matches!(&found.since, Since::Event(moment) if moment.seq == 4), "{found}");
    // A program that makes the same mistake finds nothing.
    WRONG.set(true);
    let found = diff(&read(divergence), Some(&app())).expect("the states are states");
    assert_eq!(
        (found.right, found.since),
        (Right::Unknown, Since::Unknown(SinceError::SameMistake))
    );
    WRONG.set(false);
}

#[test]
fn every_cut_and_every_flipped_bit_of_evidence_is_refused() {
    let mut world = diverged(3, None);
    world.vote();
    world.pass(SECOND);
    let file = world.peers[2].divergences()[0].evidence.clone();
    let refused = |file: &[u8]| match Evidence::decode(file).expect_err("it is refused") {
        RecordingError::Damaged | RecordingError::Unknown => {}
        other => panic!("{other}"),
    };
    (0..file.len()).for_each(|length| refused(&file[..length]));
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut flipped = file.to_vec();
            flipped[at] ^= 1 << bit;
            refused(&flipped);
        }
    }
    let good = read(&world.peers[2].divergences()[0]);
    for wrong in [Evidence { own: None, ..good.clone() }, Evidence { seq: 1, ..good.clone() }] {
        assert!(matches!(Evidence::decode(&wrong.encode()), Err(RecordingError::Content(_))));
    }
    let rubbish = Evidence { own: Some([0xc1, 7][..].into()), ..good };
    let read = Evidence::decode(&rubbish.encode()).expect("decoding does not read the state");
    assert!(diff(&read, Some(&app())).is_err());
}
