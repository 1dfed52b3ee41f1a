//! The links that lead to a session, as QR codes and messengers bring them, and other texts that users give.

use teatime::{JoinLink, reflector_address};
use teatime_blobs::BlobHandle;

/// A text that is a link leads to the same session when it is written again. Any other one is refused with one line.
pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<JoinLink>() {
        Ok(link) => {
            let again = link.to_string();
            assert_eq!(again.parse().as_ref(), Ok(&link), "{again}");
            link.is_local();
        }
        Err(error) => {
            let why = error.to_string();
            assert!(!why.contains(char::is_control), "{why:?}");
            assert!(why.len() < 2_000, "{} bytes: {why}", why.len());
        }
    }
    if let Ok(address) = reflector_address(&text) {
        assert_eq!(reflector_address(&address), Ok(address));
    }
    if let Ok(handle) = text.parse::<BlobHandle>() {
        assert_eq!(handle.to_string(), text);
    }
    for handle in BlobHandle::scan(bytes) {
        assert!(text.contains(&handle.to_string()));
    }
}
