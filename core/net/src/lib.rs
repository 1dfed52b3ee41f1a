//! Drives sessions and reflectors on real sockets and clocks.
//!
//! # What waits where
//!
//! Nothing waits without a bound, and whoever is at one is told. In the reflector:
//!
//! | queue | bound | beyond it |
//! |---|---|---|
//! | handshakes, until the thread of their session has them | [`max_handshakes`](server::ServerConfig::max_handshakes), each for [`handshake_timeout`](server::ServerConfig::handshake_timeout) | the system keeps them, 4096 at most |
//! | what a client does not read | its snapshot and log, and [`max_queued_bytes`](server::ServerConfig::max_queued_bytes) | it is closed with TOO_SLOW, which it reads if it reads again within 30 s; it comes back and catches up. One that has not joined: NOT_JOINED |
//! | what a session has yet to send to all | what its connections have sent since the last flush, 64 KiB each | nothing more is read before |
//! | a frame that has not arrived whole | 68,608 bytes | TOO_LARGE |
//! | a session's log | `log_limit_bytes` | senders are asked to pause, joiners too, until a snapshot makes room |
//! | what comes in nevertheless | `held_bytes_per_view` for each view | TOO_FAST: it ignores the request |
//! | | `log_reserve_bytes` for all | FULL for who sends, and for new views unless nobody else is there: they come back and nothing is lost |
//! | requests for votes in a full log | one in `vote_retry`, later one in a minute | |
//! | a snapshot on its way up | `max_snapshot`; 64 KiB at least in `upload_timeout` | another voter is asked |
//! | views and connections | `max_views`, `max_connections` | FULL |
//! | what a session has ordered while an append is under way | `storage_backlog_bytes` | senders are asked to pause until the storage has caught up; then as for the log |
//! | an append that the storage does not acknowledge | one of each session, for `storage_timeout` | its clients are closed with NOT_STORED and come back; other sessions go on |
//! | joins that wait for the storage | `join_timeout`; what comes after a join, 64 KiB | NOT_STORED; TOO_FAST |
//! | what is persisted, on its way to the disk | one of each room, and the newest of each of its sessions | |
//! | counters of views that are gone | `max_departed` | the oldest is forgotten |
//! | sessions with nobody in them | `max_idle_sessions`, `max_idle_bytes` | the oldest leaves memory |
//! | chunks on a blob connection | one on its way in, and one on its way out | nothing more is read before |
//! | blob connections | 64 | who has asked for nothing for longest is closed, if that is 10 s; otherwise FULL, and the client tells BUSY if it stays so |
//! | what sessions tell of the blobs that they need | the newest of each session | |
//! | blobs, and what is known of them | the limits of the vault that it is given, or 256 MiB in memory; a piece counts as 4 KiB at least | the client is told NO_ROOM, or SERVER_DISK_FULL |
//!
//! In a client:
//!
//! | queue | bound | beyond it |
//! |---|---|---|
//! | sends that have not come back | 1,024 events, 1 MiB | publishing fails with TOO_FAST |
//! | what the socket has yet to take | these sends, and one snapshot | |
//! | requests for a vote | one | it answers all of them |
//! | what has arrived and the app has not stepped through | 64 MiB | the socket is not read; the reflector's bound follows |
//! | what was stepped through and not simulated | 256 MiB | the connection is given up, with TOO_SLOW, and a newer snapshot loaded |
//! | a snapshot on its way down | the announced size, 256 MiB at most | the connection is given up |
//! | chunks of a transfer | 16, 4 MiB | the source is not read, or no more is asked for |
//! | session events that the app does not pull | 1,024 | the model stands still; of connection states, verdicts and the like the newest is kept. `teatime::Session`, which pulls them itself, keeps the newest 1,024 and counts the others |
//! | deliveries that the app does not pull | 65,536 | the model stands still; `publish_to_views` fails with TOO_FAST |
//!
//! A client of which nothing is heard is closed after `silence_timeout` and at most a quarter more; a client
//! that hears nothing gives up its line after 10 s.

#[cfg(feature = "blobs")]
pub mod blobs;
pub mod client;
pub mod server;
pub mod tls;
