//! Drives sessions and reflectors on real sockets and clocks.
//!
//! # What waits where
//!
//! Every queue has a bound, and the client learns when it reaches one. In the reflector:
//!
//! | queue | bound | beyond it |
//! |---|---|---|
//! | handshakes, until the thread of their session takes over | [`max_handshakes`](server::ServerConfig::max_handshakes), each for [`handshake_timeout`](server::ServerConfig::handshake_timeout), and without a complete request for [`request_timeout`](server::ServerConfig::request_timeout) | the oldest unfinished one is closed |
//! | handshakes of one address | [`max_handshakes_per_address`](server::ServerConfig::max_handshakes_per_address) | the oldest unfinished one of the address is closed |
//! | control frames before a join is accepted | 16 | NOT_JOINED |
//! | what one client sends | four frames for each event that it may send, and `bytes_per_second` | the connection is read later |
//! | what one address sends | [`address_allowance`](server::ServerConfig::address_allowance) | its connections are read later |
//! | one turn of a connection | 256 frames, 64 KiB | the other connections of the thread have their turns |
//! | what a client does not read | its snapshot and log, and [`max_queued_bytes`](server::ServerConfig::max_queued_bytes) | the client is closed with TOO_SLOW, which it reads if it reads again within 30 s; it reconnects and catches up. A client that has not joined: NOT_JOINED |
//! | what a client reads too slowly | something within `silence_timeout` | it is closed with TOO_SLOW, even if it gives signs of life |
//! | what a session has yet to send to all clients | what its connections have sent since the last flush, 64 KiB each | its connections are not read before the flush |
//! | frames that wait for the next turn of their connection | 64 KiB, and an incomplete frame | the connection is not read before |
//! | an incomplete frame | 68,608 bytes | TOO_LARGE |
//! | a session's log | `log_limit_bytes` | senders and joiners are asked to pause until a snapshot makes room |
//! | events that arrive nevertheless | `held_bytes_per_view` for each view | TOO_FAST: the client ignores the request |
//! | | `log_reserve_bytes` for all views | FULL for senders, and for new views unless the session is empty: they reconnect and no event is lost |
//! | the logs and snapshots of all sessions | `max_session_bytes`; of one address, `max_session_bytes_per_address` | as for a log that is full; FULL for joins that would begin a session, or bring one to memory. A log may always have 64 KiB |
//! | requests for votes in a full log | one in `vote_retry`, later one in a minute | |
//! | a snapshot on its way up | `max_snapshot`; 64 KiB at least in `upload_timeout` | the reflector asks another voter |
//! | views and connections | `max_views`, `max_connections` | FULL |
//! | what a session has ordered while an append is under way | `storage_backlog_bytes` | senders are asked to pause until the storage has caught up; then as for the log |
//! | an append that the storage does not acknowledge | one of each session, for `storage_timeout` | its clients are closed with NOT_STORED and come back; other sessions go on |
//! | joins that wait for the storage | `join_timeout`; what comes after a join, 64 KiB | NOT_STORED; TOO_FAST |
//! | persisted data on its way to the disk | one of each room, and the newest of each of its sessions | |
//! | counters of views that have exited | `max_departed` | the oldest is dropped |
//! | sessions without participants | `max_idle_sessions`, `max_idle_bytes` | the oldest leaves memory |
//! | chunks on a blob connection | one on its way in, and one on its way out | the connection is not read before |
//! | blob connections | 64 | the connection that has been idle longest is closed, if that is at least 10 s; otherwise FULL, and if that lasts the client reports BUSY |
//! | which blobs the sessions need | the newest list of each session | |
//! | blobs and their index | the limits of the vault in use, or 256 MiB in memory; a piece counts as 4 KiB at least | the client gets NO_ROOM, or SERVER_DISK_FULL |
//!
//! In a client:
//!
//! | queue | bound | beyond it |
//! |---|---|---|
//! | published events that have not come back | 1,024 events, 1 MiB | publishing fails with TOO_FAST |
//! | bytes for the socket | these events, and one snapshot | |
//! | requests for a vote | one | one vote answers all requests |
//! | messages that have arrived before the app steps | 64 MiB | the socket is not read; then the reflector's bound applies |
//! | events that are not simulated yet | 256 MiB | the client gives up the connection, with TOO_SLOW, and loads a newer snapshot |
//! | a snapshot on its way down | the announced size, 256 MiB at most | the client gives up the connection |
//! | chunks of a transfer | 16, 4 MiB | the source is not read, or no more chunks are requested |
//! | session events that the app does not pull | 1,024 | the model stands still; of connection states and verdicts the newest stays. `teatime::Session` pulls them itself, holds the newest 1,024 and counts the others |
//! | deliveries that the app does not pull | 65,536 | the model stands still; `publish_to_views` fails with TOO_FAST |
//!
//! The reflector closes a silent client after `silence_timeout` and at most a quarter more. A client gives up a silent
//! connection after 10 s.

#[cfg(feature = "blobs")]
pub mod blobs;
pub mod client;
mod dial;
pub mod probe;
pub mod server;
pub mod tls;

pub use dial::split_zone;
