//! `teatime diff`: explains the evidence that a diverged client wrote.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use teatime::evidence::{Diff, Evidence, Moment, Right, Since, diff, read};

use crate::codes::Coded;
use crate::terminal::{Failure, print};

/// Flags of `teatime diff`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Evidence file, written by the client that diverged. It is plain text even if the room has a password.
    #[arg(value_name = "EVIDENCE")]
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints which model and field differ first, and since which event.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = arguments.file.display();
    let failed = |error: &dyn Coded| Failure::Failed(error.code(), format!("{file}: {error}"));
    let evidence = read(&arguments.file).map_err(|error| failed(&error))?;
    // This program has only the models of the chat.
    let chat = teatime_chat::app();
    let app = (evidence.head.app == chat.id()).then_some(&chat);
    let found = diff(&evidence, app).map_err(|error| failed(&error))?;
    if arguments.json {
        print(&as_json(&evidence, &found))
    } else {
        print(&as_text(&evidence, &found).trim_end())
    }
}

fn as_text(evidence: &Evidence, found: &Diff) -> String {
    let head = &evidence.head;
    let Evidence { seq, time, agreed, of, agent, view, .. } = evidence;
    let optimized = if head.optimized { "optimized" } else { "not optimized" };
    let sides = evidence.sides.iter().map(|side| {
        let own = if side.is_own { ", this client included" } else { "" };
        let builds = side.builds.join(" / ");
        format!("two programs disagree: {} participants{own}: {builds}\n", side.participants)
    });
    let sides: String = sides.collect();
    format!(
        "app {}, version {}, session {}\n\
         view {view}, {agent}, teatime {} on {}, {optimized}\n\
         vote {seq} at {time}: {agreed} of {of} agreed, this client had {}\n\
         {sides}{found}",
        head.app,
        head.app_version,
        head.session,
        head.library,
        head.target,
        evidence.own_hash(),
    )
}

fn as_json(evidence: &Evidence, found: &Diff) -> Value {
    let head = &evidence.head;
    let model = found.place.as_ref().and_then(|place| place.model.as_ref());
    json!({
        "app": head.app, "app_version": head.app_version, "session_id": head.session,
        "view_id": evidence.view, "agent": evidence.agent, "teatime": head.library,
        "target": head.target, "optimized": head.optimized,
        "seq": evidence.seq, "time_us": evidence.time.as_micros(),
        "agreed": evidence.agreed, "of": evidence.of,
        "sides": evidence.sides.iter().map(|side| json!({
            "participants": side.participants, "own": side.is_own, "builds": side.builds,
        })).collect::<Vec<_>>(),
        "own_hash": evidence.own_hash(), "right_hash": evidence.right_hash(),
        "right_is": match found.right {
            Right::Known => "known",
            Right::Replayed => "replayed",
            Right::Unknown => "unknown",
        },
        "model": model.map(|(id, kind)| json!({ "id": id, "type": kind })),
        "field": found.place.as_ref().map(teatime::tree::Place::field),
        "own": found.own_value, "right": found.right_value,
        "since": since(&found.since), "reproduced": found.reproduced,
    })
}

fn since(since: &Since) -> Value {
    let (kind, before, event) = match since {
        Since::Event(event) => ("event", None, Some(event)),
        Since::Between(before, event) => ("between", Some(before), Some(event)),
        Since::Missed(before, event) => ("missed", Some(before), Some(event)),
        Since::LastChange(event) => ("last_change", None, Some(event)),
        Since::Unknown(_) => ("unknown", None, None),
    };
    json!({
        "kind": kind, "before": before.map(moment), "event": event.map(moment),
        "message": since.to_string(),
    })
}

fn moment(moment: &Moment) -> Value {
    json!({
        "seq": moment.seq, "time_us": moment.time.as_micros(), "sender": moment.sender,
        "what": moment.what,
    })
}
