//! The simulation of an app, made of closures.

mod lineup;
mod run;
mod scenario;

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::sync::Mutex;

use serde::Serialize;
use teatime_vm::App;
use teatime_vm::persisted::{self, Persisted, PersistedData};

use crate::dice::Dice;
use crate::plan::{MAX_SECONDS, Plan, Shape};
use crate::scenario::End;
use crate::user::User;
use crate::what::What;

/// Default number of seeds.
const SEEDS: u64 = 100;

/// Default length of the time of faults, in virtual seconds.
const SECONDS: u64 = 60;

/// How many times longer a steady seed is than a brisk one.
const STEADY: u64 = 20;

/// Most seconds that a caller may set.
const MOST_SECONDS: u64 = MAX_SECONDS / STEADY;

/// Default for the most participants at once.
const PARTICIPANTS: usize = 5;

/// Default for the most runs that shrink a plan.
const SHRINK_RUNS: u32 = 300;

/// More threads make a test no faster on the machines on which tests run.
const MOST_THREADS: usize = 4;

type Act<'a> = Box<dyn Fn(&mut Dice, &mut User<'_>) -> Result<(), String> + Send + Sync + 'a>;
type Check<'a> = Box<dyn Fn(&End<'_>) -> Result<(), String> + Send + Sync + 'a>;
type ViewData<'a> = Box<dyn Fn(&mut Dice) -> Option<Vec<u8>> + Send + Sync + 'a>;

/// Plays the models of an app under faults, seed by seed, and reports which model and field would differ between
/// participants. By default several clients join and exit, early and late, on bad connections, while the reflector
/// crashes and starts again. Every third seed is steady: it plays more slowly, and twenty times as long.
///
/// All participants are in one process, and virtual hours pass in milliseconds. So a simulation finds what differs when
/// the same event is played twice in that process: the order of a hash map, a clock of milliseconds, a static. It does
/// not find what differs between machines: the environment, locale or time zone, files, the platform.
///
/// After all seeds have passed, the first is played again, at least a second later, and compared with the first time.
/// So it finds a clock of seconds, and what earlier runs have left behind.
///
/// A simulation that proves nothing fails: one without a seed or an action, one that publishes nothing, or one that
/// publishes to a topic without subscribers.
///
/// | in the environment | plays |
/// |---|---|
/// | `TEATIME_SEED=N` | only this seed |
/// | `TEATIME_SEEDS=N` | N seeds |
/// | `TEATIME_PLAN=FILE` | only this plan, written by [`keep_in`](Self::keep_in), in the simulations of its app |
#[must_use = "nothing is played before `run`"]
pub struct Simulation<'a> {
    app: App,
    options: Result<Vec<u8>, String>,
    view_data: Option<ViewData<'a>>,
    begins_with: Option<Result<PersistedData, String>>,
    actions: Vec<(u64, Act<'a>)>,
    checks: Vec<Check<'a>>,
    allows_faults: bool,
    sync_distance: Option<u64>,
    seconds: u64,
    seeds: u64,
    participants: usize,
    without: Vec<What>,
    threads: usize,
    shrink_runs: u32,
    keep_in: Option<PathBuf>,
    /// All topics that were published, and whether any model has ever heard them.
    topics: Mutex<BTreeMap<(String, String), bool>>,
}

/// What an action or a check returns: nothing, or a result. It may also panic.
pub trait Verdict {
    /// The result.
    ///
    /// # Errors
    /// What is wrong.
    fn verdict(self) -> Result<(), String>;
}

impl Verdict for () {
    fn verdict(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display> Verdict for Result<(), E> {
    fn verdict(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

impl<'a> Simulation<'a> {
    /// Of this app, with no options and no actions.
    pub fn of(app: App) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            app,
            options: Ok(vec![0xc0]),
            view_data: None,
            begins_with: None,
            actions: Vec::new(),
            checks: Vec::new(),
            allows_faults: false,
            sync_distance: Some(1),
            seconds: SECONDS,
            seeds: SEEDS,
            participants: PARTICIPANTS,
            // These need a model that cooperates.
            without: vec![What::LiarStarts, What::Diverges, What::Panics],
            threads: threads.min(MOST_THREADS),
            shrink_runs: SHRINK_RUNS,
            keep_in: None,
            topics: Mutex::default(),
        }
    }

    /// Sets the root model's options.
    pub fn options(mut self, options: &impl Serialize) -> Self {
        self.options = teatime_vm::to_bytes(options).map_err(|error| error.to_string());
        self
    }

    /// Sets the root model's options as MessagePack.
    pub fn encoded_options(mut self, options: &[u8]) -> Self {
        self.options = Ok(options.to_vec());
        self
    }

    /// Sets the view data of each participant.
    pub fn view_data<T: Serialize>(
        mut self,
        data: impl Fn(&mut Dice) -> T + Send + Sync + 'a,
    ) -> Self {
        self.view_data = Some(Box::new(move |dice| {
            let data = teatime_vm::to_bytes(&data(dice));
            // The caller turns this panic into a failure.
            Some(data.unwrap_or_else(|error| panic!("view data cannot be encoded: {error}")))
        }));
        self
    }

    /// Sets the same view data for all participants, as MessagePack.
    pub fn encoded_view_data(mut self, data: Vec<u8>) -> Self {
        self.view_data = Some(Box::new(move |_| Some(data.clone())));
        self
    }

    /// Begins each session with data that an older version of the app has persisted, such as `SavedV1 { … }`. So
    /// migrations run under all faults.
    pub fn begins_with<P: Persisted>(mut self, saved: &P) -> Self {
        let data = persisted::write(saved).map_err(|error| error.to_string());
        self.begins_with = Some(data);
        self
    }

    /// Begins each session with persisted data as MessagePack, in this version of its layout.
    pub fn begins_with_encoded(mut self, version: u32, msgpack: &[u8]) -> Self {
        let bytes = teatime_vm::canonical(msgpack).map_err(|error| error.to_string());
        self.begins_with = Some(bytes.map(|bytes| PersistedData { version, bytes: bytes.into() }));
        self
    }

    /// Adds something that users do now and then. An action with weight 3 comes three times as often as one with weight
    /// 1. An error or a panic fails the seed.
    pub fn action<V: Verdict>(
        mut self,
        weight: u64,
        act: impl Fn(&mut Dice, &mut User<'_>) -> V + Send + Sync + 'a,
    ) -> Self {
        self.actions.push((weight, Box::new(move |dice, user| act(dice, user).verdict())));
        self
    }

    /// Adds a check of the state at the end of each seed. It runs for each remaining participant, and again when the
    /// first seed is played again. An error or a panic fails the seed.
    pub fn check<V: Verdict>(mut self, check: impl Fn(&End<'_>) -> V + Send + Sync + 'a) -> Self {
        self.checks.push(Box::new(move |end| check(end).verdict()));
        self
    }

    /// Allows handlers to fail. Otherwise that fails the seed.
    pub fn allow_faults(mut self) -> Self {
        self.allows_faults = true;
        self
    }

    /// Sets after how many inputs a participant is compared with its restored twin, and a new twin made. The default, 1,
    /// finds a bug at the first event at which it matters. 0 turns the comparison off.
    pub fn sync_distance(mut self, inputs: u64) -> Self {
        self.sync_distance = (inputs > 0).then_some(inputs);
        self
    }

    /// Sets for how many virtual seconds faults happen: 60 by default, and twenty times as many in steady seeds. At most
    /// 36 hours; more fails.
    pub fn seconds(mut self, seconds: u64) -> Self {
        self.seconds = seconds.max(1);
        self
    }

    /// Sets how many seeds are played: 1, 2, 3, … The default is 100.
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// Sets the most participants at once. The default is 5.
    pub fn participants(mut self, participants: usize) -> Self {
        self.participants = participants.max(1);
        self
    }

    /// Excludes a kind of fault.
    pub fn without(mut self, what: What) -> Self {
        self.without.push(what);
        self
    }

    /// Sets the number of threads. The default is one per processor, at most 4. With 1 the caller's thread plays.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Sets the most runs that shrink a plan that fails. The default is 300.
    pub fn shrink_runs(mut self, runs: u32) -> Self {
        self.shrink_runs = runs;
        self
    }

    /// Writes the shrunk plan of a failure into this folder, as a JSON file. Plans in the folder are played before any
    /// seed, if they are of this app or of none. Several simulations may share a folder.
    ///
    /// - Faults that the simulation is [without](Self::without) and surplus [participants](Self::participants) are left
    ///   out of these plans.
    /// - A failure that only the second run of the first seed finds is not written: showing it takes a seed and a second.
    /// - Nothing is deleted. A model that fails in another way each time leaves another file each time.
    /// - A shrunk plan numbers the actions of users that it needs. With other actions or weights such a number may mean
    ///   another action: then the faults of the plan are still played, but it may no longer find its bug.
    pub fn keep_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.keep_in = Some(folder.into());
        self
    }

    /// The plan of a seed.
    pub fn plan(&self, seed: u64) -> Plan {
        let seconds = self.seconds.min(MOST_SECONDS);
        let shape = Shape {
            brisk_seconds: seconds,
            steady_seconds: seconds * STEADY,
            clients: self.participants,
            without: self.without.clone(),
            is_lossless: true,
            has_passwords: false,
        };
        // More sessions and passwords make no difference to models.
        let app = Some(self.app.id().to_owned());
        Plan { rooms: 1, app, ..Plan::shaped(seed, &shape) }
    }
}

impl fmt::Debug for Simulation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("app", &self.app.id())
            .field("seconds", &self.seconds)
            .field("seeds", &self.seeds)
            .field("participants", &self.participants)
            .field("without", &self.without)
            .finish_non_exhaustive()
    }
}
