//! The environment variables of a simulation, and the panics that it prints: each in a process of its own.

use std::ffi::{OsStr, OsString};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use teatime::testing::Plan;

use crate::board::{Planted, simulation};

/// A text that is not Unicode, if the platform has such texts.
#[cfg(unix)]
fn not_unicode() -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt;
    Some(OsString::from_vec(b"7\xff".to_vec()))
}

#[cfg(not(unix))]
fn not_unicode() -> Option<OsString> {
    None
}

#[test]
fn says_what_it_has_played() {
    match simulation(Planted::Nothing).seeds(2).run() {
        Ok(summary) => println!("{} seeds were played", summary.runs),
        Err(failure) => println!("{failure}"),
    }
}

#[test]
fn the_environment_chooses_seeds() {
    let play = |name: &str, value: &OsStr| {
        let mut test = Command::new(std::env::current_exe().expect("it runs"));
        for name in ["TEATIME_SEED", "TEATIME_SEEDS", "TEATIME_PLAN"] {
            test.env_remove(name);
        }
        test.env(name, value);
        test.args(["--exact", "environment::says_what_it_has_played", "--nocapture"]);
        String::from_utf8(test.output().expect("it runs").stdout).expect("UTF-8")
    };
    for (name, value, says) in [
        ("TEATIME_SEED", "7", "1 seeds were played"),
        ("TEATIME_SEEDS", "3", "3 seeds were played"),
        ("OTHER", "5", "2 seeds were played"),
        ("TEATIME_SEED", "many", "TEATIME_SEED is \"many\": expected a number"),
        ("TEATIME_SEED", "", "TEATIME_SEED is \"\": expected a number"),
        ("TEATIME_PLAN", "/there/is/none.json", "/there/is/none.json"),
    ] {
        let said = play(name, value.as_ref());
        assert!(said.contains(says), "{name}={value}: {said}");
    }
    if let Some(text) = not_unicode() {
        let said = play("TEATIME_SEED", &text);
        assert!(said.contains("TEATIME_SEED is \"7\\xFF\": expected a number"), "{said}");
    }
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("a plan.json");
    let plan = simulation(Planted::Nothing).plan(3);
    plan.write(&path).expect("it can be written");
    let said = play("TEATIME_PLAN", path.as_os_str());
    assert!(said.contains("1 seeds were played"), "{said}");
    // A plan of another app is not played.
    let plan = Plan { app: Some("org.example.album".to_owned()), ..plan };
    plan.write(&path).expect("it can be written");
    let said = play("TEATIME_PLAN", path.as_os_str());
    assert!(said.contains("2 seeds were played"), "{said}");
    let one = simulation(Planted::LeftOut).run().expect_err("it fails");
    assert!(
        one.to_string().contains(&format!(
            "TEATIME_SEED={} cargo test environment::the_environment",
            one.seed()
        ))
    );
}

/// The next test runs this in a process of its own, because the panic hook belongs to the whole process.
#[test]
fn says_how_many_panics_are_printed() {
    static PRINTED: AtomicU64 = AtomicU64::new(0);
    if std::env::var_os("TEATIME_PRINTED").is_none() {
        return;
    }
    let since = || PRINTED.swap(0, Ordering::Relaxed);
    for _ in 0..2 {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(|panic| {
            let is_counted =
                ["nine", "as ever"].iter().any(|text| panic.to_string().contains(text));
            PRINTED.fetch_add(is_counted.into(), Ordering::Relaxed);
        }));
        let failed = simulation(Planted::Panics).seeds(3).threads(1).run();
        println!("failing: {} {}", failed.is_err(), since());
        let allowed = simulation(Planted::Panics).seeds(3).allow_faults();
        println!("allowed: {} {}", allowed.run().is_err(), since());
        drop(std::thread::spawn(|| panic!("as ever")).join());
        println!("others: {}", since());
        std::panic::set_hook(before);
    }
}

#[test]
fn expected_panics_are_not_printed_and_all_others_are() {
    let mut test = Command::new(std::env::current_exe().expect("it runs"));
    for name in ["TEATIME_SEED", "TEATIME_SEEDS", "TEATIME_PLAN"] {
        test.env_remove(name);
    }
    test.env("TEATIME_PRINTED", "1");
    test.args(["--exact", "environment::says_how_many_panics_are_printed", "--nocapture"]);
    let said = String::from_utf8(test.output().expect("it runs").stdout).expect("UTF-8");
    let counted: Vec<_> = said.lines().filter(|line| line.contains(": ")).collect();
    // A failing simulation prints the panic of its first run, and none of the runs that make the plan smaller. The second
    // round shows that the hook was restored.
    let once = ["failing: true 1", "allowed: true 0", "others: 1"];
    assert_eq!(counted[..6], [once, once].concat(), "{said}");
}
