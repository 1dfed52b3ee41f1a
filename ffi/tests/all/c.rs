//! Teatime for C programs: the header, the installed package, the tests in C, the clients in C.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{
    PANICKING, PREFIX, client, compile, exports, root, run, scratch, target, teatime, xtask,
};
use serde_json::json;
use teatime_tests::program::Program;

const HEADER: &str = include_str!("../../../bindings/c/include/teatime.h");

/// Runs a program and fails at any error that valgrind finds: wrong access, leak, or a status that
/// is not 0. Memory that is still reachable at the end is not a leak: threads of the runtime hold it.
fn run_in_valgrind(program: &Path) {
    let leaks = "definite,indirect";
    let mut command = Command::new("valgrind");
    command.args(["-q", "--error-exitcode=99", "--leak-check=full"]);
    command.arg(format!("--errors-for-leak-kinds={leaks}"));
    command.arg(format!("--show-leak-kinds={leaks}"));
    run(command.arg(program));
}

fn source(name: &str) -> PathBuf {
    root().join("tests/c").join(name)
}

/// The tests in C, each a program of its own.
const TESTS: [&str; 7] = ["values", "sessions", "models", "threads", "blobs", "persisted", "names"];

/// Builds a test in C and returns where it is.
fn build_test(name: &str, kind: &str, flags: &[&str]) -> PathBuf {
    let program = scratch(&format!("{name}-{kind}"));
    let files = [source(&format!("{name}.c")), source("support.c")];
    let flags = [&["-std=c11", "-pthread"], flags].concat();
    compile("gcc", &PREFIX, "teatime cmocka", &flags, &files, &program);
    program
}

/// The report of a test in C, for the support matrix.
fn report(name: &str) -> PathBuf {
    let folder = target().join("reports/c");
    fs::create_dir_all(&folder).expect("the target directory can be written");
    let report = folder.join(format!("{name}.xml"));
    // An existing report is not overwritten.
    let _ = fs::remove_file(&report);
    report
}

#[test]
fn the_header_is_what_the_crate_says() {
    run(xtask().args(["header", "--check"]));
}

#[test]
fn the_header_compiles_alone_and_twice_in_every_standard() {
    let twice = scratch("twice.c");
    let text = "#include <teatime.h>\n#include <teatime.h>\n\
                tea_str text(void);\ntea_str text(void) { return TEA_STR(\"x\"); }\n";
    fs::write(&twice, text).expect("the target directory can be written");
    let include = root().join("bindings/c/include");
    let standards = [
        ("c", "c99", ["gcc", "clang"]),
        ("c", "c11", ["gcc", "clang"]),
        ("c", "c2x", ["gcc", "clang"]),
        ("c++", "c++17", ["g++", "clang++"]),
    ];
    for (language, standard, compilers) in standards {
        for compiler in compilers {
            run(Command::new(compiler)
                .args(["-x", language, &format!("-std={standard}"), "-fsyntax-only"])
                .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
                .arg(&include)
                .arg(&twice));
        }
    }
}

#[test]
fn every_item_of_the_header_is_documented() {
    let (items, helpers) = HEADER.split_once("static inline").expect("the helpers come last");
    let mut commented = false;
    let mut found = 0;
    for line in items.lines() {
        let begins = |starts: &[&str]| starts.iter().any(|start| line.starts_with(start));
        let item = begins(&["tea_", "double tea_", "uint32_t tea_", "typedef struct", "enum tea_"])
            || line.starts_with("#define TEA_") && !line.contains("TEA_STR(")
            || line.starts_with("typedef void");
        let indented = line.starts_with("    ") && !line[4..].starts_with([' ', '*', '/']);
        let member = indented && (line.ends_with([';', ',']) || line.contains("(*"));
        if item || member {
            assert!(commented, "undocumented: {line}");
            found += 1;
        }
        commented = line.ends_with("*/");
    }
    assert!(found > 250, "{found}");
    let (between, _last) = helpers.rsplit_once("static inline").expect("there are several");
    for helper in between.split("static inline") {
        assert!(helper.contains("/**"), "undocumented: what follows {helper}");
    }
}

#[test]
fn what_the_comments_of_the_header_name_exists() {
    let code = exports::without_comments(HEADER);
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let ours = words.filter(|word| word.starts_with("TEA_") || word.starts_with("tea_"));
        ours.map(|word| word.to_owned()).collect()
    };
    let known = words(&code);
    // Families of functions.
    let families = ["tea_value_put", "tea_payload", "tea_math", "tea_session"];
    let unknown: Vec<_> = words(HEADER)
        .into_iter()
        .filter(|word| !known.contains(word) && !families.contains(&word.as_str()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// The names that a symbol table lists.
fn symbols(arguments: &[&str], file: &Path) -> BTreeSet<String> {
    let list = run(Command::new("nm").args(arguments).arg(file));
    let names = list.lines().filter_map(|line| line.split_whitespace().nth(2));
    names.map(str::to_owned).collect()
}

#[test]
fn what_the_libraries_export_is_what_the_header_declares() {
    let declared: BTreeSet<_> =
        exports::of_header(HEADER).into_iter().map(|export| export.name).collect();
    assert!(declared.len() > 100, "{declared:?}");
    let lib = PREFIX.join("lib");
    assert_eq!(symbols(&["-D", "--defined-only"], &lib.join("libteatime.so")), declared);
    assert_eq!(symbols(&["-g", "--defined-only"], &lib.join("libteatime.a")), declared);
    let so_name = run(Command::new("readelf").arg("-d").arg(lib.join("libteatime.so")));
    assert!(so_name.contains("[libteatime.so.0.1]"), "{so_name}");
}

#[test]
fn all_tests_in_c_are_clean_under_valgrind() {
    for name in TESTS {
        run_in_valgrind(&build_test(name, "plain", &[]));
    }
}

#[test]
fn all_tests_in_c_are_clean_under_the_sanitizers() {
    let address = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    for name in TESTS {
        let program = build_test(name, "address", &address);
        let report = report(name);
        run(Command::new(program)
            .env("CMOCKA_MESSAGE_OUTPUT", "xml")
            .env("CMOCKA_XML_FILE", &report));
        assert!(report.is_file(), "{} is missing", report.display());
        // The library itself is not instrumented, so valgrind misses its locks. These reports are suppressed.
        run(Command::new(build_test(name, "thread", &["-fsanitize=thread"]))
            .env("TSAN_OPTIONS", "ignore_noninstrumented_modules=1"));
    }
}

#[test]
fn null_for_every_pointer_and_a_panic_behind_every_export_are_reported() {
    let folder = scratch("wrong");
    fs::create_dir_all(&folder).expect("the target directory can be written");
    let calls = exports::wrong_calls(&exports::of_header(HEADER));
    fs::write(folder.join("wrong_calls.inc"), calls).expect("the folder is there");
    let program = folder.join("wrong_calls");
    let include = format!("-I{}", folder.display());
    let flags = ["-std=c11", "-Wno-discarded-qualifiers", "-Wno-unused-variable", &include];
    compile("gcc", &PANICKING, "teatime", &flags, &[source("wrong_calls.c")], &program);
    run_in_valgrind(&program);
}

#[test]
fn the_clients_build_by_pkg_config_and_by_cmake_against_both_libraries() {
    let folder = scratch("clients");
    fs::create_dir_all(&folder).expect("the target directory can be written");
    for name in ["chat", "ball", "dice"] {
        let files = [root().join("clients/c").join(name).with_extension("c")];
        for package in ["teatime", "teatime-static"] {
            let program = folder.join(format!("{name}-{package}"));
            compile("cc", &PREFIX, package, &[], &files, &program);
            let needed = run(Command::new("ldd").arg(&program));
            assert_eq!(needed.contains("libteatime"), package == "teatime", "{needed}");
        }
    }
    let build = folder.join("cmake");
    let _ = fs::remove_dir_all(&build);
    run(Command::new("cmake")
        .args(["-S"])
        .arg(root().join("clients/c"))
        .arg("-B")
        .arg(&build)
        .arg(format!("-DCMAKE_PREFIX_PATH={}", PREFIX.display())));
    run(Command::new("cmake").arg("--build").arg(&build));
    for program in ["chat", "ball", "dice", "chat-static", "ball-static", "dice-static"] {
        assert!(build.join(program).is_file(), "{program}");
    }
}

#[test]
fn the_command_of_the_guide_builds_the_chat() {
    let guide = include_str!("../../../docs/languages/c.md");
    let command = guide.lines().find(|line| line.starts_with("cc clients/c/chat.c"));
    let folder = scratch("guide");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("clients/c")).expect("the target directory can be written");
    let source = "clients/c/chat.c";
    fs::copy(root().join(source), folder.join(source)).expect("it is there");
    run(Command::new("sh")
        .current_dir(&folder)
        .env("PKG_CONFIG_PATH", PREFIX.join("lib/pkgconfig"))
        .args(["-c", command.expect("the guide has the command")]));
    let usage = Command::new(folder.join("chat"))
        .env("LD_LIBRARY_PATH", PREFIX.join("lib"))
        .arg("--dance")
        .status();
    assert_eq!(usage.expect("it was built").code(), Some(2));
}

#[test]
fn dice_in_c_show_the_same_to_all_and_to_a_late_joiner() {
    let (_reflector, url) = teatime().reflector(&[]);
    let dice = client("dice");
    let play = || Program::spawn(Command::new(&dice).args([&url, "table"]));
    let mut all = vec![play(), play()];
    for one in &mut all {
        assert_eq!(one.next_line().as_deref(), Some("roll 0 shows 0"));
    }
    let mut shown = String::new();
    for roll in 1..=3 {
        all[roll % 2].say_raw("");
        let lines: Vec<_> = all.iter_mut().map(|one| one.next_line().expect("a line")).collect();
        assert!(lines[0].starts_with(&format!("roll {roll} shows ")), "{lines:?}");
        assert_eq!(lines[0], lines[1]);
        shown.clone_from(&lines[0]);
    }
    all.push(play());
    assert_eq!(all[2].next_line(), Some(shown));
    for mut one in all {
        one.end_input();
        assert_eq!(one.exit_code(), Some(0));
    }
}

#[test]
fn a_ball_in_c_is_at_the_same_place_in_two_processes_and_for_a_late_joiner() {
    let (_reflector, url) = teatime().reflector(&[]);
    let ball = client("ball");
    let play = || {
        let mut one = Program::spawn(Command::new(&ball).args([&url, "field"]));
        one.wait_for("ball");
        one
    };
    let mut all = vec![play(), play()];
    all[0].say_raw("click");
    let clicked = |value: &serde_json::Value| value["ball"]["clicks"] == 1;
    all.iter_mut().for_each(|one| drop(one.wait_until("a click", clicked)));
    all.push(play());
    assert_eq!(all[2].last("ball")["ball"]["clicks"], 1);
    all[1].say_raw("vote");
    let states: BTreeSet<_> = all.iter_mut().map(|one| one.wait_for("state").to_string()).collect();
    assert_eq!(states.len(), 1, "{states:?}");
    for one in &mut all {
        let verdict = one.wait_for("verdict");
        assert_eq!((&verdict["agreed"], &verdict["of"]), (&json!(3), &json!(3)));
        one.end_input();
        assert_eq!(one.exit_code(), Some(0));
    }
}
