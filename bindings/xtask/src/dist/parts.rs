//! What the program and the C library are made of: a list in the format CycloneDX 1.5
//! (<https://cyclonedx.org/docs/1.5/json/>), and the licences of all parts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{VERSION, cargo, output};
use crate::files::{Result, at};

/// What a release ships.
const SHIPPED: [&str; 2] = ["teatime-cli", "teatime-c"];

/// The list, as JSON.
pub(super) fn list() -> Result<String> {
    let components: Vec<_> = linked()?.iter().map(component).collect();
    let list = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": "teatime", "name": "teatime", "version": VERSION,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            },
        },
        "components": components,
    });
    Ok(format!("{list:#}\n"))
}

/// The texts of the licences of everything that is linked: most of them demand that every copy comes with them.
pub(super) fn licenses() -> Result<String> {
    let mut parts = BTreeMap::<String, BTreeSet<String>>::new();
    for package in linked()? {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let folder = manifest.parent().unwrap_or(manifest);
        let name = format!("{} {}", text(&package, "name"), text(&package, "version"));
        for entry in at(folder, fs::read_dir(folder))? {
            let file = at(folder, entry)?;
            let kind = file.file_name().to_string_lossy().to_uppercase();
            let is_license =
                ["LICEN", "COPYING", "NOTICE", "UNLICENSE"].iter().any(|one| kind.starts_with(one));
            if is_license && file.path().is_file() {
                let words = at(&file.path(), fs::read(file.path()))?;
                let words = String::from_utf8_lossy(&words).replace('\r', "").trim_end().to_owned();
                parts.entry(words).or_default().insert(name.clone());
            }
        }
        if !parts.values().any(|names| names.contains(&name)) {
            let words =
                format!("{}: the package comes without the text.", text(&package, "license"));
            parts.entry(words).or_default().insert(name);
        }
    }
    let line = "=".repeat(80);
    let parts = parts.iter().map(|(words, names)| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        format!("{line}\n{}\n{line}\n\n{words}\n\n", names.join("\n"))
    });
    Ok(format!(
        "Licences of everything that Teatime {VERSION} links.\n\n{}",
        parts.collect::<String>()
    ))
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

/// The packages that end in what is shipped for this kind of machine, without those that only tests, build scripts or
/// macros need.
fn linked() -> Result<Vec<Value>> {
    let mut tree = cargo();
    tree.args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none"]);
    for name in SHIPPED {
        tree.args(["--package", name]);
    }
    let tree = output(tree.args(["--format", "{p}"]))?;
    let tree = String::from_utf8_lossy(&tree).into_owned();
    let linked: BTreeSet<_> = tree
        .lines()
        .filter_map(|line| line.split_once(" v"))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap_or(rest)))
        .collect();
    let metadata = output(cargo().args(["metadata", "--locked", "--format-version", "1"]))?;
    let metadata: Value =
        serde_json::from_slice(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let found: Vec<_> = packages
        .filter(|package| linked.contains(&(text(package, "name"), text(package, "version"))))
        .cloned()
        .collect();
    if found.len() == linked.len() {
        return Ok(found);
    }
    Err(format!("expected {} packages in cargo metadata, found {}", linked.len(), found.len()))
}

fn component(package: &Value) -> Value {
    let (name, version) = (text(package, "name"), text(package, "version"));
    let purl = format!("pkg:cargo/{name}@{version}");
    let mut component = json!({
        "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
    });
    if let Some(license) = package["license"].as_str() {
        // Older packages write a slash.
        let license = license.replace(" OR ", "/").replace('/', " OR ");
        component["licenses"] = json!([{ "expression": license }]);
    }
    component
}
