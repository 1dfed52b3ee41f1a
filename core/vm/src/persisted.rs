//! Data of the root model that outlives the version of the app: what the next version of the app
//! begins its session with.
//!
//! The state of a session belongs to one version of the models. What shall live on is *persisted*: the root
//! model hands over a value of a type of its own, whose layout has a version. A later version of the app
//! declares a later type, and how it is made of the one before; so there is a chain of types, checked by the
//! compiler, from the newest back to the first:
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use teatime_vm::persisted::{self, MigrationError, NoPrevious, Persisted};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct SavedV1 {
//!     title: String,
//! }
//!
//! impl Persisted for SavedV1 {
//!     const VERSION: u32 = 1;
//!     type Previous = NoPrevious;
//!
//!     fn migrate(old: NoPrevious) -> Result<Self, String> {
//!         match old {}
//!     }
//! }
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct SavedV2 {
//!     title: String,
//!     stars: u8,
//! }
//!
//! impl Persisted for SavedV2 {
//!     const VERSION: u32 = 2;
//!     type Previous = SavedV1;
//!
//!     fn migrate(old: SavedV1) -> Result<Self, String> {
//!         Ok(Self { title: old.title, stars: 0 })
//!     }
//! }
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct SavedV3 {
//!     titles: Vec<String>,
//!     stars: u8,
//! }
//!
//! impl Persisted for SavedV3 {
//!     const VERSION: u32 = 3;
//!     type Previous = SavedV2;
//!
//!     fn migrate(old: SavedV2) -> Result<Self, String> {
//!         if old.title.is_empty() {
//!             return Err("there is no title".into());
//!         }
//!         Ok(Self { titles: vec![old.title], stars: old.stars })
//!     }
//! }
//!
//! // Migrations are plain functions, and can be tested without a session.
//! let first = persisted::write(&SavedV1 { title: "tea".into() })?;
//! let third: SavedV3 = persisted::read(&first)?;
//! assert_eq!(third, SavedV3 { titles: vec!["tea".into()], stars: 0 });
//!
//! let untitled = persisted::write(&SavedV1 { title: String::new() })?;
//! let error = persisted::read::<SavedV3>(&untitled).expect_err("it has no title");
//! assert_eq!(error.to_string(), "what was persisted cannot be migrated from version 2 to version 3: there is no title");
//!
//! let newer = persisted::write(&third)?;
//! assert_eq!(persisted::read::<SavedV2>(&newer), Err(MigrationError::Newer { found: 3, known: 2 }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The app says which type is its own, `App::builder::<Board>("org.example.board").version(3).persists::<SavedV3>()`; the
//! root model calls [`Cx::persist`](crate::Cx::persist) whenever there is something new to be kept, and asks for what
//! there was in its `init` by [`Cx::persisted`](crate::Cx::persisted).

use std::any::TypeId;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::AppError;
use crate::encode;
use crate::fault::panic_message;
use crate::limits::MAX_PERSISTED;
use crate::payload;

/// What a root model persists, in one version of its layout.
///
/// Change [`VERSION`](Self::VERSION) with the layout, and keep the type of the layout before as
/// [`Previous`](Self::Previous) as long as somebody may have data of it.
pub trait Persisted: Serialize + DeserializeOwned + 'static {
    /// The version of this layout, more than that of the one before: 1 or more.
    const VERSION: u32;

    /// The layout before, [`NoPrevious`] if this is the first.
    type Previous: Persisted;

    /// Makes this of the layout before, or says why that is not possible: the same from the same on every
    /// participant, as for all that models compute.
    fn migrate(old: Self::Previous) -> Result<Self, String>;
}

/// What is before the first layout: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoPrevious {}

impl Persisted for NoPrevious {
    const VERSION: u32 = 0;
    type Previous = Self;

    fn migrate(old: Self) -> Result<Self, String> {
        match old {}
    }
}

/// What was persisted, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistedData {
    /// The version of its layout.
    pub version: u32,
    /// Canonical MessagePack.
    pub bytes: Arc<[u8]>,
}

/// Why a model could not persist something. What was persisted before stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersistError {
    /// Another model than the root model.
    #[error("only the root model may persist data")]
    NotRoot,
    /// Not of the type that the app has declared.
    #[error("this is not what the app has declared that it persists")]
    NotDeclared,
    /// More than may be persisted.
    #[error("{size} bytes cannot be persisted, {most} at most")]
    TooLarge {
        /// Bytes of it when encoded.
        size: usize,
        /// Bytes allowed.
        most: usize,
    },
    /// It cannot be encoded, or what is encoded cannot be read again.
    #[error("this cannot be persisted: {0}")]
    Encoding(String),
}

/// Why a session cannot begin with what was persisted, which stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// A newer version of the app has persisted it.
    #[error(
        "what was persisted has version {found}, and this version of the app knows {known} at most"
    )]
    Newer {
        /// The version of its layout.
        found: u32,
        /// The newest one that is known.
        known: u32,
    },
    /// There is no way from its version.
    #[error(
        "what was persisted has version {found}, from which no migration leads to version {known}"
    )]
    Unknown {
        /// The version of its layout.
        found: u32,
        /// The one that is wanted.
        known: u32,
    },
    /// It is not what its version says.
    #[error("what was persisted as version {version} is damaged: {why}")]
    Damaged {
        /// The version of its layout, 0 if that cannot be told.
        version: u32,
        /// What is wrong.
        why: String,
    },
    /// A migration has failed, or panicked.
    #[error("what was persisted cannot be migrated from version {from} to version {to}: {why}")]
    Failed {
        /// From which version of the layout.
        from: u32,
        /// To which.
        to: u32,
        /// What it says.
        why: String,
    },
}

/// Migrates bytes of some version to the next one that is known.
pub type ForeignMigration = dyn Fn(&[u8]) -> Result<Vec<u8>, String> + Send + Sync;

/// What an app persists whose root model is no Rust type.
pub struct ForeignPersistence {
    /// The version of its layout, 1 or more.
    pub version: u32,
    /// From which versions it can be migrated, in ascending order: each leads to the next one in the list, the last to
    /// `version`. MessagePack goes in and comes out.
    pub migrations: Vec<(u32, Box<ForeignMigration>)>,
}

/// Makes what was persisted of what was persisted in some version.
type Migrate = dyn Fn(&PersistedData) -> Result<PersistedData, MigrationError> + Send + Sync;

/// What an app persists, as the virtual machine knows it.
pub(crate) struct Persistence {
    pub(crate) version: u32,
    /// The Rust type, if it is one.
    pub(crate) type_id: Option<TypeId>,
    pub(crate) migrate: Box<Migrate>,
}

/// What is persisted when a root model persists this.
///
/// # Errors
/// [`PersistError::TooLarge`], [`PersistError::Encoding`].
pub fn write<T: Persisted>(saved: &T) -> Result<PersistedData, PersistError> {
    let bytes = encode::to_bytes(saved).map_err(|error| not_encoded(&error))?;
    let data = sized(T::VERSION, bytes)?;
    // Now it can still be told to whoever has written the type; later it would be lost.
    payload::decode::<T>(&data.bytes).map_err(|error| not_encoded(&error))?;
    Ok(data)
}

/// The same for what is MessagePack already.
pub(crate) fn write_encoded(version: u32, msgpack: &[u8]) -> Result<PersistedData, PersistError> {
    sized(version, encode::canonical(msgpack).map_err(|error| not_encoded(&error))?)
}

fn sized(version: u32, bytes: Vec<u8>) -> Result<PersistedData, PersistError> {
    match bytes.len() {
        size if size > MAX_PERSISTED => Err(PersistError::TooLarge { size, most: MAX_PERSISTED }),
        _ => Ok(PersistedData { version, bytes: bytes.into() }),
    }
}

fn not_encoded(error: &impl ToString) -> PersistError {
    PersistError::Encoding(error.to_string())
}

/// What was persisted, in the layout of `T`: migrated step by step if it was persisted in an older one.
///
/// # Errors
/// Why that is not possible. A migration that panics is caught.
pub fn read<T: Persisted>(data: &PersistedData) -> Result<T, MigrationError> {
    if data.version > T::VERSION {
        return Err(MigrationError::Newer { found: data.version, known: T::VERSION });
    }
    read_step(data, T::VERSION)
}

fn read_step<T: Persisted>(data: &PersistedData, known: u32) -> Result<T, MigrationError> {
    let version = data.version;
    if version > T::VERSION || T::VERSION == NoPrevious::VERSION {
        return Err(MigrationError::Unknown { found: version, known });
    }
    if version == T::VERSION {
        return payload::decode(&data.bytes)
            .map_err(|error| MigrationError::Damaged { version, why: error.to_string() });
    }
    let old = read_step::<T::Previous>(data, known)?;
    migrated(T::Previous::VERSION, T::VERSION, || T::migrate(old))
}

/// Runs one migration.
fn migrated<T>(
    from: u32,
    to: u32,
    migrate: impl FnOnce() -> Result<T, String>,
) -> Result<T, MigrationError> {
    let result = catch_unwind(AssertUnwindSafe(migrate));
    let result = result.map_err(|panic| format!("it panicked: {}", panic_message(&*panic)));
    result.flatten().map_err(|why| MigrationError::Failed { from, to, why })
}

impl Persistence {
    /// Of a Rust type.
    pub(crate) fn of<T: Persisted>() -> Result<Self, AppError> {
        check::<T>()?;
        Ok(Self {
            version: T::VERSION,
            type_id: Some(TypeId::of::<T>()),
            migrate: Box::new(|data| {
                let saved = read::<T>(data)?;
                migrated(data.version, T::VERSION, || {
                    write(&saved).map_err(|error| error.to_string())
                })
            }),
        })
    }

    /// Of no Rust type.
    pub(crate) fn foreign(foreign: ForeignPersistence) -> Result<Self, AppError> {
        let ForeignPersistence { version, migrations } = foreign;
        let mut newest = NoPrevious::VERSION;
        for next in migrations.iter().map(|(from, _)| *from).chain([version]) {
            if next <= newest {
                return Err(AppError::PersistedVersion { newer: next, older: newest });
            }
            newest = next;
        }
        let migrate = move |data: &PersistedData| migrate_foreign(version, &migrations, data);
        Ok(Self { version, type_id: None, migrate: Box::new(migrate) })
    }
}

fn migrate_foreign(
    known: u32,
    migrations: &[(u32, Box<ForeignMigration>)],
    data: &PersistedData,
) -> Result<PersistedData, MigrationError> {
    let found = data.version;
    if found > known {
        return Err(MigrationError::Newer { found, known });
    }
    let damaged =
        |why: PersistError| MigrationError::Damaged { version: found, why: why.to_string() };
    let mut data = write_encoded(found, &data.bytes).map_err(damaged)?;
    if found == known {
        return Ok(data);
    }
    let Some(first) = migrations.iter().position(|(from, _)| *from == found) else {
        return Err(MigrationError::Unknown { found, known });
    };
    for (at, (from, migrate)) in migrations.iter().enumerate().skip(first) {
        let to = migrations.get(at + 1).map_or(known, |(next, _)| *next);
        data = migrated(*from, to, || {
            write_encoded(to, &migrate(&data.bytes)?).map_err(|error| error.to_string())
        })?;
    }
    Ok(data)
}

/// Whether versions descend from the newest type to the first.
fn check<T: Persisted>() -> Result<(), AppError> {
    if TypeId::of::<T>() == TypeId::of::<NoPrevious>() {
        return Ok(());
    }
    let (newer, older) = (T::VERSION, T::Previous::VERSION);
    if newer <= older {
        return Err(AppError::PersistedVersion { newer, older });
    }
    check::<T::Previous>()
}
