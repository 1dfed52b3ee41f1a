//! For reflectors that never have a storage.

#[derive(Debug)]
pub(crate) struct HasStorage;

impl HasStorage {
    pub(crate) fn new(_: bool) -> Self {
        Self
    }

    #[inline]
    pub(crate) fn get(&self) -> bool {
        false
    }
}
