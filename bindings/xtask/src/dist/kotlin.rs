//! A Maven repository with the library for Kotlin, as a server offers it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::VERSION;
use crate::files::{Result, at, run};
use crate::package::host::{copy_native, jna_platform};
use crate::package::library::{generate, library};
use crate::package::{Aar, write_licenses};
use crate::workspace::root;

/// Builds the jars in a folder of its own, so that other builds of the library stay, and adds them to a repository. Returns
/// the jar with the classes.
pub(super) fn deploy(
    profile: &str,
    licenses: &str,
    work: &Path,
    repository: &Path,
) -> Result<PathBuf> {
    let library = library(None, profile)?;
    let built = library.build()?;
    let generated = work.join("generated");
    generate("kotlin", built.shared()?, &generated)?;
    copy_native(&library, &built, &work.join("native"))?;
    // Beside the library: so the jars for other machines, with other parts, can be in the same app.
    write_licenses(&work.join("native").join(jna_platform()), licenses)?;
    let target = work.join("target");
    let set = |name: &str, path: &Path| format!("-D{name}={}", path.display());
    at(repository, fs::create_dir_all(repository))?;
    run(maven()
        .args(["--activate-profiles", "release", "-DskipTests", "-Dmaven.install.skip=true"])
        .arg(set("generated.dir", &generated))
        .arg(set("native.dir", &work.join("native")))
        .arg(set("target.dir", &target))
        .arg(format!("-Dnative.platform={}", jna_platform()))
        .arg(format!("-DaltDeploymentRepository=release::{}", url(repository)))
        .arg("deploy"))?;
    Ok(target.join(format!("teatime-{VERSION}.jar")))
}

/// Adds the AAR to a repository, with the sources and the documentation of the jar.
pub(super) fn deploy_aar(aar: &Aar, jar: &Path, repository: &Path) -> Result<()> {
    let beside = |kind: &str| jar.with_file_name(format!("teatime-{VERSION}-{kind}.jar"));
    let set = |name: &str, path: &Path| format!("-D{name}={}", path.display());
    run(maven()
        .arg("org.apache.maven.plugins:maven-deploy-plugin:3.1.4:deploy-file")
        .arg(set("file", &aar.file))
        .arg(set("pomFile", &aar.pom))
        .arg(set("sources", &beside("sources")))
        .arg(set("javadoc", &beside("javadoc")))
        .arg(format!("-Durl={}", url(repository))))
}

fn maven() -> Command {
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-f"]).arg(root().join("bindings/kotlin/pom.xml"));
    maven
}

fn url(folder: &Path) -> String {
    format!("file://{}", folder.display())
}
