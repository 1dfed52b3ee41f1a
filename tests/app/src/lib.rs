//! The library for Swift and Kotlin with the models of their tests: three versions of a board. Each version begins
//! with the persisted data of the version before.

#![deny(missing_debug_implementations, unreachable_pub)]

mod board;

use teatime::persisted::Persisted;
use teatime::{App, AppBuilder};
use teatime_ffi::{export_app, tea_app};

use board::{BoardV1, BoardV2, BoardV3, BoardV3Mended, First, Second, Third};

teatime_ffi::uniffi_reexport_scaffolding!();

const ID: &str = "test.board";

fn export<T: Persisted>(builder: AppBuilder) -> *mut tea_app {
    let app = builder.version(T::VERSION).persists::<T>().build();
    export_app(app.expect("the declaration of the app is valid"))
}

/// The first version of the board.
#[unsafe(no_mangle)]
pub extern "C" fn tea_test_board_1() -> *mut tea_app {
    export::<First>(App::builder::<BoardV1>(ID))
}

/// The second version.
#[unsafe(no_mangle)]
pub extern "C" fn tea_test_board_2() -> *mut tea_app {
    export::<Second>(App::builder::<BoardV2>(ID))
}

/// The third version.
#[unsafe(no_mangle)]
pub extern "C" fn tea_test_board_3() -> *mut tea_app {
    export::<Third<true>>(App::builder::<BoardV3>(ID))
}

/// The third version without its bug.
#[unsafe(no_mangle)]
pub extern "C" fn tea_test_board_3_mended() -> *mut tea_app {
    export::<Third<false>>(App::builder::<BoardV3Mended>(ID))
}
