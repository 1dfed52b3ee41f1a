//! Clients that diverge, with the real reflector, in virtual time: which client hears what, which goes on and which
//! joins from scratch, and what the evidence says.

mod strangers;
pub(crate) mod world;

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
    diverged_in(World::new(number, teatime_reflector::Config::default(), password))
}

fn diverged_in(mut world: World) -> World {
    let number = world.peers.len();
    world.peers[number - 1].wrong = true;
    for part in [3, 4, 5, 6, 7] {
        world.pass(50 * MS);
        world.publish(0, part);
    }
    world.forget_events();
    world
}

/// The same. It was a glitch that a replay does not repeat.
fn diverged_once(number: usize, password: Option<&str>) -> World {
    let mut world = diverged(number, password);
    world.peers.iter_mut().for_each(|peer| peer.wrong = false);
    world
}

/// A reflector that wants no snapshots.
fn without_snapshots() -> teatime_reflector::Config {
    teatime_reflector::Config {
        snapshot_after_events: u64::MAX,
        snapshot_after_bytes: u64::MAX,
        ..teatime_reflector::Config::default()
    }
}

/// More than any client remembers.
fn fill(world: &mut World) {
    let text = "x".repeat(60_000);
    for _ in 0..300 {
        let client = &mut world.peers[0].client;
        client.publish(world.now, "sum", "say", &text).expect("there is room");
        world.pass(10 * MS);
    }
}

#[test]
fn a_client_in_the_minority_that_was_wrong_makes_evidence_and_loads_the_right_state() {
    for password in [None, Some("secret")] {
        let mut world = diverged_once(3, password);
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
        let right = divergence.right.expect("the replay came to it");
        // The newest state that all had in common is the first: there was no vote before.
        assert_eq!(evidence.recording.as_ref().expect("it was short").from, 0);
        let found = look(divergence);
        let place = found.place.as_ref().expect("they differ");
        assert_eq!(place.to_string(), "model M1 (sum), field parts[2][1]");
        let values = (found.own_value.clone(), found.right_value.clone());
        let values = (values.0.expect("six").to_string(), values.1.expect("five").to_string());
        assert_eq!(values, ("6".to_owned(), "5".to_owned()));
        assert_eq!((found.right, found.reproduced), (Right::Known, Some(false)));
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

/// Builds with different code are in one session because their authors have declared that they are the same.
#[test]
fn two_programs_that_compute_different_things_are_made_known_to_all_and_keep_their_states() {
    for (number, password) in [(2, None), (3, None), (3, Some("secret"))] {
        let mut world = diverged(number, password);
        let parts: Vec<_> = world.peers.iter().map(|peer| peer.parts()).collect();
        for _ in 0..3 {
            world.vote();
            world.pass(6 * SECOND);
        }
        for (at, peer) in world.peers.iter().enumerate() {
            assert!(!peer.was_disturbed() && peer.is_live());
            assert_eq!(peer.parts(), parts[at]);
            let [found] = &peer.disagreements()[..] else { panic!("it comes once") };
            let is_last = at == number - 1;
            let (own, other): (Vec<_>, Vec<_>) = found.sides.iter().partition(|side| side.is_own);
            let numbers = (own[0].participants, other[0].participants);
            let expected = (number as u32 - 1, 1);
            assert_eq!(numbers, if is_last { (1, expected.0) } else { expected });
            let build = &own[0].builds[0];
            assert!(build.starts_with("teatime-rust/") && build.contains(", models "), "{build}");
            let text = found.to_string();
            assert_eq!(text.matches(build.as_str()).count(), 2, "both are named: {text}");
            assert!(text.contains("this one included"), "{text}");
        }
        evidence_of_two_programs(&world, number - 1);
    }
}

/// What the evidence of this client says to the other program, and to its own.
fn evidence_of_two_programs(world: &World, culprit: usize) {
    let found = &world.peers[culprit].disagreements()[0];
    let file = found.evidence.as_ref().expect("it has voted");
    let evidence = Evidence::decode(file).expect("it was just made");
    assert_eq!((evidence.right.as_ref(), &evidence.sides), (None, &found.sides));
    WRONG.set(false);
    let look = diff(&evidence, Some(&app())).expect("the states are states");
    let place = look.place.as_ref().expect("they differ");
    assert_eq!(place.to_string(), "model M1 (sum), field parts[2][1]");
    assert_eq!(look.right, Right::Replayed);
    // Its join, then 3, 4 and 5.
    let Since::Event(moment) = &look.since else { panic!("{look}") };
    let sender = Some(world.peers[0].client.view_id());
    assert_eq!((moment.seq, moment.what.as_str(), moment.sender), (4, "sum:add", sender));
    // A program that makes the same mistake finds nothing.
    WRONG.set(true);
    let look = diff(&evidence, Some(&app())).expect("the states are states");
    let same = Since::Unknown(SinceError::SameMistake);
    assert_eq!((look.right, look.since), (Right::Unknown, same));
    WRONG.set(false);
}

/// State that no snapshot contains makes veterans differ from late joiners. The log decides, not their number.
#[test]
fn a_majority_that_the_log_contradicts_loads_the_right_state() {
    let mut world = World::new(2, teatime_reflector::Config::default(), None);
    world.peers.iter_mut().for_each(|peer| peer.wrong = true);
    world.publish(0, 5);
    world.peers.iter_mut().for_each(|peer| peer.wrong = false);
    world.add(None);
    world.pass(SECOND);
    assert_eq!(world.peers[2].parts(), [(1, 5)]);
    world.vote();
    world.pass(SECOND);
    for (at, peer) in world.peers.iter().enumerate() {
        assert_eq!(peer.parts(), [(1, 5)]);
        assert_eq!(peer.divergences().len(), usize::from(at < 2));
        assert!(peer.disagreements().is_empty());
    }
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
    let mut world = World::new(2, without_snapshots(), None);
    world.peers[1].wrong = true;
    world.publish(0, 5);
    world.peers[1].wrong = false;
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
    let mut world = diverged_in(World::new(3, without_snapshots(), None));
    world.peers.iter_mut().for_each(|peer| peer.wrong = false);
    fill(&mut world);
    world.forget_events();
    world.peers[2].offline = true;
    world.vote();
    assert!(world.peers[2].divergences().is_empty(), "the log is on its way");
    assert_eq!(world.peers[2].reloads(), 1);
    world.peers[2].client.leave();
    world.run();
    let divergence = &world.peers[2].divergences()[0];
    assert_eq!(divergence.right, None);
    let found = look(divergence);
    assert_eq!(found.right, Right::Unknown);
    assert_eq!(found.since, Since::Unknown(SinceError::NoRecording));
}

#[test]
fn every_cut_and_every_flipped_bit_of_evidence_is_refused() {
    let mut world = diverged_once(3, None);
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
