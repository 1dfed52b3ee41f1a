//! Future messages in the order in which they are due: a hierarchical timing wheel.
//!
//! Eleven levels of 64 slots cover all 64-bit times (Varghese and Lauck, "Hashed and hierarchical timing
//! wheels"). Each level stands for one six-bit digit of a time. A message lies on the level of its highest
//! digit that differs from the wheel's own time.
//!
//! When the wheel's time enters a slot of a higher level, all messages of that slot move down in order. That
//! happens before a new message can go directly to the lower level. So messages of equal time leave in the
//! order in which they were inserted.

use crate::id::ModelId;
use crate::payload::Payload;

const LEVELS: usize = 11;
const SLOTS: usize = 64;
const NONE: u32 = u32::MAX;

/// A future message without its payload.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    /// The time at which it is due, in µs.
    pub(crate) time: u64,
    /// Number of this message among all messages of the session, in the order of scheduling.
    pub(crate) id: u64,
    pub(crate) model: ModelId,
    pub(crate) method: u16,
    /// The span after which it repeats, in µs. 0 if it does not repeat.
    pub(crate) every: u64,
    /// The id under which it was first scheduled. Cancelling names it.
    pub(crate) handle: u64,
}

/// A message in two doubly linked lists: one of its slot, one of its model. It fills one cache line, so that a turn
/// waits for memory as seldom as possible.
#[repr(align(64))]
struct Node {
    time: u64,
    id: u64,
    model: ModelId,
    every: u64,
    handle: u64,
    next: u32,
    previous: u32,
    model_next: u32,
    model_previous: u32,
    method: u16,
    place: u16,
    live: bool,
    /// Most messages have no payload: then nothing of the other table is read.
    has_payload: bool,
}

const _: () = assert!(size_of::<Node>() == 64);

const VACANT: Node = Node {
    time: 0,
    id: 0,
    model: ModelId(0),
    every: 0,
    handle: 0,
    next: NONE,
    previous: NONE,
    model_next: NONE,
    model_previous: NONE,
    method: 0,
    place: 0,
    live: false,
    has_payload: false,
};

impl Node {
    #[inline(always)]
    fn due(&self) -> Due {
        let Self { time, id, model, method, every, handle, .. } = *self;
        Due { time, id, model, method, every, handle }
    }
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List { first: NONE, last: NONE };

/// Head of the list of a model's messages. It is stored with the model.
#[derive(Clone, Copy)]
pub(crate) struct OwnFutures(u32);

impl OwnFutures {
    pub(crate) const NONE: Self = Self(NONE);
}

pub(crate) struct Wheel {
    nodes: Vec<Node>,
    /// The payload of each node, or the empty one.
    payloads: Vec<Payload>,
    free: Vec<u32>,
    lists: Box<[List; LEVELS * SLOTS]>,
    occupied: [u64; LEVELS],
    /// Not later than any message, nor than the session's time.
    time: u64,
    len: usize,
}

impl Wheel {
    pub(crate) fn new(time: u64) -> Self {
        let lists = Box::new([EMPTY; LEVELS * SLOTS]);
        let (nodes, payloads, free) = (Vec::new(), Vec::new(), Vec::new());
        Self { nodes, payloads, free, lists, occupied: [0; LEVELS], time, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a message that is due now or later. Returns its index, a hint for [`find`](Self::find). The index
    /// differs between participants.
    #[inline(always)]
    pub(crate) fn insert(&mut self, own: &mut OwnFutures, due: Due, payload: Payload) -> u32 {
        debug_assert!(due.time >= self.time, "a message for the past");
        let at = match self.free.pop() {
            Some(at) => at,
            None => self.add_node(),
        };
        let Due { time, id, model, method, every, handle } = due;
        let node = &mut self.nodes[at as usize];
        node.time = time;
        node.id = id;
        node.model = model;
        node.method = method;
        node.every = every;
        node.handle = handle;
        node.model_next = own.0;
        node.model_previous = NONE;
        node.live = true;
        node.has_payload = !payload.is_unit();
        if node.has_payload {
            self.payloads[at as usize] = payload;
        }
        if own.0 != NONE {
            self.nodes[own.0 as usize].model_previous = at;
        }
        own.0 = at;
        self.len += 1;
        self.link(at);
        at
    }

    #[cold]
    fn add_node(&mut self) -> u32 {
        let at = u32::try_from(self.nodes.len()).expect("memory ends before 2³² messages");
        self.nodes.push(VACANT);
        self.payloads.push(Payload::UNIT);
        at
    }

    /// The next message and its model, if the message is due by `until`. The caller must then remove it by
    /// [`take`](Self::take).
    #[inline(always)]
    pub(crate) fn pop(&mut self, until: u64) -> Option<(u32, ModelId)> {
        if self.occupied[0] == 0 && !self.fill_lowest(until) {
            return None;
        }
        let slot = self.occupied[0].trailing_zeros();
        let time = (self.time & !63) | u64::from(slot);
        if time > until {
            return None;
        }
        self.time = time;
        let at = self.lists[slot as usize].first;
        Some((at, self.nodes[at as usize].model))
    }

    /// Moves messages down until the lowest level has some. Returns false if none is due by `until`.
    fn fill_lowest(&mut self, until: u64) -> bool {
        while self.occupied[0] == 0 {
            let Some(level) = self.occupied.iter().position(|slots| *slots != 0) else {
                return false;
            };
            let slot = self.occupied[level].trailing_zeros() as usize;
            let shift = 6 * level as u32;
            let above = if level + 1 < LEVELS { u64::MAX << (shift + 6) } else { 0 };
            let start = (self.time & above) | ((slot as u64) << shift);
            if start > until {
                return false;
            }
            self.time = start;
            self.cascade(level * SLOTS + slot);
        }
        true
    }

    /// Removes a message.
    #[inline(always)]
    pub(crate) fn take(&mut self, own: &mut OwnFutures, at: u32) -> (Due, Payload) {
        self.unlink(at);
        let node = &mut self.nodes[at as usize];
        let (previous, next) = (node.model_previous, node.model_next);
        node.live = false;
        let due = node.due();
        let payload = match node.has_payload {
            false => Payload::UNIT,
            true => std::mem::replace(&mut self.payloads[at as usize], Payload::UNIT),
        };
        match previous {
            NONE => own.0 = next,
            previous => self.nodes[previous as usize].model_next = next,
        }
        if next != NONE {
            self.nodes[next as usize].model_previous = previous;
        }
        self.free.push(at);
        self.len -= 1;
        (due, payload)
    }

    /// The message of this model with this handle. `hint` is its index if this process has inserted it.
    /// Without a valid hint the list of the model is searched.
    pub(crate) fn find(
        &self,
        own: OwnFutures,
        model: ModelId,
        handle: u64,
        hint: u32,
    ) -> Option<u32> {
        let is_it = |at: u32| {
            let node = self.nodes.get(at as usize)?;
            (node.live && node.handle == handle && node.model == model).then_some(at)
        };
        is_it(hint).or_else(|| self.of_model(own).find(|at| is_it(*at).is_some()))
    }

    /// The messages of a model, in no particular order.
    pub(crate) fn of_model(&self, own: OwnFutures) -> impl Iterator<Item = u32> + '_ {
        let mut at = own.0;
        std::iter::from_fn(move || {
            let here = (at != NONE).then_some(at)?;
            at = self.nodes[here as usize].model_next;
            Some(here)
        })
    }

    /// The handler that a message calls.
    pub(crate) fn method(&self, at: u32) -> u16 {
        self.nodes[at as usize].method
    }

    /// All messages in the order in which they are due.
    pub(crate) fn in_order(&self) -> Vec<(Due, &Payload)> {
        let live = self.nodes.iter().zip(&self.payloads).filter(|(node, _)| node.live);
        let mut all: Vec<_> = live.map(|(node, payload)| (node.due(), payload)).collect();
        all.sort_unstable_by_key(|(due, _)| (due.time, due.id));
        all
    }

    fn cascade(&mut self, place: usize) {
        let mut at = self.lists[place].first;
        self.lists[place] = EMPTY;
        self.occupied[place / SLOTS] &= !(1 << (place % SLOTS));
        while at != NONE {
            let next = self.nodes[at as usize].next;
            self.link(at);
            at = next;
        }
    }

    /// Puts a message at the end of its slot.
    #[inline(always)]
    fn link(&mut self, at: u32) {
        let time = self.nodes[at as usize].time;
        let different = time ^ self.time;
        let level = (63 - (different | 63).leading_zeros()) as usize / 6;
        let slot = (time >> (6 * level)) as usize % SLOTS;
        let place = level * SLOTS + slot;
        let last = self.lists[place].last;
        let node = &mut self.nodes[at as usize];
        node.previous = last;
        node.next = NONE;
        node.place = place as u16;
        if last == NONE {
            self.lists[place].first = at;
            self.occupied[level] |= 1 << slot;
        } else {
            self.nodes[last as usize].next = at;
        }
        self.lists[place].last = at;
    }

    #[inline(always)]
    fn unlink(&mut self, at: u32) {
        let Node { previous, next, place, .. } = self.nodes[at as usize];
        let place = usize::from(place);
        match previous {
            NONE => self.lists[place].first = next,
            previous => self.nodes[previous as usize].next = next,
        }
        match next {
            NONE => self.lists[place].last = previous,
            next => self.nodes[next as usize].previous = previous,
        }
        if self.lists[place].first == NONE {
            self.occupied[place / SLOTS] &= !(1 << (place % SLOTS));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn due(time: u64, id: u64) -> Due {
        Due { time, id, model: ModelId(id % 3), method: 0, every: 0, handle: id }
    }

    proptest! {
        /// The reference is a plain sorted list.
        #[test]
        fn messages_leave_by_time_then_in_the_order_of_insertion(
            steps in proptest::collection::vec((0u8..4, 0u32..64, any::<u64>()), 1..200)
        ) {
            let mut wheel = Wheel::new(0);
            let mut own = [OwnFutures::NONE; 3];
            let mut reference: Vec<(u64, u64, u32)> = Vec::new();
            let mut now = 0u64;
            for (id, (kind, shift, random)) in steps.into_iter().enumerate() {
                let id = id as u64;
                let span = random >> shift;
                match kind {
                    0 | 1 => {
                        let time = now.saturating_add(span);
                        let at = wheel.insert(&mut own[id as usize % 3], due(time, id), Payload::UNIT);
                        reference.push((time, id, at));
                    }
                    2 if !reference.is_empty() => {
                        let (_, id, at) = reference.remove(random as usize % reference.len());
                        let list = &mut own[id as usize % 3];
                        prop_assert_eq!(wheel.find(*list, ModelId(id % 3), id, at), Some(at));
                        prop_assert_eq!(wheel.find(*list, ModelId(id % 3), id, NONE), Some(at));
                        prop_assert_eq!(wheel.take(list, at).0.id, id);
                        prop_assert_eq!(wheel.find(*list, ModelId(id % 3), id, at), None);
                    }
                    _ => {
                        let until = now.saturating_add(span);
                        reference.sort();
                        while let Some((at, model)) = wheel.pop(until) {
                            let (left, _) = wheel.take(&mut own[model.0 as usize], at);
                            let (time, id, _) = reference.remove(0);
                            prop_assert_eq!((left.time, left.id), (time, id));
                            prop_assert!(time <= until);
                        }
                        prop_assert!(reference.first().is_none_or(|first| first.0 > until));
                        now = until;
                    }
                }
                prop_assert_eq!(wheel.len(), reference.len());
            }
        }
    }
}
