//! The sync test: finds what would make participants differ, before they do.

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

/// What a step of a sync test does.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum tea_sync_kind {
    /// A view joins: view.
    Join = 0,
    /// A view exits: view.
    Exit = 1,
    /// A view sends an event: view, scope, event, data.
    Publish = 2,
    /// Time passes: span_us.
    Pass = 3,
}

/// A step of a sync test. Which members mean something depends on the kind; the others may be zero.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tea_sync_step {
    /// What it does: a tea_sync_kind.
    pub kind: i32,
    /// Who.
    pub view: tea_view_id,
    /// Scope of the topic.
    pub scope: tea_str,
    /// Event of the topic.
    pub event: tea_str,
    /// What is published.
    pub data: tea_payload,
    /// Session time that passes, in µs.
    pub span_us: u64,
}

/// Plays a session on one virtual machine, and the same on a twin that comes fresh from a snapshot;
/// compares the two byte by byte after every so many steps (1 finds most), and starts a new twin.
/// State that save forgets, order that load changes, values from outside the model: all of it makes
/// the two differ. No network, no thread.
///
/// Fails with TEA_STATUS_SYNC_DIFFERS, and the message names model and field, what one has there
/// and what the other; with TEA_STATUS_FAULT if a handler fails; with TEA_STATUS_MODEL if the
/// session cannot be started or restored.
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
        // SAFETY: the caller of every export promises that its pointers are valid.
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
            let payload = checked(step.data)?;
            let payload =
                payload.to_msgpack().map_err(|e| Failure::new(tea_status::Encoding, e))?;
            test.deliver(&External::Event { sender: view, scope, event, payload: &payload })
        }
        3 => test.pass(Duration::from_micros(step.span_us)),
        kind => {
            let message = format!("there is no kind of step {kind}");
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
