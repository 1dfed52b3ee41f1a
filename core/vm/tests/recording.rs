//! Recordings: played again they give the same state, and what is none is refused.

use teatime_vm::recording::{Recording, RecordingError, Until};
use teatime_vm::tree::Tree;
use teatime_vm::{
    App, Cx, Duration, External, SessionId, Time, VIEW_JOIN, ViewId, ViewInfo, Vm, handlers, model,
    to_bytes,
};

#[model(id = "diary", version = 3)]
struct Diary {
    pages: Vec<(ViewId, String)>,
    ticks: u64,
    joins: u32,
}

#[handlers]
impl Diary {
    fn init(cx: &mut Cx<Self>, ticks: &u64) -> Self {
        cx.subscribe("diary", "write", Self::write);
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::joined);
        cx.every(Duration::from_millis(10)).call(Self::tick, ());
        Self { pages: Vec::new(), ticks: *ticks, joins: 0 }
    }

    fn write(&mut self, cx: &mut Cx<Self>, text: String) {
        assert!(text != "blot", "the page is spoilt");
        let Some(sender) = cx.sender() else { return };
        self.pages.push((sender, text));
    }

    fn tick(&mut self, cx: &mut Cx<Self>) {
        self.ticks += cx.random_below(3);
    }

    fn joined(&mut self, _cx: &mut Cx<Self>, _view: ViewId) {
        self.joins += 1;
    }
}

const ME: ViewId = ViewId([7; 16]);

fn app() -> App {
    App::builder::<Diary>("test.diary").build().expect("it is sound")
}

fn options() -> Vec<u8> {
    to_bytes(&5u64).expect("a number")
}

fn write(vm: &mut Vm, text: &str) {
    let payload = to_bytes(text).expect("a text");
    let (time, seq) = (vm.time() + Duration::from_millis(15), vm.seq() + 1);
    let event = External::Event { sender: ME, scope: "diary", event: "write", payload: &payload };
    vm.deliver(time, seq, &event).expect("it is in order");
}

/// A session with everything that there can be in one.
fn session() -> Vm {
    let mut vm = Vm::new(&app(), SessionId([3; 32]), &options()).expect("it starts");
    let joined = [ViewInfo { view_id: ME, view_data: Some([0xc0][..].into()) }];
    let presence = External::Presence { exited: &[], joined: &joined };
    vm.deliver(Time::ZERO, 1, &presence).expect("it is in order");
    write(&mut vm, "Monday");
    write(&mut vm, "blot");
    vm.deliver(vm.time(), 4, &External::Marker).expect("it is in order");
    write(&mut vm, "Tuesday");
    vm
}

fn recording(vm: &Vm) -> Recording {
    vm.recording(&options(), (vm.time(), vm.seq())).expect("it was short")
}

#[test]
fn what_is_played_again_from_a_file_has_the_same_state_at_every_point() {
    let mut vm = session();
    assert!(vm.advance(vm.time() + Duration::from_millis(40), u64::MAX));
    let file = recording(&vm).encode();
    let read = Recording::decode(&file).expect("it was just made");
    assert_eq!(read, recording(&vm));
    let again = read.replay(&app(), Until::End).expect("it plays");
    assert_eq!(again.hash(), vm.hash());
    // Without a snapshot it begins anew: the same.
    let anew = Recording { base: None, ..read.clone() };
    assert_eq!(anew.replay(&app(), Until::End).expect("it plays").hash(), vm.hash());
    let pages = |until| {
        let vm = read.replay(&app(), until).expect("it plays");
        (vm.seq(), vm.root::<Diary>().expect("the root").pages.len())
    };
    assert_eq!(pages(Until::Seq(2)), (2, 1));
    assert_eq!(pages(Until::Seq(99)), (5, 2));
    assert_eq!(pages(Until::Time(Time::from_micros(44_999))), (4, 1));
    assert_eq!(pages(Until::Time(Time::from_micros(45_000))), (5, 2));
    let half = read.replay(&app(), Until::Time(Time::from_micros(20_000))).expect("it plays");
    assert_eq!(half.time(), Time::from_micros(20_000));
}

#[test]
fn it_begins_at_the_newest_state_that_is_believed() {
    let mut vm = session();
    let snapshot = vm.checkpoint().expect("it can be saved");
    write(&mut vm, "Wednesday");
    // A state of one's own is none that one may begin from.
    assert_eq!((recording(&vm).from, recording(&vm).inputs.len()), (0, 6));
    vm.believe(5, snapshot.clone());
    assert_eq!((recording(&vm).from, recording(&vm).inputs.len()), (5, 1));
    // A turn that is undone makes another checkpoint, and changes nothing about it.
    write(&mut vm, "blot");
    write(&mut vm, "Thursday");
    let until = recording(&vm);
    assert_eq!((until.from, until.inputs.len()), (5, 3));
    assert_eq!(until.replay(&app(), Until::End).expect("it plays").hash(), vm.hash());
    let earlier = vm.recording(&options(), (Time::from_micros(60_000), 6)).expect("it is there");
    assert_eq!(earlier.replay(&app(), Until::End).expect("it plays").seq(), 6);
    assert!(vm.recording(&options(), (Time::ZERO, 4)).is_none());
    assert!(vm.recording(&options(), (Time::ZERO, 99)).is_none());
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    let file = recording(&session()).encode();
    for length in 0..file.len() {
        let error = Recording::decode(&file[..length]).expect_err("it is cut");
        assert!(matches!(error, RecordingError::Damaged | RecordingError::Unknown), "{error}");
    }
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << bit;
            let error = Recording::decode(&flipped).expect_err("it is changed");
            assert!(matches!(error, RecordingError::Damaged | RecordingError::Unknown), "{error}");
        }
    }
    let mut longer = file;
    longer.push(0);
    assert_eq!(Recording::decode(&longer), Err(RecordingError::Damaged));
}

/// The checksum says only that nothing was lost on the way: whoever makes files can make any.
#[test]
fn what_makes_no_sense_is_refused_though_its_checksum_is_right() {
    let good = recording(&session());
    let mut wrong = good.clone();
    wrong.from = 1;
    assert!(matches!(Recording::decode(&wrong.encode()), Err(RecordingError::Content(_))));
    wrong = Recording { until: (Time::ZERO, 5), ..good.clone() };
    assert!(matches!(Recording::decode(&wrong.encode()), Err(RecordingError::Content(_))));
    wrong = Recording { base: Some([0x93][..].into()), ..good.clone() };
    let read = Recording::decode(&wrong.encode()).expect("it is a recording");
    assert!(matches!(read.player(&app()).err(), Some(RecordingError::Snapshot(_))));
    wrong = Recording { base: Some(session().snapshot().expect("it can be saved").into()), ..good };
    let read = Recording::decode(&wrong.encode()).expect("it is a recording");
    assert!(matches!(read.player(&app()).err(), Some(RecordingError::Content(_))));
    let nonsense = teatime_vm::recording::to_file(b"TeaTmRec", &(1, "two", vec![[3; 9]; 9]));
    assert!(matches!(Recording::decode(&nonsense), Err(RecordingError::Content(_))));
    let mut newer = recording(&session()).encode();
    newer[8] += 1;
    let body = newer.len() - 32;
    let sum = teatime_vm::StateHash::of(&newer[..body]).0;
    newer[body..].copy_from_slice(&sum);
    let error = Recording::decode(&newer).expect_err("nobody knows it");
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[test]
fn another_app_and_another_version_are_refused_by_name() {
    let recording = recording(&session());
    let other = App::builder::<Diary>("test.other").build().expect("it is sound");
    let error = recording.replay(&other, Until::End).err().expect("it is refused");
    assert!(error.to_string().contains("\"test.diary\", not of \"test.other\""), "{error}");
    let newer = App::builder::<Diary>("test.diary").version(2).build().expect("it is sound");
    let error = recording.replay(&newer, Until::End).err().expect("it is refused");
    assert!(error.to_string().contains("declared version 1, here 2"), "{error}");
}

#[test]
fn a_state_is_a_tree_with_names_and_its_differences_have_places() {
    let vm = session();
    let schema = recording(&vm).head.schema;
    let tree = Tree::read(&schema, &vm.snapshot().expect("it can be saved")).expect("it is one");
    let text = tree.to_string();
    assert!(text.contains("sequence number: 5\n"), "{text}");
    assert!(text.contains("M1 diary:\n  pages:\n    [0]:\n"), "{text}");
    assert!(text.contains("      [1]: \"Tuesday\"\n"), "{text}");
    let place = tree.place("M1.pages[1][1]").expect("there is one");
    assert_eq!(place.to_string(), "model M1 (diary), field pages[1][1]");
    assert_eq!(tree.get(&place).expect("it is there").to_string(), "\"Tuesday\"");
    for none in ["", "M2", "M1.sheets", "M1.pages[2]", "M1.pages[x", "M1..", "views[0].x", "["] {
        assert_eq!(tree.place(none), None, "{none}");
    }
    let time = tree.place("time").expect("there is one");
    assert_eq!(
        (time.to_string().as_str(), tree.get(&time).map(ToString::to_string)),
        ("time", Some("45000".into()))
    );
    assert_eq!(tree.first_difference(&tree), None);
    let mut longer = session();
    write(&mut longer, "Wednesday");
    let longer = Tree::of_app(&app(), &longer.snapshot().expect("it can be saved")).expect("one");
    let place = tree.first_difference(&longer).expect("they differ");
    assert_eq!(place.field(), "pages[2]");
    assert_eq!((tree.get(&place).is_none(), longer.get(&place).is_some()), (true, true));
    assert_eq!(longer.first_difference(&tree), Some(place));
    for end in 0..200 {
        // Whatever it is, it is told.
        assert!(Tree::read(&schema, &vm.snapshot().expect("saved")[..end.min(100)]).is_err());
    }
}
