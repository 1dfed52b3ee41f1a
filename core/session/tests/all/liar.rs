//! A real reflector that lies to real clients, at random: with several seeds, one lie each. Whatever it is, a client raises an
//! alarm before every participant has sent two more events. Without a lie none does.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use teatime_session::{AlarmKind, SessionEvent};
use teatime_wire::{Event, ServerMessage, View, ViewId, Views};

use crate::healing::world::{MS, SECOND, Twist, World};

const PEERS: usize = 4;

/// What the reflector does to one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    Drop,
    Repeat,
    /// It shows the first event of all once more.
    ShowOldest,
    /// It swaps the event and the next one.
    Swap,
    /// It shows another time.
    Time,
    /// It shows a participant who is not there, before the event.
    Ghost,
    /// It shows an event that the first participant has not sent.
    Forge,
    /// It shows the exit of the first participant.
    Exit,
}

impl Lie {
    const ALL: [Self; 8] = [
        Self::Drop,
        Self::Repeat,
        Self::ShowOldest,
        Self::Swap,
        Self::Time,
        Self::Ghost,
        Self::Forge,
        Self::Exit,
    ];

    /// Whether it counts as a lie only if participants are shown different things: a reflector chooses the order of what is sent
    /// at once, and the time.
    fn must_differ(self) -> bool {
        matches!(self, Self::Swap | Self::Time)
    }
}

/// What one client is shown.
#[derive(Default)]
struct Shown {
    /// How many more messages than there are.
    shift: i64,
    oldest: Option<(ViewId, u64, Vec<u8>)>,
    waits: Option<(ViewId, u64, Vec<u8>)>,
    is_done: bool,
}

impl Shown {
    fn event(&self, seq: u64, time: u64, event: &(ViewId, u64, Vec<u8>)) -> Vec<u8> {
        let (sender, counter, payload) = (event.0, event.1, &*event.2);
        let seq = seq.wrapping_add_signed(self.shift);
        ServerMessage::Event(Event { seq, time, sender, counter, payload }).encode()
    }

    fn views(&self, views: Views<'_>) -> Vec<u8> {
        let seq = views.seq.wrapping_add_signed(self.shift);
        ServerMessage::Views(Views { seq, ..views }).encode()
    }

    /// What is shown in the place of an event.
    fn lie(
        &mut self,
        lie: Lie,
        first: ViewId,
        (seq, time): (u64, u64),
        event: (ViewId, u64, Vec<u8>),
    ) -> Vec<Vec<u8>> {
        let bare = |exited, joined| Views { seq, time, exited, joined, active: 9 };
        let view = |view_id| View { view_id, view_data: Some(b"what it has sealed") };
        self.is_done = lie != Lie::Swap;
        let added = match lie {
            Lie::Drop => {
                self.shift -= 1;
                return vec![];
            }
            Lie::Swap => {
                self.waits = Some(event);
                return vec![];
            }
            Lie::Time => return vec![self.event(seq, time + 1, &event)],
            Lie::Repeat => self.event(seq, time, &event),
            Lie::ShowOldest => self.event(seq, time, &self.oldest.clone().expect("there is one")),
            Lie::Forge => self.event(seq, time, &(first, event.1 + 1, vec![7; 90])),
            Lie::Ghost => self.views(bare(vec![], vec![view(ViewId([7; 16]))])),
            Lie::Exit => self.views(bare(vec![view(first)], vec![])),
        };
        self.shift += 1;
        vec![added, self.event(seq, time, &event)]
    }

    /// What is shown in the place of a message, from the `from`th on.
    fn twist(&mut self, lie: Lie, first: ViewId, from: u64, frame: Vec<u8>) -> Vec<Vec<u8>> {
        match ServerMessage::decode(&frame) {
            Ok(ServerMessage::Event(Event { seq, time, sender, counter, payload })) => {
                let event = (sender, counter, payload.to_vec());
                self.oldest.get_or_insert_with(|| event.clone());
                if let Some(before) = self.waits.take() {
                    self.is_done = true;
                    return vec![self.event(seq - 1, time, &event), self.event(seq, time, &before)];
                }
                if seq < from || self.is_done {
                    return vec![self.event(seq, time, &event)];
                }
                self.lie(lie, first, (seq, time), event)
            }
            Ok(ServerMessage::Views(views)) => vec![self.views(views)],
            // What it shows on another connection is the truth: the client knows already.
            Ok(ServerMessage::Welcome(_)) => {
                *self =
                    Self { oldest: self.oldest.take(), is_done: self.is_done, ..Self::default() };
                vec![frame]
            }
            _ => vec![frame],
        }
    }
}

/// Lies from the message on that `from` names.
fn liar(lie: Lie, victims: Vec<usize>, first: ViewId, from: Rc<Cell<u64>>) -> Twist {
    let mut shown: BTreeMap<usize, Shown> = BTreeMap::new();
    Box::new(move |at, frame| {
        if victims.contains(&at) {
            shown.entry(at).or_default().twist(lie, first, from.get(), frame)
        } else {
            vec![frame]
        }
    })
}

/// These participants send, before any of them hears of the others.
fn post(world: &mut World, who: impl Iterator<Item = usize>) -> u64 {
    let now = world.now;
    let sent = who.map(|at| {
        let client = &mut world.peers[at].client;
        client.publish(now, "sum", "add", &1u64).expect("there is room");
    });
    let sent = sent.count() as u64;
    world.run();
    world.pass(50 * MS);
    sent
}

fn alarms(world: &World) -> Vec<(usize, AlarmKind)> {
    let of = |at: usize| {
        world.peers[at].events.iter().filter_map(move |event| match event {
            SessionEvent::Alarm(alarm) => Some((at, alarm.kind)),
            _ => None,
        })
    };
    (0..world.peers.len()).flat_map(of).collect()
}

/// Some participants, but not none.
fn some(rng: &mut ChaCha8Rng) -> Vec<usize> {
    let dice = rng.next_u32() as usize % ((1 << PEERS) - 1) + 1;
    (0..PEERS).filter(|at| dice >> at & 1 == 1).collect()
}

/// Some rounds of events, a lie, and two rounds in which everybody sends.
fn play(seed: u64, lie: Lie) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut world = World::new(PEERS, teatime_reflector::Config::default(), Some("secret"));
    let first = world.peers[0].client.view_id();
    let mut victims = some(&mut rng);
    while lie.must_differ() && victims.len() == PEERS {
        victims = some(&mut rng);
    }
    let told = format!("seed {seed}: {lie:?} to {victims:?}");
    let from = Rc::new(Cell::new(u64::MAX));
    world.twist = Some(liar(lie, victims, first, from.clone()));
    let mut sent = post(&mut world, 0..PEERS);
    for _ in 0..rng.next_u32() % 4 {
        sent += post(&mut world, some(&mut rng).into_iter());
    }
    assert_eq!(alarms(&world), [], "{told}");
    from.set(0);
    for _ in 0..2 {
        sent += post(&mut world, 0..PEERS);
    }
    assert_ne!(alarms(&world), [], "{told}");
    // The reflector becomes honest: all come to the same.
    world.twist = None;
    for peer in &mut world.peers {
        peer.client.reconnect(world.now);
    }
    world.pass(20 * SECOND);
    let parts = world.peers[0].parts();
    assert_eq!(parts.len() as u64, sent, "{told}");
    for peer in &world.peers {
        assert!(peer.is_live() && peer.parts() == parts, "{told}");
    }
}

#[test]
fn no_lie_goes_unnoticed_for_two_round_trips_and_all_converge_after_it() {
    for lie in Lie::ALL {
        (0..6).for_each(|seed| play(seed, lie));
    }
}
