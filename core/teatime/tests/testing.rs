//! What the simulator finds in the models of an app, and that it finds nothing where nothing is wrong.

use std::ffi::OsStr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};
use teatime::testing::{
    Dice, End, Failure, Fault, Invariant, Plan, Simulation, Summary, User, What,
};
use teatime::{
    App, Cx, Duration, NoPrevious, OrderedMap, Persisted, VIEW_EXIT, VIEW_JOIN, ViewId, ViewInfo,
    handlers, model,
};

/// What is wrong with the board.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Planted {
    Nothing,
    HashOrder,
    Clock,
    Static,
    LeftOut,
    LaterOnly,
    Panics,
    NoStart,
    Miscounts,
    Seconds,
    SecondsOnLarge,
    NotSaved,
    NotRestored,
}

/// A board on which everybody puts stones. It uses what a model can use.
#[model(id = "board", version = 1)]
struct Board {
    planted: Planted,
    here: OrderedMap<ViewId, String>,
    stones: Vec<Stone>,
    order: Vec<u32>,
    number: u64,
    count: u64,
    wind: f64,
    #[serde(skip)]
    left_out: u64,
    fragile: Fragile,
    background: String,
}

/// Its number is how often it has been put: it cannot be saved above 100, and not be restored above 200.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "u64")]
struct Fragile(u64);

impl Serialize for Fragile {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            101..=200 => Err(serde::ser::Error::custom("it has no words")),
            number => to.serialize_u64(number),
        }
    }
}

impl TryFrom<u64> for Fragile {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        if number > 200 { Err("it says nothing".to_owned()) } else { Ok(Self(number)) }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stone {
    x: u32,
    by: ViewId,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Put {
    x: u64,
}

static COUNTER: AtomicU64 = AtomicU64::new(0);
/// How often a pad has begun that can do so only once.
static BEGUN: AtomicU64 = AtomicU64::new(0);

#[handlers]
impl Board {
    fn init(cx: &mut Cx<Self>, planted: &Planted) -> Self {
        assert_ne!(*planted, Planted::NoStart, "there is no board");
        cx.subscribe("board", "put", Self::put);
        cx.subscribe("board", "clear", Self::clear);
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::join);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::exit);
        cx.every(Duration::from_millis(700)).call(Self::blow, ());
        Self {
            planted: *planted,
            here: OrderedMap::new(),
            stones: Vec::new(),
            order: Vec::new(),
            number: 0,
            count: 0,
            wind: 0.0,
            left_out: 0,
            fragile: Fragile(0),
            background: "b".repeat(if *planted == Planted::SecondsOnLarge { 500_000 } else { 0 }),
        }
    }

    fn join(&mut self, _cx: &mut Cx<Self>, view: ViewInfo) {
        let name = view.data::<String>().and_then(Result::ok).unwrap_or_default();
        self.here.insert(view.view_id, name);
    }

    fn exit(&mut self, _cx: &mut Cx<Self>, view: ViewId) {
        self.here.remove(&view);
    }

    #[allow(
        clippy::disallowed_types,
        clippy::disallowed_methods,
        reason = "they are planted, to be found"
    )]
    fn put(&mut self, cx: &mut Cx<Self>, put: Put) {
        let Some(by) = cx.sender() else { return };
        self.stones.push(Stone { x: put.x as u32, by });
        self.count += if self.planted == Planted::Miscounts && put.x == 3 { 2 } else { 1 };
        self.left_out += 1;
        match self.planted {
            Planted::HashOrder => {
                let columns: std::collections::HashSet<u32> =
                    self.stones.iter().map(|stone| stone.x).collect();
                self.order = columns.into_iter().collect();
            }
            Planted::Clock => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                self.number = now.map_or(0, |now| now.as_nanos() as u64);
            }
            Planted::Seconds | Planted::SecondsOnLarge => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                self.number = now.map_or(0, |now| now.as_secs());
            }
            Planted::NotSaved if self.count > 3 => self.fragile = Fragile(101),
            Planted::NotRestored if self.count > 3 => self.fragile = Fragile(201),
            Planted::Static => self.number = COUNTER.fetch_add(1, Ordering::Relaxed),
            Planted::LeftOut => self.number = self.left_out,
            Planted::Panics => assert_ne!(self.count % 10, 9, "nine"),
            _ => {}
        }
    }

    fn clear(&mut self, cx: &mut Cx<Self>) {
        self.stones.clear();
        cx.publish("board", "cleared", ());
    }

    fn blow(&mut self, cx: &mut Cx<Self>) {
        self.wind = cx.random();
        if self.planted == Planted::LaterOnly && self.count > 2 {
            self.number = COUNTER.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn simulation(planted: Planted) -> Simulation<'static> {
    let app = App::builder::<Board>("org.example.board").build().expect("it is sound");
    Simulation::of(app)
        .options(&planted)
        .view_data(|dice| format!("player {}", dice.below(100)))
        .action(5, |dice, user| user.publish("board", "put", &Put { x: dice.below(8) }))
        .action(1, |_, user| {
            if user.root::<Board>().is_some_and(|board| board.stones.len() > 20) {
                user.publish("board", "clear", &());
            }
        })
        .check(|end| {
            let board = end.root::<Board>();
            assert_eq!(board.count, end.count("board", "put"), "stones");
            assert!(board.here.get(&end.view_id()).is_some_and(|name| name.starts_with("player")));
        })
        .seeds(30)
}

/// Whether whoever runs the tests has said how many seeds are played.
fn is_told_otherwise() -> bool {
    ["TEATIME_SEED", "TEATIME_SEEDS", "TEATIME_PLAN"]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some())
}

fn failure(planted: Planted) -> Failure {
    simulation(planted).run().expect_err("something is wrong")
}

#[test]
fn a_correct_model_passes_all_seeds() -> Result<(), Failure> {
    let summary: Summary = simulation(Planted::Nothing).run()?;
    assert_eq!(summary.failed, 0);
    assert!(summary.runs == 30 || is_told_otherwise());
    // It proves something only if something happened.
    assert!(summary.entries > 10_000, "{} events", summary.entries);
    assert!(summary.synced > 10_000, "{} comparisons with a twin", summary.synced);
    assert!(summary.compared > 10_000, "{} comparisons", summary.compared);
    for what in [What::Crashes, What::Partition, What::DownBlocked, What::ReflectorCrashes] {
        assert!(summary.faults.get(&what).is_some_and(|times| *times > 10), "{what:?}");
    }
    for what in [What::LiarStarts, What::Diverges, What::Panics] {
        assert_eq!(summary.faults.get(&what), None);
    }
    Ok(())
}

#[test]
fn what_comes_from_outside_is_found_at_the_first_event_and_named() {
    for (planted, field, event) in [
        (Planted::HashOrder, "order", "event board/put"),
        (Planted::Clock, "number", "event board/put"),
        (Planted::Static, "number", "event board/put"),
        (Planted::LaterOnly, "number", "future message"),
    ] {
        // The order of a map of two may well be the same a few times.
        let failure = (0..5).map(|_| failure(planted));
        let mut failure = failure.skip_while(|failure| failure.is_reproduced() == Some(true));
        let failure = failure.next().expect("it is not the same each time");
        // Whoever comes there first: the twin, or another participant.
        let of = failure.smallest().of;
        assert!([Invariant::Sync, Invariant::Agreement].contains(&of), "{failure}");
        assert_eq!(failure.is_reproduced(), Some(false), "{failure}");
        let text = failure.to_string();
        let place = format!("model `board` (id 1), field `{field}");
        for part in [
            &place,
            event,
            "outside of the models",
            "TEATIME_SEED=",
            " here, ",
            " there; after seq ",
        ] {
            assert!(text.contains(part), "{planted:?}, {part}: {text}");
        }
        assert!(text.lines().count() <= 16, "{text}");
        assert_eq!(format!("{failure:?}"), text);
    }
}

/// The comparison between participants finds it as well, if later.
#[test]
fn without_the_twin_participants_that_differ_are_found() {
    let failure = simulation(Planted::Static).sync_distance(0).run().expect_err("it differs");
    assert_eq!(failure.smallest().of, Invariant::Agreement, "{failure}");
    let clash = failure.smallest().clash.as_ref().expect("both states are known");
    assert_eq!(clash.model, Some((1, "board".to_owned())));
    assert_eq!(clash.field, "number");
    assert_ne!(clash.here, clash.there);
    assert!(clash.after.contains("event board/put from participant"), "{failure}");
}

#[test]
fn a_field_that_no_snapshot_holds_is_found_and_what_is_left_is_small() {
    let failure = failure(Planted::LeftOut);
    assert_eq!(failure.smallest().of, Invariant::Sync, "{failure}");
    let clash = failure.smallest().clash.as_ref().expect("both states are known");
    assert_eq!((&*clash.field, &*clash.here, &*clash.there), ("number", "2", "1"));
    // It needs nobody but one who puts two stones.
    assert_eq!(failure.is_reproduced(), Some(true), "{failure}");
    let plan = failure.plan();
    assert_eq!((plan.faults.len(), plan.clients), (0, 1), "{failure}");
    assert_eq!(plan.acts.as_ref().map(Vec::len), Some(2), "{failure}");
    let story = &failure.smallest().story;
    let puts = story.iter().filter(|(_, what)| what.ends_with("publishes board/put")).count();
    assert_eq!(puts, 2, "{failure}");
    // A larger distance finds it all the same.
    assert!(simulation(Planted::LeftOut).sync_distance(5).run().is_err());
}

#[test]
fn a_plan_that_is_left_can_be_kept_and_played_again() {
    let folder = tempfile::tempdir().expect("there is room");
    let failure = simulation(Planted::LeftOut).keep_in(folder.path()).run().expect_err("it fails");
    let path = failure.kept().expect("it is kept").to_owned();
    assert!(failure.to_string().contains(&path.display().to_string()), "{failure}");
    let name = path.file_name().expect("it is a file").to_string_lossy().into_owned();
    let start = format!("org.example.board-{}-", failure.seed());
    assert!(name.starts_with(&start) && name.ends_with(".json"), "{name}");
    let plan = Plan::read(&path).expect("it was kept");
    assert_eq!(&plan, failure.plan());
    let again = simulation(Planted::LeftOut).play(&plan).expect_err("it fails again");
    assert_eq!(again.smallest(), failure.smallest());
    // Whoever has the plan knows how to play it; nothing else was played.
    assert!(!again.to_string().contains("run it again"), "{again}");
    assert_eq!(again.is_reproduced(), None);
    // It is played before any seed, and what is said then plays exactly it.
    let kept = simulation(Planted::LeftOut).seeds(0).keep_in(folder.path()).run();
    if !is_told_otherwise() {
        let kept = kept.expect_err("it fails still");
        assert_eq!(kept.smallest(), failure.smallest());
        let says = format!("TEATIME_PLAN={} cargo test a_plan_that_is_left", path.display());
        assert!(kept.to_string().contains(&says), "{kept}");
        assert!(kept.to_string().starts_with("a plan made of seed 1 of"), "{kept}");
        let summary = simulation(Planted::Nothing).seeds(0).keep_in(folder.path()).run();
        assert_eq!(summary.expect("the bug is gone").runs, 1);
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 1);
    // What is no folder is not the same as none.
    let no_folder = simulation(Planted::Nothing).keep_in(&path).run().expect_err("it is a file");
    assert!(no_folder.to_string().contains(&path.display().to_string()), "{no_folder}");
    std::fs::write(&path, "{}").expect("it can be written");
    let broken = simulation(Planted::Nothing).keep_in(folder.path()).run().expect_err("no plan");
    assert!(broken.to_string().contains(&path.display().to_string()), "{broken}");
    assert_eq!(broken.smallest().of, Invariant::Setup);
}

/// Several simulations may keep their plans in one folder: none overwrites those of another, and none plays those of
/// another app.
#[test]
fn kept_plans_of_several_simulations_do_not_meet() -> Result<(), Failure> {
    let folder = tempfile::tempdir().expect("there is room");
    let board = || simulation(Planted::Nothing).seeds(1).seconds(2).keep_in(folder.path());
    let named = |id: &str| {
        let app = App::builder::<Album>(id).build().expect("it is sound");
        let add = |_: &mut Dice, user: &mut User<'_>| user.publish("album", "add", "a picture");
        Simulation::of(app).options(&0u64).action(1, add).seeds(1).seconds(2)
    };
    let strange = || named("an/album: of mine?").keep_in(folder.path());
    // Fails where so many events of a topic were accepted.
    let kept = |simulation: Simulation<'_>, topic: [&'static str; 2], at_least: u64| {
        let check = move |end: &End<'_>| {
            let count = end.count(topic[0], topic[1]);
            if count < at_least { Ok(()) } else { Err("too many") }
        };
        let failure = simulation.shrink_runs(100).check(check).run().expect_err("there are some");
        failure.kept().unwrap_or_else(|| panic!("{failure}")).to_owned()
    };
    // What is kept first passes where more is needed to fail.
    let files = [
        kept(board(), ["board", "put"], 0),
        kept(board(), ["board", "put"], 1),
        kept(strange(), ["album", "add"], 0),
    ];
    let distinct: std::collections::BTreeSet<_> = files.iter().collect();
    let there = || std::fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!((distinct.len(), there()), (3, 3), "{files:?}");
    let name = files[2].file_name().expect("it is a file").to_string_lossy();
    assert!(name.starts_with("an_album__of_mine_-1-"), "{name}");
    if !is_told_otherwise() {
        assert_eq!(board().run()?.runs, 3);
        assert_eq!(strange().run()?.runs, 2);
        assert_eq!(named("org.example.album").keep_in(folder.path()).run()?.runs, 1);
        // One that says of no app is everybody's.
        let plan = Plan { app: None, ..Plan::read(&files[0]).expect("it was kept") };
        plan.write(&folder.path().join("by hand.json")).expect("it can be written");
        assert_eq!(strange().run()?.runs, 3);
    }
    Ok(())
}

/// What a check may rely on holds for plans that another simulation has kept, too.
#[test]
fn kept_plans_respect_who_takes_part_and_what_does_not_happen() -> Result<(), Failure> {
    let folder = tempfile::tempdir().expect("there is room");
    let board = || simulation(Planted::Nothing).seconds(20).keep_in(folder.path());
    let wild = board().shrink_runs(0).check(|_| Err("it is never right"));
    let path = wild.run().expect_err("it says so").kept().expect("it is kept").to_owned();
    let plan = Plan::read(&path).expect("it was kept");
    let has = |what| plan.faults.iter().any(|fault| fault.what == what);
    assert!(has(What::Starts) && has(What::Cut) && plan.clients == 5, "{plan:?}");
    let alone = || {
        let alone = board().seeds(0).participants(1).without(What::Cut);
        alone.check(|end| assert_eq!(end.root::<Board>().here.len(), 1, "a game for one"))
    };
    if !is_told_otherwise() {
        let summary = alone().run()?;
        assert_eq!((summary.runs, summary.faults.get(&What::Cut)), (1, None));
        assert!(!summary.faults.is_empty());
    }
    // Whoever hands a plan over himself gets all of it.
    assert!(alone().play(&plan).is_err() && simulation(Planted::Nothing).play(&plan).is_ok());
    Ok(())
}

#[test]
fn handlers_that_fail_are_found_unless_they_may() {
    let failure = failure(Planted::Panics);
    assert_eq!(failure.smallest().of, Invariant::Faults, "{failure}");
    assert!(failure.to_string().contains("board.put"), "{failure}");
    assert!(failure.to_string().contains("nine"), "{failure}");
    // What panics is undone, so the stones are not all there.
    let failure = simulation(Planted::Panics).allow_faults().run().expect_err("stones are missing");
    assert_eq!(failure.smallest().of, Invariant::Check, "{failure}");
}

#[test]
fn checks_that_fail_are_told() {
    let failure = failure(Planted::Miscounts);
    assert_eq!(failure.smallest().of, Invariant::Check, "{failure}");
    assert!(failure.to_string().contains("stones"), "{failure}");
    let says = simulation(Planted::Nothing).check(|_| Err("it is never right")).seeds(1).run();
    let says = says.expect_err("it is never right");
    assert_eq!(says.violation().of, Invariant::Check);
    assert!(says.to_string().contains("it is never right"), "{says}");
}

#[test]
fn an_app_that_cannot_start_and_what_cannot_be_published_are_told() {
    let failure = failure(Planted::NoStart);
    assert_eq!(failure.smallest().of, Invariant::Start, "{failure}");
    assert!(failure.to_string().contains("there is no board"), "{failure}");
    let failure =
        simulation(Planted::Nothing).options(&"no such").run().expect_err("it is no option");
    assert_eq!(failure.smallest().of, Invariant::Start, "{failure}");
    let large = simulation(Planted::Nothing).action(1, |_, user| {
        user.publish("board", "put", &"x".repeat(100_000));
    });
    // Also where nobody is watched.
    let failure = large.sync_distance(0).run().expect_err("it is too large");
    assert_eq!(failure.smallest().of, Invariant::Sanity, "{failure}");
    assert!(failure.to_string().contains("board:put cannot be published"), "{failure}");
}

#[test]
fn the_same_seed_is_the_same_run_on_any_number_of_threads() {
    let play = |threads| {
        let summary = simulation(Planted::Nothing).seeds(6).threads(threads).run();
        let summary = summary.expect("it holds");
        (summary.entries, summary.compared, summary.synced, summary.faults)
    };
    assert_eq!(play(1), play(3));
}

#[test]
fn says_what_it_has_played() {
    match simulation(Planted::Nothing).seeds(2).run() {
        Ok(summary) => println!("{} seeds were played", summary.runs),
        Err(failure) => println!("{failure}"),
    }
}

#[test]
fn the_environment_chooses_seeds() {
    let play = |name: &str, value: &OsStr| {
        let mut test = Command::new(std::env::current_exe().expect("it runs"));
        for name in ["TEATIME_SEED", "TEATIME_SEEDS", "TEATIME_PLAN"] {
            test.env_remove(name);
        }
        test.env(name, value);
        test.args(["--exact", "says_what_it_has_played", "--nocapture"]);
        String::from_utf8(test.output().expect("it runs").stdout).expect("UTF-8")
    };
    for (name, value, says) in [
        ("TEATIME_SEED", "7", "1 seeds were played"),
        ("TEATIME_SEEDS", "3", "3 seeds were played"),
        ("OTHER", "5", "2 seeds were played"),
        ("TEATIME_SEED", "many", "TEATIME_SEED is \"many\": expected a number"),
        ("TEATIME_SEED", "", "TEATIME_SEED is \"\": expected a number"),
        ("TEATIME_PLAN", "/there/is/none.json", "/there/is/none.json"),
    ] {
        let said = play(name, value.as_ref());
        assert!(said.contains(says), "{name}={value}: {said}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let said = play("TEATIME_SEED", OsStr::from_bytes(b"7\xff"));
        assert!(said.contains("TEATIME_SEED is \"7\\xFF\": expected a number"), "{said}");
    }
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("a plan.json");
    let plan = simulation(Planted::Nothing).plan(3);
    plan.write(&path).expect("it can be written");
    let said = play("TEATIME_PLAN", path.as_os_str());
    assert!(said.contains("1 seeds were played"), "{said}");
    // That of another app is not for this one.
    let plan = Plan { app: Some("org.example.album".to_owned()), ..plan };
    plan.write(&path).expect("it can be written");
    let said = play("TEATIME_PLAN", path.as_os_str());
    assert!(said.contains("2 seeds were played"), "{said}");
    let one = simulation(Planted::LeftOut).run().expect_err("it fails");
    assert!(
        one.to_string()
            .contains(&format!("TEATIME_SEED={} cargo test the_environment", one.seed()))
    );
}

/// An album: a few large things, of which the newest stays.
#[model(id = "album", version = 1)]
struct Album {
    newest: String,
    background: String,
    count: u64,
}

#[handlers]
impl Album {
    fn init(cx: &mut Cx<Self>, background: &u64) -> Self {
        cx.subscribe("album", "add", Self::add);
        let background = "b".repeat(usize::try_from(*background).unwrap_or(0));
        Self { newest: String::new(), background, count: 0 }
    }

    fn add(&mut self, _cx: &mut Cx<Self>, picture: String) {
        self.newest = picture;
        self.count += 1;
    }
}

fn album(background: u64, picture: usize) -> Simulation<'static> {
    let app = App::builder::<Album>("org.example.album").build().expect("it is sound");
    Simulation::of(app)
        .options(&background)
        .action(1, move |_, user| user.publish("album", "add", &"p".repeat(picture)))
        .check(|end| assert_eq!(end.root::<Album>().count, end.count("album", "add")))
}

#[derive(Serialize, Deserialize)]
struct NotesV1 {
    title: String,
}

/// A list of titles; the older version had one.
#[derive(Serialize, Deserialize)]
struct NotesV2 {
    titles: Vec<String>,
}

impl Persisted for NotesV1 {
    const VERSION: u32 = 1;
    type Previous = NoPrevious;

    fn migrate(old: NoPrevious) -> Result<Self, String> {
        match old {}
    }
}

impl Persisted for NotesV2 {
    const VERSION: u32 = 2;
    type Previous = NotesV1;

    fn migrate(old: NotesV1) -> Result<Self, String> {
        match old.title.as_str() {
            "" => Err("there is no title".to_owned()),
            // What no migration may do.
            "counted" => {
                Ok(Self { titles: vec![COUNTER.fetch_add(1, Ordering::Relaxed).to_string()] })
            }
            title if title.len() > 1_000 => Ok(Self { titles: Vec::new() }),
            _ => Ok(Self { titles: vec![old.title] }),
        }
    }
}

/// Nearly as much as can be persisted.
const MUCH: usize = 1_000_000;

#[model(id = "pad", version = 1)]
struct Pad {
    titles: Vec<String>,
}

#[handlers]
impl Pad {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("pad", "add", Self::add);
        let titles = cx.persisted::<NotesV2>().map_or_else(Vec::new, |notes| notes.titles);
        assert_ne!(titles, ["unheard of"]);
        let is_first = || BEGUN.fetch_add(1, Ordering::Relaxed) == 0;
        assert!(titles != ["once"] || is_first(), "it does not begin again");
        Self { titles }
    }

    fn add(&mut self, cx: &mut Cx<Self>, title: String) {
        let much = (title == "much").then(|| vec!["m".repeat(MUCH)]);
        self.titles.push(title);
        let titles = much.unwrap_or_else(|| self.titles.clone());
        cx.persist(&NotesV2 { titles }).expect("it is not too large");
    }
}

fn pad() -> Simulation<'static> {
    let app = App::builder::<Pad>("org.example.pad").version(2).persists::<NotesV2>();
    Simulation::of(app.build().expect("it is sound"))
        .action(1, |dice, user| {
            // The state is not what is tested.
            if dice.chance(10) {
                user.publish("pad", "add", &dice.number().to_string());
            }
        })
        .seeds(30)
}

/// What an older version has persisted is there for everybody, whatever goes wrong.
#[test]
fn sessions_begin_with_what_an_older_version_has_persisted() -> Result<(), Failure> {
    let begun = |simulation: Simulation<'static>, first: Option<&'static str>| {
        simulation.check(move |end| {
            let titles = &end.root::<Pad>().titles;
            assert_eq!(titles.len() as u64, u64::from(first.is_some()) + end.count("pad", "add"));
            assert!(first.is_none_or(|first| titles[0] == first), "{titles:?}");
        })
    };
    let old = NotesV1 { title: "tea".to_owned() };
    let summary = begun(pad().begins_with(&old), Some("tea")).run()?;
    assert!(summary.entries > 1_000 && summary.synced > 1_000, "{summary:?}");
    // Joiners and reflectors have come too late for it, and have it all the same.
    for what in [What::Starts, What::ReflectorCrashes] {
        assert!(is_told_otherwise() || summary.faults[&what] > 10, "{summary:?}");
    }
    let encoded = teatime::to_bytes(&old).expect("it can be encoded");
    begun(pad().begins_with_encoded(1, &encoded).seeds(3), Some("tea")).run()?;
    begun(pad().seeds(3), None).run()?;
    Ok(())
}

#[test]
fn what_is_wrong_with_a_migration_is_told() {
    let begins = |title: &str| pad().begins_with(&NotesV1 { title: title.to_owned() });
    let failure = begins("").run().expect_err("it has no title");
    let says = "cannot be started: the persisted data cannot be migrated from version 1 to version 2: \
                there is no title";
    assert!(failure.to_string().contains(says), "{failure}");
    let newer = pad().begins_with_encoded(3, &[0xc0]).run().expect_err("it is newer");
    assert!(newer.to_string().contains("version 3"), "{newer}");
    let broken = pad().begins_with_encoded(1, &[0xc1]).run().expect_err("it is no MessagePack");
    assert_eq!(broken.smallest().of, Invariant::Setup, "{broken}");
    let old = NotesV1 { title: "tea".to_owned() };
    let nothing = album(0, 10).begins_with(&old).run().expect_err("it persists nothing");
    assert!(nothing.to_string().contains("persists nothing"), "{nothing}");
    // So is what the first init makes of it.
    let failure = begins("unheard of").run().expect_err("it is not heard of");
    assert_eq!(failure.violation().of, Invariant::Start, "{failure}");
    assert!(failure.to_string().contains("unheard of"), "{failure}");
    assert_eq!(failure.violation().at_us, 0, "{failure}");
    // And that of somebody who comes later.
    let failure = begins("once").threads(1).shrink_runs(0).run().expect_err("it begins once");
    assert_eq!(failure.violation().of, Invariant::Start, "{failure}");
    assert!(failure.to_string().contains("it does not begin again"), "{failure}");
    assert!(failure.violation().at_us > 0, "{failure}");
    // One that is not the same for everybody.
    let failure = begins("counted").run().expect_err("it comes from outside");
    assert!(failure.to_string().contains("model `pad` (id 1), field `titles"), "{failure}");
}

/// What a reflector may hold and what may be on its way to somebody follows from what is played.
#[test]
fn large_events_and_large_states_pass() -> Result<(), Failure> {
    for (background, picture, seeds, seconds) in
        [(0, 1_000, 20, 60), (0, 8_000, 8, 30), (0, 60_000, 4, 10), (2_000_000, 10, 2, 3)]
    {
        let played = album(background, picture).seeds(seeds).seconds(seconds).sync_distance(20);
        assert!(played.run()?.entries > 10, "{background} {picture}");
    }
    Ok(())
}

/// What is persisted stands behind each snapshot, too.
#[test]
fn much_that_is_persisted_passes() -> Result<(), Failure> {
    let large = || pad().seeds(2).seconds(3).sync_distance(20);
    let old = NotesV1 { title: "t".repeat(MUCH) };
    // What a migration is for may be to make it small.
    large().action(1, |_, user| user.publish("pad", "add", "tea")).begins_with(&old).run()?;
    large().action(5, |_, user| user.publish("pad", "add", "much")).run()?;
    Ok(())
}

/// What is given comes first, however many threads play and whatever its seed.
#[test]
fn of_several_that_fail_the_first_is_told() {
    let folder = tempfile::tempdir().expect("there is room");
    let simulation = || simulation(Planted::LeftOut).seconds(20).seeds(8).shrink_runs(0).threads(4);
    let plan = simulation().plan(50);
    plan.write(&folder.path().join("by hand.json")).expect("it can be written");
    for _ in 0..3 {
        let failure = simulation().keep_in(folder.path()).run().expect_err("all of them fail");
        assert!(failure.seed() == 50 || is_told_otherwise(), "{failure}");
        let failure = simulation().run().expect_err("all of them fail");
        assert!(failure.seed() == 1 || is_told_otherwise(), "{failure}");
    }
}

#[test]
fn plans_that_cannot_be_played_are_refused() {
    let good = simulation(Planted::Nothing).seconds(2).plan(1);
    let late = || vec![Fault { at_ms: u64::MAX, what: What::Cut, dice: 0 }];
    for (plan, says) in [
        (Plan { clients: 0, ..good.clone() }, "0 clients: expected at least 1"),
        (Plan { rooms: 0, ..good.clone() }, "0 rooms: expected"),
        (Plan { fault_seconds: u64::MAX, ..good.clone() }, "seconds: expected at most"),
        (Plan { converge_seconds: u64::MAX, ..good.clone() }, "seconds: expected at most"),
        (Plan { faults: late(), ..good.clone() }, "seconds: expected at most"),
        (Plan { acts: Some(vec![2, 1]), ..good.clone() }, "are not in order"),
    ] {
        let failure = simulation(Planted::Nothing).play(&plan).expect_err(says);
        assert_eq!(failure.smallest().of, Invariant::Setup, "{failure}");
        assert!(failure.to_string().contains(says), "{says}: {failure}");
    }
    assert!(simulation(Planted::Nothing).play(&good).is_ok());
}

/// What a simulation says that proves nothing, so that it does not pass.
#[test]
fn what_would_prove_nothing_is_refused() {
    let board = || Simulation::of(App::builder::<Board>("org.example.board").build().unwrap());
    let board = || board().options(&Planted::Nothing).seeds(2).seconds(5);
    let puts = |weight, scope: &'static str| {
        board().action(weight, move |dice, user| {
            user.publish(scope, "put", &Put { x: dice.below(8) });
        })
    };
    assert!(puts(1, "board").run().is_ok());
    let wordless = |_: &mut teatime::testing::Dice| NotEncoded;
    for (simulation, says) in [
        (board(), "there is no action"),
        (puts(0, "board"), "there is no action with a weight above 0"),
        (puts(1, "bord"), "no model has subscribed to bord/put"),
        (board().action(1, |_, _| {}), "has published anything"),
        (puts(1, "board").seconds(u64::MAX), "seconds: expected at most"),
    ] {
        let failure = simulation.run().expect_err(says);
        assert_eq!(failure.smallest().of, Invariant::Setup, "{failure}");
        assert!(failure.to_string().contains(says), "{says}: {failure}");
        assert!(failure.to_string().contains("is refused"), "{says}: {failure}");
    }
    let failure = puts(1, "board").view_data(wordless).run().expect_err("it has no words");
    let says = "cannot be started: view data cannot be encoded: it has no words";
    assert!(failure.to_string().contains(says), "{failure}");
    // Also what somebody who comes later brings along.
    let brought = AtomicU64::new(0);
    let late_is_large = |_: &mut Dice| {
        "x".repeat(if brought.fetch_add(1, Ordering::Relaxed) < 2 { 10 } else { 100_000 })
    };
    let late = puts(1, "board").view_data(late_is_large).threads(1).seconds(60).shrink_runs(0);
    let failure = late.run().expect_err("it is too large");
    assert_eq!(failure.violation().of, Invariant::Start, "{failure}");
    assert!(failure.violation().at_us > 0, "{failure}");
    assert!(failure.to_string().contains("participant 2: the view data must have less than"));
    if !is_told_otherwise() {
        let failure = puts(1, "board").seeds(0).run().expect_err("there is none");
        assert!(failure.to_string().contains("no seed is played"), "{failure}");
    }
}

/// Plans are made when they are played: all that there could ever be are as many as anybody likes.
#[test]
fn any_number_of_seeds_can_be_played_until_one_fails() {
    let failure = simulation(Planted::LeftOut).seeds(u64::MAX).run().expect_err("one fails");
    assert!(failure.seed() < 10 || is_told_otherwise(), "{failure}");
}

/// A clock of seconds is the same for all participants, nearly always: but not when the seed is played again.
#[test]
fn a_clock_of_seconds_is_found_and_named() {
    for seeds in [1, 20] {
        let failure = simulation(Planted::Seconds).seeds(seeds).run().expect_err("it has a clock");
        let found = [Invariant::Again, Invariant::Agreement, Invariant::Sync];
        assert!(found.contains(&failure.smallest().of), "{failure}");
        let text = failure.to_string();
        for part in ["model `board` (id 1), field `number`", "event board/put", "outside of the"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    // With nobody to differ from only the second play can find it: at the beginning, also where the states of a whole run
    // are too large to be remembered.
    for planted in [Planted::Seconds, Planted::SecondsOnLarge] {
        let alone = simulation(planted).participants(1).seeds(1).sync_distance(0);
        let failure = What::ALL.into_iter().fold(alone, |alone, (what, _)| alone.without(what));
        let failure = failure.run().expect_err("it has a clock");
        assert_eq!(failure.smallest().of, Invariant::Again, "{failure}");
        let clash = failure.smallest().clash.as_ref().expect("both states are known");
        assert_eq!((&clash.model, &*clash.field), (&Some((1, "board".to_owned())), "number"));
    }
    // What users do may differ: that is no difference between models.
    let played = AtomicU64::new(0);
    let counted = simulation(Planted::Nothing).seeds(1).action(5, |_, user| {
        user.publish("board", "put", &Put { x: played.fetch_add(1, Ordering::Relaxed) });
    });
    let started = Instant::now();
    assert!(counted.seconds(5).run().is_ok());
    // Every event of the second play is in another second than in the first.
    assert!(started.elapsed() >= std::time::Duration::from_secs(1));
}

#[test]
fn actions_that_fail_are_told() {
    let fails = |planted: &'static str| {
        simulation(Planted::Nothing).seeds(1).action(1, move |_, user| {
            if user.count("board", "put") < 3 || planted.is_empty() { Ok(()) } else { Err(planted) }
        })
    };
    assert!(fails("").run().is_ok());
    let failure = fails("the printer returned 7").run().expect_err("it says so");
    assert_eq!(failure.smallest().of, Invariant::Act, "{failure}");
    assert!(failure.to_string().contains("an action failed, after "), "{failure}");
    assert!(failure.to_string().contains(": action 3: the printer returned 7"), "{failure}");
    // It needs three stones, and itself.
    assert_eq!(failure.plan().acts.as_ref().map(Vec::len), Some(4), "{failure}");
}

#[test]
fn what_cannot_be_saved_or_restored_is_told_as_such() {
    for (planted, says) in [
        (Planted::NotSaved, "it cannot be saved: "),
        (Planted::NotRestored, " cannot restore it: "),
    ] {
        let failure = failure(planted);
        assert_eq!(failure.smallest().of, Invariant::Snapshot, "{failure}");
        assert!(failure.to_string().contains(says), "{failure}");
    }
    // Also where there is no twin.
    let failure =
        simulation(Planted::NotSaved).sync_distance(0).run().expect_err("it has no words");
    assert_eq!(failure.smallest().of, Invariant::Snapshot, "{failure}");
}

/// Run by the next test, in a process of its own: what prints panics belongs to the whole process.
#[test]
fn says_how_many_panics_are_printed() {
    static PRINTED: AtomicU64 = AtomicU64::new(0);
    if std::env::var_os("TEATIME_PRINTED").is_none() {
        return;
    }
    let since = || PRINTED.swap(0, Ordering::Relaxed);
    for _ in 0..2 {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(|panic| {
            let is_counted =
                ["nine", "as ever"].iter().any(|text| panic.to_string().contains(text));
            PRINTED.fetch_add(is_counted.into(), Ordering::Relaxed);
        }));
        let failed = simulation(Planted::Panics).seeds(3).threads(1).run();
        println!("failing: {} {}", failed.is_err(), since());
        let allowed = simulation(Planted::Panics).seeds(3).allow_faults();
        println!("allowed: {} {}", allowed.run().is_err(), since());
        drop(std::thread::spawn(|| panic!("as ever")).join());
        println!("others: {}", since());
        std::panic::set_hook(before);
    }
}

#[test]
fn expected_panics_are_not_printed_and_all_others_are() {
    let mut test = Command::new(std::env::current_exe().expect("it runs"));
    for name in ["TEATIME_SEED", "TEATIME_SEEDS", "TEATIME_PLAN"] {
        test.env_remove(name);
    }
    test.env("TEATIME_PRINTED", "1");
    test.args(["--exact", "says_how_many_panics_are_printed", "--nocapture"]);
    let said = String::from_utf8(test.output().expect("it runs").stdout).expect("UTF-8");
    let counted: Vec<_> = said.lines().filter(|line| line.contains(": ")).collect();
    // Of a run that fails what is played first, not what makes it smaller; and the same for who comes and goes.
    let once = ["failing: true 1", "allowed: true 0", "others: 1"];
    assert_eq!(counted[..6], [once, once].concat(), "{said}");
}

struct NotEncoded;

impl Serialize for NotEncoded {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it has no words"))
    }
}

/// A check against a run in which nothing happened fails as soon as enough is taken away.
#[test]
fn what_is_left_fails_as_the_seed_did() {
    let guarded = || {
        let guard = |end: &teatime::testing::End<'_>| {
            assert!(end.count("board", "put") > 0, "nobody has put a stone");
        };
        simulation(Planted::Miscounts).check(guard)
    };
    let failure = guarded().run().expect_err("it miscounts");
    assert!(failure.violation().to_string().contains("check 1: "), "{failure}");
    assert!(failure.to_string().contains("stones"), "{failure}");
    assert!(!failure.to_string().contains("nobody"), "{failure}");
    // In one check, as well.
    let coded = simulation(Planted::Nothing).check(|end| {
        let puts = end.count("board", "put");
        if puts > 0 { Err("check returned 1") } else { Err("check returned 2") }
    });
    let failure = coded.run().expect_err("it is never right");
    assert!(failure.to_string().contains("check returned 1"), "{failure}");
}

/// Whoever counts in a check counts what is reported, also where the first seed is played again.
#[test]
fn checks_are_counted_each_time_they_are_asked() -> Result<(), Failure> {
    let asked = AtomicU64::new(0);
    let counted = simulation(Planted::Nothing).seeds(2).seconds(10).check(|_| {
        asked.fetch_add(1, Ordering::Relaxed);
    });
    let summary = counted.run()?;
    assert_eq!(summary.checked, asked.load(Ordering::Relaxed));
    assert!(summary.runs == 2 || is_told_otherwise());
    Ok(())
}

/// Also where the only participant has left: somebody comes and looks.
#[test]
fn checks_are_asked_after_every_seed() -> Result<(), Failure> {
    for seed in 1..=30 {
        let alone = simulation(Planted::Nothing).participants(1).seconds(10);
        let plan = alone.plan(seed);
        assert!(alone.play(&plan)?.checked > 0, "seed {seed}");
    }
    Ok(())
}

#[test]
fn what_is_left_out_does_not_happen() -> Result<(), Failure> {
    let summary = simulation(Planted::Nothing).without(What::Starts).seconds(10).run()?;
    assert_eq!(summary.faults.get(&What::Starts), None);
    assert!(summary.faults.contains_key(&What::Cut));
    let mut nothing = simulation(Planted::Nothing).seconds(10);
    for (what, _) in What::ALL {
        nothing = nothing.without(what);
    }
    assert!(nothing.run()?.faults.is_empty());
    Ok(())
}
