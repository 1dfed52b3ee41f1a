//! Recording, replaying and voting, for the tests of recordings.

use std::path::Path;

use serde_json::{Value, json};

use super::{Program, run, teatime};

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Starts a recorder, and waits until it is in the room.
pub(crate) fn recorder(url: &str, file: &Path, more: &[&str]) -> Program {
    let flags = ["record", "--json", "--reflector", url, "--to", text(file)];
    let mut recorder = teatime().start(&[&flags[..], more].concat());
    recorder.wait_for("recording");
    recorder
}

/// Ends it as a user does, by Ctrl-C.
pub(crate) fn stop(mut recorder: Program) -> Value {
    recorder.signal("INT");
    let recorded = recorder.wait_for("recorded");
    assert_eq!(recorder.exit_code(), Some(0));
    recorded
}

/// The hash of the state, on which all participants agree.
pub(crate) fn vote(chat: &mut Program, of: u64) -> Value {
    vote_with(chat, of, 0)
}

/// The same while some participants have gone but still count.
pub(crate) fn vote_with(chat: &mut Program, agreed: u64, gone: u64) -> Value {
    chat.say(&json!({ "do": "vote" }));
    let verdict = chat.wait_for("verdict");
    assert_eq!((&verdict["agreed"], &verdict["of"]), (&json!(agreed), &json!(agreed + gone)));
    chat.last("state").clone()
}

pub(crate) fn replay(arguments: &[&str]) -> (Value, String) {
    let (code, output, errors) = run(&[&["replay", "--json"], arguments].concat(), "");
    assert_eq!(code, Some(0), "{arguments:?}: {errors}");
    (serde_json::from_str(&output).expect("it is JSON"), errors)
}

/// A refusal: one line, with the reason.
pub(crate) fn assert_refused(arguments: &[&str], what: &str) {
    let (code, output, errors) = run(arguments, "");
    let one_line = (Some(1), "", 1);
    assert_eq!(
        (code, output.as_str(), errors.lines().count()),
        one_line,
        "{arguments:?}: {errors}"
    );
    assert!(errors.contains(what), "{arguments:?}: {errors}");
}

/// The default options of the chat.
pub(crate) fn options() -> Vec<u8> {
    let config = teatime_chat::config("room", &teatime_chat::ChatOptions::default());
    config.expect("nothing is wrong with it").options.to_vec()
}
