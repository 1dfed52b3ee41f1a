//! Data of the root model that outlives a version of the app: the next version starts its session with it.
//!
//! The state of a session belongs to one version of the models. To carry data to the next version, the root
//! model *persists* it: a value of a type of its own, whose layout has a version. A later version of the app
//! declares a new type, and how to make it from the type before. So there is a chain of types from the newest
//! back to the first, checked by the compiler:
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
//!             return Err("the title is empty".into());
//!         }
//!         Ok(Self { titles: vec![old.title], stars: old.stars })
//!     }
//! }
//!
//! // Migrations are plain functions. They can be tested without a session.
//! let first = persisted::write(&SavedV1 { title: "tea".into() })?;
//! let third: SavedV3 = persisted::read(&first)?;
//! assert_eq!(third, SavedV3 { titles: vec!["tea".into()], stars: 0 });
//!
//! let untitled = persisted::write(&SavedV1 { title: String::new() })?;
//! let error = persisted::read::<SavedV3>(&untitled).expect_err("an empty title cannot be migrated");
//! assert_eq!(
//!     error.to_string(),
//!     "the persisted data cannot be migrated from version 2 to version 3: the title is empty"
//! );
//!
//! let newer = persisted::write(&third)?;
//! let error = persisted::read::<SavedV2>(&newer).expect_err("version 2 cannot read version 3");
//! assert_eq!(error, MigrationError::Newer { found: 3, known: 2 });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! 1. The app declares its type:
//!    `App::builder::<Board>("org.example.board").version(3).persists::<SavedV3>()`.
//! 2. The root model calls [`Cx::persist`](crate::Cx::persist) whenever its data has changed.
//! 3. In `init` the root model asks by [`Cx::persisted`](crate::Cx::persisted) for the data of the version
//!    before.

use std::any::TypeId;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::AppError;
use crate::encode;
use crate::fault::panic_message;
use crate::limits::MAX_PERSISTED;
use crate::payload;

/// The data that a root model persists, in one version of its layout.
///
/// When the layout changes, make a new type with a higher [`VERSION`](Self::VERSION), and name the old type as
/// its [`Previous`](Self::Previous). Old types must stay in the program as long as users may have data in
/// their layout.
pub trait Persisted: Serialize + DeserializeOwned + 'static {
    /// Version of this layout: at least 1, and higher than the version of the layout before.
    const VERSION: u32;

    /// The layout before. [`NoPrevious`] if this is the first.
    type Previous: Persisted;

    /// Makes this layout from the layout before. Like a handler it must compute the same on all participants.
    ///
    /// # Errors
    /// Why that is not possible.
    fn migrate(old: Self::Previous) -> Result<Self, String>;
}

/// The layout before the first: it has no values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoPrevious {}

impl Persisted for NoPrevious {
    const VERSION: u32 = 0;
    type Previous = Self;

    fn migrate(old: Self) -> Result<Self, String> {
        match old {}
    }
}

/// Persisted data, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistedData {
    /// Version of its layout.
    pub version: u32,
    /// The data as canonical MessagePack.
    pub bytes: Arc<[u8]>,
}

/// Why a model could not persist data. The data persisted before stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PersistError {
    /// Another model than the root model tried to persist.
    #[error("only the root model may persist data")]
    NotRoot,
    /// The data is not of the type that the app has declared.
    #[error("this is not the type that the app has declared to persist")]
    NotDeclared,
    /// The data is too large.
    #[error("{size} bytes cannot be persisted, at most {most}")]
    TooLarge {
        /// Size of the encoded data in bytes.
        size: usize,
        /// Allowed size in bytes.
        most: usize,
    },
    /// The data cannot be encoded, or the encoded data cannot be read again.
    #[error("this value cannot be persisted: {0}")]
    Encoding(String),
}

/// Why a session cannot start with the persisted data. The data stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// A newer version of the app has persisted the data.
    #[error(
        "the persisted data has version {found}, and this version of the app reads at most {known}"
    )]
    Newer {
        /// Version of the layout of the data.
        found: u32,
        /// The newest version that this app reads.
        known: u32,
    },
    /// No migration starts at the version of the data.
    #[error(
        "the persisted data has version {found}, from which no migration leads to version {known}"
    )]
    Unknown {
        /// Version of the layout of the data.
        found: u32,
        /// The version that this app wants.
        known: u32,
    },
    /// The data is not valid in the layout of its version.
    #[error("the persisted data of version {version} is damaged: {why}")]
    Damaged {
        /// Version of the layout of the data. 0 if that is unknown.
        version: u32,
        /// What is wrong.
        why: String,
    },
    /// A migration failed or panicked.
    #[error("the persisted data cannot be migrated from version {from} to version {to}: {why}")]
    Failed {
        /// The version of the layout that it starts from.
        from: u32,
        /// The version of the layout that it leads to.
        to: u32,
        /// Why it failed.
        why: String,
    },
}

/// Migrates MessagePack from one version of the layout to the next.
pub type ForeignMigration = dyn Fn(&[u8]) -> Result<Vec<u8>, String> + Send + Sync;

/// What an app persists whose root model is in another language.
pub struct ForeignPersistence {
    /// Version of the layout, at least 1.
    pub version: u32,
    /// The older versions that can be migrated, in ascending order. Each migration leads to the next version
    /// in the list, the last one to `version`.
    pub migrations: Vec<(u32, Box<ForeignMigration>)>,
}

impl fmt::Debug for ForeignPersistence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from: Vec<_> = self.migrations.iter().map(|(from, _)| from).collect();
        f.debug_struct("ForeignPersistence")
            .field("version", &self.version)
            .field("migrates_from", &from)
            .finish()
    }
}

/// Migrates data to the version of the app.
type Migrate = dyn Fn(&PersistedData) -> Result<PersistedData, MigrationError> + Send + Sync;

/// What an app persists, as the virtual machine sees it.
pub(crate) struct Persistence {
    pub(crate) version: u32,
    /// The Rust type. `None` if the root model is in another language.
    pub(crate) type_id: Option<TypeId>,
    pub(crate) migrate: Box<Migrate>,
}

/// Encodes data as [`Cx::persist`](crate::Cx::persist) does.
///
/// # Errors
/// [`PersistError::TooLarge`], [`PersistError::Encoding`].
pub fn write<T: Persisted>(saved: &T) -> Result<PersistedData, PersistError> {
    let bytes = encode::to_bytes(saved).map_err(|error| not_encoded(&error))?;
    let data = sized(T::VERSION, bytes)?;
    // Checked now, when the author of the type can still see the error. Later the data would be lost.
    payload::decode::<T>(&data.bytes).map_err(|error| not_encoded(&error))?;
    Ok(data)
}

/// Encodes data that is already MessagePack.
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

/// Reads persisted data in the layout of `T`. Data in an older layout is migrated step by step.
///
/// # Errors
/// Why the data cannot be migrated. A migration that panics is caught.
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
    /// For a Rust type.
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

    /// For a root model in another language.
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

/// Checks that versions descend from the newest type to the first.
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
