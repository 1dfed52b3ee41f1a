//! Every limit of the virtual machine, with its reason. They are part of the model's semantics:
//! all participants must have the same.

/// Deepest nesting of a payload or a model's state that is read: what comes from outside must not
/// exhaust the stack of a phone's secondary thread (512 KiB).
pub const MAX_DEPTH: usize = 64;

/// Most turns at one instant. A handler that schedules itself without delay would otherwise never
/// let time pass; what is left then is dropped, and reported.
pub const MAX_TURNS_PER_INSTANT: u64 = 1_000_000;

/// Most events that models may send each other in consequence of one call of a handler. Two handlers that answer
/// each other would otherwise never end; what is left then is dropped, and reported.
pub const MAX_EVENTS_PER_TURN: u64 = 1_000_000;

/// Most faults that are kept until somebody takes them: a handler that fails at every tick must not
/// fill the memory.
pub const MAX_FAULTS: usize = 1_000;

/// After so many bytes of external events since the last checkpoint a new one is made: what is kept to undo
/// turns stays small.
pub const MAX_HISTORY_BYTES: usize = 16 * 1024 * 1024;

/// After so many turns since the last checkpoint a new one is made, so that undoing one takes a second at
/// most. The checkpoint costs a hundredth of them even where there are 100,000 models.
pub const MAX_HISTORY_TURNS: u64 = 1 << 24;

/// Ids of models stay below this. The table of models takes an eighth of a byte for every id ever
/// given out, so that a forged snapshot cannot ask for more than half a GiB.
pub const MAX_MODEL_ID: u64 = 1 << 32;

/// Most bytes that a root model may persist: the board, the list, the document as text. It travels with every snapshot,
/// and a joiner gets it in addition; what is larger belongs into blobs, whose handles may stand in it.
pub const MAX_PERSISTED: usize = 1024 * 1024;
