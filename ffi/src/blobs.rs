//! Blobs: large data beside sessions, stored once and fetched by whoever needs it.

use std::ffi::c_void;
use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use teatime::blobs::Blobs as RoomBlobs;

use crate::boundary::boundary;
use crate::config::{Config, tea_config};
use crate::handle::{Held, held};
use crate::out::{Check, null};
use crate::status::{Failure, Result, tea_status};
use crate::text::{tea_str, too_long};
use crate::transfer::{Job, SharedTransfer, handle_of};
use crate::wake::{callback, tea_waker};

/// The blobs of a room: data of up to 2 GiB each that is too large for events. Free it with
/// tea_blobs_free.
///
/// What is stored is cut into pieces, encrypted like the session if there is a password, and kept by
/// the reflector. A handle stands for it: a text of 125 bytes that begins with "teatime-blob:", to be
/// sent in events and kept in models as a text, as it is. A blob stays as long as a model's state has
/// its handle, and a while longer. Handles are bound to app, name and password: whoever has the same
/// ones, whatever the versions and options, can fetch the blob, and nobody else.
pub struct tea_blobs {
    _opaque: [u8; 0],
}

/// The blobs of a room, and where pieces of them are kept on this device.
pub(crate) struct Blobs(Mutex<RoomBlobs>);

held!(Blobs, tea_blobs, "tea_blobs");

/// A blob on its way, which a thread of the library sees to. Free it with tea_transfer_free; that
/// cancels it. When a connection breaks it goes on with another one, and nothing that has arrived is
/// sent again; so does a transfer of the same content that is started later.
pub struct tea_transfer {
    _opaque: [u8; 0],
}

/// A transfer that C holds.
pub(crate) type Transfer = SharedTransfer;

held!(Transfer, tea_transfer, "tea_transfer");

/// The blobs of the room that a configuration describes, at the reflector with this address. It does
/// not connect yet. With a password deriving the keys takes some 30 ms.
///
/// Fails with TEA_STATUS_BAD_ADDRESS or TEA_STATUS_BAD_CERTIFICATES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blobs_new(
    config: *const tea_config,
    reflector: tea_str,
    blobs: *mut *mut tea_blobs,
) -> tea_status {
    boundary(|| {
        let blobs = blobs.check("blobs")?;
        let config = Config::with(config, Config::checked)?;
        let room = RoomBlobs::new(&config, reflector.get("reflector")?)?;
        blobs.set(Blobs(Mutex::new(room)).hand_out()?);
        Ok(())
    })
}

/// Keeps what is fetched in a directory, which is made if it is not there; at most so many bytes: what
/// was not used for longest goes first. What is in it is encrypted if there is a password, and is
/// checked whenever it is used.
///
/// Fails with TEA_STATUS_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blobs_set_cache(
    blobs: *mut tea_blobs,
    directory: tea_str,
    max_bytes: u64,
) -> tea_status {
    boundary(|| {
        let directory = directory.get("directory")?;
        Blobs::with(blobs, |blobs| {
            let mut held = blobs.0.lock();
            *held = with_cache(&held, directory, max_bytes)?;
            Ok(())
        })
    })
}

/// The same blobs, with a directory for pieces of them.
pub(crate) fn with_cache(blobs: &RoomBlobs, directory: &str, max_bytes: u64) -> Result<RoomBlobs> {
    blobs
        .clone()
        .with_cache(Path::new(directory), max_bytes)
        .map_err(|error| Failure::new(tea_status::Io, format!("{directory}: {error}")))
}

/// Frees it. Transfers that were started go on. Freeing it twice is TEA_STATUS_WRONG_HANDLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blobs_free(blobs: *mut tea_blobs) -> tea_status {
    boundary(|| Blobs::free(blobs))
}

/// Starts to do something with a room's blobs.
fn start(
    blobs: *const tea_blobs,
    transfer: *mut *mut tea_transfer,
    job: impl FnOnce() -> Result<Job>,
) -> tea_status {
    boundary(|| {
        let transfer = transfer.check("transfer")?;
        let room = Blobs::with(blobs, |blobs| Ok(blobs.0.lock().clone()))?;
        transfer.set(Transfer::start(room, job()?)?.hand_out()?);
        Ok(())
    })
}

/// Starts to store bytes, which are copied. tea_transfer_handle gives the handle in the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blobs_store(
    blobs: *const tea_blobs,
    content: *const u8,
    count: usize,
    transfer: *mut *mut tea_transfer,
) -> tea_status {
    start(blobs, transfer, || match (content.is_null(), count) {
        (_, 0) => Ok(Job::Store(Vec::new())),
        (true, _) => Err(null("content")),
        (false, _) if count > isize::MAX as usize => Err(too_long("content")),
        (false, _) => {
            // SAFETY: the caller of every export promises that the bytes are there during the call.
            Ok(Job::Store(unsafe { std::slice::from_raw_parts(content, count) }.to_vec()))
        }
    })
}

/// Starts to store a file, of which only a few pieces are in memory at a time. tea_transfer_handle
/// gives the handle in the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blobs_store_file(
    blobs: *const tea_blobs,
    file: tea_str,
    transfer: *mut *mut tea_transfer,
) -> tea_status {
    start(blobs, transfer, || Ok(Job::StoreFile(file.get("file")?.into())))
}

/// Starts to fetch the blob with this handle. tea_transfer_bytes gives it in the end.
///
/// Fails with TEA_STATUS_BAD_BLOB_HANDLE if the text is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blobs_fetch(
    blobs: *const tea_blobs,
    handle: tea_str,
    transfer: *mut *mut tea_transfer,
) -> tea_status {
    start(blobs, transfer, || Ok(Job::Fetch(handle_of(handle.get("handle")?)?)))
}

/// Starts to fetch the blob with this handle into a file, which is there whole in the end, or as it
/// was before. What has arrived when it ends early stays beside it, in a file of its name, some digits
/// and `.part`: who fetches the same blob into the same file goes on there, or waits while somebody
/// else does that. It is removed if nobody can ever go on; remove FILE.*.part if the blob is not
/// wanted any more.
///
/// Fails with TEA_STATUS_BAD_BLOB_HANDLE if the text is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blobs_fetch_file(
    blobs: *const tea_blobs,
    handle: tea_str,
    file: tea_str,
    transfer: *mut *mut tea_transfer,
) -> tea_status {
    start(blobs, transfer, || {
        let (handle, file) = (handle.get("handle")?, file.get("file")?);
        Ok(Job::FetchFile(handle_of(handle)?, file.into()))
    })
}

/// Whether a handle belongs to this room, and to its password. The reflector is not asked.
///
/// Fails with TEA_STATUS_BAD_BLOB_HANDLE if the text is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blobs_owns(
    blobs: *const tea_blobs,
    handle: tea_str,
    owns: *mut bool,
) -> tea_status {
    boundary(|| {
        let owns = owns.check("owns")?;
        Blobs::with(blobs, |blobs| {
            owns.set(blobs.0.lock().owns(&handle_of(handle.get("handle")?)?));
            Ok(())
        })
    })
}

/// How many bytes the blob with this handle has: less than 2^63.
///
/// Fails with TEA_STATUS_BAD_BLOB_HANDLE if the text is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blob_size(handle: tea_str, size: *mut u64) -> tea_status {
    boundary(|| {
        let size = size.check("size")?;
        size.set(handle_of(handle.get("handle")?)?.size());
        Ok(())
    })
}

/// How far a transfer is: how many bytes of the blob are where they shall be, and how many it has;
/// both are 0 at first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_transfer_progress(
    transfer: *const tea_transfer,
    done: *mut u64,
    total: *mut u64,
) -> tea_status {
    boundary(|| {
        let (done, total) = (done.check("done")?, total.check("total")?);
        Transfer::with(transfer, |transfer| {
            let progress = transfer.progress();
            done.set(progress.done);
            total.set(progress.total);
            Ok(())
        })
    })
}

/// Sets what is called, from a background thread, when there is progress, at most some ten times a
/// second, and at the end; NULL for nothing. It is also called once at once. When this returns, the
/// one before is not called any more: do not hold a lock that it takes. `user_data` is passed to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_transfer_set_waker(
    transfer: *mut tea_transfer,
    waker: tea_waker,
    user_data: *mut c_void,
) -> tea_status {
    boundary(|| {
        Transfer::with(transfer, |transfer| {
            transfer.set_callback(callback(waker, user_data));
            Ok(())
        })
    })
}

/// Ends a transfer within about a tenth of a second, unless a disk takes longer: with
/// TEA_STATUS_CANCELLED, unless it has come to its end just now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_transfer_cancel(transfer: *mut tea_transfer) -> tea_status {
    boundary(|| {
        Transfer::with(transfer, |transfer| {
            transfer.cancel();
            Ok(())
        })
    })
}

/// Whether a transfer is over, which it is if it went well; waits for that at most so many µs, and
/// not at all with 0. Where it has failed this fails in the same way, every time.
///
/// Fails with TEA_STATUS_BLOB_TOO_LARGE before anything was sent, and with TEA_STATUS_NO_ROOM,
/// TEA_STATUS_SERVER_DISK_FULL, TEA_STATUS_NOT_STORED, TEA_STATUS_UNKNOWN_BLOB,
/// TEA_STATUS_OTHER_SESSION, TEA_STATUS_WRONG_BYTES, TEA_STATUS_FORGOTTEN, TEA_STATUS_WRONG_SIZE,
/// TEA_STATUS_CANCELLED, TEA_STATUS_BUSY, TEA_STATUS_CLOSED, TEA_STATUS_UNREACHABLE,
/// TEA_STATUS_BAD_CERTIFICATE, TEA_STATUS_PROTOCOL, TEA_STATUS_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_transfer_wait(
    transfer: *const tea_transfer,
    at_most_us: u64,
    over: *mut bool,
) -> tea_status {
    boundary(|| {
        let over = over.check("over")?;
        Transfer::with(transfer, |transfer| {
            transfer.wait(Duration::from_micros(at_most_us));
            over.set(transfer.result().transpose()?.is_some());
            Ok(())
        })
    })
}

/// What a transfer has brought, if it is over.
fn brought(transfer: &Transfer, stored: bool) -> Result<&[u8]> {
    if transfer.stores() != stored {
        let message = "what stores gives a handle, what fetches gives bytes";
        return Err(Failure::new(tea_status::WrongType, message));
    }
    let not_over = || Failure::new(tea_status::NotFound, "the transfer is not over");
    transfer.result().ok_or_else(not_over)?
}

/// The handle of what was stored. It lives until the transfer is freed.
///
/// Fails with TEA_STATUS_NOT_FOUND if it is not over, with TEA_STATUS_WRONG_TYPE if it was to fetch
/// something, and as tea_transfer_wait does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_transfer_handle(
    transfer: *const tea_transfer,
    handle: *mut tea_str,
) -> tea_status {
    boundary(|| {
        let handle = handle.check("handle")?;
        Transfer::with(transfer, |transfer| {
            let text = brought(transfer, true)?;
            handle.set(tea_str { ptr: text.as_ptr().cast(), len: text.len() });
            Ok(())
        })
    })
}

/// What was fetched; nothing if it was fetched into a file. It lives until the transfer is freed.
///
/// Fails with TEA_STATUS_NOT_FOUND if it is not over, with TEA_STATUS_WRONG_TYPE if it was to store
/// something, and as tea_transfer_wait does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_transfer_bytes(
    transfer: *const tea_transfer,
    bytes: *mut *const u8,
    count: *mut usize,
) -> tea_status {
    boundary(|| {
        let (bytes, count) = (bytes.check("bytes")?, count.check("count")?);
        Transfer::with(transfer, |transfer| {
            let fetched = brought(transfer, false)?;
            bytes.set(fetched.as_ptr());
            count.set(fetched.len());
            Ok(())
        })
    })
}

/// Frees a transfer, and cancels it if it is not over. When this returns the waker is not called any
/// more: do not hold a lock that it takes. Freeing it twice is TEA_STATUS_WRONG_HANDLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_transfer_free(transfer: *mut tea_transfer) -> tea_status {
    boundary(|| {
        Transfer::with(transfer, |transfer| {
            // Here, not when the object goes: that may be later, if another thread uses it.
            transfer.close();
            Ok(())
        })?;
        Transfer::free(transfer)
    })
}
