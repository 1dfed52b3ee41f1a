//! The faults that can happen in a run.

use serde::{Deserialize, Serialize};

/// A fault of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, in virtual ms.
    pub at_ms: u64,
    /// Its kind.
    pub what: What,
    /// Its random part: which client, how long, how badly.
    pub dice: u64,
}

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A new client joins.
    Starts,
    /// A liar joins: a client that breaks the protocol.
    LiarStarts,
    /// A client's process ends without leaving.
    Crashes,
    /// A client leaves.
    Leaves,
    /// A connection breaks; each side learns of it in its own time.
    Cut,
    /// All connections break.
    AllCut,
    /// For a while nothing of a client reaches the reflector. It waits.
    UpBlocked,
    /// For a while nothing reaches a client. It waits.
    DownBlocked,
    /// Half of the clients are cut off in both directions for a while.
    Partition,
    /// A client does not get the processor for a while.
    Freezes,
    /// For a while a client receives but does not simulate.
    Idles,
    /// A client's clock jumps ahead, as after a sleep of the machine.
    ClockJumps,
    /// The reflector's clock jumps ahead.
    ReflectorClockJumps,
    /// The reflector's process crashes.
    ReflectorCrashes,
    /// The reflector's machine loses power.
    PowerCut,
    /// The reflector stops in good order.
    ReflectorStops,
    /// The disk is full for a while.
    DiskFull,
    /// The disk is read-only for a while.
    DiskReadOnly,
    /// The next write to the disk fails.
    WriteFails,
    /// The next write to the disk fails in its middle.
    WriteTears,
    /// The next sync of the disk fails.
    SyncFails,
    /// For a while the reflector's storage answers late.
    StorageLate,
    /// For a while half of the requests to the reflector's storage fail late.
    StorageFailsLate,
    /// For a while the reflector's storage does not answer: mostly longer than the reflector lets clients wait.
    StorageSilent,
    /// A client computes a wrong state.
    Diverges,
    /// A client publishes an event that makes a handler panic.
    Panics,
    /// A user acts many times at once.
    Bursts,
    /// A client asks for a vote.
    VoteAsked,
    /// An old join arrives again, over another connection.
    JoinRepeated,
    /// A stranger connects and sends nothing.
    SilentConnection,
    /// A stranger sends bytes that are not a message of the protocol.
    Rubbish,
    /// A stranger joins with several connections: votes for a forged state or not at all, posts junk, leaves in the
    /// middle of a vote. If the session has a password, with another password.
    SybilsJoin,
    /// A stranger sends what it has recorded of a client's connection: on a connection of its own, in this session
    /// or another.
    ConnectionReplayed,
    /// A stranger takes what it can get: posts and reads nothing, fills sessions of its own, or the room's records.
    HoarderStarts,
    /// The reflector lies to some participants about an event: only in sessions with a password.
    ReflectorLies,
}

impl What {
    /// All kinds, each with its relative frequency.
    pub const ALL: [(Self, u64); 35] = [
        (Self::Starts, 14),
        (Self::LiarStarts, 1),
        (Self::Crashes, 4),
        (Self::Leaves, 4),
        (Self::Cut, 10),
        (Self::AllCut, 4),
        (Self::UpBlocked, 5),
        (Self::DownBlocked, 5),
        (Self::Partition, 3),
        (Self::Freezes, 5),
        (Self::Idles, 5),
        (Self::ClockJumps, 3),
        (Self::ReflectorClockJumps, 2),
        (Self::ReflectorCrashes, 5),
        (Self::PowerCut, 3),
        (Self::ReflectorStops, 2),
        (Self::DiskFull, 3),
        (Self::DiskReadOnly, 2),
        (Self::WriteFails, 3),
        (Self::WriteTears, 3),
        (Self::SyncFails, 2),
        (Self::StorageLate, 3),
        (Self::StorageFailsLate, 2),
        (Self::StorageSilent, 1),
        (Self::Diverges, 3),
        (Self::Panics, 4),
        (Self::Bursts, 3),
        (Self::VoteAsked, 6),
        (Self::JoinRepeated, 2),
        (Self::SilentConnection, 1),
        (Self::Rubbish, 1),
        (Self::SybilsJoin, 1),
        (Self::ConnectionReplayed, 1),
        (Self::HoarderStarts, 1),
        (Self::ReflectorLies, 4),
    ];

    /// Its name in files of plans.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => unreachable!("it is a name there"),
        }
    }

    /// Whether an attacker does it.
    pub(crate) fn is_attack(self) -> bool {
        matches!(
            self,
            Self::SybilsJoin | Self::ConnectionReplayed | Self::HoarderStarts | Self::ReflectorLies
        )
    }

    /// Whether it happens to a single participant.
    pub(crate) fn is_of_one(self) -> bool {
        matches!(
            self,
            Self::Crashes
                | Self::Leaves
                | Self::Cut
                | Self::UpBlocked
                | Self::DownBlocked
                | Self::Freezes
                | Self::Idles
                | Self::ClockJumps
                | Self::Diverges
                | Self::Panics
                | Self::Bursts
                | Self::VoteAsked
                | Self::JoinRepeated
                | Self::ConnectionReplayed
        )
    }

    /// What happens, in a few words.
    pub(crate) const fn tells(self) -> &'static str {
        match self {
            Self::Starts => "a client joins",
            Self::LiarStarts => "a liar joins",
            Self::Crashes => "crashes",
            Self::Leaves => "leaves",
            Self::Cut => "the connection breaks",
            Self::AllCut => "all connections break",
            Self::UpBlocked => "nothing gets through to the reflector for a while",
            Self::DownBlocked => "nothing gets through from the reflector for a while",
            Self::Partition => "half of the participants are cut off for a while",
            Self::Freezes => "gets no processor for a while",
            Self::Idles => "does not simulate for a while",
            Self::ClockJumps => "the clock jumps ahead",
            Self::ReflectorClockJumps => "the reflector's clock jumps ahead",
            Self::ReflectorCrashes => "the reflector crashes, and starts again",
            Self::PowerCut => "the reflector loses power, and starts again",
            Self::ReflectorStops => "the reflector is stopped, and starts again",
            Self::DiskFull => "the reflector's disk is full for a while",
            Self::DiskReadOnly => "the reflector's disk is read-only for a while",
            Self::WriteFails => "a write of the reflector fails",
            Self::WriteTears => "a write of the reflector fails in its middle",
            Self::SyncFails => "the reflector cannot sync its disk",
            Self::StorageLate => "the reflector's storage answers late for a while",
            Self::StorageFailsLate => "the reflector's storage fails late for a while",
            Self::StorageSilent => "the reflector's storage does not answer for a while",
            Self::Diverges => "computes a wrong state",
            Self::Panics => "publishes an event that makes a handler panic",
            Self::Bursts => "acts many times at once",
            Self::VoteAsked => "asks for a vote",
            Self::JoinRepeated => "an old join arrives again",
            Self::SilentConnection => "a stranger connects and sends nothing",
            Self::Rubbish => "a stranger sends rubbish",
            Self::SybilsJoin => "a stranger joins with several connections",
            Self::ConnectionReplayed => "a stranger replays what this participant has sent",
            Self::HoarderStarts => "a stranger takes what it can get",
            Self::ReflectorLies => "the reflector lies",
        }
    }
}
