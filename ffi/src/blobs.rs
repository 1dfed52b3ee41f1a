//! Blobs: large bytes beside sessions, stored once and fetched by the participants that need them.

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

/// The blobs of a room: up to 2 GiB each, too large for events. Free it with tea_blobs_free.
///
/// The reflector stores a blob in pieces, encrypted like the session if there is a password. A blob has a handle: a
/// text of 125 bytes that begins with "teatime-blob:". Send it in events and store it in models, unchanged. A blob
/// stays as long as the state of a model has its handle, and a while longer. A handle is bound to app, room and
/// password: only a client with the same ones can fetch the blob. Versions and options do not matter.
#[derive(Debug)]
pub struct tea_blobs {
    _opaque: [u8; 0],
}

/// The blobs of a room, and the cache on this device.
pub(crate) struct Blobs(Mutex<RoomBlobs>);

held!(Blobs, tea_blobs, "tea_blobs");

/// A transfer of a blob, on a thread of the library. Free it with tea_transfer_free, which also cancels it. If the
/// connection breaks, the transfer goes on with another one, and sends nothing twice. A later transfer of the same
/// content also continues where this one ended.
#[derive(Debug)]
pub struct tea_transfer {
    _opaque: [u8; 0],
}

/// A transfer that C holds.
pub(crate) type Transfer = SharedTransfer;

held!(Transfer, tea_transfer, "tea_transfer");

/// The blobs of the room that a config describes, at the reflector with this address. This does not connect yet. If
/// there is a password, deriving the keys takes about 30 ms. The caller frees the result with tea_blobs_free.
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

/// Caches fetched pieces in a directory, with at most `max_bytes` bytes. The pieces that were not used for longest are
/// deleted first. The directory is made if it does not exist. If there is a password, the pieces are encrypted. Each
/// piece is checked before it is used.
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

/// The same blobs, with a cache.
pub(crate) fn with_cache(blobs: &RoomBlobs, directory: &str, max_bytes: u64) -> Result<RoomBlobs> {
    blobs
        .clone()
        .with_cache(Path::new(directory), max_bytes)
        .map_err(|error| Failure::new(tea_status::Io, format!("{directory}: {error}")))
}

/// Frees it. Transfers that have started go on. Fails with TEA_STATUS_WRONG_HANDLE the second time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blobs_free(blobs: *mut tea_blobs) -> tea_status {
    boundary(|| Blobs::free(blobs))
}

/// Starts a transfer.
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

/// Starts to store `count` bytes, which are copied. Afterwards, tea_transfer_handle has the handle. The caller frees the
/// transfer with tea_transfer_free.
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

/// Starts to store a file. Only a few pieces of it are in memory at a time. Afterwards, tea_transfer_handle has the
/// handle. The caller frees the transfer with tea_transfer_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blobs_store_file(
    blobs: *const tea_blobs,
    file: tea_str,
    transfer: *mut *mut tea_transfer,
) -> tea_status {
    start(blobs, transfer, || Ok(Job::StoreFile(file.get("file")?.into())))
}

/// Starts to fetch the blob with this handle. Afterwards, tea_transfer_bytes has its bytes. The caller frees the transfer
/// with tea_transfer_free.
///
/// Fails with TEA_STATUS_BAD_BLOB_HANDLE if the text is not a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blobs_fetch(
    blobs: *const tea_blobs,
    handle: tea_str,
    transfer: *mut *mut tea_transfer,
) -> tea_status {
    start(blobs, transfer, || Ok(Job::Fetch(handle_of(handle.get("handle")?)?)))
}

/// Starts to fetch the blob with this handle into a file. In the end the file has the whole blob, or it is as it was
/// before. The caller frees the transfer with tea_transfer_free.
///
/// A transfer that ends early leaves what has arrived in a file beside it, with the name of the file, some digits and
/// `.part`. The next transfer of the same blob into the same file continues there. While another transfer does that,
/// this one waits. The `.part` file is deleted if the blob cannot be fetched at all. Delete FILE.*.part if the blob is
/// no longer needed.
///
/// Fails with TEA_STATUS_BAD_BLOB_HANDLE if the text is not a handle.
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

/// Whether a handle belongs to this room and its password. This does not ask the reflector.
///
/// Fails with TEA_STATUS_BAD_BLOB_HANDLE if the text is not a handle.
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

/// The size in bytes of the blob with this handle: less than 2^63.
///
/// Fails with TEA_STATUS_BAD_BLOB_HANDLE if the text is not a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_blob_size(handle: tea_str, size: *mut u64) -> tea_status {
    boundary(|| {
        let size = size.check("size")?;
        size.set(handle_of(handle.get("handle")?)?.size());
        Ok(())
    })
}

/// The progress of a transfer in bytes: `done` of `total` have arrived. Both are 0 at first.
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

/// Sets the function that a background thread calls when there is progress, about ten times a second at most, and at
/// the end; NULL for none. This call also calls it once immediately. `user_data` is passed to it. After this call
/// returns, the previous waker is not called again. So do not hold a lock here that the previous waker takes.
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

/// Cancels a transfer. It ends within about a tenth of a second, unless a disk takes longer. Its status is then
/// TEA_STATUS_CANCELLED, unless it had just finished.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_transfer_cancel(transfer: *mut tea_transfer) -> tea_status {
    boundary(|| {
        Transfer::with(transfer, |transfer| {
            transfer.cancel();
            Ok(())
        })
    })
}

/// Waits for the end of a transfer, for `at_most_us` µs at most; 0 does not wait. `over` becomes whether the transfer
/// has succeeded. If it has failed, this call fails with the same status, every time.
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

/// The result of a transfer, if it is over.
fn brought(transfer: &Transfer, stored: bool) -> Result<&[u8]> {
    if transfer.stores() != stored {
        let message = "a transfer that stores has a handle, and one that fetches has bytes";
        return Err(Failure::new(tea_status::WrongType, message));
    }
    let not_over = || Failure::new(tea_status::NotFound, "the transfer is not over yet");
    transfer.result().ok_or_else(not_over)?
}

/// The handle of the stored blob. It is valid until the transfer is freed.
///
/// Fails with TEA_STATUS_NOT_FOUND if the transfer is not over, with TEA_STATUS_WRONG_TYPE if it fetches, and as
/// tea_transfer_wait does.
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

/// The fetched bytes; none if they were fetched into a file. They are valid until the transfer is freed.
///
/// Fails with TEA_STATUS_NOT_FOUND if the transfer is not over, with TEA_STATUS_WRONG_TYPE if it stores, and as
/// tea_transfer_wait does.
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

/// Frees a transfer, and cancels it if it is not over. After this call returns, the waker is not called again. So do
/// not hold a lock here that the waker takes. Fails with TEA_STATUS_WRONG_HANDLE the second time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_transfer_free(transfer: *mut tea_transfer) -> tea_status {
    boundary(|| {
        Transfer::with(transfer, |transfer| {
            // Not when the object is dropped: that may be later, if another thread uses it.
            transfer.close();
            Ok(())
        })?;
        Transfer::free(transfer)
    })
}
