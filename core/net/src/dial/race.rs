//! Which of several addresses answers first: RFC 8305, "Happy Eyeballs", for addresses that are already known.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

/// The pause after which the next address is tried, although the one before has not answered yet (RFC 8305, section 5).
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address that answers, and gives up the others.
pub(super) async fn first<S, F: Future<Output = io::Result<S>>>(
    addresses: Vec<SocketAddr>,
    mut connect: impl FnMut(SocketAddr) -> F,
) -> io::Result<S> {
    let mut waiting = in_turn(addresses).into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    loop {
        if let Some(address) = waiting.next() {
            attempts.push(connect(address));
        } else if attempts.is_empty() {
            return Err(failure.unwrap_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "the name has no address")
            }));
        }
        tokio::select! {
            Some(attempt) = attempts.next() => match attempt {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(more_telling(failure, error)),
            },
            () = sleep(ATTEMPT_DELAY), if waiting.len() > 0 => {}
        }
    }
}

/// The order of the system's resolver, but with the two families in turn (RFC 8305, section 4).
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_first = addresses.first().map(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| Some(address.is_ipv6()) == is_first);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    while first.len() + second.len() > 0 {
        all.extend(first.next());
        all.extend(second.next());
    }
    all
}

/// The error to report: that a machine has no route for one family says nothing if another address refused.
fn more_telling(before: Option<io::Error>, now: io::Error) -> io::Error {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkUnreachable};
    let is_about_routes = |error: &io::Error| {
        matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkUnreachable)
    };
    before.filter(|before| !is_about_routes(before)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns_in_the_order_of_the_resolver() {
        let parse = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().expect("an address")).collect()
        };
        let found = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"]);
        let expected = parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"]);
        assert_eq!(in_turn(found), expected);
        assert_eq!(in_turn(parse(&["1.1.1.1:1", "[::1]:1"])), parse(&["1.1.1.1:1", "[::1]:1"]));
        assert_eq!(in_turn(Vec::new()), []);
    }
}
