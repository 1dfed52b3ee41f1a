//! Real clients on blocked connections: what they learn, and that they catch up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use teatime::server::{Server, ServerConfig};
use teatime::{
    App, CloseReason, Config, ConnectionState, Cx, DisconnectReason, Driver, Handling,
    SessionEvent, handlers, model,
};
use teatime_tests::pace::{PATIENCE, assert_in_time};
use teatime_tests::proxy::Proxy;

/// Counts letters and their bytes.
#[model(id = "box", version = 1)]
struct Letterbox {
    letters: u64,
    bytes: u64,
    /// Makes snapshots large.
    padding: String,
}

#[handlers]
impl Letterbox {
    fn init(cx: &mut Cx<Self>, padding: &u64) -> Self {
        cx.subscribe("box", "letter", Self::letter);
        Self { letters: 0, bytes: 0, padding: "x".repeat(*padding as usize) }
    }

    fn letter(&mut self, _cx: &mut Cx<Self>, text: &String) {
        self.letters += 1;
        self.bytes += text.len() as u64;
    }
}

struct Guest {
    driver: Driver,
    reasons: Vec<DisconnectReason>,
    verdicts: Vec<(u32, u32)>,
}

impl Guest {
    fn join(url: &str) -> Self {
        Self::join_with(url, 0)
    }

    fn join_with(url: &str, padding: u64) -> Self {
        let app = App::builder::<Letterbox>("teatime.box").build().expect("it is sound");
        let config = Config::new(app, "room", &padding).expect("nothing to encode");
        let driver = Driver::join(config, url, Arc::new(|| {})).expect("it can be started");
        Self { driver, reasons: Vec::new(), verdicts: Vec::new() }
    }

    fn step(&mut self) {
        self.driver.step(Duration::from_millis(50));
        while let Some(event) = self.driver.poll_event() {
            match event {
                SessionEvent::Connection(_, Some(reason)) => self.reasons.push(reason),
                SessionEvent::Verdict { agreed, of, .. } => self.verdicts.push((agreed, of)),
                _ => {}
            }
        }
        while self.driver.poll_delivery(Handling::Queued).is_some() {}
    }

    fn views(&self) -> usize {
        self.driver.vm().map_or(0, |vm| vm.views().count())
    }

    /// For the message of a test that fails.
    fn describe(&self) -> String {
        let (synced, state) = (self.driver.is_synced(), self.driver.connection_state());
        let (views, letters, reasons) = (self.views(), self.letters(), &self.reasons);
        format!("{state:?}, synced {synced}, {views} views, {letters} letters, {reasons:?}")
    }

    fn letters(&self) -> u64 {
        let vm = self.driver.vm();
        vm.and_then(|vm| vm.root::<Letterbox>()).map_or(0, |letterbox| letterbox.letters)
    }
}

/// Steps all until `is_so`.
fn until(guests: &mut [&mut Guest], what: &str, mut is_so: impl FnMut(&mut [&mut Guest]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so(guests) {
        guests.iter_mut().for_each(|guest| guest.step());
        if Instant::now() >= deadline {
            let all: Vec<_> = guests.iter().map(|guest| guest.describe()).collect();
            panic!("{what} does not happen: {all:?}");
        }
        guests[0].driver.wait(Duration::from_millis(5));
    }
}

fn all_synced(guests: &mut [&mut Guest]) -> bool {
    guests.iter().all(|guest| guest.driver.is_synced())
}

#[test]
fn a_client_that_reads_nothing_is_closed_with_too_slow_and_catches_up() {
    let mut config = ServerConfig { max_queued_bytes: 512 * 1024, ..ServerConfig::default() };
    config.reflector.rejoin_limit = 500_000;
    let server = Server::bind("127.0.0.1:0", config).expect("there is a free port");
    let proxy = Proxy::to(server.local_addr());
    let (mut writer, mut reader) = (Guest::join(&server.url()), Guest::join(&server.url()));
    let mut slow = Guest::join(&proxy.url());
    until(&mut [&mut writer, &mut reader, &mut slow], "the join", |guests| {
        all_synced(guests) && guests.iter().all(|guest| guest.views() == 3)
    });
    proxy.hold(true);
    let letter = "x".repeat(50_000);
    let mut written = 0;
    // The others go on, and see it exit: its queue at the reflector is full.
    until(&mut [&mut writer, &mut reader], "the exit", |guests| {
        let applied = guests[0].letters();
        if written < applied + 4 {
            written += u64::from(guests[0].driver.publish("box", "letter", &letter).is_ok());
        }
        guests[1].views() == 2
    });
    assert_eq!((&writer.reasons[..], &reader.reasons[..]), (&[][..], &[][..]));
    proxy.hold(false);
    until(&mut [&mut writer, &mut reader, &mut slow], "the return", |guests| {
        all_synced(guests)
            && guests.iter().all(|guest| guest.views() == 3 && guest.letters() == written)
    });
    let reason = slow.reasons.first();
    assert!(
        matches!(reason, Some(DisconnectReason::Closed(CloseReason::TooSlow, _))),
        "it learns why: {reason:?}"
    );
    slow.driver.request_vote().expect("it is live");
    until(&mut [&mut writer, &mut reader, &mut slow], "the vote", |guests| {
        guests.iter().all(|guest| guest.verdicts.last() == Some(&(3, 3)))
    });
}

/// The client uploads a snapshot that is far larger than the buffers of the system.
#[test]
fn a_client_gives_up_a_dead_connection_although_much_waits_to_be_sent() {
    let mut config = ServerConfig::default();
    config.reflector.snapshot_after_events = 5;
    let server = Server::bind("127.0.0.1:0", config).expect("a free port");
    let proxy = Proxy::to(server.local_addr());
    let mut guest = Guest::join_with(&proxy.url(), 16 * 1024 * 1024);
    until(&mut [&mut guest], "the join", all_synced);
    proxy.die_after(1024 * 1024);
    for _ in 0..5 {
        guest.driver.publish("box", "letter", "x").expect("there is room");
    }
    let held = Instant::now();
    // A client allows some seconds of silence.
    until(&mut [&mut guest], "the cut", |guests| !guests[0].reasons.is_empty());
    assert_eq!(guest.reasons, [DisconnectReason::Silent]);
    assert_in_time(held.elapsed(), Duration::from_secs(14));
    guest.driver.publish("box", "letter", "x").expect("there is room");
    until(&mut [&mut guest], "the return", |guests| {
        guests[0].driver.connection_state() == ConnectionState::Live && guests[0].letters() == 6
    });
}
