//! Files that are written in one go: a mark, a format, the content, and a checksum.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::RecordingError;
use crate::encode;
use crate::limits::MAX_DEPTH;

/// The first bytes of a file, which say what kind of file it is.
pub type Mark = [u8; 8];

/// Changes with the content of files that [`to_file`] writes.
const FORMAT: u8 = 1;

/// Bytes of a file besides its content.
const AROUND: usize = size_of::<Mark>() + 1 + blake3::OUT_LEN;

/// The bytes of a file of this kind with this content.
pub fn to_file(mark: &Mark, content: &impl Serialize) -> Vec<u8> {
    let mut file = mark.to_vec();
    file.push(FORMAT);
    encode::append(&mut file, content).expect("the content of these files can be encoded");
    let sum = blake3::hash(&file);
    file.extend(sum.as_bytes());
    file
}

/// Reads the content of a file that [`to_file`] has written. The bytes may come from anywhere.
///
/// # Errors
/// [`RecordingError::Unknown`], [`RecordingError::Format`], [`RecordingError::Damaged`],
/// [`RecordingError::Content`].
pub fn of_file<T: DeserializeOwned>(mark: &Mark, file: &[u8]) -> Result<T, RecordingError> {
    check_mark(mark, file)?;
    if file.len() < AROUND {
        return Err(RecordingError::Damaged);
    }
    let (content, sum) = file.split_at(file.len() - blake3::OUT_LEN);
    if blake3::hash(content).as_bytes() != sum {
        return Err(RecordingError::Damaged);
    }
    match content[mark.len()] {
        FORMAT => read(&content[mark.len() + 1..]),
        found => Err(RecordingError::Format { found, known: FORMAT }),
    }
}

/// Checks that a file is of this kind, as far as its length allows to say.
pub(super) fn check_mark(mark: &Mark, file: &[u8]) -> Result<(), RecordingError> {
    if file.starts_with(mark) {
        return Ok(());
    }
    let is_cut = !file.is_empty() && mark.starts_with(file);
    Err(if is_cut { RecordingError::Damaged } else { RecordingError::Unknown })
}

/// Reads content that is one value of MessagePack.
pub(super) fn read<T: DeserializeOwned>(content: &[u8]) -> Result<T, RecordingError> {
    let mut rest = content;
    let mut reader = rmp_serde::Deserializer::new(&mut rest);
    reader.set_max_depth(MAX_DEPTH);
    let value =
        T::deserialize(&mut reader).map_err(|error| RecordingError::Content(error.to_string()))?;
    if !rest.is_empty() {
        return Err(RecordingError::Content("bytes follow it".into()));
    }
    Ok(value)
}
