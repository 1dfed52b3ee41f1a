//! The file `FORMAT`, which describes a store.

use std::fmt::{self, Display};

use crate::Error;
use crate::log::checksum::{Salt, Take, short};

/// The format that this library reads and writes.
pub(crate) const VERSION: u32 = 4;

/// Its name.
pub(crate) const FILE: &str = "FORMAT";

/// A random id, different for every store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreId(pub(crate) [u8; 16]);

impl StoreId {
    pub(crate) fn salt(self) -> Salt {
        Take::new(&self.0).u64().unwrap_or(0)
    }
}

impl Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The content of the file.
pub(crate) fn encode(store: StoreId) -> String {
    let covered = format!("teatime-store {VERSION}\nid {store}\n");
    format!("{covered}checksum {:016x}\n", short(0, covered.as_bytes()))
}

/// The store that this file describes. Every format, newer ones too, has the same first and last line.
pub(crate) fn decode(bytes: &[u8]) -> Result<StoreId, Error> {
    let text = str::from_utf8(bytes).ok();
    let (version, store) = text
        .and_then(parse)
        .ok_or_else(|| Error::corrupt(FILE, 0, "the description of the store is damaged"))?;
    if version != VERSION {
        return Err(Error::OtherFormat { found: version, known: VERSION });
    }
    store.ok_or_else(|| Error::corrupt(FILE, 0, "the description of the store has no id"))
}

fn parse(text: &str) -> Option<(u32, Option<StoreId>)> {
    let at = text.rfind("checksum ")?;
    let (covered, sum) = text.split_at(at);
    if sum != format!("checksum {:016x}\n", short(0, covered.as_bytes())) {
        return None;
    }
    let mut lines = covered.lines();
    let version = lines.next()?.strip_prefix("teatime-store ")?.parse().ok()?;
    let id = lines.next().and_then(|line| line.strip_prefix("id "));
    let id = id.and_then(|id| u128::from_str_radix(id, 16).ok());
    Some((version, id.map(|id| StoreId(id.to_be_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_format_is_not_mistaken_for_damage() {
        let store = StoreId([0xa5; 16]);
        let right = encode(store);
        assert_eq!(decode(right.as_bytes()).expect("it is valid"), store);
        for bit in 0..right.len() * 8 {
            let mut wrong = right.clone().into_bytes();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(&wrong), Err(Error::Corrupt { .. })), "bit {bit}");
        }
        for length in 0..right.len() {
            assert!(decode(&right.as_bytes()[..length]).is_err(), "{length} bytes");
        }
        for other in [3, 5] {
            let text = format!("teatime-store {other}\nsomething else\n");
            let text = format!("{text}checksum {:016x}\n", short(0, text.as_bytes()));
            let refused = decode(text.as_bytes());
            let Err(Error::OtherFormat { found, known: VERSION }) = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(found, other);
        }
    }
}
