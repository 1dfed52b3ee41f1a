//! The server of sessions as a state machine.
