//! Tests the packages for phones. If the tools to build them cannot be installed, these tests are skipped; with
//! CI=true they fail. With TEATIME_RELEASE they build for every target, which takes minutes.

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
