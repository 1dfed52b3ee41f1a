//! Recordings: a state and what came after it, to be played again anywhere.
//!
//! As a file it can be written while the session goes on, and read up to wherever it ends: see
//! [`Encoder`] and [`Recording::decode_part`]. Everything in it is plain, also if the session has a
//! password.

mod file;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::encode;
use crate::id::{SessionId, ViewId};
use crate::limits::MAX_DEPTH;
use crate::presence::ViewInfo;
use crate::snapshot::SnapshotError;
use crate::time::Time;
use crate::vm::{External, OrderError, Vm, VmError};

pub use file::{Cut, Encoder, FORMAT, MARK};

/// What a file begins with.
pub type Mark = [u8; 8];

/// Changes with the content of files that are [written at once](to_file).
const WHOLE_FORMAT: u8 = 1;

/// Bytes of a file besides its content.
const AROUND: usize = size_of::<Mark>() + 1 + blake3::OUT_LEN;

/// Where a session can be played from, and what is to be played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Of which session it is, and what it was made by.
    pub head: Head,
    /// A snapshot to begin with; without one the session begins anew.
    #[serde(with = "snapshot")]
    pub base: Option<Arc<[u8]>>,
    /// The newest sequence number that the base covers.
    pub from: u64,
    /// What came after it: sequence numbers go up by one.
    pub inputs: Vec<Input>,
    /// Time and sequence number at which it ends.
    pub until: (Time, u64),
}

/// Of which session a recording is, and what it was made by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Id of the app.
    pub app: String,
    /// Its declared version.
    pub app_version: u32,
    /// The identity of the version of its models.
    #[serde(with = "serde_bytes")]
    pub version: [u8; 32],
    /// Identity of the session.
    pub session: SessionId,
    /// The root model's options as MessagePack.
    #[serde(with = "serde_bytes")]
    pub options: Vec<u8>,
    /// Every type of models: its id, and the names of its fields.
    pub schema: Vec<(String, Vec<String>)>,
    /// Version of this library.
    pub library: String,
    /// Processor and operating system, such as `aarch64-linux`.
    pub target: String,
    /// Whether it was built with optimization.
    pub optimized: bool,
}

/// An external event and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Session time.
    pub time: Time,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Content {
    Event {
        sender: ViewId,
        /// Where the event begins, and where the payload does.
        parts: (u32, u32),
        /// Scope, event and payload in one allocation.
        #[serde(with = "serde_bytes")]
        bytes: Box<[u8]>,
    },
    Presence {
        exited: Box<[ViewInfo]>,
        joined: Box<[ViewInfo]>,
    },
    Marker,
}

/// Up to where a recording is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To its end.
    End,
    /// Until this event has been handled.
    Seq(u64),
    /// Until this session time has been reached.
    Time(Time),
}

/// Why bytes are no recording, or not one that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// It begins in another way.
    #[error("this is neither a recording nor the evidence of a divergence")]
    Unknown,
    /// It has been made by another version.
    #[error(
        "this file has format {found}, and only {known} is known: {} version of this program has made it",
        if found > known { "a newer" } else { "an older" }
    )]
    Format {
        /// Its format.
        found: u8,
        /// The one that is known.
        known: u8,
    },
    /// It was changed, or what must be whole was cut short.
    #[error("this file is damaged: its checksum is wrong")]
    Damaged,
    /// It was cut short before the first event.
    #[error("this recording is cut short: not even its beginning is whole")]
    Short,
    /// It does not end as it should; [`Recording::decode_part`] gives what there is.
    #[error("this recording is not whole: {0}")]
    Cut(#[from] Cut),
    /// Its content is none.
    #[error("the content of this file makes no sense: {0}")]
    Content(String),
    /// It is of another app.
    #[error("this is a recording of the app {found:?}, not of {known:?}")]
    App {
        /// The recording's.
        found: String,
        /// What it was to be played with.
        known: String,
    },
    /// It is of another version of the app.
    #[error(
        "this is a recording of another version of the app {app:?} (declared version {found}, here {known}): \
         play it with a program that has the same models"
    )]
    Version {
        /// Id of the app.
        app: String,
        /// Declared version of the recording.
        found: u32,
        /// Declared version of the app here.
        known: u32,
    },
    /// The session cannot be started.
    #[error(transparent)]
    Start(#[from] VmError),
    /// The snapshot that it begins with cannot be restored.
    #[error("the state at its beginning: {0}")]
    Snapshot(#[from] SnapshotError),
    /// Its events are out of order.
    #[error(transparent)]
    Order(#[from] OrderError),
}

impl Head {
    /// For a session of this app, with the root model's options.
    pub fn new(app: &App, session: SessionId, options: &[u8]) -> Self {
        let definitions = app.0.definitions.iter();
        let schema = definitions.map(|one| {
            (one.id.clone(), one.fields.iter().map(|(field, _)| field.clone()).collect())
        });
        Self {
            app: app.id().to_owned(),
            app_version: app.version(),
            version: app.version_hash(),
            session,
            options: options.to_vec(),
            schema: schema.collect(),
            library: env!("CARGO_PKG_VERSION").to_owned(),
            target: [std::env::consts::ARCH, "-", std::env::consts::OS].concat(),
            optimized: !cfg!(debug_assertions),
        }
    }

    /// Whether it is of exactly this version of this app.
    pub fn check(&self, app: &App) -> Result<(), RecordingError> {
        if self.app != app.id() {
            let (found, known) = (self.app.clone(), app.id().to_owned());
            return Err(RecordingError::App { found, known });
        }
        if self.version != app.version_hash() {
            let (found, known) = (self.app_version, app.version());
            return Err(RecordingError::Version { app: self.app.clone(), found, known });
        }
        Ok(())
    }
}

impl Input {
    /// An external event as it comes.
    pub fn new(time: Time, external: &External<'_>) -> Self {
        let at = |length| u32::try_from(length).unwrap_or(u32::MAX);
        let content = match *external {
            External::Event { sender, scope, event, payload } => Content::Event {
                sender,
                parts: (at(scope.len()), at(scope.len() + event.len())),
                bytes: [scope.as_bytes(), event.as_bytes(), payload].concat().into(),
            },
            External::Presence { exited, joined } => {
                Content::Presence { exited: exited.into(), joined: joined.into() }
            }
            External::Marker => Content::Marker,
        };
        Self { time, content }
    }

    /// The event as it came.
    pub fn external(&self) -> External<'_> {
        match &self.content {
            Content::Event { sender, parts: (event, payload), bytes } => {
                let (event, payload) = (*event as usize, *payload as usize);
                // Whatever is none in a recording from elsewhere was refused when it was read.
                let text = |from, to| {
                    let bytes = bytes.get(from..to).unwrap_or_default();
                    std::str::from_utf8(bytes).unwrap_or_default()
                };
                External::Event {
                    sender: *sender,
                    scope: text(0, event),
                    event: text(event, payload),
                    payload: bytes.get(payload..).unwrap_or_default(),
                }
            }
            Content::Presence { exited, joined } => External::Presence { exited, joined },
            Content::Marker => External::Marker,
        }
    }

    /// The memory that it takes.
    pub fn bytes(&self) -> usize {
        let content = match &self.content {
            Content::Event { bytes, .. } => bytes.len(),
            Content::Presence { exited, joined } => {
                let data = |view: &ViewInfo| view.view_data.as_ref().map_or(0, |data| data.len());
                let bytes = |view: &ViewInfo| size_of::<ViewInfo>() + data(view);
                exited.iter().chain(joined).map(bytes).sum()
            }
            Content::Marker => 0,
        };
        size_of::<Self>() + content
    }

    fn is_sound(&self) -> bool {
        let Content::Event { parts: (event, payload), bytes, .. } = &self.content else {
            return true;
        };
        let text = |from: u32, to: u32| {
            let bytes = bytes.get(from as usize..to as usize);
            bytes.is_some_and(|bytes| std::str::from_utf8(bytes).is_ok())
        };
        text(0, *event) && text(*event, *payload)
    }
}

impl Recording {
    /// The bytes of a file.
    pub fn encode(&self) -> Vec<u8> {
        file::encode(self)
    }

    /// Reads the bytes of a file, which may come from anywhere. One that does not end as it should is
    /// refused.
    pub fn decode(file: &[u8]) -> Result<Self, RecordingError> {
        match Self::decode_part(file)? {
            (recording, None) => Ok(recording),
            (_, Some(cut)) => Err(cut.into()),
        }
    }

    /// Reads as much of a file as is there and right, and says how it ends if that is not as it
    /// should: its recorder goes on or was stopped, or the end was lost.
    pub fn decode_part(file: &[u8]) -> Result<(Self, Option<Cut>), RecordingError> {
        file::decode(file)
    }

    /// Whether the events are in order and can be played. What [`decode`](Self::decode) gives is; a
    /// recording that was read as a part of something else is to be asked.
    pub fn check(&self) -> Result<(), RecordingError> {
        let wrong = |what: &str| Err(RecordingError::Content(what.to_owned()));
        if !self.inputs.iter().all(Input::is_sound) {
            return wrong("an event has no topic");
        }
        let newest = self.inputs.last().map_or(Time::ZERO, |input| input.time);
        let number = self.inputs.len() as u64;
        if self.from.checked_add(number) != Some(self.until.1) || newest > self.until.0 {
            return wrong("it does not end where it says");
        }
        Ok(())
    }

    /// The state at some point. The app must be that of the recording, in the same version.
    pub fn replay(&self, app: &App, until: Until) -> Result<Vm, RecordingError> {
        let mut player = self.player(app)?;
        player.play(until)?;
        Ok(player.vm)
    }

    /// Begins to play it, event by event.
    pub fn player(&self, app: &App) -> Result<Player<'_>, RecordingError> {
        self.head.check(app)?;
        let vm = match &self.base {
            Some(snapshot) => Vm::restore(app, snapshot)?,
            None => Vm::new(app, self.head.session, &self.head.options)?,
        };
        if vm.seq() != self.from || vm.session_id() != self.head.session {
            let what = "the state at its beginning is of another place";
            return Err(RecordingError::Content(what.to_owned()));
        }
        Ok(Player { vm, recording: self, next: 0 })
    }
}

/// A recording that is being played.
pub struct Player<'a> {
    vm: Vm,
    recording: &'a Recording,
    next: usize,
}

impl<'a> Player<'a> {
    /// What has been reached.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// The same, for whoever wants to go on from here.
    pub fn into_vm(self) -> Vm {
        self.vm
    }

    /// Listens to what is published, or takes it; see [`Vm::watch`].
    pub fn vm_mut(&mut self) -> &mut Vm {
        &mut self.vm
    }

    /// What comes next.
    pub fn peek(&self) -> Option<&'a Input> {
        self.recording.inputs.get(self.next)
    }

    /// Plays the next event, and before it what is due by its time. Nothing if it was the last.
    pub fn step(&mut self) -> Result<Option<&'a Input>, RecordingError> {
        let Some(input) = self.peek() else { return Ok(None) };
        self.vm.deliver(input.time, self.vm.seq() + 1, &input.external())?;
        self.next += 1;
        Ok(Some(input))
    }

    /// Plays up to some point, or to the end if that is earlier.
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

/// A file of a kind: its mark, the format, the content, and a checksum.
pub fn to_file(mark: &Mark, content: &impl Serialize) -> Vec<u8> {
    let mut file = mark.to_vec();
    file.push(WHOLE_FORMAT);
    encode::append(&mut file, content).expect("what files are made of can be expressed");
    let sum = blake3::hash(&file);
    file.extend(sum.as_bytes());
    file
}

/// Reads what [`to_file`] has made.
pub fn of_file<T: DeserializeOwned>(mark: &Mark, file: &[u8]) -> Result<T, RecordingError> {
    is_mark(mark, file)?;
    if file.len() < AROUND {
        return Err(RecordingError::Damaged);
    }
    let (content, sum) = file.split_at(file.len() - blake3::OUT_LEN);
    if blake3::hash(content).as_bytes() != sum {
        return Err(RecordingError::Damaged);
    }
    match content[mark.len()] {
        WHOLE_FORMAT => {}
        found => return Err(RecordingError::Format { found, known: WHOLE_FORMAT }),
    }
    let mut rest = &content[mark.len() + 1..];
    let mut reader = rmp_serde::Deserializer::new(&mut rest);
    reader.set_max_depth(MAX_DEPTH);
    let content =
        T::deserialize(&mut reader).map_err(|error| RecordingError::Content(error.to_string()))?;
    if !rest.is_empty() {
        return Err(RecordingError::Content("bytes follow it".into()));
    }
    Ok(content)
}

/// Whether a file is of this kind, as far as that can be told from what there is of it.
fn is_mark(mark: &Mark, file: &[u8]) -> Result<(), RecordingError> {
    if file.starts_with(mark) {
        return Ok(());
    }
    let cut = !file.is_empty() && mark.starts_with(file);
    Err(if cut { RecordingError::Damaged } else { RecordingError::Unknown })
}

/// Snapshots in files are byte strings.
pub mod snapshot {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_bytes::{ByteBuf, Bytes};

    /// Writes one, if there is one.
    pub fn serialize<S: Serializer>(
        snapshot: &Option<Arc<[u8]>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        snapshot.as_deref().map(Bytes::new).serialize(serializer)
    }

    /// Reads one, if there is one.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<[u8]>>, D::Error> {
        let snapshot = Option::<ByteBuf>::deserialize(deserializer)?;
        Ok(snapshot.map(|snapshot| snapshot.into_vec().into()))
    }
}
