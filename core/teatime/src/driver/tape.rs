//! Recording a session while it runs.

use std::io;
use std::path::Path;

use teatime_session::{Client, SessionEvent};
use teatime_vm::{Fault, FaultKind};

use super::Driver;
use crate::evidence;
use crate::recorder::Recorder;
use crate::recording::Recorded;

/// What a driver records: its inputs, if the app asked for that, and what led to the first fault.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    recorder: Option<Recorder>,
    /// Tells where the recording of the fault is. The owner pulls it after the fault itself.
    fault_recorded: Option<SessionEvent>,
    /// Only the first fault is recorded: a handler may fail at every tick.
    has_recorded_fault: bool,
}

impl Tape {
    /// Writes the inputs that the client has taken in since the last time.
    pub(crate) fn write(&mut self, client: &mut Client) {
        let Some(recorder) = &mut self.recorder else { return };
        recorder.add(client.take_tape(), client.now());
        if recorder.is_full() {
            // The next file begins with the state as it is now.
            client.stop_tape();
            client.start_tape();
        }
    }

    /// The event that follows the recorded fault, once.
    pub(crate) fn take_event(&mut self) -> Option<SessionEvent> {
        self.fault_recorded.take()
    }

    /// Records what led to this event if it is the first fault.
    pub(crate) fn record_fault(&mut self, event: &SessionEvent, client: &Client) {
        if let SessionEvent::Fault(fault) = event
            && !self.has_recorded_fault
        {
            self.fault_recorded = save_fault(fault, client);
            self.has_recorded_fault = self.fault_recorded.is_some();
        }
    }

    /// Ends a recording that the app did not end. An app that wants to see errors calls
    /// [`Driver::stop_recording`].
    pub(crate) fn close(&mut self, client: &mut Client) {
        let _ = self.stop(client);
    }

    fn start(&mut self, path: &Path, client: &mut Client) -> io::Result<()> {
        if self.recorder.is_some() {
            let why = "this session is being recorded already";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
        }
        self.recorder = Some(Recorder::create(path)?);
        client.start_tape();
        self.write(client);
        Ok(())
    }

    fn stop(&mut self, client: &mut Client) -> io::Result<Recorded> {
        self.write(client);
        client.stop_tape();
        self.recorder.take().map_or_else(|| Ok(Recorded::default()), Recorder::finish)
    }
}

/// Writes what led to a failed handler into the directory for evidence. Does nothing if the app named none.
fn save_fault(fault: &Fault, client: &Client) -> Option<SessionEvent> {
    let directory = client.config().evidence_dir.as_deref()?;
    if !matches!(fault.kind, FaultKind::Panicked(_) | FaultKind::Failed(_)) {
        return None;
    }
    let recording = client.recording().filter(|recording| recording.from <= fault.seq);
    let saved = match recording {
        Some(recording) => evidence::write(
            &recording.encode(),
            directory,
            client,
            fault.seq,
            "fault",
            evidence::RECORDING,
        ),
        None => Err("the inputs that led to the fault were too many to record".to_owned()),
    };
    Some(SessionEvent::FaultRecorded(saved))
}

impl Driver {
    /// Records all inputs of the model from now on into a new file. If this comes before the first
    /// [`step`](Self::step), the recording begins with the join. See [`recording`](crate::recording).
    ///
    /// # Errors
    /// The file exists or cannot be made, or the session is being recorded already.
    pub fn record(&mut self, path: &Path) -> io::Result<()> {
        self.tape.start(path, &mut self.client)
    }

    /// Ends the recording and says which files there are; none if nothing was recorded.
    ///
    /// # Errors
    /// A file could not be written. What was written before can be read.
    pub fn stop_recording(&mut self) -> io::Result<Recorded> {
        self.tape.stop(&mut self.client)
    }

    /// Why the recording has ended by itself, if it has.
    pub fn recording_error(&self) -> Option<&io::Error> {
        self.tape.recorder.as_ref()?.error()
    }
}
