//! What each address has stored, in bytes: sessions, persisted data, blobs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use teatime_wire::{Digest, SessionId};

use crate::budget::{Account, AddressId, Used};

/// The version of what [`Shares::write`] writes.
const FORMAT: u8 = 1;

/// What something stored belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// A session, or the persisted data of a room: its [holder](crate::storage::Key::holder).
    Key(SessionId),
    /// The blobs of a room: their space.
    Blobs(Digest),
}

/// What each address has stored. Clones share it: all threads of a server have one.
///
/// What grows counts for the address that was the cause. What shrinks relieves all that have caused it, in proportion. What
/// no limited address has caused is not here.
#[derive(Debug, Clone, Default)]
pub struct Shares(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    used: Used,
    accounts: HashMap<Owner, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    account: Account,
    /// It is in memory. What is known of it there is newer than what the storage knows.
    is_live: bool,
}

impl Shares {
    /// How many bytes an address has stored.
    pub fn used(&self, address: AddressId) -> u64 {
        self.stored().used.of(address)
    }

    /// Something has grown or shrunk.
    pub fn settle(&self, owner: Owner, before: u64, now: u64, cause: Option<AddressId>) {
        let stored = &mut *self.stored();
        let entry = match stored.accounts.get_mut(&owner) {
            Some(entry) => entry,
            None if cause.is_none() || now <= before => return,
            None => {
                let entry = stored.accounts.entry(owner).or_default();
                stored.used.settle(&mut entry.account, before, None);
                entry
            }
        };
        stored.used.settle(&mut entry.account, now, cause);
        if entry.account.is_free() {
            stored.accounts.remove(&owner);
        }
    }

    /// A session comes to memory, or leaves it.
    pub(crate) fn set_live(&self, owner: Owner, is_live: bool) {
        if let Some(entry) = self.stored().accounts.get_mut(&owner) {
            entry.is_live = is_live;
        }
    }

    /// Takes in what is stored by now. `bytes` knows what an owner takes, 0 if it is gone, and `None` if it cannot say.
    pub fn reconcile(&self, bytes: impl Fn(&Owner) -> Option<u64>) {
        let Stored { used, accounts } = &mut *self.stored();
        accounts.retain(|owner, Entry { account, is_live }| {
            if let Some(now) = bytes(owner).filter(|_| !*is_live) {
                used.settle(account, now, None);
            }
            !account.is_free()
        });
    }

    /// All of it, to be read after a restart.
    pub fn write(&self) -> Vec<u8> {
        let stored = self.stored();
        let halves = |address: &AddressId| ((address.0 >> 64) as u64, address.0 as u64);
        let mut all: Vec<_> = stored
            .accounts
            .iter()
            .map(|(owner, Entry { account, .. })| {
                let each = account.causes().map(|(address, bytes)| (halves(address), *bytes));
                (*owner, account.memory(), each.collect::<Vec<_>>())
            })
            .collect();
        all.sort_unstable();
        rmp_serde::to_vec(&(FORMAT, all)).expect("MessagePack can express numbers")
    }

    /// Reads what [`write`](Self::write) has written. `None` if it is something else.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        type Line = (Owner, u64, Vec<((u64, u64), u64)>);
        let (FORMAT, all) = rmp_serde::from_slice::<(u8, Vec<Line>)>(bytes).ok()? else {
            return None;
        };
        let shares = Self::default();
        for (owner, bytes, causes) in all {
            let causes = causes.into_iter().map(|((high, low), bytes)| {
                (AddressId(u128::from(high) << 64 | u128::from(low)), bytes)
            });
            let stored = &mut *shares.stored();
            let account = stored.used.restore(bytes, causes)?;
            stored.accounts.insert(owner, Entry { account, is_live: false });
        }
        Some(shares)
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        // Nothing in it panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: AddressId = AddressId(u128::MAX - 1);
    const TWO: AddressId = AddressId(2);

    fn session(number: u8) -> Owner {
        Owner::Key(SessionId([number; 32]))
    }

    #[test]
    fn what_is_stored_counts_for_its_cause_until_it_is_gone_also_after_a_restart() {
        let shares = Shares::default();
        shares.settle(session(1), 50, 150, Some(ONE));
        shares.settle(session(1), 150, 250, Some(TWO));
        shares.settle(session(2), 0, 40, None);
        shares.settle(Owner::Blobs(Digest([1; 32])), 0, 30, Some(TWO));
        assert_eq!([ONE, TWO].map(|one| shares.used(one)), [100, 130]);
        let again = Shares::read(&shares.write()).expect("it was written");
        assert_eq!(again.write(), shares.write());
        assert_eq!([ONE, TWO].map(|one| again.used(one)), [100, 130]);
        // Half of the session is gone, then all of it, and then the blobs.
        again.settle(session(1), 250, 125, None);
        assert_eq!([ONE, TWO].map(|one| again.used(one)), [50, 80]);
        again.reconcile(|owner| matches!(owner, Owner::Key(_)).then_some(0));
        assert_eq!([ONE, TWO].map(|one| again.used(one)), [0, 30]);
        again.reconcile(|_| Some(0));
        assert_eq!((again.used(TWO), again.stored().accounts.len()), (0, 0));
    }

    #[test]
    fn what_is_in_memory_is_not_reconciled() {
        let shares = Shares::default();
        shares.settle(session(1), 0, 100, Some(ONE));
        shares.set_live(session(1), true);
        shares.reconcile(|_| Some(0));
        assert_eq!(shares.used(ONE), 100);
        shares.set_live(session(1), false);
        shares.reconcile(|_| Some(10));
        assert_eq!(shares.used(ONE), 10);
    }

    #[test]
    fn other_bytes_are_not_shares() {
        let shares = Shares::default();
        shares.settle(session(1), 0, 100, Some(ONE));
        let written = shares.write();
        for length in 0..written.len() {
            assert!(Shares::read(&written[..length]).is_none(), "{length}");
        }
        // More by address than in all.
        let line = (session(1), 10_u64, vec![((0_u64, 2_u64), 11_u64)]);
        let wrong = rmp_serde::to_vec(&(FORMAT, vec![line])).expect("numbers");
        assert!(Shares::read(&wrong).is_none());
    }
}
