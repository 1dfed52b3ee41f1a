//! An app: the models of a session, and the hash of their version.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use crate::cx::Cx;
use crate::encode;
use crate::fault::panic_message;
use crate::foreign::{self, ForeignModel};
use crate::id::{Handle, ModelId};
use crate::model::{MethodInfo, Model, Object};
use crate::options;
use crate::persisted::{ForeignPersistence, MigrationError, Persisted, PersistedData, Persistence};
use crate::snapshot::{FORMAT, FieldError, read_state};
use crate::state::State;

/// The models that belong together, the root model first. Cheap to clone.
#[derive(Clone)]
pub struct App(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    id: String,
    version: u32,
    version_hash: [u8; 32],
    pub(crate) definitions: Vec<Definition>,
    pub(crate) persistence: Option<Persistence>,
}

/// Makes a model from its encoded options.
type Init = dyn Fn(&mut State, ModelId, &[u8]) -> Result<Box<dyn Object>, String> + Send + Sync;

/// Reads the state of a model, and moves the slice behind it.
type Read = dyn Fn(&mut &[u8]) -> Result<Box<dyn Object>, FieldError> + Send + Sync;

/// Brings a model's encoded options into canonical form.
type Options = dyn Fn(&[u8]) -> Result<Vec<u8>, String> + Send + Sync;

/// A type of models, as the virtual machine sees it: a table of functions. The table of a Rust type comes
/// from its traits, the table of a foreign model is made at run time.
pub(crate) struct Definition {
    pub(crate) id: String,
    pub(crate) version: u32,
    pub(crate) code: String,
    pub(crate) sources: &'static str,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) handlers: Vec<MethodInfo>,
    pub(crate) queries: Vec<MethodInfo>,
    pub(crate) init: Box<Init>,
    pub(crate) read: Box<Read>,
    pub(crate) options: Box<Options>,
    /// The same, with the names of fields.
    pub(crate) named_options: Box<Options>,
    /// The Rust type. `None` for a foreign model.
    pub(crate) type_id: Option<TypeId>,
}

/// Why the declaration of an app is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The app declares no model.
    #[error("an app needs a root model")]
    NoRoot,
    /// Two models have the same id.
    #[error("two models have the id {0:?}")]
    DuplicateModel(String),
    /// The id of the app or of a model is empty, or longer than 128 bytes.
    #[error("invalid id {0:?}: expected 1 to 128 bytes")]
    Id(String),
    /// The versions of the persisted layouts do not go up.
    #[error("version {newer} of the persisted data cannot come after version {older}")]
    PersistedVersion {
        /// Version of the later layout.
        newer: u32,
        /// Version of the layout before it.
        older: u32,
    },
    /// The version of the persisted layout is higher than the version of the app. Builds with the same
    /// app version could then have different layouts, and would overwrite each other's data.
    #[error(
        "version {layout} of the persisted data needs an app of version {layout} or higher, found {app}"
    )]
    AppVersion {
        /// Version of the layout.
        layout: u32,
        /// Declared version of the app.
        app: u32,
    },
}

/// Declares an app.
pub struct AppBuilder {
    id: String,
    version: u32,
    definitions: Vec<Definition>,
    persistence: Result<Option<Persistence>, AppError>,
}

impl App {
    /// Starts the declaration of an app with this id, such as `org.example.game`, and this root model.
    pub fn builder<Root: Model>(id: &str) -> AppBuilder {
        Self::builder_without_root(id).model::<Root>()
    }

    /// Starts the declaration of an app whose root model is the first model that is added.
    pub fn builder_without_root(id: &str) -> AppBuilder {
        AppBuilder { id: id.to_owned(), version: 1, definitions: Vec::new(), persistence: Ok(None) }
    }

    /// Id of the app.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Declared version of the app.
    pub fn version(&self) -> u32 {
        self.0.version
    }

    /// Identifies this version of the models. Only clients with equal version hashes are in one session.
    ///
    /// It is BLAKE3 of the ids, versions, code, fields, handlers and queries of all models, the version of the app, the version of its persisted layout, and the snapshot format.
    pub fn version_hash(&self) -> [u8; 32] {
        self.0.version_hash
    }

    /// Tells builds apart whose models are declared to do the same: 8 hexadecimal digits that follow from the sources of
    /// all models. `None` if the sources of none are known.
    pub fn fingerprint(&self) -> Option<String> {
        let sources = || self.0.definitions.iter().map(|one| one.sources);
        if sources().all(str::is_empty) {
            return None;
        }
        let mut hasher = blake3::Hasher::new_derive_key("teatime v1 fingerprint");
        for one in sources() {
            hasher.update(&(one.len() as u64).to_be_bytes()).update(one.as_bytes());
        }
        Some(hasher.finalize().to_hex()[..8].to_owned())
    }

    /// The root model's options (MessagePack) in canonical form. Options with the same content get the same
    /// bytes, whether a struct was written as a map or as an array. The session id is made of them.
    ///
    /// # Errors
    /// Why the model does not take these options.
    pub fn canonical_options(&self, options: &[u8]) -> Result<Vec<u8>, String> {
        (self.0.definitions[0].options)(options)
    }

    /// Version of the layout of the persisted data. `None` if the app persists nothing.
    pub fn persists(&self) -> Option<u32> {
        self.0.persistence.as_ref().map(|persistence| persistence.version)
    }

    /// Migrates data that any version of the app has persisted to the layout of this version. `None` if this
    /// version persists nothing.
    ///
    /// # Errors
    /// Why the data cannot be migrated. A migration that panics is caught.
    pub fn migrate(&self, data: &PersistedData) -> Result<Option<PersistedData>, MigrationError> {
        let persistence = self.0.persistence.as_ref();
        persistence.map(|persistence| (persistence.migrate)(data)).transpose()
    }

    /// For each type of models: its id, and the names of its fields. Foreign models have no fields.
    pub(crate) fn schema(&self) -> Vec<(String, Vec<String>)> {
        let fields = |one: &Definition| one.fields.iter().map(|(field, _)| field.clone()).collect();
        self.0.definitions.iter().map(|one| (one.id.clone(), fields(one))).collect()
    }

    pub(crate) fn definition_of<M: Model>(&self) -> Option<u16> {
        let type_id = Some(TypeId::of::<M>());
        let at = self.0.definitions.iter().position(|one| one.type_id == type_id)?;
        Some(u16::try_from(at).expect("the builder checks the number of models"))
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "App({:?} {})", self.0.id, self.0.version)
    }
}

impl fmt::Debug for AppBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models: Vec<_> = self.definitions.iter().map(|one| &one.id).collect();
        f.debug_struct("AppBuilder")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("models", &models)
            .finish_non_exhaustive()
    }
}

impl AppBuilder {
    /// Sets the version. The default is 1. Raise it with each release: participants with an older version then learn that
    /// a newer one is in use.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Adds a model. Adding a model again does nothing.
    #[must_use]
    pub fn model<M: Model>(mut self) -> Self {
        let type_id = Some(TypeId::of::<M>());
        if self.definitions.iter().all(|one| one.type_id != type_id) {
            self.definitions.push(definition::<M>());
        }
        self
    }

    /// Adds a model in another language.
    #[must_use]
    pub fn foreign_model(mut self, model: ForeignModel) -> Self {
        self.definitions.push(foreign::definition(model));
        self
    }

    /// Declares the type that the root model persists: see [`persisted`](crate::persisted). The version of
    /// the app must go up whenever the layout changes, and must not be lower than the version of the layout.
    #[must_use]
    pub fn persists<T: Persisted>(mut self) -> Self {
        self.persistence = Persistence::of::<T>().map(Some);
        self
    }

    /// Declares what a root model in another language persists.
    #[must_use]
    pub fn foreign_persistence(mut self, persistence: ForeignPersistence) -> Self {
        self.persistence = Persistence::foreign(persistence).map(Some);
        self
    }

    /// Declares what all models do that were added so far, in place of `#[model(code = …)]` and of the fingerprint of the
    /// sources: for an app that knows better what its builds have in common. Builds with the same text are in the same
    /// sessions, so they must compute the same.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        self.definitions.iter_mut().for_each(|one| code.clone_into(&mut one.code));
        self
    }

    /// Finishes the declaration.
    ///
    /// # Errors
    /// Why it is not valid.
    pub fn build(self) -> Result<App, AppError> {
        let Self { id, version, definitions, persistence } = self;
        let persistence = persistence?;
        let layout = persistence.as_ref().map_or(0, |persistence| persistence.version);
        if layout > version {
            return Err(AppError::AppVersion { layout, app: version });
        }
        if definitions.is_empty() {
            return Err(AppError::NoRoot);
        }
        for (at, one) in definitions.iter().enumerate() {
            if definitions[..at].iter().any(|other| other.id == one.id) {
                return Err(AppError::DuplicateModel(one.id.clone()));
            }
        }
        for id in definitions.iter().map(|one| &one.id).chain([&id]) {
            if id.is_empty() || id.len() > 128 {
                return Err(AppError::Id(id.clone()));
            }
        }
        let version_hash = hash_version(version, &definitions, persistence.as_ref());
        Ok(App(Arc::new(Inner { id, version, version_hash, definitions, persistence })))
    }
}

fn definition<M: Model>() -> Definition {
    let fields = M::FIELDS.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()));
    Definition {
        id: M::ID.to_owned(),
        version: M::VERSION,
        code: M::CODE.to_owned(),
        sources: M::SOURCES,
        fields: fields.collect(),
        handlers: M::handlers().to_vec(),
        queries: M::queries().to_vec(),
        init: Box::new(|state, id, options| {
            let options: M::Options =
                crate::payload::decode(options).map_err(|error| error.to_string())?;
            let mut cx = Cx::<M>::new(state, Handle::new(id));
            let init = std::panic::AssertUnwindSafe(|| M::init(&mut cx, &options));
            match std::panic::catch_unwind(init) {
                Ok(model) => Ok(Box::new(model)),
                Err(panic) => Err(format!("init panicked: {}", panic_message(&*panic))),
            }
        }),
        read: Box::new(|bytes| Ok(Box::new(read_state::<M>(bytes)?))),
        options: Box::new(|options| {
            let options: M::Options =
                crate::payload::decode(options).map_err(|error| error.to_string())?;
            encode::to_bytes(&options).map_err(|error| error.to_string())
        }),
        named_options: Box::new(options::with_names::<M::Options>),
        type_id: Some(TypeId::of::<M>()),
    }
}

fn hash_version(
    version: u32,
    definitions: &[Definition],
    persistence: Option<&Persistence>,
) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("teatime v1 model version");
    // The length in front of each text keeps different declarations apart.
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    };
    add(&format!("format {FORMAT} app version {version}"));
    for one in definitions {
        add(&one.id);
        add(&format!("version {} fields {}", one.version, one.fields.len()));
        add(&one.code);
        for (name, kind) in &one.fields {
            add(name);
            add(kind);
        }
        for (what, methods) in [("handlers", &one.handlers), ("queries", &one.queries)] {
            add(&format!("{what} {}", methods.len()));
            for method in methods {
                add(&method.name);
                add(&method.argument);
            }
        }
    }
    if let Some(persistence) = persistence {
        add(&format!("persists version {}", persistence.version));
    }
    *hasher.finalize().as_bytes()
}
