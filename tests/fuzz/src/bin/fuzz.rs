//! Searches for inputs that break a promise: `fuzz CORPUS… -flags of libFuzzer`, with the target in TEATIME_FUZZ_TARGET.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use teatime_fuzz::Target;

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("TEATIME_FUZZ_TARGET").unwrap_or_default();
        let target = Target::named(&name).expect("TEATIME_FUZZ_TARGET names a target");
        TARGET.get_or_init(|| target);
        teatime_fuzz::silence_models();
    },
    |bytes: &[u8]| TARGET.get().expect("it was set at the beginning").run(bytes)
);
