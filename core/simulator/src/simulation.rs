//! An app and its users, made of closures.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use teatime_vm::persisted::{self, Persisted, PersistedData};
use teatime_vm::{App, Fault};

use super::campaign::{How, Remembered, Run, Summary};
use super::failure::Failure;
use super::oracle::Time;
use super::plan::{MAX_SECONDS, Plan, Shape, What};
use super::report::{Invariant, Report, Violation};
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

/// The first seed is played once more so long after it was over: a clock of seconds has gone on by then.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How many participants there are at once at most, if nobody says.
const PARTICIPANTS: usize = 5;

/// How many runs may be spent on making a plan that fails smaller, if nobody says.
const SHRINK_RUNS: u32 = 300;

/// More threads than this make a test no faster on the machines on which tests run.
const MOST_THREADS: usize = 4;

type Act<'a> = Box<dyn Fn(&mut Dice, &mut User<'_>) -> Result<(), String> + Send + Sync + 'a>;
type Check<'a> = Box<dyn Fn(&End<'_>) -> Result<(), String> + Send + Sync + 'a>;
type ViewData<'a> = Box<dyn Fn(&mut Dice) -> Option<Vec<u8>> + Send + Sync + 'a>;

/// Plays the models of an app under faults, seed by seed, and says which model and field differ where
/// participants would. By default several clients join and exit, early and late, on bad lines, while the reflector
/// crashes and comes back; every third seed plays slowly and twenty times as long.
///
/// All participants are one process, and virtual hours pass in milliseconds. So what is found is what differs between
/// two plays of the same event there, such as the order of a hash map, a clock of milliseconds, or a static; not the
/// environment, locale or time zone, files, or what differs between platforms. Once all seeds have passed, the first is
/// played again, a second or more after it was played before, and compared with that: so a clock of seconds is found,
/// and what is left over from earlier runs, as far as users did the same.
///
/// A simulation that proves nothing does not pass: one without a seed or an action, one in which nothing is
/// published, or one that publishes to a topic that no model hears.
///
/// `TEATIME_SEED=N` in the environment plays that seed only, `TEATIME_SEEDS=N` so many, `TEATIME_PLAN=FILE` only a
/// plan that was [kept](Self::keep_in), in the simulations of its app.
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

/// What an action or a check may end with: nothing, or a result. It may panic, too.
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
            begins_with: None,
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

    /// What an older version of the app has persisted, `SavedV1 { … }`, say: each session begins with it, in the room
    /// that the older version has left. So migrations are played under all faults.
    pub fn begins_with<P: Persisted>(mut self, saved: &P) -> Self {
        let data = persisted::write(saved).map_err(|error| error.to_string());
        self.begins_with = Some(data);
        self
    }

    /// The same as MessagePack, in this version of its layout.
    pub fn begins_with_encoded(mut self, version: u32, msgpack: &[u8]) -> Self {
        let bytes = teatime_vm::canonical(msgpack).map_err(|error| error.to_string());
        self.begins_with = Some(bytes.map(|bytes| PersistedData { version, bytes: bytes.into() }));
        self
    }

    /// Something that users do now and then: one with weight 3 comes three times as often as one with weight 1.
    /// A seed in which it fails, by an error or a panic, fails.
    pub fn action<V: Verdict>(
        mut self,
        weight: u64,
        act: impl Fn(&mut Dice, &mut User<'_>) -> V + Send + Sync + 'a,
    ) -> Self {
        self.actions.push((weight, Box::new(move |dice, user| act(dice, user).verdict())));
        self
    }

    /// What must hold at the end of each seed, for each of those who are left; and once more where the first seed has
    /// been played again. It says what is wrong by an error or a panic.
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

    /// Where plans that fail are kept, made small, a file of JSON each. What is in there, of this app or of none, is
    /// played before any seed; several simulations, of one app or of several, may have the same folder. Also there
    /// nothing happens that the simulation is [without](Self::without), and there are no more
    /// [participants](Self::participants) than it says. What only the second play of the first seed finds is not kept,
    /// for it takes a seed and a second. Nothing is removed: a model that fails in another way each time leaves another
    /// file each time.
    ///
    /// A plan that was made small has the numbers of those actions of users that are left of it. If a simulation has
    /// other actions or weights by now, such a number may be another action: the faults of the plan are played all the
    /// same, but what it once found it need not find any more.
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
        let app = Some(self.app.id().to_owned());
        Plan { rooms: 1, password: false, app, ..Plan::shaped(seed, &shape) }
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
        let (seed, seeds) = (self.number("TEATIME_SEED")?, self.number("TEATIME_SEEDS")?);
        if let Some(path) = std::env::var_os("TEATIME_PLAN") {
            let path = PathBuf::from(path);
            let plan = Plan::read(&path).map_err(|why| self.refused(why))?;
            if self.is_own(&plan) {
                let given = vec![Given { plan: self.fit(plan), file: Some(path) }];
                return self.play_all(&LineUp { given, ..LineUp::default() });
            }
        }
        if let Some(seed) = seed {
            return self.play_all(&LineUp { first: seed, seeds: 1, ..LineUp::default() });
        }
        let mut given = Vec::new();
        if let Some(folder) = &self.keep_in {
            given = kept(folder).map_err(|why| self.refused(why))?;
            given.retain(|one| self.is_own(&one.plan));
            let fit = |one: Given| Given { plan: self.fit(one.plan), ..one };
            given = given.into_iter().map(fit).collect();
        }
        self.play_all(&LineUp { given, first: 1, seeds: seeds.unwrap_or(self.seeds) })
    }

    /// A number in the environment.
    fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(text) = std::env::var_os(name) else { return Ok(None) };
        match text.to_str().and_then(|text| text.parse().ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.refused(format!("{name} is {text:?}, which is no number"))),
        }
    }

    fn is_own(&self, plan: &Plan) -> bool {
        plan.app.as_deref().is_none_or(|app| app == self.app.id())
    }

    /// What is left of a plan, from another simulation or an earlier day, where what this one says holds.
    fn fit(&self, mut plan: Plan) -> Plan {
        plan.faults.retain(|fault| !self.without.contains(&fault.what));
        plan.clients = plan.clients.min(self.participants);
        plan
    }

    /// Plays a plan, such as one that was [kept](Self::keep_in), exactly as it is: also with what this simulation says
    /// it is [without](Self::without), and with more [participants](Self::participants).
    ///
    /// # Errors
    /// How it failed; it is not made smaller.
    pub fn play(mut self, plan: &Plan) -> Result<Summary, Failure> {
        (self.shrink_runs, self.keep_in) = (0, None);
        plan.check().map_err(|why| self.refused(why))?;
        let given = vec![Given { plan: plan.clone(), file: None }];
        self.play_all(&LineUp { given, ..LineUp::default() })
    }

    fn play_all(&self, plans: &LineUp) -> Result<Summary, Failure> {
        self.options.clone().map_err(|why| self.refused(format!("the options: {why}")))?;
        if let Some(Err(why)) = &self.begins_with {
            return Err(self.refused(format!("what an older version has persisted: {why}")));
        }
        if plans.length() == 0 {
            return Err(self.refused("no seed is played".to_owned()));
        }
        if self.actions.iter().all(|(weight, _)| *weight == 0) {
            let what = "users do nothing: there is no action with a weight above 0";
            return Err(self.refused(what.to_owned()));
        }
        let jobs = plans.length().min(self.threads as u64) as usize;
        let how = How { jobs, shrink_runs: self.shrink_runs, stops: true };
        let first_seed = plans.given.len() as u64;
        let mut run = Run::of(self, |at| plans.plan(self, at), how, Some(first_seed), |_, _| {});
        let mut failed = run.failures.pop();
        if let (None, Some(first)) = (&failed, &run.remembered) {
            match self.play_again(first) {
                Ok(report) => run.summary.checked += report.checked,
                Err(failure) => failed = Some((first_seed, failure)),
            }
        }
        let Some((at, mut failure)) = failed else {
            if plans.is_whole() {
                self.has_shown(&run.summary).map_err(|what| self.refused(what))?;
            }
            return Ok(run.summary);
        };
        let given = plans.given(at);
        let variable = match given {
            Some(Given { file: None, .. }) => None,
            Some(Given { file: Some(path), .. }) => {
                Some(format!("TEATIME_PLAN={}", quoted(&path.display().to_string())))
            }
            None => Some(format!("TEATIME_SEED={}", failure.seed())),
        };
        if let Some(variable) = variable {
            // Tests run in threads that are named like them.
            let thread = std::thread::current();
            failure.again(match thread.name().filter(|name| *name != "main") {
                Some(test) => format!("{variable} cargo test {test}"),
                None => variable,
            });
        }
        match &self.keep_in {
            _ if given.is_some() => failure.was_given(),
            // Only the first seed is played twice, and no plan that is kept.
            _ if failure.violation().of == Invariant::Again => {}
            Some(folder) => failure.keep(folder),
            None => {}
        }
        Err(failure)
    }

    /// Plays a seed once more when a clock of seconds shows another time at each of its events.
    fn play_again(&self, first: &Remembered) -> Result<Report, Failure> {
        std::thread::sleep(AGAIN_AFTER.saturating_sub(first.over.elapsed()));
        let played = world::play_for(&first.plan, self, Time::Second(&first.memory));
        played.map(|(report, _)| report).map_err(|violation| {
            // It takes a second each time, so it is left as it is.
            let smallest = (first.plan.clone(), violation.clone());
            Failure::new(self.app.id(), (&first.plan, violation), smallest, Some(false))
        })
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
        let violation = Violation::new(Invariant::Setup, what);
        Failure::new(self.app.id(), (&plan, violation.clone()), (plan.clone(), violation), None)
    }
}

/// All that is played, in its order: first what was given or kept, then seeds.
#[derive(Default)]
struct LineUp {
    given: Vec<Given>,
    first: u64,
    seeds: u64,
}

struct Given {
    plan: Plan,
    /// Where it is from, if it is from a file.
    file: Option<PathBuf>,
}

impl LineUp {
    fn length(&self) -> u64 {
        self.seeds.saturating_add(self.given.len() as u64)
    }

    fn given(&self, at: u64) -> Option<&Given> {
        self.given.get(usize::try_from(at).ok()?)
    }

    fn plan(&self, of: &Simulation<'_>, at: u64) -> Option<Plan> {
        if let Some(given) = self.given(at) {
            return Some(given.plan.clone());
        }
        let number = at - self.given.len() as u64;
        (number < self.seeds).then(|| of.plan(self.first.saturating_add(number)))
    }

    /// Whether something must happen in it: what is left of a plan may well be nothing once its bug is gone.
    fn is_whole(&self) -> bool {
        self.seeds > 0 || self.given.iter().any(|given| given.plan.acts.is_none())
    }
}

/// A text as a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "./-_+".contains(letter);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The plans in a folder, if there is one.
fn kept(folder: &Path) -> Result<Vec<Given>, String> {
    let files = match std::fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", folder.display())),
    };
    let mut paths: Vec<_> = files.flatten().map(|file| file.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read = |path: PathBuf| Ok(Given { plan: Plan::read(&path)?, file: Some(path) });
    paths.into_iter().map(read).collect()
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

    fn begins_with(&self) -> Option<&PersistedData> {
        self.begins_with.as_ref()?.as_ref().ok()
    }

    fn act(&self, dice: &mut Dice, user: &mut User<'_>) -> Result<(), String> {
        let all = |sum: u64, (weight, _): &(u64, _)| sum.saturating_add(*weight);
        let mut pick = dice.below(self.actions.iter().fold(0, all));
        for (number, (weight, act)) in self.actions.iter().enumerate() {
            if pick < *weight {
                let which = |what| format!("action {}: {what}", number + 1);
                let done = act(dice, user);
                return if self.actions.len() > 1 { done.map_err(which) } else { done };
            }
            pick -= weight;
        }
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        self.allows_faults
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
