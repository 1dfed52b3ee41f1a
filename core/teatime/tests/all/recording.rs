//! Sessions on a real server that are recorded.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use teatime::evidence::Evidence;
use teatime::recording::{Recorded, Recording, TruncatedError, Until, read};
use teatime::server::{Server, ServerConfig};
use teatime::{
    App, Config, Cx, FaultKind, Session, SessionEvent, View, ViewContext, handlers, model,
};

const PATIENCE: Duration = Duration::from_secs(120);
const BUDGET: Duration = Duration::from_millis(50);

/// Adds up, and panics at 13.
#[model(id = "sum", version = 1)]
struct Sum {
    sum: u64,
}

#[handlers]
impl Sum {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("sum", "add", Self::add);
        Self { sum: 0 }
    }

    fn add(&mut self, _cx: &mut Cx<Self>, number: u64) {
        self.sum += number;
        assert!(number != 13, "not 13");
    }
}

struct Nothing;

impl View for Nothing {
    type Model = Sum;
    type Args = ();

    fn attach(_cx: &mut ViewContext<'_, Self>, _args: &mut ()) -> Self {
        Self
    }
}

fn app() -> App {
    App::builder::<Sum>("test.sum").build().expect("it is sound")
}

fn config() -> Config {
    Config::new(app(), "room", &()).expect("nothing can be encoded").password(Some("p"))
}

fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("it can be made");
    directory
}

fn server(address: &str) -> Server {
    Server::bind(address, ServerConfig::default()).expect("there is a port")
}

fn join(config: Config, server: &Server) -> Session<Nothing> {
    Session::join(config, &server.url()).expect("the address is right")
}

fn step_until(session: &mut Session<Nothing>, done: impl Fn(&Session<Nothing>) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done(session) {
        assert!(Instant::now() < deadline, "{:?}", session.failure());
        session.step(BUDGET);
        session.wait(BUDGET);
    }
}

/// Adds a number, and waits until the event has come back.
fn add(session: &mut Session<Nothing>, number: u64) {
    step_until(session, |session| session.view().is_some());
    let receipt = session.publish("sum", "add", &number).expect("there is room");
    step_until(session, |session| session.is_applied(receipt));
}

fn sum(session: &Session<Nothing>) -> u64 {
    session.model().map_or(0, |model| model.sum)
}

/// The sum at the end of a recording, the number of events, and how the recording ends.
fn played(file: &Path) -> (u64, u64, Option<TruncatedError>) {
    let opened = read(file).expect("it is one");
    let vm = opened.recording.replay(&app(), Until::End).expect("it plays");
    (vm.root::<Sum>().expect("the root").sum, vm.seq(), opened.cut)
}

#[test]
fn a_session_is_recorded_from_its_join_or_from_any_later_moment() {
    let directory = directory("recording-moments");
    let (from_join, later) = (directory.join("a.recording"), directory.join("b.recording"));
    let server = server("127.0.0.1:0");
    let mut session = join(config(), &server);
    session.record(&from_join).expect("it can be made");
    assert!(session.record(&later).is_err());
    assert!(!later.exists());
    add(&mut session, 3);
    // A recording can be read while it goes on.
    assert_eq!(
        played(&from_join),
        (3, session.vm().expect("it runs").seq(), Some(TruncatedError::Open))
    );
    let recorded = session.stop_recording().expect("it was written");
    let seq = session.vm().expect("it runs").seq();
    assert_eq!((recorded.events, recorded.until.1), (seq, seq));
    assert_eq!(played(&from_join), (3, seq, None));
    session.record(&later).expect("it can be made");
    add(&mut session, 4);
    let hash = session.vm().expect("it runs").hash();
    let now = session.now();
    session.stop_recording().expect("it was written");
    assert_eq!(played(&later), (7, session.vm().expect("it runs").seq(), None));
    let recording = read(&later).expect("it is one").recording;
    assert_eq!((recording.from, recording.base.is_some()), (seq, true));
    let vm = recording.replay(&app(), Until::Time(now)).expect("it plays");
    assert!(vm.time() <= now);
    if vm.time() == now {
        assert_eq!(vm.hash(), hash);
    }
    assert_eq!(session.stop_recording().expect("there is none"), Recorded::default());
    // Nothing has happened yet, so the recording has no file.
    let nothing = directory.join("nothing.recording");
    let mut session = join(config(), &server);
    session.record(&nothing).expect("it can be made");
    assert!(session.stop_recording().expect("it goes").files.is_empty());
    assert!(!nothing.exists());
}

#[test]
fn evidence_that_holds_no_events_is_a_recording_of_its_state() {
    let server = server("127.0.0.1:0");
    let mut session = join(config(), &server);
    add(&mut session, 3);
    let vm = session.vm().expect("it runs");
    let recording = session.recording().expect("it is short");
    let (time, seq) = recording.until;
    let evidence = |recording: Option<Recording>| Evidence {
        head: session.recording().expect("it is short").head,
        agent: "test".to_owned(),
        view: session.view_id(),
        seq,
        time,
        agreed: 1,
        of: 2,
        own: Some(vm.snapshot().expect("it can be saved").into()),
        right: None,
        sides: Vec::new(),
        recording,
        replayed: Vec::new(),
    };
    let file = directory("recording-evidence").join("a.evidence");
    for (recording, from) in [(Some(recording.clone()), recording.from), (None, seq)] {
        let evidence = evidence(recording);
        fs::write(&file, evidence.encode()).expect("it can be written");
        let opened = read(&file).expect("it is one");
        assert_eq!((opened.recording.from, opened.recording.until), (from, (time, seq)));
        let again = opened.recording.replay(&app(), Until::End).expect("it plays");
        assert_eq!(again.hash(), vm.hash());
        assert_eq!(opened.evidence.as_deref(), Some(&evidence));
    }
}

#[test]
fn what_comes_after_a_gap_is_in_a_file_of_its_own() {
    let directory = directory("recording-gap");
    let file = directory.join("a.recording");
    let first = server("127.0.0.1:0");
    let address = first.url().trim_start_matches("ws://").to_owned();
    let mut session = join(config(), &first);
    session.record(&file).expect("it can be made");
    add(&mut session, 3);
    drop(first);
    // The new server does not have the session.
    let _second = server(&address);
    step_until(&mut session, |session| session.view().is_some() && sum(session) == 0);
    add(&mut session, 4);
    let recorded = session.stop_recording().expect("it was written");
    let second = directory.join("a-2.recording");
    assert_eq!(recorded.files, [file.clone(), second.clone()]);
    assert_eq!((played(&file).0, played(&second).0), (3, 4));
    assert_eq!((played(&file).2, played(&second).2), (None, None));
}

#[test]
fn what_led_to_a_handler_that_panics_is_kept_once_and_plays_to_the_same_fault() {
    let directory = directory("recording-fault");
    let server = server("127.0.0.1:0");
    let mut config = config();
    config.evidence_dir = Some(directory.clone());
    let mut session = join(config, &server);
    for number in [3, 13, 4, 13] {
        add(&mut session, number);
    }
    let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    let kept: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            SessionEvent::FaultRecorded(kept) => Some(kept.clone().expect("it could be written")),
            _ => None,
        })
        .collect();
    let [file] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!(file.parent(), Some(&*directory));
    let fault = events.iter().find_map(|event| match event {
        SessionEvent::Fault(fault) => Some(fault.clone()),
        _ => None,
    });
    let fault = fault.expect("it was told");
    assert!(matches!(&fault.kind, FaultKind::Panicked(why) if why == "not 13"));
    let recording = read(file).expect("it is one").recording;
    let mut player = recording.player(&app()).expect("it plays");
    player.play(Until::Seq(fault.seq)).expect("it plays");
    assert_eq!(player.vm().root::<Sum>().expect("the root").sum, 3);
    assert_eq!(player.vm_mut().drain_faults(), [fault]);
    // An app can ask for a recording at any other time.
    let recording = session.recording().expect("it is short");
    let vm = recording.replay(&app(), Until::End).expect("it plays");
    assert_eq!(vm.hash(), session.vm().expect("it runs").hash());
    assert_eq!(sum(&session), 7);
}
