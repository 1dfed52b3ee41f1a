//! How long a late joiner takes to catch up with an encrypted session.

use serde_json::{Value, json};
use teatime_session::{Action, Client, Input};
use teatime_wire::{
    Digest, Event, Greeting, SecretKey, SendLimits, ServerMessage, View, ViewId, Views, Welcome,
};

use crate::statistics::median;
use crate::usage::cpu_of;

/// How many events the log has.
const EVENTS: u64 = 60_000;
/// Bytes of each event's text.
const TEXT: usize = 100;

fn client() -> Client {
    let options = teatime_chat::ChatOptions::default();
    let config = teatime_chat::config("bench", &options)
        .expect("the name is short")
        .password(Some("sesame"));
    let mut client = Client::new(config, [5; 32]).expect("the configuration is sound");
    client.connect();
    client.handle(0, Input::Connected(None));
    let hello = Greeting { nonce: Digest([4; 32]), binds_channel: false };
    client.handle(0, Input::Frame(ServerMessage::Hello(hello).encode()));
    client
}

/// The log as a reflector would send it: the events are sealed by a real client.
fn log() -> Vec<Vec<u8>> {
    let mut sender = client();
    let limits = SendLimits {
        max_payload: 65_536,
        per_second: 1_000_000,
        burst: 1_000_000,
        max_snapshot: 0,
    };
    let id = ViewId(sender.view_id().0);
    let welcome = Welcome {
        timeline: 1,
        view_id: id,
        resumed: false,
        seamless: false,
        time: 0,
        seq: 0,
        counter: Some(0),
        snapshot: None,
        persisted: None,
        tick_ms: 50,
        rejoin_limit_ms: 1_000,
        limits,
    };
    sender.handle(0, Input::Frame(ServerMessage::Welcome(welcome.clone()).encode()));
    let view = View { view_id: id, view_data: None };
    let views = Views { seq: 1, time: 0, exited: vec![], joined: vec![view], active: 1 };
    let mut frames = vec![Vec::new(), ServerMessage::Views(views).encode()];
    sender.handle(0, Input::Frame(frames[1].clone()));
    // A client sends once it has seen its own join.
    sender.step(0, &mut || true);
    let text = "x".repeat(TEXT);
    for number in 1..=EVENTS {
        let post = teatime_chat::Post { text: text.clone() };
        let now = number * 100;
        sender.publish(now, "input", "newPost", &post).expect("it is small");
        while let Some(action) = sender.poll_action() {
            let Action::Send(frame) = action else { continue };
            let Ok(teatime_wire::ClientMessage::Send(send)) =
                teatime_wire::ClientMessage::decode(&frame)
            else {
                continue;
            };
            let seq = frames.len() as u64;
            let (counter, payload) = (send.counter, send.payload);
            let event = Event { seq, time: now, sender: id, counter, payload };
            let frame = ServerMessage::Event(event).encode();
            sender.handle(now, Input::Frame(frame.clone()));
            frames.push(frame);
        }
    }
    let seq = frames.len() as u64 - 1;
    let joiner = SecretKey::of_view(&[9; 32]).public().view_id();
    let welcome = Welcome { view_id: joiner, time: EVENTS * 100, seq, ..welcome };
    frames[0] = ServerMessage::Welcome(welcome).encode();
    frames
}

/// Measures.
pub(crate) fn run(quick: bool) -> Value {
    let mut frames = log();
    let runs = if quick { 3 } else { 7 };
    let times = (0..runs).map(|_| {
        let mut joiner = client();
        // The welcome names the joiner.
        if let Ok(ServerMessage::Welcome(welcome)) = ServerMessage::decode(&frames[0].clone()) {
            let view_id = ViewId(joiner.view_id().0);
            frames[0] = ServerMessage::Welcome(Welcome { view_id, ..welcome }).encode();
        }
        let input = frames.clone();
        let (seconds, ()) = cpu_of(|| {
            for frame in input {
                joiner.handle(1, Input::Frame(frame));
            }
            joiner.step(1, &mut || true);
        });
        assert_eq!(joiner.vm().map(teatime::Vm::seq), Some(EVENTS + 1), "the joiner has caught up");
        seconds * 1e3
    });
    json!({
        "work": "late joiner: 60,000 encrypted events of 100 B",
        "unit": "ms", "measured": median(times.collect()), "wanted_at_most": 60.0,
    })
}
