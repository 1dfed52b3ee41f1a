//! Taping what goes into the model, in a program with the feature `recording`.

use super::Client;
use crate::taped::Taped;

impl Client {
    /// From now on remembers all that goes into the model, for [`take_tape`](Self::take_tape). Before the first
    /// join it begins with that. The tape is plain, even if the session has a password. Does nothing if the tape
    /// runs already.
    pub fn start_tape(&mut self) {
        if self.tape.is_running() {
            return;
        }
        self.tape.start();
        // A model that cannot be saved now is taped from its next beginning on.
        if let Some(vm) = self.model.vm()
            && let Ok(snapshot) = vm.snapshot()
        {
            let timeline = self.connection.timeline().unwrap_or_default();
            self.tape.begin(|| self.identity.head(), Some(snapshot.into()), vm, timeline);
        }
    }

    /// Stops the tape. What was not taken is gone.
    pub fn stop_tape(&mut self) {
        self.tape.stop();
    }

    /// What has gone into the model since the last call. Call it after every [`step`](Self::step): the model stands
    /// still while much waits here.
    pub fn take_tape(&mut self) -> Vec<Taped> {
        self.tape.take()
    }
}
