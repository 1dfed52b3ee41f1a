//! A client without a network: the test plays the reflector, in virtual time.

use teatime_session::{
    Action, Client, Config, ConnectionState, DisconnectReason, Handling, Input, SessionEvent,
    Stepped,
};
use teatime_wire::{
    ClientMessage, Digest, Event, Greeting, SendLimits, ServerMessage, View, ViewId, Views,
    VoteRequest, Welcome,
};

pub(crate) const HELLO: Greeting = Greeting { nonce: Digest([4; 32]), binds_channel: false };

pub(crate) const LIMITS: SendLimits =
    SendLimits { max_payload: 1_000, per_second: 100, burst: 10, max_snapshot: 1 << 20 };

/// The session time in µs of all events and votes.
pub(crate) const TIME: u64 = 10;

pub(crate) struct Peer {
    pub(crate) client: Client,
    /// In µs of the client's clock.
    pub(crate) now: u64,
    /// Of the newest ordered message.
    pub(crate) seq: u64,
    /// What was polled in a step.
    polled: Vec<SessionEvent>,
}

impl Peer {
    /// A client whose connection stands, and whose join has been sent.
    pub(crate) fn joining(config: Config) -> Self {
        Self::joining_as(config, [3; 32])
    }

    /// The same, with random numbers that follow from this.
    pub(crate) fn joining_as(config: Config, entropy: [u8; 32]) -> Self {
        let mut client = Client::new(config, entropy).expect("it is sound");
        client.connect();
        let mut peer = Self { client, now: 1_000, seq: 0, polled: Vec::new() };
        assert_eq!(peer.client.poll_action(), Some(Action::Connect { after: 0 }));
        peer.connected();
        peer
    }

    /// The connection stands, and the reflector has said hello.
    pub(crate) fn connected(&mut self) {
        self.client.handle(self.now, Input::Connected(None));
        self.hear(&ServerMessage::Hello(HELLO));
    }

    /// A client that is live, in a session that has just begun.
    pub(crate) fn live(config: Config) -> Self {
        let mut peer = Self::joining(config);
        peer.actions();
        peer.hear(&ServerMessage::Welcome(peer.welcome()));
        peer.own_join();
        peer.step();
        assert_eq!(peer.client.connection_state(), ConnectionState::Live, "{:?}", peer.failure());
        peer.actions();
        peer.events();
        peer
    }

    pub(crate) fn id(&self) -> ViewId {
        self.client.view_id()
    }

    /// Of a new session.
    pub(crate) fn welcome(&self) -> Welcome {
        Welcome {
            timeline: 1,
            view_id: self.id(),
            resumed: false,
            seamless: false,
            time: 0,
            seq: 0,
            counter: Some(0),
            snapshot: None,
            persisted: None,
            tick_ms: 50,
            rejoin_limit_ms: 1_000,
            limits: LIMITS,
        }
    }

    pub(crate) fn hear(&mut self, message: &ServerMessage<'_>) {
        self.client.handle(self.now, Input::Frame(message.encode()));
    }

    /// Orders the join of this client's view.
    pub(crate) fn own_join(&mut self) {
        self.seq += 1;
        let (seq, time) = (self.seq, if self.seq == 1 { 0 } else { TIME });
        let view = View { view_id: self.id(), view_data: None };
        let views = Views { seq, time, exited: vec![], joined: vec![view], active: 1 };
        self.hear(&ServerMessage::Views(views));
    }

    /// Orders an event that the client has sent.
    pub(crate) fn echo(&mut self, counter: u64, payload: &[u8]) {
        self.seq += 1;
        let (seq, sender) = (self.seq, self.id());
        self.hear(&ServerMessage::Event(Event { seq, time: TIME, sender, counter, payload }));
    }

    /// Orders a vote. Returns its position.
    pub(crate) fn ask_for_vote(&mut self) -> u64 {
        self.seq += 1;
        self.hear(&ServerMessage::VoteRequest(VoteRequest { seq: self.seq, time: TIME }));
        self.seq
    }

    /// Steps until everything is simulated, or the client is full.
    pub(crate) fn step(&mut self) -> Stepped {
        loop {
            let stepped = self.client.step(self.now, &mut || true);
            if stepped != Stepped::Attention {
                return stepped;
            }
            while self.client.poll_delivery(Handling::Immediate).is_some() {}
            self.polled.extend(self.client.poll_event());
        }
    }

    pub(crate) fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.client.poll_action()).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<SessionEvent> {
        let mut events = std::mem::take(&mut self.polled);
        events.extend(std::iter::from_fn(|| self.client.poll_event()));
        events
    }

    /// The frames that it has sent.
    pub(crate) fn frames(&mut self) -> Vec<Vec<u8>> {
        let frame = |action| match action {
            Action::Send(frame) => Some(frame),
            _ => None,
        };
        self.actions().into_iter().filter_map(frame).collect()
    }

    /// The events that it has sent: counters and payloads.
    pub(crate) fn sent(&mut self) -> Vec<(u64, Vec<u8>)> {
        let send = |frame: Vec<u8>| match ClientMessage::decode(&frame) {
            Ok(ClientMessage::Send(send)) => Some((send.counter, send.payload.to_vec())),
            _ => None,
        };
        self.frames().into_iter().filter_map(send).collect()
    }

    /// The newest reason why there is no connection.
    pub(crate) fn failure(&mut self) -> Option<DisconnectReason> {
        let reason = |event| match event {
            SessionEvent::Connection(_, reason) => reason,
            _ => None,
        };
        self.events().into_iter().filter_map(reason).next_back()
    }
}
