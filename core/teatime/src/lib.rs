//! Replicated computation for native apps.
