//! Plans: everything that happens in a run follows from its plan.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::what::{Fault, What};

/// Most sessions of a plan.
pub const MAX_ROOMS: usize = 2;

/// Most virtual seconds of a plan: 30 days, because all its faults are in memory.
pub(crate) const MAX_SECONDS: u64 = 30 * 24 * 3_600;

/// A plan. The same plan gives the same run, on every machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Seed of everything random except the faults: delays, actions, keys.
    pub seed: u64,
    /// How much happens in a second.
    pub pace: Pace,
    /// How long faults happen, in virtual seconds.
    pub fault_seconds: u64,
    /// Within how many virtual seconds after the faults all participants must converge.
    pub converge_seconds: u64,
    /// Number of sessions on the one reflector.
    pub rooms: usize,
    /// Most clients at once in each of them.
    pub clients: usize,
    /// Whether the sessions have a password.
    pub password: bool,
    /// Whether lines are slow and uneven, and deliver some events twice.
    pub noise: bool,
    /// Where the reflector stores its sessions.
    pub storage: PlannedStorage,
    /// Whether sessions without participants leave the reflector's memory at once.
    pub forgetful: bool,
    /// Whether the log of a session is so small that the reflector holds senders back now and then.
    pub tight: bool,
    /// Whether the rejoin limit is long. A short one gives more joins and exits, but a client that diverges is soon
    /// alone, and then right by definition.
    pub patient: bool,
    /// The faults, in the order of their times.
    pub faults: Vec<Fault>,
    /// The numbers of the acts of users that are played. `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts: Option<Vec<u64>>,
    /// The id of its app. The simulations of other apps skip it. `None`: any app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
}

/// What the plans of many seeds have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// How long faults happen, in virtual seconds, in brisk and in steady runs.
    pub(crate) brisk_seconds: u64,
    pub(crate) steady_seconds: u64,
    /// Most clients at once.
    pub(crate) clients: usize,
    /// Kinds of faults to leave out.
    pub(crate) without: Vec<What>,
    /// Leave out faults that may lose events.
    pub(crate) is_lossless: bool,
    /// Some sessions have a password.
    pub(crate) has_passwords: bool,
}

/// How much happens in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// Many acts a second, and a fault every second.
    Brisk,
    /// As people work: an act now and then, and a fault every few seconds. Ticks come once a second.
    Steady,
}

/// Where the reflector of a plan stores its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedStorage {
    /// In memory: then it must not crash.
    Nowhere,
    /// On a disk, without waiting until the data is durable.
    Process,
    /// On a disk, durably.
    Power,
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
            has_passwords: true,
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
            0 => PlannedStorage::Nowhere,
            1..=3 => PlannedStorage::Process,
            _ => PlannedStorage::Power,
        };
        let patient = !rng.next_u64().is_multiple_of(4);
        let rooms = 1 + usize::from(rng.next_u64().is_multiple_of(4));
        // Deriving a key takes as long as simulating some minutes.
        let password = shape.has_passwords && seed.is_multiple_of(8);
        // Sessions that are only in memory must stay there.
        let forgetful = storage != PlannedStorage::Nowhere && rng.next_u64().is_multiple_of(4);
        let tight = rng.next_u64().is_multiple_of(8);
        let setting = Setting { storage, patient, password };
        let mut faults = faults(&mut rng, pace, fault_seconds, setting, shape);
        faults.extend(attacks(seed, pace, fault_seconds, setting, shape));
        faults.sort_by_key(|fault| fault.at_ms);
        Self {
            seed,
            pace,
            fault_seconds,
            converge_seconds: 60,
            rooms,
            clients: shape.clients,
            password,
            noise: true,
            storage,
            forgetful,
            tight,
            patient,
            faults,
            acts: None,
            app: None,
        }
    }

    /// Checks that it can be played. A plan written by hand may be invalid.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MAX_ROOMS).contains(&self.rooms) {
            return Err(format!("{} rooms: expected 1 to {MAX_ROOMS}", self.rooms));
        }
        if self.clients == 0 {
            return Err("0 clients: expected at least 1".to_owned());
        }
        let longest = self.faults.iter().map(|fault| fault.at_ms / 1_000).max().unwrap_or(0);
        let longest = longest.max(self.fault_seconds).max(self.converge_seconds);
        if longest > MAX_SECONDS {
            return Err(format!("{longest} seconds: expected at most {MAX_SECONDS}"));
        }
        if self.acts.as_ref().is_some_and(|acts| !acts.is_sorted()) {
            return Err("the numbers of acts are not in order".to_owned());
        }
        Ok(())
    }

    /// Reads a plan from a file of JSON.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold a plan that can be played.
    pub fn read(path: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        let plan: Self = serde_json::from_str(&text).map_err(|error| told(&error))?;
        plan.check().map_err(|error| told(&error))?;
        Ok(plan)
    }

    /// Writes it into a file, for [`read`](Self::read). A reader never sees half of it.
    ///
    /// # Errors
    /// The file cannot be written.
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

    /// The name of its file: different for each plan, and valid on every file system.
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
}

/// What decides which faults can happen.
#[derive(Clone, Copy)]
struct Setting {
    storage: PlannedStorage,
    patient: bool,
    password: bool,
}

fn faults(
    rng: &mut ChaCha8Rng,
    pace: Pace,
    seconds: u64,
    Setting { storage, patient, .. }: Setting,
    shape: &Shape,
) -> Vec<Fault> {
    let mean_ms = match pace {
        Pace::Brisk => 500,
        Pace::Steady => 12_000,
    };
    // Each run leaves some kinds out: some bugs show only without other faults.
    let is_in = |what: What, rng: &mut ChaCha8Rng| {
        let loses = what == What::PowerCut && storage == PlannedStorage::Process;
        let possible = match needs(what) {
            _ if shape.without.contains(&what) || loses && shape.is_lossless => false,
            _ if what == What::Diverges => patient,
            PlannedStorage::Nowhere => true,
            PlannedStorage::Process => storage != PlannedStorage::Nowhere,
            PlannedStorage::Power => storage == PlannedStorage::Power,
        };
        // After a power cut that may lose events, less can be checked.
        let rarely = what == What::PowerCut && storage == PlannedStorage::Process;
        let often = if rarely { 3 } else { 0 };
        let always = what == What::Starts && possible;
        always || possible && rng.next_u64() % 4 >= often.max(1)
    };
    let faults = What::ALL.into_iter().filter(|(what, _)| !what.is_attack());
    let palette: Vec<_> = faults.filter(|(what, _)| is_in(*what, rng)).collect();
    drawn(rng, mean_ms, seconds, &palette)
}

/// What attackers do. It has random numbers of its own, so that the other faults of a seed are the same without it.
fn attacks(seed: u64, pace: Pace, seconds: u64, setting: Setting, shape: &Shape) -> Vec<Fault> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xa77a_c4e5);
    let mean_ms = match pace {
        Pace::Brisk => 8_000,
        Pace::Steady => 240_000,
    };
    let is_in = |what: What, rng: &mut ChaCha8Rng| {
        // Without a password nothing proves what the reflector says.
        let possible = what != What::ReflectorLies || setting.password;
        let is_left_out = shape.without.contains(&what) || rng.next_u64().is_multiple_of(4);
        possible && !is_left_out
    };
    let attacks = What::ALL.into_iter().filter(|(what, _)| what.is_attack());
    let palette: Vec<_> = attacks.filter(|(what, _)| is_in(*what, &mut rng)).collect();
    drawn(&mut rng, mean_ms, seconds, &palette)
}

/// Faults of these kinds, with their relative frequencies.
fn drawn(rng: &mut ChaCha8Rng, mean_ms: u64, seconds: u64, palette: &[(What, u64)]) -> Vec<Fault> {
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

/// The storage without which a fault cannot happen.
const fn needs(what: What) -> PlannedStorage {
    match what {
        What::ReflectorCrashes
        | What::ReflectorStops
        | What::DiskFull
        | What::DiskReadOnly
        | What::WriteFails
        | What::WriteTears
        | What::StorageLate
        | What::StorageFailsLate
        | What::StorageSilent
        | What::PowerCut => PlannedStorage::Process,
        What::SyncFails => PlannedStorage::Power,
        _ => PlannedStorage::Nowhere,
    }
}
