//! What the reflector says to its clients.

use serde::{Deserialize, Serialize};

use crate::{Digest, ViewId, WireError, codec, limits};

/// A message from the reflector. [`Event`], [`Views`] and [`VoteRequest`] are *ordered*: each takes
/// the next sequence number, stays in the log until a snapshot covers it, and reaches everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage<'a> {
    /// Answers a [`Join`](crate::Join).
    Welcome(Welcome),
    /// A piece of the snapshot announced in the welcome: pieces come in order, without gaps,
    /// before anything ordered.
    SnapshotPart(&'a [u8]),
    /// Ordered: what a view sent.
    Event(Event<'a>),
    /// Ordered: who went and who came.
    Views(Views<'a>),
    /// Ordered: a position at which everybody who is in sync votes.
    VoteRequest(VoteRequest),
    /// The session's time in µs: nothing ordered will come before it any more.
    Tick(u64),
    /// How a vote ended.
    Verdict(Verdict),
    /// Asks this client for its snapshot at the vote with this sequence number.
    SnapshotWanted(u64),
    /// This client's state at the vote with this sequence number is not the majority's: it must
    /// throw its model away and join without [`Resume`](crate::Resume). Or there was no majority: then
    /// it must do so if it does not come to the same state once more by the log.
    Diverged(u64),
    /// Answers a [`Ping`](crate::ClientMessage::Ping).
    Pong(u64),
    /// Senders must pause, or may go on.
    Hold(Hold),
    /// What the root model had persisted at the vote with this sequence number is kept.
    Persisted(u64),
    /// This version of the app is used in this room, or has been, and is newer than this client's.
    NewerVersion(u32),
    /// What the root model had persisted at a vote is not kept.
    NotPersisted(NotPersisted<'a>),
}

/// What the root model had persisted at a vote is not kept; what was kept before is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotPersisted<'a> {
    /// Sequence number of the vote.
    pub seq: u64,
    /// Why it cannot be stored; it is tried again, unless what is stored is damaged. Nothing if newer versions of the
    /// app have persisted, whose data it does not replace.
    #[serde(borrow)]
    pub failure: Option<&'a str>,
}

/// What a client needs to know of a session that it enters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Drawn at random when the reflector first hears of the session.
    pub timeline: u64,
    /// The view that the reflector takes this client for.
    pub view_id: ViewId,
    /// True: the log goes on after [`Resume::seq`](crate::Resume::seq). False: the model starts
    /// from the snapshot, or anew if there is none.
    pub resumed: bool,
    /// True: this view had not left, so neither an exit nor a join of it will be ordered.
    pub seamless: bool,
    /// The session's time now, in µs.
    pub time: u64,
    /// The newest sequence number now; who has reached it has caught up.
    pub seq: u64,
    /// The highest [`Send::counter`](crate::Send::counter) accepted from this view.
    pub counter: u64,
    /// The snapshot that follows in pieces.
    pub snapshot: Option<SnapshotInfo>,
    /// If there is one: then what follows is no snapshot but what this version of the app has persisted, and the
    /// model starts anew with it. The sequence number of the snapshot is 0 then.
    pub persisted: Option<u32>,
    /// Time between ticks when there is nothing else to send, in ms.
    pub tick_ms: u32,
    /// How long a view may be cut off without an exit, in ms.
    pub rejoin_limit_ms: u32,
    /// What a client may send.
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
    pub hash: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// What a client may send. Who sends more is closed with
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

/// An event as everybody receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// Position in the order of the session.
    pub seq: u64,
    /// The session's time in µs, never less than the one before.
    pub time: u64,
    /// Who sent it, by the connection that it came from.
    pub sender: ViewId,
    /// The sender's counter.
    pub counter: u64,
    /// As the sender gave it.
    #[serde(borrow, with = "serde_bytes")]
    pub payload: &'a [u8],
}

impl<'a> Event<'a> {
    /// Reads a body. Written out because a joiner reads tens of thousands of them at once, and
    /// this takes a third of the time.
    fn read(mut body: &'a [u8]) -> Result<Self, WireError> {
        const WRONG: WireError = WireError::Frame("it is no event");
        fn number(body: &mut &[u8]) -> Result<u64, WireError> {
            rmp::decode::read_int(body).map_err(|_| WRONG)
        }
        fn bytes<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
            let length = rmp::decode::read_bin_len(body).map_err(|_| WRONG)?;
            body.split_off(..length as usize).ok_or(WRONG)
        }
        if rmp::decode::read_array_len(&mut body).map_err(|_| WRONG)? != 5 {
            return Err(WRONG);
        }
        let (seq, time) = (number(&mut body)?, number(&mut body)?);
        let sender = ViewId(bytes(&mut body)?.try_into().map_err(|_| WRONG)?);
        let (counter, payload) = (number(&mut body)?, bytes(&mut body)?);
        if !body.is_empty() {
            return Err(WireError::Trailing);
        }
        Ok(Self { seq, time, sender, counter, payload })
    }
}

/// Who went and who came: exits count first. No id stands in both lists, except when the session
/// wakes up after everybody had left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Views<'a> {
    /// Position in the order of the session.
    pub seq: u64,
    /// The session's time in µs.
    pub time: u64,
    /// Views that have gone.
    #[serde(borrow)]
    pub exited: Vec<View<'a>>,
    /// Views that have come.
    #[serde(borrow)]
    pub joined: Vec<View<'a>>,
    /// How many views there are after it.
    pub active: u32,
}

/// A view that came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct View<'a> {
    /// Its id.
    pub view_id: ViewId,
    /// What it brought along in [`Join::view_data`](crate::Join::view_data).
    #[serde(borrow, with = "serde_bytes")]
    pub view_data: Option<&'a [u8]>,
}

/// A position at which everybody who is in sync votes.
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
    /// The hash that more than half of the voters sent, if there is one.
    pub hash: Option<Digest>,
    /// How many sent it; without a majority, how many agreed at most.
    pub agreed: u32,
    /// How many were asked.
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

impl<'a> ServerMessage<'a> {
    /// The bytes of one frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
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
        }
    }

    /// Reads one frame. Untrusted bytes are welcome: whatever is not exactly one message within
    /// the [limits] is an error.
    pub fn decode(frame: &'a [u8]) -> Result<Self, WireError> {
        if frame.len() > limits::MAX_SERVER_FRAME {
            return Err(WireError::TooLarge("frame"));
        }
        let (tag, body) = codec::split(frame)?;
        Ok(match tag {
            WELCOME => Self::Welcome(codec::body(body)?),
            SNAPSHOT_PART => Self::SnapshotPart(codec::body::<&serde_bytes::Bytes>(body)?.as_ref()),
            EVENT => Self::Event(Event::read(body)?),
            VIEWS => {
                let views: Views<'_> = codec::body(body)?;
                if views.exited.len() + views.joined.len() > limits::MAX_VIEWS_PER_MESSAGE {
                    return Err(WireError::TooLarge("list of views"));
                }
                Self::Views(views)
            }
            VOTE_REQUEST => Self::VoteRequest(codec::body(body)?),
            TICK => Self::Tick(codec::body(body)?),
            VERDICT => Self::Verdict(codec::body(body)?),
            SNAPSHOT_WANTED => Self::SnapshotWanted(codec::body(body)?),
            DIVERGED => Self::Diverged(codec::body(body)?),
            PONG => Self::Pong(codec::body(body)?),
            PERSISTED => Self::Persisted(codec::body(body)?),
            NEWER_VERSION => Self::NewerVersion(codec::body(body)?),
            NOT_PERSISTED => Self::NotPersisted(codec::body(body)?),
            HOLD => Self::Hold(if codec::body::<bool>(body)? { Hold::Pause } else { Hold::Resume }),
            other => return Err(WireError::UnknownMessage(other)),
        })
    }
}
