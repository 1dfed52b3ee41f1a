//! Apps: the models that a session is made of.

use parking_lot::Mutex;
use teatime::AppBuilder;

use crate::boundary::{boundary, value_boundary};
use crate::handle::{Held, held};
use crate::model::{foreign_model, tea_model};
use crate::out::Check;
use crate::status::{Failure, Result, tea_status};
use crate::text::tea_str;

/// An app: the models that its sessions are made of. Free it with tea_app_free; sessions and
/// configurations that were made from it do not need it any more.
pub struct tea_app {
    _opaque: [u8; 0],
}

/// What has been declared, and the app that came of it once somebody wanted it.
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
                let message = "a configuration was asked of this app already: add all models first";
                Err(Failure::new(tea_status::BadApp, message))
            }
        }
    }

    /// The app; from now on nothing can be added.
    pub(crate) fn build(&self) -> Result<teatime::App> {
        let mut state = self.0.lock();
        let State::Declared(builder) = &mut *state else {
            let State::Built(app) = &*state else { unreachable!("there are two states") };
            return Ok(app.clone());
        };
        let builder = builder.take().ok_or_else(|| {
            Failure::new(tea_status::BadApp, "the declaration of this app was refused already")
        })?;
        let app = builder.build()?;
        *state = State::Built(app.clone());
        Ok(app)
    }
}

/// Hands a Rust app to C. An app with models of its own in Rust exports a function that does this:
///
/// ```
/// # fn app() -> teatime::App { teatime_chat::app() }
/// #[unsafe(no_mangle)]
/// pub extern "C" fn my_app() -> *mut teatime_ffi::tea_app {
///     teatime_ffi::export_app(app())
/// }
/// # let app = my_app();
/// # unsafe { teatime_ffi::tea_app_free(app) };
/// ```
pub fn export_app(app: teatime::App) -> *mut tea_app {
    value_boundary(std::ptr::null_mut(), || {
        App(Mutex::new(State::Built(app))).hand_out().unwrap_or(std::ptr::null_mut())
    })
}

/// The app behind a handle, for Rust code that hosts models written in C. From now on no model can be added
/// to it; the handle stays the caller's.
///
/// # Errors
/// What `tea_config_new` would say of that handle.
pub fn import_app(app: *const tea_app) -> std::result::Result<teatime::App, tea_status> {
    App::with(app, App::build).map_err(|failure| failure.status)
}

/// Begins to declare an app. Its id is unique and never changes, such as org.example.game; its
/// version changes when its models behave differently although their declarations look the same.
/// The first model that is added is the root model, which every session begins with.
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

/// Adds a model written in C. The table is copied; its functions and its user_data must live as
/// long as the app and everything made from it.
///
/// Fails with TEA_STATUS_BAD_APP if a configuration was asked of the app already, with TEA_STATUS_INVALID_ARGUMENT if
/// the table has not the size that this library knows, with TEA_STATUS_NULL_POINTER if a function
/// is missing. Whether ids are unique shows when a session is configured.
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

/// Frees an app. Freeing it twice is TEA_STATUS_WRONG_HANDLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_app_free(app: *mut tea_app) -> tea_status {
    boundary(|| App::free(app))
}
