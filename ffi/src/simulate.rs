//! The simulator, for the library that tests link: `teatime_testing.h`.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::{NonNull, null, null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

use teatime::testing::{
    Dice, End, Failure as Failed, Invariant, Plan, Simulation, Summary, User, What,
};
use teatime::{ModelId, Vm};

use crate::app::{App, tea_app};
use crate::boundary::boundary;
use crate::handle::Held;
use crate::ids::tea_view_id;
use crate::out::{Check, null as is_null};
use crate::payload::{format_of, tea_payload};
use crate::status::{Failure, Result, tea_status};
use crate::text::{tea_str, too_long};
use crate::value::{Value, checked, tea_value};

/// A participant of a simulation: the one that acts, or the one that is checked at the end. It is valid on the same thread
/// until the callback returns.
#[derive(Debug)]
pub struct tea_player {
    _opaque: [u8; 0],
}

/// An action of users, which happens at random times.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tea_action {
    /// How often it happens: an action with weight 3 happens three times as often as one with weight 1.
    pub weight: u64,
    /// Performs the action. Any result but 0 fails the seed. It must depend on its arguments only; otherwise the same
    /// seed plays differently each time. It must return: no longjmp and no exception may leave it, so do not use
    /// assertions of a test framework in it.
    pub act: Option<unsafe extern "C" fn(player: *mut tea_player, user_data: *mut c_void) -> i32>,
    /// Passed to act.
    pub user_data: *mut c_void,
}

/// The description of a simulation. Set the whole struct to zero first, then size to sizeof(tea_simulation). A member that
/// is zero has the default in parentheses.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tea_simulation {
    /// sizeof(tea_simulation): tells the library which header the program was compiled with.
    pub size: usize,
    /// The root model's options (nil).
    pub options: tea_payload,
    /// The view data of each participant (none).
    pub view_data: tea_payload,
    /// Data that an older version of the app has persisted. Each session begins with it, in the room of the older version
    /// (none).
    pub begins_with: tea_payload,
    /// The version of its layout, from 1 on (0 without such data).
    pub begins_with_version: u32,
    /// The actions of users (none).
    pub actions: *const tea_action,
    /// The number of actions.
    pub action_count: usize,
    /// Checks each remaining participant at the end of a seed, once all agree (no check). It runs once more when the first
    /// seed is played again. Any result but 0 fails the seed. It must return, like act.
    pub check: Option<unsafe extern "C" fn(player: *mut tea_player, user_data: *mut c_void) -> i32>,
    /// Passed to check.
    pub check_data: *mut c_void,
    /// The number of seeds, which begin with 1 (100).
    pub seeds: u64,
    /// The virtual seconds during which faults happen (60).
    pub seconds: u64,
    /// The most participants at one time (5).
    pub participants: u32,
    /// The number of inputs after which a participant is compared with a twin that was restored from its snapshot (1,
    /// which finds most bugs).
    pub distance: u32,
    /// The most runs that are used to make a failing seed smaller (300).
    pub shrink_runs: u32,
    /// Whether handlers may fail (no).
    pub allow_faults: bool,
    /// Whether to play without twins, whatever distance says (no).
    pub no_twin: bool,
    /// Whether to leave a failing seed as it is, whatever shrink_runs says (no: it is made smaller).
    pub no_shrinking: bool,
    /// Faults that must not happen: names as in files of plans, such as "starts", "crashes", "leaves", "cut", "partition",
    /// "freezes", "reflector_crashes", "disk_full", "bursts" (none: all may happen). The message for an unknown name lists
    /// all names.
    pub without: *const tea_str,
    /// The number of names.
    pub without_count: usize,
    /// A directory for failing plans, made small, as files of JSON (none). Plans of this app in it are played before any
    /// seed, without the faults that `without` names, and with at most `participants` participants. A failure that only
    /// the second play of the first seed finds is not saved. No file is deleted: a model that fails differently each
    /// time leaves another file each time.
    pub keep_in: tea_str,
    /// A file with such a plan. It is played instead of all seeds, exactly as it is (none).
    pub plan: tea_str,
}

/// The numbers of a simulation.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tea_simulation_report {
    /// Played seeds. The second play of the first seed does not count, here and in the numbers below except `checked`.
    pub runs: u64,
    /// Virtual hours, summed over all participants.
    pub client_hours: f64,
    /// Accepted events, counted at each remaining participant.
    pub events: u64,
    /// Comparisons of a participant with another one.
    pub compared: u64,
    /// Comparisons of a participant with its twin.
    pub synced: u64,
    /// Calls of check, including those for the second play of the first seed.
    pub checked: u64,
}

/// A running callback, and its participant.
#[derive(Clone, Copy)]
struct Frame {
    number: usize,
    dice: *mut Dice,
    user: *mut User<'static>,
    end: *const End<'static>,
}

const NO_FRAME: Frame = Frame { number: 0, dice: null_mut(), user: null_mut(), end: null() };

thread_local! {
    static CURRENT: Cell<Frame> = const { Cell::new(NO_FRAME) };
}

/// Numbers the callbacks of all threads, so that the library detects players of callbacks that are over.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// Ends a frame, however its callback ends.
struct Restore(Frame);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

fn enter<R>(frame: Frame, run: impl FnOnce(*mut tea_player) -> R) -> R {
    let number = NEXT.fetch_add(1, Ordering::Relaxed).max(1);
    let _restore = Restore(CURRENT.replace(Frame { number, ..frame }));
    run(without_provenance_mut(number))
}

/// Runs something with the participant behind a player.
fn with<R>(player: *const tea_player, run: impl FnOnce(Frame) -> Result<R>) -> Result<R> {
    if player.is_null() {
        return Err(is_null("player"));
    }
    let frame = CURRENT.get();
    if frame.number == 0 || frame.number != player.addr() {
        let message = "this tea_player does not belong to the running callback";
        return Err(Failure::new(tea_status::NotInModel, message));
    }
    // A model's query may lead back here. Meanwhile no other call may borrow the participant.
    let _restore = Restore(CURRENT.replace(NO_FRAME));
    run(frame)
}

impl Frame {
    fn user<R>(self, run: impl FnOnce(&mut User<'static>) -> Result<R>) -> Result<R> {
        match NonNull::new(self.user) {
            // SAFETY: `acting` borrows it until the callback returns, and `with` admits one call at a time.
            Some(mut user) => run(unsafe { user.as_mut() }),
            None => Err(only_in_actions()),
        }
    }

    fn end<R>(self, run: impl FnOnce(&End<'static>) -> Result<R>) -> Option<Result<R>> {
        // SAFETY: `checking` borrows it until the callback returns.
        (!self.end.is_null()).then(|| run(unsafe { &*self.end }))
    }

    fn vm<R>(self, run: impl Fn(&Vm) -> Result<R>) -> Result<R> {
        self.end(|end| run(end.vm())).unwrap_or_else(|| {
            self.user(|user| match user.vm() {
                Some(vm) => run(vm),
                None => Err(Failure::new(
                    tea_status::NotJoined,
                    "no model yet: the session has not joined",
                )),
            })
        })
    }
}

fn only_in_actions() -> Failure {
    Failure::new(tea_status::InvalidArgument, "only actions may call this, not checks")
}

/// User data of C. Only the thread that called [`tea_simulate`] passes it back to C.
#[derive(Clone, Copy)]
struct UserData(*mut c_void);

// SAFETY: a simulation with one thread plays on the caller's thread, and calls its closures there.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    /// A closure that calls this captures the whole struct, not the pointer alone.
    fn get(self) -> *mut c_void {
        self.0
    }
}

/// Plays the models of an app under faults, seed by seed, in virtual time. Several participants join and exit on bad
/// connections, with cuts, partitions, slow readers, late joins, and a reflector that crashes and restarts. There is no
/// network and no other thread: this thread runs all callbacks before the call returns. Once all seeds have passed, the
/// first is played again, at least one second after its first play, and the two plays are compared. This finds models
/// that read a clock of seconds.
///
/// Environment variables: TEATIME_SEED=N plays that seed only, TEATIME_SEEDS=N plays N seeds, TEATIME_PLAN=FILE plays a
/// saved plan, if it is of this app.
///
/// Link a program with libteatime or with libteatime-testing, not with both. With both, this call may get an app of the
/// other library. It then fails with TEA_STATUS_WRONG_HANDLE, and prints the reason to the standard error, because
/// tea_last_error may be that of the other library.
///
/// Fails with
/// - TEA_STATUS_SYNC_DIFFERS if participants differ, or one differs from its twin, or a seed from its second play. The
///   message has several lines: model and field, both contents, the event, the seed, and the smallest plan that fails;
/// - TEA_STATUS_FAULT if a handler fails;
/// - TEA_STATUS_BAD_SNAPSHOT if a model cannot be saved, or cannot be loaded from its saved state;
/// - TEA_STATUS_MODEL if the app cannot be started;
/// - TEA_STATUS_INVALID_ARGUMENT if the description is not valid, or the simulation would prove nothing;
/// - TEA_STATUS_CHECK_FAILED if anything else is wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_simulate(
    app: *const tea_app,
    simulation: *const tea_simulation,
    report: *mut tea_simulation_report,
) -> tea_status {
    boundary(|| {
        let report = report.check("report")?;
        let how = read(simulation)?;
        let app = own(app)?;
        let options = how.options.to_whole_msgpack()?.into_owned();
        let mut simulation = Simulation::of(app).encoded_options(&options).threads(1);
        if how.view_data.len > 0 {
            let data = how.view_data.to_whole_msgpack()?.into_owned();
            simulation = simulation.encoded_view_data(data);
        }
        if (how.begins_with.len > 0) != (how.begins_with_version > 0) {
            let message = "set both begins_with and begins_with_version, or neither";
            return Err(Failure::new(tea_status::InvalidArgument, message));
        }
        if how.begins_with.len > 0 {
            let data = how.begins_with.to_whole_msgpack()?;
            simulation = simulation.begins_with_encoded(how.begins_with_version, &data);
        }
        for action in actions(&how)? {
            let act = action.act.ok_or_else(|| is_null("act"))?;
            let data = UserData(action.user_data);
            simulation = simulation.action(action.weight, move |dice, user| {
                let user = std::ptr::from_mut(user).cast();
                let frame = Frame { dice, user, ..NO_FRAME };
                // SAFETY: called as the documentation of `tea_action` says.
                match enter(frame, |player| unsafe { act(player, data.get()) }) {
                    0 => Ok(()),
                    code => Err(format!("act returned {code}")),
                }
            });
        }
        if let Some(check) = how.check {
            let data = UserData(how.check_data);
            simulation = simulation.check(move |end| {
                let frame = Frame { end: std::ptr::from_ref(end).cast(), ..NO_FRAME };
                // SAFETY: called as the documentation of `tea_simulation` says.
                match enter(frame, |player| unsafe { check(player, data.get()) }) {
                    0 => Ok(()),
                    code => Err(format!("check returned {code}")),
                }
            });
        }
        report.set(told(&play(settings(simulation, &how)?, how.plan)?));
        Ok(())
    })
}

/// The app, if this library made it.
fn own(app: *const tea_app) -> Result<teatime::App> {
    App::with(app, App::build).inspect_err(|failure| {
        if failure.status == tea_status::WrongHandle {
            // The program may ask the other library for the message.
            eprintln!(
                "tea_simulate: libteatime-testing did not make this app, or it was freed: if this program has \
                 libteatime in it besides, link libteatime-testing in its place, also where the program's own \
                 libraries link it"
            );
        }
    })
}

fn play(simulation: Simulation<'_>, plan: tea_str) -> Result<Summary> {
    let played = match plan.get("plan")? {
        "" => simulation.run(),
        path => {
            let plan = Plan::read(path.as_ref());
            simulation.play(&plan.map_err(|why| Failure::new(tea_status::InvalidArgument, why))?)
        }
    };
    played.map_err(failed)
}

/// Reads the description, if the caller was compiled with the same header.
fn read(simulation: *const tea_simulation) -> Result<tea_simulation> {
    if simulation.is_null() {
        return Err(is_null("simulation"));
    }
    // SAFETY: the caller of every export promises valid pointers; the size comes first.
    let size = unsafe { simulation.cast::<usize>().read() };
    let known = size_of::<tea_simulation>();
    if size != known {
        let message = format!("tea_simulation.size is {size}, expected {known}");
        return Err(Failure::new(tea_status::InvalidArgument, message));
    }
    // SAFETY: as above.
    Ok(unsafe { *simulation })
}

fn actions(how: &tea_simulation) -> Result<&[tea_action]> {
    // SAFETY: the caller of every export promises valid pointers.
    unsafe { list(how.actions, how.action_count, "actions") }
}

/// A list of the caller.
///
/// # Safety
/// `first` must point to `count` items that stay valid as long as the result.
unsafe fn list<'a, T>(first: *const T, count: usize, name: &str) -> Result<&'a [T]> {
    match (count, first.is_null()) {
        (0, _) => Ok(&[]),
        (_, true) => Err(is_null(name)),
        (count, _) if count > isize::MAX as usize / size_of::<T>() => Err(too_long(name)),
        // SAFETY: the caller promises it.
        (count, false) => Ok(unsafe { std::slice::from_raw_parts(first, count) }),
    }
}

/// The fault with this name in files of plans.
fn what(name: tea_str) -> Result<What> {
    let name = name.get("without")?;
    What::ALL.into_iter().map(|(what, _)| what).find(|what| what.name() == name).ok_or_else(|| {
        let all: Vec<_> = What::ALL.into_iter().map(|(what, _)| what.name()).collect();
        let message = format!("unknown fault {name:?}, expected one of: {}", all.join(", "));
        Failure::new(tea_status::InvalidArgument, message)
    })
}

/// Zero means the default.
fn settings<'a>(mut simulation: Simulation<'a>, how: &tea_simulation) -> Result<Simulation<'a>> {
    if how.seeds > 0 {
        simulation = simulation.seeds(how.seeds);
    }
    if how.seconds > 0 {
        simulation = simulation.seconds(how.seconds);
    }
    if how.participants > 0 {
        simulation = simulation.participants(how.participants as usize);
    }
    if how.distance > 0 {
        simulation = simulation.sync_distance(how.distance.into());
    }
    if how.shrink_runs > 0 {
        simulation = simulation.shrink_runs(how.shrink_runs);
    }
    if how.no_twin {
        simulation = simulation.sync_distance(0);
    }
    if how.no_shrinking {
        simulation = simulation.shrink_runs(0);
    }
    // SAFETY: the caller of every export promises valid pointers.
    for name in unsafe { list(how.without, how.without_count, "without") }? {
        simulation = simulation.without(what(*name)?);
    }
    if how.allow_faults {
        simulation = simulation.allow_faults();
    }
    match how.keep_in.get("keep_in")? {
        "" => Ok(simulation),
        folder => Ok(simulation.keep_in(folder)),
    }
}

fn told(summary: &Summary) -> tea_simulation_report {
    tea_simulation_report {
        runs: summary.runs,
        client_hours: summary.client_hours,
        events: summary.entries,
        compared: summary.compared,
        synced: summary.synced,
        checked: summary.checked,
    }
}

fn failed(failure: Failed) -> Failure {
    let status = match failure.smallest().of {
        Invariant::Agreement | Invariant::Sync | Invariant::Again => tea_status::SyncDiffers,
        Invariant::Snapshot => tea_status::BadSnapshot,
        Invariant::Faults => tea_status::Fault,
        Invariant::Start => tea_status::Model,
        Invariant::Setup => tea_status::InvalidArgument,
        _ => tea_status::CheckFailed,
    };
    Failure::new(status, failure)
}

/// A random number below a limit, which depends on the seed. It is 0 if the limit is 0. For actions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_player_below(
    player: *mut tea_player,
    limit: u64,
    number: *mut u64,
) -> tea_status {
    boundary(|| {
        let number = number.check("number")?;
        let below = with(player, |frame| match NonNull::new(frame.dice) {
            // SAFETY: it is borrowed until the callback returns, and `with` admits one call at a time.
            Some(mut dice) => Ok(unsafe { dice.as_mut() }.below(limit)),
            None => Err(only_in_actions()),
        })?;
        number.set(below);
        Ok(())
    })
}

/// Sends an event to the models, like tea_session_publish. Does nothing while the session has not joined, or while too
/// many events wait. An event that may never be sent, such as one that is too large, fails the seed. For actions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_player_publish(
    player: *mut tea_player,
    scope: tea_str,
    event: tea_str,
    payload: tea_payload,
) -> tea_status {
    boundary(|| {
        let (scope, event) = (scope.get("scope")?, event.get("event")?);
        let payload = checked(payload)?;
        let data = payload.to_msgpack().map_err(|e| Failure::new(tea_status::Encoding, e))?;
        with(player, |frame| {
            frame.user(|user| {
                user.publish_encoded(scope, event, &data);
                Ok(())
            })
        })
    })
}

/// The id of this participant.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_player_view_id(
    player: *const tea_player,
    view: *mut tea_view_id,
) -> tea_status {
    boundary(|| {
        let view = view.check("view")?;
        let id = with(player, |frame| {
            let of_end = frame.end(|end| Ok(end.view_id()));
            of_end.unwrap_or_else(|| frame.user(|user| Ok(user.view_id())))
        })?;
        view.set(tea_view_id { bytes: id.0 });
        Ok(())
    })
}

/// The number of accepted events on a topic: in an action, those of this participant; in a check, those of all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_player_count(
    player: *const tea_player,
    scope: tea_str,
    event: tea_str,
    count: *mut u64,
) -> tea_status {
    boundary(|| {
        let count = count.check("count")?;
        let (scope, event) = (scope.get("scope")?, event.get("event")?);
        let number = with(player, |frame| {
            let of_end = frame.end(|end| Ok(end.count(scope, event)));
            of_end.unwrap_or_else(|| frame.user(|user| Ok(user.count(scope, event))))
        })?;
        count.set(number);
        Ok(())
    })
}

/// Asks a named query of a model of this participant, like tea_session_query.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_player_query(
    player: *const tea_player,
    model_id: u64,
    query: tea_str,
    argument: tea_payload,
    format: i32,
    answer: *mut *mut tea_value,
) -> tea_status {
    boundary(|| {
        let answer = answer.check("answer")?;
        let (query, format) = (query.get("query")?, format_of(format)?);
        let argument = argument.to_msgpack()?;
        let payload = with(player, |frame| {
            frame.vm(|vm| Ok(vm.query(ModelId(model_id), query, &argument)?))
        })?;
        answer.set(Value::of_payload(&payload, format)?.hand_out()?);
        Ok(())
    })
}
