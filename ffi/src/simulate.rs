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

/// Who does something in a simulation, or is looked at when it ends: valid on the same thread until the
/// callback returns.
pub struct tea_player {
    _opaque: [u8; 0],
}

/// Something that users do now and then.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tea_action {
    /// One with weight 3 comes three times as often as one with weight 1.
    pub weight: u64,
    /// Does it: anything but 0 fails the seed. What it does must follow from its arguments, or the same seed is
    /// another run each time. It must return: no longjmp, no exception may leave it, so no assertion of a test
    /// framework belongs in it.
    pub act: Option<unsafe extern "C" fn(player: *mut tea_player, user_data: *mut c_void) -> i32>,
    /// Handed to act.
    pub user_data: *mut c_void,
}

/// What is played. Set it all to zero first, then size to sizeof(tea_simulation). Whatever stays zero
/// means what stands here in brackets.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tea_simulation {
    /// sizeof(tea_simulation): tells the library which header the program was compiled with.
    pub size: usize,
    /// The root model's options (nil).
    pub options: tea_payload,
    /// What each participant brings along (nothing).
    pub view_data: tea_payload,
    /// What an older version of the app has persisted: each session begins with it, in the room that the older version
    /// has left (nothing).
    pub begins_with: tea_payload,
    /// The version of its layout, from 1 on (0 where there is nothing).
    pub begins_with_version: u32,
    /// What users do (nothing).
    pub actions: *const tea_action,
    /// How many actions.
    pub action_count: usize,
    /// Asked at the end of each seed, for each of those who are left, once they agree, and once more where the first
    /// seed was played again: anything but 0 fails the seed (nobody is asked). It must return, as act must.
    pub check: Option<unsafe extern "C" fn(player: *mut tea_player, user_data: *mut c_void) -> i32>,
    /// Handed to check.
    pub check_data: *mut c_void,
    /// How many seeds, from 1 on (100).
    pub seeds: u64,
    /// For how many virtual seconds faults happen (60).
    pub seconds: u64,
    /// How many participants there are at once at most (5).
    pub participants: u32,
    /// After how many inputs a participant is compared with a twin that was restored from its snapshot (1,
    /// which finds most).
    pub distance: u32,
    /// How many runs may be spent on making a seed that fails smaller (300).
    pub shrink_runs: u32,
    /// Whether handlers may fail (they may not).
    pub allow_faults: bool,
    /// Whether there is no twin, whatever distance says (there is one).
    pub no_twin: bool,
    /// Whether a seed that fails is left as it is, whatever shrink_runs says (it is made smaller).
    pub no_shrinking: bool,
    /// What does not happen: names as in files of plans, such as "starts", "crashes", "leaves", "cut", "partition",
    /// "freezes", "reflector_crashes", "disk_full", "bursts" (all of it may). A wrong name is answered with all that
    /// there are.
    pub without: *const tea_str,
    /// How many names.
    pub without_count: usize,
    /// A directory where plans that fail are kept, made small, as files of JSON (nowhere). What is in there of this app
    /// is played before any seed; nothing happens in it either that without names, and no more take part than
    /// participants says. What only the second play of the first seed finds is not kept. Nothing is removed: a model
    /// that fails in another way each time leaves another file each time.
    pub keep_in: tea_str,
    /// A file of such a plan, to be played in place of all seeds, exactly as it is (none).
    pub plan: tea_str,
}

/// What a simulation was like.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tea_simulation_report {
    /// Seeds that were played; that the first is played again is not among them, nor in any number below but checked.
    pub runs: u64,
    /// Virtual hours of all participants together.
    pub client_hours: f64,
    /// Events that were accepted, counted at each participant that was left.
    pub events: u64,
    /// How often a participant was compared with another one.
    pub compared: u64,
    /// How often a participant was compared with its twin.
    pub synced: u64,
    /// How often check was asked, also where the first seed was played again.
    pub checked: u64,
}

/// A callback that runs, and what it is about.
#[derive(Clone, Copy)]
struct Frame {
    number: usize,
    dice: *mut Dice,
    user: *mut User<'static>,
    end: *const End<'static>,
}

const NOBODY: Frame = Frame { number: 0, dice: null_mut(), user: null_mut(), end: null() };

thread_local! {
    static CURRENT: Cell<Frame> = const { Cell::new(NOBODY) };
}

/// Numbers callbacks, of all threads: one that is over is told from one that runs.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// Ends a frame however its callback ends.
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

/// Runs something with what a player stands for.
fn with<R>(player: *const tea_player, run: impl FnOnce(Frame) -> Result<R>) -> Result<R> {
    if player.is_null() {
        return Err(is_null("player"));
    }
    let frame = CURRENT.get();
    if frame.number == 0 || frame.number != player.addr() {
        let message = "this player is not that of the callback that runs";
        return Err(Failure::new(tea_status::NotInModel, message));
    }
    // A model's query may come back here: while this call runs, what it borrows is nobody's.
    let _restore = Restore(CURRENT.replace(NOBODY));
    run(frame)
}

impl Frame {
    fn user<R>(self, run: impl FnOnce(&mut User<'static>) -> Result<R>) -> Result<R> {
        match NonNull::new(self.user) {
            // SAFETY: `acting` borrows it until the callback returns, and `with` lets no call in while another one runs.
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
                None => Err(Failure::new(tea_status::NotJoined, "there is no model yet")),
            })
        })
    }
}

fn only_in_actions() -> Failure {
    Failure::new(tea_status::InvalidArgument, "the simulation is over: this is for actions")
}

/// What C hands along. Only the thread that called [`tea_simulate`] gives it back to C.
#[derive(Clone, Copy)]
struct UserData(*mut c_void);

// SAFETY: a simulation with one thread plays on the caller's, and so calls its closures there.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    /// A closure that calls this takes all of it along, not the pointer alone.
    fn get(self) -> *mut c_void {
        self.0
    }
}

/// Plays the models of an app under faults, seed by seed, in virtual time: several participants that join and
/// exit on bad lines, cuts, partitions, slow readers, late joins, a reflector that crashes and comes back. No
/// network, no thread: all callbacks of models and actions are called on this one before this returns. Once all seeds
/// have passed, the first is played again, a second after it was played before at the earliest, and compared with that:
/// so a clock of seconds is found. The environment variable TEATIME_SEED plays one seed only, TEATIME_SEEDS so many,
/// TEATIME_PLAN a file that was kept, if it is of this app.
///
/// A program has either libteatime in it or libteatime-testing. With both, an app that libteatime has made is none here:
/// this fails with TEA_STATUS_WRONG_HANDLE, and says so on the standard error, since tea_last_error may be the other
/// library's.
///
/// Fails with TEA_STATUS_SYNC_DIFFERS if participants differ, or one from its twin, or a seed from itself: the message
/// names model and field, what both have there, and after which event, in several lines, with the seed and what is left
/// of it after all was taken away that it does not need. Fails with TEA_STATUS_FAULT if a handler fails, with
/// TEA_STATUS_BAD_SNAPSHOT if a model cannot be saved or not be loaded from what it saved, with TEA_STATUS_MODEL if the
/// app cannot be started, with TEA_STATUS_INVALID_ARGUMENT if the simulation cannot be played as it is said, or proves
/// nothing, with TEA_STATUS_CHECK_FAILED if anything else is wrong.
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
            let message = "begins_with and begins_with_version are said together, or neither is";
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
                let frame = Frame { dice, user, ..NOBODY };
                // SAFETY: the documentation of `tea_action` says how it is called.
                match enter(frame, |player| unsafe { act(player, data.get()) }) {
                    0 => Ok(()),
                    code => Err(format!("act returned {code}")),
                }
            });
        }
        if let Some(check) = how.check {
            let data = UserData(how.check_data);
            simulation = simulation.check(move |end| {
                let frame = Frame { end: std::ptr::from_ref(end).cast(), ..NOBODY };
                // SAFETY: the documentation of `tea_simulation` says how it is called.
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

/// The app, if this library has made it.
fn own(app: *const tea_app) -> Result<teatime::App> {
    App::with(app, App::build).inspect_err(|failure| {
        if failure.status == tea_status::WrongHandle {
            // What the program asks for messages may be the other library, too.
            eprintln!(
                "tea_simulate: libteatime-testing has not made this app, or it was freed: if this program has \
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

/// The table of a caller who knows the same header.
fn read(simulation: *const tea_simulation) -> Result<tea_simulation> {
    if simulation.is_null() {
        return Err(is_null("simulation"));
    }
    // SAFETY: the caller of every export promises that its pointers are valid; the size comes first.
    let size = unsafe { simulation.cast::<usize>().read() };
    let known = size_of::<tea_simulation>();
    if size != known {
        let message = format!("tea_simulation.size is {size}, it must be {known}");
        return Err(Failure::new(tea_status::InvalidArgument, message));
    }
    // SAFETY: as above.
    Ok(unsafe { *simulation })
}

fn actions(how: &tea_simulation) -> Result<&[tea_action]> {
    // SAFETY: the caller of every export promises that its pointers are valid.
    unsafe { list(how.actions, how.action_count, "actions") }
}

/// What the caller has there.
///
/// # Safety
/// There must be so many, as long as what is returned.
unsafe fn list<'a, T>(first: *const T, count: usize, name: &str) -> Result<&'a [T]> {
    match (count, first.is_null()) {
        (0, _) => Ok(&[]),
        (_, true) => Err(is_null(name)),
        (count, _) if count > isize::MAX as usize / size_of::<T>() => Err(too_long(name)),
        // SAFETY: the caller promises it.
        (count, false) => Ok(unsafe { std::slice::from_raw_parts(first, count) }),
    }
}

/// What has this name in files of plans.
fn what(name: tea_str) -> Result<What> {
    let name = name.get("without")?;
    What::ALL.into_iter().map(|(what, _)| what).find(|what| what.name() == name).ok_or_else(|| {
        let all: Vec<_> = What::ALL.into_iter().map(|(what, _)| what.name()).collect();
        let message = format!("nothing that happens is called {name:?}; but: {}", all.join(", "));
        Failure::new(tea_status::InvalidArgument, message)
    })
}

/// Zeros say nothing.
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
    // SAFETY: the caller of every export promises that its pointers are valid.
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

/// A random number below a limit that follows from the seed; 0, if the limit is. For actions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_player_below(
    player: *mut tea_player,
    limit: u64,
    number: *mut u64,
) -> tea_status {
    boundary(|| {
        let number = number.check("number")?;
        let below = with(player, |frame| match NonNull::new(frame.dice) {
            // SAFETY: it is borrowed until the callback returns, and `with` lets no call in while another one runs.
            Some(mut dice) => Ok(unsafe { dice.as_mut() }.below(limit)),
            None => Err(only_in_actions()),
        })?;
        number.set(below);
        Ok(())
    })
}

/// Sends an event to the models, as tea_session_publish does. While the session has not been joined, or too
/// much waits to be sent, nothing happens; what may never be sent fails the seed. For actions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_player_publish(
    player: *mut tea_player,
    scope: tea_str,
    event: tea_str,
    data: tea_payload,
) -> tea_status {
    boundary(|| {
        let (scope, event) = (scope.get("scope")?, event.get("event")?);
        let payload = checked(data)?;
        let data = payload.to_msgpack().map_err(|e| Failure::new(tea_status::Encoding, e))?;
        with(player, |frame| {
            frame.user(|user| {
                user.publish_encoded(scope, event, &data);
                Ok(())
            })
        })
    })
}

/// Who this is.
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

/// How many events on a topic were accepted: in an action, from this player; in a check, from anybody.
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

/// Asks a named query of what this player has as its models, as tea_session_query does.
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
