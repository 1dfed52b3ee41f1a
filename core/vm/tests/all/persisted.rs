//! Persisted data of a root model outlives the version of its app.

use serde::{Deserialize, Serialize};
use teatime_vm::limits::MAX_PERSISTED;
use teatime_vm::persisted::{self, NoPrevious};
use teatime_vm::tree::Tree;
use teatime_vm::{
    App, AppError, Cx, External, FaultKind, ForeignModel, ForeignObject, ForeignPersistence,
    Handle, MigrationError, Payload, PersistError, Persisted, PersistedData, SessionId, Time,
    UntypedCx, ViewId, Vm, VmError, handlers, model, to_bytes,
};

const SESSION: SessionId = SessionId([3; 32]);
const APP: &str = "test.board";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedV1 {
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedV2 {
    lines: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedV3 {
    lines: Vec<(String, u32)>,
}

impl Persisted for SavedV1 {
    const VERSION: u32 = 1;
    type Previous = NoPrevious;

    fn migrate(old: NoPrevious) -> Result<Self, String> {
        match old {}
    }
}

impl Persisted for SavedV2 {
    const VERSION: u32 = 2;
    type Previous = SavedV1;

    fn migrate(old: SavedV1) -> Result<Self, String> {
        match old.text.as_str() {
            "bad" => Err("it is bad".into()),
            "terrible" => panic!("it is terrible"),
            text => Ok(Self { lines: text.lines().map(str::to_owned).collect() }),
        }
    }
}

impl Persisted for SavedV3 {
    const VERSION: u32 = 3;
    type Previous = SavedV2;

    fn migrate(old: SavedV2) -> Result<Self, String> {
        Ok(Self { lines: old.lines.into_iter().zip(1..).collect() })
    }
}

fn saved<T: Persisted>(saved: &T) -> PersistedData {
    persisted::write(saved).expect("it is small")
}

fn first(text: &str) -> PersistedData {
    saved(&SavedV1 { text: text.into() })
}

#[model(id = "board", version = 1)]
struct Board {
    begun_with: Option<Vec<(String, u32)>>,
    note: Handle<Note>,
    errors: Vec<String>,
    asked_again: bool,
}

#[handlers]
impl Board {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        let begun_with = cx.persisted::<SavedV3>().map(|saved| saved.lines);
        cx.subscribe("board", "save", Self::save);
        cx.subscribe("board", "save and fail", Self::save_and_fail);
        cx.subscribe("board", "save another", Self::save_another);
        let note = cx.create::<Note>(&()).expect("the app has it");
        Self { begun_with, note, errors: Vec::new(), asked_again: false }
    }

    fn save(&mut self, cx: &mut Cx<Self>, text: String) {
        self.asked_again |= cx.persisted::<SavedV3>().is_some();
        if let Err(error) = cx.persist(&SavedV3 { lines: vec![(text, 7)] }) {
            self.errors.push(error.to_string());
        }
    }

    fn save_and_fail(&mut self, cx: &mut Cx<Self>, text: String) {
        self.save(cx, text);
        panic!("and fail");
    }

    fn save_another(&mut self, cx: &mut Cx<Self>, text: String) {
        if let Err(error) = cx.persist(&SavedV1 { text }) {
            self.errors.push(error.to_string());
        }
    }
}

#[model(id = "note")]
struct Note {
    result: Option<String>,
    begun_with: bool,
}

#[handlers]
impl Note {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("board", "save as note", Self::save);
        Self { result: None, begun_with: cx.persisted::<SavedV3>().is_some() }
    }

    fn save(&mut self, cx: &mut Cx<Self>, text: String) {
        let result = cx.persist(&SavedV3 { lines: vec![(text, 1)] });
        assert_eq!(result, Err(PersistError::NotRoot));
        self.result = result.err().map(|error| error.to_string());
    }
}

fn app() -> App {
    let app = App::builder::<Board>(APP).model::<Note>().version(3).persists::<SavedV3>();
    app.build().expect("it is sound")
}

fn begin(with: Option<&PersistedData>) -> Result<Vm, VmError> {
    Vm::begin(&app(), SESSION, &to_bytes(&()).expect("nothing"), with)
}

fn tell(vm: &mut Vm, event: &str, text: &str) {
    let payload = to_bytes(text).expect("a text");
    let (scope, sender) = ("board", ViewId([1; 16]));
    let event = External::Event { sender, scope, event, payload: &payload };
    vm.deliver(Time::from_micros(vm.seq()), vm.seq() + 1, &event).expect("it is in order");
}

fn board(vm: &Vm) -> &Board {
    vm.root().expect("it is the root")
}

#[test]
fn a_session_starts_with_the_data_of_any_earlier_version() {
    let expected = vec![("one".to_owned(), 1), ("two".to_owned(), 2)];
    let second = SavedV2 { lines: vec!["one".into(), "two".into()] };
    for data in [first("one\ntwo"), saved(&second), saved(&SavedV3 { lines: expected.clone() })] {
        let mut vm = begin(Some(&data)).expect("it can be migrated");
        assert_eq!(board(&vm).begun_with.as_ref(), Some(&expected));
        // Until it persists something itself, it carries on the data in its own layout.
        let carried = saved(&SavedV3 { lines: expected.clone() });
        assert_eq!(vm.persisted(), Some(&carried));
        let restored = Vm::restore(&app(), &vm.snapshot().expect("it can be saved"));
        assert_eq!(restored.expect("it is one").persisted(), Some(&carried));
        tell(&mut vm, "save", "new");
        assert!(!board(&vm).asked_again, "only init may ask");
        let note = vm.get(board(&vm).note).expect("it is there");
        assert!(!note.begun_with, "only the root model may ask");
    }
    let vm = begin(None).expect("it begins");
    assert_eq!((board(&vm).begun_with.as_ref(), vm.persisted()), (None, None));
}

#[test]
fn a_failed_migration_names_its_versions_and_the_reason_and_starts_no_session() {
    let failed = |data: &PersistedData| match begin(Some(data)) {
        Err(VmError::Migration(error)) => error,
        other => panic!("{:?}", other.map(|_| ())),
    };
    let because = |why: &str| MigrationError::Failed { from: 1, to: 2, why: why.into() };
    assert_eq!(failed(&first("bad")), because("it is bad"));
    assert_eq!(failed(&first("terrible")), because("it panicked: it is terrible"));
    let newer = PersistedData { version: 4, ..first("x") };
    assert_eq!(failed(&newer), MigrationError::Newer { found: 4, known: 3 });
    let unknown = PersistedData { version: 0, ..first("x") };
    assert_eq!(failed(&unknown), MigrationError::Unknown { found: 0, known: 3 });
    for bytes in [&b""[..], b"\xc1", b"\x91\x01", b"\x91\xa1xx"] {
        let damaged = failed(&PersistedData { version: 1, bytes: bytes.into() });
        assert!(matches!(damaged, MigrationError::Damaged { version: 1, .. }), "{damaged}");
    }
}

#[test]
fn persisted_data_is_part_of_the_state_and_undone_with_a_turn() {
    let mut vm = begin(None).expect("it begins");
    let empty = vm.snapshot().expect("it can be saved");
    tell(&mut vm, "save", "a");
    let a = saved(&SavedV3 { lines: vec![("a".into(), 7)] });
    assert_eq!(vm.persisted(), Some(&a));
    let with_a = vm.snapshot().expect("it can be saved");
    assert_eq!(Vm::restore(&app(), &with_a).expect("it is one").hash(), vm.hash());
    let tree = |snapshot: &[u8]| Tree::of_app(&app(), snapshot).expect("it is one");
    let (one, mut other) = (tree(&with_a), tree(&empty));
    other.models.clone_from(&one.models);
    other.session.iter_mut().zip(&one.session).for_each(|(one, other)| one.clone_from(other));
    assert_eq!(one.first_difference(&other).expect("they differ").to_string(), "persisted");
    assert_eq!(other.first_difference(&one).expect("they differ").to_string(), "persisted");
    assert!(one.to_string().contains("persisted:\n  version: 3\n  data:"), "{one}");
    tell(&mut vm, "save and fail", "b");
    assert_eq!(vm.persisted(), Some(&a));
    assert_eq!(vm.drain_faults().len(), 1);
    // Equal data stays the same.
    let before = vm.persisted().map(|data| data.bytes.as_ptr());
    tell(&mut vm, "save", "a");
    assert_eq!(vm.persisted().map(|data| data.bytes.as_ptr()), before);
}

#[test]
fn only_the_root_model_persists_and_only_the_declared_type_of_limited_size() {
    let mut vm = begin(None).expect("it begins");
    tell(&mut vm, "save", "good");
    let good = vm.persisted().cloned();
    tell(&mut vm, "save as note", "x");
    tell(&mut vm, "save another", "x");
    tell(&mut vm, "save", &"x".repeat(MAX_PERSISTED));
    let root = board(&vm);
    let note = vm.get(root.note).expect("it is there");
    assert_eq!(note.result.as_deref(), Some("only the root model may persist data"));
    let too_large =
        format!("{} bytes cannot be persisted, at most {MAX_PERSISTED}", MAX_PERSISTED + 9);
    let not_declared = "this is not the type that the app has declared to persist";
    assert_eq!(root.errors, [not_declared.to_owned(), too_large]);
    assert_eq!(vm.persisted().cloned(), good);
    assert_eq!(vm.drain_faults(), []);
}

/// Loses its field when it is encoded.
#[derive(Debug, Serialize, Deserialize)]
struct Forgetful {
    #[serde(skip_serializing)]
    #[allow(dead_code)]
    text: String,
}

impl Persisted for Forgetful {
    const VERSION: u32 = 2;
    type Previous = Descending;

    fn migrate(_: Descending) -> Result<Self, String> {
        Ok(Self { text: String::new() })
    }
}

/// Its version is not lower than that of the type after it.
#[derive(Debug, Serialize, Deserialize)]
struct Descending;

impl Persisted for Descending {
    const VERSION: u32 = 2;
    type Previous = NoPrevious;

    fn migrate(old: NoPrevious) -> Result<Self, String> {
        match old {}
    }
}

#[test]
fn data_that_cannot_be_read_again_is_refused_and_versions_must_go_up() {
    let forgetful = persisted::write(&Forgetful { text: "x".into() });
    assert!(matches!(forgetful, Err(PersistError::Encoding(_))), "{forgetful:?}");
    let built = App::builder::<Board>(APP).persists::<Forgetful>().build().map(|_| ());
    assert_eq!(built, Err(AppError::PersistedVersion { newer: 2, older: 2 }));
    // A new layout under the old version of the app: old builds would overwrite its data.
    let built = App::builder::<Board>(APP).version(1).persists::<SavedV2>().build().map(|_| ());
    assert_eq!(built, Err(AppError::AppVersion { layout: 2, app: 1 }));
}

#[test]
fn asking_for_a_type_that_is_not_declared_starts_no_session() {
    for app in [
        App::builder::<Board>(APP).model::<Note>(),
        App::builder::<Board>(APP).model::<Note>().version(2).persists::<SavedV2>(),
    ] {
        let started = Vm::new(&app.build().expect("it is sound"), SESSION, &[0xc0]);
        let error = started.map(|_| ()).expect_err("it would begin without its data");
        assert!(error.to_string().contains("SavedV3 is not the type"), "{error}");
    }
}

#[test]
fn the_version_of_the_layout_is_part_of_the_version_hash() {
    let build = |app: teatime_vm::AppBuilder| app.build().expect("it is sound").version_hash();
    let app = || App::builder::<Board>(APP).version(2);
    let hashes =
        [build(app()), build(app().persists::<SavedV1>()), build(app().persists::<SavedV2>())];
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2]);
}

#[test]
fn a_snapshot_with_persisted_data_of_another_version_is_refused() {
    let mut vm = begin(None).expect("it begins");
    tell(&mut vm, "save", "a");
    let snapshot = vm.snapshot().expect("it can be saved");
    // The version, 3, in front of the data.
    let at = snapshot.windows(3).rposition(|part| part == [0x91, 0x92, 0x03]).expect("it is there");
    let mut other = snapshot;
    other[at + 2] = 4;
    let refused = Vm::restore(&app(), &other).map(|_| ()).expect_err("it is of another version");
    assert_eq!(refused.place, "persisted");
}

/// A root model from another language: its state is a text, which it persists.
struct Foreign(String);

impl ForeignObject for Foreign {
    fn handle(&mut self, cx: &mut UntypedCx<'_>, _: u16, argument: &Payload) -> Result<(), String> {
        self.0 = argument.get().map_err(|_| "not a text".to_owned())?;
        assert_eq!(cx.persisted(), Ok(None));
        let bytes = if self.0 == "broken" {
            vec![0xc1]
        } else {
            to_bytes(&self.0).map_err(|error| error.to_string())?
        };
        cx.persist(&bytes).map_err(|error| error.to_string())
    }

    fn query(&self, _: u16, _: &[u8]) -> Result<Payload, String> {
        Ok(Payload::new(self.0.clone()))
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        to_bytes(&self.0).map_err(|error| error.to_string())
    }
}

fn foreign(persistence: Option<ForeignPersistence>) -> Result<App, AppError> {
    let text = |bytes: &[u8]| rmp_serde::from_slice::<String>(bytes).map_err(|e| e.to_string());
    let model = ForeignModel {
        id: "foreign".into(),
        version: 1,
        code: String::new(),
        handlers: vec!["set".into()],
        queries: vec!["text".into()],
        init: Box::new(move |cx, _| {
            cx.subscribe("board", "set", 0);
            let begun_with = cx.persisted().map_err(|error| error.to_string())?;
            let begun_with = begun_with.map(|bytes| text(&bytes)).transpose()?;
            Ok(Box::new(Foreign(begun_with.unwrap_or_default())))
        }),
        load: Box::new(move |saved| Ok(Box::new(Foreign(text(saved)?)))),
    };
    let app = App::builder_without_root(APP).version(99).foreign_model(model);
    match persistence {
        Some(persistence) => app.foreign_persistence(persistence).build(),
        None => app.build(),
    }
}

fn persistence(version: u32, from: &[u32]) -> ForeignPersistence {
    let migration = |from: u32| -> Box<teatime_vm::ForeignMigration> {
        Box::new(move |bytes| {
            let old: String = rmp_serde::from_slice(bytes).map_err(|error| error.to_string())?;
            assert_ne!(old, "terrible", "it is terrible");
            to_bytes(&format!("{old}>{from}")).map_err(|error| error.to_string())
        })
    };
    ForeignPersistence {
        version,
        migrations: from.iter().map(|from| (*from, migration(*from))).collect(),
    }
}

#[test]
fn models_in_other_languages_persist_and_migrate_bytes() {
    let app = foreign(Some(persistence(5, &[1, 2, 4]))).expect("it is sound");
    let text = |version, text: &str| PersistedData {
        version,
        bytes: to_bytes(text).expect("a text").into(),
    };
    let begin = |data: &PersistedData| Vm::begin(&app, SESSION, &[0xc0], Some(data));
    let mut vm = begin(&text(2, "x")).expect("it can be migrated");
    assert_eq!(vm.persisted(), Some(&text(5, "x>2>4")));
    let asked = vm.query(teatime_vm::ModelId::ROOT, "text", &[0xc0]).expect("it answers");
    assert_eq!(asked.get::<String>().as_deref().ok(), Some("x>2>4"));
    tell(&mut vm, "set", "y");
    assert_eq!(vm.persisted(), Some(&text(5, "y")));
    tell(&mut vm, "set", "broken");
    assert_eq!(vm.persisted(), Some(&text(5, "y")));
    assert!(
        matches!(vm.drain_faults()[..], [ref fault] if matches!(fault.kind, FaultKind::Failed(_)))
    );
    let failed = |data| match begin(&data) {
        Err(VmError::Migration(error)) => error,
        other => panic!("{:?}", other.map(|_| ())),
    };
    let why = "it panicked: assertion `left != right` failed: it is terrible\n  left: \"terrible\"\n right: \"terrible\"";
    let terrible = MigrationError::Failed { from: 4, to: 5, why: why.into() };
    assert_eq!(failed(text(4, "terrible")), terrible);
    assert_eq!(failed(text(3, "x")), MigrationError::Unknown { found: 3, known: 5 });
    assert_eq!(failed(text(6, "x")), MigrationError::Newer { found: 6, known: 5 });
    for (version, from) in [(2, &[2][..]), (3, &[2, 1]), (0, &[]), (2, &[0, 1])] {
        let built = foreign(Some(persistence(version, from))).map(|_| ());
        assert!(matches!(built, Err(AppError::PersistedVersion { .. })), "{version} {from:?}");
    }
}

#[test]
fn a_foreign_model_that_declares_no_persisted_data_does_not_start_if_there_is_some() {
    let app = foreign(None).expect("it is sound");
    let before = PersistedData { version: 1, bytes: to_bytes("work").expect("a text").into() };
    let begun = Vm::begin(&app, SESSION, &[0xc0], Some(&before)).map(|_| ());
    let refused = begun.expect_err("its users' work would be missing").to_string();
    assert!(refused.contains("not the type that the app has declared"), "{refused}");
}
