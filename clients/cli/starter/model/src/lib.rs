//! The models of tally, and the library with them for Swift, Kotlin and C.

mod model;

pub use model::{Count, Tally};
use teatime_ffi::{export_app, tea_app};

// The functions that the packages for Swift and Kotlin call.
teatime_ffi::uniffi_reexport_scaffolding!();

/// The app: its id and its root model.
pub fn app() -> teatime::App {
    teatime::App::builder::<Tally>("org.example.tally").build().expect("one model, a valid id")
}

/// The app for other languages.
#[unsafe(no_mangle)]
pub extern "C" fn tally_app() -> *mut tea_app {
    export_app(app())
}
