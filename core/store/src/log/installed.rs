//! The entry of a checkpoint: which file it has, and what becomes of the history that it has replaced.

use crate::log::checkpoint::CheckpointFile;
use crate::log::checksum::Take;
use crate::log::entry::Entry;

/// The number of a file that stands for none: entries are numbered from 1.
const NO_FILE: u64 = 0;

/// What stands for the history that is not retained, or not for a limited time.
const NONE: u64 = u64::MAX;

/// What the entry of a checkpoint says. The newest entry of a session counts: a later one for the same file changes what
/// becomes of the history, and one for an older file goes back to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    /// `None` if the session has gone back to its beginning.
    file: Option<CheckpointFile>,
    /// The history back to this file is retained, or to the beginning with [`NO_FILE`].
    previous: Option<u64>,
    /// For how many seconds more the history is retained, once a client has loaded the checkpoint.
    left: Option<u64>,
}

impl Installed {
    /// A checkpoint that retains the history back to the file with this index.
    pub(crate) fn new(file: CheckpointFile, previous: Option<u64>) -> Self {
        Self { file: Some(file), previous, left: None }
    }

    /// A checkpoint without history; without a file the beginning of the session.
    pub(crate) fn alone(file: Option<CheckpointFile>) -> Self {
        Self { file, previous: None, left: None }
    }

    /// The same checkpoint, whose history is retained for this many seconds.
    pub(crate) fn proven(&self, seconds: u64) -> Self {
        match seconds {
            0 => Self::alone(self.file.clone()),
            _ => Self { left: Some(seconds), ..self.clone() },
        }
    }

    pub(crate) fn file(&self) -> Option<&CheckpointFile> {
        self.file.as_ref()
    }

    pub(crate) fn into_file(self) -> Option<CheckpointFile> {
        self.file
    }

    /// The index of the file to which the history goes back, 0 for the beginning.
    pub(crate) fn previous(&self) -> Option<u64> {
        self.previous
    }

    /// For how many seconds more the history is retained. `None` while no client has loaded the checkpoint.
    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }

    /// Whether the history goes back to this file.
    pub(crate) fn goes_back_to(&self, file: &CheckpointFile) -> bool {
        self.previous == Some(file.index())
    }

    /// Whether the checkpoint stands for a record.
    pub(crate) fn covers(&self, seq: u64, index: u64) -> bool {
        self.file.as_ref().is_some_and(|file| file.covers(seq, index))
    }

    /// The content of its entry.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let index = self.file.as_ref().map_or(NO_FILE, CheckpointFile::index);
        let numbers = [index, self.previous.unwrap_or(NONE), self.left.unwrap_or(NONE)];
        let mut out: Vec<_> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        if let Some(file) = &self.file {
            out.extend_from_slice(&file.encode());
        }
        out
    }

    pub(crate) fn decode(entry: &Entry<'_>) -> Option<Self> {
        let mut take = Take::new(entry.bytes);
        let (index, previous, left) = (take.u64()?, take.u64()?, take.u64()?);
        let file = match index {
            NO_FILE => None,
            _ => Some(CheckpointFile::decode(index, entry.seq, &mut take)?),
        };
        let some = |number| (number != NONE).then_some(number);
        Some(Self { file, previous: some(previous), left: some(left) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::entry::What;

    #[test]
    fn what_an_entry_says_is_read_back() {
        let file = CheckpointFile::new(7, 30, b"bytes");
        let beginning = Installed::alone(None);
        let unproven = Installed::new(file.clone(), Some(5));
        assert_eq!(unproven.proven(0), Installed::alone(Some(file.clone())));
        let all = [unproven.proven(90), Installed::new(file, Some(NO_FILE)), unproven, beginning];
        for installed in all {
            let seq = installed.file().map_or(0, CheckpointFile::seq);
            let bytes = installed.encode();
            let entry = Entry { bytes: &bytes, ..Entry::bare(What::Checkpoint, 1, 9, seq) };
            assert_eq!(Installed::decode(&entry), Some(installed.clone()));
            let cut = Entry { bytes: &bytes[..bytes.len() - 1], ..entry };
            assert_eq!(Installed::decode(&cut), None);
        }
    }
}
