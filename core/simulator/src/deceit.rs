//! A reflector that lies: what it shows to some participants in the place of an event, and how soon it must be found out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use teatime_reflector::ConnId;
use teatime_wire::{Event, ServerMessage, View, ViewId, Views, VoteRequest};

use crate::dice::Dice;

/// After a lie, this many events of every participant are enough to find it out.
const EVENTS: u64 = 2;

/// What the reflector does to one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    Drop,
    Repeat,
    /// It shows an old event once more.
    ShowOldest,
    /// It swaps the event and the next one.
    Swap,
    /// It shows another time.
    Time,
    /// It shows a participant who is not there, before the event.
    Ghost,
    /// It shows an event that a participant has not sent.
    Forge,
    /// It shows the exit of a participant who is there.
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

    pub(crate) fn drawn(dice: &mut Dice) -> Self {
        *dice.pick(&Self::ALL)
    }

    /// Whether it counts as a lie only if participants see different things: a reflector chooses the time, and the order of what
    /// arrives at once.
    pub(crate) fn must_differ(self) -> bool {
        matches!(self, Self::Swap | Self::Time)
    }

    fn tells(self) -> &'static str {
        match self {
            Self::Drop => "drops an event",
            Self::Repeat => "repeats an event",
            Self::ShowOldest => "shows an old event again",
            Self::Swap => "swaps two events",
            Self::Time => "shows an event at another time",
            Self::Ghost => "invents a participant",
            Self::Forge => "invents an event",
            Self::Exit => "shows the exit of a participant who is there",
        }
    }
}

/// A lie that goes on until the connections of its victims end.
#[derive(Debug)]
pub(crate) struct Deceit {
    pub(crate) lie: Lie,
    /// The connections that are lied to, and their participants.
    pub(crate) victims: BTreeMap<ConnId, usize>,
    /// The participant in whose name the reflector speaks.
    first: ViewId,
    shown: BTreeMap<ConnId, Shown>,
    pub(crate) until: u64,
    pub(crate) watch: Option<Watch>,
}

impl fmt::Display for Deceit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let victims: Vec<_> = self.victims.values().map(|at| (at + 1).to_string()).collect();
        write!(f, "the reflector {}, for participants {}", self.lie.tells(), victims.join(", "))
    }
}

impl Deceit {
    pub(crate) fn new(
        lie: Lie,
        first: ViewId,
        victims: BTreeMap<ConnId, usize>,
        until: u64,
    ) -> Self {
        Self { lie, victims, first, shown: BTreeMap::new(), until, watch: None }
    }

    /// The view of the participant in whose name the reflector speaks.
    pub(crate) fn first(&self) -> ViewId {
        self.first
    }

    /// What a connection is shown in the place of a frame. `None`: the frame itself, because nothing was lied about.
    pub(crate) fn twist(&mut self, connection: ConnId, frame: &[u8]) -> Option<Vec<Vec<u8>>> {
        if !self.victims.contains_key(&connection) {
            return None;
        }
        self.shown.entry(connection).or_default().twist(self.lie, self.first, frame)
    }

    /// Whether a connection has been shown something else than the others.
    pub(crate) fn has_lied_to(&self, connection: ConnId) -> bool {
        self.shown.get(&connection).is_some_and(|shown| shown.has_lied)
    }
}

/// What one connection is shown.
#[derive(Debug, Default)]
struct Shown {
    /// How many more messages than there are.
    shift: i64,
    oldest: Option<Owned>,
    waits: Option<Owned>,
    has_lied: bool,
}

#[derive(Debug, Clone)]
struct Owned {
    sender: ViewId,
    counter: u64,
    payload: Vec<u8>,
}

impl Shown {
    fn event(&self, seq: u64, time: u64, event: &Owned) -> Vec<u8> {
        let Owned { sender, counter, payload } = event;
        let seq = seq.wrapping_add_signed(self.shift);
        let (sender, counter) = (*sender, *counter);
        ServerMessage::Event(Event { seq, time, sender, counter, payload }).encode()
    }

    fn views(&self, views: Views<'_>) -> Vec<u8> {
        let seq = views.seq.wrapping_add_signed(self.shift);
        ServerMessage::Views(Views { seq, ..views }).encode()
    }

    fn twist(&mut self, lie: Lie, first: ViewId, frame: &[u8]) -> Option<Vec<Vec<u8>>> {
        match ServerMessage::decode(frame) {
            Ok(ServerMessage::Event(Event { seq, time, sender, counter, payload })) => {
                let event = Owned { sender, counter, payload: payload.to_vec() };
                if let Some(before) = self.waits.take() {
                    return Some(vec![
                        self.event(seq - 1, time, &event),
                        self.event(seq, time, &before),
                    ]);
                }
                if self.has_lied {
                    return Some(vec![self.event(seq, time, &event)]);
                }
                // There must be an old one first.
                if lie == Lie::ShowOldest && self.oldest.is_none() {
                    self.oldest = Some(event);
                    return None;
                }
                self.has_lied = true;
                Some(self.lie(lie, first, (seq, time), event))
            }
            _ if !self.has_lied => None,
            Ok(ServerMessage::Views(views)) => Some(vec![self.views(views)]),
            Ok(ServerMessage::VoteRequest(VoteRequest { seq, time })) => {
                let seq = seq.wrapping_add_signed(self.shift);
                Some(vec![ServerMessage::VoteRequest(VoteRequest { seq, time }).encode()])
            }
            _ => None,
        }
    }

    /// What is shown in the place of an event.
    fn lie(
        &mut self,
        lie: Lie,
        first: ViewId,
        (seq, time): (u64, u64),
        event: Owned,
    ) -> Vec<Vec<u8>> {
        let bare = |exited, joined| Views { seq, time, exited, joined, active: 9 };
        let view = |view_id| View { view_id, view_data: Some(b"what it has sealed") };
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
            Lie::ShowOldest => self.event(seq, time, self.oldest.as_ref().unwrap_or(&event)),
            Lie::Forge => {
                let invented =
                    Owned { sender: first, counter: event.counter + 1, payload: vec![7; 90] };
                self.event(seq, time, &invented)
            }
            Lie::Ghost => self.views(bare(vec![], vec![view(ViewId([7; 16]))])),
            Lie::Exit => self.views(bare(vec![view(first)], vec![])),
        };
        self.shift += 1;
        vec![added, self.event(seq, time, &event)]
    }
}

/// Counts the events after a lie. When every participant that was there has sent two, knowing of the lie or of what it
/// hides, and all have received them, one of them must have been alarmed.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Where the lie stands.
    seq: u64,
    /// The participants that were there: connection and view.
    present: BTreeMap<usize, (ConnId, ViewId)>,
    /// How many alarms there were before.
    alarms: u64,
    /// How much each had published when it received the lie, or what the others have in its place.
    heard: BTreeMap<usize, u64>,
    /// How many later events from one participant another one has received.
    received: BTreeMap<(usize, usize), u64>,
}

impl Watch {
    pub(crate) fn new(seq: u64, present: BTreeMap<usize, (ConnId, ViewId)>, alarms: u64) -> Self {
        Self { seq, present, alarms, heard: BTreeMap::new(), received: BTreeMap::new() }
    }

    /// The participants that were there: connection and view.
    pub(crate) fn present(&self) -> &BTreeMap<usize, (ConnId, ViewId)> {
        &self.present
    }

    /// How many alarms there were before the lie.
    pub(crate) fn alarms(&self) -> u64 {
        self.alarms
    }

    /// A participant receives a frame, and has published this many events so far. Returns whether all have received
    /// enough now, and had not before.
    pub(crate) fn receive(&mut self, at: usize, frame: &[u8], published: u64) -> bool {
        if !self.present.contains_key(&at) || self.is_complete() {
            return false;
        }
        let seq = match ServerMessage::decode(frame) {
            Ok(ServerMessage::Event(event)) => {
                let sender = self.present.iter().find(|(_, (_, view))| *view == event.sender);
                if let Some((from, _)) = sender
                    && self.heard.get(from).is_some_and(|heard| event.counter > *heard)
                {
                    *self.received.entry((*from, at)).or_default() += 1;
                }
                event.seq
            }
            Ok(ServerMessage::Views(views)) => views.seq,
            Ok(ServerMessage::VoteRequest(vote)) => vote.seq,
            _ => return false,
        };
        if seq >= self.seq {
            self.heard.entry(at).or_insert(published);
        }
        self.is_complete()
    }

    /// Whether all have received enough of all others.
    pub(crate) fn is_complete(&self) -> bool {
        let all: BTreeSet<_> = self.present.keys().collect();
        all.iter().all(|from| {
            let others = all.iter().filter(|at| *at != from);
            others.into_iter().all(|at| {
                self.received.get(&(**from, **at)).is_some_and(|events| *events >= EVENTS)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEWS: [ViewId; 2] = [ViewId([1; 16]), ViewId([2; 16])];

    fn event(seq: u64, sender: ViewId, counter: u64) -> Vec<u8> {
        ServerMessage::Event(Event { seq, time: 7, sender, counter, payload: b"sealed" }).encode()
    }

    #[test]
    fn a_watch_is_complete_when_all_have_received_two_events_that_know_of_the_lie() {
        let present = (0..2).map(|at| (at, (ConnId(at as u64), VIEWS[at])));
        let mut watch = Watch::new(5, present.collect(), 0);
        // Both have published one event before they hear of the lie.
        assert!(!watch.receive(0, &event(5, VIEWS[1], 1), 1));
        assert!(!watch.receive(1, &event(5, VIEWS[1], 1), 1));
        for counter in 1..=3 {
            assert!(!watch.receive(1, &event(5 + counter, VIEWS[0], counter), 1));
        }
        assert!(!watch.receive(0, &event(9, VIEWS[1], 2), 4) && !watch.is_complete());
        assert!(watch.receive(0, &event(10, VIEWS[1], 3), 4) && watch.is_complete());
        assert!(!watch.receive(0, &event(11, VIEWS[1], 4), 4), "it was complete before");
    }

    #[test]
    fn a_dropped_event_is_missing_in_the_numbers_behind_it_for_victims_only() {
        let victims = BTreeMap::from([(ConnId(1), 0)]);
        let mut deceit = Deceit::new(Lie::Drop, VIEWS[0], victims, 0);
        let (first, second) = (event(5, VIEWS[0], 1), event(6, VIEWS[0], 2));
        assert_eq!(deceit.twist(ConnId(2), &first), None);
        assert_eq!(deceit.twist(ConnId(1), &first), Some(vec![]));
        assert!(deceit.has_lied_to(ConnId(1)) && !deceit.has_lied_to(ConnId(2)));
        assert_eq!(deceit.twist(ConnId(1), &second), Some(vec![event(5, VIEWS[0], 2)]));
    }
}
