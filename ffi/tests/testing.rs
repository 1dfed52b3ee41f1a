//! What tests in C see of the simulator: the header, the installed library, and that it finds what is planted.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use support::{cargo, compile, exports, root, run, scratch, target};

const HEADER: &str = include_str!("../../bindings/c-testing/include/teatime_testing.h");
const SHIPPED: &str = include_str!("../../bindings/c/include/teatime.h");

/// Both libraries, installed as the README does.
static PREFIX: LazyLock<PathBuf> = LazyLock::new(|| {
    let prefix = scratch("testing");
    let install = ["xtask", "install", "--testing", "--profile", "dev", "--prefix"];
    run(cargo().args(install).arg(&prefix));
    prefix
});

/// The functions that a header declares.
fn declared(header: &str) -> BTreeSet<String> {
    let whole = format!("{header}static inline");
    exports::of_header(&whole).into_iter().map(|export| export.name).collect()
}

fn symbols(arguments: &[&str], file: &Path) -> BTreeSet<String> {
    let list = run(Command::new("nm").args(arguments).arg(file));
    let names = list.lines().filter_map(|line| line.split_whitespace().nth(2));
    names.map(str::to_owned).collect()
}

#[test]
fn the_library_for_tests_exports_what_the_other_one_does_and_the_simulator() {
    let lib = PREFIX.join("lib");
    let (shipped, own) = (declared(SHIPPED), declared(HEADER));
    assert!(own.contains("tea_simulate") && own.len() >= 6, "{own:?}");
    assert!(shipped.is_disjoint(&own));
    let all: BTreeSet<_> = shipped.union(&own).cloned().collect();
    let dynamic = ["-D", "--defined-only"];
    assert_eq!(symbols(&dynamic, &lib.join("libteatime-testing.so")), all);
    assert_eq!(symbols(&["-g", "--defined-only"], &lib.join("libteatime-testing.a")), all);
    // What is shipped has none of it.
    assert_eq!(symbols(&dynamic, &lib.join("libteatime.so")), shipped);
    let so_name = run(Command::new("readelf").arg("-d").arg(lib.join("libteatime-testing.so")));
    assert!(so_name.contains("[libteatime-testing.so.0.1]"), "{so_name}");
}

#[test]
fn the_header_compiles_in_every_standard_and_all_of_it_is_documented() {
    let source = scratch("testing.c");
    let text = "#include <teatime_testing.h>\n#include <teatime_testing.h>\n\
                size_t size(void);\nsize_t size(void) { return sizeof(tea_simulation); }\n";
    fs::write(&source, text).expect("the target directory can be written");
    for (language, standard) in [("c", "c99"), ("c", "c11"), ("c++", "c++17")] {
        for compiler in ["gcc", "clang"] {
            run(Command::new(compiler)
                .args(["-x", language, &format!("-std={standard}"), "-fsyntax-only"])
                .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
                .arg(PREFIX.join("include"))
                .arg(&source));
        }
    }
    let mut commented = false;
    let mut found = 0;
    for line in HEADER.lines() {
        let item = line.starts_with("tea_status tea_") || line.starts_with("typedef struct");
        let member = line.starts_with("    ")
            && line.ends_with(';')
            && line[4..].starts_with(char::is_alphabetic);
        if item || member {
            assert!(commented, "undocumented: {line}");
            found += 1;
        }
        commented = line.ends_with("*/");
    }
    assert!(found > 30, "{found}");
}

/// Builds the test in C against one of the packages.
fn build(package: &str, flags: &[&str]) -> PathBuf {
    let program = scratch(&format!("simulation-{package}-{}", flags.len()));
    let files = ["simulation.c", "support.c"].map(|name| root().join("tests/c").join(name));
    let flags = [&["-std=c11", "-pthread"], flags].concat();
    compile("gcc", &PREFIX, &format!("{package} cmocka"), &flags, &files, &program);
    program
}

#[test]
fn models_in_c_are_simulated_and_what_is_planted_in_them_is_found() {
    let folder = target().join("reports/c");
    fs::create_dir_all(&folder).expect("the target directory can be written");
    let report = folder.join("simulation.xml");
    let _ = fs::remove_file(&report);
    let address = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    run(Command::new(build("teatime-testing", &address))
        .env("CMOCKA_MESSAGE_OUTPUT", "xml")
        .env("CMOCKA_XML_FILE", &report));
    assert!(report.is_file(), "there is no {}", report.display());
    run(&mut Command::new(build("teatime-testing-static", &[])));
}
