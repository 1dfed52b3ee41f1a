//! What participants show of themselves.

use parking_lot::Mutex;
use teatime::{Driver, Payload, ViewId};

use crate::boundary::boundary;
use crate::handle::Held;
use crate::ids::tea_view_id;
use crate::out::{Check, null};
use crate::payload::{format_of, tea_payload};
use crate::session::{Session, tea_session};
use crate::status::{Failure, tea_status};
use crate::value::append_payload;

/// What a participant shows of itself.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tea_presence {
    /// The participant.
    pub view: tea_view_id,
    /// What it shows.
    pub data: tea_payload,
}

/// The bytes that C has fetched of what participants show.
pub(crate) type Fetched = Mutex<Vec<u8>>;

/// Shows something of this participant to the others: a cursor, a selection, that its user types. The newest counts, until
/// this participant exits. No model sees it, nothing of it is stored, and it has no place in the order. May be called for
/// every movement, and before the session is joined: some 30 a second are sent. The payload is copied. No bytes mean nil.
///
/// Fails with TEA_STATUS_TOO_LARGE if the value has more than 1 KiB as MessagePack, TEA_STATUS_OVER after the end, or
/// TEA_STATUS_BAD_FORMAT. What was shown before is still shown then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_set_presence(
    session: *mut tea_session,
    data: tea_payload,
) -> tea_status {
    boundary(|| {
        let data = data.to_whole_msgpack()?;
        Session::with(session, |session| session.shared.set_presence(&data))
    })
}

/// Shows nothing of this participant any longer.
///
/// Fails with TEA_STATUS_OVER after the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_clear_presence(session: *mut tea_session) -> tea_status {
    boundary(|| Session::with(session, |session| session.shared.clear_presence()))
}

/// What the other participants show of themselves, in the order of their ids. `presences` has room for `capacity` of them.
/// Writes their number to `count`. The payloads are in `format`, a tea_format, and valid until the next call of this
/// function or the free of the session. What this format cannot express is left out.
///
/// Fails with TEA_STATUS_BUFFER_TOO_SMALL if `capacity` is too small: the number of participants is always enough.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_session_presences(
    session: *mut tea_session,
    format: i32,
    presences: *mut tea_presence,
    capacity: usize,
    count: *mut usize,
) -> tea_status {
    boundary(|| {
        let count = count.check("count")?;
        if presences.is_null() {
            return Err(null("presences"));
        }
        let format = format_of(format)?;
        let fetch = |session: &Session, driver: &Driver| {
            let bytes = &mut *session.fetched.lock();
            bytes.clear();
            let mut shown = Vec::new();
            for (view, data) in driver.presences() {
                let start = bytes.len();
                let data = Payload::from_msgpack(data);
                if append_payload(bytes, &data, format).is_ok() {
                    shown.push((view, start..bytes.len()));
                } else {
                    bytes.truncate(start);
                }
            }
            if shown.len() > capacity {
                let message = format!("{} do not fit into {capacity} places", shown.len());
                return Err(Failure::new(tea_status::BufferTooSmall, message));
            }
            for (at, (ViewId(view), span)) in shown.iter().enumerate() {
                let data = tea_payload {
                    format: format as i32,
                    ..tea_payload::msgpack(&bytes[span.clone()])
                };
                let presence = tea_presence { view: tea_view_id { bytes: *view }, data };
                // SAFETY: the caller of every export promises room for `capacity` of them.
                unsafe { presences.add(at).write(presence) };
            }
            count.set(shown.len());
            Ok(())
        };
        Session::with(session, |session| session.shared.with(|driver| fetch(session, driver)))
    })
}
