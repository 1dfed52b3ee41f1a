//! Finding out afterwards what happened in a session: evidence of a state that was wrong, the first difference between
//! two states, and what a reflector has stored.

pub mod archive;
pub mod diff;
pub mod evidence;
