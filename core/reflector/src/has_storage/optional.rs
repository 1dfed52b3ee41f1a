//! For reflectors that may have a storage.

#[derive(Debug)]
pub(crate) struct HasStorage(bool);

impl HasStorage {
    pub(crate) fn new(has_storage: bool) -> Self {
        Self(has_storage)
    }

    #[inline]
    pub(crate) fn get(&self) -> bool {
        self.0
    }
}
