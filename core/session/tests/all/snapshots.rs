//! What a client tells the reflector about the snapshot that it was given.

use teatime_session::{ConnectionState, DisconnectReason};
use teatime_vm::Vm;
use teatime_wire::{ClientMessage, Digest, ServerMessage, SnapshotInfo, Welcome};

use crate::client::{config, wrapped};
use crate::support::Peer;

/// The frames of the client since the last call, that it has answered a snapshot with.
fn answers(peer: &mut Peer) -> Vec<ClientMessage<'static>> {
    let answer = |frame: Vec<u8>| match ClientMessage::decode(&frame) {
        Ok(ClientMessage::Loaded(seq)) => Some(ClientMessage::Loaded(seq)),
        Ok(ClientMessage::Unusable(seq)) => Some(ClientMessage::Unusable(seq)),
        _ => None,
    };
    peer.frames().into_iter().filter_map(answer).collect()
}

/// Gives the client a snapshot, at a log that ends at `seq`.
fn give(peer: &mut Peer, data: &[u8], at: u64, seq: u64) {
    let (hash, size) = (Digest::of(data), data.len() as u64);
    let snapshot = Some(SnapshotInfo { seq: at, time: 0, hash, size, chain: Digest([0; 32]) });
    peer.hear(&ServerMessage::Welcome(Welcome { snapshot, seq, ..peer.welcome() }));
    peer.hear(&ServerMessage::SnapshotPart(data));
}

#[test]
fn a_snapshot_that_cannot_be_used_is_final_only_if_it_comes_again() {
    let mut peer = Peer::joining(config());
    for junk in [&b"junk"[..], b"other junk"] {
        give(&mut peer, junk, 7, 9);
        assert!(matches!(peer.failure(), Some(DisconnectReason::BadSnapshot(_))));
        assert_eq!(answers(&mut peer), [ClientMessage::Unusable(7)]);
        assert_eq!(peer.client.connection_state(), ConnectionState::Reconnecting);
        peer.connected();
    }
    give(&mut peer, b"other junk", 7, 9);
    assert!(matches!(peer.failure(), Some(DisconnectReason::BadSnapshot(_))));
    assert_eq!(
        (answers(&mut peer), peer.client.connection_state()),
        (vec![], ConnectionState::Failed)
    );
}

#[test]
fn a_client_has_loaded_a_snapshot_when_it_has_simulated_the_log_after_it() {
    let vm = Vm::new(&config().app, Peer::joining(config()).client.session_id(), &[0xc0])
        .expect("starts");
    let good = wrapped(&vm.snapshot().expect("it can be saved"));
    for log in [0, 2] {
        let mut peer = Peer::joining(config());
        give(&mut peer, &good, 0, log);
        peer.step();
        for counter in 1..=log {
            assert_eq!(answers(&mut peer), []);
            peer.echo(counter, b"x");
            peer.step();
        }
        assert_eq!(answers(&mut peer), [ClientMessage::Loaded(0)]);
        peer.echo(log + 1, b"x");
        peer.step();
        assert_eq!(answers(&mut peer), [], "once");
    }
    // Persisted data, and the beginning of a session, do not count as snapshots.
    let mut peer = Peer::live(config());
    assert_eq!(answers(&mut peer), []);
}
