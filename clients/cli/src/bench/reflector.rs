//! How much the reflector costs.

use serde_json::Value;

use crate::Failure;

pub(super) fn run(_quick: bool) -> Result<Vec<Value>, Failure> {
    Ok(Vec::new())
}

pub(super) fn serve() -> Result<(), Failure> {
    Ok(())
}
