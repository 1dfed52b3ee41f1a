//! What a reflector of a later version sends to this client: PROTOCOL.md, sections 2.4 and 16.

use teatime_session::{Action, ConnectionState, DisconnectReason, Input};
use teatime_wire::{CloseReason, ServerMessage};

use crate::client::config;
use crate::support::Peer;

impl Peer {
    fn hear_raw(&mut self, frame: Vec<u8>) {
        self.client.handle(self.now, Input::Frame(frame));
    }
}

#[test]
fn what_is_new_and_optional_changes_nothing() {
    let mut peer = Peer::joining(config());
    peer.actions();
    let news = ServerMessage::Later(65);
    peer.hear(&news);
    // A welcome with a role behind its fields.
    let mut welcome = ServerMessage::Welcome(peer.welcome()).encode();
    welcome[2] += 1;
    welcome.push(0x02);
    peer.hear_raw(welcome);
    peer.hear(&news);
    // The own join, with a user and a role.
    let view = [&[0x94, 0xc4, 16][..], &peer.id().0, &[0xc0, 0xa3], b"ann", &[0x01]].concat();
    peer.hear_raw([&[0x92, 4, 0x95, 1, 0, 0x90, 0x91][..], &view, &[1]].concat());
    peer.seq = 1;
    peer.step();
    peer.hear(&news);
    assert_eq!(peer.client.connection_state(), ConnectionState::Live, "{:?}", peer.failure());
    // The chain covers the whole frames, also what this client ignores: the next events fit.
    peer.echo(1, b"unreadable");
    peer.step();
    assert_eq!(peer.client.connection_state(), ConnectionState::Live, "{:?}", peer.failure());
    assert!(!peer.actions().contains(&Action::Close));
}

#[test]
fn a_message_that_must_be_understood_ends_the_client_by_name() {
    for tag in [0, 18, 63] {
        let mut peer = Peer::live(config());
        peer.hear_raw(vec![0x92, tag, 0xc0]);
        let Some(DisconnectReason::Closed(CloseReason::Version, detail)) = peer.failure() else {
            panic!("another reason")
        };
        assert!(detail.contains(&format!("message {tag} ")), "{detail}");
        assert_eq!(peer.client.connection_state(), ConnectionState::Failed);
    }
}
