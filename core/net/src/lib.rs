//! Drives sessions and reflectors on real sockets and clocks.

pub mod client;
pub mod server;
pub mod tls;
