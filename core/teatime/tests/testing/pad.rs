//! A pad, which begins with the data that an older version of the app has persisted.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use teatime::testing::{Failure, Invariant, Simulation, What};
use teatime::{App, Cx, NoPrevious, Persisted, handlers, model};

use crate::album::album;
use crate::board::COUNTER;
use crate::seeds_are_chosen;

/// How often a pad has begun that may begin only once.
static BEGUN: AtomicU64 = AtomicU64::new(0);

#[derive(Serialize, Deserialize)]
struct NotesV1 {
    title: String,
}

/// A list of titles. The older version had one title.
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
            "" => Err("the title is empty".to_owned()),
            // A planted bug: no migration may do this.
            "counted" => {
                Ok(Self { titles: vec![COUNTER.fetch_add(1, Ordering::Relaxed).to_string()] })
            }
            title if title.len() > 1_000 => Ok(Self { titles: Vec::new() }),
            _ => Ok(Self { titles: vec![old.title] }),
        }
    }
}

/// Nearly the limit for persisted data, in bytes.
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
            // The test is about persisted data, so the state stays small.
            if dice.chance(10) {
                user.publish("pad", "add", &dice.number().to_string());
            }
        })
        .seeds(30)
}

/// All participants begin with the data of the older version, whatever goes wrong.
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
    // Late joiners and restarted reflectors have it too.
    for what in [What::Starts, What::ReflectorCrashes] {
        assert!(seeds_are_chosen() || summary.faults[&what] > 10, "{summary:?}");
    }
    let encoded = teatime::to_bytes(&old).expect("it can be encoded");
    begun(pad().begins_with_encoded(1, &encoded).seeds(3), Some("tea")).run()?;
    begun(pad().seeds(3), None).run()?;
    Ok(())
}

#[test]
fn a_failing_migration_is_reported() {
    let begins = |title: &str| pad().begins_with(&NotesV1 { title: title.to_owned() });
    let failure = begins("").run().expect_err("it has no title");
    let says = "cannot be started: the persisted data cannot be migrated from version 1 to version 2: \
                the title is empty";
    assert!(failure.to_string().contains(says), "{failure}");
    let newer = pad().begins_with_encoded(3, &[0xc0]).run().expect_err("it is newer");
    assert!(newer.to_string().contains("version 3"), "{newer}");
    let broken = pad().begins_with_encoded(1, &[0xc1]).run().expect_err("not MessagePack");
    assert_eq!(broken.smallest().of, Invariant::Setup, "{broken}");
    let old = NotesV1 { title: "tea".to_owned() };
    let nothing = album(0, 10).begins_with(&old).run().expect_err("it persists nothing");
    assert!(nothing.to_string().contains("persists nothing"), "{nothing}");
    // An init that fails with the migrated data is reported too.
    let failure = begins("unheard of").run().expect_err("it is not heard of");
    assert_eq!(failure.violation().of, Invariant::Start, "{failure}");
    assert!(failure.to_string().contains("unheard of"), "{failure}");
    assert_eq!(failure.violation().at_us, 0, "{failure}");
    // And an init of a participant who joins later.
    let failure = begins("once").threads(1).shrink_runs(0).run().expect_err("it begins once");
    assert_eq!(failure.violation().of, Invariant::Start, "{failure}");
    assert!(failure.to_string().contains("it does not begin again"), "{failure}");
    assert!(failure.violation().at_us > 0, "{failure}");
    // And a migration that differs between participants.
    let failure = begins("counted").run().expect_err("it comes from outside");
    assert!(failure.to_string().contains("model `pad` (id 1), field `titles"), "{failure}");
}

/// Persisted data is a part of each snapshot.
#[test]
fn large_persisted_data_passes() -> Result<(), Failure> {
    let large = || pad().seeds(2).seconds(3).sync_distance(20);
    let old = NotesV1 { title: "t".repeat(MUCH) };
    // A migration may make the data small.
    large().action(1, |_, user| user.publish("pad", "add", "tea")).begins_with(&old).run()?;
    large().action(5, |_, user| user.publish("pad", "add", "much")).run()?;
    Ok(())
}
