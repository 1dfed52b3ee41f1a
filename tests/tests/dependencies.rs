//! What comes from others, by the rules in `deny.toml`: licences, versions, and where it comes from.
//!
//! These are the checks of `cargo deny` that need no network. Compiling that program would take longer than all that this
//! project compiles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use spdx::{Expression, ParseMode};
use teatime_tests::program::{finish, forget_cargo};

#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rules() -> Rules {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("it is there");
    toml::from_str(&text).expect("it has the form that cargo deny knows")
}

/// All crates, with every feature and for every platform.
fn packages() -> Vec<Package> {
    let mut cargo = Command::new(std::env::var_os("CARGO").expect("cargo runs the tests"));
    forget_cargo(&mut cargo);
    cargo.current_dir(root()).args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--all-features",
    ]);
    let metadata: Metadata = serde_json::from_str(&finish(&mut cargo)).expect("it is JSON");
    metadata.packages
}

#[test]
fn every_licence_is_allowed_and_every_exception_is_needed() {
    let Licenses { allow, exceptions } = rules().licenses;
    let mut needed = BTreeSet::new();
    for Package { name, version, license, .. } in packages() {
        let license = license.unwrap_or_else(|| panic!("{name} {version} names no licence"));
        let expression = Expression::parse_mode(&license, ParseMode::LAX).expect(&license);
        if expression.evaluate(|one| allow.contains(&one.to_string())) {
            continue;
        }
        let own = exceptions.iter().find(|exception| exception.name == name);
        let own = own.unwrap_or_else(|| panic!("{name} {version}: {license} is not allowed"));
        let is_allowed = |one: &str| allow.contains(one) || own.allow.contains(one);
        assert!(
            expression.evaluate(|one| is_allowed(&one.to_string())),
            "{name} {version}: {license} is not allowed"
        );
        needed.insert(name);
    }
    for Exception { name, .. } in &exceptions {
        assert!(needed.contains(name), "{name} needs no exception");
    }
}

#[test]
fn no_crate_is_there_in_two_versions_without_a_reason() {
    let mut versions = BTreeMap::<_, Vec<_>>::new();
    for Package { name, version, .. } in packages() {
        // What stands behind the plus says nothing about the order.
        let version = version.split('+').next().unwrap_or_default().to_owned();
        versions.entry(name).or_default().push(version);
    }
    let mut older = BTreeSet::new();
    for (name, mut versions) in versions {
        let number = |part: &str| part.parse::<u64>().unwrap_or(0);
        versions.sort_by_key(|version| version.split('.').map(number).collect::<Vec<_>>());
        versions.pop();
        older.extend(versions.into_iter().map(|version| format!("{name}@{version}")));
    }
    let skip = rules().bans.skip;
    assert!(skip.iter().all(|skip| !skip.reason.is_empty()));
    let skipped: BTreeSet<_> = skip.into_iter().map(|skip| skip.name).collect();
    assert_eq!(
        older, skipped,
        "left: older versions beside the newest, right: `skip` of deny.toml"
    );
}

#[test]
fn everything_comes_from_the_registry_or_from_this_repository() {
    let allowed = rules().sources.allow_registry;
    for Package { name, version, source, .. } in packages() {
        let Some(source) = source else { continue };
        let registry = source.strip_prefix("registry+");
        let is_allowed = registry.is_some_and(|one| allowed.iter().any(|known| known == one));
        assert!(is_allowed, "{name} {version} comes from {source}");
    }
}
