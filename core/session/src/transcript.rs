//! The order as one client has seen it: the chain over all ordered messages, and what it says about their senders.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use teatime_base::{BrokenSealError, ViewId};
use teatime_wire::{Chain, Digest};

use crate::alarm::AlarmKind;
use crate::claim::Claim;
use crate::content::{Content, content_of};
use crate::limits::REMEMBERED_POSITIONS;
use crate::senders::{Record, Senders, StoredSenders};

/// What a client knows about the order up to the newest message that has arrived.
#[derive(Debug)]
pub(crate) struct Transcript {
    /// An event has arrived, or the client began with a snapshot. Before, the session may begin again, and nothing is lost with it
    /// but who was there.
    is_touched: bool,
    /// The sequence number and the chain before `values`.
    base: (u64, Chain),
    /// The chain after each of the newest messages.
    values: VecDeque<Chain>,
    /// The participants after the newest message that the model has handled. `None` in a session without a password: there
    /// is nothing that a reflector could not make.
    senders: Option<Senders>,
    /// The newest event that has arrived.
    newest_event: Option<(u64, Chain)>,
    /// The newest event that had arrived before the client began from scratch, until it has come again.
    witnessed: Option<(u64, Chain)>,
    /// The newest message that the model has handled.
    handled: u64,
    /// What the client knew when it began from scratch, and the newest message that its model had handled, until the model
    /// has handled that again. So a reflector cannot make it forget by letting it begin twice.
    known: Option<(u64, Senders)>,
}

/// What travels with a snapshot of a session with a password.
#[derive(Serialize, Deserialize)]
struct Stored(ByteArray<32>, StoredSenders);

impl Transcript {
    /// That of a session in which nothing has happened.
    pub(crate) fn new(chain: Chain, has_password: bool) -> Self {
        Self {
            is_touched: false,
            base: (0, chain),
            values: VecDeque::new(),
            senders: has_password.then(Senders::default),
            newest_event: None,
            witnessed: None,
            handled: 0,
            known: None,
        }
    }

    /// That of a snapshot, by what has [travelled](Self::store) with it. `None` if that cannot be read.
    pub(crate) fn read(seq: u64, stored: &[u8]) -> Option<Self> {
        let Stored(chain, senders) = rmp_serde::from_slice(stored).ok()?;
        let chain = Chain::at(Digest(chain.into_array()));
        let senders = Some(Senders::restore(senders)?);
        Some(Self {
            is_touched: true,
            base: (seq, chain),
            senders,
            handled: seq,
            ..Self::new(chain, true)
        })
    }

    /// What travels with the snapshot at this position. `None` without a password.
    pub(crate) fn store(&self, seq: u64) -> Option<Vec<u8>> {
        let (senders, chain) = (self.senders.as_ref()?, self.at(seq)?);
        let stored = Stored(ByteArray::new(chain.value().0), senders.store());
        Some(rmp_serde::to_vec(&stored).expect("ids and numbers can be expressed in MessagePack"))
    }

    /// The client begins from scratch, here. What it had seen before must come again, or be covered by the snapshot. Returns
    /// the position of the snapshot if that lacks some of it.
    pub(crate) fn restart(&mut self, seq: u64, start: Self) -> Option<u64> {
        let newest = self.newest_event.into_iter().chain(self.witnessed);
        let witnessed =
            newest.max_by_key(|(seq, _)| *seq).filter(|(witnessed, _)| *witnessed > seq);
        let (handled, senders) = (self.handled, self.senders.take().filter(|_| self.is_touched));
        let known = self.known.take().or_else(|| Some((handled, senders?)));
        let (known, covered) = match known {
            Some((handled, senders)) if handled <= seq => (None, Some(senders)),
            known => (known, None),
        };
        let is_lacking = covered.is_some_and(|before| start.lacks_some_of(&before));
        *self = Self { base: (seq, start.base.1), witnessed, known, handled: seq, ..start };
        is_lacking.then_some(seq)
    }

    /// The newest position that has arrived, and the chain there.
    pub(crate) fn newest(&self) -> (u64, Chain) {
        let (seq, chain) = self.base;
        let chain = self.values.back().copied().unwrap_or(chain);
        (seq + self.values.len() as u64, chain)
    }

    /// The chain at a position, if it is remembered.
    pub(crate) fn at(&self, seq: u64) -> Option<Chain> {
        match seq.checked_sub(self.base.0)? {
            0 => Some(self.base.1),
            later => self.values.get(usize::try_from(later - 1).ok()?).copied(),
        }
    }

    /// The next ordered message has arrived, after which the chain is `chain`. False if it stands in the place of an event
    /// that this client has seen, and is another.
    pub(crate) fn push(&mut self, chain: Chain, is_event: bool) -> bool {
        self.values.push_back(chain);
        let newest = self.newest();
        if is_event {
            self.newest_event = Some(newest);
            self.is_touched = true;
        }
        let again = self.witnessed.take_if(|(witnessed, _)| *witnessed == newest.0);
        again.is_none_or(|witnessed| witnessed == newest)
    }

    /// The log that the reflector has ends here. Returns the newest event that was there before and is gone.
    pub(crate) fn take_lost(&mut self, until: u64) -> Option<u64> {
        let (lost, _) = self.witnessed.take_if(|(witnessed, _)| *witnessed > until)?;
        // The rest is lost with it, and needs no further alarm.
        self.known = None;
        Some(lost)
    }

    /// The model has handled everything up to here. Returns true if the client knew more when it had come as far before.
    pub(crate) fn set_handled(&mut self, handled: u64) -> bool {
        self.handled = handled;
        while self.base.0 + REMEMBERED_POSITIONS < handled {
            let Some(chain) = self.values.pop_front() else { break };
            self.base = (self.base.0 + 1, chain);
        }
        let known = self.known.take_if(|(known, _)| *known <= handled);
        let known = known.map(|(_, senders)| senders);
        known.is_some_and(|before| self.lacks_some_of(&before))
    }

    fn lacks_some_of(&self, before: &Senders) -> bool {
        self.senders.as_ref().is_some_and(|now| now.lack_some_of(before))
    }

    /// What this client says with an event that it sends now, over its `attempt`th connection. `previous` is the counter of
    /// its event before, if a reflector has said so. `None` without a password.
    pub(crate) fn claim(&self, own: ViewId, attempt: u64, previous: Option<u64>) -> Option<Claim> {
        let known = || self.senders.as_ref()?.present(own)?.counter;
        self.senders.is_some().then(|| {
            let previous = previous.or_else(known).unwrap_or(0);
            Claim::new(self.newest(), previous, attempt)
        })
    }

    /// The number of the connection with which a participant joined that is there. `None` without a password.
    pub(crate) fn attempt_of(&self, view: ViewId) -> Option<u64> {
        self.senders.as_ref()?.present(view).map(|record| record.attempt)
    }

    /// The event at this position comes to the model. Returns its content, unless the models must ignore it, and what is
    /// wrong with its place.
    pub(crate) fn place<'a>(
        &mut self,
        seq: u64,
        sent: (ViewId, u64),
        opened: Result<&'a [u8], BrokenSealError>,
    ) -> (Option<Content<'a>>, Option<AlarmKind>) {
        let Ok(plain) = opened else { return (None, Some(AlarmKind::Invented)) };
        let content = content_of(plain, self.senders.is_some());
        let claim = content.and_then(|content| content.claim);
        match self.check(seq, sent, claim) {
            Some(alarm @ (AlarmKind::Repeated | AlarmKind::Invented)) => (None, Some(alarm)),
            alarm => (content, alarm),
        }
    }

    /// The event at this position comes to the model, and its seal is whole. Returns what is wrong with its place.
    fn check(
        &mut self,
        seq: u64,
        (sender, counter): (ViewId, u64),
        claim: Option<Claim>,
    ) -> Option<AlarmKind> {
        let own = claim.and_then(|claim| self.at(claim.seq));
        let senders = self.senders.as_mut()?;
        let Some(Record { attempt, counter: known }) = senders.present(sender) else {
            return Some(AlarmKind::Invented);
        };
        // One that was sent before the participant joined is an old one, also if its counter was forgotten.
        let is_old = claim.is_some_and(|claim| claim.attempt < attempt);
        if is_old || known.is_some_and(|known| counter <= known) {
            return Some(AlarmKind::Repeated);
        }
        senders.accept(sender, counter);
        let claim = claim?;
        if claim.seq >= seq {
            Some(AlarmKind::Reordered)
        } else if own.is_some_and(|own| !claim.agrees_with(own)) {
            Some(AlarmKind::Forked)
        } else if known.is_some_and(|known| known != claim.previous) {
            Some(AlarmKind::Dropped)
        } else {
            None
        }
    }

    /// Participants exit and join, in that order. The attempts are those that the joins have sealed. Returns the
    /// participants whose joins were invented.
    pub(crate) fn change_views(
        &mut self,
        exited: impl Iterator<Item = ViewId>,
        joined: impl Iterator<Item = (ViewId, Option<u64>)>,
    ) -> Vec<ViewId> {
        let Some(senders) = &mut self.senders else { return Vec::new() };
        exited.for_each(|view| senders.exit(view));
        let invented = joined.filter(|(view, attempt)| !senders.join(*view, *attempt));
        invented.map(|(view, _)| view).collect()
    }
}

#[cfg(test)]
mod tests {
    use teatime_base::SessionId;

    use super::*;

    const ALICE: ViewId = ViewId([1; 16]);

    fn start() -> Chain {
        Chain::start(SessionId([1; 32]), None)
    }

    /// The chain after messages with these contents.
    fn after(messages: &[u8]) -> Chain {
        messages.iter().fold(start(), |chain, message| chain.next(&[*message]))
    }

    /// A client that has these messages, all of which are events.
    fn with(messages: &[u8]) -> Transcript {
        let mut transcript = Transcript::new(start(), true);
        let mut chain = start();
        for message in messages {
            chain = chain.next(&[*message]);
            assert!(transcript.push(chain, true));
        }
        transcript.change_views([].into_iter(), [(ALICE, Some(1))].into_iter());
        transcript
    }

    #[test]
    fn an_event_stands_where_its_sender_says() {
        let claim = |seq, messages: &[u8], previous, attempt| {
            Some(Claim::new((seq, after(messages)), previous, attempt))
        };
        let right = |seq, previous| claim(seq, &[7, 8, 9][..seq as usize], previous, 1);
        let mut client = with(&[7, 8, 9]);
        assert_eq!(client.check(2, (ALICE, 1), right(1, 0)), None);
        assert_eq!(client.check(3, (ALICE, 1), right(1, 0)), Some(AlarmKind::Repeated));
        assert_eq!(client.check(3, (ALICE, 3), right(2, 2)), Some(AlarmKind::Dropped));
        assert_eq!(client.check(3, (ALICE, 4), right(3, 3)), Some(AlarmKind::Reordered));
        let other = claim(2, &[7, 9], 4, 1);
        assert_eq!(client.check(3, (ALICE, 5), other), Some(AlarmKind::Forked));
        assert_eq!(client.check(3, (ALICE, 9), right(2, 5)), None, "it has given up some");
        client.change_views([ALICE].into_iter(), [].into_iter());
        assert_eq!(client.check(3, (ALICE, 10), right(2, 9)), Some(AlarmKind::Invented));
        client.change_views([].into_iter(), [(ALICE, Some(3))].into_iter());
        let before = claim(2, &[7, 8], 9, 2);
        assert_eq!(client.check(3, (ALICE, 10), before), Some(AlarmKind::Repeated));
        let now = claim(2, &[7, 8], 9, 4);
        assert_eq!(client.check(3, (ALICE, 10), now), None, "it has connected again since");
    }

    #[test]
    fn the_chain_is_remembered_for_a_while_and_travels_with_snapshots() {
        let messages: Vec<u8> =
            (0..u8::MAX).cycle().take(REMEMBERED_POSITIONS as usize + 9).collect();
        let mut client = with(&messages);
        let newest = messages.len() as u64;
        assert!(!client.set_handled(newest));
        assert_eq!((client.at(8), client.at(9).is_some()), (None, true));
        assert_eq!(client.newest(), (newest, after(&messages)));
        client.check(newest, (ALICE, 6), None);
        let stored = client.store(newest).expect("there is a password");
        let mut late = Transcript::read(newest, &stored).expect("it is ours");
        assert_eq!((late.newest(), late.store(newest)), (client.newest(), Some(stored)));
        assert_eq!(late.check(newest + 1, (ALICE, 6), None), Some(AlarmKind::Repeated));
        assert!(Transcript::read(1, b"junk").is_none());
    }

    #[test]
    fn what_was_seen_must_come_again_or_is_missed() {
        let fresh = || Transcript::new(start(), true);
        let mut client = with(&[7, 8]);
        client.restart(0, fresh());
        assert_eq!(client.take_lost(2), None);
        assert!(client.push(after(&[7]), true));
        client.restart(0, fresh());
        assert_eq!(client.take_lost(1), Some(2), "it had seen more before");
        let mut client = with(&[7, 8]);
        client.restart(0, fresh());
        assert!(client.push(after(&[7]), true) && client.push(after(&[7, 8]), true));
        client.restart(0, fresh());
        assert_eq!((client.take_lost(1), client.take_lost(1)), (Some(2), None));
        let mut client = with(&[7, 8]);
        client.restart(0, fresh());
        assert!(client.push(after(&[7]), true) && !client.push(after(&[7, 9]), true));
        // A snapshot covers it. It must know at least the participants and counters.
        let mut client = with(&[7, 8]);
        assert_eq!(client.restart(5, with(&[7, 8])), None);
        assert_eq!(client.take_lost(0), None);
        client.check(6, (ALICE, 3), None);
        assert!(!client.set_handled(6));
        assert_eq!(client.restart(5, with(&[7, 8])), None, "the rest may follow");
        client.check(6, (ALICE, 3), None);
        assert!(!client.set_handled(6));
        assert_eq!(client.restart(7, with(&[7, 8])), Some(7), "an event is not in it");
    }

    #[test]
    fn a_client_that_begins_twice_still_misses_what_it_knew() {
        let fresh = || Transcript::new(start(), true);
        let known = || {
            let mut client = with(&[7, 8]);
            client.check(2, (ALICE, 6), None);
            assert!(!client.set_handled(2));
            assert_eq!(client.restart(0, fresh()), None, "all of it may follow");
            client
        };
        // Nothing of it, and then a snapshot behind it.
        assert_eq!(known().restart(5, with(&[7, 8])), Some(5), "an event is not in it");
        // Another log that comes as far.
        let mut client = known();
        client.change_views([].into_iter(), [(ALICE, Some(1))].into_iter());
        assert!(!client.set_handled(1) && client.set_handled(2) && !client.set_handled(2));
        // The same log.
        let mut client = known();
        client.change_views([].into_iter(), [(ALICE, Some(1))].into_iter());
        client.check(2, (ALICE, 6), None);
        assert!(!client.set_handled(2));
        // An alarm has been raised.
        let mut client = known();
        assert_eq!(client.take_lost(1), Some(2));
        assert_eq!(client.restart(5, with(&[7, 8])), None);
    }

    #[test]
    fn an_untouched_session_that_begins_again_has_lost_nothing() {
        let fresh = || Transcript::new(start(), true);
        let mut client = fresh();
        client.change_views([].into_iter(), [(ALICE, Some(1))].into_iter());
        assert!(client.push(after(&[7]), false));
        assert_eq!(client.restart(3, fresh()), None, "no event was there");
        let mut client = fresh();
        client.change_views([].into_iter(), [(ALICE, Some(1))].into_iter());
        assert!(client.push(after(&[7]), true));
        assert_eq!(client.restart(3, fresh()), Some(3));
    }
}
