//! How many files and sockets the program may have open.

use crate::terminal::Failure;

/// The fewest with which a program that uses the network can work.
const ENOUGH: u64 = 64;

/// Raises the limit as far as the system lets this user: each client of a reflector needs a descriptor, and the usual
/// limit is 1024.
///
/// # Errors
/// If there are too few to begin with.
#[cfg(unix)]
pub(crate) fn prepare() -> Result<(), Failure> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // macOS refuses "unlimited", and then the limit stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    match getrlimit(Resource::Nofile).current {
        Some(few) if few < ENOUGH => Err(Failure::Failed(
            "LIMIT",
            format!(
                "this program may open {few} files, expected at least {ENOUGH}: raise the limit (ulimit -n {ENOUGH})"
            ),
        )),
        _ => Ok(()),
    }
}

/// How many this program may have open.
#[cfg(unix)]
pub(crate) fn limit() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub(crate) fn limit() -> Option<u64> {
    None
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub(crate) fn prepare() -> Result<(), Failure> {
    Ok(())
}
