//! Recordings: replaying one gives the same state, and invalid files are refused.

use teatime_vm::recording::{Encoder, Recording, RecordingError, TruncatedError, Until};
use teatime_vm::tree::{Node, Tree};
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

/// A session with each kind of input.
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
fn replaying_a_file_gives_the_same_state_at_each_point() {
    let mut vm = session();
    assert!(vm.advance(vm.time() + Duration::from_millis(40), u64::MAX));
    let file = recording(&vm).encode();
    let read = Recording::decode(&file).expect("it was just made");
    assert_eq!(read, recording(&vm));
    let again = read.replay(&app(), Until::End).expect("it plays");
    assert_eq!(again.hash(), vm.hash());
    // Without a base it starts from scratch, and gives the same.
    let from_scratch = Recording { base: None, ..read.clone() };
    assert_eq!(from_scratch.replay(&app(), Until::End).expect("it plays").hash(), vm.hash());
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
fn a_recording_starts_at_the_newest_trusted_state() {
    let mut vm = session();
    let snapshot = vm.checkpoint().expect("it can be saved");
    write(&mut vm, "Wednesday");
    // A checkpoint that only this client vouches for is not trusted.
    assert_eq!((recording(&vm).from, recording(&vm).inputs.len()), (0, 6));
    vm.believe(5, snapshot.clone());
    assert_eq!((recording(&vm).from, recording(&vm).inputs.len()), (5, 1));
    // Undoing a turn makes another checkpoint, which does not become the trusted state.
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

/// A file that was written event by event, and its length after each event.
fn streamed(recording: &Recording) -> (Vec<u8>, Vec<usize>) {
    let mut file = Vec::new();
    let Recording { head, base, from, inputs, until } = recording;
    let mut encoder = Encoder::begin(head, base.as_deref(), *from, Time::ZERO, &mut file);
    let mut lengths = vec![file.len()];
    for input in inputs {
        encoder.add(std::slice::from_ref(input), input.time, &mut file);
        lengths.push(file.len());
    }
    encoder.add(&[], until.0, &mut file);
    encoder.end(&mut file);
    (file, lengths)
}

/// Only the beginning of the recording may be read from a damaged file, or nothing.
fn assert_is_refused_or_a_part(file: &[u8], whole: &Recording) {
    let strict = Recording::decode(file).expect_err("it is not what was written");
    match Recording::decode_part(file) {
        Ok((part, cut)) => {
            assert_eq!(Some(strict), cut.map(RecordingError::Truncated));
            assert_eq!(part.inputs[..], whole.inputs[..part.inputs.len()]);
            assert_eq!((&part.head, &part.base), (&whole.head, &whole.base));
        }
        Err(error) => {
            assert_eq!(error, strict);
            use RecordingError::{Damaged, Format, Short, Unknown};
            assert!(matches!(error, Damaged | Unknown | Short | Format { .. }), "{error}");
        }
    }
}

#[test]
fn a_truncated_or_changed_file_gives_its_intact_beginning_and_an_error() {
    let whole = recording(&session());
    let (file, lengths) = streamed(&whole);
    assert_eq!(Recording::decode(&file).as_ref(), Ok(&whole));
    for length in 0..file.len() {
        assert_is_refused_or_a_part(&file[..length], &whole);
    }
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << bit;
            assert_is_refused_or_a_part(&flipped, &whole);
        }
    }
    // Only the block is lost that was not written, or not to its end.
    for (events, length) in lengths.iter().enumerate() {
        let cut = |length: usize| {
            let (part, cut) = Recording::decode_part(&file[..length]).expect("a part is there");
            let seq = part.inputs.len() as u64;
            let vm = part.replay(&app(), Until::Seq(seq)).expect("it plays");
            let same = whole.replay(&app(), Until::Seq(seq)).expect("it plays");
            assert_eq!((vm.seq(), vm.hash()), (seq, same.hash()));
            (part.inputs.len(), cut)
        };
        assert_eq!(cut(*length), (events, Some(TruncatedError::Open)));
        assert_eq!(cut(length + 1), (events, Some(TruncatedError::Torn { at: *length })));
    }
    // A wrong length must not look like a file whose end is missing.
    for at in lengths[1]..lengths[1] + 9 {
        let mut flipped = file.clone();
        flipped[at] ^= 0x40;
        let cut = Recording::decode_part(&flipped).expect("a part is there").1;
        assert_eq!(cut, Some(TruncatedError::Damaged { at: lengths[1] }));
    }
    // An event left out, and two events in another order.
    let without = [&file[..lengths[1]], &file[lengths[2]..]].concat();
    assert_is_refused_or_a_part(&without, &whole);
    let (first, second) = (&file[lengths[1]..lengths[2]], &file[lengths[2]..lengths[3]]);
    let swapped = [&file[..lengths[1]], second, first, &file[lengths[3]..]].concat();
    assert_is_refused_or_a_part(&swapped, &whole);
    let longer = [&file[..], &[0]].concat();
    let cut = Recording::decode_part(&longer).expect("all of it is there").1;
    assert_eq!(cut, Some(TruncatedError::Damaged { at: file.len() }));
}

/// A checksum proves only that nothing was lost. Anyone can make a file with a valid checksum.
#[test]
fn invalid_content_is_refused_even_if_its_checksum_is_right() {
    let good = recording(&session());
    let mut wrong = good.clone();
    wrong.from = 1;
    let read = Recording::decode(&wrong.encode()).expect("it is a recording");
    assert!(matches!(read.player(&app()).err(), Some(RecordingError::Content(_))));
    wrong.from = u64::MAX;
    assert!(matches!(Recording::decode(&wrong.encode()), Err(RecordingError::Content(_))));
    wrong = Recording { until: (Time::ZERO, 5), ..good.clone() };
    assert!(matches!(Recording::decode(&wrong.encode()), Err(RecordingError::Content(_))));
    wrong = Recording { base: Some([0x93][..].into()), ..good.clone() };
    let read = Recording::decode(&wrong.encode()).expect("it is a recording");
    assert!(matches!(read.player(&app()).err(), Some(RecordingError::Snapshot(_))));
    wrong = Recording { base: Some(session().snapshot().expect("it can be saved").into()), ..good };
    let read = Recording::decode(&wrong.encode()).expect("it is a recording");
    assert!(matches!(read.player(&app()).err(), Some(RecordingError::Content(_))));
    let mut newer = recording(&session()).encode();
    newer[8] += 1;
    let error = Recording::decode(&newer).expect_err("the format is newer");
    assert!(error.to_string().contains("a newer version"), "{error}");
    newer[8] -= 2;
    let error = Recording::decode(&newer).expect_err("the format is older");
    assert!(error.to_string().contains("an older version"), "{error}");
}

#[test]
fn another_session_can_start_from_a_state_of_this_one() {
    let mut vm = session();
    let other = SessionId([4; 32]);
    let snapshot = vm.snapshot_for(other).expect("it can be saved");
    let mut branch = Vm::restore(&app(), &snapshot).expect("it is a state of that session");
    assert_eq!((branch.session_id(), branch.seq(), branch.time()), (other, vm.seq(), vm.time()));
    assert_eq!(branch.view_infos().collect::<Vec<_>>(), vm.view_infos().collect::<Vec<_>>());
    // Subscriptions to the scope of the session follow.
    let you = [ViewInfo { view_id: ViewId([8; 16]), view_data: None }];
    for vm in [&mut vm, &mut branch] {
        let joins = External::Presence { exited: &[], joined: &you };
        vm.deliver(vm.time(), 6, &joins).expect("it is in order");
        write(vm, "Friday");
    }
    let of = |vm: &Vm| {
        let diary = vm.root::<Diary>().expect("the root");
        (diary.pages.clone(), diary.joins)
    };
    assert_eq!(of(&branch), of(&vm));
    assert_eq!(of(&branch).1, 2);
    assert_eq!(vm.snapshot_for(vm.session_id()), vm.snapshot());
}

#[test]
fn another_app_and_another_version_are_refused_by_name() {
    let recording = recording(&session());
    let other = App::builder::<Diary>("test.other").build().expect("it is sound");
    let error = recording.replay(&other, Until::End).expect_err("it is refused");
    assert!(error.to_string().contains("\"test.diary\", not of \"test.other\""), "{error}");
    let newer = App::builder::<Diary>("test.diary").version(2).build().expect("it is sound");
    let error = recording.replay(&newer, Until::End).expect_err("it is refused");
    assert!(error.to_string().contains("declared version 1, here 2"), "{error}");
}

#[test]
fn a_state_is_a_tree_with_names_and_its_differences_have_places() {
    let vm = session();
    let schema = recording(&vm).head.schema;
    let tree = Tree::read(&schema, &vm.snapshot().expect("it can be saved")).expect("it is one");
    let text = tree.to_string();
    assert!(text.contains("sequence number: 5\n"), "{text}");
    // Short values stand on one line, and parts of the session have names too.
    assert!(text.contains("M1 diary:\n  pages:\n    [0]: ["), "{text}");
    assert!(text.contains(", \"Tuesday\"]\n"), "{text}");
    assert!(text.contains("counters: {next model: 2, next future message: "), "{text}");
    assert!(text.contains("{scope: \"diary\", event: \"write\", order: "), "{text}");
    let scope = tree.place("subscriptions[0].scope").expect("there is one");
    assert!(matches!(tree.get(&scope), Some(Node::Leaf(_))), "{text}");
    let mut odd = session();
    write(&mut odd, "\u{1b}[2J\u{9b}\n\"tea\"");
    let odd = Tree::read(&schema, &odd.snapshot().expect("it can be saved")).expect("it is one");
    assert!(odd.to_string().contains(r#", "\u{1b}[2J\u{9b}\n\"tea\""]"#), "{odd}");
    let place = tree.place("M1.pages[1][1]").expect("there is one");
    assert_eq!(place.to_string(), "model M1 (diary), field pages[1][1]");
    assert_eq!(tree.get(&place).expect("it is there").to_string(), "\"Tuesday\"");
    for none in [
        "",
        "M2",
        "M1.sheets",
        "M1.pages[2]",
        "M1.pages[x",
        "M1..",
        "views[0].x",
        "[",
        "M1.pages[1]é",
        "M1é",
    ] {
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
        // Truncated snapshots give an error.
        assert!(Tree::read(&schema, &vm.snapshot().expect("saved")[..end.min(100)]).is_err());
    }
}
