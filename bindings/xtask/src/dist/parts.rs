//! What the program and the libraries are made of: a list in the format CycloneDX 1.5
//! (<https://cyclonedx.org/docs/1.5/json/>), and the licences of all parts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{VERSION, cargo, output, rustc_line};
use crate::files::{Result, at};

/// Packages that a release ships, and the kinds of machines that it ships them for.
pub(super) struct Shipped<'a> {
    pub(super) packages: &'a [&'a str],
    pub(super) machines: &'a [&'a str],
}

/// Everything that is linked into what is shipped.
pub(super) struct Parts {
    /// As cargo describes them.
    packages: Vec<Value>,
    /// The version of Rust, whose standard library is linked as well.
    rust: String,
}

impl Parts {
    pub(super) fn of(shipped: &[Shipped<'_>]) -> Result<Self> {
        Ok(Self { packages: linked(shipped)?, rust: rustc_line("release: ")? })
    }

    /// The list, as JSON.
    pub(super) fn list(&self) -> String {
        let mut components: Vec<_> = self.packages.iter().map(component).collect();
        components.push(json!({
            "type": "library", "bom-ref": "rust-std", "name": "rust-std", "version": self.rust,
            "purl": format!("pkg:generic/rust-std@{}", self.rust),
            "licenses": [{ "expression": "MIT OR Apache-2.0" }],
        }));
        list(&components)
    }

    /// The texts of all licences: most of them demand that every copy comes with them.
    pub(super) fn licenses(&self) -> Result<String> {
        let mut texts = texts(&self.packages)?;
        let name = format!("rust-std {}", self.rust);
        texts.entry(text_of_rust()?).or_default().insert(name);
        Ok(licenses(&texts))
    }
}

fn list(components: &[Value]) -> String {
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
    format!("{list:#}\n")
}

/// The texts of licences, each with the names of the parts that it is for.
type Texts = BTreeMap<String, BTreeSet<String>>;

fn texts(packages: &[Value]) -> Result<Texts> {
    let mut parts = Texts::new();
    for package in packages {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let folder = manifest.parent().unwrap_or(manifest);
        let name = format!("{} {}", text(package, "name"), text(package, "version"));
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
                format!("{}: the package comes without the text.", text(package, "license"));
            parts.entry(words).or_default().insert(name);
        }
    }
    Ok(parts)
}

/// The text that Rust comes with, in whichever of its forms.
fn text_of_rust() -> Result<String> {
    let sysroot = output(super::rustc().args(["--print", "sysroot"]))?;
    let sysroot = String::from_utf8_lossy(&sysroot).into_owned();
    let papers = Path::new(sysroot.trim()).join("share/doc/rust");
    for name in ["COPYRIGHT-library.html", "COPYRIGHT"] {
        let file = papers.join(name);
        if file.is_file() {
            let words = at(&file, fs::read_to_string(&file))?;
            return Ok(if name.ends_with("html") { plain(&words) } else { words });
        }
    }
    Ok("MIT OR Apache-2.0: the compiler comes without the text.".to_owned())
}

/// The text of an HTML page, with at most one empty line in a row.
fn plain(html: &str) -> String {
    let body = html.split_once("<body>").map_or(html, |(_, body)| body);
    let mut text = String::new();
    for (index, part) in body.split('<').enumerate() {
        let after_tag = if index == 0 { part } else { part.split_once('>').map_or("", |it| it.1) };
        text += after_tag;
    }
    for (code, character) in [
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&lt;", "<"),
        ("&#62;", ">"),
        ("&gt;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ] {
        text = text.replace(code, character);
    }
    let mut plain = String::new();
    for line in text.lines().map(str::trim_end) {
        if !line.is_empty() || !(plain.is_empty() || plain.ends_with("\n\n")) {
            plain += line;
            plain += "\n";
        }
    }
    plain.trim_end().to_owned()
}

fn licenses(parts: &Texts) -> String {
    let line = "=".repeat(80);
    let parts = parts.iter().map(|(words, names)| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        format!("{line}\n{}\n{line}\n\n{words}\n\n", names.join("\n"))
    });
    format!("Licences of everything that Teatime {VERSION} links.\n\n{}", parts.collect::<String>())
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

/// The packages that end in what is shipped, without those that only tests, build scripts or macros need.
fn linked(shipped: &[Shipped<'_>]) -> Result<Vec<Value>> {
    let mut trees = String::new();
    // Without a machine, cargo would take this one.
    let shipped = shipped.iter().filter(|shipped| !shipped.machines.is_empty());
    for Shipped { packages, machines } in shipped {
        let mut tree = cargo();
        tree.args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none"]);
        tree.args(packages.iter().flat_map(|name| ["--package", name]));
        tree.args(machines.iter().flat_map(|name| ["--target", name]));
        trees += &String::from_utf8_lossy(&output(tree.args(["--format", "{p}"]))?);
    }
    let linked: BTreeSet<_> = trees
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a page in HTML reads as a person would have written it.
    #[test]
    fn licences_in_html_become_plain_text() {
        let html = "<html><head><title>no</title></head><body>\n\n<p>A &#34;b&#34; &lt;c&gt;</p>\n\n\n\n<pre>d &amp;lt;  \n  e</pre></body>";
        assert_eq!(plain(html), "A \"b\" <c>\n\nd &lt;\n  e");
    }

    /// What phones get is listed with what only they link; what is for other machines is not.
    #[test]
    fn each_machine_has_its_own_parts() {
        let names = |packages: &[&str], machines: &[&str]| -> BTreeSet<String> {
            let parts = Parts::of(&[Shipped { packages, machines }]).expect("cargo runs");
            let licenses = parts.licenses().expect("the packages are here");
            assert!(licenses.contains("\nrust-std "), "{licenses}");
            assert!(parts.list().contains("\"pkg:generic/rust-std@"));
            let names = parts.packages.iter().map(|package| text(package, "name").to_owned());
            names.collect()
        };
        let linux = "x86_64-unknown-linux-gnu";
        let c = names(&["teatime-c"], &[linux]);
        assert!(c.contains("rustls") && !c.contains("uniffi"), "{c:?}");
        let phones = names(&["teatime-mobile"], &["aarch64-linux-android", "aarch64-apple-ios"]);
        for name in ["uniffi", "webpki-roots", "security-framework"] {
            assert!(phones.contains(name) && !c.contains(name), "{name}: {phones:?}");
        }
        assert!(names(&["teatime-c"], &[]).is_empty());
    }
}
