//! The simulator's runs with a ledger behind the C ABI. All calls of a model in C cross it in both directions, under every
//! fault. The functions for sessions use a real network, which cannot be simulated: the tests of clients cut connections and
//! stop or kill reflectors instead.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::{null, null_mut};

use teatime_ffi::app::{import_app, tea_app_add_model, tea_app_free, tea_app_new};
use teatime_ffi::cx::{
    tea_cx, tea_cx_future, tea_cx_publish, tea_cx_random, tea_cx_random_below, tea_cx_sender,
    tea_cx_subscribe, tea_cx_subscribe_presence, tea_cx_view_count,
};
use teatime_ffi::ids::tea_view_id;
use teatime_ffi::math::{tea_math_atan2, tea_math_sin};
use teatime_ffi::model::tea_model;
use teatime_ffi::payload::{
    tea_format, tea_payload, tea_payload_bytes, tea_payload_enter, tea_payload_f64,
    tea_payload_get, tea_payload_next, tea_payload_u64,
};
use teatime_ffi::status::tea_status;
use teatime_ffi::text::tea_str;
use teatime_ffi::value::{
    tea_value, tea_value_put_array, tea_value_put_bytes, tea_value_put_f64, tea_value_put_u64,
};
use teatime_simulator::{Plan, play};
use teatime_tests::ledger;
use teatime_tests::play::Books;

/// The state of the ledger in C.
#[derive(Default)]
struct Ledger {
    newest: BTreeMap<[u8; 16], u64>,
    here: BTreeMap<[u8; 16], ()>,
    entries: u64,
    violations: u64,
    gaps: u64,
    sum: f64,
}

const JOIN: u16 = 0;
const EXIT: u16 = 1;
const ENTER: u16 = 2;
const POISON: u16 = 3;
const LATER: u16 = 4;
const TICK: u16 = 5;
const HANDLERS: [&str; 6] = ["join", "exit", "enter", "poison", "later", "tick"];
const QUERIES: [&str; 4] = ["violations", "entries", "newest", "gaps"];

fn text(text: &str) -> tea_str {
    tea_str { ptr: text.as_ptr().cast(), len: text.len() }
}

fn nothing() -> tea_payload {
    tea_payload { ptr: null(), len: 0, format: tea_format::Msgpack as i32 }
}

fn data(bytes: &[u8]) -> tea_payload {
    tea_payload { ptr: bytes.as_ptr(), len: bytes.len(), format: tea_format::Msgpack as i32 }
}

fn ok(status: tea_status) {
    assert_eq!(status, tea_status::Ok);
}

fn part(of: tea_payload, path: &str) -> tea_payload {
    let mut found = nothing();
    // SAFETY: both outlive the call.
    ok(unsafe { tea_payload_get(of, text(path), &raw mut found) });
    found
}

fn number(of: tea_payload) -> u64 {
    let mut found = 0;
    // SAFETY: it outlives the call.
    ok(unsafe { tea_payload_u64(of, &raw mut found) });
    found
}

fn view(of: tea_payload) -> [u8; 16] {
    let (mut bytes, mut count) = (null(), 0);
    // SAFETY: both outlive the call, and what is found lies in `of`.
    ok(unsafe { tea_payload_bytes(of, &raw mut bytes, &raw mut count) });
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts(bytes, count) }.try_into().expect("an id has 16 bytes")
}

unsafe extern "C" fn init(cx: *mut tea_cx, options: tea_payload, _: *mut c_void) -> *mut c_void {
    let every = number(part(options, "/0")) * 1_000;
    // SAFETY: the context lives as long as this call.
    unsafe {
        ok(tea_cx_subscribe_presence(cx, JOIN, EXIT));
        ok(tea_cx_subscribe(cx, text("ledger"), text("enter"), ENTER));
        ok(tea_cx_subscribe(cx, text("ledger"), text("poison"), POISON));
        ok(tea_cx_future(cx, every, every, TICK, nothing(), null_mut()));
    }
    Box::into_raw(Box::<Ledger>::default()).cast()
}

unsafe extern "C" fn handle(
    model: *mut c_void,
    cx: *mut tea_cx,
    handler: u16,
    argument: tea_payload,
) -> i32 {
    // SAFETY: `init` or `load` made it, and no other code uses it now.
    let ledger = unsafe { &mut *model.cast::<Ledger>() };
    let random = || {
        let mut number = 0.0;
        // SAFETY: the context lives as long as this call.
        ok(unsafe { tea_cx_random(cx, &raw mut number) });
        number
    };
    match handler {
        JOIN | EXIT => {
            let view = view(part(argument, "/0"));
            let unpaired = if handler == JOIN {
                ledger.here.insert(view, ()).is_some()
            } else {
                ledger.here.remove(&view).is_none()
            };
            let mut count = 0;
            // SAFETY: as above.
            ok(unsafe { tea_cx_view_count(cx, &raw mut count) });
            let miscounted = ledger.here.len() != count as usize;
            ledger.violations += u64::from(unpaired) + u64::from(miscounted);
        }
        ENTER => {
            let mut sender = tea_view_id { bytes: [0; 16] };
            // SAFETY: as above.
            ok(unsafe { tea_cx_sender(cx, &raw mut sender) });
            let entered = number(part(argument, "/0"));
            let newest = ledger.newest.entry(sender.bytes).or_default();
            ledger.violations += u64::from(entered <= *newest);
            ledger.gaps += u64::from(entered > *newest + 1);
            *newest = entered;
            ledger.entries += 1;
            let argument = teatime::to_bytes(&entered).expect("it is a number");
            let mut pause = 0;
            // SAFETY: as above.
            unsafe {
                ok(tea_cx_random_below(cx, 3_000_000, &raw mut pause));
                ok(tea_cx_future(cx, pause, 0, LATER, data(&argument), null_mut()));
                ok(tea_cx_publish(cx, text("ledger"), text("entered"), data(&argument)));
            }
        }
        POISON => {
            // All of this must be undone.
            ledger.violations += 1;
            ledger.newest.clear();
            ledger.sum = random();
            return 1;
        }
        LATER => ledger.sum += tea_math_sin(number(argument) as f64) * random(),
        _ => {
            if ledger::take_corruption() {
                ledger.entries += 1_000_000;
            }
            ledger.sum = tea_math_atan2(ledger.sum, random() + 0.1);
        }
    }
    0
}

unsafe extern "C" fn save(model: *const c_void, state: *mut tea_value) -> i32 {
    // SAFETY: as in `handle`.
    let ledger = unsafe { &*model.cast::<Ledger>() };
    // SAFETY: the value lives as long as this call.
    unsafe {
        ok(tea_value_put_array(state, 6));
        ok(tea_value_put_array(state, 2 * ledger.newest.len() as u32));
        for (view, number) in &ledger.newest {
            ok(tea_value_put_bytes(state, view.as_ptr(), view.len()));
            ok(tea_value_put_u64(state, *number));
        }
        ok(tea_value_put_array(state, ledger.here.len() as u32));
        for view in ledger.here.keys() {
            ok(tea_value_put_bytes(state, view.as_ptr(), view.len()));
        }
        ok(tea_value_put_u64(state, ledger.entries));
        ok(tea_value_put_u64(state, ledger.violations));
        ok(tea_value_put_f64(state, ledger.sum));
        ok(tea_value_put_u64(state, ledger.gaps));
    }
    0
}

fn elements(of: tea_payload) -> Vec<tea_payload> {
    let (mut cursor, mut found, mut all) = (nothing(), nothing(), Vec::new());
    // SAFETY: all of them outlive the calls.
    ok(unsafe { tea_payload_enter(of, &raw mut cursor) });
    // SAFETY: as above.
    while unsafe { tea_payload_next(&raw mut cursor, &raw mut found) } == tea_status::Ok {
        all.push(found);
    }
    all
}

unsafe extern "C" fn load(state: tea_payload, _: *mut c_void) -> *mut c_void {
    let newest = elements(part(state, "/0"));
    let here = elements(part(state, "/1"));
    let mut sum = 0.0;
    // SAFETY: it outlives the call.
    ok(unsafe { tea_payload_f64(part(state, "/4"), &raw mut sum) });
    let ledger = Ledger {
        newest: newest.chunks(2).map(|pair| (view(pair[0]), number(pair[1]))).collect(),
        here: here.into_iter().map(|of| (view(of), ())).collect(),
        entries: number(part(state, "/2")),
        violations: number(part(state, "/3")),
        gaps: number(part(state, "/5")),
        sum,
    };
    Box::into_raw(Box::new(ledger)).cast()
}

unsafe extern "C" fn query(
    model: *const c_void,
    query: u16,
    argument: tea_payload,
    answer: *mut tea_value,
) -> i32 {
    // SAFETY: as in `handle`.
    let ledger = unsafe { &*model.cast::<Ledger>() };
    let number = match query {
        0 => ledger.violations,
        1 => ledger.entries,
        3 => ledger.gaps,
        _ => ledger.newest.get(&view(argument)).copied().unwrap_or_default(),
    };
    // SAFETY: the value lives as long as this call.
    ok(unsafe { tea_value_put_u64(answer, number) });
    0
}

unsafe extern "C" fn free(model: *mut c_void) {
    // SAFETY: as in `handle`; it is the last time.
    drop(unsafe { Box::from_raw(model.cast::<Ledger>()) });
}

/// The app as a program in C would declare it.
fn app() -> teatime::App {
    let (handlers, queries) = (HANDLERS.map(text), QUERIES.map(text));
    let model = tea_model {
        size: size_of::<tea_model>(),
        id: text("ledger"),
        version: 1,
        code: text(""),
        format: tea_format::Msgpack as i32,
        handlers: handlers.as_ptr(),
        handler_count: handlers.len(),
        handler_kinds: std::ptr::null(),
        queries: queries.as_ptr(),
        query_count: queries.len(),
        user_data: null_mut(),
        init: Some(init),
        handle: Some(handle),
        save: Some(save),
        load: Some(load),
        query: Some(query),
        free: Some(free),
    };
    let mut app = null_mut();
    // SAFETY: everything outlives the calls, and the handle is freed once.
    unsafe {
        ok(tea_app_new(text("teatime.ledger"), 1, &raw mut app));
        ok(tea_app_add_model(app, &raw const model));
        let imported = import_app(app).expect("it is declared whole");
        ok(tea_app_free(app));
        imported
    }
}

#[test]
fn a_model_behind_the_c_abi_survives_what_models_in_rust_survive() {
    let books = Books::of(app());
    let mut compared = 0;
    for seed in 1..=40 {
        let plan = Plan::new(seed, 1);
        let report = play(&plan, &books).unwrap_or_else(|violation| panic!("{seed}: {violation}"));
        compared += report.compared;
    }
    assert!(compared > 100_000, "only {compared} positions were compared");
}
