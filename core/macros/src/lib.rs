//! What makes a plain struct a replicated model.
