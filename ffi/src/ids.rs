//! Ids of sessions and views, hashes of states, and badges.

use teatime::Badge;

/// The id of a session. Clients with the same id are in the same session.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tea_session_id {
    /// 32 bytes.
    pub bytes: [u8; 32],
}

/// The id of a view: one participant of a session.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tea_view_id {
    /// 16 bytes.
    pub bytes: [u8; 16],
}

/// The hash of the whole state of a session at some point: BLAKE3 of its snapshot.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tea_hash {
    /// 32 bytes.
    pub bytes: [u8; 32],
}

/// The badge of a session: two colours and a word, the same on all screens of the same session.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tea_badge {
    /// Two colours as red, green, blue.
    pub colours: [[u8; 3]; 2],
    /// Five letters that can be read aloud, and a terminating zero.
    pub word: [std::ffi::c_char; 6],
    /// The badge as text, such as `#a0b1c2/#d3e4f5 tokim`, and a terminating zero.
    pub text: [std::ffi::c_char; 24],
}

impl From<Badge> for tea_badge {
    fn from(badge: Badge) -> Self {
        let text = terminated(&badge.to_string());
        Self { colours: badge.colours, word: terminated(&badge.word), text }
    }
}

/// A text, filled up with zeros.
fn terminated<const N: usize>(text: &str) -> [std::ffi::c_char; N] {
    let mut bytes = text.bytes().take(N - 1);
    std::array::from_fn(|_| bytes.next().unwrap_or(0) as std::ffi::c_char)
}
