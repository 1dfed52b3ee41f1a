//! The addresses by which other machines reach a reflector that listens at all addresses of this one.

use std::net::{IpAddr, SocketAddr};

/// One way to a reflector of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// The network interface of this machine that it leads to.
    pub(crate) interface: String,
    /// The address of the reflector.
    pub(crate) url: String,
}

/// All ways for others to a reflector with this address, the likely one first. Empty if it does not listen at all addresses,
/// or if only this machine reaches it.
pub(crate) fn ways(listen: SocketAddr, url: &str) -> Vec<Way> {
    if !listen.ip().is_unspecified() {
        return Vec::new();
    }
    ways_among(interfaces(), listen.is_ipv6(), url)
}

/// The addresses of this machine that others may reach, each with its network interface. Local ones of a link are not among
/// them.
pub(crate) fn for_others() -> Vec<(String, IpAddr)> {
    let mut all = interfaces();
    all.retain(|(_, address)| is_for_others(*address, true));
    all
}

fn ways_among(all: Vec<(String, IpAddr)>, takes_ipv6: bool, url: &str) -> Vec<Way> {
    let Some((scheme, place)) = url.split_once("://") else { return Vec::new() };
    let Ok(likely) = place.parse::<SocketAddr>() else { return Vec::new() };
    let mut found: Vec<_> =
        all.into_iter().filter(|(_, address)| is_for_others(*address, takes_ipv6)).collect();
    found.dedup();
    // The sort is stable: otherwise the order of the system.
    found.sort_by_key(|(_, address)| (*address != likely.ip(), address.is_ipv6()));
    let way = |(interface, address)| {
        let url = format!("{scheme}://{}", SocketAddr::new(address, likely.port()));
        Way { interface, url }
    };
    found.into_iter().map(way).collect()
}

/// Whether another machine can use the address as it stands. An IPv6 address of one link would need the name of an interface
/// of the other machine.
fn is_for_others(address: IpAddr, takes_ipv6: bool) -> bool {
    let is_local = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    match address {
        IpAddr::V4(_) => !is_local,
        IpAddr::V6(address) => takes_ipv6 && !is_local && !address.is_unicast_link_local(),
    }
}

/// The addresses of all network interfaces that are up.
#[cfg(unix)]
fn interfaces() -> Vec<(String, IpAddr)> {
    use nix::ifaddrs::getifaddrs;
    use nix::net::if_::InterfaceFlags;
    // Without the list there is the address that the reflector names.
    let all = getifaddrs().into_iter().flatten();
    let up = all.filter(|one| one.flags.contains(InterfaceFlags::IFF_UP));
    let address = |one: nix::ifaddrs::InterfaceAddress| {
        let address = one.address?;
        let ipv4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        let address = ipv4.or(address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())));
        Some((one.interface_name, address?))
    };
    up.filter_map(address).collect()
}

#[cfg(not(unix))]
fn interfaces() -> Vec<(String, IpAddr)> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(takes_ipv6: bool, url: &str) -> Vec<(String, String)> {
        let all = [
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("docker0", "172.17.0.1"),
            ("eth0", "192.168.1.5"),
            ("eth0", "fe80::5"),
            ("wlan0", "2001:db8::7"),
            ("wlan0", "10.0.0.7"),
        ];
        let all = all.map(|(name, text)| (name.to_owned(), text.parse().expect("an address")));
        let ways = ways_among(all.to_vec(), takes_ipv6, url);
        ways.into_iter().map(|way| (way.interface, way.url)).collect()
    }

    #[test]
    fn the_likely_way_comes_first_and_no_address_of_this_machine_alone_is_named() {
        let way = |name: &str, url: &str| (name.to_owned(), url.to_owned());
        let expected = [
            way("eth0", "ws://192.168.1.5:9090"),
            way("docker0", "ws://172.17.0.1:9090"),
            way("wlan0", "ws://10.0.0.7:9090"),
        ];
        assert_eq!(found(false, "ws://192.168.1.5:9090"), expected);
        let all = found(true, "wss://192.168.1.5:1");
        assert_eq!(all.len(), 4);
        assert_eq!(all[3], way("wlan0", "wss://[2001:db8::7]:1"));
        // Without a default route the reflector names an address that leads nowhere from outside.
        assert_eq!(found(false, "ws://127.0.0.1:9090")[0], way("docker0", "ws://172.17.0.1:9090"));
    }

    #[test]
    fn one_address_to_listen_at_is_the_only_way() {
        assert_eq!(ways("127.0.0.1:1".parse().expect("an address"), "ws://127.0.0.1:1"), []);
    }
}
