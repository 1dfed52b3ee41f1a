//! The version of the library.

use crate::boundary::value_boundary;
use crate::text::tea_str;

/// The version of the ABI that this header describes. tea_abi_version() returns that of the library. If they differ, the
/// program runs with another library than it was compiled for.
pub const TEA_ABI_VERSION: u32 = 1;

/// Major version of the library that this header came with.
pub const TEA_VERSION_MAJOR: u32 = 0;

/// Minor version of the library that this header came with.
pub const TEA_VERSION_MINOR: u32 = 1;

/// Patch version of the library that this header came with.
pub const TEA_VERSION_PATCH: u32 = 0;

/// The version of the ABI of this library.
#[unsafe(no_mangle)]
pub extern "C" fn tea_abi_version() -> u32 {
    value_boundary(0, || TEA_ABI_VERSION)
}

/// The version of this library, such as 0.1.0. The text is valid until the program ends.
#[unsafe(no_mangle)]
pub extern "C" fn tea_version() -> tea_str {
    value_boundary(tea_str::EMPTY, || env!("CARGO_PKG_VERSION").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_macros_are_the_version_of_the_package() {
        let macros = [TEA_VERSION_MAJOR, TEA_VERSION_MINOR, TEA_VERSION_PATCH];
        let macros = macros.map(|part| part.to_string()).join(".");
        assert_eq!(macros, env!("CARGO_PKG_VERSION"));
    }
}
