//! The client of a session that begins with persisted data, and persists some, against a reflector that
//! may lie.

use teatime_session::{
    Action, Client, Config, ConnectionState, DisconnectReason, Handling, Input, NotPersisted,
    SessionEvent, Stepped,
};
use teatime_vm::persisted::{self, NoPrevious, Persisted};
use teatime_vm::{App, Cx, MigrationError, Vm, handlers, model};
use teatime_wire::{
    ClientMessage, Digest, Event, SendLimits, ServerMessage, SnapshotInfo, Trailer, Verdict, View,
    ViewId, Views, VoteRequest, Welcome,
};

#[derive(serde::Serialize, serde::Deserialize)]
struct Saved(u64);

impl Persisted for Saved {
    const VERSION: u32 = 1;
    type Previous = NoPrevious;

    fn migrate(old: NoPrevious) -> Result<Self, String> {
        match old {}
    }
}

#[model(id = "sum", version = 1)]
struct Sum {
    sum: u64,
}

#[handlers]
impl Sum {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("sum", "add", Self::add);
        Self { sum: cx.persisted::<Saved>().map_or(0, |saved| saved.0) }
    }

    fn add(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.sum += number;
        cx.persist(&Saved(self.sum)).expect("it is small");
    }
}

fn config(password: Option<&str>) -> Config {
    let app = App::builder::<Sum>("test.sum").version(2).persists::<Saved>();
    let app = app.build().expect("it is sound");
    Config::new(app, "room", &()).expect("nothing can be encoded").password(password)
}

struct Peer {
    client: Client,
    seq: u64,
}

impl Peer {
    fn joining(password: Option<&str>) -> Self {
        let mut client = Client::new(config(password), [3; 32]).expect("it is sound");
        client.connect();
        client.handle(0, Input::Connected);
        Self { client, seq: 0 }
    }

    fn hear(&mut self, message: &ServerMessage<'_>) {
        self.client.handle(0, Input::Frame(message.encode()));
    }

    fn welcome(&mut self, begins_with: Option<(u32, &[u8], Digest)>) {
        let info = |(_, data, hash): (u32, &[u8], Digest)| SnapshotInfo {
            seq: 0,
            time: 0,
            hash,
            size: data.len() as u64,
        };
        self.hear(&ServerMessage::Welcome(Welcome {
            timeline: 1,
            view_id: ViewId(self.client.view_id().0),
            resumed: false,
            seamless: false,
            time: 0,
            seq: 0,
            counter: 0,
            snapshot: begins_with.map(info),
            persisted: begins_with.map(|(version, ..)| version),
            tick_ms: 50,
            rejoin_limit_ms: 1_000,
            limits: SendLimits {
                max_payload: 1_000,
                per_second: 100,
                burst: 10,
                max_snapshot: 1 << 20,
            },
        }));
        if let Some((_, data, _)) = begins_with {
            data.chunks(3).for_each(|part| self.hear(&ServerMessage::SnapshotPart(part)));
        }
    }

    fn own_join(&mut self) {
        self.seq += 1;
        let view = View { view_id: ViewId(self.client.view_id().0), view_data: None };
        let views = Views { seq: self.seq, time: 0, exited: vec![], joined: vec![view], active: 1 };
        self.hear(&ServerMessage::Views(views));
        self.step();
    }

    fn live(password: Option<&str>) -> Self {
        let mut peer = Self::joining(password);
        peer.welcome(None);
        peer.own_join();
        peer.sent();
        peer
    }

    fn step(&mut self) {
        while self.client.step(0, &mut || true) == Stepped::Attention {
            while self.client.poll_delivery(Handling::Immediate).is_some() {}
            while self.client.poll_event().is_some() {}
        }
    }

    /// What it has sent.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let actions = std::iter::from_fn(|| self.client.poll_action());
        let frames = actions.filter_map(|action| match action {
            Action::Send(frame) => Some(frame),
            _ => None,
        });
        frames.collect()
    }

    /// How often it asks for what is persisted to be kept.
    fn asks(&mut self) -> usize {
        let asks =
            |frame: &Vec<u8>| matches!(ClientMessage::decode(frame), Ok(ClientMessage::Persist));
        self.sent().iter().filter(|frame| asks(frame)).count()
    }

    fn events(&mut self) -> Vec<SessionEvent> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// Publishes, and gets it back.
    fn add(&mut self, number: u64) {
        self.client.publish(0, "sum", "add", &number).expect("it is live");
        let frame = self.sent().into_iter().find_map(|frame| {
            let Ok(ClientMessage::Send(send)) = ClientMessage::decode(&frame) else { return None };
            Some((send.counter, send.payload.to_vec()))
        });
        let (counter, payload) = frame.expect("it is sent");
        self.seq += 1;
        let sender = ViewId(self.client.view_id().0);
        let event = Event { seq: self.seq, time: 0, sender, counter, payload: &payload };
        self.hear(&ServerMessage::Event(event));
        self.step();
    }

    fn ask_for_vote(&mut self) -> u64 {
        self.seq += 1;
        self.hear(&ServerMessage::VoteRequest(VoteRequest { seq: self.seq, time: 0 }));
        self.seq
    }

    /// Votes; what it would hand in.
    fn vote(&mut self) -> (u64, Vec<u8>) {
        let seq = self.ask_for_vote();
        self.step();
        let vote = self.sent().into_iter().find_map(|frame| match ClientMessage::decode(&frame) {
            Ok(ClientMessage::Vote(vote)) => Some(vote.hash),
            _ => None,
        });
        let hash = Some(vote.expect("it votes"));
        self.hear(&ServerMessage::Verdict(Verdict { seq, hash, agreed: 1, of: 1 }));
        self.hear(&ServerMessage::SnapshotWanted(seq));
        self.step();
        let parts =
            self.sent().into_iter().filter_map(|frame| match ClientMessage::decode(&frame) {
                Ok(ClientMessage::SnapshotPart(part)) => Some(part.data.to_vec()),
                _ => None,
            });
        (seq, parts.collect::<Vec<_>>().concat())
    }

    fn sum(&self) -> Option<u64> {
        self.client.vm().and_then(Vm::root::<Sum>).map(|model| model.sum)
    }
}

fn hash(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

#[test]
fn what_is_persisted_is_asked_for_once_until_it_is_kept() {
    let mut peer = Peer::live(None);
    assert!(!peer.client.unpersisted());
    peer.add(1);
    assert_eq!((peer.client.unpersisted(), peer.asks()), (true, 1));
    peer.add(2);
    assert_eq!(peer.asks(), 0);
    let (seq, _) = peer.vote();
    peer.add(0);
    peer.events();
    // What is equal to what it was at the vote is kept.
    peer.hear(&ServerMessage::Persisted(seq));
    peer.step();
    assert_eq!((peer.client.unpersisted(), peer.asks()), (false, 0));
    let told = peer.events();
    let is_it =
        |event: &SessionEvent| matches!(event, SessionEvent::Persisted { seq: at } if *at == seq);
    assert_eq!(told.iter().filter(|event| is_it(event)).count(), 1, "{told:?}");
    peer.hear(&ServerMessage::Persisted(seq));
    assert!(peer.events().is_empty(), "nothing new is kept");
    // Something else has come since the next vote: it is asked for again.
    peer.add(3);
    assert_eq!(peer.asks(), 1);
    let (seq, _) = peer.vote();
    peer.add(4);
    peer.hear(&ServerMessage::Persisted(seq));
    peer.step();
    assert_eq!((peer.client.unpersisted(), peer.asks()), (true, 1));
}

#[test]
fn that_something_is_kept_is_heard_also_behind_other_votes_and_ahead_of_the_model() {
    let is_told = |peer: &mut Peer, seq| {
        peer.events()
            .iter()
            .any(|one| matches!(one, SessionEvent::Persisted { seq: at } if *at == seq))
    };
    let mut peer = Peer::live(None);
    peer.add(1);
    // While the snapshot of a vote is on its way there are others.
    let (seq, _) = peer.vote();
    peer.vote();
    peer.vote();
    peer.hear(&ServerMessage::Persisted(seq));
    assert!(is_told(&mut peer, seq) && !peer.client.unpersisted());
    // What is heard while the model is still before the vote counts when it has come there.
    peer.add(1);
    assert_eq!(peer.asks(), 1);
    let seq = peer.ask_for_vote();
    peer.hear(&ServerMessage::Persisted(seq));
    assert!(peer.client.unpersisted() && !is_told(&mut peer, seq));
    while peer.client.step(0, &mut || true) == Stepped::Attention {
        while peer.client.poll_delivery(Handling::Immediate).is_some() {}
    }
    assert!(is_told(&mut peer, seq) && !peer.client.unpersisted());
    assert_eq!(peer.asks(), 0);
    // A vote that went against this client says nothing of what it has.
    peer.add(1);
    let seq = peer.ask_for_vote();
    peer.step();
    let (agreed, of, hash) = (2, 3, Some(Digest([9; 32])));
    peer.hear(&ServerMessage::Verdict(Verdict { seq, hash, agreed, of }));
    peer.hear(&ServerMessage::Persisted(seq));
    assert!(peer.client.unpersisted() && !is_told(&mut peer, seq));
}

#[test]
fn a_session_begins_with_nothing_but_what_was_persisted() {
    for password in [None, Some("pw")] {
        let mut first = Peer::live(password);
        first.add(7);
        let (_, handed_in) = first.vote();
        let (_, trailer) = Trailer::split(&[&handed_in]).expect("it is whole");
        let part = trailer.and_then(|trailer| trailer.persisted).expect("it persists");
        let plain = persisted::write(&Saved(7)).expect("it is small").bytes;
        let in_plain = part.data.ends_with(&plain);
        assert_eq!(in_plain, password.is_none());
        let begin = |version, data: &[u8], hash| {
            let mut peer = Peer::joining(password);
            peer.welcome(Some((version, data, hash)));
            let failed = peer.client.connection_state() == ConnectionState::Failed;
            assert_eq!(failed, peer.client.failure().is_some());
            (peer.sum(), peer.client.failure().cloned())
        };
        let data = &part.data[..];
        assert_eq!(begin(2, data, hash(data)), (Some(7), None));
        let damaged = |begun: (Option<u64>, Option<DisconnectReason>)| {
            let Some(DisconnectReason::Migration(MigrationError::Damaged { .. })) = begun.1 else {
                return false;
            };
            begun.0.is_none()
        };
        // Not what is announced.
        let mut other = part.data.clone();
        *other.last_mut().expect("there is something") = 8;
        assert!(damaged(begin(2, &other, hash(data))));
        assert!(damaged(begin(2, &data[..2], hash(&data[..2]))));
        // With a password a reflector can neither make something up nor say that it is of another version.
        let made_up = begin(2, &other, hash(&other));
        let passed_off = begin(1, data, hash(data));
        match password {
            None => assert_eq!((made_up.0, passed_off.0), (Some(8), Some(7))),
            Some(_) => assert!(damaged(made_up) && damaged(passed_off)),
        }
    }
}

#[test]
fn what_a_session_began_with_is_kept_already() {
    let mut first = Peer::live(None);
    first.add(7);
    let (_, handed_in) = first.vote();
    let (_, trailer) = Trailer::split(&[&handed_in]).expect("it is whole");
    let data = trailer.and_then(|trailer| trailer.persisted).expect("it persists").data;
    let mut second = Peer::joining(None);
    second.welcome(Some((2, &data, hash(&data))));
    second.own_join();
    assert_eq!((second.sum(), second.client.unpersisted(), second.asks()), (Some(7), false, 0));
    second.add(0);
    assert!(!second.client.unpersisted(), "it is equal");
    second.add(1);
    assert_eq!((second.client.unpersisted(), second.asks()), (true, 1));
}

#[test]
fn that_something_is_not_kept_is_told_once_until_something_is() {
    let mut peer = Peer::live(None);
    peer.events();
    let told = |peer: &mut Peer| -> Vec<_> {
        let each = |event| match event {
            SessionEvent::NotPersisted(why) => Some(why),
            _ => None,
        };
        peer.events().into_iter().filter_map(each).collect()
    };
    let hear = |peer: &mut Peer, failure| {
        peer.hear(&ServerMessage::NotPersisted(teatime_wire::NotPersisted { seq: 1, failure }));
    };
    hear(&mut peer, Some("the disk is full"));
    hear(&mut peer, Some("the disk is full"));
    assert_eq!(told(&mut peer), [NotPersisted::NotStored("the disk is full".into())]);
    peer.add(1);
    let (seq, _) = peer.vote();
    peer.hear(&ServerMessage::Persisted(seq));
    hear(&mut peer, None);
    assert_eq!(told(&mut peer), [NotPersisted::Newer]);
    assert!(NotPersisted::NotStored("it is full".into()).to_string().contains("it is full"));
}

#[test]
fn the_word_of_a_newer_version_comes_once_for_each() {
    let mut peer = Peer::live(None);
    peer.events();
    for version in [3, 3, 5, 4] {
        peer.hear(&ServerMessage::NewerVersion(version));
    }
    let told: Vec<_> = peer
        .events()
        .into_iter()
        .filter_map(|event| match event {
            SessionEvent::NewerVersion(newer) => Some((newer.newer, newer.own)),
            _ => None,
        })
        .collect();
    assert_eq!((told, peer.client.newer_version()), (vec![(3, 2), (5, 2)], Some(5)));
}
