//! How a benchmark fails.

/// Why nothing was measured, for the user.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
