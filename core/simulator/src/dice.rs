//! Random numbers that follow from a seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The kind of dice for what participants bring along.
pub(crate) const BRINGS: u64 = 1;

/// The kind of dice for what users do.
pub(crate) const ACTS: u64 = 2;

/// The kind of dice for what attackers do.
pub(crate) const ATTACKS: u64 = 3;

/// Random numbers that follow from a seed.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The numbers of one occurrence of a run, independent of all other occurrences.
    pub(crate) fn of(seed: u64, kind: u64, number: u64) -> Self {
        let mut key = [0; 32];
        for (at, part) in [seed, kind, number].into_iter().enumerate() {
            key[8 * at..8 * at + 8].copy_from_slice(&part.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Random bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `limit`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit.max(1)
    }

    /// True with a probability of 1 in `one_in`.
    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    /// One of the elements.
    ///
    /// # Panics
    /// If `from` is empty.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.below(from.len() as u64);
        from.get(usize::try_from(at).unwrap_or(0)).expect("`from` is not empty")
    }
}
