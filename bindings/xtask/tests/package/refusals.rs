//! What packaging says where it cannot go on.

use crate::cross::{folder, run, xtask};

/// A target that there is no package for is told, with those that there are.
#[test]
fn unknown_target_is_refused() {
    let output = run(xtask().args(["package", "ios", "--target", "aarch64-linux-android"]));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("aarch64-linux-android") && said.contains("aarch64-apple-ios"), "{said}");
}

/// A folder that is not an NDK is named.
#[test]
fn wrong_ndk_is_named() {
    let into = folder("wrong-ndk");
    let output = run(xtask()
        .args(["package", "android", "--into"])
        .arg(&into)
        .env("ANDROID_NDK_HOME", &into));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("wrong-ndk/toolchains"), "{said}");
}
