//! The packages that cargo would publish: each is whole by itself, and what is made of them works outside this repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use teatime_tests::program::{finish, forget_cargo};

/// Files that everybody who gets a package must find in it.
const FILES: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace")
}

/// A folder of these tests in the target folder.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages")
}

fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    forget_cargo(&mut command);
    command.current_dir(root()).env("CARGO_TARGET_DIR", target());
    command
}

/// The packages of the workspace that may be published.
fn published() -> Vec<Value> {
    let mut command = cargo();
    let output = command.args(["metadata", "--no-deps", "--format-version", "1"]).output();
    let output = output.expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let packages = metadata["packages"].as_array().expect("it is a list").iter();
    packages.filter(|package| package["publish"].is_null()).cloned().collect()
}

/// The folder into which a package was unpacked.
fn unpacked(package: &Value) -> PathBuf {
    let name = package["name"].as_str().expect("it is a text");
    target().join("package").join(format!("{name}-{}", env!("CARGO_PKG_VERSION")))
}

/// Installs the program from its package, and makes an app that depends on the packages.
fn install_and_create(packages: &[Value]) {
    let home = target().join("installed");
    let patches: Vec<_> = packages
        .iter()
        .map(|package| {
            let name = package["name"].as_str().expect("it is a text");
            format!("patch.crates-io.{name}.path={:?}", unpacked(package))
        })
        .collect();
    let with_patches = |command: &mut Command| {
        for patch in &patches {
            command.args(["--config", patch]);
        }
    };
    let program = packages.iter().find(|package| package["name"] == "teatime-cli");
    let mut install = cargo();
    install.args(["install", "--debug", "--force", "--path"]);
    install.arg(unpacked(program.expect("it is published"))).arg("--root").arg(&home);
    with_patches(&mut install);
    finish(&mut install);

    // With the packages, and with a checkout.
    for path in [None, Some(root())] {
        let app = home.join("tea_race");
        let _ = fs::remove_dir_all(&app);
        let mut new = Command::new(home.join("bin/teatime"));
        new.args(["new", "tea_race", "--into"]).arg(&app);
        let mut test = cargo();
        test.arg("test").arg("--manifest-path").arg(app.join("model/Cargo.toml"));
        match path {
            Some(checkout) => drop(new.arg("--path").arg(checkout)),
            None => with_patches(&mut test),
        }
        finish(&mut new);
        finish(&mut test);
    }
}

#[test]
fn every_package_that_users_need_can_be_published() {
    let packages = published();
    assert!(packages.iter().any(|package| package["name"] == "teatime"), "{packages:?}");
    let release = std::env::var_os("TEATIME_RELEASE").is_some();
    let mut command = cargo();
    // What is checked is this tree, whether it was committed or not.
    command.args(["package", "--allow-dirty"]);
    for package in &packages {
        command.args(["--package", package["name"].as_str().expect("it is a text")]);
        for field in ["description", "license", "readme"] {
            assert!(package[field].is_string(), "{} has no {field}", package["name"]);
        }
        for field in ["categories", "keywords"] {
            let few = package[field].as_array().is_some_and(|list| (1..=5).contains(&list.len()));
            assert!(few, "{}: invalid {field}", package["name"]);
        }
    }
    if !release {
        // To compile every package again takes minutes.
        command.arg("--no-verify");
    }
    finish(&mut command);
    for package in &packages {
        let file = format!("{}.crate", unpacked(package).display());
        let list = Command::new("tar").arg("tzf").arg(&file).output().expect("tar is installed");
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        for wanted in FILES {
            let found =
                list.lines().any(|line| line.split_once('/').is_some_and(|it| it.1 == wanted));
            assert!(found, "{} has no {wanted}:\n{list}", package["name"]);
        }
    }
    if release {
        install_and_create(&packages);
    }
}
