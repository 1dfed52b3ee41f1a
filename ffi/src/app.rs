//! Apps: the models that sessions run.

use parking_lot::Mutex;
use teatime::AppBuilder;

use crate::boundary::{boundary, value_boundary};
use crate::handle::{Held, held};
use crate::model::{foreign_model, tea_model};
use crate::out::Check;
use crate::status::{Failure, Result, tea_status};
use crate::text::tea_str;

/// An app: an id, a version, and the models that its sessions run. Free it with tea_app_free. Configs and sessions
/// made from it do not need the handle.
#[derive(Debug)]
pub struct tea_app {
    _opaque: [u8; 0],
}

/// The declaration, or the app that was built from it when it was first used.
pub(crate) struct App(Mutex<State>);

enum State {
    Declared(Option<AppBuilder>),
    Built(teatime::App),
}

held!(App, tea_app, "tea_app");

impl App {
    pub(crate) fn add(&self, add: impl FnOnce(AppBuilder) -> AppBuilder) -> Result<()> {
        match &mut *self.0.lock() {
            State::Declared(builder @ Some(_)) => {
                *builder = builder.take().map(add);
                Ok(())
            }
            State::Declared(None) | State::Built(_) => {
                let message = "this app is in use already: add all models before tea_config_new";
                Err(Failure::new(tea_status::BadApp, message))
            }
        }
    }

    /// The app. From now on no model can be added.
    pub(crate) fn build(&self) -> Result<teatime::App> {
        let mut state = self.0.lock();
        let State::Declared(builder) = &mut *state else {
            let State::Built(app) = &*state else { unreachable!("there are two states") };
            return Ok(app.clone());
        };
        let builder = builder.take().ok_or_else(|| {
            Failure::new(
                tea_status::BadApp,
                "the declaration of this app is not valid and was refused before",
            )
        })?;
        let app = builder.build()?;
        *state = State::Built(app.clone());
        Ok(app)
    }
}

/// Hands a Rust app to C, which owns the handle. An app with its own models in Rust exports a function like this:
///
/// ```
/// # fn app() -> teatime::App { teatime_chat::app() }
/// #[unsafe(no_mangle)]
/// pub extern "C" fn my_app() -> *mut teatime_ffi::tea_app {
///     teatime_ffi::export_app(app())
/// }
/// # let app = my_app();
/// # unsafe { teatime_ffi::app::tea_app_free(app) };
/// ```
pub fn export_app(app: teatime::App) -> *mut tea_app {
    value_boundary(std::ptr::null_mut(), || {
        App(Mutex::new(State::Built(app))).hand_out().unwrap_or(std::ptr::null_mut())
    })
}

/// The app behind a handle, for Rust code that hosts models written in C. From now on no model can be added to it.
/// The caller still owns the handle.
///
/// # Errors
/// As for `tea_config_new`.
pub fn import_app(app: *const tea_app) -> std::result::Result<teatime::App, tea_status> {
    App::with(app, App::build).map_err(|failure| failure.status)
}

/// Begins to declare an app. Its id is unique and never changes, such as org.example.game. Its version changes when
/// its models behave differently although their declarations look the same. The first model added is the root model,
/// which every session begins with. The caller frees the app with tea_app_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_app_new(
    id: tea_str,
    version: u32,
    app: *mut *mut tea_app,
) -> tea_status {
    boundary(|| {
        let app = app.check("app")?;
        let builder = teatime::App::builder_without_root(id.get("id")?).version(version);
        app.set(App(Mutex::new(State::Declared(Some(builder)))).hand_out()?);
        Ok(())
    })
}

/// Adds a model written in C. The table is copied. Its functions and its user_data must stay valid as long as the app
/// and everything made from it.
///
/// Fails with TEA_STATUS_BAD_APP if a config was made from the app already, with TEA_STATUS_INVALID_ARGUMENT if the
/// size in the table is not the one that this library knows, and with TEA_STATUS_NULL_POINTER if a function is
/// missing. tea_config_new checks that ids are unique.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_app_add_model(
    app: *mut tea_app,
    model: *const tea_model,
) -> tea_status {
    boundary(|| {
        let model = foreign_model(model)?;
        App::with(app, |app| app.add(|builder| builder.foreign_model(model)))
    })
}

/// Frees an app. Fails with TEA_STATUS_WRONG_HANDLE the second time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_app_free(app: *mut tea_app) -> tea_status {
    boundary(|| App::free(app))
}
