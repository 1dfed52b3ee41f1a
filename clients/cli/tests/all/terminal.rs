//! The chat on a whole terminal: real terminals, real processes.

use std::process::Command;

use teatime_tests::terminal::OnTerminal;

use crate::support::teatime;

/// A participant that has not left stays this long: longer than any test waits.
const GHOST: &[&str] = &["--rejoin-limit", "10m"];

fn on_screen(url: &str, term: Option<&str>) -> OnTerminal {
    let mut command = teatime().command(&["chat", "--reflector", url]);
    match term {
        Some(term) => command.env("TERM", term),
        None => command.env_remove("TERM"),
    };
    OnTerminal::spawn(&mut command)
}

#[test]
fn the_chat_ends_with_its_terminal_and_leaves() {
    let (_reflector, url) = teatime().reflector(GHOST);
    let mut watcher = teatime().chat(&url, &[]);
    let mut chat = on_screen(&url, Some("xterm"));
    watcher.wait_for_participants(2);
    chat.wait_for("2 here", 0);
    chat.take_away();
    assert_eq!(chat.exit_code(), Some(1));
    watcher.wait_for_participants(1);
}

#[test]
fn a_terminal_that_can_show_no_screen_gets_plain_text() {
    let (_reflector, url) = teatime().reflector(GHOST);
    let mut watcher = teatime().chat(&url, &[]);
    for term in [Some("dumb"), Some(""), None] {
        let mut chat = on_screen(&url, term);
        watcher.wait_for_participants(2);
        chat.type_keys("tea?\r\n");
        chat.wait_for(": tea?", 0);
        assert!(!chat.shown.contains('\u{1b}'), "{term:?}: {:?}", chat.shown);
        // A line that ends the input.
        chat.type_keys("\u{4}");
        assert_eq!(chat.exit_code(), Some(0), "{term:?}");
        watcher.wait_for_participants(1);
    }
}

/// A shell starts the chat, and waits until it has stopped. The terminal controls both.
#[test]
#[cfg(target_os = "linux")]
fn ctrl_z_stops_the_chat_and_the_shell_gets_its_terminal_back() {
    let (_reflector, url) = teatime().reflector(GHOST);
    let mut watcher = teatime().chat(&url, &[]);
    let chat = teatime().command(&[]);
    let mut shell = Command::new("setsid");
    let script =
        "\"$0\" chat --reflector \"$1\"; echo \"first $?.\"; read key; fg; echo \"then $?.\"";
    shell.args(["--ctty", "--wait", "sh", "-mc", script]).arg(chat.get_program()).arg(&url);
    shell.env("TERM", "xterm");
    let mut shell = OnTerminal::spawn(&mut shell);
    shell.wait_for("2 here", 0);
    shell.type_keys("half");
    let before = shell.wait_for("half", 0);
    shell.type_keys("\u{1a}");
    // It has left the screen, and was stopped by SIGTSTP, which is 20.
    let stopped = shell.wait_for("first 148.", before);
    assert!(shell.shown[before..stopped].contains("\u{1b}[?1049l"), "{:?}", &shell.shown[before..]);
    watcher.post("meanwhile");
    watcher.wait_for_line("meanwhile");
    shell.type_keys("\n");
    shell.wait_for("\u{1b}[?1049h", stopped);
    shell.wait_for("meanwhile", stopped);
    shell.wait_for("half", stopped);
    shell.type_keys("\r");
    watcher.wait_for_line("half");
    shell.type_keys("\u{1b}");
    shell.wait_for("then 0.", stopped);
    watcher.wait_for_participants(1);
}

/// Another program stops the chat, as job control of a script does, and continues it.
#[test]
#[cfg(target_os = "linux")]
fn a_stop_signal_from_outside_gives_the_terminal_back_and_continuing_draws_it_again() {
    let (_reflector, url) = teatime().reflector(GHOST);
    let mut watcher = teatime().chat(&url, &[]);
    let chat = teatime().command(&[]);
    let mut shell = Command::new("setsid");
    // A job of its own, whose number the test gets. `wait` ends when the job stops.
    let script = "sh -c 'echo \"number $$.\"; exec \"$0\" chat --reflector \"$1\"' \"$0\" \"$1\"; \
                  echo \"first $?.\"; stty -a | grep -o ' -\\?icanon'; read key; fg; echo \"then $?.\"";
    shell.args(["--ctty", "--wait", "sh", "-mc", script]).arg(chat.get_program()).arg(&url);
    shell.env("TERM", "xterm");
    let mut shell = OnTerminal::spawn(&mut shell);
    let before = shell.wait_for("2 here", 0);
    let number = shell.shown.split_once("number ").and_then(|(_, rest)| rest.split_once('.'));
    let number = number.expect("the job has said it").0.to_owned();
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &number]).status();
        assert!(sent.expect("there is a kill").success());
    };
    signal("-TSTP");
    // It has left the screen and raw mode, and was stopped by SIGTSTP, which is 20.
    shell.wait_for("first 148.", before);
    let stopped = shell.wait_for("icanon", before);
    let shown = &shell.shown[before..stopped];
    assert!(shown.contains("\u{1b}[?1049l") && !shown.contains("-icanon"), "{shown:?}");
    watcher.post("meanwhile");
    watcher.wait_for_line("meanwhile");
    // In the foreground again, it takes the screen and keys.
    shell.type_keys("\n");
    shell.wait_for("\u{1b}[?1049h", stopped);
    shell.wait_for("meanwhile", stopped);
    shell.type_keys("typed\r");
    let again = {
        watcher.wait_for_line("typed");
        shell.wait_for("typed", stopped)
    };
    // A second time, and the end while it is stopped leaves nothing behind.
    signal("-TSTP");
    shell.wait_for("then 148.", again);
    signal("-TERM");
    signal("-CONT");
    watcher.wait_for_participants(1);
}
