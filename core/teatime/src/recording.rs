//! Recordings: sessions as files that can be played again, up to any point of them.
//!
//! [`Session::record`](crate::Session::record) writes down all that goes into the model, as it comes: the
//! state that it begins with and every event after it. So a file whose program was killed is good up to
//! there. **What it holds is plain, also if the session has a password**, and only this user can read it.
//! Such a file is also what [`Config::evidence_dir`](crate::Config) keeps of the first handler that panics,
//! and a part of the [evidence](crate::evidence) of a client that diverged: [`read`] takes each of them.
//! So do `teatime replay` and `teatime branch`, for the apps whose models they have.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use teatime::{App, Config, Cx, Session, View, ViewContext, handlers, model};
//! use teatime::recording::{Until, read};
//! # #[model(id = "tally", version = 1)]
//! # struct Tally { count: u64 }
//! # #[handlers]
//! # impl Tally { fn init(_: &mut Cx<Self>, _: &()) -> Self { Self { count: 0 } } }
//! # struct TallyView;
//! # impl View for TallyView {
//! #     type Model = Tally;
//! #     fn attach(_: &mut ViewContext<'_, Self>) -> Self { Self }
//! # }
//!
//! let app = App::builder::<Tally>("org.example.tally").build()?;
//! let config = Config::new(app.clone(), "lobby", &())?;
//! let mut session = Session::<TallyView>::join(config, "ws://127.0.0.1:9090")?;
//! session.record("lobby.recording".as_ref())?;
//! while session.now().as_micros() < 10_000_000 {
//!     session.step(Duration::from_millis(50));
//!     session.wait(Duration::from_millis(50));
//! }
//! session.stop_recording()?;
//!
//! let opened = read("lobby.recording".as_ref())?;
//! if let Some(cut) = &opened.cut {
//!     eprintln!("{cut}");
//! }
//! let vm = opened.recording.replay(&app, Until::Seq(3))?;
//! println!("{} after event 3, at {}", vm.hash()?, vm.time());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a reflector has stored is a recording too, for whoever has the session's [`Config`], and any
//! state can be the beginning of another session: see [`of_archive`] and [`branch`].

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use teatime_session::archive::{ArchiveError, open as of_archive};
use teatime_session::{Config, Taped};
pub use teatime_vm::recording::*;
use teatime_vm::{Time, Vm};
pub use teatime_wire::{Archive, Beginning};

pub use crate::evidence::ReadError;
use crate::evidence::{Evidence, private_file, read_bytes};

/// What a file had to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// What can be played. Of a client that diverged: from the newest state that it had in common with
    /// the others; if that was too long ago, only the state that it had at the end.
    pub recording: Recording,
    /// How it ends if that is not as it should.
    pub cut: Option<Cut>,
    /// The evidence that it is a part of.
    pub evidence: Option<Box<Evidence>>,
}

/// Reads a recording, or a file of evidence. It may come from anywhere.
pub fn read(path: &Path) -> Result<Opened, ReadError> {
    let file = read_bytes(path)?;
    let known = file.len().min(MARK.len());
    if known > 0 && file[..known] == MARK[..known] {
        let (recording, cut) = Recording::decode_part(&file)?;
        return Ok(Opened { recording, cut, evidence: None });
    }
    let evidence = Evidence::decode(&file)?;
    let recording = evidence.recording.clone().unwrap_or_else(|| Recording {
        head: evidence.head.clone(),
        base: evidence.own.clone(),
        from: evidence.seq,
        inputs: Vec::new(),
        until: (evidence.time, evidence.seq),
    });
    Ok(Opened { recording, cut: None, evidence: Some(Box::new(evidence)) })
}

/// Why a state cannot be the beginning of another session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BranchError {
    /// It cannot be made.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The operating system has no random numbers.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The session with this configuration, beginning with the state of another: what a reflector can be
/// given as if it had stored it. Whoever was there is gone soon: models hear of their exits. The random
/// numbers are others from there on, and a model that keeps the session's id in its own state keeps the
/// old one.
pub fn branch(config: &Config, state: &Vm) -> Result<Beginning, BranchError> {
    let mut entropy = [0; 16];
    getrandom::fill(&mut entropy).map_err(io::Error::other)?;
    Ok(teatime_session::archive::begin(config, state, entropy)?)
}

/// What has been recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// The files: another one for each time when the client had missed too much to go on where it was.
    pub files: Vec<PathBuf>,
    /// How many events there are in all of them.
    pub events: u64,
    /// Session time and sequence number of the end.
    pub until: (Time, u64),
}

/// Writes down what goes into a model.
pub(crate) struct Recorder {
    /// Where it was asked to.
    path: PathBuf,
    /// Made and not begun.
    empty: Option<File>,
    part: Option<Part>,
    recorded: Recorded,
    error: Option<io::Error>,
}

/// A file, and how far it goes.
struct Part {
    file: File,
    encoder: Encoder,
    timeline: u64,
    seq: u64,
    time: Time,
}

/// Time passes also if nothing happens; so often that is written down, in µs.
const TIME_STEP: u64 = 1_000_000;

impl Recorder {
    /// Makes the file, which must not be there.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = private_file().open(path)?;
        let recorded = Recorded { files: vec![path.to_owned()], ..Recorded::default() };
        let (empty, part, error) = (Some(file), None, None);
        Ok(Self { path: path.to_owned(), empty, part, recorded, error })
    }

    /// Writes what has come. If that fails, nothing more is written.
    pub(crate) fn add(&mut self, taped: Vec<Taped>, now: Time) {
        if self.error.is_none()
            && let Err(error) = self.try_add(taped, now)
        {
            self.error = Some(error);
        }
    }

    pub(crate) fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    fn try_add(&mut self, taped: Vec<Taped>, now: Time) -> io::Result<()> {
        let mut inputs = Vec::new();
        for one in taped {
            match one {
                Taped::Began { head, base, seq, time, timeline } => {
                    self.write(&std::mem::take(&mut inputs), Time::ZERO)?;
                    let is_known = |part: &Part| part.timeline == timeline && seq <= part.seq;
                    if !self.part.as_ref().is_some_and(is_known) {
                        let began = (timeline, seq, time);
                        self.begin(&head, base.as_deref(), began)?;
                    }
                }
                Taped::Input(seq, input) => {
                    // What is there already comes again after the model was loaded anew.
                    let next = self.part.as_ref().map(|part| part.seq + inputs.len() as u64 + 1);
                    if next == Some(seq) {
                        inputs.push(input);
                    }
                }
            }
        }
        self.write(&inputs, now)
    }

    fn begin(
        &mut self,
        head: &Head,
        base: Option<&[u8]>,
        (timeline, seq, time): (u64, u64, Time),
    ) -> io::Result<()> {
        self.end()?;
        let mut file = match self.empty.take() {
            Some(file) => file,
            None => {
                let path = self.next_path();
                let file = private_file().open(&path)?;
                self.recorded.files.push(path);
                file
            }
        };
        let mut bytes = Vec::new();
        let encoder = Encoder::begin(head, base, seq, time, &mut bytes);
        file.write_all(&bytes)?;
        self.recorded.until = (time, seq);
        self.part = Some(Part { file, encoder, timeline, seq, time });
        Ok(())
    }

    fn write(&mut self, inputs: &[Input], now: Time) -> io::Result<()> {
        let Some(part) = &mut self.part else { return Ok(()) };
        let newest = inputs.last().map_or(part.time, |input| input.time);
        let reached = newest.max(now).max(part.time);
        let passed = reached.as_micros() - part.time.as_micros();
        if inputs.is_empty() && passed < TIME_STEP {
            return Ok(());
        }
        let mut bytes = Vec::new();
        part.encoder.add(inputs, reached, &mut bytes);
        part.file.write_all(&bytes)?;
        part.seq += inputs.len() as u64;
        part.time = reached;
        self.recorded.events += inputs.len() as u64;
        self.recorded.until = (reached, part.seq);
        Ok(())
    }

    /// Beside the first: `lobby-2.recording` follows `lobby.recording`.
    fn next_path(&self) -> PathBuf {
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{}", self.recorded.files.len() + 1));
        if let Some(extension) = self.path.extension() {
            name.push(".");
            name.push(extension);
        }
        self.path.with_file_name(name)
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(Part { mut file, encoder, .. }) = self.part.take() else { return Ok(()) };
        let mut bytes = Vec::new();
        encoder.end(&mut bytes);
        file.write_all(&bytes)?;
        file.sync_all()
    }

    /// Says in the file that this was all.
    pub(crate) fn finish(mut self) -> io::Result<Recorded> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.end()?;
        if self.empty.take().is_some() {
            // There was nothing to write.
            fs::remove_file(&self.path)?;
            self.recorded.files.clear();
        }
        Ok(std::mem::take(&mut self.recorded))
    }
}

#[cfg(test)]
mod tests {
    use teatime_session::Config;
    use teatime_vm::{App, External, ForeignModel, SessionId};

    use super::*;

    fn began(base: Option<&[u8]>, seq: u64, timeline: u64) -> Taped {
        let nothing = ForeignModel {
            id: "nothing".to_owned(),
            version: 1,
            handlers: Vec::new(),
            queries: Vec::new(),
            init: Box::new(|_, _| Err("there is none".to_owned())),
            load: Box::new(|_| Err("there is none".to_owned())),
        };
        let app = App::builder_without_root("test.nothing").foreign_model(nothing);
        let app = app.build().expect("it is sound");
        let config = Config::new(app.clone(), "room", &()).expect("nothing can be encoded");
        let head = Box::new(Head::new(&app, SessionId([1; 32]), &config.options));
        Taped::Began { head, base: base.map(Into::into), seq, time: time(seq), timeline }
    }

    fn time(seq: u64) -> Time {
        Time::from_micros(seq * 1_000)
    }

    fn inputs(seqs: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = Taped> {
        seqs.map(|seq| Taped::Input(seq, Input::new(time(seq), &External::Marker)))
    }

    #[test]
    fn a_model_that_was_loaded_anew_is_recorded_on_where_it_was_if_nothing_is_missing() {
        let directory =
            std::env::temp_dir().join(format!("teatime-recorder-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("it can be made");
        let path = directory.join("a.b.recording");
        let mut recorder = Recorder::create(&path).expect("it can be made");
        let first = [began(None, 0, 1)].into_iter().chain(inputs(1..=3));
        recorder.add(first.collect(), time(3));
        // Of the same log, from before what is there; then with a gap; then of another log.
        let again = [began(Some(b"x"), 2, 1)].into_iter().chain(inputs(3..=4));
        let gap = [began(Some(b"y"), 9, 1)].into_iter().chain(inputs(10..=10));
        let other = [began(Some(b"z"), 9, 2)].into_iter().chain(inputs(10..=12));
        recorder.add(again.chain(gap).chain(other).collect(), time(12));
        let recorded = recorder.finish().expect("it is written");
        let files = ["a.b.recording", "a.b-2.recording", "a.b-3.recording"];
        assert_eq!(recorded.files, files.map(|name| directory.join(name)));
        assert_eq!((recorded.events, recorded.until), (8, (time(12), 12)));
        let of = |name: &str| {
            let opened = read(&directory.join(name)).expect("it is one");
            assert_eq!(opened.cut, None);
            let Recording { from, until, base, .. } = opened.recording;
            (base.is_some(), from, until.1)
        };
        assert_eq!(files.map(of), [(false, 0, 4), (true, 9, 10), (true, 9, 12)]);
        fs::remove_dir_all(&directory).expect("it goes");
    }

    #[test]
    fn time_is_written_down_also_if_nothing_happens() {
        let name = format!("teatime-recorder-{}.recording", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        let mut recorder = Recorder::create(&path).expect("it can be made");
        let late = Time::from_micros(TIME_STEP);
        recorder.add(vec![began(None, 0, 1)], Time::ZERO);
        let length = || path.metadata().expect("it is there").len();
        let empty = length();
        recorder.add(Vec::new(), Time::from_micros(TIME_STEP - 1));
        assert_eq!(length(), empty);
        recorder.add(Vec::new(), late);
        let opened = read(&path).expect("it is one");
        assert_eq!((opened.recording.until, opened.cut), ((late, 0), Some(Cut::Open)));
        recorder.finish().expect("it is written");
        fs::remove_file(&path).expect("it goes");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_ends_the_recording_and_is_told() {
        let full = File::options().write(true).open("/dev/full").expect("there is one");
        let mut recorder = Recorder {
            path: "/dev/full".into(),
            empty: Some(full),
            part: None,
            recorded: Recorded::default(),
            error: None,
        };
        recorder.add(vec![began(None, 0, 1)], Time::ZERO);
        let told = recorder.error().map(io::Error::kind);
        assert_eq!(told, Some(io::ErrorKind::StorageFull));
        // It stays at that.
        recorder.add(inputs(1..=1).collect(), time(1));
        let kind = recorder.finish().expect_err("it was not written").kind();
        assert_eq!(kind, io::ErrorKind::StorageFull);
    }
}
