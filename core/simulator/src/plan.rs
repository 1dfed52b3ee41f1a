//! What a run is made of: everything that will happen follows from a plan.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// Most sessions of a plan.
pub const MAX_ROOMS: usize = 2;

/// Most virtual seconds of a plan: 30 days. All faults of a plan are in memory.
pub const MAX_SECONDS: u64 = 30 * 24 * 3_600;

/// How a run is set. The same plan gives the same run, on every machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Everything random that is no fault follows from it: delays, what is sent when, keys.
    pub seed: u64,
    /// How much happens in a second.
    pub pace: Pace,
    /// How long faults happen, in virtual seconds.
    pub fault_seconds: u64,
    /// In how many virtual seconds after that all must have converged.
    pub converge_seconds: u64,
    /// Sessions on the one reflector.
    pub rooms: usize,
    /// Most clients at once in each of them.
    pub clients: usize,
    /// Whether the sessions have a password.
    pub password: bool,
    /// Whether lines are slow and uneven and send some things twice.
    pub noise: bool,
    /// Where the reflector keeps its sessions.
    pub storage: Keeps,
    /// Whether sessions that nobody is in leave the reflector's memory at once.
    pub forgetful: bool,
    /// Whether the log of a session may only be so small that senders are held back now and then.
    pub tight: bool,
    /// Whether views may be away for long before they exit. Otherwise joins and exits come all the time, but
    /// whoever diverges is soon alone, and in the right.
    pub patient: bool,
    /// What is done to whom, in the order of the times.
    pub faults: Vec<Fault>,
    /// A bug planted in the runtime or in our own models, which the tests of the simulator must find.
    #[doc(hidden)]
    #[serde(default)]
    pub bug: Option<Bug>,
    /// Of what users do, only what has these numbers; all of it, if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts: Option<Vec<u64>>,
    /// The id of the app that it is of: a simulation of another one does not play it. Anybody's, if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
}

/// What the plans of many seeds have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// How long faults happen, in virtual seconds, where something happens all the time, and where people work.
    pub(crate) brisk_seconds: u64,
    pub(crate) steady_seconds: u64,
    /// Most clients at once.
    pub(crate) clients: usize,
    /// What does not happen.
    pub(crate) without: Vec<What>,
    /// Nothing that anybody has seen may be lost.
    pub(crate) is_lossless: bool,
}

/// How much happens in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// Something all the time: entries many times a second, a fault every second.
    Brisk,
    /// As people work: ticks once a second, an entry now and then, a fault every some seconds.
    Steady,
}

/// Where a reflector keeps its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeps {
    /// In memory: it must not crash.
    Nowhere,
    /// On a disk, as far as the operating system has it.
    Process,
    /// On a disk, durably.
    Power,
}

/// Something that is done to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, in virtual ms.
    pub at_ms: u64,
    /// What.
    pub what: What,
    /// To whom, how long, how badly: whatever is random about it.
    pub dice: u64,
}

/// What can be done to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Somebody new joins.
    Starts,
    /// Somebody who lies joins.
    LiarStarts,
    /// A client is gone without a word.
    Crashes,
    /// A client leaves.
    Leaves,
    /// A connection breaks; each side learns of it in its own time.
    Cut,
    /// All connections break.
    AllCut,
    /// Nothing gets through to the reflector for a while; what is sent waits.
    UpBlocked,
    /// Nothing gets through to a client for a while; what is sent waits.
    DownBlocked,
    /// Half of the clients are cut off in both directions for a while.
    Partition,
    /// A client does not get the processor for a while.
    Freezes,
    /// A client takes in what arrives but does not simulate it for a while.
    Idles,
    /// A client's clock jumps ahead, as after a sleep of the machine.
    ClockJumps,
    /// The reflector's clock jumps ahead.
    ReflectorClockJumps,
    /// The reflector's process ends wherever it is.
    ReflectorCrashes,
    /// The reflector's machine loses power.
    PowerCut,
    /// The reflector is stopped in good order.
    ReflectorStops,
    /// The disk is full for a while.
    DiskFull,
    /// The disk takes nothing for a while.
    DiskReadOnly,
    /// The next write to the disk fails.
    WriteFails,
    /// The next write to the disk fails in its middle.
    WriteTears,
    /// The next attempt to make something durable fails.
    SyncFails,
    /// The reflector's storage answers late for a while.
    StorageLate,
    /// For a while, half of what the reflector's storage is asked fails late.
    StorageFailsLate,
    /// The reflector's storage does not answer for a while, mostly for longer than clients are left waiting.
    StorageSilent,
    /// A client computes something else than the others.
    Diverges,
    /// A client sends something that makes a handler panic.
    Panics,
    /// A client sends a lot at once.
    Bursts,
    /// Somebody asks for a vote.
    VoteAsked,
    /// An old join arrives once more, over a connection of its own.
    JoinRepeated,
    /// Somebody connects and says nothing.
    SilentConnection,
    /// Somebody sends what is no message of the protocol.
    Rubbish,
}

impl What {
    /// All of them, each with how often it comes in proportion to the others.
    pub const ALL: [(Self, u64); 31] = [
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
    ];

    /// Its name in files of plans.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => unreachable!("it is a name there"),
        }
    }

    /// Whether it happens to one participant.
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
        )
    }

    /// What happens, in a few words.
    pub(crate) const fn tells(self) -> &'static str {
        match self {
            Self::Starts => "somebody joins",
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
            Self::DiskReadOnly => "the reflector's disk takes nothing for a while",
            Self::WriteFails => "a write of the reflector fails",
            Self::WriteTears => "a write of the reflector fails in its middle",
            Self::SyncFails => "the reflector cannot make something durable",
            Self::StorageLate => "the reflector's storage answers late for a while",
            Self::StorageFailsLate => "the reflector's storage fails late for a while",
            Self::StorageSilent => "the reflector's storage does not answer for a while",
            Self::Diverges => "computes something wrong",
            Self::Panics => "sends what makes a handler panic",
            Self::Bursts => "does a lot at once",
            Self::VoteAsked => "asks for a vote",
            Self::JoinRepeated => "an old join arrives once more",
            Self::SilentConnection => "somebody connects and says nothing",
            Self::Rubbish => "somebody sends rubbish",
        }
    }

    /// Whether it needs a disk.
    fn needs(self) -> Keeps {
        match self {
            Self::ReflectorCrashes
            | Self::ReflectorStops
            | Self::DiskFull
            | Self::DiskReadOnly
            | Self::WriteFails
            | Self::WriteTears
            | Self::StorageLate
            | Self::StorageFailsLate
            | Self::StorageSilent
            | Self::PowerCut => Keeps::Process,
            Self::SyncFails => Keeps::Power,
            _ => Keeps::Nowhere,
        }
    }
}

/// A mistake that a run is to find, one for each thing that is checked: for tests of the simulator itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bug {
    /// The model has the mistake with this name.
    Model(String),
    /// The reflector sends before it has stored.
    SendsBeforeStoring,
    /// The time of a session is not stored.
    ForgetsTime,
    /// One of many events is lost on a line that stands.
    LosesEvent,
    /// What an application publishes is accepted, and not sent.
    SwallowsPublish,
    /// An application enters an entry twice.
    EntersTwice,
    /// Who diverged is not told.
    SilentAboutDivergence,
    /// A bit on the disk flips while the reflector is down.
    Rots,
    /// An application panics.
    Panics,
    /// Nobody is ever asked for a snapshot, and nobody is held back.
    NeverSnapshots,
    /// A client does not connect again after faults have ended.
    GivesUp,
}

impl Bug {
    /// All that are not of a model.
    pub const ALL: [Self; 10] = [
        Self::SendsBeforeStoring,
        Self::SwallowsPublish,
        Self::ForgetsTime,
        Self::LosesEvent,
        Self::EntersTwice,
        Self::SilentAboutDivergence,
        Self::Rots,
        Self::Panics,
        Self::NeverSnapshots,
        Self::GivesUp,
    ];
}

impl Plan {
    /// The plan of a seed. Two of three are brisk minutes, the third is a steady while of `hours`.
    pub fn new(seed: u64, hours: u64) -> Self {
        let shape = Shape {
            brisk_seconds: 60,
            steady_seconds: 3_600 * hours,
            clients: 5,
            without: Vec::new(),
            is_lossless: false,
        };
        Self::shaped(seed, &shape)
    }

    /// The plan of a seed, of this shape.
    pub(crate) fn shaped(seed: u64, shape: &Shape) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let pace = if seed.is_multiple_of(3) { Pace::Steady } else { Pace::Brisk };
        let fault_seconds = match pace {
            Pace::Brisk => shape.brisk_seconds,
            Pace::Steady => shape.steady_seconds,
        };
        let storage = match rng.next_u64() % 8 {
            0 => Keeps::Nowhere,
            1..=3 => Keeps::Process,
            _ => Keeps::Power,
        };
        let patient = !rng.next_u64().is_multiple_of(4);
        let rooms = 1 + usize::from(rng.next_u64().is_multiple_of(4));
        Self {
            seed,
            pace,
            fault_seconds,
            converge_seconds: 60,
            rooms,
            clients: shape.clients,
            // A key derivation takes as long as some virtual minutes.
            password: seed.is_multiple_of(16),
            noise: true,
            storage,
            // What is kept nowhere must not be forgotten.
            forgetful: storage != Keeps::Nowhere && rng.next_u64().is_multiple_of(4),
            tight: rng.next_u64().is_multiple_of(8),
            patient,
            faults: faults(&mut rng, pace, fault_seconds, storage, patient, shape),
            bug: None,
            acts: None,
            app: None,
        }
    }

    /// Whether it can be played: one that was written by hand need not be.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MAX_ROOMS).contains(&self.rooms) {
            return Err(format!("{} rooms: there may be 1 to {MAX_ROOMS}", self.rooms));
        }
        if self.clients == 0 {
            return Err("nobody takes part".to_owned());
        }
        let longest = self.faults.iter().map(|fault| fault.at_ms / 1_000).max().unwrap_or(0);
        let longest = longest.max(self.fault_seconds).max(self.converge_seconds);
        if longest > MAX_SECONDS {
            return Err(format!("{longest} seconds: there may be {MAX_SECONDS}"));
        }
        if self.acts.as_ref().is_some_and(|acts| !acts.is_sorted()) {
            return Err("the numbers of acts are not in order".to_owned());
        }
        Ok(())
    }

    /// Reads a plan from a file of JSON.
    ///
    /// # Errors
    /// Why that is none that can be played.
    pub fn read(path: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        let plan: Self = serde_json::from_str(&text).map_err(|error| told(&error))?;
        plan.check().map_err(|error| told(&error))?;
        Ok(plan)
    }

    /// Writes it into a file, from which [`read`](Self::read) gets it: all of it or nothing, whoever reads meanwhile.
    ///
    /// # Errors
    /// Why that cannot be done.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}-{number}.part", std::process::id()));
        let written = std::fs::write(&beside, self.text() + "\n");
        let written = written.and_then(|()| std::fs::rename(&beside, path));
        written.map_err(|error| {
            let _ = std::fs::remove_file(&beside);
            format!("{}: {error}", path.display())
        })
    }

    /// The name of the file in which it is kept: another one for each plan, on every file system.
    pub(crate) fn file_name(&self) -> String {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
        let app = self.app.as_deref().unwrap_or("plan");
        let app: String =
            app.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
        let digest = blake3::hash(self.text().as_bytes()).to_hex();
        format!("{app}-{}-{}.json", self.seed, &digest[..8])
    }

    fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("it is plain data")
    }

    /// The same with a planted bug.
    #[doc(hidden)]
    #[must_use]
    pub fn with_bug(mut self, bug: Bug) -> Self {
        self.bug = Some(bug);
        self
    }
}

fn faults(
    rng: &mut ChaCha8Rng,
    pace: Pace,
    seconds: u64,
    storage: Keeps,
    patient: bool,
    shape: &Shape,
) -> Vec<Fault> {
    let mean_ms = match pace {
        Pace::Brisk => 500,
        Pace::Steady => 12_000,
    };
    // Not all of them in each run: some show only where others do not disturb them.
    let is_in = |what: What, rng: &mut ChaCha8Rng| {
        let loses = what == What::PowerCut && storage == Keeps::Process;
        let possible = match what.needs() {
            _ if shape.without.contains(&what) || loses && shape.is_lossless => false,
            _ if what == What::Diverges => patient,
            Keeps::Nowhere => true,
            Keeps::Process => storage != Keeps::Nowhere,
            Keeps::Power => storage == Keeps::Power,
        };
        // After a power cut that may lose something less can be checked.
        let rarely = what == What::PowerCut && storage == Keeps::Process;
        let often = if rarely { 3 } else { 0 };
        let always = what == What::Starts && possible;
        always || possible && rng.next_u64() % 4 >= often.max(1)
    };
    let palette: Vec<_> = What::ALL.into_iter().filter(|(what, _)| is_in(*what, rng)).collect();
    let weights: u64 = palette.iter().map(|(_, weight)| weight).sum();
    let mut faults = Vec::new();
    if weights == 0 {
        return faults;
    }
    let mut at_ms = mean_ms;
    while at_ms < seconds.min(MAX_SECONDS) * 1_000 {
        let mut pick = rng.next_u64() % weights;
        let what = palette.iter().find(|(_, weight)| {
            let found = pick < *weight;
            pick = pick.wrapping_sub(*weight);
            found
        });
        let (what, _) = what.expect("the pick is below the sum of the weights");
        faults.push(Fault { at_ms, what: *what, dice: rng.next_u64() });
        at_ms += rng.next_u64() % (2 * mean_ms);
    }
    faults
}
