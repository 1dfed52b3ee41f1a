//! Identities of sessions, views and states, and what people compare.

use teatime::Badge;

/// Identity of a session: who has the same one is in the same session.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tea_session_id {
    /// 32 bytes.
    pub bytes: [u8; 32],
}

/// Identity of a view: one client of a session.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tea_view_id {
    /// 16 bytes.
    pub bytes: [u8; 16],
}

/// Hash of the whole state of a session at some point: BLAKE3 of its snapshot.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tea_hash {
    /// 32 bytes.
    pub bytes: [u8; 32],
}

/// The badge of a session: two colours and a word, the same wherever the same session is shown.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tea_badge {
    /// Two colours as red, green, blue.
    pub colours: [[u8; 3]; 2],
    /// Five letters that can be read aloud, and a zero.
    pub word: [std::ffi::c_char; 6],
    /// All of it as text, such as `#a0b1c2/#d3e4f5 tokim`, and a zero.
    pub text: [std::ffi::c_char; 24],
}

impl From<Badge> for tea_badge {
    fn from(badge: Badge) -> Self {
        let text = terminated(&badge.to_string());
        Self { colours: badge.colours, word: terminated(&badge.word), text }
    }
}

/// A text with zeros behind it.
fn terminated<const N: usize>(text: &str) -> [std::ffi::c_char; N] {
    let mut bytes = text.bytes().take(N - 1);
    std::array::from_fn(|_| bytes.next().unwrap_or(0) as std::ffi::c_char)
}
