//! What ordered messages carry for the models: opening it, and reading it.

use std::sync::Arc;

use rmp::decode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use teatime_base::{Binding, Seal, ViewId};
use teatime_vm::limits::MAX_DEPTH;
use teatime_vm::{External, ViewInfo};
use teatime_wire::View;

use crate::claim::Claim;

/// The content of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content<'a> {
    pub(crate) scope: &'a str,
    pub(crate) event: &'a str,
    pub(crate) data: &'a [u8],
    /// In a session with a password.
    pub(crate) claim: Option<Claim>,
}

/// Reads the content of an event: `[scope, event, data]`, where the data is one value of MessagePack, and with a password
/// `[scope, event, data, claim]`. `None` if it is anything else: another implementation must not read what this one does
/// not.
pub(crate) fn content_of(plain: &[u8], has_password: bool) -> Option<Content<'_>> {
    let rest = &mut &*plain;
    if decode::read_array_len(rest).ok()? != 3 + u32::from(has_password) {
        return None;
    }
    let (scope, event) = (text(rest)?, text(rest)?);
    let length = decode::read_bin_len(rest).ok()?;
    let data = take(rest, length)?;
    let claim = if has_password { Some(Claim::read(rest)?) } else { None };
    let is_whole = has_password || rest.is_empty();
    (is_whole && is_one_value(data)).then_some(Content { scope, event, data, claim })
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = decode::read_str_len(rest).ok()?;
    std::str::from_utf8(take(rest, length)?).ok()
}

fn take<'a>(rest: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(taken)
}

/// Whether these bytes are one value, and nothing follows it.
pub(crate) fn is_one_value(bytes: &[u8]) -> bool {
    let rest = &mut &*bytes;
    let mut reader = rmp_serde::Deserializer::new(&mut *rest);
    reader.set_max_depth(MAX_DEPTH);
    IgnoredAny::deserialize(&mut reader).is_ok() && rest.is_empty()
}

/// What an event is to the models. One that cannot be read is a turn in which nothing happens, on every participant.
pub(crate) fn external(sender: ViewId, content: Option<Content<'_>>) -> External<'_> {
    content.map_or(External::Marker, |Content { scope, event, data, .. }| External::Event {
        sender,
        scope,
        event,
        payload: data,
    })
}

/// What a participant seals when it joins a session with a password: the number of its connection, and its view data.
pub(crate) fn seal_join(
    seal: &mut Seal,
    view: ViewId,
    attempt: u64,
    data: Option<&[u8]>,
) -> Vec<u8> {
    let plain = rmp_serde::to_vec(&(attempt, data.map(serde_bytes::Bytes::new)))
        .expect("a number and bytes can be expressed in MessagePack");
    seal.seal(Binding::ViewData(view), &plain)
}

/// Reads what a participant has sealed when it joined. `None` if it is anything else.
fn join_of(plain: &[u8]) -> Option<(u64, Option<&[u8]>)> {
    let rest = &mut &*plain;
    if decode::read_array_len(rest).ok()? != 2 {
        return None;
    }
    let attempt = decode::read_int(rest).ok()?;
    let data = if rest.first() == Some(&NIL) {
        take(rest, 1)?;
        None
    } else {
        let length = decode::read_bin_len(rest).ok()?;
        Some(take(rest, length)?)
    };
    rest.is_empty().then_some((attempt, data))
}

/// Nil in MessagePack.
const NIL: u8 = 0xc0;

/// What models learn about a view, and in a session with a password the number of the connection with which it joined, if
/// its seal is whole. View data with a broken seal counts as none, on every participant alike.
pub(crate) fn view_info(seal: &mut Seal, view: &View<'_>) -> (ViewInfo, Option<u64>) {
    let view_id = view.view_id;
    if !seal.has_password() {
        let view_data = view.view_data.map(Arc::from);
        return (ViewInfo { view_id, view_data }, None);
    }
    let opened = view.view_data.and_then(|sealed| {
        let mut sealed = sealed.to_vec();
        let plain = seal.open(Binding::ViewData(view_id), &mut sealed).ok()?;
        let (attempt, data) = join_of(plain)?;
        Some((attempt, data.map(Arc::from)))
    });
    match opened {
        Some((attempt, view_data)) => (ViewInfo { view_id, view_data }, Some(attempt)),
        None => (ViewInfo { view_id, view_data: None }, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `["s", "e", data]`
    fn content(data: &[u8]) -> Vec<u8> {
        let length = u8::try_from(data.len()).expect("it is short");
        [&[0x93, 0xa1, b's', 0xa1, b'e', 0xc4, length][..], data].concat()
    }

    #[test]
    fn a_sealed_join_is_read_in_one_way_only() {
        for (bytes, read) in [
            (&[0x92, 0x05, 0xc0][..], Some((5, None))),
            (&[0x92, 0xcc, 0x05, 0xc4, 1, b'x'], Some((5, Some(&b"x"[..])))),
            (&[0x92, 0x05, 0xc4, 0], Some((5, Some(&[])))),
            // A text, a byte more, an entry more, an entry less, a negative number, a map, nothing.
            (&[0x92, 0x05, 0xa1, b'x'], None),
            (&[0x92, 0x05, 0xc0, 0xc0], None),
            (&[0x93, 0x05, 0xc0, 0xc0], None),
            (&[0x91, 0x05], None),
            (&[0x92, 0xff, 0xc0], None),
            (&[0x81, 0x05, 0xc0], None),
            (&[], None),
        ] {
            assert_eq!(join_of(bytes), read, "{bytes:x?}");
        }
    }

    #[test]
    fn content_is_read_in_one_way_only() {
        let event_of = |plain: &[u8]| {
            content_of(plain, false)
                .map(|it| (it.scope.to_owned(), it.event.to_owned(), it.data.to_vec()))
        };
        let right = Some(("s".to_owned(), "e".to_owned(), vec![0x01]));
        let good = content(&[0x01]);
        assert_eq!(event_of(&good), right);
        // Lengths may have any width.
        let wide = [0xdc, 0, 3, 0xd9, 1, b's', 0xda, 0, 1, b'e', 0xc5, 0, 1, 0x01];
        assert_eq!(event_of(&wide), right);
        let bad: [(&str, Vec<u8>); 9] = [
            ("nothing", Vec::new()),
            ("a byte follows", [&good[..], &[0xc0]].concat()),
            ("data as text", vec![0x93, 0xa1, b's', 0xa1, b'e', 0xa1, 0x01]),
            ("scope as bytes", vec![0x93, 0xc4, 1, b's', 0xa1, b'e', 0xc4, 1, 0x01]),
            ("four entries", [&[0x94], &good[1..], &[0xc0]].concat()),
            ("a map", vec![0x81, 0xa1, b's', 0xc0]),
            ("text that is not UTF-8", vec![0x93, 0xa1, 0xff, 0xa1, b'e', 0xc4, 1, 0x01]),
            ("data without a value", content(&[])),
            ("data with two values", content(&[0x01, 0x02])),
        ];
        for (what, bytes) in bad {
            assert_eq!(event_of(&bytes), None, "{what}");
        }
        for length in 0..good.len() {
            assert_eq!(event_of(&good[..length]), None, "{length} bytes");
        }
        let claim = Claim { seq: 300, chain: [7; 16], previous: u64::MAX, attempt: 2 };
        let claimed = claim.append_to(&good);
        let read = |plain: &[u8]| content_of(plain, true).map(|it| (it.data.to_vec(), it.claim));
        assert_eq!(read(&claimed), Some((vec![0x01], Some(claim))));
        assert_eq!((read(&good), event_of(&claimed)), (None, None));
        for length in 0..claimed.len() {
            assert_eq!(read(&claimed[..length]), None, "{length} bytes");
        }
        let at = claimed.iter().rposition(|byte| *byte == 0x94).expect("the claim is an array");
        let further = [&claimed[..at], &[0x96], &claimed[at + 1..], &[0xc0, 0x91, 0x05]].concat();
        assert_eq!(read(&further), Some((vec![0x01], Some(claim))));
        assert_eq!(read(&[&claimed[..], &[0xc0]].concat()), None);
        let deep = [&[0x91; 200][..], &[0xc0]].concat();
        assert_eq!(event_of(&content(&deep)), None);
    }
}
