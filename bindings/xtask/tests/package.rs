//! The packages for phones are what they say they are. Where the tools to build them cannot be had these
//! tests do nothing, except in continuous integration (CI=true): there they fail. With
//! TEATIME_RELEASE they build for every target, which takes minutes.

#[path = "package/android.rs"]
mod android;
#[path = "package/apple.rs"]
mod apple;
#[path = "package/binary.rs"]
mod binary;
#[path = "package/cross.rs"]
mod cross;
#[path = "package/ndk.rs"]
mod ndk;
#[path = "package/refusals.rs"]
mod refusals;
