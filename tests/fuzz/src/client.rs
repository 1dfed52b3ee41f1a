//! What a session reads from its reflector, frame after frame.

use std::sync::LazyLock;

use teatime_session::{Action, Client, Config, Handling, Input, Stepped};
use teatime_vm::{App, Vm};
use teatime_wire::{
    Chain, ClientMessage, Digest, Event, Greeting, SendLimits, ServerMessage, SnapshotInfo,
    Verdict, View, Views, VoteRequest, Welcome,
};

use crate::diary::app;
use crate::tape::Tape;

static APP: LazyLock<App> = LazyLock::new(app);

/// What a step of an input does.
pub(crate) mod step {
    /// A frame arrives, as it is.
    pub(crate) const FRAME: u8 = 0;
    /// The client simulates.
    pub(crate) const SIMULATE: u8 = 1;
    /// Milliseconds pass.
    pub(crate) const WAIT: u8 = 2;
    /// The connection stands, and the reflector says hello.
    pub(crate) const CONNECT: u8 = 3;
    /// The connection ends, with a code and a text.
    pub(crate) const CUT: u8 = 4;
    /// The app publishes.
    pub(crate) const PUBLISH: u8 = 5;
    /// The app asks for something else.
    pub(crate) const ASK: u8 = 6;
    /// The next ordered message is an event of this view.
    pub(crate) const EVENT: u8 = 7;
    /// It is the join of this view.
    pub(crate) const JOIN: u8 = 8;
    /// It is a vote.
    pub(crate) const VOTE: u8 = 9;
    /// The vote ends.
    pub(crate) const VERDICT: u8 = 10;
    /// The client is let in.
    pub(crate) const WELCOME: u8 = 11;
    /// It is let in, and loads these bytes.
    pub(crate) const LOAD: u8 = 12;
    /// Session time passes.
    pub(crate) const TICK: u8 = 13;
    /// Something about the vote.
    pub(crate) const ABOUT: u8 = 14;
    /// A message with this tag and this body.
    pub(crate) const MESSAGE: u8 = 15;
}

/// How often a step may go on: a state can have any number of future messages.
const LOOKS: u32 = 4;

/// A client sends valid messages only, and its state survives a snapshot.
pub(crate) fn run(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    let mut peer = Peer::new();
    while let Some(step) = tape.step() {
        peer.take(step, &mut tape);
        peer.poll();
    }
    peer.simulate();
    peer.poll();
    if let Some(snapshot) = peer.client.vm().and_then(|vm| vm.snapshot().ok()) {
        let again = Vm::restore(&APP, &snapshot).expect("it was just saved");
        assert_eq!(again.snapshot().ok(), Some(snapshot));
    }
}

pub(crate) fn config() -> Config {
    Config::new(APP.clone(), "room", &()).expect("it is sound")
}

pub(crate) fn new_client() -> Client {
    Client::new(config(), [3; 32]).expect("it is sound")
}

/// A client, and the reflector that the input plays.
struct Peer {
    client: Client,
    /// In µs of the client's clock.
    now: u64,
    /// Of the newest ordered message.
    seq: u64,
    time: u64,
    /// The newest vote, and what the client has voted for.
    vote: (u64, Digest),
    counter: u64,
}

impl Peer {
    fn new() -> Self {
        let mut client = new_client();
        client.subscribe("*", "*", Handling::Immediate);
        client.connect();
        Self { client, now: 1_000, seq: 0, time: 0, vote: (0, Digest([0; 32])), counter: 0 }
    }

    fn take(&mut self, step: u8, tape: &mut Tape<'_>) {
        match step & 15 {
            step::FRAME => self.hear_raw(tape.piece().to_vec()),
            step::SIMULATE => self.simulate(),
            step::WAIT => self.now += u64::from(tape.number()) * 1_000,
            step::CONNECT => {
                self.client.handle(self.now, Input::Connected(None));
                let nonce = Digest([4; 32]);
                self.hear(&ServerMessage::Hello(Greeting { nonce, binds_channel: step > 127 }));
            }
            step::CUT => {
                let (code, text) = (tape.number(), String::from_utf8_lossy(tape.piece()));
                let close = (code > 0).then(|| (code, text.into_owned()));
                self.client.handle(self.now, Input::Disconnected(close));
            }
            step::PUBLISH => {
                // Too much, too fast or too early is an answer, too.
                let _ = self.client.publish_encoded(self.now, "diary", "write", tape.piece());
            }
            step::ASK => self.ask(tape.number()),
            step::LOAD => self.load(tape),
            step::MESSAGE => {
                let tag = (tape.number() & 127) as u8;
                self.hear_raw([&[0x92, tag], tape.piece()].concat());
            }
            other => self.say(other, tape),
        }
    }

    /// What a right reflector could say next.
    fn say(&mut self, step: u8, tape: &mut Tape<'_>) {
        let (seq, time) = (self.seq + 1, self.time);
        let number = tape.number();
        let sender = self.client.view_id();
        let message = match step {
            step::EVENT => {
                let counter = u64::from(number);
                ServerMessage::Event(Event { seq, time, sender, counter, payload: tape.piece() })
            }
            step::JOIN => {
                let view = View { view_id: sender, view_data: None };
                let (exited, joined) = match number {
                    0 => (vec![], vec![view]),
                    1 => (vec![view], vec![]),
                    _ => (vec![view], vec![view]),
                };
                ServerMessage::Views(Views { seq, time, exited, joined, active: 1 })
            }
            step::VOTE => ServerMessage::VoteRequest(VoteRequest { seq, time }),
            step::VERDICT => {
                let hash = match number {
                    0 => Some(self.vote.1),
                    1 => Some(Digest([9; 32])),
                    _ => None,
                };
                ServerMessage::Verdict(Verdict { seq: self.vote.0, hash, agreed: 2, of: 3 })
            }
            step::WELCOME => ServerMessage::Welcome(self.welcome(number, None)),
            step::TICK => {
                self.time += u64::from(number) * 1_000;
                ServerMessage::Tick(self.time)
            }
            _ => match number {
                0 => ServerMessage::SnapshotWanted(self.vote.0),
                1 => ServerMessage::Diverged(self.vote.0),
                2 => ServerMessage::Persisted(self.vote.0),
                other => ServerMessage::NewerVersion(u32::from(other)),
            },
        };
        self.hear(&message);
    }

    fn ask(&mut self, what: u16) {
        match what {
            0 => self.client.reconnect(self.now),
            1 => self.client.leave(),
            // Without a session there is nothing to vote on.
            2 => drop(self.client.request_vote()),
            pause => self.client.leave_after(self.now, u64::from(pause) * 1_000),
        }
    }

    fn welcome(&self, how: u16, snapshot: Option<SnapshotInfo>) -> Welcome {
        let seq = snapshot.map_or(self.seq, |info| info.seq);
        Welcome {
            timeline: 1 + u64::from(how >> 8),
            view_id: self.client.view_id(),
            resumed: how & 1 > 0,
            seamless: how & 2 > 0,
            time: self.time,
            seq: seq + u64::from(how >> 4 & 3),
            counter: (how & 4 == 0).then_some(self.counter),
            snapshot,
            persisted: (how & 8 > 0).then_some(1),
            tick_ms: 50,
            rejoin_limit_ms: 1_000,
            limits: SendLimits {
                max_payload: 1_000,
                per_second: 100,
                burst: 10,
                max_snapshot: 1 << 20,
            },
        }
    }

    fn load(&mut self, tape: &mut Tape<'_>) {
        let (how, seq, time) = (tape.number(), tape.number(), tape.number());
        let bytes = tape.piece();
        let (seq, time) = (u64::from(seq), u64::from(time) * 1_000);
        let (hash, chain) = (Digest::of(bytes), Chain::at(Digest([5; 32])).value());
        let info = SnapshotInfo { seq, time, hash, size: bytes.len() as u64, chain };
        (self.seq, self.time) = (seq, self.time.max(time));
        self.hear(&ServerMessage::Welcome(self.welcome(how, Some(info))));
        for part in bytes.chunks(4096) {
            self.hear(&ServerMessage::SnapshotPart(part));
        }
    }

    fn hear(&mut self, message: &ServerMessage<'_>) {
        self.hear_raw(message.encode());
    }

    fn hear_raw(&mut self, frame: Vec<u8>) {
        // So that what follows a frame of the corpus is in order.
        match ServerMessage::decode(&frame) {
            Ok(ServerMessage::Event(Event { seq, time, .. }))
            | Ok(ServerMessage::Views(Views { seq, time, .. }))
            | Ok(ServerMessage::VoteRequest(VoteRequest { seq, time }))
                if seq == self.seq + 1 =>
            {
                (self.seq, self.time) = (seq, time);
            }
            _ => {}
        }
        self.client.handle(self.now, Input::Frame(frame));
    }

    fn simulate(&mut self) {
        for _ in 0..LOOKS {
            let mut looks = LOOKS;
            let stepped = self.client.step(self.now, &mut || {
                looks -= 1;
                looks > 0
            });
            while self.client.poll_delivery(Handling::Immediate).is_some() {}
            if stepped == Stepped::Done {
                return;
            }
            self.poll();
        }
    }

    fn poll(&mut self) {
        while self.client.poll_event().is_some() {}
        while let Some(action) = self.client.poll_action() {
            let Action::Send(frame) = action else { continue };
            match ClientMessage::decode(&frame).expect("a client sends valid messages") {
                ClientMessage::Vote(vote) => self.vote = (vote.seq, vote.hash),
                ClientMessage::Send(send) => self.counter = send.counter,
                _ => {}
            }
        }
    }
}
