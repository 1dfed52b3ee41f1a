//! `teatime replay`: replays a session up to some point, and shows the state there.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use teatime::evidence::Evidence;
use teatime::recording::{Input, Player, Recording, TruncatedError, Until, of_archive, read};
use teatime::tree::{Node, Tree};
use teatime::{App, External, Fault, StateHash, Time, Vm};
use teatime_chat::ChatOptions;
use teatime_store::{Error, Key, load};

use crate::codes::Coded;
use crate::joining::Which;
use crate::terminal::{Failure, print, printable_lines, tell_user};

/// Flags of `teatime replay`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Show only this part of the state, such as `M1.history`, `M1.history[0]` or `time`.
    #[arg(long, value_name = "PATH")]
    state: Option<String>,
    /// Print each event when it is due, N times as fast as it happened.
    #[arg(long, value_name = "N", value_parser = speed)]
    speed: Option<f64>,
    /// Print JSON, one object a line: the state with its hash, and with --speed each event before it. An error has a
    /// code.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to replay, and up to which point.
#[derive(Args)]
pub(crate) struct Source {
    /// Recording, evidence file, or directory of a reflector, which may be running. A file from a stranger may take very
    /// long: stop with Ctrl-C.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Stop after this event, such as 17, or at this session time, such as 1500ms, 12.5s, 3m or 2h.
    #[arg(long, value_name = "TIME|SEQ")]
    until: Option<Point>,
}

/// A recording, with what else the file says.
pub(crate) struct Played {
    pub(crate) recording: Recording,
    cut: Option<TruncatedError>,
    evidence: Option<Box<Evidence>>,
}

/// A point of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point(Until);

/// Most faults to show: a handler may fail at every tick.
const SHOWN_FAULTS: usize = 10;

/// Replays, and shows the state.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let app = teatime_chat::app();
    let played = arguments.source.open(&app)?;
    let mut player =
        played.recording.player(&app).map_err(|error| arguments.source.failed(&error))?;
    let mut faults = Vec::new();
    if let Some(speed) = arguments.speed {
        show_events(&mut player, arguments, speed, &mut faults)?;
    }
    arguments.source.play(&played, &mut player)?;
    let mut vm = player.into_vm();
    faults.append(&mut vm.drain_faults());
    show_state(arguments, &played, &vm, &faults)
}

impl Source {
    pub(crate) fn failed(&self, error: &impl Coded) -> Failure {
        self.refused(error.code(), error)
    }

    fn refused(&self, code: &'static str, why: &dyn Display) -> Failure {
        Failure::Failed(code, format!("{}: {why}", self.file.display()))
    }

    /// Reads the recording, and warns if it is cut off.
    pub(crate) fn open(&self, app: &App) -> Result<Played, Failure> {
        let stored = self.file.is_dir();
        let Which { name, password, inactivity, announce } = &self.which;
        let selects = name.is_some() || password.is_given() || inactivity.is_some() || *announce;
        if !stored && selects {
            let what = "--name, --password, --inactivity and --announce select a room of a directory, \
                        but this is a file";
            return Err(Failure::Usage(what.to_owned()));
        }
        let played = if stored {
            Played { recording: self.load()?, cut: None, evidence: None }
        } else {
            let opened = read(&self.file).map_err(|error| self.failed(&error))?;
            let (recording, cut, evidence) = (opened.recording, opened.cut, opened.evidence);
            Played { recording, cut, evidence }
        };
        played.recording.head.check(app).map_err(|error| self.failed(&error))?;
        self.check_point(&played)?;
        if let Some(cut) = &played.cut {
            let (file, (time, seq)) = (self.file.display(), played.recording.until);
            tell_user(&format_args!("{file}: {cut}; it ends at event {seq}, at {time}"));
        }
        Ok(played)
    }

    fn load(&self) -> Result<Recording, Failure> {
        let mut options = ChatOptions::default();
        let config = self.which.config(None, None, &mut options)?;
        let id = config.session_id();
        let stored = load(&self.file, Key::Session(id)).map_err(|error| self.failed(&error))?;
        let unknown = || {
            let seconds = options.inactivity_seconds;
            let (name, version) = (&config.name, config.app.version());
            let password = if config.password.is_some() { "this password" } else { "no password" };
            let announce = if options.announce { " and --announce" } else { "" };
            let why = format!(
                "no room {name:?} with --inactivity {seconds}{announce} and {password} of version {version} of this \
                 app; teatime store list shows the sessions that it has"
            );
            self.refused("UNKNOWN_ROOM", &why)
        };
        let archive = stored.ok_or_else(unknown)?.archive();
        let archive = archive.map_err(|error| self.failed(&Error::from(error)))?;
        of_archive(&config, &archive).map_err(|error| self.failed(&error))
    }

    /// Refuses a point outside the recording, because the state at its end would be taken for the state there.
    fn check_point(&self, played: &Played) -> Result<(), Failure> {
        let Recording { from, until: (time, seq), .. } = &played.recording;
        let cut = played.cut.as_ref().map_or_else(String::new, |cut| format!(" ({cut})"));
        match self.until() {
            Until::Seq(wanted) if wanted > *seq => {
                Err(self.no_point(&format_args!("its last event is {seq}, not {wanted}{cut}")))
            }
            Until::Time(wanted) if wanted > *time => {
                Err(self.no_point(&format_args!("it ends at {time}, before {wanted}{cut}")))
            }
            Until::Seq(wanted) if wanted < *from => {
                Err(self.no_point(&format_args!("it begins after event {from}, not at {wanted}")))
            }
            _ => Ok(()),
        }
    }

    fn no_point(&self, why: &dyn Display) -> Failure {
        self.refused("NO_SUCH_POINT", why)
    }

    fn until(&self) -> Until {
        self.until.map_or(Until::End, |point| point.0)
    }

    /// Replays up to the point that the user asked for.
    pub(crate) fn play(&self, played: &Played, player: &mut Player<'_>) -> Result<(), Failure> {
        let began = player.vm().time();
        if let Until::Time(wanted) = self.until()
            && wanted < began
            && player.vm().seq() == played.recording.from
        {
            return Err(self.no_point(&format_args!("it begins at {began}, after {wanted}")));
        }
        player.play(self.until()).map_err(|error| self.failed(&error))
    }
}

/// Replays `speed` times as fast as it happened, and prints every event.
fn show_events(
    player: &mut Player<'_>,
    arguments: &Arguments,
    speed: f64,
    faults: &mut Vec<Fault>,
) -> Result<(), Failure> {
    let (began, start) = (Instant::now(), player.vm().time().as_micros());
    let is_due = |player: &Player<'_>, input: &Input| match arguments.source.until() {
        Until::Seq(seq) => player.vm().seq() < seq,
        Until::Time(time) => input.time <= time,
        Until::End => true,
    };
    while let Some(input) = player.peek().filter(|input| is_due(player, input)) {
        let passed = input.time.as_micros().saturating_sub(start) as f64 / 1e6 / speed;
        let due = Duration::try_from_secs_f64(passed).unwrap_or(Duration::MAX);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        player.step().map_err(|error| arguments.source.failed(&error))?;
        let seq = player.vm().seq();
        print_input(arguments.json, seq, input)?;
        faults.append(&mut player.vm_mut().drain_faults());
    }
    Ok(())
}

fn print_input(json: bool, seq: u64, input: &Input) -> Result<(), Failure> {
    let (sender, what) = match input.external() {
        External::Event { sender, scope, event, .. } => (Some(sender), format!("{scope}:{event}")),
        External::Presence { exited, joined } => {
            let ids = |views: &[teatime::ViewInfo], what: &str| {
                let ids: Vec<_> = views.iter().map(|view| view.view_id.to_string()).collect();
                (!ids.is_empty()).then(|| format!("{what} {}", ids.join(", ")))
            };
            let parts = [ids(exited, "exit of"), ids(joined, "join of")];
            (None, parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
        External::Marker => (None, "nothing".to_owned()),
    };
    let line = if json {
        json!({
            "event": "input", "seq": seq, "time_us": input.time.as_micros(), "sender": sender,
            "what": what,
        })
        .to_string()
    } else {
        let from = sender.map_or_else(String::new, |sender| format!(" from {sender}"));
        teatime_chat::printable(&format!("event {seq} at {}{from}: {what}", input.time))
    };
    print(&line)
}

fn show_state(
    arguments: &Arguments,
    played: &Played,
    vm: &Vm,
    faults: &[Fault],
) -> Result<(), Failure> {
    let source = &arguments.source;
    let snapshot = vm.snapshot().map_err(|error| source.failed(&error))?;
    let hash = StateHash::of(&snapshot);
    let head = &played.recording.head;
    let tree = Tree::read(&head.schema, &snapshot).map_err(|error| source.failed(&error))?;
    let part = match &arguments.state {
        Some(path) => Some((path, part(&tree, path).ok_or_else(|| no_part(source, &tree, path))?)),
        None => None,
    };
    if arguments.json {
        let state = match part {
            Some((_, node)) => serde_json::to_value(node),
            None => serde_json::to_value(&tree),
        };
        let state = state.map_err(|error| source.refused("DAMAGED", &error))?;
        print(&as_json(arguments, played, vm, hash, faults, &state))
    } else {
        let state = match part {
            Some((path, node)) => node.lines(path).to_string(),
            None => tree.to_string(),
        };
        print(&printable_lines(&(as_text(played, vm, hash, faults) + &state)).trim_end())
    }
}

fn part<'a>(tree: &'a Tree, path: &str) -> Option<&'a Node> {
    tree.get(&tree.place(path)?)
}

fn no_part(source: &Source, tree: &Tree, path: &str) -> Failure {
    let session = tree.session.iter().map(|(name, _)| (*name).to_owned());
    let models = tree.models.iter().take(20).map(|model| format!("M{}", model.id));
    let all: Vec<_> = session.chain(models).collect();
    let why = format!("the state has no {path:?}; it has {}", all.join(", "));
    source.refused("NO_SUCH_PART", &why)
}

fn as_text(played: &Played, vm: &Vm, hash: StateHash, faults: &[Fault]) -> String {
    let Recording { head, until: (end, last), .. } = &played.recording;
    let (seq, time) = (vm.seq(), vm.time());
    let mut text = format!(
        "app {}, version {}, session {}\n\
         event {seq} of {last}, {time} of {end}\n\
         hash {hash}\n",
        head.app, head.app_version, head.session,
    );
    if let Some(evidence) = &played.evidence {
        let own = evidence.own_hash();
        text += &format!("the client that diverged at event {} had {own}\n", evidence.seq);
    }
    for fault in faults.iter().take(SHOWN_FAULTS) {
        text += &format!("{fault}\n");
    }
    if faults.len() > SHOWN_FAULTS {
        text += &format!("and {} more faults\n", faults.len() - SHOWN_FAULTS);
    }
    text
}

fn as_json(
    arguments: &Arguments,
    played: &Played,
    vm: &Vm,
    hash: StateHash,
    faults: &[Fault],
    state: &Value,
) -> Value {
    let Recording { head, from, until: (end, last), .. } = &played.recording;
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    json!({
        "event": "state", "file": arguments.source.file.display().to_string(),
        "app": head.app, "app_version": head.app_version, "session_id": head.session,
        "from_seq": from, "last_seq": last, "end_us": end.as_micros(),
        "cut": played.cut.as_ref().map(ToString::to_string),
        "own_hash": played.evidence.as_ref().map(|evidence| evidence.own_hash()),
        "seq": vm.seq(), "time_us": vm.time().as_micros(), "hash": hash,
        "faults": faults, "path": arguments.state, "state": state,
    })
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seq) = text.parse() {
            return Ok(Self(Until::Seq(seq)));
        }
        let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6), ("h", 3_600e6)];
        let of = |(unit, micros): (&str, f64)| {
            let number = text.strip_suffix(unit)?.trim_end();
            let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let number = number.parse::<f64>().ok().filter(|_| is_plain)?;
            Some(Time::from_micros((number * micros).round() as u64))
        };
        let time = units.into_iter().find_map(of);
        let wrong = || {
            format!(
                "invalid point {text:?}: expected an event, such as 17, or a time, such as 12.5s"
            )
        };
        time.map(|time| Self(Until::Time(time))).ok_or_else(wrong)
    }
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok().filter(|speed| *speed > 0.0 && speed.is_finite());
    speed.ok_or_else(|| format!("invalid speed {text:?}: expected a number above 0"))
}

/// The state at the point, for commands that continue from there.
pub(crate) fn state_at(source: &Source, app: &App) -> Result<(Recording, Vm), Failure> {
    let played = source.open(app)?;
    let mut player = played.recording.player(app).map_err(|error| source.failed(&error))?;
    source.play(&played, &mut player)?;
    let vm = player.into_vm();
    Ok((played.recording, vm))
}

impl Source {
    /// Whether the user gave a password to open it.
    pub(crate) fn has_password(&self) -> bool {
        self.which.password.is_given()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_an_event_or_a_time() {
        let point = |text: &str| text.parse::<Point>().map(|point| point.0);
        let time = |micros| Ok(Until::Time(Time::from_micros(micros)));
        assert_eq!(point("17"), Ok(Until::Seq(17)));
        for (text, micros) in [
            ("0s", 0),
            ("250us", 250),
            ("1.5ms", 1_500),
            ("12.5s", 12_500_000),
            ("0.045000 s", 45_000),
            ("3m", 180_000_000),
            ("2h", 7_200_000_000),
        ] {
            assert_eq!(point(text), time(micros), "{text}");
        }
        for wrong in ["", "s", "-1", "-1s", "1.5", "1e3s", "infs", "NaNs", "12:30", "3 d"] {
            assert!(point(wrong).is_err(), "{wrong}");
        }
    }
}
