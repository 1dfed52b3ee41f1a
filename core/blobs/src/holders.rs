//! Holders: what may refer to the blobs of a room. These are its sessions, and its persisted data.

use teatime_wire::{Digest, Holding};

/// First bytes of a file about a holder.
const MAGIC: [u8; 8] = *b"TEAHOLD1";

/// Cost of a root in a list, in memory and in its file, in bytes.
const PER_ROOT: u64 = 64;

/// What a vault knows of a session in a room, or of the data that is persisted there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Holder {
    /// The blobs to which its newest snapshot refers, in ascending order.
    roots: Vec<Digest>,
    /// When that snapshot was made. 0 without a snapshot, and [`ALWAYS`] if the list is right at any time.
    heard: u64,
    /// Since when the session has no participant, so that nothing can happen in it.
    at_rest: Option<u64>,
    /// Whether its file is up to date.
    pub(crate) is_saved: bool,
}

/// Later than any time.
const ALWAYS: u64 = u64::MAX;

impl Holder {
    /// An unknown session: it may refer to any blob that exists now.
    pub(crate) fn unclear(now: u64) -> Self {
        Self { at_rest: Some(now), ..Self::default() }
    }

    /// Takes in news, with room for a list of this many bytes. Returns the roots to which it referred before and
    /// no longer does.
    pub(crate) fn hear(&mut self, now: u64, holding: Holding, room: u64) -> Vec<Digest> {
        self.is_saved = false;
        let (roots, heard) = match holding {
            Holding::Awake(mut roots) => {
                self.at_rest = None;
                roots.extend_from_slice(&self.roots);
                (roots, self.heard)
            }
            Holding::AtRest => {
                self.at_rest = Some(now);
                return Vec::new();
            }
            Holding::Snapshot(roots, age) => (roots, now.saturating_sub(age)),
            Holding::Exactly(roots) => (roots, ALWAYS),
            Holding::Gone => (Vec::new(), 0),
        };
        let before = std::mem::replace(&mut self.roots, roots);
        self.heard = heard;
        self.roots.sort_unstable();
        self.roots.dedup();
        if self.bytes() > room {
            // As if the news had not come: all blobs then count as needed.
            (self.roots, self.heard) = (Vec::new(), 0);
        }
        before.into_iter().filter(|root| !self.names(root)).collect()
    }

    pub(crate) fn names(&self, root: &Digest) -> bool {
        self.roots.binary_search(root).is_ok()
    }

    /// What its list counts as, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.roots.len() as u64 * PER_ROOT
    }

    /// Whether it cannot refer to a blob that was stored at `born` and last used at `used`: its snapshot of a
    /// whole grace later does not refer to it, or it had no participant since before the blob was stored.
    pub(crate) fn lets_go(&self, root: &Digest, born: u64, used: u64, grace: u64) -> bool {
        let is_heard = self.heard > 0 && self.heard >= used.saturating_add(grace);
        !self.names(root) && (is_heard || self.at_rest.is_some_and(|since| since < born))
    }

    /// Whether the session has a participant.
    pub(crate) fn is_awake(&self) -> bool {
        self.at_rest.is_none() && self.heard != ALWAYS
    }

    /// Whether it can be forgotten: it refers to no blob, and never will.
    pub(crate) fn is_nothing(&self) -> bool {
        self.roots.is_empty() && self.heard == ALWAYS
    }

    /// The content of its file: two times, the roots, and a hash. The hash is needed because, unlike a chunk,
    /// the file is not named by its hash.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let numbers = [self.heard, self.at_rest.unwrap_or(ALWAYS)];
        let numbers = numbers.into_iter().flat_map(u64::to_be_bytes);
        let roots = self.roots.iter().flat_map(|root| root.0);
        with_hash(MAGIC.into_iter().chain(numbers).chain(roots).collect())
    }

    /// Reads the content of a file. `None` if it is damaged. A session has no participant when the server
    /// starts.
    pub(crate) fn decode(bytes: &[u8], now: u64) -> Option<Self> {
        let rest = without_hash(bytes)?.strip_prefix(&MAGIC)?;
        let (heard, rest) = rest.split_first_chunk()?;
        let (at_rest, rest) = rest.split_first_chunk()?;
        let (roots, rest) = rest.as_chunks::<32>();
        // A time in the future says that the clock was wrong, so the time is unknown.
        let heard = Some(u64::from_be_bytes(*heard)).filter(|at| *at <= now || *at == ALWAYS);
        let at_rest = u64::from_be_bytes(*at_rest).min(now);
        rest.is_empty().then(|| Self {
            roots: roots.iter().map(|root| Digest(*root)).collect(),
            heard: heard.unwrap_or(0),
            at_rest: Some(at_rest),
            is_saved: true,
        })
    }
}

/// When a piece was stored, and when it was last used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) id: Digest,
    pub(crate) born: u64,
    pub(crate) used: u64,
}

pub(crate) fn write_times(times: impl Iterator<Item = Times>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Times { id, born, used } in times {
        bytes.extend_from_slice(&id.0);
        bytes.extend_from_slice(&born.to_be_bytes());
        bytes.extend_from_slice(&used.to_be_bytes());
    }
    with_hash(bytes)
}

/// Reads times of use. `None` if they are damaged.
pub(crate) fn read_times(bytes: &[u8]) -> Option<impl Iterator<Item = Times>> {
    let (entries, rest) = without_hash(bytes)?.as_chunks::<48>();
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_be_bytes);
    let entry = move |entry: &[u8; 48]| {
        let (id, times) = entry.split_first_chunk::<32>()?;
        Some(Times { id: Digest(*id), born: number(&times[..8]), used: number(&times[8..]) })
    };
    rest.is_empty().then(|| entries.iter().filter_map(entry))
}

fn with_hash(mut bytes: Vec<u8>) -> Vec<u8> {
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

fn without_hash(bytes: &[u8]) -> Option<&[u8]> {
    let (content, hash) = bytes.split_last_chunk::<32>()?;
    (blake3::hash(content).as_bytes() == hash).then_some(content)
}
