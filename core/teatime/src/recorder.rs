//! Writes the inputs of a model into a file, as they arrive.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use teatime_session::Taped;
use teatime_vm::Time;
use teatime_vm::recording::{Encoder, Head, Input};

use crate::private;
use crate::recording::Recorded;

/// Writes the inputs of a model into files.
pub(crate) struct Recorder {
    /// The first file, as the app named it.
    path: PathBuf,
    /// The first file, before anything is written to it.
    empty: Option<File>,
    part: Option<Part>,
    recorded: Recorded,
    error: Option<io::Error>,
    most_bytes: u64,
}

/// The file that is being written, and where it ends so far.
struct Part {
    file: File,
    encoder: Encoder,
    timeline: u64,
    seq: u64,
    time: Time,
    bytes: u64,
}

/// A file larger than this, in bytes, is followed by another one, because a replay reads a file whole.
const MOST_BYTES: u64 = 1024 * 1024 * 1024;

/// How often the passing of time is recorded while nothing happens, in µs.
const TIME_STEP: u64 = 1_000_000;

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("recorded", &self.recorded)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl Recorder {
    /// Makes the file. Fails if it exists.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = private::new_file().open(path)?;
        let recorded = Recorded { files: vec![path.to_owned()], ..Recorded::default() };
        let (empty, part, error) = (Some(file), None, None);
        let most_bytes = MOST_BYTES;
        Ok(Self { path: path.to_owned(), empty, part, recorded, error, most_bytes })
    }

    /// Writes inputs. After an error it writes no more.
    pub(crate) fn add(&mut self, taped: Vec<Taped>, now: Time) {
        if self.error.is_none()
            && let Err(error) = self.try_add(taped, now)
        {
            self.error = Some(error);
        }
    }

    /// Whether the file is large enough for the recording to go on in another one, which begins with a state.
    pub(crate) fn is_full(&self) -> bool {
        self.part.as_ref().is_some_and(|part| part.bytes > self.most_bytes)
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
                    if self.is_full() || !self.part.as_ref().is_some_and(is_known) {
                        let began = (timeline, seq, time);
                        self.begin(&head, base.as_deref(), began)?;
                    }
                }
                Taped::Input(seq, input) => {
                    // After the model was loaded again, inputs that are in the file already come again.
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
                let file = private::new_file().open(&path)?;
                self.recorded.files.push(path);
                file
            }
        };
        let mut bytes = Vec::new();
        let encoder = Encoder::begin(head, base, seq, time, &mut bytes);
        file.write_all(&bytes)?;
        self.recorded.until = (time, seq);
        let bytes = bytes.len() as u64;
        self.part = Some(Part { file, encoder, timeline, seq, time, bytes });
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
        part.bytes += bytes.len() as u64;
        part.seq += inputs.len() as u64;
        part.time = reached;
        self.recorded.events += inputs.len() as u64;
        self.recorded.until = (reached, part.seq);
        Ok(())
    }

    /// The path of the next file, beside the first: `lobby-2.recording` follows `lobby.recording`.
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

    /// Marks the end in the file.
    pub(crate) fn finish(mut self) -> io::Result<Recorded> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.end()?;
        if self.empty.take().is_some() {
            // The recording has no input.
            fs::remove_file(&self.path)?;
            self.recorded.files.clear();
        }
        Ok(std::mem::take(&mut self.recorded))
    }
}

#[cfg(test)]
mod tests {
    use teatime_session::Config;
    use teatime_vm::{External, SessionId};

    use super::*;
    use crate::evidence::tests::app;
    use crate::recording::{Recording, TruncatedError, read};

    fn began(base: Option<&[u8]>, seq: u64, timeline: u64) -> Taped {
        let app = app();
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
    fn a_recording_continues_in_the_same_file_after_a_reload_without_a_gap() {
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
    fn a_file_that_gets_too_large_is_followed_by_one_that_begins_with_the_state_there() {
        let directory = std::env::temp_dir().join(format!("teatime-large-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("it can be made");
        let mut recorder = Recorder::create(&directory.join("a")).expect("it can be made");
        recorder.most_bytes = 3_000;
        recorder.add(vec![began(None, 0, 1)], time(0));
        for seq in 1..=100 {
            recorder.add(inputs(seq..=seq).collect(), time(seq));
            if recorder.is_full() {
                recorder.add(vec![began(Some(b"state"), seq, 1)], time(seq));
                assert!(!recorder.is_full());
            }
        }
        let recorded = recorder.finish().expect("it is written");
        assert!(recorded.files.len() > 1 && recorded.events == 100, "{recorded:?}");
        let mut next = 0;
        for file in &recorded.files {
            let opened = read(file).expect("it is one");
            assert_eq!((opened.cut, opened.recording.from), (None, next));
            next = opened.recording.until.1;
            assert!(file.metadata().expect("it is there").len() < 4_000);
        }
        assert_eq!(next, 100);
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
        assert_eq!((opened.recording.until, opened.cut), ((late, 0), Some(TruncatedError::Open)));
        recorder.finish().expect("it is written");
        fs::remove_file(&path).expect("it goes");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_ends_the_recording_and_is_reported() {
        let full = File::options().write(true).open("/dev/full").expect("there is one");
        let mut recorder = Recorder {
            path: "/dev/full".into(),
            empty: Some(full),
            part: None,
            recorded: Recorded::default(),
            error: None,
            most_bytes: MOST_BYTES,
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
