//! Sessions that a reflector has stored, turned into recordings; and recordings turned into sessions
//! that a reflector can go on with.
//!
//! What a reflector has is sealed if there is a password. Only who knows it can open or make it.

use std::sync::Arc;

use teatime_base::{Binding, BrokenSealError, Seal};
use teatime_blobs::Space;
use teatime_vm::recording::{Head, Input, Recording};
use teatime_vm::{External, MigrationError, SnapshotError, StateHash, Time, Vm, VmError};
use teatime_wire::{
    Archive, Beginning, Digest, Event, ServerMessage, SnapshotInfo, Trailer, Views, VoteRequest,
    limits,
};

use crate::config::{Config, ConfigError};

use crate::input::view_info;
use crate::step::event_of;
use crate::trailer::{end_with_trailer, open_persisted};

/// Why what was stored cannot be read, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It has a password, and none was given.
    #[error("this session has a password")]
    NeedsPassword,
    /// It has no password, and one was given.
    #[error("this session has no password")]
    NoPassword,
    /// It has another password.
    #[error("the password is wrong")]
    WrongPassword,
    /// The snapshot is not the one that was voted for.
    #[error("the stored snapshot is not the one that was voted for")]
    OtherSnapshot,
    /// What stands behind the snapshot, what is persisted and which blobs are needed, is damaged.
    #[error("the stored snapshot: what stands behind it is cut short")]
    Trailer,
    /// What the session began with, as another version of the app had persisted it, cannot be used.
    #[error(transparent)]
    Persisted(#[from] MigrationError),
    /// The session did not begin with that.
    #[error(transparent)]
    Start(#[from] VmError),
    /// The snapshot cannot be opened.
    #[error("the stored snapshot: {0}")]
    Sealed(#[from] BrokenSealError),
    /// A message is none.
    #[error("the stored message after {after}: {why}")]
    Message {
        /// Sequence number of the one before.
        after: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A message is out of order, or of a kind that is not stored.
    #[error("the stored message after {after} is not the next one")]
    Order {
        /// Sequence number of the one before.
        after: u64,
    },
    /// The state cannot be saved, or is none of this session's app.
    #[error("the state: {0}")]
    Snapshot(#[from] SnapshotError),
    /// The state is of a time, or has a number, that no session reaches.
    #[error("the state is of {time} \u{b5}s and event {seq}, which no session reaches")]
    Late {
        /// Its time in µs.
        time: u64,
        /// The sequence number of the last event.
        seq: u64,
    },
    /// The state is larger than a session may have.
    #[error("the state has {size} bytes, {most} are allowed", most = limits::MAX_SNAPSHOT)]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
}

/// All that a reflector has of the session with this configuration. With a password it takes some
/// 30 ms to find out whether that is right.
pub fn open(config: &Config, archive: &Archive) -> Result<Recording, ArchiveError> {
    config.check()?;
    let session = config.session_id();
    let mut seal = Seal::new(session, &config.room_keys());
    match (seal.password_proof(), archive.password_proof) {
        (one, other) if one == other => {}
        (None, Some(_)) => return Err(ArchiveError::NeedsPassword),
        (Some(_), None) => return Err(ArchiveError::NoPassword),
        _ => return Err(ArchiveError::WrongPassword),
    }
    let mut reached = (0, 0);
    let mut base = None;
    if let Some((info, sealed)) = &archive.snapshot {
        if Digest::of(sealed) != info.hash {
            return Err(ArchiveError::OtherSnapshot);
        }
        let length = Trailer::snapshot_length(sealed).map_err(|_| ArchiveError::Trailer)?;
        let mut sealed = sealed[..length].to_vec();
        base = Some(Arc::from(seal.open(Binding::Snapshot(info.seq), &mut sealed)?));
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
        let next = input(&mut seal, &message).ok_or(ArchiveError::Order { after })?;
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

/// What an ordered message is to the models, and its number. Nothing if it is no ordered one.
fn input(seal: &mut Seal, message: &ServerMessage<'_>) -> Option<(u64, Input)> {
    Some(match message {
        ServerMessage::Event(Event { seq, time, sender, counter, payload }) => {
            let mut sealed = payload.to_vec();
            let opened = seal.open(Binding::Event(*sender, *counter), &mut sealed);
            let external = opened.ok().and_then(event_of).map_or(
                // As for those who were there: nobody can read it.
                External::Marker,
                |(scope, event, payload)| External::Event {
                    sender: *sender,
                    scope,
                    event,
                    payload,
                },
            );
            (*seq, Input::new(Time::from_micros(*time), &external))
        }
        ServerMessage::Views(Views { seq, time, exited, joined, .. }) => {
            let exited: Vec<_> = exited.iter().map(|view| view_info(seal, view)).collect();
            let joined: Vec<_> = joined.iter().map(|view| view_info(seal, view)).collect();
            let external = External::Presence { exited: &exited, joined: &joined };
            (*seq, Input::new(Time::from_micros(*time), &external))
        }
        ServerMessage::VoteRequest(VoteRequest { seq, time }) => {
            (*seq, Input::new(Time::from_micros(*time), &External::Marker))
        }
        _ => return None,
    })
}

/// A session with this configuration that begins with the state of another. `entropy` must be bytes
/// that nobody can guess and that are used for nothing else.
pub fn begin(config: &Config, state: &Vm, entropy: [u8; 16]) -> Result<Beginning, ArchiveError> {
    config.check()?;
    let session = config.session_id();
    let snapshot: Arc<[u8]> = state.snapshot_for(session)?.into();
    // Whoever joins will do the same.
    Vm::restore(&config.app, &snapshot)?;
    let keys = config.room_keys();
    let mut seal = Seal::new(session, &keys);
    seal.start_connection(entropy);
    let (seq, time) = (state.seq(), state.time().as_micros());
    if seq.max(time) > limits::MAX_TIME_OR_SEQ {
        return Err(ArchiveError::Late { time, seq });
    }
    let sealed = seal.seal_snapshot(seq, StateHash::of(&snapshot).0, &snapshot);
    let (version, space) = (config.app.version(), Space::of(&keys));
    let sealed = end_with_trailer(sealed, &snapshot, state.persisted(), version, &mut seal, &space);
    let size = sealed.len() as u64;
    if size > limits::MAX_SNAPSHOT {
        return Err(ArchiveError::TooLarge { size });
    }
    let views = state.view_infos().map(|view| {
        let id = view.view_id;
        let data = view.view_data.as_deref();
        (id, data.map(|data| seal.seal(Binding::ViewData(id), data)))
    });
    Ok(Beginning {
        room: config.room(&keys),
        views: views.collect(),
        password_proof: seal.password_proof(),
        ticks_per_second: config.ticks_per_second,
        info: SnapshotInfo { seq, time, hash: Digest(StateHash::of(&sealed).0), size },
        snapshot: sealed.to_vec(),
    })
}
