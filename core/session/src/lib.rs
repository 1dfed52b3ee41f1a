//! The client of a session as a state machine.
