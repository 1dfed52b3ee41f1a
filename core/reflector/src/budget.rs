//! What the sessions of a server take in memory together, and which addresses have caused it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Config;
use crate::shares::Shares;

/// A network address as limits see it. The driver chooses the number: equal ones share limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressId(pub u128);

/// What a limit is exceeded by, as a part of the limit, before clients are disconnected rather than asked to pause.
const TOLERANCE: u64 = 8;

/// The memory that all sessions of a server take, in bytes, and what each address has stored. Clones share it: the
/// reflectors of all threads have one.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    memory: Arc<Mutex<Used>>,
    shares: Shares,
}

/// What all accounts take together.
#[derive(Debug, Default)]
pub(crate) struct Used {
    all: u64,
    by_address: HashMap<AddressId, u64>,
}

/// How much the memory of sessions may still grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Headroom {
    /// In bytes.
    pub(crate) bytes: u64,
    /// So much more than the limit is used that asking to pause is not enough.
    pub(crate) is_exceeded: bool,
}

impl Headroom {
    /// Without a limit.
    pub(crate) const ENDLESS: Self = Self { bytes: u64::MAX, is_exceeded: false };

    fn left(limit: u64, used: u64) -> Self {
        let tolerated = limit.saturating_add(limit / TOLERANCE);
        Self { bytes: limit.saturating_sub(used), is_exceeded: used > tolerated }
    }

    /// How much an address may still store.
    pub(crate) fn of_storage(config: &Config, shares: &Shares, address: AddressId) -> Self {
        Self::left(config.max_stored_bytes_per_address, shares.used(address))
    }

    pub(crate) fn and(self, other: Self) -> Self {
        let is_exceeded = self.is_exceeded || other.is_exceeded;
        Self { bytes: self.bytes.min(other.bytes), is_exceeded }
    }
}

/// What one session takes, and what each address has caused of it.
#[derive(Debug, Default)]
pub(crate) struct Account {
    memory: u64,
    by_address: BTreeMap<AddressId, u64>,
}

impl Account {
    /// The memory that is counted, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }

    /// Which addresses have caused how much of it.
    pub(crate) fn causes(&self) -> impl Iterator<Item = (&AddressId, &u64)> {
        self.by_address.iter()
    }

    /// Whether no address has caused anything of it.
    pub(crate) fn is_free(&self) -> bool {
        self.by_address.is_empty()
    }
}

impl Budget {
    /// With what addresses have stored before.
    pub fn new(shares: Shares) -> Self {
        Self { memory: Arc::default(), shares }
    }

    /// What each address has stored.
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// How much sessions may still grow because of what this address sends.
    pub(crate) fn headroom(&self, config: &Config, address: Option<AddressId>) -> Headroom {
        let used = self.used();
        let all = Headroom::left(config.max_session_bytes, used.all);
        let Some(address) = address else { return all };
        all.and(Headroom::left(config.max_session_bytes_per_address, used.of(address)))
    }

    /// Notes that a session takes this many bytes now. What has grown counts for the address that was the cause. What has
    /// become less relieves all that have caused it, in proportion.
    pub(crate) fn settle(&self, account: &mut Account, memory: u64, cause: Option<AddressId>) {
        if memory == account.memory {
            return;
        }
        self.used().settle(account, memory, cause);
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // Nothing in it panics half-way.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    /// What an address has caused, in bytes.
    pub(crate) fn of(&self, address: AddressId) -> u64 {
        self.by_address.get(&address).copied().unwrap_or(0)
    }

    pub(crate) fn settle(&mut self, account: &mut Account, memory: u64, cause: Option<AddressId>) {
        let before = std::mem::replace(&mut account.memory, memory);
        self.all = self.all - before + memory;
        if memory > before {
            if let Some(address) = cause {
                let grown = memory - before;
                *self.by_address.entry(address).or_default() += grown;
                *account.by_address.entry(address).or_default() += grown;
            }
        } else if memory < before {
            account.by_address.retain(|address, bytes| {
                let left = u128::from(*bytes) * u128::from(memory) / u128::from(before);
                let left = u64::try_from(left).unwrap_or(*bytes);
                self.relieve(*address, *bytes - left);
                *bytes = left;
                left > 0
            });
        }
    }

    /// An account of this many bytes, of which each of these addresses has caused a part. `None` if that does not add up.
    pub(crate) fn restore(
        &mut self,
        memory: u64,
        causes: impl Iterator<Item = (AddressId, u64)>,
    ) -> Option<Account> {
        let mut by_address = BTreeMap::<AddressId, u64>::new();
        by_address.extend(causes);
        let caused = by_address.values().try_fold(0_u64, |sum, bytes| sum.checked_add(*bytes))?;
        self.all = self.all.checked_add(memory).filter(|_| caused <= memory)?;
        for (address, bytes) in &by_address {
            *self.by_address.entry(*address).or_default() += bytes;
        }
        Some(Account { memory, by_address })
    }

    fn relieve(&mut self, address: AddressId, bytes: u64) {
        if let Some(used) = self.by_address.get_mut(&address) {
            *used -= bytes;
            if *used == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Option<AddressId> = Some(AddressId(1));
    const TWO: Option<AddressId> = Some(AddressId(2));

    #[test]
    fn what_grows_counts_for_its_cause_and_what_shrinks_relieves_all() {
        let config = Config {
            max_session_bytes: 1_000,
            max_session_bytes_per_address: 400,
            ..Config::default()
        };
        let (budget, mut account, mut other) =
            (Budget::default(), Account::default(), Account::default());
        budget.settle(&mut account, 300, ONE);
        budget.clone().settle(&mut account, 400, TWO);
        budget.settle(&mut other, 200, None);
        let left = |address| budget.headroom(&config, address).bytes;
        assert_eq!([None, ONE, TWO].map(left), [400, 100, 300]);
        budget.settle(&mut account, 200, None);
        assert_eq!([None, ONE, TWO].map(left), [600, 250, 350]);
        budget.settle(&mut account, 0, ONE);
        assert_eq!([None, ONE, TWO].map(left), [800, 400, 400]);
        assert!(budget.used().by_address.is_empty());
    }

    #[test]
    fn a_limit_is_exceeded_only_beyond_what_is_tolerated() {
        let config = Config { max_session_bytes: 800, ..Config::default() };
        let (budget, mut account) = (Budget::default(), Account::default());
        budget.settle(&mut account, 900, ONE);
        assert_eq!(budget.headroom(&config, TWO), Headroom { bytes: 0, is_exceeded: false });
        budget.settle(&mut account, 901, ONE);
        assert_eq!(budget.headroom(&config, TWO), Headroom { bytes: 0, is_exceeded: true });
    }
}
