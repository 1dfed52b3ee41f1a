//! Generates Swift and Kotlin from the library for them; a crate of its own, for it takes minutes to
//! compile.

fn main() {
    uniffi::uniffi_bindgen_main();
}
