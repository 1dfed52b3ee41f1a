//! The table of models.

use crate::id::ModelId;
use crate::model::Object;
use crate::topics::TopicId;
use crate::wheel::OwnFutures;

const PAGE: usize = 64;

/// The models of a session by their id, in pages. A page is freed with its last model: ids are never
/// reused, so a plain table would grow for ever.
#[derive(Default)]
pub(crate) struct Arena {
    pages: Vec<Option<Box<Page>>>,
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

fn place(id: ModelId) -> (usize, usize) {
    let id = usize::try_from(id.0).unwrap_or(usize::MAX);
    (id / PAGE, id % PAGE)
}

impl Arena {
    pub(crate) fn get(&self, id: ModelId) -> Option<&Slot> {
        let (page, slot) = place(id);
        self.pages.get(page)?.as_ref()?.slots[slot].as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: ModelId) -> Option<&mut Slot> {
        let (page, slot) = place(id);
        self.pages.get_mut(page)?.as_mut()?.slots[slot].as_mut()
    }

    /// Adds an empty slot. Its id must be the highest so far.
    pub(crate) fn insert(&mut self, id: ModelId, definition: u16) {
        let (page, slot) = place(id);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let empty = || Box::new(Page { slots: [const { None }; PAGE], used: 0 });
        let page = self.pages[page].get_or_insert_with(empty);
        page.used += 1;
        page.slots[slot] =
            Some(Slot { object: None, definition, futures: OwnFutures::NONE, topics: Vec::new() });
    }

    pub(crate) fn remove(&mut self, id: ModelId) -> Option<Slot> {
        let (at, slot) = place(id);
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
        self.pages.iter().enumerate().flat_map(|(page, slots)| {
            let slots = slots.iter().flat_map(|page| page.slots.iter().enumerate());
            slots.filter_map(move |(slot, model)| {
                Some((ModelId((page * PAGE + slot) as u64), model.as_ref()?))
            })
        })
    }
}
