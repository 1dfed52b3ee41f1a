//! The limits of the virtual machine, with their reasons. All participants must have the same limits, because
//! they decide what models compute.

/// Calls of handlers by handlers of other models may be nested this deep: see [`Cx::call`](crate::Cx::call).
pub const MAX_CALL_DEPTH: u32 = 64;

/// Deepest nesting of a payload or a state, in levels. Input from outside must not exhaust the stack of a
/// secondary thread on a phone (512 KiB).
pub const MAX_DEPTH: usize = 64;

/// Most turns at one instant. Otherwise a handler that schedules itself without delay would never let time
/// pass. The rest of the instant is dropped, and reported as a fault.
pub const MAX_TURNS_PER_INSTANT: u64 = 1_000_000;

/// Most events that models may send each other in one turn. Otherwise two handlers that answer each other would
/// never end. The rest of the events is dropped, and reported as a fault.
pub const MAX_EVENTS_PER_TURN: u64 = 1_000_000;

/// Most faults that are stored until the driver takes them. A handler that fails at each tick must not fill the
/// memory.
pub const MAX_FAULTS: usize = 1_000;

/// Bytes of external events after which a new checkpoint is made. It bounds the memory that undoing turns
/// takes.
pub const MAX_HISTORY_BYTES: usize = 16 * 1024 * 1024;

/// Turns after which a new checkpoint is made, so that undoing one takes at most a second. Even with 100,000
/// models a checkpoint costs a hundredth of these turns.
pub const MAX_HISTORY_TURNS: u64 = 1 << 24;

/// Ids of models stay below this. The table of models takes an eighth of a byte for each id used since the participant
/// joined.
pub const MAX_MODEL_ID: u64 = 1 << 32;

/// Highest number of a future message or a subscription in a snapshot. A session that makes ten million a second comes there
/// in 28 years. From there it could go on for as long 2,000 times, so a forged snapshot cannot make it overflow.
pub const MAX_COUNTER: u64 = 1 << 53;

/// Most bytes that a root model may persist: a board, a list, a document as text. The data travels with each
/// snapshot, and to each joiner. Larger content belongs in blobs, whose handles the data may contain.
pub const MAX_PERSISTED: usize = 1024 * 1024;
