//! The simulator for tests in C: the header, the installed library, and the planted bugs that it finds.

use crate::support;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::support::{compile, exports, root, run, scratch, target, xtask};

const HEADER: &str = include_str!("../../../bindings/c-testing/include/teatime_testing.h");
const SHIPPED: &str = include_str!("../../../bindings/c/include/teatime.h");

/// Both libraries, installed as the README does.
static PREFIX: LazyLock<PathBuf> = LazyLock::new(|| {
    let prefix = scratch("testing");
    let install = ["install", "--testing", "--profile", "dev", "--prefix"];
    run(xtask().args(install).arg(&prefix));
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
    // The shipped library has no part of the simulator.
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
    assert!(report.is_file(), "{} is missing", report.display());
    run(&mut Command::new(build("teatime-testing-static", &[])));
}

/// A project's CMakeLists.txt with its test.
const PROJECT: &str = "cmake_minimum_required(VERSION 3.16)
project(poll LANGUAGES C)
# What a project calls so must not be taken for a name of the package's own.
set(teatime mine)
set(SHARED mine)
find_package(teatime 0.1 REQUIRED)
foreach(kind teatime-testing teatime-testing-static)
  if(TARGET teatime::${kind})
    add_executable(${kind} test.c)
    target_link_libraries(${kind} PRIVATE teatime::${kind})
  endif()
endforeach()
";

/// A program that succeeds if the library reports that the simulation has no actions.
const PROGRAM: &str = r#"#include <stdio.h>
#include <string.h>
#include <teatime_testing.h>
int main(void) {
    tea_simulation simulation;
    tea_simulation_report report;
    tea_app *app;
    memset(&simulation, 0, sizeof simulation);
    simulation.size = sizeof simulation;
    if (tea_app_new(TEA_STR("org.example.poll"), 1, &app) != TEA_STATUS_OK) return 1;
    printf("%d\n", (int)tea_simulate(app, &simulation, &report));
    return 0;
}
"#;

#[test]
fn a_project_of_cmake_links_the_library_for_tests_where_it_is_installed() {
    let folder = scratch("testing-cmake");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target directory can be written");
    fs::write(folder.join("CMakeLists.txt"), PROJECT).expect("the folder is there");
    fs::write(folder.join("test.c"), PROGRAM).expect("the folder is there");
    for (prefix, is_there) in [(&*PREFIX, true), (&*support::PREFIX, false)] {
        let build = folder.join(if is_there { "with" } else { "without" });
        run(Command::new("cmake")
            .args(["-S"])
            .arg(&folder)
            .arg("-B")
            .arg(&build)
            .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())));
        run(Command::new("cmake").arg("--build").arg(&build));
        for name in ["teatime-testing", "teatime-testing-static"] {
            let program = build.join(name);
            assert_eq!(program.is_file(), is_there, "{name}");
            if is_there {
                let needed = run(Command::new("ldd").arg(&program));
                assert_eq!(needed.contains("libteatime-testing"), name == "teatime-testing");
                // It has no root model.
                assert_eq!(run(&mut Command::new(&program)), "308\n");
            }
        }
    }
}

/// libteatime-testing detects handles of libteatime, and says so.
#[test]
fn a_program_with_both_libraries_fails_with_the_reason() {
    let source = scratch("both.c");
    fs::write(&source, PROGRAM).expect("the target directory can be written");
    let said = |packages: &str, name: &str| {
        let program = scratch(name);
        compile("gcc", &PREFIX, packages, &[], std::slice::from_ref(&source), &program);
        let output = Command::new(&program).output().expect("it was built");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (text(output.stdout), text(output.stderr))
    };
    assert_eq!(said("teatime-testing", "alone"), ("308\n".to_owned(), String::new()));
    let (status, why) = said("teatime teatime-testing", "both");
    assert_eq!(status, "102\n");
    assert!(why.contains("libteatime-testing did not make this app"), "{why}");
    assert!(why.contains("has libteatime in it besides"), "{why}");
    // Here the library that comes first serves all calls.
    let other_way = said("teatime-testing teatime", "both-the-other-way");
    assert_eq!(other_way, ("308\n".to_owned(), String::new()));
}
