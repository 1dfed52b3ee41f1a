//! What a session offers in a build with recordings.

use std::io;
use std::path::Path;

use super::Session;
use crate::recording::Recorded;
use crate::view::View;

impl<V: View> Session<V> {
    /// Records all inputs of the model from now on into a new file; see [`Driver::record`](crate::Driver::record).
    ///
    /// # Errors
    /// The file exists or cannot be made, or the session is being recorded already.
    pub fn record(&mut self, path: &Path) -> io::Result<()> {
        self.driver.record(path)
    }

    /// Ends the recording; see [`Driver::stop_recording`](crate::Driver::stop_recording).
    ///
    /// # Errors
    /// A file could not be written. What was written before can be read.
    pub fn stop_recording(&mut self) -> io::Result<Recorded> {
        self.driver.stop_recording()
    }
}
