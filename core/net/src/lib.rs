//! Drives sessions and reflectors on real sockets and clocks.
