//! A client proves who it is to the reflector that has said hello, on that connection only.

use teatime_session::{Action, Config, ConnectionState, DisconnectReason, Input};
use teatime_wire::{
    Challenge, ChannelBinding, ClientMessage, CloseReason, Digest, Greeting, Join, Proof,
    ServerMessage, is_proven,
};

use crate::client::config;
use crate::support::{HELLO, Peer};

/// A client whose connection stands, over TLS or not, and that has not heard a hello.
fn waiting(config: Config, channel: Option<ChannelBinding>) -> Peer {
    let mut peer = Peer::joining(config);
    peer.client.handle(peer.now, Input::Disconnected(None));
    peer.actions();
    peer.events();
    peer.client.handle(peer.now, Input::Connected(channel));
    peer
}

/// Hands the only join that the client has sent to the caller.
fn read_join(peer: &mut Peer, read: impl FnOnce(&Join<'_>, &Proof, &[u8])) {
    let frames = peer.frames();
    let [frame] = &frames[..] else { panic!("{frames:?}") };
    let Ok(ClientMessage::Join(join, proof)) = ClientMessage::decode(frame) else {
        panic!("no join")
    };
    read(&join, &proof, frame);
}

#[test]
fn a_client_sends_nothing_before_the_hello_and_then_a_join_for_that_connection() {
    for password in [None, Some("sesame")] {
        let mut peer = waiting(config().password(password), None);
        assert_eq!(peer.actions(), []);
        let greeting = Greeting { nonce: Digest([9; 32]), ..HELLO };
        peer.hear(&ServerMessage::Hello(greeting));
        read_join(&mut peer, |join, _, frame| {
            assert_eq!(join.password_key.is_some(), password.is_some());
            let challenge = Challenge { nonce: greeting.nonce, channel: None };
            assert!(is_proven(frame, &challenge));
            let earlier = Challenge { nonce: HELLO.nonce, ..challenge };
            assert!(!is_proven(frame, &earlier));
        });
    }
}

#[test]
fn no_two_joins_of_a_client_have_the_same_signatures_and_none_has_a_secret() {
    let mut peer = waiting(config().password(Some("sesame")), None);
    let mut seen = Vec::new();
    for nonce in 0..3 {
        peer.hear(&ServerMessage::Hello(Greeting { nonce: Digest([nonce; 32]), ..HELLO }));
        read_join(&mut peer, |_, proof, _| seen.push(*proof));
        peer.client.handle(peer.now, Input::Disconnected(None));
        peer.actions();
        peer.now += 60_000_000;
        peer.client.handle(peer.now, Input::Connected(None));
    }
    assert!(seen[0].view != seen[1].view && seen[1].view != seen[2].view);
    assert!(seen[0].password != seen[1].password && seen[0].password.is_some());
}

#[test]
fn the_channel_is_signed_if_and_only_if_the_reflector_ends_the_tls() {
    let own = Some(ChannelBinding([7; 32]));
    for binds_channel in [true, false] {
        let mut peer = waiting(config(), own);
        peer.hear(&ServerMessage::Hello(Greeting { binds_channel, ..HELLO }));
        read_join(&mut peer, |_, _, frame| {
            for channel in [own, None, Some(ChannelBinding([8; 32]))] {
                let challenge = Challenge { nonce: HELLO.nonce, channel };
                let expected = channel == own.filter(|_| binds_channel);
                assert_eq!(is_proven(frame, &challenge), expected, "{channel:?}");
            }
        });
    }
}

#[test]
fn a_client_without_tls_does_not_join_a_reflector_that_ends_tls() {
    let mut peer = waiting(config(), None);
    peer.hear(&ServerMessage::Hello(Greeting { binds_channel: true, ..HELLO }));
    let actions = peer.actions();
    assert!(!actions.is_empty() && actions.iter().all(|one| *one == Action::Close), "{actions:?}");
    assert_eq!(peer.client.connection_state(), ConnectionState::Failed);
    let Some(DisconnectReason::Closed(CloseReason::BadProof, detail)) = peer.failure() else {
        panic!("another reason")
    };
    assert!(detail.contains("wss://"), "{detail}");
}

#[test]
fn a_second_hello_and_a_welcome_before_the_hello_break_the_protocol() {
    let mut peer = waiting(config(), None);
    peer.hear(&ServerMessage::Hello(HELLO));
    peer.actions();
    peer.hear(&ServerMessage::Hello(HELLO));
    assert!(matches!(peer.failure(), Some(DisconnectReason::Protocol(_))));
    let mut peer = waiting(config(), None);
    peer.hear(&ServerMessage::Welcome(peer.welcome()));
    assert!(matches!(peer.failure(), Some(DisconnectReason::Protocol(_))));
}

#[test]
fn a_reflector_that_never_says_hello_is_given_up_and_so_is_its_line_when_the_app_asks() {
    let mut peer = waiting(config(), None);
    peer.now += 10_000_000;
    peer.step();
    assert_eq!(peer.failure(), Some(DisconnectReason::Silent));
    let mut peer = waiting(config(), None);
    peer.client.reconnect(peer.now);
    assert_eq!(peer.actions(), [Action::Close, Action::Connect { after: 0 }]);
    // In the background no connection is made again.
    let mut peer = waiting(config(), None);
    peer.client.leave_after(peer.now, 1_000_000);
    assert_eq!(peer.actions(), [Action::Close]);
    peer.client.leave();
    assert_eq!(peer.client.connection_state(), ConnectionState::Left);
}
