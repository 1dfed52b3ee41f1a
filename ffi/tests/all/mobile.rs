//! The objects for Swift and Kotlin behave like the C functions.

#![cfg(feature = "uniffi")]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use teatime::{Cx, handlers, model};
use teatime_ffi::mobile::{
    App, CallError, Event, JoinOptions, Link, Reflector, Session, Transfer, Waker, convert,
    make_link, parse_link, qr_code,
};
use teatime_ffi::payload::tea_format as Format;
use teatime_ffi::session::tea_connection as Connection;
use teatime_ffi::tea_status;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

struct Bell(Sender<()>);

impl Waker for Bell {
    fn wake(&self) {
        // The test may be over.
        let _ = self.0.send(());
    }
}

/// A session, and its bell.
struct Phone {
    session: Arc<Session>,
    bell: Receiver<()>,
}

fn options(url: &str) -> JoinOptions {
    JoinOptions {
        reflector: url.to_owned(),
        name: "room".to_owned(),
        password: Some("p w".to_owned()),
        options: Some("{}".to_owned()),
        view_data: None,
        ticks_per_second: None,
        trusted_certificates: None,
        agent: "test/1".to_owned(),
        evidence_dir: None,
        blob_cache_dir: None,
        blob_cache_bytes: None,
    }
}

fn join(options: &JoinOptions) -> Phone {
    join_app(&App::chat().expect("it is there"), options)
}

fn join_app(app: &App, options: &JoinOptions) -> Phone {
    let session = Session::join(app, options).expect("it begins");
    let (sender, bell) = mpsc::channel();
    session.set_waker(Some(Box::new(Bell(sender)))).expect("it is alive");
    Phone { session, bell }
}

impl Phone {
    /// Steps whenever the bell rings, until an event matches.
    fn wait_for(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.session.step(200_000).expect("it is alive");
            // One at a time: later events are for the next wait.
            while let Some(event) = self.session.poll(Format::Json, 1).expect("it is alive").pop() {
                if wanted(&event) {
                    return event;
                }
            }
            let due = self.session.next_due_us().expect("it is alive").map(Duration::from_micros);
            // The bell rang or the time came. Either way a step has work to do.
            let _ = self.bell.recv_timeout(due.unwrap_or(PATIENCE).min(PATIENCE));
        }
        panic!("no {what}");
    }

    fn ready(self) -> Self {
        self.wait_for("view", |event| matches!(event, Event::ViewReady));
        self
    }
}

fn status(error: CallError) -> tea_status {
    let CallError::Failed { status, name, why } = error;
    assert_eq!(name, status.name());
    assert!(!why.is_empty());
    status
}

#[test]
fn two_phones_chat_vote_and_leave() {
    let reflector = Reflector::start("127.0.0.1:0").expect("it listens");
    let url = reflector.url().expect("it is alive");
    let (one, two) = (join(&options(&url)).ready(), join(&options(&url)).ready());
    assert_eq!(one.session.badge().expect("a badge"), two.session.badge().expect("a badge"));
    two.session.subscribe("history", "refresh", false).expect("it is alive");
    let post = br#"{"text":"from a phone"}"#;
    let receipt = one.session.publish("input", "newPost", post, Format::Json).expect("it is sent");
    two.wait_for("line", |event| matches!(event, Event::Published { .. }));
    let history = two.session.query(1, "history", &[], Format::Json).expect("an answer");
    let history = String::from_utf8(history).expect("JSON");
    assert!(history.contains("from a phone"), "{history}");
    two.session.request_vote().expect("it is asked");
    let mut hashes = Vec::new();
    for phone in [&one, &two] {
        match phone.wait_for("state", |event| matches!(event, Event::State { .. })) {
            Event::State { hash, .. } => hashes.push(hash),
            other => panic!("{other:?}"),
        }
    }
    for phone in [&one, &two] {
        let agreed = |event: &Event| matches!(event, Event::Verdict { agreed: 2, of: 2, .. });
        phone.wait_for("verdict", agreed);
    }
    assert_eq!(hashes[0], hashes[1]);
    assert!(one.session.is_applied(receipt).expect("it is alive"));
    assert_eq!(one.session.views().expect("a model").len(), 2);
    one.session.leave().expect("once");
    one.session.leave().expect("twice");
    assert_eq!(one.session.connection().expect("it is alive"), Connection::Left);
    let over = one.session.publish("input", "newPost", post, Format::Json);
    assert_eq!(status(over.expect_err("it is over")), tea_status::Over);
    reflector.stop().expect("once");
    reflector.stop().expect("twice");
    let lost = |event: &Event| {
        matches!(event, Event::Connection { state: Connection::Reconnecting, status: Some(_), .. })
    };
    two.wait_for("end of the reflector", lost);
}

#[test]
fn acceptance_12_reconnecting_by_hand_loses_no_event_and_causes_no_exit() {
    let reflector = Reflector::start("127.0.0.1:0").expect("it listens");
    let url = reflector.url().expect("it is alive");
    let (phone, other) = (join(&options(&url)).ready(), join(&options(&url)).ready());
    let views = |phone: &Phone| phone.session.views().expect("a model");
    other.session.subscribe("viewInfo", "refresh", false).expect("it is alive");
    other.session.subscribe("input", "newPost", false).expect("it is alive");
    let before = views(&other);
    phone.session.reconnect().expect("it is alive");
    // Both publish while the connection is broken.
    for (who, text) in [(&phone, "one"), (&other, "two")] {
        let post = format!("{{\"text\":\"{text}\"}}");
        let sent = who.session.publish("input", "newPost", post.as_bytes(), Format::Json);
        sent.expect("it is taken");
    }
    let state = |event: &Event, wanted| matches!(event, Event::Connection { state, .. } if *state == wanted);
    phone.wait_for("loss", |event| state(event, Connection::Reconnecting));
    phone.wait_for("line", |event| {
        assert!(!matches!(event, Event::ViewLost));
        state(event, Connection::Live)
    });
    for who in [&phone, &other] {
        let deadline = Instant::now() + PATIENCE;
        let both = || {
            let history = who.session.query(1, "history", &[], Format::Json).expect("an answer");
            let history = String::from_utf8(history).expect("JSON");
            history.contains("one") && history.contains("two")
        };
        while !both() {
            assert!(Instant::now() < deadline, "something was lost");
            let _ = who.bell.recv_timeout(Duration::from_millis(50));
            who.session.step(200_000).expect("it is alive");
            for event in who.session.poll(Format::Json, 100).expect("it is alive") {
                let seen = matches!(&event, Event::Published { scope, .. } if scope == "viewInfo");
                assert!(!seen, "unexpected join or exit: {event:?}");
            }
        }
    }
    assert_eq!(views(&other), before);
}

/// Waits until a transfer is over, and checks whenever its bell rings.
fn end_of(transfer: &Transfer) -> Result<Vec<u8>, CallError> {
    let (sender, bell) = mpsc::channel();
    transfer.set_waker(Some(Box::new(Bell(sender)))).expect("it is alive");
    loop {
        bell.recv_timeout(PATIENCE).expect("it rings");
        if let Some(result) = transfer.result()? {
            return Ok(result);
        }
    }
}

#[test]
fn blobs_come_and_go_beside_a_session() {
    let reflector = Reflector::start("127.0.0.1:0").expect("it listens");
    let url = reflector.url().expect("it is alive");
    let chat = App::chat().expect("it is there");
    let sessions = [(); 2].map(|()| Session::join(&chat, &options(&url)).expect("it begins"));
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let stored = sessions[0].store_bytes(&content).expect("it begins");
    let handle = String::from_utf8(end_of(&stored).expect("it is stored")).expect("a text");
    let progress = stored.progress().expect("it is alive");
    assert_eq!((progress.done, progress.total), (4_000_000, 4_000_000));
    assert!(sessions[1].owns_blob(&handle).expect("a handle"));
    let fetched = sessions[1].fetch_bytes(&handle).expect("it begins");
    assert!(end_of(&fetched).expect("it is fetched") == content);
    let cut = sessions[1].fetch_bytes(&handle[1..]).err().expect("an incomplete handle is refused");
    assert_eq!(status(cut), tea_status::BadBlobHandle);
    let nowhere = sessions[1].fetch_file(&handle, "/dev/null/nowhere").expect("it begins");
    assert_eq!(status(end_of(&nowhere).expect_err("the folder does not exist")), tea_status::Io);
    let cancelled = sessions[1].store_bytes(&content[1..]).expect("it begins");
    cancelled.cancel().expect("it is alive");
    assert_eq!(status(end_of(&cancelled).expect_err("it ends")), tea_status::Cancelled);
    let away = JoinOptions { name: "away".to_owned(), ..options(&url) };
    let away = Session::join(&chat, &away).expect("it begins");
    assert!(!away.owns_blob(&handle).expect("a handle"));
    let foreign = away.fetch_bytes(&handle).expect("it begins");
    assert_eq!(status(end_of(&foreign).expect_err("another room's")), tea_status::OtherSession);
}

#[test]
fn an_app_that_an_exported_function_returned_is_taken_over_once() {
    let address = || teatime_ffi::export_app(teatime_chat::app()).addr() as u64;
    let first = address();
    let app = App::adopt(first).expect("it is an app");
    assert_eq!(app.id().expect("it has one"), "teatime.chat");
    for wrong in [first, 0, u64::MAX] {
        let refused = App::adopt(wrong).err().expect("it is refused");
        assert!(matches!(status(refused), tea_status::WrongHandle | tea_status::NullPointer));
    }
}

thread_local! {
    static ERRS: Cell<bool> = const { Cell::new(false) };
}

/// Adds, and adds one too much where it errs.
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

    fn add(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.sum += number + u64::from(ERRS.get());
        cx.publish("sum", "changed", ());
    }
}

#[test]
fn a_client_that_errs_hears_where_the_evidence_is_or_why_there_is_none() {
    let reflector = Reflector::start("127.0.0.1:0").expect("it listens");
    let kept = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("evidence of phones");
    let kept = kept.to_str().expect("UTF-8").to_owned();
    // The last of them gets no event, and writes nothing.
    for directory in [Some(kept.clone()), Some("/dev/null/nowhere".to_owned()), None] {
        let options = JoinOptions {
            name: format!("{directory:?}"),
            options: None,
            evidence_dir: directory.clone(),
            ..options(&reflector.url().expect("it is alive"))
        };
        let app = teatime::App::builder::<Sum>("test.sum").build().expect("it is sound");
        let app = App::adopt(teatime_ffi::export_app(app).addr() as u64).expect("it is an app");
        let phones = [(); 3].map(|()| join_app(&app, &options).ready());
        for phone in &phones {
            phone.session.subscribe("sum", "changed", false).expect("it is alive");
        }
        phones[0].session.publish("sum", "add", b"1", Format::Json).expect("it is small");
        for (at, phone) in phones.iter().enumerate() {
            ERRS.set(at == 2);
            phone.wait_for("change", |event| matches!(event, Event::Published { .. }));
        }
        ERRS.set(false);
        phones[1].session.request_vote().expect("it is live");
        let deadline = Instant::now() + PATIENCE;
        let mut told = None;
        while told.is_none() {
            assert!(Instant::now() < deadline, "no waker was called");
            for phone in &phones {
                phone.session.step(10_000).expect("it is alive");
                let events = phone.session.poll(Format::Json, 100).expect("it is alive");
                let is_told = |event: &Event| matches!(event, Event::Diverged { .. });
                told = told.or(events.into_iter().find(is_told));
            }
            let _ = phones[2].bell.recv_timeout(Duration::from_millis(5));
        }
        let Some(Event::Diverged { seq, hash, evidence, message, .. }) = told else {
            unreachable!()
        };
        assert!(seq > 0 && hash.len() == 64);
        assert_eq!(evidence.is_some(), directory.as_ref() == Some(&kept));
        assert_eq!(message.is_some(), directory.as_ref().is_some_and(|dir| *dir != kept));
        if let Some(file) = evidence {
            let evidence = teatime::evidence::read(file.as_ref()).expect("it is evidence");
            assert_eq!((evidence.seq, evidence.own_hash().to_string()), (seq, hash));
            assert!(evidence.agent.starts_with("test/1, teatime "), "{}", evidence.agent);
            std::fs::remove_file(file).expect("it is there");
        }
    }
}

#[test]
fn what_cannot_be_is_reported_by_its_code() {
    let reflector = Reflector::start("127.0.0.1:0").expect("it listens");
    let url = reflector.url().expect("it is alive");
    let _owner = join(&options(&url)).ready();
    let intruder = join(&JoinOptions { password: None, ..options(&url) });
    intruder.wait_for("hint", |event| matches!(event, Event::OtherPassword { .. }));
    let nowhere = JoinOptions { reflector: "ws://127.0.0.1:1".into(), ..options(&url) };
    let nowhere = join(&nowhere);
    let no_model = nowhere.session.query(1, "history", &[], Format::Json);
    assert_eq!(status(no_model.expect_err("there is none")), tea_status::NotJoined);
    let app = App::chat().expect("it is there");
    for (wrong, code) in [
        (JoinOptions { name: String::new(), ..options(&url) }, tea_status::BadName),
        (JoinOptions { reflector: "http://a".into(), ..options(&url) }, tea_status::BadAddress),
        (JoinOptions { options: Some("[".into()), ..options(&url) }, tea_status::BadFormat),
        (JoinOptions { options: Some("3".into()), ..options(&url) }, tea_status::BadOptions),
        (JoinOptions { ticks_per_second: Some(99), ..options(&url) }, tea_status::BadTicks),
        (
            JoinOptions { trusted_certificates: Some("x".into()), ..options(&url) },
            tea_status::BadCertificates,
        ),
    ] {
        let refused = Session::join(&app, &wrong).err().expect("it is refused");
        assert_eq!(status(refused), code);
    }
    assert_eq!(status(Reflector::start("nowhere").err().expect("no address")), tea_status::Io);
}

#[test]
fn links_codes_and_formats_cross() {
    let link = Link {
        reflector: "ws://h:1".into(),
        app: "a".into(),
        name: "Tea /".into(),
        options: Some("{\"x\":1,\"b\":[2]}".into()),
        password: Some("p w".into()),
    };
    let text = make_link(link.clone()).expect("it is sound");
    assert!(text.starts_with("teatime://h:1/-"), "{text}");
    assert_eq!(parse_link(&text).expect("it is one"), link);
    assert_eq!(status(parse_link("x").expect_err("none")), tea_status::BadLink);
    // As messengers and people change it.
    let scheme = text.replacen("teatime", "TeaTime", 1);
    for changed in [format!("„{text}“."), text.replace('#', "%23") + "&amp;x=1", scheme] {
        assert_eq!(parse_link(&changed).expect("it says everything"), link, "{changed}");
    }
    let (open, _) = text.split_once('#').expect("it has a password");
    assert_eq!(status(parse_link(open).expect_err("it is lost")), tea_status::BadLink);
    let typed = parse_link("teatime://h:1/a/Tea küche#sesame").expect_err("it has no check");
    let CallError::Failed { why, .. } = &typed;
    assert!(why.contains("the room \"Tea küche\" and its password"), "{why}");
    assert_eq!(status(typed), tea_status::BadLink);
    let code = qr_code(&text).expect("it is short");
    assert_eq!(code.modules.len(), (code.side * code.side) as usize);
    let packed = convert(b"[1,{\"a\":null}]", Format::Json, Format::Msgpack).expect("JSON");
    assert_eq!(packed, [0x92, 1, 0x81, 0xa1, b'a', 0xc0]);
    assert_eq!(convert(&packed, Format::Msgpack, Format::Json).expect("it"), b"[1,{\"a\":null}]");
}
