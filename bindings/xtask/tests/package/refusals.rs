//! Error messages of the packaging.

use crate::cross::{folder, run, xtask};

/// The message names the unknown target, and the targets of the package.
#[test]
fn unknown_target_is_refused() {
    let output = run(xtask().args(["package", "ios", "--target", "aarch64-linux-android"]));
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.contains("aarch64-linux-android") && message.contains("aarch64-apple-ios"),
        "{message}"
    );
}

/// The message names a folder that is not an NDK.
#[test]
fn wrong_ndk_is_named() {
    let into = folder("wrong-ndk");
    let output = run(xtask()
        .args(["package", "android", "--into"])
        .arg(&into)
        .env("ANDROID_NDK_HOME", &into));
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("wrong-ndk/toolchains"), "{message}");
}
