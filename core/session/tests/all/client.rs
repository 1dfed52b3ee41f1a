//! The client against a reflector that misbehaves, in virtual time.

use teatime_session::limits::{MAX_OUTBOX_EVENTS, MAX_WAITING_DELIVERIES, MAX_WAITING_EVENTS};
use teatime_session::{
    Action, Client, Config, ConnectionState, DisconnectReason, Handling, Input, PublishError,
    SessionEvent, Stepped,
};
use teatime_vm::{
    App, Cx, Duration, ForeignModel, ForeignObject, Payload, StateHash, UntypedCx, Vm, handlers,
    model,
};
use teatime_wire::{
    ClientMessage, CloseReason, Digest, Envelope, Event, Hold, Join, ServerMessage, SnapshotInfo,
    Verdict, ViewId, VoteRequest, Welcome,
};

use crate::support::{LIMITS, Peer, TIME};

#[model(id = "sum", version = 1)]
struct Sum {
    sum: u64,
}

#[handlers]
impl Sum {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("sum", "add", Self::add);
        cx.subscribe("sum", "toil", Self::toil);
        Self { sum: 0 }
    }

    /// Schedules this number of future messages for this very instant.
    fn toil(&mut self, cx: &mut Cx<Self>, number: u64) {
        for _ in 0..number {
            cx.future(Duration::ZERO).call(Self::add, 1);
        }
    }

    fn add(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.sum += number;
        cx.publish("sum", "changed", self.sum);
    }
}

pub(crate) fn config() -> Config {
    let app = App::builder::<Sum>("test.sum").build().expect("it is sound");
    Config::new(app, "room", &()).expect("nothing can be encoded")
}

pub(crate) fn sum(peer: &Peer) -> Option<u64> {
    peer.client.vm().and_then(Vm::root::<Sum>).map(|model| model.sum)
}

/// A state that refers to no blobs, in its envelope.
pub(crate) fn wrapped(state: &[u8]) -> Vec<u8> {
    Envelope { persisted: None, roots: Vec::new(), space: Digest([2; 32]) }.wrap(state)
}

#[test]
fn a_protocol_error_ends_the_connection_and_the_next_join_is_from_scratch() {
    let event = |seq, time| {
        let event = Event { seq, time, sender: ViewId([9; 16]), counter: 1, payload: b"" };
        ServerMessage::Event(event).encode()
    };
    let cases = [
        b"nonsense".to_vec(),
        event(1, 0),
        event(3, 0),
        ServerMessage::SnapshotPart(b"x").encode(),
        ServerMessage::Welcome(Peer::joining(config()).welcome()).encode(),
    ];
    for frame in cases {
        let mut peer = Peer::live(config());
        peer.actions();
        peer.client.handle(peer.now, Input::Frame(frame.clone()));
        assert!(matches!(peer.failure(), Some(DisconnectReason::Protocol(_))), "{frame:?}");
        assert_eq!(peer.actions(), [Action::Close, Action::Connect { after: 0 }]);
        peer.connected();
        let joins = peer.actions();
        let [Action::Send(join)] = &joins[..] else { panic!("{joins:?}") };
        let Ok(ClientMessage::Join(Join { resume, attempt, .. }, _)) = ClientMessage::decode(join)
        else {
            panic!("no join")
        };
        assert_eq!((resume, attempt), (None, 2));
    }
}

/// The next connection would begin with it, and the reflector would close that as NOT_JOINED, which is final.
#[test]
fn a_vote_that_a_model_comes_to_when_the_connection_has_broken_is_not_sent() {
    let mut peer = Peer::live(config());
    peer.ask_for_vote();
    peer.client.handle(peer.now, Input::Disconnected(None));
    peer.step();
    let is_state = |event: &SessionEvent| matches!(event, SessionEvent::State { .. });
    assert!(peer.events().iter().any(is_state), "the model came to it");
    let actions = peer.actions();
    assert!(matches!(actions[..], [Action::Connect { .. }]), "{actions:?}");
}

/// A client that contradicts others may confirm that when the next vote has begun.
#[test]
fn a_doubt_about_a_vote_before_the_newest_does_not_make_a_client_load_its_model() {
    let mut peer = Peer::live(config());
    let older = peer.ask_for_vote();
    peer.step();
    let state = peer.frames().iter().find_map(|frame| match ClientMessage::decode(frame) {
        Ok(ClientMessage::Vote(vote)) => Some(vote.hash),
        _ => None,
    });
    let verdict = Verdict { seq: older, hash: state, agreed: 2, of: 3 };
    peer.hear(&ServerMessage::Verdict(verdict));
    peer.ask_for_vote();
    peer.step();
    peer.actions();
    peer.hear(&ServerMessage::Diverged(older));
    assert_eq!((peer.failure(), peer.actions()), (None, vec![]));
    assert_eq!(peer.client.connection_state(), ConnectionState::Live);
}

#[test]
fn a_final_close_reason_ends_the_client_and_any_other_does_not() {
    for reason in CloseReason::ALL.into_iter().filter(|reason| *reason != CloseReason::Left) {
        let mut peer = Peer::joining(config());
        peer.actions();
        let close = Some((reason.code(), "detail".to_owned()));
        peer.client.handle(peer.now, Input::Disconnected(close));
        let failed = peer.client.connection_state() == ConnectionState::Failed;
        assert_eq!(failed, !reason.is_retryable(), "{reason:?}");
        let failure = peer.failure().expect("the owner gets a reason");
        assert_eq!(failure.code(), reason.name());
        assert!(failure.to_string().ends_with(": detail"));
        let reconnects = peer.actions().iter().any(|one| matches!(one, Action::Connect { .. }));
        assert_eq!(reconnects, reason.is_retryable());
    }
}

#[test]
fn a_close_code_that_this_version_does_not_know_is_final_from_4100_on() {
    for (code, is_final) in [(1011, false), (4099, false), (4100 + 99, true), (4999, true)] {
        let mut peer = Peer::joining(config());
        let close = Some((code, "so it is".to_owned()));
        peer.client.handle(peer.now, Input::Disconnected(close));
        let failed = peer.client.connection_state() == ConnectionState::Failed;
        assert_eq!(failed, is_final, "{code}");
        let failure = peer.failure().expect("the owner gets a reason");
        assert_eq!(failure.code(), if is_final { "VERSION" } else { "LOST" });
        assert_eq!(failure.to_string().contains(&code.to_string()), is_final, "{failure}");
    }
}

#[test]
fn a_damaged_snapshot_is_refused_with_the_place() {
    let vm = Vm::new(&config().app, Peer::joining(config()).client.session_id(), &[0xc0])
        .expect("starts");
    let good = wrapped(&vm.snapshot().expect("it can be saved"));
    let mut bad = good.clone();
    // The sum: the only field of the only model, a zero.
    let at = bad.windows(4).position(|part| part == [0x93, 0x01, 0x00, 0x91]).expect("it is there");
    bad[at + 4] = 0xc3;
    let load = |data: &[u8], hash: Digest, seq| {
        let mut peer = Peer::joining(config());
        let size = data.len() as u64;
        let snapshot = Some(SnapshotInfo { seq, time: 0, hash, size, chain: Digest([0; 32]) });
        peer.hear(&ServerMessage::Welcome(Welcome { snapshot, ..peer.welcome() }));
        for part in data.chunks(10) {
            peer.hear(&ServerMessage::SnapshotPart(part));
        }
        (peer.failure().map(|reason| reason.to_string()), sum(&peer))
    };
    let hash = |data: &[u8]| Digest(StateHash::of(data).0);
    assert_eq!(load(&good, hash(&good), 0), (None, Some(0)));
    let (failure, _) = load(&bad, hash(&bad), 0);
    let failure = failure.expect("it is refused");
    assert!(failure.contains("model M1 (sum), field sum: invalid type"), "{failure}");
    let (failure, _) = load(&good, Digest([0; 32]), 0);
    assert!(failure.is_some_and(|failure| failure.contains("majority")));
    let (failure, _) = load(&good, hash(&good), 5);
    assert!(failure.is_some_and(|failure| failure.contains("position")));
    let bare = vm.snapshot().expect("it can be saved");
    let (failure, _) = load(&bare, hash(&bare), 0);
    assert!(failure.is_some_and(|failure| failure.contains("envelope")));
}

#[test]
fn a_log_that_ends_before_its_own_snapshot_harms_only_the_progress() {
    let mut peer = Peer::live(config());
    (1..=3).for_each(|counter| peer.echo(counter, b"?"));
    peer.step();
    peer.client.handle(peer.now, Input::Disconnected(None));
    peer.connected();
    let welcome = Welcome { resumed: true, seamless: true, seq: 1, ..peer.welcome() };
    peer.hear(&ServerMessage::Welcome(welcome));
    assert_eq!(peer.client.progress(), 1.0);
}

#[test]
fn silence_and_a_missing_welcome_lead_to_another_attempt() {
    for mut peer in [Peer::live(config()), Peer::joining(config())] {
        peer.actions();
        peer.now += 10_000_000;
        peer.step();
        assert_eq!(peer.failure(), Some(DisconnectReason::Silent));
        assert_eq!(peer.actions()[..1], [Action::Close]);
    }
}

#[test]
fn acceptance_12_what_is_published_during_an_outage_comes_through_once_and_the_view_stays() {
    let mut peer = Peer::live(config());
    peer.client.publish(peer.now, "sum", "add", &1u64).expect("it is small");
    let first = peer.sent();
    peer.client.handle(peer.now, Input::Disconnected(None));
    assert_eq!(peer.client.connection_state(), ConnectionState::Reconnecting);
    peer.client.publish(peer.now, "sum", "add", &2u64).expect("there is room");
    assert_eq!(peer.sent(), []);
    peer.connected();
    // The first had been accepted; only the second is sent again.
    let welcome = Welcome { resumed: true, seamless: true, counter: Some(1), ..peer.welcome() };
    peer.hear(&ServerMessage::Welcome(Welcome { seq: 2, ..welcome }));
    peer.echo(1, &first[0].1);
    peer.step();
    let second = peer.sent();
    assert_eq!(second.iter().map(|send| send.0).collect::<Vec<_>>(), [2]);
    peer.echo(2, &second[0].1);
    peer.step();
    assert_eq!(sum(&peer), Some(3));
    assert_eq!(peer.client.connection_state(), ConnectionState::Live);
    let lost = peer.events().iter().any(|event| matches!(event, SessionEvent::ViewLost));
    assert!(!lost);
}

#[test]
fn reconnect_has_no_pause_and_does_nothing_while_an_attempt_is_under_way() {
    let mut idle = Client::new(config(), [3; 32]).expect("it is sound");
    idle.reconnect(1_000);
    assert_eq!(idle.poll_action(), None);
    let mut peer = Peer::live(config());
    peer.actions();
    // The connection stands, or seems to: the client gives it up for a new one.
    peer.client.reconnect(peer.now);
    assert_eq!(peer.actions(), [Action::Close, Action::Connect { after: 0 }]);
    assert_eq!(peer.client.connection_state(), ConnectionState::Reconnecting);
    // That attempt is under way.
    peer.client.reconnect(peer.now);
    assert_eq!(peer.actions(), []);
    // It fails, and so does the next. The call ends the pause.
    for _ in 0..2 {
        peer.client.handle(peer.now, Input::Unreachable("no way".into()));
    }
    assert!(matches!(peer.actions()[1], Action::Connect { after } if after >= 100_000));
    peer.client.reconnect(peer.now);
    assert_eq!(peer.actions(), [Action::Connect { after: 0 }]);
    assert_eq!(peer.client.connection_state(), ConnectionState::Reconnecting);
    peer.client.leave();
    peer.actions();
    peer.client.reconnect(peer.now);
    assert_eq!(peer.actions(), []);
}

#[test]
fn in_the_background_a_connection_that_breaks_stays_broken_until_the_app_is_back() {
    let mut peer = Peer::live(config());
    peer.actions();
    peer.client.leave_after(peer.now, 1_500);
    let [Action::Send(frame)] = &peer.actions()[..] else { panic!("it says when it leaves") };
    // Rounded up: a view never leaves too early.
    assert!(matches!(ClientMessage::decode(frame), Ok(ClientMessage::LeaveAfter(2))));
    peer.client.handle(peer.now, Input::Disconnected(Some((4002, String::new()))));
    assert_eq!(peer.actions(), []);
    assert_eq!(peer.client.connection_state(), ConnectionState::Reconnecting);
    peer.client.reconnect(peer.now);
    assert_eq!(peer.actions(), [Action::Connect { after: 0 }]);
    // From then on as ever.
    peer.client.handle(peer.now, Input::Unreachable("no way".into()));
    assert!(matches!(peer.actions()[..], [Action::Connect { .. }]));
    // An attempt that is under way is given up.
    peer.client.leave_after(peer.now, 1_000);
    assert_eq!(peer.actions(), [Action::Close]);
    peer.client.reconnect(peer.now);
    assert_eq!(peer.actions(), [Action::Connect { after: 0 }]);
    peer.client.leave();
    peer.actions();
    peer.client.leave_after(peer.now, 1_000);
    peer.client.reconnect(peer.now);
    assert_eq!(peer.actions(), []);
}

#[test]
fn publish_fails_if_an_event_is_too_large_or_too_many_wait() {
    let mut peer = Peer::live(config());
    let large = peer.client.publish(peer.now, "sum", "add", &"x".repeat(1_000));
    assert!(matches!(large, Err(PublishError::TooLarge { most: 1_000, .. })), "{large:?}");
    let publish = |peer: &mut Peer| peer.client.publish(peer.now, "sum", "add", &1u64);
    let accepted = (0..2_000).take_while(|_| publish(&mut peer).is_ok()).count();
    assert_eq!(accepted, 1024);
    assert_eq!(publish(&mut peer), Err(PublishError::TooFast));
    // Only what the limits allow has gone out. The rest follows in its time.
    assert_eq!(peer.sent().len(), 9);
    peer.now += 50_000;
    peer.step();
    assert_eq!(peer.sent().len(), 5);
}

#[test]
fn sends_wait_while_the_reflector_holds_senders() {
    let mut peer = Peer::live(config());
    peer.actions();
    peer.hear(&ServerMessage::Hold(Hold::Pause));
    peer.client.publish(peer.now, "sum", "add", &1u64).expect("there is room");
    peer.step();
    assert_eq!(peer.sent(), []);
    peer.hear(&ServerMessage::Hold(Hold::Resume));
    peer.step();
    assert_eq!(peer.sent().len(), 1);
    let held = |event: &SessionEvent| matches!(event, SessionEvent::Held(_));
    assert_eq!(peer.events().iter().filter(|event| held(event)).count(), 2);
}

#[test]
fn a_step_that_used_up_its_budget_is_due_again_at_once() {
    let mut peer = Peer::live(config());
    peer.client.publish(peer.now, "sum", "toil", &5_000u64).expect("it is sent");
    let (counter, payload) = peer.sent().pop().expect("it was sent");
    peer.echo(counter, &payload);
    let mut steps = 0;
    while peer.client.step(peer.now, &mut || false) == Stepped::Budget {
        assert_eq!(peer.client.next_wakeup(), Some(0));
        steps += 1;
    }
    assert!(steps > 10, "{steps}");
    assert!(peer.client.next_wakeup() > Some(0));
    assert_eq!(sum(&peer), Some(5_000));
}

#[test]
fn a_client_votes_on_news_and_not_on_history() {
    let mut peer = Peer::joining(config());
    let welcome = Welcome { seq: 1, ..peer.welcome() };
    peer.hear(&ServerMessage::Welcome(welcome));
    peer.actions();
    peer.seq = 1;
    peer.hear(&ServerMessage::VoteRequest(VoteRequest { seq: 1, time: 0 }));
    peer.own_join();
    peer.hear(&ServerMessage::VoteRequest(VoteRequest { seq: 3, time: TIME }));
    peer.step();
    let vote = |frame: Vec<u8>| match ClientMessage::decode(&frame) {
        Ok(ClientMessage::Vote(vote)) => Some(vote.seq),
        _ => None,
    };
    let votes: Vec<_> = peer.frames().into_iter().filter_map(vote).collect();
    assert_eq!(votes, [3]);
}

#[test]
fn an_owner_that_polls_no_deliveries_stops_the_model_and_loses_nothing() {
    let mut peer = Peer::live(config());
    peer.client.subscribe("sum", "changed", Handling::Queued);
    peer.client.publish(peer.now, "sum", "add", &1).expect("there is room");
    let (_, add) = peer.sent().pop().expect("it was sent");
    let most = MAX_WAITING_DELIVERIES as u64;
    for counter in 1..=most + 5 {
        peer.echo(counter, &add);
    }
    peer.now += 1;
    assert_eq!(peer.client.step(peer.now, &mut || true), Stepped::Budget);
    assert_ne!(peer.client.next_wakeup(), Some(0), "stepping does nothing before the owner polls");
    assert_eq!(
        peer.client.publish_to_views("sum", "changed", Payload::new(0u64)),
        Err(PublishError::TooFast)
    );
    let mut sums = Vec::new();
    let mut poll = |peer: &mut Peer| {
        while let Some(delivery) = peer.client.poll_delivery(Handling::Queued) {
            sums.push(delivery.payload.get::<u64>().expect("a number"));
        }
    };
    poll(&mut peer);
    assert_eq!(peer.client.next_wakeup(), Some(0));
    assert_eq!(peer.step(), Stepped::Done);
    poll(&mut peer);
    assert_eq!(sums, (1..=most + 5).collect::<Vec<_>>());
}

#[test]
fn an_owner_that_polls_no_events_stops_the_model_and_still_gets_the_newest() {
    let mut peer = Peer::live(config());
    for _ in 0..3 * MAX_WAITING_EVENTS {
        let seq = peer.ask_for_vote();
        peer.hear(&ServerMessage::Verdict(Verdict { seq, hash: None, agreed: 0, of: 1 }));
        peer.client.step(peer.now, &mut || true);
        peer.actions();
    }
    let newest = peer.seq;
    for _ in 0..10_000 {
        // A line that is cut again and again.
        peer.now += 40_000_000;
        peer.client.handle(peer.now, Input::Disconnected(None));
        peer.actions();
    }
    let events = peer.events();
    // In addition, one of each kind that does not come from the model.
    assert!(events.len() < MAX_WAITING_EVENTS + 10, "{}", events.len());
    let mut verdicts = events.iter().filter_map(|event| match event {
        SessionEvent::Verdict { seq, .. } => Some(*seq),
        _ => None,
    });
    assert_eq!(verdicts.next_back(), Some(newest));
    let last = events.last();
    let is_cut = matches!(last, Some(SessionEvent::Connection(ConnectionState::Reconnecting, _)));
    assert!(is_cut, "{last:?}");
}

#[test]
fn wishes_for_a_vote_share_one_request() {
    let mut peer = Peer::live(config());
    peer.actions();
    let requests = |peer: &mut Peer| {
        (0..1_000).for_each(|_| peer.client.request_vote().expect("it is live"));
        let request = Action::Send(ClientMessage::RequestVote.encode());
        peer.actions().into_iter().filter(|action| *action == request).count()
    };
    assert_eq!((requests(&mut peer), requests(&mut peer)), (1, 0));
    peer.ask_for_vote();
    assert_eq!(requests(&mut peer), 1);
}

#[test]
fn publish_fails_after_1024_events_if_the_owner_never_steps() {
    let mut peer = Peer::live(config());
    let mut published = 0;
    while peer.client.publish(peer.now, "sum", "add", &1).is_ok() {
        published += 1;
    }
    assert_eq!(published, MAX_OUTBOX_EVENTS);
    assert_eq!(peer.client.publish(peer.now, "sum", "add", &1), Err(PublishError::TooFast));
    assert!(peer.sent().len() <= LIMITS.burst as usize);
}

#[test]
fn a_view_that_the_models_know_is_ready_as_soon_as_the_snapshot_is_loaded() {
    let vm = Vm::new(&config().app, Peer::joining(config()).client.session_id(), &config().options);
    let snapshot =
        vm.and_then(|vm| vm.snapshot().map_err(|_| unreachable!())).expect("it is sound");
    let snapshot = wrapped(&snapshot);
    let hash = Digest(StateHash::of(&snapshot).0);
    let info =
        SnapshotInfo { seq: 0, time: 0, hash, size: snapshot.len() as u64, chain: Digest([0; 32]) };
    let mut peer = Peer::joining(config());
    let welcome = Welcome { seamless: true, snapshot: Some(info), ..peer.welcome() };
    peer.hear(&ServerMessage::Welcome(welcome));
    peer.hear(&ServerMessage::SnapshotPart(&snapshot));
    peer.client.step(peer.now, &mut || true);
    assert!(peer.events().iter().any(|event| matches!(event, SessionEvent::ViewReady)));
    assert_eq!(peer.client.connection_state(), ConnectionState::Live);
}

/// A model of another language. Once 0 was added it can be saved but not loaded, and it fails at 1.
struct Broken {
    spoilt: bool,
}

impl ForeignObject for Broken {
    fn handle(&mut self, _: &mut UntypedCx<'_>, _: u16, number: &Payload) -> Result<(), String> {
        self.spoilt = true;
        if number.get() == Ok(1u64) { Err("it fails".into()) } else { Ok(()) }
    }

    fn query(&self, _: u16, _: &[u8]) -> Result<Payload, String> {
        Err("it has no queries".into())
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        Ok(vec![if self.spoilt { 0xc3 } else { 0xc2 }])
    }
}

fn broken_config() -> Config {
    let broken = ForeignModel {
        id: "broken".into(),
        version: 1,
        code: String::new(),
        handlers: vec!["add".into()],
        queries: Vec::new(),
        init: Box::new(|cx, _| {
            cx.subscribe("sum", "add", 0);
            Ok(Box::new(Broken { spoilt: false }))
        }),
        load: Box::new(|saved| match saved {
            [0xc2] => Ok(Box::new(Broken { spoilt: false })),
            _ => Err("it cannot be loaded".into()),
        }),
    };
    let builder = App::builder_without_root("test.broken").foreign_model(broken);
    let app = builder.build().expect("it is sound");
    Config::new(app, "room", &()).expect("nothing can be encoded")
}

#[test]
fn a_client_that_cannot_undo_a_turn_joins_from_scratch_and_gives_up_if_that_fails_too() {
    let mut peer = Peer::live(broken_config());
    for number in [0u64, 1, 1] {
        peer.client.publish(peer.now, "sum", "add", &number).expect("there is room");
    }
    let posts: Vec<_> = peer.sent().into_iter().map(|(_, payload)| payload).collect();
    peer.echo(1, &posts[0]);
    // A vote on a state that cannot be loaded: from here on this client cannot undo a turn.
    peer.ask_for_vote();
    peer.step();
    peer.events();
    peer.echo(2, &posts[1]);
    peer.step();
    assert_eq!(peer.failure(), Some(DisconnectReason::Diverged));
    assert!(peer.client.vm().is_none());
    // From the beginning of the session every client can undo it.
    let again = |peer: &mut Peer, seq: u64| {
        peer.actions();
        peer.connected();
        let resumes = |frame: Vec<u8>| {
            let message = ClientMessage::decode(&frame);
            !matches!(message, Ok(ClientMessage::Join(Join { resume: None, .. }, _)))
        };
        assert!(!peer.frames().into_iter().any(resumes), "it goes on with its broken model");
        let counter = Some(3);
        let welcome = Welcome { seq, counter, seamless: true, ..peer.welcome() };
        peer.hear(&ServerMessage::Welcome(welcome));
        peer.seq = 0;
        peer.own_join();
        peer.echo(1, &posts[0]);
        peer.ask_for_vote();
        peer.echo(2, &posts[1]);
    };
    again(&mut peer, 4);
    peer.step();
    assert_eq!(peer.failure(), None);
    assert_eq!(peer.client.connection_state(), ConnectionState::Live);
    peer.echo(3, &posts[2]);
    peer.step();
    assert_eq!(peer.failure(), Some(DisconnectReason::Diverged));
    // If the log leads to the same failure, it always will.
    again(&mut peer, 5);
    peer.echo(3, &posts[2]);
    peer.step();
    assert!(matches!(peer.failure(), Some(DisconnectReason::Model(_))));
    assert_eq!(peer.client.connection_state(), ConnectionState::Failed);
}
