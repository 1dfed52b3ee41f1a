//! The client of a session that begins with persisted data, and persists some, against a reflector that may lie.

use teatime_session::{
    Config, ConnectionState, DisconnectReason, Handling, NotPersisted, SessionEvent, Stepped,
};
use teatime_vm::persisted::{self, NoPrevious, Persisted};
use teatime_vm::{App, Cx, MigrationError, Vm, handlers, model};
use teatime_wire::{
    ClientMessage, Digest, Envelope, ServerMessage, SnapshotInfo, Verdict, Welcome,
};

use crate::support::Peer;

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

/// A client that has just been welcomed to a new session. If the session begins with persisted data, that follows:
/// the version of the app, the data, and its hash as it is announced.
fn welcomed(password: Option<&str>, begins_with: Option<(u32, &[u8], Digest)>) -> Peer {
    let mut peer = Peer::joining(config(password));
    let info = |(_, data, hash): (u32, &[u8], Digest)| {
        let size = data.len() as u64;
        SnapshotInfo { seq: 0, time: 0, hash, size, chain: Digest([0; 32]) }
    };
    let persisted = begins_with.map(|(version, ..)| version);
    let snapshot = begins_with.map(info);
    peer.hear(&ServerMessage::Welcome(Welcome { snapshot, persisted, ..peer.welcome() }));
    if let Some((_, data, _)) = begins_with {
        data.chunks(3).for_each(|part| peer.hear(&ServerMessage::SnapshotPart(part)));
    }
    peer
}

fn live(password: Option<&str>) -> Peer {
    Peer::live(config(password))
}

/// How often it has asked the reflector to store what is persisted.
fn requests(peer: &mut Peer) -> usize {
    let is_request =
        |frame: &Vec<u8>| matches!(ClientMessage::decode(frame), Ok(ClientMessage::Persist));
    peer.frames().iter().filter(|frame| is_request(frame)).count()
}

/// Publishes, and gets it back.
fn add(peer: &mut Peer, number: u64) {
    peer.client.publish(peer.now, "sum", "add", &number).expect("it is live");
    let (counter, payload) = peer.sent().pop().expect("it is sent");
    peer.echo(counter, &payload);
    peer.step();
}

/// Votes. Returns the position, and what it hands in.
fn vote(peer: &mut Peer) -> (u64, Vec<u8>) {
    let seq = peer.ask_for_vote();
    peer.step();
    let vote = peer.frames().into_iter().find_map(|frame| match ClientMessage::decode(&frame) {
        Ok(ClientMessage::Vote(vote)) => Some(vote.hash),
        _ => None,
    });
    let hash = vote.expect("it votes");
    peer.hear(&ServerMessage::Verdict(Verdict { seq, hash: Some(hash), agreed: 1, of: 1 }));
    peer.hear(&ServerMessage::SnapshotWanted(seq));
    peer.step();
    let part = |frame: Vec<u8>| match ClientMessage::decode(&frame) {
        Ok(ClientMessage::SnapshotPart(part)) => Some(part.data.to_vec()),
        _ => None,
    };
    let handed_in = peer.frames().into_iter().filter_map(part).collect::<Vec<_>>().concat();
    assert_eq!(Digest::of(&handed_in), hash, "the vote is for the bytes that it hands in");
    (seq, handed_in)
}

fn sum(peer: &Peer) -> Option<u64> {
    peer.client.vm().and_then(Vm::root::<Sum>).map(|model| model.sum)
}

fn hash(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

#[test]
fn the_client_asks_once_until_what_is_persisted_is_stored() {
    let mut peer = live(None);
    assert!(!peer.client.has_unpersisted());
    add(&mut peer, 1);
    assert_eq!((peer.client.has_unpersisted(), requests(&mut peer)), (true, 1));
    add(&mut peer, 2);
    assert_eq!(requests(&mut peer), 0);
    let (seq, _) = vote(&mut peer);
    add(&mut peer, 0);
    peer.events();
    // The model has persisted the same as at the vote, so it is stored.
    peer.hear(&ServerMessage::Persisted(seq));
    peer.step();
    assert_eq!((peer.client.has_unpersisted(), requests(&mut peer)), (false, 0));
    let told = peer.events();
    let is_it =
        |event: &SessionEvent| matches!(event, SessionEvent::Persisted { seq: at } if *at == seq);
    assert_eq!(told.iter().filter(|event| is_it(event)).count(), 1, "{told:?}");
    peer.hear(&ServerMessage::Persisted(seq));
    assert!(peer.events().is_empty(), "nothing new was stored");
    // After the next vote the model persists something else: the client asks again.
    add(&mut peer, 3);
    assert_eq!(requests(&mut peer), 1);
    let (seq, _) = vote(&mut peer);
    add(&mut peer, 4);
    peer.hear(&ServerMessage::Persisted(seq));
    peer.step();
    assert_eq!((peer.client.has_unpersisted(), requests(&mut peer)), (true, 1));
}

#[test]
fn persisted_may_come_after_other_votes_or_ahead_of_the_model() {
    let is_told = |peer: &mut Peer, seq| {
        peer.events()
            .iter()
            .any(|one| matches!(one, SessionEvent::Persisted { seq: at } if *at == seq))
    };
    let mut peer = live(None);
    add(&mut peer, 1);
    // While the snapshot of a vote is on its way there are others.
    let (seq, _) = vote(&mut peer);
    vote(&mut peer);
    vote(&mut peer);
    peer.hear(&ServerMessage::Persisted(seq));
    assert!(is_told(&mut peer, seq) && !peer.client.has_unpersisted());
    // If it comes while the model is still before the vote, it counts when the model gets there.
    add(&mut peer, 1);
    assert_eq!(requests(&mut peer), 1);
    let seq = peer.ask_for_vote();
    peer.hear(&ServerMessage::Persisted(seq));
    assert!(peer.client.has_unpersisted() && !is_told(&mut peer, seq));
    while peer.client.step(peer.now, &mut || true) == Stepped::Attention {
        while peer.client.poll_delivery(Handling::Immediate).is_some() {}
    }
    assert!(is_told(&mut peer, seq) && !peer.client.has_unpersisted());
    assert_eq!(requests(&mut peer), 0);
    // A vote that went against this client says nothing about its own data.
    add(&mut peer, 1);
    let seq = peer.ask_for_vote();
    peer.step();
    let (agreed, of, hash) = (2, 3, Some(Digest([9; 32])));
    peer.hear(&ServerMessage::Verdict(Verdict { seq, hash, agreed, of }));
    peer.hear(&ServerMessage::Persisted(seq));
    assert!(peer.client.has_unpersisted() && !is_told(&mut peer, seq));
}

#[test]
fn a_session_begins_with_just_the_data_that_was_persisted() {
    for password in [None, Some("pw")] {
        let mut first = live(password);
        add(&mut first, 7);
        let (_, handed_in) = vote(&mut first);
        let (_, envelope) = Envelope::open(&[&handed_in]).expect("it is whole");
        let part = envelope.persisted.expect("it persists");
        let plain = persisted::write(&Saved(7)).expect("it is small").bytes;
        let in_plain = part.data.ends_with(&plain);
        assert_eq!(in_plain, password.is_none());
        let begin = |version, data: &[u8], hash| {
            let peer = welcomed(password, Some((version, data, hash)));
            let failed = peer.client.connection_state() == ConnectionState::Failed;
            assert_eq!(failed, peer.client.failure().is_some());
            (sum(&peer), peer.client.failure().cloned())
        };
        let data = &part.data[..];
        assert_eq!(begin(2, data, hash(data)), (Some(7), None));
        let damaged = |begun: (Option<u64>, Option<DisconnectReason>)| {
            let Some(DisconnectReason::Migration(MigrationError::Damaged { .. })) = begun.1 else {
                return false;
            };
            begun.0.is_none()
        };
        // Not the announced data.
        let mut other = part.data.clone();
        *other.last_mut().expect("there is something") = 8;
        assert!(damaged(begin(2, &other, hash(data))));
        assert!(damaged(begin(2, &data[..2], hash(&data[..2]))));
        // With a password a reflector can neither invent data nor pass it off as that of another version.
        let made_up = begin(2, &other, hash(&other));
        let passed_off = begin(1, data, hash(data));
        match password {
            None => assert_eq!((made_up.0, passed_off.0), (Some(8), Some(7))),
            Some(_) => assert!(damaged(made_up) && damaged(passed_off)),
        }
    }
}

#[test]
fn the_data_that_a_session_began_with_is_stored_already() {
    let mut first = live(None);
    add(&mut first, 7);
    let (_, handed_in) = vote(&mut first);
    let (_, envelope) = Envelope::open(&[&handed_in]).expect("it is whole");
    let data = envelope.persisted.expect("it persists").data;
    let mut second = welcomed(None, Some((2, &data, hash(&data))));
    second.own_join();
    second.step();
    assert_eq!(
        (sum(&second), second.client.has_unpersisted(), requests(&mut second)),
        (Some(7), false, 0)
    );
    add(&mut second, 0);
    assert!(!second.client.has_unpersisted(), "it is equal");
    add(&mut second, 1);
    assert_eq!((second.client.has_unpersisted(), requests(&mut second)), (true, 1));
}

#[test]
fn not_persisted_is_reported_once_until_something_is_stored() {
    let mut peer = live(None);
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
    add(&mut peer, 1);
    let (seq, _) = vote(&mut peer);
    peer.hear(&ServerMessage::Persisted(seq));
    hear(&mut peer, None);
    assert_eq!(told(&mut peer), [NotPersisted::RoomFull]);
    assert!(NotPersisted::NotStored("it is full".into()).to_string().contains("it is full"));
}

#[test]
fn each_newer_version_is_reported_once() {
    let mut peer = live(None);
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
