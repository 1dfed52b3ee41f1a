//! A client that comes back to a reflector which has forgotten what it has accepted from it.

use teatime_session::{Input, SessionEvent};
use teatime_wire::{Digest, ServerMessage, SnapshotInfo, Welcome};

use crate::client::{config, sum, wrapped};
use crate::support::Peer;

/// Whether the newest events tell how many sends have an unknown fate.
fn unconfirmed(peer: &mut Peer) -> Option<u64> {
    let count = |event| match event {
        SessionEvent::Unconfirmed(sends) => Some(sends.count),
        _ => None,
    };
    peer.events().into_iter().find_map(count)
}

#[test]
fn a_client_that_the_reflector_has_forgotten_sends_nothing_that_the_log_has() {
    for is_ordered in [true, false] {
        let mut peer = Peer::live(config());
        peer.client.publish(peer.now, "sum", "add", &1u64).expect("it is small");
        let first = peer.sent();
        peer.client.handle(peer.now, Input::Disconnected(None));
        peer.client.publish(peer.now, "sum", "add", &2u64).expect("there is room");
        peer.connected();
        let seq = 1 + u64::from(is_ordered);
        let welcome = Welcome { resumed: true, counter: None, seq, ..peer.welcome() };
        peer.hear(&ServerMessage::Welcome(welcome));
        peer.step();
        assert_eq!(peer.sent(), [], "the log may have it");
        if is_ordered {
            peer.echo(1, &first[0].1);
        }
        peer.own_join();
        peer.step();
        let expected = if is_ordered { vec![2] } else { vec![1, 2] };
        let again = peer.sent();
        assert_eq!(again.iter().map(|send| send.0).collect::<Vec<_>>(), expected);
        again.iter().for_each(|(counter, payload)| peer.echo(*counter, payload));
        peer.step();
        assert_eq!((sum(&peer), unconfirmed(&mut peer)), (Some(3), None));
    }
}

#[test]
fn what_a_forgotten_client_cannot_find_in_the_log_is_reported_and_not_sent_again() {
    let mut peer = Peer::live(config());
    let lost = peer.client.publish(peer.now, "sum", "add", &1u64).expect("it is small");
    assert_eq!(peer.sent().len(), 1);
    peer.client.handle(peer.now, Input::Disconnected(None));
    peer.client.publish(peer.now, "sum", "add", &2u64).expect("there is room");
    // A snapshot has replaced the log meanwhile.
    let mut other = Peer::live(config());
    other.echo(1, b"?");
    other.step();
    let vm = other.client.vm().expect("it is live");
    let snapshot = wrapped(&vm.snapshot().expect("it can be saved"));
    let (seq, time, size) = (vm.seq(), vm.time().as_micros(), snapshot.len() as u64);
    let info =
        SnapshotInfo { seq, time, hash: Digest::of(&snapshot), size, chain: Digest([0; 32]) };
    peer.connected();
    let welcome = Welcome { counter: None, snapshot: Some(info), seq, time, ..peer.welcome() };
    peer.hear(&ServerMessage::Welcome(welcome));
    peer.hear(&ServerMessage::SnapshotPart(&snapshot));
    peer.seq = seq;
    peer.own_join();
    peer.step();
    assert_eq!(unconfirmed(&mut peer), Some(1));
    let sent = peer.sent();
    assert_eq!(sent.iter().map(|send| send.0).collect::<Vec<_>>(), [2]);
    peer.echo(2, &sent[0].1);
    peer.step();
    assert_eq!((sum(&peer), peer.client.is_applied(lost)), (Some(2), false));
}
