//! The chat model that every front end shares.
