//! Whatever arrives, reading it ends well: with a message or an error.

use proptest::prelude::*;
use teatime_wire::{
    ClientMessage, Event, Presence, Send, ServerMessage, View, ViewId, Views, limits,
};

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = ClientMessage::decode(&bytes);
        let _ = ServerMessage::decode(&bytes);
    }

    #[test]
    fn arbitrary_bodies_behind_every_tag_never_panic(
        tag in prop_oneof![0u8..24, 64u8..67],
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let frame = [&[0x92, tag], &body[..]].concat();
        let _ = ClientMessage::decode(&frame);
        let _ = ServerMessage::decode(&frame);
    }

    #[test]
    fn a_changed_byte_gives_a_message_or_an_error(at in 0usize..60, to in any::<u8>()) {
        let view = View { view_id: ViewId([3; 16]), view_data: Some(b"data") };
        let views = Views { seq: 9, time: 8, exited: vec![view], joined: vec![view], active: 1 };
        let mut frame = ServerMessage::Views(views).encode();
        if let Some(byte) = frame.get_mut(at) {
            *byte = to;
        }
        let _ = ServerMessage::decode(&frame);
    }

    #[test]
    fn events_and_sends_come_back_as_they_were(
        seq in any::<u64>(), time in any::<u64>(), sender in any::<[u8; 16]>(),
        counter in any::<u64>(), payload in proptest::collection::vec(any::<u8>(), 0..1000),
    ) {
        let event = ServerMessage::Event(Event {
            seq, time, sender: ViewId(sender), counter, payload: &payload,
        });
        let frame = event.encode();
        prop_assert_eq!(ServerMessage::decode(&frame).expect("it is ours"), event);
        let send = ClientMessage::Send(Send { counter, payload: &payload });
        let frame = send.encode();
        prop_assert_eq!(ClientMessage::decode(&frame).expect("it is ours"), send);
    }
}

#[test]
fn lengths_that_promise_more_than_there_is_cost_nothing() {
    // Arrays, strings and byte strings of 2³² − 1 entries, nested and not.
    for frame in [
        &[0x92, 0x04, 0x95, 0x01, 0x00, 0xdd, 0xff, 0xff, 0xff, 0xff][..],
        &[0x92, 0x03, 0x95, 0x01, 0x00, 0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0x92, 0x01, 0xdd, 0xff, 0xff, 0xff, 0xff, 0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0x92, 0x02, 0xc6, 0xff, 0xff, 0xff, 0xff, 0x00],
    ] {
        assert!(ServerMessage::decode(frame).is_err());
        assert!(ClientMessage::decode(frame).is_err());
    }
    let nested = [&[0x92, 0x04][..], &[0x91; 100_000]].concat();
    assert!(ServerMessage::decode(&nested).is_err());
}

#[test]
fn what_exceeds_a_limit_is_refused() {
    let payload = vec![0; limits::MAX_PAYLOAD + 1];
    let send = ClientMessage::Send(Send { counter: 1, payload: &payload }).encode();
    assert!(ClientMessage::decode(&send).is_err());
    let fits = ClientMessage::Send(Send { counter: 1, payload: &payload[1..] }).encode();
    assert!(ClientMessage::decode(&fits).is_ok());
    let view = View { view_id: ViewId([3; 16]), view_data: None };
    let joined = vec![view; limits::MAX_VIEWS_PER_MESSAGE + 1];
    let views = Views { seq: 9, time: 8, exited: vec![], joined, active: 1 };
    assert!(ServerMessage::decode(&ServerMessage::Views(views).encode()).is_err());
}

/// What participants bring along and show waits in a client's memory.
#[test]
fn a_reflector_cannot_make_a_client_take_more_of_a_participant_than_it_may_send() {
    let view_id = ViewId([3; 16]);
    let data = vec![0; limits::MAX_VIEW_DATA + 1];
    for (length, fits) in [(limits::MAX_VIEW_DATA, true), (limits::MAX_VIEW_DATA + 1, false)] {
        let joined = vec![View { view_id, view_data: Some(&data[..length]) }];
        let views = Views { seq: 9, time: 8, exited: vec![], joined, active: 1 };
        let frame = ServerMessage::Views(views).encode();
        assert_eq!(ServerMessage::decode(&frame).is_ok(), fits, "{length}");
    }
    for (length, fits) in [(limits::MAX_PRESENCE, true), (limits::MAX_PRESENCE + 1, false)] {
        let few = Presence { view_id, data: b"x" };
        let frame =
            ServerMessage::Presences(vec![few, Presence { view_id, data: &data[..length] }])
                .encode();
        assert_eq!(ServerMessage::decode(&frame).is_ok(), fits, "{length}");
    }
}
