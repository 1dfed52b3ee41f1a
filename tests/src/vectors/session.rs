//! A session with a password on the wire: two clients run the [board](super::board), and the reflector is this file.

use serde_json::{Value, json};
use teatime::{App, Client, Config};
use teatime_base::{Digest, RoomKeys, StateHash};
use teatime_session::{Action, Handling, Input, Stepped};
use teatime_wire::{
    Chain, ClientMessage, Event, Greeting, SendLimits, ServerMessage, SessionId, View, Views,
    VoteRequest, Welcome,
};

use super::board::{self, Add};
use super::text::{array, bytes, expect_equal, hex, list, number, text};

const ROOM: &str = "lobby";
const PASSWORD: &str = "tea";

/// A frame, in the order in which all frames travelled.
struct Frame {
    /// Index of the client.
    client: usize,
    is_from_client: bool,
    bytes: Vec<u8>,
}

/// Two clients, and a reflector with its log.
struct Session {
    clients: Vec<Client>,
    frames: Vec<Frame>,
    seq: u64,
    /// In µs, of the session and of the clients' clocks.
    now: u64,
    /// The chain, and the state hash of each client that has a model, after each ordered message.
    states: Vec<(u64, Chain, Vec<StateHash>)>,
}

fn config(app: App) -> Config {
    let config = Config::with_encoded_options(app, ROOM, &board::options());
    config.expect("the board takes its options").password(Some(PASSWORD))
}

impl Session {
    fn new() -> Self {
        let client = |entropy, data: Option<&[u8]>| {
            let mut config = config(board::app());
            config.view_data = data.map(Into::into);
            config.agent = "vectors/1.0".to_owned();
            Client::new(config, [entropy; 32]).expect("the configuration is valid")
        };
        let clients = vec![client(1, None), client(2, Some(b"\xa3two"))];
        Self { clients, frames: Vec::new(), seq: 0, now: 0, states: Vec::new() }
    }

    /// The reflector sends this to a client, and the client steps.
    fn tell(&mut self, client: usize, message: &ServerMessage<'_>) {
        let bytes = message.encode();
        self.frames.push(Frame { client, is_from_client: false, bytes: bytes.clone() });
        self.clients[client].handle(self.now, Input::Frame(bytes));
        self.step(client);
    }

    fn step(&mut self, client: usize) {
        let one = &mut self.clients[client];
        while one.step(self.now, &mut || true) == Stepped::Attention {
            while one.poll_delivery(Handling::Immediate).is_some() || one.poll_event().is_some() {}
        }
        while one.poll_event().is_some() {}
    }

    /// What a client has to send.
    fn frames_of(&mut self, client: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some(action) = self.clients[client].poll_action() {
            if let Action::Send(bytes) = action {
                // A join names the platform that the client was built for. joins.json has joins.
                if !matches!(ClientMessage::decode(&bytes), Ok(ClientMessage::Join(..))) {
                    self.frames.push(Frame { client, is_from_client: true, bytes: bytes.clone() });
                }
                frames.push(bytes);
            }
        }
        frames
    }

    /// Orders a message for these clients.
    fn order<'a>(
        &mut self,
        clients: &[usize],
        message: impl FnOnce(u64, u64) -> ServerMessage<'a>,
    ) {
        self.seq += 1;
        let message = message(self.seq, self.now);
        for client in clients {
            self.tell(*client, &message);
        }
        let hash = |client: &usize| {
            let vm = self.clients[*client].vm().expect("it has a model");
            vm.hash().expect("it can be saved")
        };
        let chain = self.clients[clients[0]].chain();
        self.states.push((self.seq, chain, clients.iter().map(hash).collect()));
    }

    /// A client joins. `log` are the ordered messages before.
    fn join(&mut self, client: usize, others: &[usize], log: &[Vec<u8>]) {
        self.clients[client].connect();
        self.frames_of(client);
        self.clients[client].handle(self.now, Input::Connected(None));
        let nonce = Digest([0x2a + client as u8; 32]);
        self.tell(client, &ServerMessage::Hello(Greeting { nonce, binds_channel: false }));
        let frame = self.frames_of(client).pop().expect("it joins");
        let Ok(ClientMessage::Join(join, _)) = ClientMessage::decode(&frame) else {
            unreachable!("the first message is a join");
        };
        let welcome = Welcome {
            timeline: 9,
            view_id: join.view_id(),
            resumed: false,
            seamless: false,
            time: self.now,
            seq: self.seq,
            counter: Some(0),
            snapshot: None,
            persisted: None,
            tick_ms: 50,
            rejoin_limit_ms: 10_000,
            limits: SendLimits {
                max_payload: 65_536,
                per_second: 100,
                burst: 100,
                max_snapshot: 1 << 28,
            },
        };
        self.tell(client, &ServerMessage::Welcome(welcome));
        for frame in log {
            let message = ServerMessage::decode(frame).expect("it was sent before");
            self.tell(client, &message);
        }
        let (view_id, view_data) = (join.view_id(), join.view_data);
        let all = [&[client][..], others].concat();
        let active = all.len() as u32;
        self.order(&all, |seq, time| {
            let joined = vec![View { view_id, view_data }];
            ServerMessage::Views(Views { seq, time, exited: vec![], joined, active })
        });
    }

    /// A client publishes an event, which all receive.
    fn publish(&mut self, client: usize, (scope, event): (&str, &str), data: &[u8], all: &[usize]) {
        let sent = self.clients[client].publish_encoded(self.now, scope, event, data);
        sent.expect("it is within the limits");
        self.step(client);
        let sender = self.clients[client].view_id();
        for frame in self.frames_of(client) {
            let Ok(ClientMessage::Send(send)) = ClientMessage::decode(&frame) else { continue };
            let (counter, payload) = (send.counter, send.payload);
            self.order(all, |seq, time| {
                ServerMessage::Event(Event { seq, time, sender, counter, payload })
            });
        }
    }

    /// The ordered messages that the first client has received.
    fn log(&self) -> Vec<Vec<u8>> {
        let is_ordered = |frame: &&Frame| {
            let ordered = [3, 4, 5].contains(&frame.bytes[1]);
            frame.client == 0 && !frame.is_from_client && ordered
        };
        self.frames.iter().filter(is_ordered).map(|frame| frame.bytes.clone()).collect()
    }

    /// The reflector holds a vote, and asks the first client for its snapshot.
    fn vote(&mut self, all: &[usize]) {
        self.order(all, |seq, time| ServerMessage::VoteRequest(VoteRequest { seq, time }));
        for client in all {
            self.frames_of(*client);
        }
        self.tell(0, &ServerMessage::SnapshotWanted(self.seq));
        self.frames_of(0);
    }
}

fn play() -> Session {
    let mut session = Session::new();
    let encoded = |value: &Add| teatime::to_bytes(value).expect("it can be encoded");
    session.join(0, &[], &[]);
    session.now = 100_000;
    session.publish(0, ("board", "add"), &encoded(&Add { number: 1, text: "a".into() }), &[0]);
    session.publish(0, ("board", "save"), &[0xc0], &[0]);
    session.now = 400_000;
    let log = session.log();
    session.join(1, &[0], &log);
    session.publish(1, ("board", "add"), &encoded(&Add { number: 2, text: "b".into() }), &[0, 1]);
    session.publish(0, ("board", "make"), &[0xa1, b'x'], &[0, 1]);
    session.vote(&[0, 1]);
    session
}

pub(super) fn make() -> Value {
    let session = play();
    let keys = RoomKeys::new(board::APP_ID, ROOM, Some(PASSWORD));
    let frame = |frame: &Frame| {
        json!([
            frame.client,
            if frame.is_from_client { "to reflector" } else { "to client" },
            hex(&frame.bytes)
        ])
    };
    let state = |(seq, chain, hashes): &(u64, Chain, Vec<StateHash>)| {
        json!({
            "seq": number(*seq),
            "chain": hex(chain.value().0),
            "states": hashes.iter().map(|hash| hex(hash.0)).collect::<Vec<_>>(),
        })
    };
    let SessionId(id) = session.clients[0].session_id();
    json!({
        "comment": "A session with a password on the wire: two clients that run the model of run.json, and all frames but the joins in the order in which they travelled, \
            each with the number of its client. `states`: for each ordered message the chain, and the state hashes of the clients that had joined. At the end the clients vote, and the first hands its snapshot in.",
        "app": board::APP_ID,
        "version": board::app().version(),
        "version_hash": hex(board::app().version_hash()),
        "options": hex(board::options()),
        "room": ROOM,
        "password": PASSWORD,
        "session": hex(id),
        "space": hex(keys.id().0),
        "vectors": session.frames.iter().map(frame).collect::<Vec<_>>(),
        "states": session.states.iter().map(state).collect::<Vec<_>>(),
    })
}

/// Gives the frames of the reflector to new clients, which answer with the same frames.
pub(super) fn check(content: &Value) -> Result<(), String> {
    let made = make();
    for (found, made) in list(&content["vectors"])?.iter().zip(list(&made["vectors"])?) {
        expect_equal("a frame", found, made)?;
        let frame = bytes(&found[2])?;
        let read = match text(&found[1])? {
            "to client" => ServerMessage::decode(&frame).map(|message| message.encode()),
            _ => ClientMessage::decode(&frame).map(|message| message.encode()),
        };
        let read = read.map_err(|error| error.to_string())?;
        expect_equal("a frame that was read", &found[2], &hex(read))?;
    }
    let mut chain = Chain::start(SessionId(array(&content["session"])?), None);
    let mut states = list(&content["states"])?.iter();
    for found in list(&content["vectors"])? {
        let frame = bytes(&found[2])?;
        let is_first = found[0] == 0 && found[1] == "to client" && [3, 4, 5].contains(&frame[1]);
        if is_first {
            chain = chain.next(&frame);
            let state = states.next().ok_or("a message without a state")?;
            expect_equal("the chain", &state["chain"], &hex(chain.value().0))?;
        }
    }
    Ok(())
}
