//! Turns a session that a reflector has stored into a recording, and a state into a session that a reflector can go
//! on with.
//!
//! With a password all that a reflector stores is sealed: only a holder of the password can open or make it.

use std::sync::Arc;

use teatime_base::{Binding, BrokenSealError, Seal, SecretKey};
use teatime_blobs::Space;
use teatime_vm::recording::{Head, Input, Recording};
use teatime_vm::{External, MigrationError, SnapshotError, StateHash, Time, ViewInfo, Vm, VmError};
use teatime_wire::{
    Archive, Beginning, Chain, Digest, Envelope, EnvelopeError, Event, ServerMessage, SnapshotInfo,
    Views, VoteRequest, limits,
};

use crate::config::{Config, ConfigError};
use crate::content::{external, seal_join, view_info};
use crate::envelope::{Contents, HandedIn, open_persisted, split_transcript};
use crate::transcript::Transcript;

/// Why a stored session cannot be opened, or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What was stored is a session of another room: with another password, or without one.
    #[error("the stored session has another password than the room")]
    OtherRoom,
    /// The snapshot is not the one that was voted for.
    #[error("the stored snapshot is not the one that was voted for")]
    OtherSnapshot,
    /// The snapshot is not in a valid envelope.
    #[error("the stored snapshot cannot be used: {0}")]
    Envelope(#[from] EnvelopeError),
    /// The session began with data that a version of the app had persisted, and that cannot be used.
    #[error(transparent)]
    Persisted(#[from] MigrationError),
    /// The session cannot begin with the persisted data.
    #[error(transparent)]
    Start(#[from] VmError),
    /// The snapshot cannot be opened.
    #[error("the stored snapshot cannot be used: {0}")]
    Sealed(#[from] BrokenSealError),
    /// A stored message is not valid.
    #[error("the stored message after number {after} is not valid: {why}")]
    Message {
        /// Sequence number of the message before it.
        after: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A message is out of order, or of a kind that is not ordered.
    #[error("the stored message after number {after} is not the next one in the order")]
    Order {
        /// Sequence number of the message before it.
        after: u64,
    },
    /// The state cannot be saved, or does not belong to this session's app.
    #[error("the state cannot be saved, or is of another app: {0}")]
    Snapshot(#[from] SnapshotError),
    /// The state is further on than any session may get.
    #[error(
        "the state is at {time} \u{b5}s and event {seq}: at most {most} of each are allowed",
        most = limits::MAX_TIME_OR_SEQ
    )]
    Late {
        /// Its time in µs.
        time: u64,
        /// The sequence number of the last event.
        seq: u64,
    },
    /// The state is larger than a session may have.
    #[error("the state has {size} bytes, at most {most} are allowed", most = limits::MAX_SNAPSHOT)]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
}

impl ArchiveError {
    /// The name that programs switch on.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Config(_)
            | Self::OtherRoom
            | Self::OtherSnapshot
            | Self::Envelope(_)
            | Self::Persisted(_)
            | Self::Start(_)
            | Self::Sealed(_)
            | Self::Message { .. }
            | Self::Order { .. }
            | Self::Snapshot(_)
            | Self::Late { .. }
            | Self::TooLarge { .. } => "DAMAGED",
        }
    }
}

/// All that a reflector has stored of the session with this configuration, as a recording. With a password this takes
/// some 30 ms longer.
///
/// # Errors
/// If the configuration is not that of the session, or what was stored is damaged.
pub fn open(config: &Config, archive: &Archive) -> Result<Recording, ArchiveError> {
    config.check()?;
    let keys = config.room_keys();
    let session = config.session_in(&keys);
    let mut seal = Seal::new(session, &keys);
    if keys.password_key().map(SecretKey::public) != archive.password_key {
        return Err(ArchiveError::OtherRoom);
    }
    let mut reached = (0, 0);
    let mut base = None;
    // What is wrong with an event only matters here if the participants ignore it.
    let mut transcript = Transcript::new(Chain::start(session, None), seal.has_password());
    if let Some((info, sealed)) = &archive.snapshot {
        if Digest::of(sealed) != info.hash {
            return Err(ArchiveError::OtherSnapshot);
        }
        let (state, _) = Envelope::open(&[sealed])?;
        let mut sealed = sealed[state].to_vec();
        let opened = seal.open(Binding::Snapshot(info.seq), &mut sealed)?;
        let state = if seal.has_password() {
            let (read, state) = split_transcript(opened).ok_or(ArchiveError::OtherSnapshot)?;
            transcript = Transcript::read(info.seq, read).ok_or(ArchiveError::OtherSnapshot)?;
            state
        } else {
            opened
        };
        base = Some(Arc::from(state));
        reached = (info.seq, info.time);
    } else if let Some((version, sealed)) = &archive.persisted {
        let opened = open_persisted(&mut seal, *version, sealed.clone());
        let damaged = || "it is not what was persisted".to_owned();
        let opened =
            opened.ok_or_else(|| MigrationError::Damaged { version: 0, why: damaged() })?;
        let vm = Vm::begin(&config.app, session, &config.options, Some(&opened));
        let vm = vm.map_err(|error| match error {
            VmError::Migration(error) => ArchiveError::Persisted(error),
            error => ArchiveError::Start(error),
        })?;
        base = Some(vm.snapshot()?.into());
    }
    let from = reached.0;
    let mut inputs = Vec::with_capacity(archive.messages.len());
    for frame in &archive.messages {
        let after = reached.0;
        let message = ServerMessage::decode(frame);
        let message =
            message.map_err(|error| ArchiveError::Message { after, why: error.to_string() })?;
        let next =
            input(&mut seal, &mut transcript, &message).ok_or(ArchiveError::Order { after })?;
        let (seq, input) = next;
        let time = input.time.as_micros();
        if after.checked_add(1) != Some(seq) || time < reached.1 {
            return Err(ArchiveError::Order { after });
        }
        reached = (seq, time);
        inputs.push(input);
    }
    let head = Head::new(&config.app, session, &config.options);
    let until = (Time::from_micros(reached.1.max(archive.time)), reached.0);
    Ok(Recording { head, base, from, inputs, until })
}

/// What an ordered message is to the models, and its number. `None` for other messages.
fn input(
    seal: &mut Seal,
    transcript: &mut Transcript,
    message: &ServerMessage<'_>,
) -> Option<(u64, Input)> {
    Some(match message {
        ServerMessage::Event(Event { seq, time, sender, counter, payload }) => {
            let mut sealed = payload.to_vec();
            let opened = seal.open(Binding::Event(*sender, *counter), &mut sealed);
            let (content, _) = transcript.place(*seq, (*sender, *counter), opened);
            let external = external(*sender, content);
            (*seq, Input::new(Time::from_micros(*time), &external))
        }
        ServerMessage::Views(Views { seq, time, exited, joined, .. }) => {
            let exited: Vec<_> = exited.iter().map(|view| view_info(seal, view).0).collect();
            let (joined, attempts): (Vec<_>, Vec<_>) =
                joined.iter().map(|view| view_info(seal, view)).unzip();
            let ids =
                |views: &[ViewInfo]| -> Vec<_> { views.iter().map(|view| view.view_id).collect() };
            let come = ids(&joined).into_iter().zip(attempts);
            transcript.change_views(ids(&exited).into_iter(), come);
            let external = External::Presence { exited: &exited, joined: &joined };
            (*seq, Input::new(Time::from_micros(*time), &external))
        }
        ServerMessage::VoteRequest(VoteRequest { seq, time }) => {
            (*seq, Input::new(Time::from_micros(*time), &External::Marker))
        }
        _ => return None,
    })
}

/// A session with this configuration that begins with the state of another. `entropy` must be bytes that no other party
/// can guess, and that are used for nothing else.
///
/// # Errors
/// If the configuration is not valid, or its app cannot go on from that state.
pub fn begin(config: &Config, state: &Vm, entropy: [u8; 16]) -> Result<Beginning, ArchiveError> {
    config.check()?;
    let keys = config.room_keys();
    let session = config.session_in(&keys);
    let snapshot: Arc<[u8]> = state.snapshot_for(session)?.into();
    // Every client that joins will do the same.
    Vm::restore(&config.app, &snapshot)?;
    let mut seal = Seal::new(session, &keys);
    seal.start_connection(entropy);
    let (seq, time) = (state.seq(), state.time().as_micros());
    if seq.max(time) > limits::MAX_TIME_OR_SEQ {
        return Err(ArchiveError::Late { time, seq });
    }
    let hash = StateHash::of(&snapshot);
    let chain = Chain::start(session, Some(Digest(hash.0)));
    let mut transcript = Transcript::new(chain, keys.has_password());
    transcript.restart(seq, Transcript::new(chain, keys.has_password()));
    let present = state.view_infos().map(|view| (view.view_id, Some(0)));
    transcript.change_views([].into_iter(), present);
    let contents = Contents {
        seq,
        state: &snapshot,
        hash,
        transcript: transcript.store(seq),
        persisted: state.persisted(),
        app_version: config.app.version(),
    };
    let handed_in = HandedIn::new(&contents, &mut seal, &Space::of(&keys));
    let size = handed_in.size();
    if size > limits::MAX_SNAPSHOT {
        return Err(ArchiveError::TooLarge { size });
    }
    let views = state.view_infos().map(|view| {
        let id = view.view_id;
        let data = view.view_data.as_deref();
        if keys.has_password() {
            (id, Some(seal_join(&mut seal, id, 0, data)))
        } else {
            (id, data.map(<[u8]>::to_vec))
        }
    });
    Ok(Beginning {
        room: config.room(&keys),
        views: views.collect(),
        password_key: keys.password_key().map(SecretKey::public),
        ticks_per_second: config.ticks_per_second,
        info: SnapshotInfo { seq, time, hash: handed_in.hash(), size, chain: chain.value() },
        snapshot: handed_in.to_vec(),
    })
}
