//! An app and its users, made of closures.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use teatime_vm::{App, Fault};

use super::campaign::{Campaign, How, Summary};
use super::failure::Failure;
use super::plan::{MAX_SECONDS, Plan, Shape, What};
use super::report::{Invariant, Violation};
use super::scenario::{Dice, End, Scenario, User};
use super::world;

/// How many seeds are played if nobody says.
const SEEDS: u64 = 100;

/// How long faults happen, in virtual seconds, if nobody says.
const SECONDS: u64 = 60;

/// A seed in which people work takes so many times as long as one in which something happens all the time.
const STEADY: u64 = 20;

/// Most seconds that can be said.
const MOST_SECONDS: u64 = MAX_SECONDS / STEADY;

/// Most seeds of one simulation: their plans are in memory, some kilobytes each.
const MOST_SEEDS: u64 = 100_000;

/// How many participants there are at once at most, if nobody says.
const PARTICIPANTS: usize = 5;

/// How many runs may be spent on making a plan that fails smaller, if nobody says.
const SHRINK_RUNS: u32 = 300;

/// More threads than this make a test no faster on the machines on which tests run.
const MOST_THREADS: usize = 4;

type Act<'a> = Box<dyn Fn(&mut Dice, &mut User<'_>) + Send + Sync + 'a>;
type Check<'a> = Box<dyn Fn(&End<'_>) -> Result<(), String> + Send + Sync + 'a>;
type ViewData<'a> = Box<dyn Fn(&mut Dice) -> Option<Vec<u8>> + Send + Sync + 'a>;

/// Plays the models of an app under faults, seed by seed, and says which model and field differ where
/// participants would. By default several clients join and exit, early and late, on bad lines, while the reflector
/// crashes and comes back; every third seed plays slowly and twenty times as long.
///
/// All participants are one process, and virtual hours pass in milliseconds. So what is found is what differs between
/// two plays of the same event there, such as the order of a hash map, a clock of milliseconds, or a static; not the
/// environment, locale or time zone, files, or what differs between platforms; and a clock of seconds only by chance.
///
/// A simulation that proves nothing does not pass: one without a seed or an action, one in which nothing is
/// published, or one that publishes to a topic that no model hears.
///
/// `TEATIME_SEED=N` in the environment plays that seed only, `TEATIME_SEEDS=N` so many.
#[must_use = "nothing is played before `run`"]
pub struct Simulation<'a> {
    app: App,
    options: Result<Vec<u8>, String>,
    view_data: Option<ViewData<'a>>,
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

/// What a check may end with: nothing, or a result. It may panic, too.
pub trait Verdict {
    /// What is wrong, if something is.
    ///
    /// # Errors
    /// That.
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
            actions: Vec::new(),
            checks: Vec::new(),
            allows_faults: false,
            sync_distance: Some(1),
            seconds: SECONDS,
            seeds: SEEDS,
            participants: PARTICIPANTS,
            // What is left of these needs a model that helps.
            without: vec![What::LiarStarts, What::Diverges, What::Panics],
            threads: threads.min(MOST_THREADS),
            shrink_runs: SHRINK_RUNS,
            keep_in: None,
            topics: Mutex::default(),
        }
    }

    /// The root model's options.
    pub fn options(mut self, options: &impl Serialize) -> Self {
        self.options = teatime_vm::to_bytes(options).map_err(|error| error.to_string());
        self
    }

    /// The same as MessagePack.
    pub fn encoded_options(mut self, options: &[u8]) -> Self {
        self.options = Ok(options.to_vec());
        self
    }

    /// What each participant brings along when it joins.
    pub fn view_data<T: Serialize>(
        mut self,
        data: impl Fn(&mut Dice) -> T + Send + Sync + 'a,
    ) -> Self {
        self.view_data = Some(Box::new(move |dice| {
            let data = teatime_vm::to_bytes(&data(dice));
            // Whoever calls it makes a failure of that.
            Some(data.unwrap_or_else(|error| panic!("view data cannot be encoded: {error}")))
        }));
        self
    }

    /// The same for all of them, as MessagePack.
    pub fn encoded_view_data(mut self, data: Vec<u8>) -> Self {
        self.view_data = Some(Box::new(move |_| Some(data.clone())));
        self
    }

    /// Something that users do now and then: one with weight 3 comes three times as often as one with weight 1.
    pub fn action(
        mut self,
        weight: u64,
        act: impl Fn(&mut Dice, &mut User<'_>) + Send + Sync + 'a,
    ) -> Self {
        self.actions.push((weight, Box::new(act)));
        self
    }

    /// What must hold at the end of each seed, for each of those who are left. It says what is wrong by an
    /// error or a panic.
    pub fn check<V: Verdict>(mut self, check: impl Fn(&End<'_>) -> V + Send + Sync + 'a) -> Self {
        self.checks.push(Box::new(move |end| check(end).verdict()));
        self
    }

    /// Handlers may fail. Otherwise that ends a run.
    pub fn allow_faults(mut self) -> Self {
        self.allows_faults = true;
        self
    }

    /// After how many inputs a participant is compared with its restored twin, and a new twin made: 1 if not
    /// said, which finds what is wrong at the first event after it matters. 0 leaves it out.
    pub fn sync_distance(mut self, inputs: u64) -> Self {
        self.sync_distance = (inputs > 0).then_some(inputs);
        self
    }

    /// For how many virtual seconds faults happen: 60 if not said, and twenty times as many where users
    /// work slowly. 36 hours at most; more is refused.
    pub fn seconds(mut self, seconds: u64) -> Self {
        self.seconds = seconds.max(1);
        self
    }

    /// How many seeds are played: 1, 2, 3, …; 100 if not said.
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// How many participants there are at once at most; 5 if not said.
    pub fn participants(mut self, participants: usize) -> Self {
        self.participants = participants.max(1);
        self
    }

    /// Something that does not happen.
    pub fn without(mut self, what: What) -> Self {
        self.without.push(what);
        self
    }

    /// How many threads play seeds; as many as there are processors, and at most 4, if not said. With 1 it is the
    /// caller's.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// How many runs may be spent on making a plan that fails smaller; 300 if not said.
    pub fn shrink_runs(mut self, runs: u32) -> Self {
        self.shrink_runs = runs;
        self
    }

    /// Where plans that fail are kept, made small, a file of JSON each. What is in there is played before any
    /// seed.
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
        };
        // Who has one session and no password has seen what matters to models.
        Plan { rooms: 1, password: false, ..Plan::shaped(seed, &shape) }
    }

    /// Plays all seeds.
    ///
    /// # Errors
    /// The first seed that failed, made small.
    pub fn run(self) -> Result<Summary, Failure> {
        if self.seconds > MOST_SECONDS {
            let what = format!("{} seconds: there may be {MOST_SECONDS}", self.seconds);
            return Err(self.refused(what));
        }
        let mut plans = Vec::new();
        if let Some(folder) = &self.keep_in {
            plans = kept(folder).map_err(|why| self.refused(why))?;
        }
        let number = |name: &str| match std::env::var(name) {
            Ok(text) => match text.parse::<u64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.refused(format!("{name} is {text:?}, which is no number"))),
            },
            Err(_) => Ok(None),
        };
        match (number("TEATIME_SEED")?, number("TEATIME_SEEDS")?) {
            (Some(seed), _) => plans = vec![self.plan(seed)],
            (None, seeds) => {
                let last = seeds.unwrap_or(self.seeds);
                if last > MOST_SEEDS {
                    let what = format!("{last} seeds: there may be {MOST_SEEDS}");
                    return Err(self.refused(what));
                }
                plans.extend((1..=last).map(|seed| self.plan(seed)));
            }
        }
        self.play_all(&plans)
    }

    /// Plays a plan, such as one that was [kept](Self::keep_in).
    ///
    /// # Errors
    /// How it failed; it is not made smaller.
    pub fn play(mut self, plan: &Plan) -> Result<Summary, Failure> {
        (self.shrink_runs, self.keep_in) = (0, None);
        plan.check().map_err(|why| self.refused(why))?;
        self.play_all(std::slice::from_ref(plan))
    }

    fn play_all(&self, plans: &[Plan]) -> Result<Summary, Failure> {
        self.options.clone().map_err(|why| self.refused(format!("the options: {why}")))?;
        if plans.is_empty() {
            return Err(self.refused("no seed is played".to_owned()));
        }
        if self.actions.iter().all(|(weight, _)| *weight == 0) {
            let what = "users do nothing: there is no action with a weight above 0";
            return Err(self.refused(what.to_owned()));
        }
        let jobs = self.threads.min(plans.len());
        let how = How { jobs, shrink_runs: self.shrink_runs, stops: true };
        let mut campaign = Campaign::play(self, plans, how, |_, _| {});
        let Some(mut failure) = campaign.failures.pop() else {
            // What is left of a plan may well be nothing once its bug is gone.
            let is_whole = plans.iter().any(|plan| plan.acts.is_none());
            if is_whole {
                self.has_shown(&campaign.summary).map_err(|what| self.refused(what))?;
            }
            return Ok(campaign.summary);
        };
        // Tests run in threads that are named like them.
        let thread = std::thread::current();
        if let Some(test) = thread.name().filter(|name| *name != "main") {
            failure.again(format!("TEATIME_SEED={} cargo test {test}", failure.seed()));
        }
        if let Some(folder) = &self.keep_in {
            failure.keep(folder);
        }
        Err(failure)
    }

    /// What passes proves nothing if nothing has happened in it.
    fn has_shown(&self, summary: &Summary) -> Result<(), String> {
        if summary.entries == 0 {
            return Err("nothing that users do has published anything".to_owned());
        }
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        match topics.iter().find(|(_, is_heard)| !**is_heard) {
            Some(((scope, event), _)) => {
                Err(format!("nobody hears {scope}/{event}: no model has subscribed to it"))
            }
            None => Ok(()),
        }
    }

    fn refused(&self, what: String) -> Failure {
        let plan = self.plan(1);
        let violation = Violation::new(Invariant::Start, what);
        Failure::new(self.app.id(), (&plan, violation.clone()), (plan.clone(), violation), true)
    }
}

/// The plans in a folder, if there is one.
fn kept(folder: &Path) -> Result<Vec<Plan>, String> {
    let files = match std::fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", folder.display())),
    };
    let mut paths: Vec<_> = files.flatten().map(|file| file.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().map(|path| Plan::read(path)).collect()
}

impl Scenario for Simulation<'_> {
    fn app(&self) -> &App {
        &self.app
    }

    fn options(&self, _plan: &Plan) -> Vec<u8> {
        self.options.clone().unwrap_or_default()
    }

    fn view_data(&self, dice: &mut Dice) -> Option<Vec<u8>> {
        self.view_data.as_ref()?(dice)
    }

    fn act(&self, dice: &mut Dice, user: &mut User<'_>) {
        let all = |sum: u64, (weight, _): &(u64, _)| sum.saturating_add(*weight);
        let mut pick = dice.below(self.actions.iter().fold(0, all));
        for (weight, act) in &self.actions {
            if pick < *weight {
                return act(dice, user);
            }
            pick -= weight;
        }
    }

    fn allows(&self, _fault: &Fault) -> bool {
        self.allows_faults
    }

    fn sync_distance(&self) -> Option<u64> {
        self.sync_distance
    }

    fn check(&self, end: &End<'_>) -> Result<(), String> {
        {
            let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
            for event in end.events() {
                let topic = (event.scope.to_string(), event.event.to_string());
                let is_heard = topics.entry(topic).or_default();
                *is_heard =
                    *is_heard || event.is_heard || end.vm().is_heard(&event.scope, &event.event);
            }
        }
        let all = self.checks.iter().enumerate();
        all.map(|(number, check)| {
            let said = catch_unwind(AssertUnwindSafe(|| check(end)));
            let said = said.unwrap_or_else(|panic| Err(world::message(&*panic)));
            let which = |what| format!("check {}: {what}", number + 1);
            if self.checks.len() > 1 { said.map_err(which) } else { said }
        })
        .find(Result::is_err)
        .unwrap_or(Ok(()))
    }
}
