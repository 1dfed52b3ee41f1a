//! PROTOCOL.md says what the code does: its timers and thresholds.

use std::collections::BTreeMap;

use teatime_net::server::ServerConfig;
use teatime_session::limits as client;
use teatime_wire::limits as wire;

use crate::read;

const PAGE: &str = "core/wire/PROTOCOL.md";

/// Name and value of each row in a table of section 15.
fn rows(part: &str) -> BTreeMap<String, String> {
    let page = read(PAGE.as_ref());
    let (_, section) = page.split_once(&format!("### {part} ")).expect("the page has the part");
    let rows = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let name = cells.next().expect("a name").trim_end_matches(r"\*");
        (name.to_owned(), cells.next().expect("a value").to_owned())
    })
    .collect()
}

/// A time in µs.
fn time(us: u64) -> String {
    match us % 1_000_000 {
        0 => format!("{} s", us / 1_000_000),
        _ => format!("{} ms", us / 1_000),
    }
}

/// The value of a constant that only its own file sees, and which this expression must give.
fn private(file: &str, name: &str, expression: &str, value: &str) -> String {
    let source = read(file.as_ref());
    let line = source.lines().find(|line| line.contains(&format!("const {name}:")));
    let line = line.unwrap_or_else(|| panic!("{file} has no constant {name}"));
    assert!(line.ends_with(&format!("{expression};")), "{file}: {line}, expected {expression}");
    value.to_owned()
}

#[test]
fn the_protocol_page_has_every_timer_as_the_code_has_it() {
    let server = ServerConfig::default();
    let reflector = &server.reflector;
    let request = u64::try_from(server.request_timeout.as_micros()).expect("it is short");
    let blob_times = read("core/blobs/src/capacity.rs".as_ref());
    let day = 24 * 3600 * 1_000_000;
    assert!(blob_times.contains("grace: DAY,") && blob_times.contains("unclaimed: 7 * DAY,"));
    let blobs = "core/net/src/server/blobs.rs";
    let test_or = |time: &str| format!("{time} }})");
    assert_eq!(reflector.presence_interval, client::PRESENCE_INTERVAL);
    let expected = [
        ("REQUEST_TIMEOUT", time(request)),
        ("JOIN_TIMEOUT", time(reflector.join_timeout)),
        ("SILENCE_TIMEOUT", time(reflector.silence_timeout)),
        ("TICK", private("core/session/src/config.rs", "TICKS_PER_SECOND", "20", "50 ms")),
        ("GATHER", time(reflector.gather_window)),
        ("REJOIN_LIMIT", time(reflector.rejoin_limit)),
        ("LEAVE_AFTER", time(reflector.max_leave_after)),
        ("PRESENCE_INTERVAL", time(reflector.presence_interval)),
        ("VOTE_TIMEOUT", time(reflector.vote_timeout)),
        ("VOTE_INTERVAL", time(reflector.vote_interval)),
        ("VOTE_RETRY", time(reflector.vote_retry)),
        ("DISPUTE_LIMIT", time(reflector.dispute_limit)),
        ("UPLOAD_TIMEOUT", time(reflector.upload_timeout)),
        ("PERSIST_INTERVAL", time(reflector.persist_interval)),
        ("SNAPSHOT_AFTER_TIME", time(reflector.snapshot_after_time)),
        ("STORAGE_TIMEOUT", time(reflector.storage_timeout)),
        ("HISTORY_TIME", time(reflector.history_time)),
        (
            "CONNECT_TIMEOUT",
            private("core/net/src/client.rs", "CONNECT_TIMEOUT", "Duration::from_secs(10)", "10 s"),
        ),
        ("WELCOME_TIMEOUT", time(client::JOIN_TIMEOUT)),
        ("CLIENT_SILENCE", time(client::SILENCE)),
        ("PING_INTERVAL", time(client::PING_INTERVAL)),
        ("BACKOFF_STEP", time(client::BACKOFF_STEP)),
        ("BACKOFF_MAX", time(client::BACKOFF_MAX)),
        ("RELOAD_PAUSE", time(client::RELOAD_PAUSE)),
        ("CLOCK_LEAD", time(client::MAX_CLOCK_LEAD)),
        ("BLOB_FIRST", private(blobs, "IDLE", &test_or("10"), "10 s")),
        ("BLOB_IDLE", private(blobs, "SILENCE", &test_or("60"), "60 s")),
        ("BLOB_SILENCE", private("core/net/src/blobs/line.rs", "SILENCE", &test_or("30"), "30 s")),
        ("BLOB_GRACE", time(day)),
        ("BLOB_UNCLAIMED", time(7 * day)),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(rows("15.1"), BTreeMap::from(expected));
}

#[test]
fn the_protocol_page_has_every_threshold_as_the_code_has_it() {
    let server = ServerConfig::default();
    let reflector = &server.reflector;
    let room = "core/reflector/src/rooms/room.rs";
    let door = "core/reflector/src/reflector/door/mod.rs";
    let expected = [
        ("PER_SECOND", reflector.send_limits.per_second.to_string()),
        ("BURST", reflector.send_limits.burst.to_string()),
        ("HELD_BYTES", reflector.held_bytes_per_view.to_string()),
        ("LOG_BYTES", reflector.log_limit_bytes.to_string()),
        ("LOG_RESERVE", reflector.log_reserve_bytes.to_string()),
        ("SNAPSHOT_AFTER_EVENTS", reflector.snapshot_after_events.to_string()),
        ("SNAPSHOT_AFTER_BYTES", reflector.snapshot_after_bytes.to_string()),
        ("HISTORY_BYTES", reflector.history_limit_bytes.to_string()),
        ("RECENT_VOTES", private("core/reflector/src/session/voting.rs", "RECENT_VOTES", "8", "8")),
        ("MISSED_VOTES", private("core/reflector/src/view.rs", "MAX_MISSED", "3", "3")),
        ("MAX_DEPARTED", reflector.max_departed.to_string()),
        ("ROOM_RECORDS", private("core/reflector/src/stored.rs", "MAX_RECORDS", "16", "16")),
        ("ROOM_BYTES", private(room, "FULL_BYTES", "8 * 1024 * 1024", "8388608")),
        (
            "NEWER_SESSIONS",
            private("core/reflector/src/rooms/mod.rs", "TOLD_AT_ONCE", "100", "100"),
        ),
        ("MAX_VIEWS", reflector.max_views.to_string()),
        ("QUEUED_BYTES", server.max_queued_bytes.to_string()),
        ("EARLY_BYTES", private(door, "MAX_EARLY", "64 * 1024", "65536")),
        ("REMEMBERED_POSITIONS", client::REMEMBERED_POSITIONS.to_string()),
        ("CLOCK_DRIFT", format!("1/{}", client::CLOCK_DRIFT)),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(rows("15.2"), BTreeMap::from(expected));
}

/// The sizes of the protocol, and no other. `teatime-wire` compares the values.
#[test]
fn the_protocol_page_names_every_size() {
    let source = read("core/wire/src/limits.rs".as_ref());
    let names =
        source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    // What sections 2.2 and 3.3 say.
    let elsewhere = ["MAX_TIME_OR_SEQ", "TICKS_PER_SECOND"];
    assert_eq!((wire::MAX_TIME_OR_SEQ, wire::TICKS_PER_SECOND), (1 << 60, 1..=60));
    let mut names: Vec<_> = names.filter(|name| !elsewhere.contains(name)).collect();
    names.sort_unstable();
    assert_eq!(rows("15.3").into_keys().collect::<Vec<_>>(), names);
}
