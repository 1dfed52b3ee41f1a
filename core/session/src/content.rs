//! What ordered messages carry for the models: opening it, and reading it.

use rmp::decode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use teatime_base::{Binding, Seal};
use teatime_vm::ViewInfo;
use teatime_vm::limits::MAX_DEPTH;
use teatime_wire::View;

/// Reads the content of an event: `[scope, event, data]`, where the data is one value of MessagePack. `None` if it is
/// anything else: another implementation must not read what this one does not.
pub(crate) fn event_of(plain: &[u8]) -> Option<(&str, &str, &[u8])> {
    let rest = &mut &*plain;
    if decode::read_array_len(rest).ok()? != 3 {
        return None;
    }
    let (scope, event) = (text(rest)?, text(rest)?);
    let length = decode::read_bin_len(rest).ok()?;
    let data = take(rest, length)?;
    (rest.is_empty() && is_one_value(data)).then_some((scope, event, data))
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
fn is_one_value(bytes: &[u8]) -> bool {
    let rest = &mut &*bytes;
    let mut reader = rmp_serde::Deserializer::new(&mut *rest);
    reader.set_max_depth(MAX_DEPTH);
    IgnoredAny::deserialize(&mut reader).is_ok() && rest.is_empty()
}

/// What models learn about a view. View data with a broken seal counts as none, on every participant alike.
pub(crate) fn view_info(seal: &mut Seal, view: &View<'_>) -> ViewInfo {
    let view_data = view.view_data.and_then(|sealed| {
        let mut sealed = sealed.to_vec();
        let opened = seal.open(Binding::ViewData(view.view_id), &mut sealed);
        opened.ok().map(|data| data.to_vec().into())
    });
    ViewInfo { view_id: view.view_id, view_data }
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
    fn content_is_read_in_one_way_only() {
        let good = content(&[0x01]);
        assert_eq!(event_of(&good), Some(("s", "e", &[0x01][..])));
        // Lengths may have any width.
        let wide = [0xdc, 0, 3, 0xd9, 1, b's', 0xda, 0, 1, b'e', 0xc5, 0, 1, 0x01];
        assert_eq!(event_of(&wide), Some(("s", "e", &[0x01][..])));
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
        let deep = [&[0x91; 200][..], &[0xc0]].concat();
        assert_eq!(event_of(&content(&deep)), None);
    }
}
