//! A participant on a real connection, and the events that it has seen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use teatime::server::Server;
use teatime::{Config, Driver, SessionEvent};

/// A participant.
pub(crate) struct Peer {
    pub(crate) driver: Driver,
    pub(crate) heard: Vec<SessionEvent>,
}

impl Peer {
    /// Starts to join.
    pub(crate) fn of(config: Config, server: &Server) -> Self {
        let driver = Driver::join(config, &server.url(), Arc::new(|| {}));
        Self { driver: driver.expect("the configuration is right"), heard: Vec::new() }
    }

    /// Joins, and waits for the view.
    pub(crate) fn live_of(config: Config, server: &Server) -> Self {
        let mut peer = Self::of(config, server);
        let is_live = |event: &SessionEvent| matches!(event, SessionEvent::ViewReady);
        until("a view", &mut [&mut peer], |all| all[0].heard.iter().any(is_live));
        peer
    }

    pub(crate) fn step(&mut self) {
        self.driver.step(Duration::from_millis(100));
        self.heard.extend(std::iter::from_fn(|| self.driver.poll_event()));
    }
}

/// Steps all participants in turn until a condition holds.
pub(crate) fn until(
    what: &str,
    peers: &mut [&mut Peer],
    mut is_so: impl FnMut(&mut [&mut Peer]) -> bool,
) {
    let until = Instant::now() + Duration::from_secs(120);
    while !is_so(peers) {
        let heard: Vec<_> = peers.iter().map(|peer| &peer.heard).collect();
        assert!(Instant::now() < until, "{what} does not come: {heard:?}");
        for peer in peers.iter_mut() {
            peer.driver.wait(Duration::from_millis(5));
            peer.step();
        }
    }
}

/// All participants vote, and agree.
pub(crate) fn agree(peers: &mut [&mut Peer]) {
    let number = peers.len() as u32;
    peers.iter_mut().for_each(|peer| peer.heard.clear());
    peers[0].driver.request_vote().expect("it has joined");
    until("a verdict", peers, |all| {
        all[0].heard.iter().any(|event| match event {
            // A participant that has just left may still count.
            SessionEvent::Verdict { hash, agreed, .. } => hash.is_some() && *agreed == number,
            _ => false,
        })
    });
}
