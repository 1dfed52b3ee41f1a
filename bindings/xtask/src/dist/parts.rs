//! The list of everything that the program and the C library are made of, in the format CycloneDX 1.5
//! (<https://cyclonedx.org/docs/1.5/json/>).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{VERSION, cargo};
use crate::files::Result;

/// What a release ships.
const SHIPPED: [&str; 2] = ["teatime-cli", "teatime-c"];

/// The list, as JSON.
pub(crate) fn list() -> Result<String> {
    let output = cargo().args(["metadata", "--locked", "--format-version", "1"]).output();
    let output = output.map_err(|error| format!("cargo: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let needed = needed(&metadata);
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let components: Vec<_> = packages
        .filter(|package| package["id"].as_str().is_some_and(|id| needed.contains(id)))
        .map(component)
        .collect();
    let list = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": { "type": "application", "name": "teatime", "version": VERSION } },
        "components": components,
    });
    Ok(format!("{list:#}\n"))
}

/// The ids of the packages that end in what is shipped, without those of tests and of build scripts.
fn needed(metadata: &Value) -> BTreeSet<&str> {
    let nodes: Vec<_> = metadata["resolve"]["nodes"].as_array().into_iter().flatten().collect();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut open: Vec<_> = packages
        .filter(|package| package["name"].as_str().is_some_and(|name| SHIPPED.contains(&name)))
        .filter_map(|package| package["id"].as_str())
        .collect();
    let mut found = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !found.insert(id) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == *id);
        let needs = node.and_then(|node| node["deps"].as_array()).into_iter().flatten();
        open.extend(needs.filter(|need| is_linked(need)).filter_map(|need| need["pkg"].as_str()));
    }
    found
}

/// Whether a dependency ends in the program, and is not for tests or build scripts only.
fn is_linked(dependency: &Value) -> bool {
    let kinds = dependency["dep_kinds"].as_array().into_iter().flatten();
    kinds.into_iter().any(|kind| kind["kind"].is_null())
}

fn component(package: &Value) -> Value {
    let (name, version) = (&package["name"], &package["version"]);
    let purl = format!(
        "pkg:cargo/{}@{}",
        name.as_str().unwrap_or_default(),
        version.as_str().unwrap_or_default()
    );
    let mut component =
        json!({ "type": "library", "name": name, "version": version, "purl": purl });
    if let Some(license) = package["license"].as_str() {
        component["licenses"] = json!([{ "expression": license }]);
    }
    component
}
