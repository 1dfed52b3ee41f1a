//! The chain of a session: one hash for all of its ordered messages up to a position.

use crate::{Digest, SessionId};

/// What a chain begins with is derived with this context.
const CONTEXT: &str = "teatime v1 chain";

/// The value of the chain at one position: equal for two parties only if both have the same ordered messages up to there,
/// byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain(Digest);

impl Chain {
    /// The value before the first message of a session. `begun_with` is the hash of the persisted data that the session
    /// begins with, or of the state of another session.
    pub fn start(session: SessionId, begun_with: Option<Digest>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(&session.0);
        if let Some(Digest(hash)) = begun_with {
            hasher.update(&hash);
        }
        Self(Digest(*hasher.finalize().as_bytes()))
    }

    /// The value after a snapshot, as it travels with the snapshot.
    pub fn at(value: Digest) -> Self {
        Self(value)
    }

    /// The value after the next ordered message, whose frame this is.
    #[must_use]
    pub fn next(self, frame: &[u8]) -> Self {
        Self(Digest(*blake3::keyed_hash(&self.0.0, frame).as_bytes()))
    }

    /// The value.
    pub fn value(self) -> Digest {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_for_the_session_what_it_began_with_and_every_message_in_its_order() {
        let start = |id, begun_with| Chain::start(SessionId([id; 32]), begun_with);
        let own = start(1, None);
        let others = [
            start(2, None),
            start(1, Some(Digest([0; 32]))),
            own.next(b"a"),
            own.next(b"b"),
            own.next(b"ab"),
            own.next(b"a").next(b"b"),
            own.next(b"b").next(b"a"),
            own.next(b"a").next(b"b").next(b""),
        ];
        for (at, one) in others.iter().enumerate() {
            assert_ne!(*one, own);
            assert!(others[..at].iter().all(|other| other != one), "{at}");
        }
        assert_eq!(Chain::at(own.value()).next(b"a"), others[2]);
    }
}
