//! C, Swift and Kotlin report a reflector whose disk is full. The reflector of the library keeps
//! nothing on a disk, so the tests in these languages cannot show this.

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use teatime::persisted::{NoPrevious, Persisted};
use teatime::server::{ReflectorConfig, Server, ServerConfig, SharedStorage};
use teatime::{Cx, handlers, model};
use teatime_ffi::app::{export_app, tea_app, tea_app_free};
use teatime_ffi::config::{tea_config_free, tea_config_new};
use teatime_ffi::event::{tea_event_kind, tea_session_poll};
use teatime_ffi::payload::{tea_format, tea_payload};
use teatime_ffi::session::{
    tea_session, tea_session_free, tea_session_has_unpersisted, tea_session_join,
    tea_session_publish, tea_session_step, tea_session_wait,
};
use teatime_ffi::status::tea_status;
use teatime_ffi::text::tea_str;
use teatime_store::{Config, MemoryDisk, MemoryStore, Shared};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Serialize, Deserialize)]
struct Saved(String);

impl Persisted for Saved {
    const VERSION: u32 = 1;
    type Previous = NoPrevious;

    fn migrate(old: NoPrevious) -> Result<Self, String> {
        match old {}
    }
}

/// Persists far more than it is asked to.
#[model(id = "board", version = 1)]
struct Board {}

#[handlers]
impl Board {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("board", "swell", Self::swell);
        Self {}
    }

    fn swell(&mut self, cx: &mut Cx<Self>, text: String) {
        cx.persist(&Saved(text.repeat(100_000))).expect("it is not too much");
    }
}

fn app() -> *mut tea_app {
    let app = teatime::App::builder::<Board>("test.board").persists::<Saved>().build();
    export_app(app.expect("it is sound"))
}

/// A reflector on a nearly full disk, and that disk.
fn full() -> (Server, MemoryDisk) {
    let disk = MemoryDisk::default();
    let store = MemoryStore::open(disk.clone(), Config::default()).expect("it is new");
    let used: usize = disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
    disk.set_capacity(Some(used as u64 + 50_000));
    let storage = Some(SharedStorage::new(Shared::new(store)));
    let reflector = ReflectorConfig { persist_interval: 20_000, ..ReflectorConfig::default() };
    let config = ServerConfig { reflector, storage, ..ServerConfig::default() };
    (Server::bind("127.0.0.1:0", config).expect("there is a free port"), disk)
}

fn ok(status: tea_status) {
    assert_eq!(status, tea_status::Ok);
}

fn text(text: &str) -> tea_str {
    tea_str { ptr: text.as_ptr().cast(), len: text.len() }
}

fn json(text: &str) -> tea_payload {
    tea_payload { ptr: text.as_ptr(), len: text.len(), format: tea_format::Json as i32 }
}

/// Steps until an event of this kind comes, and returns its status and message.
fn wait_for(session: *mut tea_session, kind: tea_event_kind) -> (tea_status, String) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        // SAFETY: it is alive.
        unsafe {
            ok(tea_session_wait(session, 100_000));
            ok(tea_session_step(session, 100_000));
        }
        loop {
            let mut event = std::mem::MaybeUninit::uninit();
            let mut count = 0;
            let format = tea_format::Json as i32;
            // SAFETY: there is room for one.
            ok(unsafe { tea_session_poll(session, format, event.as_mut_ptr(), 1, &raw mut count) });
            if count == 0 {
                break;
            }
            // SAFETY: one was written.
            let event = unsafe { event.assume_init() };
            if event.kind == kind {
                // SAFETY: the message lives until the next step.
                let bytes = unsafe {
                    std::slice::from_raw_parts(event.message.ptr.cast(), event.message.len)
                };
                return (event.status, String::from_utf8(bytes.to_vec()).expect("UTF-8"));
            }
        }
    }
    panic!("no event of kind {}", kind as i32);
}

fn unpersisted(session: *mut tea_session) -> bool {
    let mut unpersisted = false;
    // SAFETY: it is alive.
    ok(unsafe { tea_session_has_unpersisted(session, &raw mut unpersisted) });
    unpersisted
}

#[test]
fn a_full_disk_of_the_reflector_is_reported_in_c_until_there_is_room() {
    let (server, disk) = full();
    let (mut config, mut session) = (null_mut(), null_mut());
    let (app, nothing) = (app(), json("null"));
    // SAFETY: all of it is alive, or a place for what is made.
    unsafe {
        ok(tea_config_new(app, text("room"), nothing, &raw mut config));
        ok(tea_session_join(config, text(&server.url()), &raw mut session));
    }
    wait_for(session, tea_event_kind::ViewReady);
    let swell = json("\"ab\"");
    // SAFETY: as above; the receipt may be NULL.
    ok(unsafe { tea_session_publish(session, text("board"), text("swell"), swell, null_mut()) });
    let (status, message) = wait_for(session, tea_event_kind::NotPersisted);
    assert_eq!(status, tea_status::NotStored);
    assert!(message.contains("cannot be stored for now: the disk is full"), "{message}");
    assert!(unpersisted(session));
    disk.set_capacity(None);
    wait_for(session, tea_event_kind::Persisted);
    assert!(!unpersisted(session));
    // SAFETY: they are not used again.
    unsafe {
        ok(tea_session_free(session));
        ok(tea_config_free(config));
        ok(tea_app_free(app));
    }
}

#[cfg(feature = "uniffi")]
#[test]
fn a_full_disk_of_the_reflector_is_reported_to_phones_until_there_is_room() {
    use teatime_ffi::mobile::{App, Event, JoinOptions, Session};
    let (server, disk) = full();
    let app = App::adopt(app().addr() as u64).expect("it is an app");
    let options = JoinOptions {
        reflector: server.url(),
        name: "room".to_owned(),
        password: None,
        options: None,
        view_data: None,
        ticks_per_second: None,
        trusted_certificates: None,
        agent: "test/1".to_owned(),
        evidence_dir: None,
        blob_cache_dir: None,
        blob_cache_bytes: None,
    };
    let session = Session::join(&app, &options).expect("it begins");
    let wait_for = |wanted: &dyn Fn(&Event) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "it does not come");
            session.step(100_000).expect("it is alive");
            while let Some(event) = session.poll(tea_format::Json, 1).expect("it is alive").pop() {
                if wanted(&event) {
                    return event;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for(&|event| matches!(event, Event::ViewReady));
    assert!(!session.has_unpersisted().expect("it is alive"));
    assert_eq!(session.newer_version().expect("it is alive"), None);
    session.publish("board", "swell", b"\"ab\"", tea_format::Json).expect("it is small");
    let told = wait_for(&|event| matches!(event, Event::NotPersisted { .. }));
    let Event::NotPersisted { status, message } = told else { unreachable!() };
    assert_eq!(status, Some(tea_status::NotStored));
    assert!(message.contains("the disk is full"), "{message}");
    assert!(session.has_unpersisted().expect("it is alive"));
    disk.set_capacity(None);
    wait_for(&|event| matches!(event, Event::Persisted { .. }));
    assert!(!session.has_unpersisted().expect("it is alive"));
}
