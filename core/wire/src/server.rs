//! The messages from the reflector to its clients.

use serde::{Deserialize, Serialize};

use crate::{Digest, Greeting, ViewId, WireError, bin, codec, limits, open};

/// A message from the reflector. [`Event`], [`Views`] and [`VoteRequest`] are *ordered*: each takes the next sequence
/// number, stays in the log until a snapshot covers it, and reaches all participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage<'a> {
    /// Comes first, and once per connection: the client signs its join for it.
    Hello(Greeting),
    /// Answers a [`Join`](crate::Join).
    Welcome(Welcome),
    /// A part of the snapshot that the welcome announced. Parts come in order, without gaps, before all ordered
    /// messages.
    SnapshotPart(&'a [u8]),
    /// Ordered: an event that a view has sent.
    Event(Event<'a>),
    /// Ordered: views that exited and joined.
    Views(Views<'a>),
    /// Ordered: a position at which all clients vote that have caught up.
    VoteRequest(VoteRequest),
    /// The session's time in µs. No ordered message with an earlier time follows.
    Tick(u64),
    /// How a vote ended.
    Verdict(Verdict),
    /// Asks this client for its snapshot at the vote with this sequence number.
    SnapshotWanted(u64),
    /// This client's state at the vote with this sequence number is not the majority's, or there was no majority. The
    /// client replays the log. If it comes to the same state again, it [confirms](crate::ClientMessage::Confirm) that.
    /// Otherwise it must drop its model, and join without [`Resume`](crate::Resume).
    Diverged(u64),
    /// Answers a [`Ping`](crate::ClientMessage::Ping).
    Pong(u64),
    /// Senders must pause, or may go on.
    Hold(Hold),
    /// What the root model had persisted at the vote with this sequence number is stored.
    Persisted(u64),
    /// This version of the app is used in the room, or was, and is newer than this client's.
    NewerVersion(u32),
    /// What the root model had persisted at a vote was not stored.
    NotPersisted(NotPersisted<'a>),
    /// Two programs compute different things from the same log.
    Disagreement(Disagreement<'a>),
    /// Nothing has happened in this client's room, and a room of the same name with another password, or without one, is in
    /// use. The client may have mistyped its password.
    OtherPassword,
    /// What participants show of themselves. For each of them the newest counts.
    Presences(Vec<Presence<'a>>),
    /// A message of a later version with this tag, which may be ignored.
    Later(u8),
}

/// What a participant shows of itself, and no model sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence<'a> {
    /// The view of the participant.
    #[serde(deserialize_with = "bin::id")]
    pub view_id: ViewId,
    /// From [`ClientMessage::Presence`](crate::ClientMessage::Presence). Empty: nothing.
    #[serde(borrow, serialize_with = "serde_bytes::serialize", deserialize_with = "bin::bytes")]
    pub data: &'a [u8],
}

/// Clients have different states at a vote, and more than one of these states comes out again when the log is replayed:
/// the programs differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disagreement<'a> {
    /// Sequence number of the vote.
    pub seq: u64,
    /// The states, that of most clients first: four at most.
    #[serde(borrow, deserialize_with = "open::list")]
    pub sides: Vec<Side<'a>>,
}

/// The clients that have one of several states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side<'a> {
    /// What they voted for.
    #[serde(deserialize_with = "bin::id")]
    pub hash: Digest,
    /// How many they are.
    pub clients: u32,
    /// What they say of their programs, each once: the [`agent`](crate::Join::agent) of their joins. Four at most.
    #[serde(borrow)]
    pub agents: Vec<&'a str>,
}

/// What the root model had persisted at a vote was not stored. What was stored before stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotPersisted<'a> {
    /// Sequence number of the vote.
    pub seq: u64,
    /// Why it cannot be stored. The reflector tries again, unless what it has stored is damaged. `None` if the room is full:
    /// other sessions have persisted data there, which is not replaced.
    #[serde(borrow)]
    pub failure: Option<&'a str>,
}

/// What a client needs to know about a session that it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Drawn at random for a new session, and again when ordered messages may have been lost.
    pub timeline: u64,
    /// The view id that the reflector has derived from the key of the view.
    #[serde(deserialize_with = "bin::id")]
    pub view_id: ViewId,
    /// True: the log goes on after [`Resume::seq`](crate::Resume::seq). False: the model starts from the snapshot, or,
    /// without one, from its options.
    pub resumed: bool,
    /// True: this view had not exited, so neither an exit nor a join of it will be ordered.
    pub seamless: bool,
    /// The session's time now, in µs.
    pub time: u64,
    /// The newest sequence number now. A client that has reached it has caught up.
    pub seq: u64,
    /// The highest [`Send::counter`](crate::Send::counter) accepted from this view. `None` if the reflector does not know,
    /// because it has forgotten the view.
    pub counter: Option<u64>,
    /// The snapshot that follows in parts.
    #[serde(deserialize_with = "open::optional")]
    pub snapshot: Option<SnapshotInfo>,
    /// The declared version of the app whose persisted data follows in place of a snapshot. The model starts with that
    /// data, and the snapshot is announced with the sequence number 0.
    pub persisted: Option<u32>,
    /// Time between ticks while nothing else is sent, in ms.
    pub tick_ms: u32,
    /// How long a view may be disconnected without an exit, in ms.
    pub rejoin_limit_ms: u32,
    /// What a client may send.
    #[serde(deserialize_with = "open::fields")]
    pub limits: SendLimits,
}

/// Describes a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// The newest sequence number that the snapshot covers.
    pub seq: u64,
    /// The session's time at it, in µs.
    pub time: u64,
    /// The hash that the majority voted for.
    #[serde(deserialize_with = "bin::id")]
    pub hash: Digest,
    /// Size in bytes.
    pub size: u64,
    /// The [chain](crate::Chain) at its sequence number.
    #[serde(deserialize_with = "bin::id")]
    pub chain: Digest,
}

/// What a client may send. The reflector closes a connection that sends more events with
/// [`CloseReason::TooFast`](crate::CloseReason::TooFast).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendLimits {
    /// Largest payload in bytes.
    pub max_payload: u32,
    /// Sustained events per second.
    pub per_second: u32,
    /// How many events may come at once after a pause.
    pub burst: u32,
    /// Largest snapshot in bytes.
    pub max_snapshot: u64,
}

/// An event as all participants receive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// Position in the order of the session.
    pub seq: u64,
    /// The session's time in µs, never less than the one before.
    pub time: u64,
    /// The view that sent it, by the connection that it came over.
    #[serde(deserialize_with = "bin::id")]
    pub sender: ViewId,
    /// The sender's counter.
    pub counter: u64,
    /// As the sender gave it.
    #[serde(borrow, serialize_with = "serde_bytes::serialize", deserialize_with = "bin::bytes")]
    pub payload: &'a [u8],
}

impl<'a> Event<'a> {
    /// Reads a body. Written by hand because a joiner reads tens of thousands at once, and this takes a third of
    /// the time.
    fn read(mut body: &'a [u8]) -> Result<Self, WireError> {
        const WRONG: WireError = WireError::Frame("expected the five fields of an event");
        fn number(body: &mut &[u8]) -> Result<u64, WireError> {
            rmp::decode::read_int(body).map_err(|_| WRONG)
        }
        fn bytes<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
            let length = rmp::decode::read_bin_len(body).map_err(|_| WRONG)?;
            body.split_off(..length as usize).ok_or(WRONG)
        }
        let fields = rmp::decode::read_array_len(&mut body).map_err(|_| WRONG)?;
        let further = fields.checked_sub(5).ok_or(WRONG)?;
        let (seq, time) = (number(&mut body)?, number(&mut body)?);
        let sender = ViewId(bytes(&mut body)?.try_into().map_err(|_| WRONG)?);
        let (counter, payload) = (number(&mut body)?, bytes(&mut body)?);
        codec::skip(body, further)?;
        Ok(Self { seq, time, sender, counter, payload })
    }
}

/// Views that exited and joined. Exits count first. No view is in both lists, unless the session wakes up after all
/// views had left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Views<'a> {
    /// Position in the order of the session.
    pub seq: u64,
    /// The session's time in µs.
    pub time: u64,
    /// Views that have exited.
    #[serde(borrow, deserialize_with = "open::list")]
    pub exited: Vec<View<'a>>,
    /// Views that have joined.
    #[serde(borrow, deserialize_with = "open::list")]
    pub joined: Vec<View<'a>>,
    /// How many views there are after it.
    pub active: u32,
}

/// A view that exited or joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct View<'a> {
    /// Its id.
    #[serde(deserialize_with = "bin::id")]
    pub view_id: ViewId,
    /// From [`Join::view_data`](crate::Join::view_data).
    #[serde(
        borrow,
        serialize_with = "serde_bytes::serialize",
        deserialize_with = "bin::optional_bytes"
    )]
    pub view_data: Option<&'a [u8]>,
}

/// A position at which all clients vote that have caught up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteRequest {
    /// Position in the order of the session.
    pub seq: u64,
    /// The session's time in µs.
    pub time: u64,
}

/// How a vote ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The sequence number of the vote.
    pub seq: u64,
    /// The hash that more than half of the views sent that count, if there is one.
    #[serde(deserialize_with = "bin::optional")]
    pub hash: Option<Digest>,
    /// How many sent it. Without a majority, the most that agreed on any.
    pub agreed: u32,
    /// How many views count: all that the models know, but for those that did not answer the newest votes.
    pub of: u32,
}

/// Whether senders must pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// The log is full until a snapshot covers it: send no new events.
    Pause,
    /// Go on.
    Resume,
}

const WELCOME: u8 = 1;
const SNAPSHOT_PART: u8 = 2;
const EVENT: u8 = 3;
const VIEWS: u8 = 4;
const VOTE_REQUEST: u8 = 5;
const TICK: u8 = 6;
const VERDICT: u8 = 7;
const SNAPSHOT_WANTED: u8 = 8;
const DIVERGED: u8 = 9;
const PONG: u8 = 10;
const HOLD: u8 = 11;
const PERSISTED: u8 = 12;
const NEWER_VERSION: u8 = 13;
const NOT_PERSISTED: u8 = 14;
const HELLO: u8 = 15;
const DISAGREEMENT: u8 = 16;
const OTHER_PASSWORD: u8 = 17;
const PRESENCES: u8 = 64;

impl<'a> ServerMessage<'a> {
    /// The bytes of one frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(body) => codec::encode(HELLO, body),
            Self::Welcome(body) => codec::encode(WELCOME, body),
            Self::SnapshotPart(body) => codec::encode(SNAPSHOT_PART, serde_bytes::Bytes::new(body)),
            Self::Event(body) => codec::encode(EVENT, body),
            Self::Views(body) => codec::encode(VIEWS, body),
            Self::VoteRequest(body) => codec::encode(VOTE_REQUEST, body),
            Self::Tick(body) => codec::encode(TICK, body),
            Self::Verdict(body) => codec::encode(VERDICT, body),
            Self::SnapshotWanted(body) => codec::encode(SNAPSHOT_WANTED, body),
            Self::Diverged(body) => codec::encode(DIVERGED, body),
            Self::Pong(body) => codec::encode(PONG, body),
            Self::Hold(body) => codec::encode(HOLD, &matches!(body, Hold::Pause)),
            Self::Persisted(body) => codec::encode(PERSISTED, body),
            Self::NewerVersion(body) => codec::encode(NEWER_VERSION, body),
            Self::NotPersisted(body) => codec::encode(NOT_PERSISTED, body),
            Self::Disagreement(body) => codec::encode(DISAGREEMENT, body),
            Self::OtherPassword => codec::encode(OTHER_PASSWORD, &()),
            Self::Presences(entries) => codec::encode(PRESENCES, &(entries,)),
            Self::Later(tag) => codec::encode(*tag, &()),
        }
    }

    /// Reads one frame, which may come from anywhere.
    ///
    /// # Errors
    /// If it is not exactly one message within the [limits].
    pub fn decode(frame: &'a [u8]) -> Result<Self, WireError> {
        if frame.len() > limits::MAX_SERVER_FRAME {
            return Err(WireError::TooLarge("frame"));
        }
        let (tag, body) = codec::split(frame)?;
        Ok(match tag {
            HELLO => Self::Hello(codec::body(body)?),
            WELCOME => Self::Welcome(codec::fields(body)?),
            SNAPSHOT_PART => Self::SnapshotPart(codec::body::<bin::Raw<'_>>(body)?.0),
            EVENT => Self::Event(Event::read(body)?),
            VIEWS => {
                let views: Views<'_> = codec::fields(body)?;
                if views.exited.len() + views.joined.len() > limits::MAX_VIEWS_PER_MESSAGE {
                    return Err(WireError::TooLarge("list of views"));
                }
                let data = |view: &View<'_>| view.view_data.map_or(0, <[u8]>::len);
                if views.joined.iter().any(|view| data(view) > limits::MAX_VIEW_DATA) {
                    return Err(WireError::TooLarge("view data"));
                }
                Self::Views(views)
            }
            VOTE_REQUEST => Self::VoteRequest(codec::fields(body)?),
            TICK => Self::Tick(codec::body(body)?),
            VERDICT => Self::Verdict(codec::fields(body)?),
            SNAPSHOT_WANTED => Self::SnapshotWanted(codec::body(body)?),
            DIVERGED => Self::Diverged(codec::body(body)?),
            PONG => Self::Pong(codec::body(body)?),
            PERSISTED => Self::Persisted(codec::body(body)?),
            NEWER_VERSION => Self::NewerVersion(codec::body(body)?),
            NOT_PERSISTED => Self::NotPersisted(codec::fields(body)?),
            DISAGREEMENT => Self::Disagreement(codec::fields(body)?),
            OTHER_PASSWORD => {
                codec::body::<()>(body)?;
                Self::OtherPassword
            }
            HOLD => Self::Hold(if codec::body::<bool>(body)? { Hold::Pause } else { Hold::Resume }),
            PRESENCES => {
                let (entries,) = codec::fields::<(open::List<Presence<'_>>,)>(body)?;
                if entries.0.len() > limits::MAX_PRESENCES_PER_MESSAGE {
                    return Err(WireError::TooLarge("list of presences"));
                }
                if entries.0.iter().any(|shown| shown.data.len() > limits::MAX_PRESENCE) {
                    return Err(WireError::TooLarge("presence"));
                }
                Self::Presences(entries.0)
            }
            other => codec::pass_over(other, body).map(|()| Self::Later(other))?,
        })
    }
}
