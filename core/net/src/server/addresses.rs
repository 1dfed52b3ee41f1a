//! What each address has sent, over all its connections and all threads of the server.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use teatime_reflector::{AddressId, Allowance, Spending};

/// Where a client comes from, as limits see it: an IPv4 address, or the /64 of an IPv6 address, because each subscriber has
/// at least that many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address(IpAddr);

impl Address {
    /// `None` for an address without limits.
    pub(super) fn of(ip: IpAddr, limit_loopback: bool) -> Option<Self> {
        let ip = ip.to_canonical();
        if ip.is_loopback() && !limit_loopback {
            return None;
        }
        Some(Self(match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        }))
    }

    /// Its name for reflectors.
    pub(super) fn id(self) -> AddressId {
        AddressId(match self.0 {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        })
    }
}

/// What all addresses have sent. Clones share it.
#[derive(Clone)]
pub(super) struct Addresses {
    started: Instant,
    allowance: Allowance,
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    spent: HashMap<Address, Spending>,
    /// At this size, addresses whose allowance is full again are forgotten.
    sweep_at: usize,
}

/// The least size of the table at which it is swept.
const SWEEP: usize = 1024;

impl Addresses {
    pub(super) fn new(allowance: Allowance) -> Self {
        let table = Arc::new(Mutex::new(Table { spent: HashMap::new(), sweep_at: SWEEP }));
        Self { started: Instant::now(), allowance, table }
    }

    /// Counts what was read from an address. Returns how long it must wait until the next read.
    pub(super) fn spend(&self, address: Option<Address>, frames: u64, bytes: u64) -> Duration {
        let Some(address) = address else { return Duration::ZERO };
        let now = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut table = self.table();
        table.sweep(now);
        let spending = table.spent.entry(address).or_default();
        spending.spend(now, &self.allowance, frames, bytes);
        let may_read_at = spending.may_read_at(&self.allowance);
        Duration::from_micros(may_read_at.saturating_sub(now))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing in it panics half-way.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Each sweep is paid for by as many additions as it has entries to look at.
    fn sweep(&mut self, now: u64) {
        if self.spent.len() >= self.sweep_at {
            self.spent.retain(|_, spending| !spending.is_refilled(now));
            self.sweep_at = (2 * self.spent.len()).max(SWEEP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<Address> {
        Address::of(text.parse().expect("an address"), false)
    }

    #[test]
    fn an_address_is_that_of_ipv4_or_the_64_of_ipv6() {
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(address("192.0.2.1"), address("::ffff:192.0.2.1"));
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        for loopback in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(address(loopback), None);
            assert!(Address::of(loopback.parse().expect("an address"), true).is_some());
        }
    }

    #[test]
    fn an_address_that_has_used_up_its_allowance_waits_and_others_do_not() {
        let allowance =
            Allowance { frames_per_second: 10, frame_burst: 10, ..Allowance::UNLIMITED };
        let addresses = Addresses::new(allowance);
        let [busy, other] = ["192.0.2.1", "192.0.2.2"].map(address);
        assert_eq!(addresses.spend(busy, 10, 0), Duration::ZERO);
        let wait = addresses.clone().spend(busy, 100, 0);
        assert!(wait > Duration::from_secs(5) && wait <= Duration::from_secs(10), "{wait:?}");
        assert_eq!(addresses.spend(other, 1, 0), Duration::ZERO);
        assert_eq!(addresses.spend(None, 1_000, 0), Duration::ZERO);
    }

    #[test]
    fn addresses_whose_allowance_is_full_again_are_forgotten() {
        let addresses = Addresses::new(Allowance::UNLIMITED);
        for number in 0..5 * SWEEP {
            let ip = Ipv6Addr::from((number as u128) << 64);
            addresses.spend(Address::of(ip.into(), true), 1, 1);
        }
        assert!(addresses.table().spent.len() <= SWEEP);
    }
}
