//! What clients find out of a reflector that lies. The test plays the reflector of clients with a password: it shows each
//! of them what it likes.

use teatime_session::{AlarmKind, Config, DisconnectReason, SessionEvent};
use teatime_vm::{App, Cx, Vm, handlers, model};
use teatime_wire::{
    Chain, ClientMessage, Digest, Event, ServerMessage, SnapshotInfo, View, ViewId, Views, Welcome,
};

use crate::support::{Peer, TIME};

#[model(id = "till", version = 1)]
struct Till {
    paid: u64,
}

#[handlers]
impl Till {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("till", "pay", Self::pay);
        Self { paid: 0 }
    }

    fn pay(&mut self, _cx: &mut Cx<Self>, amount: u64) {
        self.paid += amount;
    }
}

fn config() -> Config {
    let app = App::builder::<Till>("test.till").build().expect("it is sound");
    Config::new(app, "room", &()).expect("nothing can be encoded").password(Some("secret"))
}

/// A join or an event as its participant has sent it.
#[derive(Clone)]
struct Joined(ViewId, Vec<u8>);
#[derive(Clone)]
struct Sent(ViewId, u64, Vec<u8>);

/// A client that has sent its join, and what it has sealed with that.
fn joining(number: u8) -> (Peer, Joined) {
    let mut peer = Peer::joining_as(config(), [number; 32]);
    let joined = join_of(&mut peer);
    (peer, joined)
}

/// What the client has sealed with the join that it has just sent.
fn join_of(peer: &mut Peer) -> Joined {
    let frames = peer.frames();
    let data = frames.iter().find_map(|frame| match ClientMessage::decode(frame) {
        Ok(ClientMessage::Join(join, _)) => join.view_data.map(<[u8]>::to_vec),
        _ => None,
    });
    Joined(peer.id(), data.expect("every join of a room with a password has some"))
}

/// This number of clients, in a session that has just begun.
fn room(number: u8) -> (Vec<Peer>, Vec<Joined>) {
    let (mut peers, joins): (Vec<_>, Vec<_>) = (1..=number).map(joining).unzip();
    for peer in &mut peers {
        peer.hear(&ServerMessage::Welcome(peer.welcome()));
        announce(peer, &joins);
        assert_eq!(alarms(peer), []);
    }
    (peers, joins)
}

fn announce(peer: &mut Peer, joins: &[Joined]) {
    peer.seq += 1;
    let view = |Joined(view_id, data): &'_ Joined| (*view_id, data.clone());
    let views: Vec<_> = joins.iter().map(view).collect();
    let joined = views.iter().map(|(id, data)| View { view_id: *id, view_data: Some(data) });
    let (seq, joined) = (peer.seq, joined.collect());
    let time = time_at(seq);
    peer.hear(&ServerMessage::Views(Views { seq, time, exited: vec![], joined, active: 9 }));
    peer.step();
}

/// A session begins at 0, and all that follows is at one time.
fn time_at(seq: u64) -> u64 {
    if seq == 1 { 0 } else { TIME }
}

fn exit(peer: &mut Peer, who: ViewId) {
    peer.seq += 1;
    let exited = vec![View { view_id: who, view_data: None }];
    let time = time_at(peer.seq);
    let views = Views { seq: peer.seq, time, exited, joined: vec![], active: 9 };
    peer.hear(&ServerMessage::Views(views));
    peer.step();
}

fn pay(peer: &mut Peer, amount: u64) -> Sent {
    peer.client.publish(peer.now, "till", "pay", &amount).expect("there is room");
    let (counter, payload) = peer.sent().pop().expect("it is sent at once");
    Sent(peer.id(), counter, payload)
}

fn show(peer: &mut Peer, Sent(sender, counter, payload): &Sent) {
    peer.seq += 1;
    let (seq, sender, counter) = (peer.seq, *sender, *counter);
    peer.hear(&ServerMessage::Event(Event { seq, time: TIME, sender, counter, payload }));
    peer.step();
}

fn show_all(peers: &mut [Peer], event: &Sent) {
    peers.iter_mut().for_each(|peer| show(peer, event));
}

/// What the client was alarmed of since the last call, and of whom.
fn alarms(peer: &mut Peer) -> Vec<(AlarmKind, Option<ViewId>)> {
    let alarm = |event| match event {
        SessionEvent::Alarm(alarm) => Some((alarm.kind, alarm.participant)),
        _ => None,
    };
    peer.events().into_iter().filter_map(alarm).collect()
}

fn paid(peer: &Peer) -> u64 {
    peer.client.vm().and_then(Vm::root::<Till>).expect("it is live").paid
}

#[test]
fn what_is_shown_as_it_was_sent_raises_no_alarm() {
    let (mut peers, joins) = room(3);
    for amount in 1..20 {
        peers.iter_mut().for_each(|peer| peer.now += 1_000_000);
        // All three send before they hear of each other.
        let sent: Vec<_> = peers.iter_mut().map(|peer| pay(peer, amount)).collect();
        sent.iter().for_each(|event| show_all(&mut peers, event));
    }
    peers[..2].iter_mut().for_each(|peer| exit(peer, joins[2].0));
    for peer in &mut peers {
        assert_eq!((alarms(peer), paid(peer)), (vec![], 3 * 190));
    }
}

#[test]
fn an_event_that_is_repeated_does_nothing_and_is_found_out() {
    let (mut peers, _) = room(3);
    let ten = pay(&mut peers[0], 10);
    (0..4).for_each(|_| show_all(&mut peers, &ten));
    for peer in &mut peers {
        assert_eq!(alarms(peer), [(AlarmKind::Repeated, Some(ten.0))], "once is enough");
        assert_eq!(paid(peer), 10);
    }
}

#[test]
fn an_event_that_is_dropped_for_all_is_missed_at_the_next_of_its_sender() {
    let (mut peers, _) = room(3);
    let _no_wait = pay(&mut peers[0], 1);
    let next = pay(&mut peers[0], 2);
    show_all(&mut peers, &next);
    for peer in &mut peers {
        assert_eq!(alarms(peer), [(AlarmKind::Dropped, Some(next.0))]);
    }
}

#[test]
fn an_event_that_is_dropped_for_one_is_missed_at_the_next_of_any_other() {
    for author in [0, 1] {
        let (mut peers, _) = room(3);
        let event = pay(&mut peers[0], 1);
        show_all(&mut peers[..2], &event);
        let next = pay(&mut peers[author], 2);
        show_all(&mut peers, &next);
        assert_eq!((alarms(&mut peers[0]), alarms(&mut peers[1])), (vec![], vec![]));
        // Its sender had seen something that is not there.
        assert_eq!(alarms(&mut peers[2]), [(AlarmKind::Reordered, Some(next.0))]);
    }
}

#[test]
fn an_answer_that_is_shown_before_its_question_is_found_out_at_once() {
    let (mut peers, _) = room(3);
    let question = pay(&mut peers[0], 1);
    show_all(&mut peers[..2], &question);
    let yes = pay(&mut peers[1], 2);
    show_all(&mut peers[..2], &yes);
    show(&mut peers[2], &yes);
    show(&mut peers[2], &question);
    assert_eq!(alarms(&mut peers[2]), [(AlarmKind::Reordered, Some(yes.0))]);
    // Every later event shows it again, from any sender.
    let next = pay(&mut peers[0], 3);
    show(&mut peers[2], &next);
    assert_eq!(alarms(&mut peers[2]), [(AlarmKind::Forked, Some(next.0))]);
}

#[test]
fn two_logs_are_told_apart_at_the_first_event_from_the_other_side() {
    let (mut peers, _) = room(3);
    let (one, other) = (pay(&mut peers[0], 1), pay(&mut peers[1], 2));
    show(&mut peers[0], &one);
    show(&mut peers[1], &other);
    show(&mut peers[2], &other);
    let next = pay(&mut peers[2], 3);
    show_all(&mut peers, &next);
    assert_eq!(alarms(&mut peers[0]), [(AlarmKind::Forked, Some(next.0))]);
    assert_eq!((alarms(&mut peers[1]), alarms(&mut peers[2])), (vec![], vec![]));
    // Another time is another log, too: models act by it.
    let (mut peers, _) = room(2);
    let event = pay(&mut peers[0], 1);
    show(&mut peers[0], &event);
    let Sent(sender, counter, payload) = &event;
    let (sender, counter, seq) = (*sender, *counter, 2);
    peers[1].seq = 2;
    peers[1].hear(&ServerMessage::Event(Event { seq, time: TIME - 1, sender, counter, payload }));
    let next = pay(&mut peers[0], 2);
    show(&mut peers[1], &next);
    assert_eq!(alarms(&mut peers[1]), [(AlarmKind::Forked, Some(next.0))]);
}

#[test]
fn invented_participants_and_events_are_told_from_real_ones() {
    let (mut peers, joins) = room(2);
    let victim = &mut peers[0];
    let ghost = ViewId([7; 16]);
    announce(victim, &[Joined(ghost, joins[1].1.clone())]);
    assert_eq!(alarms(victim), [(AlarmKind::Invented, Some(ghost))], "with the join of another");
    let others = [8, 9].map(|id| Joined(ViewId([id; 16]), b"none".to_vec()));
    announce(victim, &others);
    assert_eq!(alarms(victim).len(), 2, "each counts");
    // A participant that has left comes again with its old join.
    exit(victim, joins[1].0);
    announce(victim, &joins[1..2]);
    assert_eq!(alarms(victim), [(AlarmKind::Invented, Some(joins[1].0))]);
    let (mut peers, joins) = room(2);
    show(&mut peers[0], &Sent(joins[1].0, 1, vec![5; 90]));
    assert_eq!(alarms(&mut peers[0]), [(AlarmKind::Invented, Some(joins[1].0))]);
    // What the reflector makes does not stand in the way of what the participant sends.
    let real = pay(&mut peers[1], 4);
    show(&mut peers[0], &real);
    assert_eq!((alarms(&mut peers[0]), paid(&peers[0])), (vec![], 4));
}

#[test]
fn a_clock_that_jumps_is_not_followed() {
    let minute = 60_000_000;
    let (mut peers, _) = room(1);
    let peer = &mut peers[0];
    peer.hear(&ServerMessage::Tick(2 * minute));
    peer.step();
    assert_eq!(peer.failure(), None);
    peer.now += 10 * minute;
    peer.hear(&ServerMessage::Tick(12 * minute));
    peer.step();
    peer.hear(&ServerMessage::Tick(32 * minute));
    peer.step();
    let failure = peer.failure().expect("it has ended");
    assert!(
        matches!(&failure, DisconnectReason::Clock(what) if what.contains("1320 s")),
        "{failure}"
    );
    assert!(!failure.is_retryable());
    assert!(peer.client.vm().is_none());
}

/// The newest snapshot of a client, as it would hand it in, with what announces it.
fn snapshot(peer: &mut Peer) -> (SnapshotInfo, Vec<u8>) {
    peer.frames();
    let seq = peer.ask_for_vote();
    peer.step();
    peer.hear(&ServerMessage::SnapshotWanted(seq));
    peer.step();
    let part = |frame: Vec<u8>| match ClientMessage::decode(&frame) {
        Ok(ClientMessage::SnapshotPart(part)) => Some(part.data.to_vec()),
        _ => None,
    };
    let data: Vec<u8> = peer.frames().into_iter().filter_map(part).flatten().collect();
    let (hash, size) = (Digest::of(&data), data.len() as u64);
    let chain = peer.client.chain().value();
    (SnapshotInfo { seq, time: TIME, hash, size, chain }, data)
}

/// A client that begins with this snapshot, and is announced behind it.
fn late(number: u8, (info, data): &(SnapshotInfo, Vec<u8>)) -> (Peer, Joined) {
    let (mut peer, joined) = joining(number);
    let seq = info.seq;
    let welcome = Welcome { snapshot: Some(*info), seq, time: TIME, ..peer.welcome() };
    peer.hear(&ServerMessage::Welcome(welcome));
    peer.hear(&ServerMessage::SnapshotPart(data));
    peer.seq = seq;
    (peer, joined)
}

#[test]
fn a_newcomer_knows_what_was_sent_before_its_snapshot() {
    let (mut peers, _) = room(2);
    let old = pay(&mut peers[0], 10);
    show_all(&mut peers, &old);
    let snapshot = snapshot(&mut peers[0]);
    let (mut newcomer, joined) = late(9, &snapshot);
    announce(&mut newcomer, std::slice::from_ref(&joined));
    assert_eq!((alarms(&mut newcomer), paid(&newcomer)), (vec![], 10));
    peers[1].ask_for_vote();
    for peer in &mut peers {
        announce(peer, std::slice::from_ref(&joined));
    }
    let next = pay(&mut peers[0], 1);
    show_all(&mut peers, &next);
    show(&mut newcomer, &next);
    assert_eq!((alarms(&mut newcomer), paid(&newcomer)), (vec![], 11));
    show(&mut newcomer, &old);
    assert_eq!(alarms(&mut newcomer), [(AlarmKind::Repeated, Some(old.0))]);
    assert_eq!(paid(&newcomer), 11);
}

#[test]
fn an_old_snapshot_is_found_out_at_the_first_event_of_another() {
    let (mut peers, _) = room(2);
    let snapshot = snapshot(&mut peers[0]);
    peers[1].ask_for_vote();
    let hidden = pay(&mut peers[0], 10);
    show_all(&mut peers, &hidden);
    let (mut newcomer, joined) = late(9, &snapshot);
    announce(&mut newcomer, &[joined]);
    let next = pay(&mut peers[1], 1);
    show(&mut newcomer, &next);
    assert_eq!(alarms(&mut newcomer), [(AlarmKind::Forked, Some(next.0))]);
}

#[test]
fn a_snapshot_that_is_announced_with_another_chain_is_refused() {
    let (mut peers, _) = room(1);
    let (mut info, data) = snapshot(&mut peers[0]);
    info.chain = Chain::at(info.chain).next(b"another message").value();
    let (mut newcomer, _) = late(9, &(info, data));
    assert!(matches!(newcomer.failure(), Some(DisconnectReason::BadSnapshot(_))));
}

/// The client begins from scratch, in a log that ends at `seq`.
fn again(peer: &mut Peer, joins: &[Joined], seq: u64) {
    peer.client.handle(peer.now, teatime_session::Input::Disconnected(None));
    peer.now += 1_000_000;
    peer.connected();
    peer.seq = 0;
    peer.hear(&ServerMessage::Welcome(Welcome { timeline: 2, seq, ..peer.welcome() }));
    announce(peer, joins);
}

#[test]
fn events_that_are_gone_are_reported_and_a_whole_log_is_not() {
    let (mut peers, joins) = room(2);
    let (first, second) = (pay(&mut peers[0], 1), pay(&mut peers[0], 2));
    show_all(&mut peers, &first);
    show_all(&mut peers, &second);
    let peer = &mut peers[1];
    again(peer, &joins, 3);
    show(peer, &first);
    show(peer, &second);
    assert_eq!((alarms(peer), paid(peer)), (vec![], 3));
    again(peer, &joins, 2);
    assert_eq!(alarms(peer), [(AlarmKind::Rewound, None)]);
    show(peer, &first);
    again(peer, &joins, 2);
    // Another event stands in its place.
    show(peer, &second);
    assert_eq!(alarms(peer)[0], (AlarmKind::Rewound, None));
}

#[test]
fn an_event_of_a_participant_that_is_not_there_does_nothing() {
    let (mut peers, joins) = room(2);
    let old = pay(&mut peers[1], 10);
    let victim = &mut peers[0];
    exit(victim, joins[1].0);
    for _ in 0..3 {
        show(victim, &old);
    }
    assert_eq!(alarms(victim), [(AlarmKind::Invented, Some(old.0))]);
    assert_eq!(paid(victim), 0);
}

/// The clients come to a reflector that has forgotten the session.
fn begin_again(peers: &mut [Peer]) {
    let rejoin = |peer: &mut Peer| {
        peer.client.handle(peer.now, teatime_session::Input::Disconnected(None));
        peer.now += 1_000_000;
        peer.frames();
        peer.connected();
        join_of(peer)
    };
    let joins: Vec<_> = peers.iter_mut().map(rejoin).collect();
    for peer in peers {
        peer.seq = 0;
        peer.hear(&ServerMessage::Welcome(Welcome { timeline: 2, ..peer.welcome() }));
        announce(peer, &joins);
    }
}

#[test]
fn what_was_sent_to_a_reflector_that_has_forgotten_it_cannot_be_shown_again() {
    let (mut peers, _) = room(2);
    let old = pay(&mut peers[0], 10);
    show_all(&mut peers, &old);
    begin_again(&mut peers);
    alarms(&mut peers[1]);
    show(&mut peers[1], &old);
    assert_eq!(alarms(&mut peers[1]), [(AlarmKind::Repeated, Some(old.0))]);
    assert_eq!(paid(&peers[1]), 0);
    let new = pay(&mut peers[0], 1);
    show(&mut peers[1], &new);
    assert_eq!(paid(&peers[1]), 1);
}

#[test]
fn a_client_whose_exit_is_announced_while_it_is_there_says_so_and_joins_again() {
    let (mut peers, joins) = room(2);
    let victim = &mut peers[0];
    victim.actions();
    exit(victim, joins[0].0);
    assert_eq!(alarms(victim), [(AlarmKind::Expelled, Some(joins[0].0))]);
    let is_connect = |action| matches!(action, teatime_session::Action::Connect { .. });
    assert!(victim.actions().into_iter().any(is_connect));
}

#[test]
fn a_join_of_the_past_does_not_let_a_client_send() {
    let (mut peers, joins) = room(1);
    let peer = &mut peers[0];
    peer.client.handle(peer.now, teatime_session::Input::Disconnected(None));
    peer.client.publish(peer.now, "till", "pay", &7u64).expect("there is room");
    peer.now += 1_000_000;
    peer.actions();
    peer.connected();
    let again = join_of(peer);
    peer.seq = 0;
    let welcome = Welcome { timeline: 2, seq: 2, time: TIME, ..peer.welcome() };
    peer.hear(&ServerMessage::Welcome(welcome));
    announce(peer, &joins);
    exit(peer, joins[0].0);
    assert_eq!(peer.sent(), [], "the models do not know its sender");
    announce(peer, &[again]);
    assert_eq!((peer.sent().len(), alarms(peer)), (1, vec![]));
}

#[test]
fn an_echo_of_what_was_never_sent_takes_nothing_from_the_outbox() {
    let (mut peers, joins) = room(1);
    let peer = &mut peers[0];
    let receipt = peer.client.publish(peer.now, "till", "pay", &7u64).expect("there is room");
    let real = peer.sent().pop().expect("it is sent at once");
    show(peer, &Sent(joins[0].0, 1 << 40, vec![5; 90]));
    assert_eq!(alarms(peer), [(AlarmKind::Invented, Some(joins[0].0))]);
    assert!(!peer.client.is_applied(receipt));
    peer.client.handle(peer.now, teatime_session::Input::Disconnected(None));
    peer.now += 1_000_000;
    peer.actions();
    peer.connected();
    let welcome = peer.welcome();
    let (seq, time) = (peer.seq, TIME);
    let welcome = Welcome { resumed: true, seamless: true, seq, time, ..welcome };
    peer.hear(&ServerMessage::Welcome(welcome));
    peer.step();
    assert_eq!(peer.sent().pop().map(|(counter, _)| counter), Some(real.0), "it is sent again");
}

#[test]
fn a_session_time_that_jumps_between_connections_is_reported() {
    let (mut peers, _) = room(1);
    let peer = &mut peers[0];
    let mut resume = |time: u64| {
        peer.client.handle(peer.now, teatime_session::Input::Disconnected(None));
        peer.now += 1_000_000;
        peer.connected();
        let welcome = Welcome { resumed: true, seamless: true, seq: 1, time, ..peer.welcome() };
        peer.hear(&ServerMessage::Welcome(welcome));
        peer.step();
        alarms(peer)
    };
    assert_eq!(resume(60_000_000), []);
    assert_eq!(resume(130_000_000), [(AlarmKind::Clock, None)]);
    assert_eq!(resume(131_000_000), []);
}

#[test]
fn impossible_numbers_end_the_connection_and_nothing_panics() {
    for (time, seq) in [(u64::MAX, 0), (0, u64::MAX)] {
        let (mut peer, _) = joining(1);
        peer.hear(&ServerMessage::Welcome(Welcome { time, seq, ..peer.welcome() }));
        peer.hear(&ServerMessage::Tick(u64::MAX));
        peer.now += 1_000;
        peer.step();
        assert!(matches!(peer.failure(), Some(DisconnectReason::Protocol(_))));
    }
}

#[test]
fn a_client_that_is_moved_to_another_log_by_a_snapshot_misses_what_it_had_seen() {
    let (mut peers, _) = room(2);
    // Only its author sees the event.
    let own = pay(&mut peers[0], 10);
    show(&mut peers[0], &own);
    peers[1].ask_for_vote();
    peers[1].step();
    let snapshot = snapshot(&mut peers[1]);
    let (info, data) = &snapshot;
    let peer = &mut peers[0];
    peer.client.handle(peer.now, teatime_session::Input::Disconnected(None));
    peer.now += 1_000_000;
    peer.connected();
    peer.seq = info.seq;
    let (seq, seamless) = (info.seq, true);
    let welcome = Welcome { snapshot: Some(*info), seq, seamless, time: TIME, ..peer.welcome() };
    peer.hear(&ServerMessage::Welcome(welcome));
    peer.hear(&ServerMessage::SnapshotPart(data));
    peer.step();
    assert_eq!(alarms(peer), [(AlarmKind::Rewound, None)]);
}
