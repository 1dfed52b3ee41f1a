//! Random numbers that are equal on all participants.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::id::SessionId;

/// ChaCha (Bernstein) with eight rounds. Its key is derived from the session id by BLAKE3. Its position is part
/// of the state.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(session: &SessionId) -> Self {
        Self(ChaCha8Rng::from_seed(blake3::derive_key("teatime v1 random", &session.0)))
    }

    /// The stream of a session at this position, in words of 32 bits.
    pub(crate) fn at(session: &SessionId, position: u64) -> Self {
        let mut random = Self::new(session);
        random.0.set_word_pos(position.into());
        random
    }

    /// The position in words of 32 bits. 2⁶⁴ words last 10,000 years at 50 million words a second.
    pub(crate) fn position(&self) -> u64 {
        u64::try_from(self.0.get_word_pos()).unwrap_or(u64::MAX)
    }

    /// 64 bits.
    #[inline]
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in 0..1 with 53 bits: the upper bits of a draw, times 2⁻⁵³.
    pub(crate) fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A number below `limit`, uniformly distributed (Lemire, "Fast random integer generation in an
    /// interval", 2019). 0 for a limit of 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 {
            return 0;
        }
        // This many of the 2⁶⁴ draws would favour small results.
        let excess = limit.wrapping_neg() % limit;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(limit);
            if product as u64 >= excess {
                return (product >> 64) as u64;
            }
        }
    }
}
