//! Texts: UTF-8 with a length.

use crate::out::null;
use crate::status::{Failure, Result, tea_status};

/// A text: UTF-8 with a length, not terminated by a zero. It is borrowed: whoever made it keeps
/// the bytes where they are, the caller for the time of the call, the library for as long as the
/// function says that gave it. An empty text may have a NULL pointer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tea_str {
    /// The bytes.
    pub ptr: *const std::ffi::c_char,
    /// How many bytes.
    pub len: usize,
}

impl tea_str {
    /// The empty text.
    pub(crate) const EMPTY: Self = Self { ptr: c"".as_ptr(), len: 0 };

    /// The text for the time of a call; `name` is its name in messages.
    pub(crate) fn get<'a>(self, name: &str) -> Result<&'a str> {
        if self.len == 0 {
            return Ok("");
        }
        if self.ptr.is_null() {
            return Err(null(name));
        }
        if self.len > isize::MAX as usize {
            return Err(too_long(name));
        }
        // SAFETY: the caller of every export promises that the bytes are there during the call.
        let bytes = unsafe { std::slice::from_raw_parts(self.ptr.cast::<u8>(), self.len) };
        std::str::from_utf8(bytes).map_err(|error| {
            Failure::new(tea_status::InvalidUtf8, format!("{name} is no UTF-8: {error}"))
        })
    }
}

#[cold]
pub(crate) fn too_long(name: &str) -> Failure {
    Failure::new(tea_status::InvalidArgument, format!("{name} is longer than memory"))
}

impl From<&str> for tea_str {
    fn from(text: &str) -> Self {
        Self { ptr: text.as_ptr().cast(), len: text.len() }
    }
}
