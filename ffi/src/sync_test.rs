//! The sync test: finds the bugs in models by which participants would diverge.

use teatime::testing::{SyncError, SyncTest};
use teatime::{Duration, External, ViewId, ViewInfo};

use crate::app::{App, tea_app};
use crate::boundary::boundary;
use crate::handle::Held;
use crate::ids::tea_view_id;
use crate::out::null;
use crate::payload::tea_payload;
use crate::status::{Failure, Result, tea_status};
use crate::text::{tea_str, too_long};
use crate::value::checked;

/// The kind of a step of a sync test.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum tea_sync_kind {
    /// A participant joins: view.
    Join = 0,
    /// A participant exits: view.
    Exit = 1,
    /// A participant sends an event: view, scope, event, payload.
    Publish = 2,
    /// Time passes: span_us.
    Pass = 3,
}

/// A step of a sync test. The kind says which members have a meaning; the others may be zero.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tea_sync_step {
    /// The kind: a tea_sync_kind.
    pub kind: i32,
    /// The participant.
    pub view: tea_view_id,
    /// Scope of the topic.
    pub scope: tea_str,
    /// Event of the topic.
    pub event: tea_str,
    /// The published payload.
    pub payload: tea_payload,
    /// Session time that passes, in µs.
    pub span_us: u64,
}

/// Plays a session on one virtual machine, and the same on a twin that was restored from a snapshot. Compares the two byte
/// by byte after every `every` steps (1 finds most bugs), and restores a new twin. They differ if save forgets a part of
/// the state, if load changes an order, or if a model uses values from outside. This uses no network and no thread.
///
/// Fails with TEA_STATUS_SYNC_DIFFERS if the two differ: the message names the model and the field, and both contents.
/// Fails with TEA_STATUS_FAULT if a handler fails, and with TEA_STATUS_MODEL if the session cannot be started or restored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_sync_test(
    app: *const tea_app,
    options: tea_payload,
    every: u64,
    steps: *const tea_sync_step,
    count: usize,
) -> tea_status {
    boundary(|| {
        if steps.is_null() {
            return Err(null("steps"));
        }
        if count > isize::MAX as usize / size_of::<tea_sync_step>() {
            return Err(too_long("steps"));
        }
        // SAFETY: the caller of every export promises valid pointers.
        let steps = unsafe { std::slice::from_raw_parts(steps, count) };
        let options = options.to_msgpack()?;
        let app = App::with(app, App::build)?;
        let options = app
            .canonical_options(&options)
            .map_err(|why| Failure::new(tea_status::BadOptions, why))?;
        let mut test = SyncTest::with_encoded_options(&app, &options).map_err(failed)?.every(every);
        for step in steps {
            play(&mut test, step)?;
        }
        test.finish().map_err(failed)
    })
}

fn play(test: &mut SyncTest, step: &tea_sync_step) -> Result<()> {
    let view = ViewId(step.view.bytes);
    let info = [ViewInfo { view_id: view, view_data: None }];
    let played = match step.kind {
        0 => test.deliver(&External::Presence { exited: &[], joined: &info }),
        1 => test.deliver(&External::Presence { exited: &info, joined: &[] }),
        2 => {
            let (scope, event) = (step.scope.get("scope")?, step.event.get("event")?);
            let payload = checked(step.payload)?;
            let payload =
                payload.to_msgpack().map_err(|e| Failure::new(tea_status::Encoding, e))?;
            test.deliver(&External::Event { sender: view, scope, event, payload: &payload })
        }
        3 => test.pass(Duration::from_micros(step.span_us)),
        kind => {
            let message = format!("{kind} is not a tea_sync_kind");
            return Err(Failure::new(tea_status::InvalidArgument, message));
        }
    };
    played.map_err(failed)
}

fn failed(error: SyncError) -> Failure {
    let status = match error {
        SyncError::Differs(_) => tea_status::SyncDiffers,
        SyncError::Fault(_) => tea_status::Fault,
        _ => tea_status::Model,
    };
    Failure::new(status, error)
}
