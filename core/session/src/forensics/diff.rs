//! Where the two states in a file of evidence differ first, and after which event they did.

use std::fmt;
use std::sync::Arc;

use teatime_vm::recording::{Input, Player, Recording, RecordingError, Until};
use teatime_vm::tree::{Node, Place, Tree};
use teatime_vm::{App, External, SnapshotError, StateHash, Time, ViewId};

use super::evidence::Evidence;

/// What a piece of evidence says.
#[derive(Debug, Clone, PartialEq)]
pub struct Diff {
    /// Where the right state comes from.
    pub right: Right,
    /// The first model and field that differ. `None` if the right state is not known.
    pub place: Option<Place>,
    /// What the client that diverged has there. `None` if its state has no such place.
    pub own_value: Option<Node>,
    /// What the others have there.
    pub right_value: Option<Node>,
    /// After which event they differed.
    pub since: Since,
    /// Whether the client came to its wrong state again when it replayed the events. If not, something else than the
    /// events has led to it. `None` if it did not replay them.
    pub reproduced: Option<bool>,
}

/// Where the right state comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// The client got to know it.
    Known,
    /// This program computed it from the events.
    Replayed,
    /// It is not known.
    Unknown,
}

/// After which event two states differed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// After this event, or a future message that was due by its time. They were equal after the event before.
    Event(Moment),
    /// They were equal after the first, and differed after the second. What lies between was not compared.
    Between(Moment, Moment),
    /// The field has in the wrong state what it had after the first event. The second changed it on the other
    /// participants.
    Missed(Moment, Moment),
    /// The field has in the wrong state what it never had on the other participants. This is the last event that
    /// changed it there.
    LastChange(Moment),
    /// Unknown, for this reason.
    Unknown(SinceError),
}

/// Why it is unknown after which event two states differed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SinceError {
    /// This program does not have the app.
    #[error("the models of the app {0:?} are not part of this program")]
    NoApp(String),
    /// Too much came after the newest state that all participants had in common.
    #[error("too many events led to the difference, so they were not recorded")]
    NoRecording,
    /// This program comes to the wrong state too.
    #[error(
        "this program computes the same wrong state from the events: try the program of the others"
    )]
    SameMistake,
    /// This program comes to a third state.
    #[error(
        "this program computes a third state from the events: try the programs of the participants"
    )]
    Third,
    /// The field has never changed.
    #[error("no event has changed that field")]
    NoChange,
    /// The events cannot be played.
    #[error("the events cannot be played: {0}")]
    Replay(#[source] RecordingError),
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Its sequence number.
    pub seq: u64,
    /// Its session time.
    pub time: Time,
    /// The participant that sent it, if it was sent by one.
    pub sender: Option<ViewId>,
    /// Its scope and event, or what else it was.
    pub what: String,
}

/// Examines a file of evidence. With the app, in the version of the evidence, this replays the events. Without it
/// only the states are compared.
///
/// # Errors
/// If a state in the evidence cannot be read.
pub fn diff(evidence: &Evidence, app: Option<&App>) -> Result<Diff, SnapshotError> {
    let own_hash = evidence.own_hash();
    let replayed_to = evidence.replayed.last().map(|(_, hash)| *hash);
    let played = play(evidence, app);
    let mut right = evidence.right.clone().map(|right| (right, Right::Known));
    if let (None, Ok((_, end))) = (&right, &played)
        && StateHash::of(end) != own_hash
    {
        right = Some((end.clone(), Right::Replayed));
    }
    let mut found = Diff {
        right: right.as_ref().map_or(Right::Unknown, |(_, from)| *from),
        place: None,
        own_value: None,
        right_value: None,
        since: Since::Unknown(SinceError::SameMistake),
        reproduced: replayed_to.map(|hash| hash == own_hash),
    };
    let schema = &evidence.head.schema;
    let own = Tree::read(schema, evidence.own.as_deref().unwrap_or_default())?;
    if let Some((right, _)) = &right {
        let right = Tree::read(schema, right)?;
        found.place = own.first_difference(&right);
        if let Some(place) = &found.place {
            found.own_value = own.get(place).cloned();
            found.right_value = right.get(place).cloned();
        }
    }
    let right_hash = right.as_ref().map(|(right, _)| StateHash::of(right));
    found.since = match played {
        Err(why) => Since::Unknown(why),
        Ok((_, end)) if Some(StateHash::of(&end)) != right_hash => {
            let same = StateHash::of(&end) == own_hash;
            Since::Unknown(if same { SinceError::SameMistake } else { SinceError::Third })
        }
        Ok((player, _)) => {
            let since = match &found.place {
                _ if found.reproduced == Some(true) => by_hashes(player, &evidence.replayed),
                Some(place) => by_value(player, schema, place, found.own_value.as_ref()),
                None => Ok(Since::Unknown(SinceError::NoChange)),
            };
            since.unwrap_or_else(|error| Since::Unknown(SinceError::Replay(error)))
        }
    };
    Ok(found)
}

/// Plays the events to their end. Returns a player at their beginning, and the state at the end.
fn play<'a>(
    evidence: &'a Evidence,
    app: Option<&App>,
) -> Result<(Player<'a>, Arc<[u8]>), SinceError> {
    let app = app.ok_or_else(|| SinceError::NoApp(evidence.head.app.clone()))?;
    let recording: &Recording = evidence.recording.as_ref().ok_or(SinceError::NoRecording)?;
    let played = recording.replay(app, Until::End).and_then(|vm| Ok(vm.snapshot()?));
    let end = played.map_err(SinceError::Replay)?;
    Ok((recording.player(app).map_err(SinceError::Replay)?, end.into()))
}

/// The client came to the same wrong state when it replayed the events, and has noted the hashes on the way.
fn by_hashes(
    mut player: Player<'_>,
    replayed: &[(u64, StateHash)],
) -> Result<Since, RecordingError> {
    let mut equal = Moment::beginning(&player);
    while let Some(input) = player.step()? {
        let seq = player.vm().seq();
        let Ok(at) = replayed.binary_search_by_key(&seq, |(seq, _)| *seq) else { continue };
        let moment = Moment::of(seq, input);
        if replayed[at].1 != player.vm().hash()? {
            let exact = equal.seq + 1 == seq;
            let between = |moment| Since::Between(equal, moment);
            return Ok(if exact { Since::Event(moment) } else { between(moment) });
        }
        equal = moment;
    }
    Ok(Since::Unknown(SinceError::NoChange))
}

/// Finds when the right states on the way had in this place what the wrong state has.
fn by_value(
    mut player: Player<'_>,
    schema: &teatime_vm::tree::Schema,
    place: &Place,
    wrong: Option<&Node>,
) -> Result<Since, RecordingError> {
    let mut before = Moment::beginning(&player);
    let value = |player: &Player<'_>| -> Result<Option<Node>, RecordingError> {
        let tree = Tree::read(schema, &player.vm().snapshot()?)?;
        Ok(tree.get(place).cloned())
    };
    let mut newest = value(&player)?;
    let (mut missed, mut changed) = (None, None);
    while let Some(input) = player.step()? {
        let moment = Moment::of(player.vm().seq(), input);
        let next = value(&player)?;
        if next != newest {
            if newest.as_ref() == wrong {
                missed = Some(Since::Missed(before, moment.clone()));
            }
            changed = Some(moment.clone());
            newest = next;
        }
        before = moment;
    }
    let changed = changed.map(Since::LastChange);
    Ok(missed.or(changed).unwrap_or(Since::Unknown(SinceError::NoChange)))
}

impl Moment {
    fn beginning(player: &Player<'_>) -> Self {
        let (seq, time) = (player.vm().seq(), player.vm().time());
        Self { seq, time, sender: None, what: "the newest state that all had".to_owned() }
    }

    fn of(seq: u64, input: &Input) -> Self {
        let (sender, what) = match input.external() {
            External::Event { sender, scope, event, .. } => {
                (Some(sender), format!("{scope}:{event}"))
            }
            External::Presence { exited, joined } => {
                (None, format!("{} exited, {} joined", exited.len(), joined.len()))
            }
            External::Marker => (None, "a vote, or an event that cannot be read".to_owned()),
        };
        Self { seq, time: input.time, sender, what }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} at {} ({}", self.seq, self.time, self.what)?;
        match self.sender {
            Some(sender) => write!(f, " from {sender})"),
            None => f.write_str(")"),
        }
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => write!(f, "they differ since {event}"),
            Self::Between(equal, differ) => {
                write!(f, "they were equal after {equal} and differed after {differ}")
            }
            Self::Missed(before, event) => write!(
                f,
                "the wrong state has what all had after {before}; {event} changed it on the others"
            ),
            Self::LastChange(event) => write!(
                f,
                "the others never had what the wrong state has; the last event that changed it there was {event}"
            ),
            Self::Unknown(why) => write!(f, "since when is unknown: {why}"),
        }
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => {
                let shown = |value: &Option<Node>| {
                    value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string)
                };
                writeln!(f, "the first difference is in {place}")?;
                writeln!(f, "  wrong: {}", shown(&self.own_value))?;
                writeln!(f, "  right: {}", shown(&self.right_value))?;
            }
            None => writeln!(f, "the right state is not known")?,
        }
        if self.right == Right::Replayed {
            writeln!(f, "this program computed the right state from the events")?;
        }
        writeln!(f, "{}", self.since)?;
        if self.reproduced == Some(false) {
            writeln!(
                f,
                "replayed, the events did not lead that client to the wrong state again: \
                 look for state that a snapshot does not contain"
            )?;
        }
        Ok(())
    }
}
