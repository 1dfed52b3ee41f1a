//! The deterministic virtual machine: models, events, time, random, snapshots.
