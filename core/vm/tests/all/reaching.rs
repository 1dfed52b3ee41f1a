//! Models reach each other: by update, by calls, and in batches of joins. A model in another language can do the
//! same, with the same results.

use teatime_vm::{
    AccessError, App, ArgumentKind, CallError, Cx, External, FaultKind, ForeignHandler,
    ForeignModel, ForeignObject, Handle, ModelId, Payload, QueryError, SessionId, Time, UntypedCx,
    VIEW_EXIT, VIEW_JOIN, ViewId, ViewInfo, Vm, handlers, model, to_bytes,
};

const SESSION: SessionId = SessionId([5; 32]);

/// Updates another model, whose code updates this one.
#[model(id = "first")]
struct First {
    second: Option<Handle<Second>>,
    seen: Vec<String>,
}

#[handlers]
impl First {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("do", "order", Self::order);
        let second = cx.create::<Second>(&());
        let seen = second.map(|second| cx.get(second).map(|second| second.within_init.clone()));
        Self { second, seen: vec![format!("{seen:?}")] }
    }

    fn order(&mut self, cx: &mut Cx<Self>, order: &String) {
        let Some(second) = self.second else { return };
        let me = cx.me();
        let seen = match order.as_str() {
            "self" => format!("{:?}", cx.get(me).map(|_| ())),
            "back" => format!("{:?}", cx.update(second, |second, cx| second.back(cx))),
            "type" => {
                let wrong = Handle::<First>::new(second.id());
                format!("{:?} {:?}", cx.get(wrong).map(|_| ()), cx.update(wrong, |_, _| ()))
            }
            "gone" => {
                cx.destroy(second);
                format!("{:?} {:?}", cx.get(second).map(|_| ()), cx.update(second, |_, _| ()))
            }
            "call" => {
                let call = |cx: &mut Cx<Self>, name: &str, number: u8| {
                    cx.call(second.id(), name, number).map(|answer| answer.get::<u8>())
                };
                let good = call(cx, "double", 4);
                let (unknown, bad) =
                    (call(cx, "treble", 4), cx.call(second.id(), "double", "x".to_owned()));
                let own = cx.call(me.id(), "order", "self".to_owned());
                format!(
                    "{good:?} {unknown:?} {:?} {own:?}",
                    bad.map_err(|error| match error {
                        CallError::Argument(_) => "argument".to_owned(),
                        other => other.to_string(),
                    })
                )
            }
            "fail" => format!("{:?}", cx.call(second.id(), "double", 200u8)),
            _ => return,
        };
        self.seen.push(seen);
    }
}

#[model(id = "second")]
struct Second {
    within_init: String,
}

#[handlers]
impl Second {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        // The root model exists, but its init is still running.
        Self { within_init: format!("{:?}", cx.get(cx.root::<First>()).map(|_| ())) }
    }

    #[skip]
    fn back(&mut self, cx: &mut Cx<Self>) -> String {
        let first = cx.root::<First>();
        let get = cx.get(first).map(|_| ());
        format!("{get:?} {:?}", cx.update(first, |_, _| ()))
    }

    fn double(&mut self, cx: &mut Cx<Self>, number: u8) {
        assert!(number < 128, "too large");
        cx.answer(number * 2);
    }
}

fn first() -> Vm {
    let app = App::builder::<First>("test.reaching").model::<Second>().build().expect("sound");
    Vm::new(&app, SESSION, &[0xc0]).expect("it starts")
}

fn tell(vm: &mut Vm, order: &str) -> Option<String> {
    let payload = to_bytes(&order).expect("a text");
    let sender = ViewId([1; 16]);
    let event = External::Event { sender, scope: "do", event: "order", payload: &payload };
    vm.deliver(Time::ZERO, vm.seq() + 1, &event).expect("it is in order");
    vm.root::<First>().and_then(|first| first.seen.last().cloned())
}

#[test]
fn a_model_whose_handler_runs_is_not_a_model_that_is_missing() {
    let mut vm = first();
    let (root, second) = (ModelId::ROOT, ModelId(2));
    let seen = &vm.root::<First>().expect("it is the root model").seen;
    assert_eq!(*seen, [r#"Some(Ok("Err(Running(M1))"))"#]);
    let running = AccessError::Running(root);
    assert_eq!(tell(&mut vm, "self"), Some(format!("Err({running:?})")));
    let back = format!("Ok({:?})", format!("Err({running:?}) Err({running:?})"));
    assert_eq!(tell(&mut vm, "back"), Some(back));
    let other = AccessError::OtherType(second);
    assert_eq!(tell(&mut vm, "type"), Some(format!("Err({other:?}) Err({other:?})")));
    let gone = AccessError::Unknown(second);
    assert_eq!(tell(&mut vm, "gone"), Some(format!("Err({gone:?}) Err({gone:?})")));
    assert_eq!(vm.drain_faults(), []);
    // From outside nothing runs.
    assert_eq!(vm.query(second, "x", &[0xc0]).err(), Some(QueryError::UnknownModel(second)));
}

#[test]
fn a_handler_of_another_model_is_called_and_answers() {
    let mut vm = first();
    let expected = format!(
        r#"Ok(Ok(8)) Err(UnknownHandler("treble")) Err("argument") Err(Access({:?}))"#,
        AccessError::Running(ModelId::ROOT)
    );
    assert_eq!(tell(&mut vm, "call"), Some(expected.clone()));
    assert_eq!(vm.drain_faults(), []);
    // A failure undoes the whole turn, though the caller has ignored it.
    assert_eq!(tell(&mut vm, "fail"), Some(expected));
    let faults = vm.drain_faults();
    assert_eq!((faults.len(), faults[0].handler.as_str()), (1, "second.double"));
    assert!(matches!(&faults[0].kind, FaultKind::Panicked(why) if why.contains("too large")));
}

/// Makes a model of its own kind that it calls, and so on, each deeper by one.
#[model(id = "chain")]
struct Chain {
    next: Option<Handle<Chain>>,
    deepest: u64,
}

#[handlers]
impl Chain {
    fn init(cx: &mut Cx<Self>, left: &u64) -> Self {
        cx.subscribe("do", "order", Self::order);
        let next = if *left > 0 { cx.create::<Chain>(&(left - 1)) } else { None };
        Self { next, deepest: 0 }
    }

    fn order(&mut self, cx: &mut Cx<Self>, _: &String) {
        if cx.me() == cx.root() {
            self.go(cx, 0);
        }
    }

    fn go(&mut self, cx: &mut Cx<Self>, depth: u64) {
        let below = self.next.map(|next| cx.call(next.id(), "go", depth + 1));
        self.deepest = match below {
            Some(Ok(answer)) => answer.get().expect("a depth"),
            Some(Err(error)) => {
                assert_eq!(error, CallError::TooDeep(teatime_vm::limits::MAX_CALL_DEPTH));
                depth
            }
            None => depth,
        };
        cx.answer(self.deepest);
    }
}

#[test]
fn calls_of_handlers_end_at_a_depth() {
    let app = App::builder::<Chain>("test.chain").build().expect("sound");
    let mut vm = Vm::new(&app, SESSION, &to_bytes(&100u64).expect("a number")).expect("it starts");
    tell(&mut vm, "go");
    assert_eq!(vm.root::<Chain>().map(|root| root.deepest), Some(64));
    assert_eq!(vm.drain_faults(), []);
}

/// What both diaries write down: who came and went, in what batches, and draws.
#[model(id = "diary")]
struct Diary {
    lines: Vec<String>,
}

#[handlers]
impl Diary {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::joined);
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::all_joined);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::all_exited);
        Self { lines: Vec::new() }
    }

    fn joined(&mut self, cx: &mut Cx<Self>, view: ViewId) {
        let draw = cx.random_range(-3, 3);
        self.lines.push(format!("{} joined, {draw}", view.0[0]));
    }

    fn all_joined(&mut self, cx: &mut Cx<Self>, views: Vec<ViewId>) {
        let there: Vec<_> = cx.views().map(|view| view.0[0]).collect();
        let draw = cx.random_range(i64::MIN, i64::MAX);
        self.lines.push(format!("{:?} of {there:?}, {draw}", firsts(&views)));
    }

    fn all_exited(&mut self, cx: &mut Cx<Self>, views: Vec<ViewInfo>) {
        let ids: Vec<_> = views.iter().map(|view| view.view_id).collect();
        let draw = cx.random_range(5, 5);
        self.lines.push(format!("{:?} exited, {draw}", firsts(&ids)));
    }
}

fn firsts(views: &[ViewId]) -> Vec<u8> {
    views.iter().map(|view| view.0[0]).collect()
}

/// The same in another language. Its state crosses as Rust's does, so that the snapshots can be compared.
struct ForeignDiary(Vec<String>);

impl ForeignObject for ForeignDiary {
    fn handle(
        &mut self,
        cx: &mut UntypedCx<'_>,
        at: u16,
        argument: &Payload,
    ) -> Result<(), String> {
        cx.model_only().map_err(|error| error.to_string())?;
        let wrong = |error: teatime_vm::PayloadError| error.to_string();
        let line = match at {
            0 => {
                let view: ViewId = argument.get().map_err(wrong)?;
                format!("{} joined, {}", view.0[0], cx.random_range(-3, 3))
            }
            1 => {
                let views: Vec<ViewId> = argument.get().map_err(wrong)?;
                let there: Vec<_> = cx.views().map(|view| view.0[0]).collect();
                let draw = cx.random_range(i64::MIN, i64::MAX);
                format!("{:?} of {there:?}, {draw}", firsts(&views))
            }
            _ => {
                let views: Vec<ViewInfo> = argument.get().map_err(wrong)?;
                let ids: Vec<_> = views.iter().map(|view| view.view_id).collect();
                format!("{:?} exited, {}", firsts(&ids), cx.random_range(5, 5))
            }
        };
        self.0.push(line);
        Ok(())
    }

    fn query(&self, _: u16, _: &[u8]) -> Result<Payload, String> {
        Err("there is none".into())
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        to_bytes(&(&self.0,)).map_err(|error| error.to_string())
    }
}

fn foreign_diary() -> App {
    let kinds = [ArgumentKind::ViewId, ArgumentKind::ViewIds, ArgumentKind::ViewInfos];
    let handler = |(kind, name): (ArgumentKind, &str)| ForeignHandler { name: name.into(), kind };
    let model = ForeignModel {
        id: "diary".into(),
        version: 1,
        code: String::new(),
        handlers: kinds
            .into_iter()
            .zip(["joined", "all_joined", "all_exited"])
            .map(handler)
            .collect(),
        queries: Vec::new(),
        init: Box::new(|cx, _| {
            for (at, event) in [(0, VIEW_JOIN), (1, VIEW_JOIN), (2, VIEW_EXIT)] {
                cx.subscribe(cx.session_id(), event, at);
            }
            Ok(Box::new(ForeignDiary(Vec::new())))
        }),
        load: Box::new(|saved| {
            let (lines,) = rmp_serde::from_slice(saved).map_err(|error| error.to_string())?;
            Ok(Box::new(ForeignDiary(lines)))
        }),
    };
    App::builder_without_root("test.diary").foreign_model(model).build().expect("sound")
}

#[test]
fn a_foreign_model_gets_batches_and_draws_as_a_rust_model_does() {
    let rust = App::builder::<Diary>("test.diary").build().expect("sound");
    let view = |number| ViewInfo { view_id: ViewId([number; 16]), view_data: None };
    let snapshots = [rust, foreign_diary()].map(|app| {
        let mut vm = Vm::new(&app, SESSION, &[0xc0]).expect("it starts");
        for (exited, joined) in [(&[][..], &[1, 2, 3][..]), (&[1, 3], &[4]), (&[2, 4], &[])] {
            let infos = |ids: &[u8]| ids.iter().copied().map(view).collect::<Vec<_>>();
            let (exited, joined) = (infos(exited), infos(joined));
            let external = External::Presence { exited: &exited, joined: &joined };
            vm.deliver(Time::ZERO, vm.seq() + 1, &external).expect("it is in order");
        }
        assert_eq!(vm.drain_faults(), []);
        let snapshot = vm.snapshot().expect("it can be saved");
        let mut value = rmpv::decode::read_value(&mut snapshot.as_slice()).expect("MessagePack");
        // Only the version hash differs, because the handlers have other types there.
        let rmpv::Value::Array(parts) = &mut value else { panic!("a snapshot is an array") };
        let hash = rmpv::Value::Binary(app.version_hash().to_vec());
        let at = parts.iter().position(|part| *part == hash).expect("it has the version hash");
        parts.remove(at);
        value
    });
    assert!(snapshots[0].to_string().contains("[2, 4] exited, 5"), "{}", snapshots[0]);
    assert_eq!(snapshots[0], snapshots[1]);
}
