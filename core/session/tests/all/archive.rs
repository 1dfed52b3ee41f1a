//! What a reflector has stored becomes a recording, and a state the beginning of another session.

use teatime_session::Config;
use teatime_session::forensics::archive::{ArchiveError, begin, open};
use teatime_vm::recording::Until;
use teatime_vm::{
    App, Cx, External, MigrationError, NoPrevious, Persisted, StateHash, Time, VIEW_JOIN, ViewInfo,
    Vm, handlers, model, to_bytes,
};
use teatime_wire::{
    Archive, Beginning, Digest, Envelope, Event, ServerMessage, View, ViewId, Views, VoteRequest,
    limits,
};

#[model(id = "guests", version = 1)]
struct Guests {
    names: Vec<String>,
    said: Vec<u64>,
}

#[handlers]
impl Guests {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::joined);
        cx.subscribe("guests", "say", Self::say);
        Self { names: Vec::new(), said: Vec::new() }
    }

    fn joined(&mut self, _cx: &mut Cx<Self>, view: &ViewInfo) {
        let name = view.data::<String>().and_then(Result::ok);
        self.names.push(name.unwrap_or_else(|| "anonymous".to_owned()));
    }

    fn say(&mut self, _cx: &mut Cx<Self>, number: u64) {
        self.said.push(number);
    }
}

const ME: ViewId = ViewId([7; 16]);

fn config(name: &str, password: Option<&str>) -> Config {
    let app = App::builder::<Guests>("test.guests").build().expect("it is sound");
    Config::new(app, name, &()).expect("nothing can be encoded").password(password)
}

/// A view joins and sends an event that cannot be read, and one that can. Then there is a vote.
fn messages() -> Vec<Vec<u8>> {
    let name = to_bytes("Ann").expect("a text");
    let view = View { view_id: ME, view_data: Some(&name) };
    let views = Views { seq: 1, time: 10, exited: Vec::new(), joined: vec![view], active: 1 };
    let say = to_bytes(&("guests", "say", serde_bytes::Bytes::new(&[5]))).expect("plain data");
    let event = |seq, payload| Event { seq, time: 20, sender: ME, counter: seq, payload };
    let vote = VoteRequest { seq: 4, time: 30 };
    [
        ServerMessage::Views(views),
        ServerMessage::Event(event(2, b"?")),
        ServerMessage::Event(event(3, &say)),
        ServerMessage::VoteRequest(vote),
    ]
    .map(|message| message.encode())
    .into()
}

fn archive(messages: Vec<Vec<u8>>) -> Archive {
    Archive { password_key: None, snapshot: None, persisted: None, messages, time: 45 }
}

fn played(config: &Config, archive: &Archive) -> Vm {
    let recording = open(config, archive).expect("it is sound");
    recording.replay(&config.app, Until::End).expect("it plays")
}

/// As a reflector has stored it before the first participant joins.
fn stored(beginning: Beginning) -> Archive {
    let Beginning { password_key, info, snapshot, .. } = beginning;
    Archive {
        password_key,
        snapshot: Some((info, snapshot)),
        persisted: None,
        messages: Vec::new(),
        time: 0,
    }
}

#[test]
fn the_log_of_a_session_plays_to_its_state() {
    let config = config("room", None);
    let vm = played(&config, &archive(messages()));
    assert_eq!((vm.seq(), vm.time()), (4, Time::from_micros(45)));
    assert_eq!(vm.session_id().0, config.session_id().0);
    let guests = vm.root::<Guests>().expect("the root");
    assert_eq!((&guests.names[..], &guests.said[..]), (&["Ann".to_owned()][..], &[5][..]));
}

/// The handle of a blob in an open room of the app, from what the protocol page says.
fn handle(room: &str, root: [u8; 32]) -> String {
    let names = to_bytes(&("test.guests", room)).expect("plain data");
    let name = blake3::derive_key("teatime v1 room name", &names);
    let key = blake3::derive_key("teatime v1 blob handle", &name);
    let front = [&root[..], &5_u64.to_be_bytes()].concat();
    let mark = blake3::keyed_hash(&key, &front);
    let digits = [&front[..], &mark.as_bytes()[..16]].concat();
    let digits = digits.iter().map(|byte| format!("{byte:02x}"));
    format!("teatime-blob:{}", digits.collect::<String>())
}

#[test]
fn the_envelope_around_a_snapshot_lists_the_blobs_of_the_room_and_is_not_part_of_the_state() {
    // A blob of this room, and one of another.
    let root = [9; 32];
    for (handle, password, is_own) in [
        (handle("other", root), None, true),
        (handle("other", root), Some("p"), false),
        (handle("room", root), None, false),
        (handle("room", root), Some("p"), false),
    ] {
        refers(&handle, password, is_own.then_some(Digest(root)));
    }
}

/// A state with a handle, in the room "other".
fn refers(handle: &str, password: Option<&str>, root: Option<Digest>) {
    let view_data = to_bytes(handle).expect("a text");
    let view = View { view_id: ME, view_data: Some(&view_data) };
    let views = Views { seq: 1, time: 10, exited: Vec::new(), joined: vec![view], active: 1 };
    let joined = archive(vec![ServerMessage::Views(views).encode()]);
    let state = played(&config("room", None), &joined);
    let other = config("other", password);
    let archive = stored(begin(&other, &state, [9; 16]).expect("it can be made"));
    let (_, snapshot) = archive.snapshot.as_ref().expect("there is one");
    let (_, envelope) = Envelope::open(&[snapshot]).expect("it is whole");
    assert_eq!(envelope.roots, Vec::from_iter(root));
    assert_eq!(played(&other, &archive).root::<Guests>().expect("the root").names, [handle]);
}

/// Persists what is said, in one version of the layout. Each version begins with what the one before has persisted.
macro_rules! diary {
    ($name:ident, $saved:ident, $number:literal, $previous:ty, |$old:ident| $migrated:expr) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct $saved(Vec<u64>);

        impl Persisted for $saved {
            const VERSION: u32 = $number;
            type Previous = $previous;

            fn migrate($old: $previous) -> Result<Self, String> {
                $migrated
            }
        }

        #[model(id = "diary", version = 1)]
        struct $name {
            said: Vec<u64>,
        }

        #[handlers]
        impl $name {
            fn init(cx: &mut Cx<Self>, _: &()) -> Self {
                cx.subscribe("guests", "say", Self::say);
                let said = cx.persisted::<$saved>().map(|saved| saved.0);
                Self { said: said.unwrap_or_default() }
            }

            fn say(&mut self, cx: &mut Cx<Self>, number: u64) {
                self.said.push(number);
                cx.persist(&$saved(self.said.clone())).expect("it is small");
            }
        }
    };
}

diary!(First, SavedFirst, 1, NoPrevious, |old| match old {});
diary!(Second, SavedSecond, 2, SavedFirst, |old| match old.0.first() {
    Some(6) => Err("it is a six".into()),
    _ => Ok(Self([&[100], &old.0[..]].concat())),
});

#[test]
fn a_session_that_began_with_what_was_persisted_plays_from_there() {
    for password in [None, Some("p")] {
        let config = |app: teatime_vm::AppBuilder| {
            let app = app.build().expect("it is sound");
            Config::new(app, "room", &()).expect("no options").password(password)
        };
        let first = config(App::builder::<First>("test.diary").version(1).persists::<SavedFirst>());
        let second =
            config(App::builder::<Second>("test.diary").version(2).persists::<SavedSecond>());
        // What the first version would hand in, and what it persists.
        let handed_in = |number: u8| {
            let say = to_bytes(&("guests", "say", serde_bytes::Bytes::new(&[number])));
            let payload = &say.expect("plain data");
            let event = Event { seq: 1, time: 20, sender: ME, counter: 1, payload };
            let plain = Config { password: None, ..first.clone() };
            let state = played(&plain, &archive(vec![ServerMessage::Event(event).encode()]));
            let beginning = begin(&first, &state, [9; 16]).expect("it can be made");
            let (_, envelope) = Envelope::open(&[&beginning.snapshot]).expect("it is whole");
            let part = envelope.persisted.expect("it persists");
            (beginning, part.data)
        };
        let (beginning, data) = handed_in(5);
        let with = |version, data: Vec<u8>| Archive {
            password_key: begin(
                &second,
                &Vm::new(&second.app, second_id(&second), &second.options).expect("it starts"),
                [9; 16],
            )
            .expect("it can be made")
            .password_key,
            snapshot: None,
            persisted: Some((version, data)),
            messages: Vec::new(),
            time: 45,
        };
        let vm = played(&second, &with(1, data.clone()));
        assert_eq!(vm.root::<Second>().map(|root| &root.said[..]), Some(&[100, 5][..]));
        assert_eq!((vm.seq(), vm.time()), (0, Time::from_micros(45)));
        // A session of the first version goes on with it, too.
        let stored = stored(beginning);
        let vm = played(&first, &stored);
        assert_eq!(vm.persisted().map(|data| &*data.bytes), Some(&[0x91, 5][..]));
        let refused = |archive: &Archive| open(&second, archive).expect_err("it is refused");
        let error = refused(&with(1, handed_in(6).1));
        assert_eq!(
            error.to_string(),
            "the persisted data cannot be migrated from version 1 to version 2: it is a six"
        );
        // With a password it cannot pass for the data of another version.
        let passed_off = refused_or_not(&second, &with(2, data));
        let damaged = matches!(
            passed_off,
            Some(ArchiveError::Persisted(MigrationError::Damaged { version: 0, .. }))
        );
        assert_eq!(damaged, password.is_some());
    }
}

fn second_id(config: &Config) -> teatime_vm::SessionId {
    config.session_id()
}

fn refused_or_not(config: &Config, archive: &Archive) -> Option<ArchiveError> {
    open(config, archive).err()
}

#[test]
fn a_state_further_on_than_any_session_may_get_cannot_begin_one() {
    let state = |seq, time| {
        let Config { app, options, .. } = config("room", None);
        let session = teatime_vm::SessionId([1; 32]);
        let mut vm = Vm::new(&app, session, &options).expect("it starts");
        vm.deliver(Time::from_micros(time), seq, &External::Marker).expect("it is in order");
        vm
    };
    let late = |seq, time| begin(&config("other", None), &state(seq, time), [9; 16]).err();
    let most = limits::MAX_TIME_OR_SEQ;
    assert_eq!(late(1, most), None);
    let time = most + 1;
    assert_eq!(late(1, time), Some(ArchiveError::Late { time, seq: 1 }));
}

#[test]
fn a_damaged_log_is_refused_with_the_place() {
    let config = config("room", None);
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut messages = messages();
        change(&mut messages);
        open(&config, &archive(messages)).expect_err("it is refused")
    };
    assert_eq!(with(&|all| drop(all.remove(1))), ArchiveError::Order { after: 1 });
    assert_eq!(with(&|all| drop(all.remove(0))), ArchiveError::Order { after: 0 });
    assert_eq!(with(&|all| all.swap(2, 3)), ArchiveError::Order { after: 2 });
    let early = ServerMessage::VoteRequest(VoteRequest { seq: 5, time: 29 }).encode();
    assert_eq!(with(&|all| all.push(early.clone())), ArchiveError::Order { after: 4 });
    let tick = ServerMessage::Tick(50).encode();
    assert_eq!(with(&|all| all.push(tick.clone())), ArchiveError::Order { after: 4 });
    let cut = with(&|all| all[2].truncate(9));
    assert!(matches!(cut, ArchiveError::Message { after: 2, .. }), "{cut}");
}

#[test]
fn a_stored_session_opens_with_its_password_only() {
    let state = played(&config("room", None), &archive(messages()));
    let other = config("other", Some("p"));
    let beginning = begin(&other, &state, [9; 16]).expect("it can be made");
    let [(view, data)] = &beginning.views[..] else { panic!("one is there") };
    assert!(*view == ME && data.as_ref().is_some_and(|data| data.len() == 4 + 4 + 40));
    let archive = stored(beginning);
    let vm = played(&other, &archive);
    assert_eq!((vm.seq(), vm.time()), (4, Time::from_micros(45)));
    assert_eq!(vm.session_id().0, other.session_id().0);
    assert_eq!(vm.root::<Guests>().expect("the root").said, [5]);
    let error = |config: &Config, archive: &Archive| open(config, archive).expect_err("refused");
    for another in [config("other", Some("q")), config("other", None), config("another", Some("p"))]
    {
        assert_eq!(error(&another, &archive), ArchiveError::OtherRoom);
    }
    let plain = stored(begin(&config("other", None), &state, [9; 16]).expect("it can be made"));
    assert_eq!(error(&other, &plain), ArchiveError::OtherRoom);
    let long = config("other", Some(&"x".repeat(2000)));
    assert!(matches!(error(&long, &archive), ArchiveError::Config(_)));
    // A reflector that lies about the snapshot.
    let mut forged = archive.clone();
    let (info, snapshot) = forged.snapshot.as_mut().expect("there is one");
    snapshot[60] ^= 1;
    let hash = Digest(StateHash::of(snapshot).0);
    let good = std::mem::replace(&mut info.hash, hash);
    assert!(matches!(error(&other, &forged), ArchiveError::Sealed(_)));
    forged.snapshot.as_mut().expect("there is one").0.hash = good;
    assert_eq!(error(&other, &forged), ArchiveError::OtherSnapshot);
    // Two beginnings of one state are sealed alike, but for the view data.
    let again = begin(&other, &state, [8; 16]).expect("it can be made");
    assert_eq!(Some(again.snapshot), archive.snapshot.map(|(_, snapshot)| snapshot));
}
