//! Texts: UTF-8 with a length.

use crate::out::null;
use crate::status::{Failure, Result, tea_status};

/// A text: UTF-8 with a length, not terminated by a zero. It is borrowed. The bytes of a text that the caller passes in
/// must stay valid during the call. The bytes of a text that the library returns are valid as long as the function says.
/// An empty text may have a NULL pointer.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tea_str {
    /// The bytes.
    pub ptr: *const std::ffi::c_char,
    /// The number of bytes.
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
        // SAFETY: the caller of every export promises that the bytes are valid during the call.
        let bytes = unsafe { std::slice::from_raw_parts(self.ptr.cast::<u8>(), self.len) };
        std::str::from_utf8(bytes).map_err(|error| {
            Failure::new(tea_status::InvalidUtf8, format!("{name} is not valid UTF-8: {error}"))
        })
    }
}

#[cold]
pub(crate) fn too_long(name: &str) -> Failure {
    Failure::new(
        tea_status::InvalidArgument,
        format!("the length of {name} exceeds the address space"),
    )
}

impl From<&str> for tea_str {
    fn from(text: &str) -> Self {
        Self { ptr: text.as_ptr().cast(), len: text.len() }
    }
}
