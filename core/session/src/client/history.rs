//! Which part of the log is history: it was there before this connection was made.

#[derive(Debug, Default)]
pub(super) struct History {
    /// Where the model stood when the connection was made, for the progress of the catch-up.
    from: u64,
    /// Where the log ended when the connection was made.
    until: u64,
    /// Where the log ended when the model was loaded: the model took part in no vote before.
    until_when_loaded: u64,
    /// The snapshot that this connection began with, until the history after it is simulated.
    snapshot: Option<u64>,
}

impl History {
    /// A connection is made to a log that ends here.
    pub(super) fn start_connection(&mut self, until: u64) {
        (self.until, self.snapshot) = (until, None);
    }

    /// The model is the snapshot with this sequence number.
    pub(super) fn restore(&mut self, snapshot: u64) {
        self.snapshot = Some(snapshot);
    }

    /// The snapshot that this connection began with, once all of the history is simulated: once.
    pub(super) fn take_loaded(&mut self, seq: u64) -> Option<u64> {
        self.snapshot.take_if(|_| seq >= self.until)
    }

    /// The model goes on from here.
    pub(super) fn resume(&mut self, seq: u64) {
        self.from = seq;
    }

    /// A model was loaded that stands here.
    pub(super) fn load(&mut self, seq: u64) {
        self.from = seq;
        self.until_when_loaded = self.until;
    }

    /// The model is gone: nothing can catch up.
    pub(super) fn forget(&mut self) {
        (self.until, self.snapshot) = (0, None);
    }

    /// Where the log ended when the connection was made.
    pub(super) fn until(&self) -> u64 {
        self.until
    }

    /// Whether the message with this number was ordered before the connection was made.
    pub(super) fn includes(&self, seq: u64) -> bool {
        seq <= self.until
    }

    /// Whether everything up to this number is all of the history.
    pub(super) fn ends_at(&self, seq: u64) -> bool {
        seq >= self.until
    }

    /// Whether the vote with this number is of a state before the model was loaded.
    pub(super) fn is_before_loading(&self, seq: u64) -> bool {
        seq <= self.until_when_loaded
    }

    /// The part of the history that a model has simulated that stands here, from 0 to 1.
    pub(super) fn progress(&self, seq: u64) -> f32 {
        let done = seq.min(self.until).saturating_sub(self.from);
        match self.until.saturating_sub(self.from) {
            0 => 1.0,
            all => done as f32 / all as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_runs_from_the_snapshot_to_the_end_of_the_log() {
        let mut history = History::default();
        history.start_connection(30);
        history.load(10);
        assert_eq!([10, 20, 30, 40].map(|seq| history.progress(seq)), [0.0, 0.5, 1.0, 1.0]);
        // A reflector that lies: the log ends before its own snapshot.
        history.start_connection(5);
        assert_eq!(history.progress(10), 1.0);
    }
}
