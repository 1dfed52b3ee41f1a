//! Plays recordings.

use super::{Recording, RecordingError};
use crate::app::App;
use crate::external::Input;
use crate::time::Time;
use crate::vm::Vm;

/// Up to where a recording is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To its end.
    End,
    /// Until the event with this sequence number has been handled.
    Seq(u64),
    /// Until this session time has been reached.
    Time(Time),
}

/// Plays a recording, event by event.
#[derive(Debug)]
pub struct Player<'a> {
    vm: Vm,
    recording: &'a Recording,
    next: usize,
}

impl Recording {
    /// The state at some point of the recording. The app must be the recorded one, in the same version.
    ///
    /// # Errors
    /// What stands in the way: another app or version, a base that cannot be restored, inputs that are
    /// out of order.
    pub fn replay(&self, app: &App, until: Until) -> Result<Vm, RecordingError> {
        let mut player = self.player(app)?;
        player.play(until)?;
        Ok(player.into_vm())
    }

    /// A player at the beginning of the recording. The app must be the recorded one, in the same version.
    ///
    /// # Errors
    /// Another app or version, or a base that cannot be restored.
    pub fn player(&self, app: &App) -> Result<Player<'_>, RecordingError> {
        self.head.check(app)?;
        let vm = match &self.base {
            Some(snapshot) => Vm::restore(app, snapshot)?,
            None => Vm::new(app, self.head.session, &self.head.options)?,
        };
        if vm.seq() != self.from || vm.session_id() != self.head.session {
            let what = "the snapshot at its beginning is of another session or position";
            return Err(RecordingError::Content(what.to_owned()));
        }
        Ok(Player { vm, recording: self, next: 0 })
    }
}

impl<'a> Player<'a> {
    /// The state that has been reached.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// The state that has been reached, owned, to go on from there.
    pub fn into_vm(self) -> Vm {
        self.vm
    }

    /// The state that has been reached, to [watch](Vm::watch) topics and to take what was published.
    pub fn vm_mut(&mut self) -> &mut Vm {
        &mut self.vm
    }

    /// The next input.
    pub fn peek(&self) -> Option<&'a Input> {
        self.recording.inputs.get(self.next)
    }

    /// Plays the next input, and before it the future messages that are due by its time. `None` at the end.
    ///
    /// # Errors
    /// [`RecordingError::Order`].
    pub fn step(&mut self) -> Result<Option<&'a Input>, RecordingError> {
        let Some(input) = self.peek() else { return Ok(None) };
        self.vm.deliver(input.time, self.vm.seq() + 1, &input.external())?;
        self.next += 1;
        Ok(Some(input))
    }

    /// Plays up to some point, or to the end if that is earlier.
    ///
    /// # Errors
    /// [`RecordingError::Order`].
    pub fn play(&mut self, until: Until) -> Result<(), RecordingError> {
        let (time, seq) = match until {
            Until::End => (self.recording.until.0, u64::MAX),
            Until::Seq(seq) => (Time::ZERO, seq),
            Until::Time(time) => (time.min(self.recording.until.0), u64::MAX),
        };
        let is_due = |input: &Input| seq < u64::MAX || input.time <= time;
        while self.vm.seq() < seq && self.peek().is_some_and(is_due) {
            self.step()?;
        }
        while !self.vm.advance(time, u64::MAX) {}
        Ok(())
    }
}
