//! Seeds of files and texts.

use std::sync::Arc;

use teatime::JoinLink;
use teatime_reflector::storage::{Key, RecordKind, RoomId};
use teatime_session::forensics::evidence::Evidence;
use teatime_store::{MemoryDisk, MemoryStore};
use teatime_vm::recording::{Head, Recording};
use teatime_vm::{Duration, External, SessionId, Time, ViewId, ViewInfo, Vm, to_bytes};
use teatime_wire::Digest;

use crate::diary::app;
use crate::store::{self, config};
use crate::tape::Script;

type Seeds = Vec<(String, Vec<u8>)>;

const ME: ViewId = ViewId([7; 16]);

fn options() -> Vec<u8> {
    to_bytes(&()).expect("it is plain")
}

fn new_vm() -> Vm {
    Vm::new(&app(), SessionId([3; 32]), &options()).expect("it starts")
}

fn tell(vm: &mut Vm, event: &str, data: &impl serde::Serialize) {
    let payload = to_bytes(data).expect("it is plain");
    let (time, seq) = (vm.time() + Duration::from_millis(15), vm.seq() + 1);
    let event = External::Event { sender: ME, scope: "diary", event, payload: &payload };
    vm.deliver(time, seq, &event).expect("it is in order");
}

/// A session with each kind of input.
fn session() -> Vm {
    let mut vm = new_vm();
    let joined = [ViewInfo { view_id: ME, view_data: Some([0xc0][..].into()) }];
    let presence = External::Presence { exited: &[], joined: &joined };
    vm.deliver(Time::ZERO, 1, &presence).expect("it is in order");
    tell(&mut vm, "write", &"Monday");
    tell(&mut vm, "mark", &("tea", 2));
    tell(&mut vm, "write", &"blot");
    tell(&mut vm, "weather", &(21.5, [1, 2]));
    vm.deliver(vm.time(), 6, &External::Marker).expect("it is in order");
    vm
}

pub(super) fn snapshots() -> Seeds {
    let saved = |vm: &Vm| vm.snapshot().expect("it can be saved");
    let persisted = session().persisted().cloned();
    let begun = Vm::begin(&app(), SessionId([4; 32]), &options(), persisted.as_ref());
    vec![
        ("new".into(), saved(&new_vm())),
        ("used".into(), saved(&session())),
        ("begun".into(), saved(&begun.expect("it starts"))),
    ]
}

/// The same on each platform.
fn head(vm: &Vm) -> Head {
    let head = Head::new(&app(), vm.session_id(), &options());
    Head { library: "0.1.0".into(), target: "any".into(), optimized: true, ..head }
}

fn recording(vm: &Vm) -> Recording {
    let recording = vm.recording(&options(), (vm.time(), vm.seq())).expect("it was short");
    Recording { head: head(vm), ..recording }
}

pub(super) fn recordings() -> Seeds {
    let vm = session();
    let whole = recording(&vm);
    let from_start = Recording { base: None, ..whole.clone() };
    let state: Arc<[u8]> = vm.snapshot().expect("it can be saved").into();
    let right: Arc<[u8]> = new_vm().snapshot().expect("it can be saved").into();
    let evidence = Evidence {
        head: head(&vm),
        agent: "fuzz".into(),
        view: ME,
        seq: vm.seq(),
        time: vm.time(),
        agreed: 2,
        of: 3,
        own: Some(state),
        right: Some(right),
        sides: Vec::new(),
        recording: Some(from_start.clone()),
        replayed: vec![(vm.seq(), vm.hash().expect("it can be saved"))],
    };
    let sealed = |file: Vec<u8>| [vec![1], file].concat();
    let cut = whole.encode();
    vec![
        ("whole".into(), sealed(whole.encode())),
        ("from-start".into(), sealed(from_start.encode())),
        ("cut".into(), [&[0], &cut[..cut.len() - 30]].concat()),
        ("evidence".into(), sealed(evidence.encode())),
    ]
}

pub(super) fn links() -> Seeds {
    let link = JoinLink {
        reflector: "wss://example.org:9090/tea".into(),
        app: "org.example.chat".into(),
        name: "Tea & cake / \u{fc}n\u{ef} #1?".into(),
        options: Some(b"\x81\xaainactivity\x3c".to_vec()),
        password: Some("two sugars".into()),
    };
    let whole = link.to_string();
    let plain = JoinLink { options: None, password: None, name: "kitchen".into(), ..link.clone() };
    let local = JoinLink { reflector: "ws://[fe80::1%25eth0]:9090".into(), ..link };
    let page = whole.replace('#', "&#35;").replace(':', "&#x3A;");
    let texts = [
        ("whole", whole.clone()),
        ("plain", plain.to_string()),
        ("local", local.to_string()),
        ("message", format!("Join: <a href=\"{whole}?utm=1&amp;b=2\">here</a>.")),
        ("page", page),
        ("escaped", whole.replace('#', "%2523").replace('-', "\\-")),
        ("typed", "teatime://host:9090/teatime.chat/my k\u{fc}che#sesame".into()),
        ("address", "wss://[::1]:9090/path".into()),
        (
            "blob",
            format!(
                "teatime-blob:{}",
                "1c56532d561d4238ac74d44fcb282f9d".repeat(3) + "000000000000000d"
            ),
        ),
    ];
    texts.into_iter().map(|(name, text)| (name.into(), text.into_bytes())).collect()
}

pub(super) fn stores() -> Seeds {
    let session = Key::Session(SessionId([7; 32]));
    let other = Key::Session(SessionId([8; 32]));
    let room = Key::Room(RoomId { name: Digest([1; 32]), id: Digest([2; 32]) });
    let disk = MemoryDisk::default();
    let mut store = MemoryStore::open(disk.clone(), config()).expect("it is new");
    let sound = "the disk does not fail";
    store.begin(session, b"head").expect(sound);
    store.begin(other, b"other head").expect(sound);
    for seq in 1..=12 {
        store.append(session, seq, RecordKind::Ordered, &[seq as u8; 20]).expect(sound);
        store.commit().expect(sound);
        match seq {
            4 => store.checkpoint(session, 4, b"state").expect(sound),
            6 => store.checkpoint(room, 1, b"persisted").expect(sound),
            8 => store.checkpoint_after(session, 8, b"later state", Some(4)).expect(sound),
            10 => store.remove(other).expect(sound),
            _ => {}
        }
    }
    store.commit().expect(sound);
    drop(store);
    let all = disk.files();
    let files = all.iter().filter(|(name, _)| name.starts_with("checkpoints/"));
    let segments = all.iter().filter(|(name, _)| name.ends_with(".seg"));
    let script =
        segments.zip(1..).fold(Script::default().step(3), |script, ((_, bytes), number)| {
            let mut bytes = bytes.clone();
            bytes[12..28].copy_from_slice(&store::STORE);
            store::sum(&mut bytes, number);
            script.step(store::SEGMENT).piece(&bytes)
        });
    let script = files.fold(script, |script, (name, bytes)| {
        let name = name.trim_start_matches("checkpoints/");
        script.step(store::FILE).piece(name.as_bytes()).piece(bytes)
    });
    let empty = MemoryDisk::default();
    drop(MemoryStore::open(empty.clone(), config()).expect("it is new"));
    let (_, mut new) =
        empty.files().into_iter().find(|(name, _)| name.ends_with(".seg")).expect(sound);
    new[12..28].copy_from_slice(&store::STORE);
    store::sum(&mut new, 1);
    vec![
        ("used".into(), script.end()),
        ("new".into(), Script::default().step(0).step(store::SEGMENT).piece(&new).end()),
    ]
}
