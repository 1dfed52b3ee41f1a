//! The table of models.

use std::collections::BTreeMap;

use crate::id::ModelId;
use crate::model::Object;
use crate::topics::TopicId;
use crate::wheel::OwnFutures;

const PAGE: usize = 64;

/// A table that is made at once has at least one model for this many slots. So a forged snapshot costs no more memory than an
/// honest one of its size.
const SLOTS_PER_MODEL: usize = 8;

/// The models of a session by their id, in pages. A page is freed with its last model: ids are never
/// reused, so a plain table would grow for ever.
#[derive(Default)]
pub(crate) struct Arena {
    /// The pages from `base` on.
    pages: Vec<Option<Box<Page>>>,
    base: usize,
    /// The models before that: few, and far between.
    old: BTreeMap<u64, Slot>,
}

struct Page {
    slots: [Option<Slot>; PAGE],
    used: usize,
}

/// A model with what belongs to it.
pub(crate) struct Slot {
    /// `None` while one of its handlers runs.
    pub(crate) object: Option<Box<dyn Object>>,
    /// Index of its definition in the app.
    pub(crate) definition: u16,
    pub(crate) futures: OwnFutures,
    /// The topics that it has subscribed to. Some of these subscriptions may have ended.
    pub(crate) topics: Vec<TopicId>,
}

impl Slot {
    fn empty(definition: u16) -> Self {
        Self { object: None, definition, futures: OwnFutures::NONE, topics: Vec::new() }
    }
}

fn place(id: ModelId) -> (usize, usize) {
    let id = usize::try_from(id.0).unwrap_or(usize::MAX);
    (id / PAGE, id % PAGE)
}

/// The first page of the longest end of the ids that is dense enough for a table. The ids ascend.
fn first_dense_page(ids: impl DoubleEndedIterator<Item = ModelId>) -> usize {
    let mut ids = ids.rev().map(|id| place(id).0).enumerate().peekable();
    let Some(last) = ids.peek().map(|(_, page)| *page) else { return 0 };
    let is_dense =
        |&(models, page): &(usize, usize)| (last - page) * PAGE <= (models + 1) * SLOTS_PER_MODEL;
    ids.filter(is_dense).last().map_or(last, |(_, page)| page)
}

impl Arena {
    /// The models of a snapshot, with the index of their definition. The ids ascend.
    pub(crate) fn restore(models: Vec<(ModelId, u16, Box<dyn Object>)>) -> Self {
        let base = first_dense_page(models.iter().map(|(id, ..)| *id));
        let mut arena = Self { base, ..Self::default() };
        for (id, definition, object) in models {
            let slot = Slot { object: Some(object), ..Slot::empty(definition) };
            if place(id).0 < base {
                arena.old.insert(id.0, slot);
            } else {
                arena.insert_slot(id, slot);
            }
        }
        arena
    }

    pub(crate) fn get(&self, id: ModelId) -> Option<&Slot> {
        let (page, slot) = place(id);
        match page.checked_sub(self.base) {
            Some(page) => self.pages.get(page)?.as_ref()?.slots[slot].as_ref(),
            None => self.old.get(&id.0),
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: ModelId) -> Option<&mut Slot> {
        let (page, slot) = place(id);
        match page.checked_sub(self.base) {
            Some(page) => self.pages.get_mut(page)?.as_mut()?.slots[slot].as_mut(),
            None => self.old.get_mut(&id.0),
        }
    }

    /// Adds an empty slot. Its id must be the highest so far.
    pub(crate) fn insert(&mut self, id: ModelId, definition: u16) {
        self.insert_slot(id, Slot::empty(definition));
    }

    fn insert_slot(&mut self, id: ModelId, new: Slot) {
        let (page, slot) = place(id);
        let page = page - self.base;
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let empty = || Box::new(Page { slots: [const { None }; PAGE], used: 0 });
        let page = self.pages[page].get_or_insert_with(empty);
        page.used += 1;
        page.slots[slot] = Some(new);
    }

    pub(crate) fn remove(&mut self, id: ModelId) -> Option<Slot> {
        let (page, slot) = place(id);
        let Some(at) = page.checked_sub(self.base) else { return self.old.remove(&id.0) };
        let page = self.pages.get_mut(at)?.as_mut()?;
        let removed = page.slots[slot].take()?;
        page.used -= 1;
        if page.used == 0 {
            self.pages[at] = None;
        }
        Some(removed)
    }

    /// All models in the order of their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ModelId, &Slot)> {
        let old = self.old.iter().map(|(id, slot)| (ModelId(*id), slot));
        old.chain(self.pages.iter().enumerate().flat_map(|(page, slots)| {
            let page = self.base + page;
            let slots = slots.iter().flat_map(|page| page.slots.iter().enumerate());
            slots.filter_map(move |(slot, model)| {
                Some((ModelId((page * PAGE + slot) as u64), model.as_ref()?))
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(ids: impl IntoIterator<Item = u64>) -> usize {
        let ids: Vec<_> = ids.into_iter().map(ModelId).collect();
        first_dense_page(ids.into_iter())
    }

    #[test]
    fn the_table_has_the_dense_end_of_the_ids() {
        assert_eq!(first([]), 0);
        assert_eq!(first(1..=1000), 0);
        // Half of all models are gone.
        assert_eq!(first((1..=1000).step_by(2)), 0);
        assert_eq!(first([1, (1 << 32) - 2]), (1 << 26) - 1);
        // An old root, and a thousand new models.
        assert_eq!(first([1].into_iter().chain(1_000_000..1_001_000)), 15_625);
        // One model in each page is a tenth of what a table needs.
        assert_eq!(first((1..=1000).map(|at| at * 64)), 1000);
    }
}
