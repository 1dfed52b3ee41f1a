//! A reflector and its clients in memory: what they say to each other.

use teatime_reflector::{ConnId, Output, Reflector};
use teatime_session::{Action, Client, Handling, Input, Stepped};
use teatime_vm::to_bytes;
use teatime_wire::{Challenge, Digest, Greeting, ServerMessage};

use crate::client;

const NONCE: Digest = Digest([4; 32]);

/// Who said a frame, and to whom.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    To(usize),
    By(usize),
}

/// A session of several clients. Each has the number of its place.
pub(super) struct Conversation {
    reflector: Reflector,
    clients: Vec<Client>,
    members: Vec<bool>,
    now: u64,
    pub(super) said: Vec<(Said, Vec<u8>)>,
}

impl Conversation {
    /// The clients with these secrets come one after the other, write, vote, and leave.
    pub(super) fn of(secrets: &[u8]) -> Self {
        let config = teatime_reflector::Config {
            snapshot_after_events: 6,
            ..teatime_reflector::Config::default()
        };
        let reflector = Reflector::new(config, [0; 32]);
        let (clients, members, said) = (Vec::new(), Vec::new(), Vec::new());
        let mut talk = Self { reflector, clients, members, now: 1_000, said };
        for (at, secret) in secrets.iter().enumerate() {
            let mut client = Client::new(client::config(), [*secret; 32]).expect("it is sound");
            client.connect();
            talk.clients.push(client);
            talk.members.push(false);
            talk.go_on(10);
            talk.publish(at, "write", &"Monday");
            talk.publish(at, "mark", &("tea", 2));
            talk.publish(at, "weather", &(21.5, [1, 2]));
            talk.go_on(30);
        }
        talk.clients[0].request_vote().expect("it has joined");
        talk.go_on(120);
        talk.clients[0].leave_after(talk.now, 1_000_000);
        talk.clients[0].leave();
        talk.go_on(10);
        talk
    }

    fn publish(&mut self, by: usize, event: &str, data: &impl serde::Serialize) {
        let data = to_bytes(data).expect("it is plain");
        let published = self.clients[by].publish_encoded(self.now, "diary", event, &data);
        published.expect("it has joined");
    }

    /// Time passes, in steps of 50 ms.
    fn go_on(&mut self, steps: u32) {
        for _ in 0..steps {
            self.now += 50_000;
            self.reflector.handle_timeout(self.now);
            self.deliver();
            for at in 0..self.clients.len() {
                while self.clients[at].step(self.now, &mut || true) == Stepped::Attention {
                    while self.clients[at].poll_delivery(Handling::Immediate).is_some() {}
                    while self.clients[at].poll_event().is_some() {}
                }
                while self.clients[at].poll_event().is_some() {}
                self.act(at);
            }
        }
    }

    fn act(&mut self, at: usize) {
        let connection = ConnId(at as u64);
        while let Some(action) = self.clients[at].poll_action() {
            match action {
                Action::Connect { .. } => {
                    let challenge = Challenge { nonce: NONCE, channel: None };
                    self.reflector.connected(self.now, connection, challenge);
                    self.clients[at].handle(self.now, Input::Connected(None));
                    let hello = Greeting { nonce: NONCE, binds_channel: false };
                    self.tell(at, ServerMessage::Hello(hello).encode());
                }
                Action::Send(frame) => {
                    self.reflector.received(self.now, connection, &frame);
                    self.said.push((Said::By(at), frame));
                    self.deliver();
                }
                Action::Close => self.reflector.disconnected(self.now, connection),
            }
        }
    }

    fn deliver(&mut self) {
        while let Some(output) = self.reflector.poll_output() {
            match output {
                Output::Send { connection, frame } => {
                    self.tell(connection.0 as usize, frame.to_vec());
                }
                Output::Broadcast { frame, .. } => {
                    for at in 0..self.members.len() {
                        if self.members[at] {
                            self.tell(at, frame.to_vec());
                        }
                    }
                }
                Output::Enter { connection, .. } => self.members[connection.0 as usize] = true,
                Output::Close { connection, .. } => self.members[connection.0 as usize] = false,
                _ => {}
            }
        }
    }

    fn tell(&mut self, at: usize, frame: Vec<u8>) {
        self.clients[at].handle(self.now, Input::Frame(frame.clone()));
        self.said.push((Said::To(at), frame));
    }

    /// The snapshot that the first client has handed in.
    pub(super) fn handed_in(&self) -> Vec<u8> {
        let mut snapshot = Vec::new();
        for (_, frame) in &self.said {
            if let Ok(teatime_wire::ClientMessage::SnapshotPart(part)) =
                teatime_wire::ClientMessage::decode(frame)
            {
                snapshot.extend(part.data);
            }
        }
        snapshot
    }
}
