//! What a reflector has stored becomes a recording, and a state the beginning of another session.

use teatime_session::Config;
use teatime_session::archive::{ArchiveError, begin, open};
use teatime_vm::recording::Until;
use teatime_vm::{App, Cx, StateHash, Time, VIEW_JOIN, ViewInfo, Vm, handlers, model, to_bytes};
use teatime_wire::{
    Archive, Beginning, Digest, Event, References, ServerMessage, View, ViewId, Views, VoteRequest,
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
        self.names.push(name.unwrap_or_else(|| "nobody".to_owned()));
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

/// Somebody comes, says something that nobody can read and something, and there is a vote.
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
    Archive { password_proof: None, snapshot: None, messages, time: 45 }
}

fn played(config: &Config, archive: &Archive) -> Vm {
    let recording = open(config, archive).expect("it is sound");
    recording.replay(&config.app, Until::End).expect("it plays")
}

/// As a reflector has it that has never seen anybody in it.
fn stored(beginning: Beginning) -> Archive {
    let Beginning { password_proof, info, snapshot, .. } = beginning;
    Archive { password_proof, snapshot: Some((info, snapshot)), messages: Vec::new(), time: 0 }
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

#[test]
fn what_stands_behind_a_snapshot_for_the_reflector_is_no_part_of_the_state() {
    // Text of a blob's handle, of another room: a list that is empty.
    let handle = format!("teatime-blob:{:0112}", 0);
    let view_data = to_bytes(&handle).expect("a text");
    let view = View { view_id: ME, view_data: Some(&view_data) };
    let views = Views { seq: 1, time: 10, exited: Vec::new(), joined: vec![view], active: 1 };
    let joined = archive(vec![ServerMessage::Views(views).encode()]);
    let state = played(&config("room", None), &joined);
    for password in [None, Some("p")] {
        let other = config("other", password);
        let archive = stored(begin(&other, &state, [9; 16]).expect("it can be made"));
        let (_, snapshot) = archive.snapshot.as_ref().expect("there is one");
        let (length, references) = References::split(&[snapshot]).expect("it is whole");
        assert!(length < snapshot.len() && references.is_some_and(|list| list.roots.is_empty()));
        assert_eq!(played(&other, &archive).root::<Guests>().expect("the root").names, [&*handle]);
    }
}

#[test]
fn a_log_that_is_none_is_refused_with_the_place() {
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
fn only_who_knows_the_password_opens_what_is_stored() {
    let state = played(&config("room", None), &archive(messages()));
    let other = config("other", Some("p"));
    let beginning = begin(&other, &state, [9; 16]).expect("it can be made");
    let [(view, data)] = &beginning.views[..] else { panic!("one is there") };
    assert!(*view == ME && data.as_ref().is_some_and(|data| data.len() == 4 + 40));
    let archive = stored(beginning);
    let vm = played(&other, &archive);
    assert_eq!((vm.seq(), vm.time()), (4, Time::from_micros(45)));
    assert_eq!(vm.session_id().0, other.session_id().0);
    assert_eq!(vm.root::<Guests>().expect("the root").said, [5]);
    let error = |config: &Config, archive: &Archive| open(config, archive).expect_err("refused");
    assert_eq!(error(&config("other", Some("q")), &archive), ArchiveError::WrongPassword);
    assert_eq!(error(&config("other", None), &archive), ArchiveError::NeedsPassword);
    assert_eq!(error(&config("another", Some("p")), &archive), ArchiveError::WrongPassword);
    let plain = stored(begin(&config("other", None), &state, [9; 16]).expect("it can be made"));
    assert_eq!(error(&other, &plain), ArchiveError::NoPassword);
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
    // Two beginnings of one state are sealed alike, but for what the views brought along.
    let again = begin(&other, &state, [8; 16]).expect("it can be made");
    assert_eq!(Some(again.snapshot), archive.snapshot.map(|(_, snapshot)| snapshot));
}
