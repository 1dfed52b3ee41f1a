//! The Rust programs of the documentation, compiled and run as doc tests. A test in `tests/docs` checks that each page with
//! such a program is listed here.

/// Compiles the programs of pages.
macro_rules! pages {
    ($($name:ident = $file:literal,)*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../../docs/", $file))]
            struct $name;
        )*

        /// The pages whose programs are compiled, below `docs`.
        pub const PAGES: &[&str] = &[$($file),*];
    };
}

pages! {
    FirstModel = "guide/first-model.md",
    Views = "guide/views.md",
    Sessions = "guide/sessions.md",
    Time = "guide/time.md",
    Random = "guide/random.md",
    Testing = "guide/testing.md",
    Presence = "guide/presence.md",
    Blobs = "guide/blobs.md",
    Upgrades = "guide/upgrades.md",
    Recordings = "guide/recordings.md",
    Divergence = "guide/divergence.md",
    FromCroquet = "coming-from-croquet.md",
}
