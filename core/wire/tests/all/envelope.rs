//! Golden vectors of the snapshot envelope, put together here by hand from the MessagePack specification; and
//! every other encoding is refused.

use crate::ids::hex;
use proptest::prelude::*;
use teatime_wire::limits::{MAX_PERSISTED, MIN_BYTES_PER_ROOT};
use teatime_wire::{Digest, Envelope, EnvelopeError, PersistedPart};

const SPACE: Digest = Digest([0xee; 32]);

fn digests(count: usize) -> Vec<Digest> {
    (0..count).map(|at| Digest([at as u8 + 1; 32])).collect()
}

/// With data of this length, and this number of roots.
fn part(length: usize, roots: usize) -> PersistedPart {
    PersistedPart { data: vec![b'd'; length], roots: digests(roots) }
}

fn envelope(roots: usize, persisted: Option<PersistedPart>) -> Envelope {
    Envelope { persisted, roots: digests(roots), space: SPACE }
}

fn open(bytes: &[u8]) -> Result<Envelope, EnvelopeError> {
    Envelope::open(&[bytes]).map(|(_, envelope)| envelope)
}

/// `c4` is a byte string with an 8-bit length.
fn bin32(byte: &str) -> String {
    format!("c4 20 {}", byte.repeat(32))
}

#[test]
fn the_encoding_is_the_one_that_the_specification_of_messagepack_gives() {
    let (one, two, space) = (bin32("01"), bin32("02"), bin32("ee"));
    let state = "73".repeat(200);
    let data = "64".repeat(300);
    // 92, 94: arrays of two and four; c0: nil; c4, c5: byte strings with a length of 8 and 16 bits.
    for (envelope, state, expected) in [
        (envelope(0, None), vec![b's'], format!("94 c4 01 73 c0 90 {space}")),
        (envelope(2, None), vec![b's'; 200], format!("94 c4 c8 {state} c0 92 {one} {two} {space}")),
        (
            envelope(1, Some(part(300, 2))),
            vec![b's'; 200],
            format!("94 c4 c8 {state} 92 c5 01 2c {data} 92 {one} {two} 91 {one} {space}"),
        ),
        (
            envelope(0, Some(part(1, 0))),
            vec![b's'],
            format!("94 c4 01 73 92 c4 01 64 90 90 {space}"),
        ),
    ] {
        let bytes = envelope.wrap(&state);
        assert_eq!(bytes, hex(&expected), "{envelope:?}");
        assert_eq!(open(&bytes), Ok(envelope));
    }
}

#[test]
fn the_example_on_the_protocol_page_is_real() {
    let page = include_str!("../../PROTOCOL.md");
    let line = page.lines().find_map(|line| line.strip_prefix("Envelope  "));
    assert_eq!(hex(line.expect("the page has an example")), envelope(0, None).wrap(b"s"));
}

#[test]
fn an_envelope_comes_back_however_it_is_cut_into_parts() {
    for (length, roots) in [(0, 0), (255, 1), (256, 2), (65_536, 200)] {
        for persisted in [None, Some(part(1, 0)), Some(part(200, 2))] {
            let envelope = envelope(roots, persisted);
            let bytes = envelope.wrap(&vec![b's'; length]);
            for size in [1, 3, 40, 100_000] {
                let parts: Vec<_> = bytes.chunks(size).collect();
                let (state, opened) = Envelope::open(&parts).expect("it is whole");
                assert_eq!((&opened, state.len()), (&envelope, length));
                assert!(bytes[state].iter().all(|byte| *byte == b's'));
            }
        }
    }
}

#[test]
fn every_truncation_and_every_addition_is_refused() {
    let mut bytes = envelope(2, Some(part(200, 2))).wrap(&[b's'; 300]);
    for length in 0..bytes.len() {
        assert!(open(&bytes[..length]).is_err(), "{length} bytes");
    }
    bytes.push(0);
    assert_eq!(open(&bytes), Err(EnvelopeError::Trailing(1)));
    assert!(Envelope::open(&[b""; 0]).is_err());
}

#[test]
fn any_other_encoding_of_the_same_is_refused() {
    let (one, two, space) = (bin32("01"), bin32("02"), bin32("ee"));
    let state = format!("c4 c8 {}", "73".repeat(200));
    let good = format!("94 {state} 92 c4 01 64 90 92 {one} {two} {space}");
    assert!(open(&hex(&good)).is_ok());
    let long = |header: &str| format!("{header} {}", "73".repeat(200));
    for bad in [
        // Longer headers of arrays and byte strings.
        format!("dc 00 04 {state} c0 92 {one} {two} {space}"),
        format!("94 {} c0 92 {one} {two} {space}", long("c5 00 c8")),
        format!("94 {} c0 92 {one} {two} {space}", long("c6 00 00 00 c8")),
        format!("94 {state} c0 dc 00 02 {one} {two} {space}"),
        format!("94 {state} dc 00 02 c4 01 64 90 92 {one} {two} {space}"),
        format!("94 {state} 92 c5 00 01 64 90 92 {one} {two} {space}"),
        format!("94 {state} c0 92 {one} {two} c5 00 20 {}", "ee".repeat(32)),
        // Roots that do not ascend, or stand twice.
        format!("94 {state} c0 92 {two} {one} {space}"),
        format!("94 {state} c0 92 {one} {one} {space}"),
        // Other types, and other numbers of entries.
        format!("93 {state} c0 92 {one} {two}"),
        format!("95 {state} c0 92 {one} {two} {space} c0"),
        format!("94 {} c0 92 {one} {two} {space}", long("d9 c8")),
        format!("94 {state} c2 92 {one} {two} {space}"),
        format!("94 {state} 91 c4 01 64 92 {one} {two} {space}"),
        format!("94 {state} c0 92 {one} {two} c4 1f {}", "ee".repeat(31)),
        // Persisted data of no bytes.
        format!("94 {state} 92 c4 00 90 92 {one} {two} {space}"),
    ] {
        assert!(open(&hex(&bad)).is_err(), "{bad}");
    }
}

#[test]
fn there_are_no_more_roots_than_there_can_be_handles() {
    const LEAST: usize = MIN_BYTES_PER_ROOT;
    for (state, roots, data, persisted_roots, is_valid) in [
        (3 * LEAST, 3, 2 * LEAST, 2, true),
        (3 * LEAST - 1, 3, 2 * LEAST, 2, false),
        (3 * LEAST, 3, 2 * LEAST - 1, 2, false),
        (0, 1, 1_000, 0, false),
    ] {
        let envelope = envelope(roots, Some(part(data, persisted_roots)));
        let opened = open(&envelope.wrap(&vec![b's'; state]));
        assert_eq!(opened.is_ok(), is_valid, "{state} {data}");
    }
    let largest = envelope(0, Some(part(MAX_PERSISTED, 0)));
    assert_eq!(open(&largest.wrap(b"s")), Ok(largest));
    let larger = envelope(0, Some(part(MAX_PERSISTED + 1, 0)));
    assert!(matches!(open(&larger.wrap(b"s")), Err(EnvelopeError::TooLarge(_))));
    // Far more than may follow a state: it is not even copied.
    let bytes = [&b"\x94\xc4\x01s\xc0"[..], &vec![0; 3 * MAX_PERSISTED]].concat();
    assert!(matches!(open(&bytes), Err(EnvelopeError::TooLarge(_))));
}

#[test]
fn lengths_that_promise_more_than_there_is_cost_nothing() {
    for bytes in [
        &[0x94, 0xc6, 0xff, 0xff, 0xff, 0xff][..],
        &[0x94, 0xc4, 0x01, 0x73, 0x92, 0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0x94, 0xc4, 0x01, 0x73, 0xc0, 0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0x94, 0xc4, 0x01, 0x73, 0x92, 0xc4, 0x01, 0x64, 0xdd, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert!(open(bytes).is_err());
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_only_if_they_are_the_one_encoding(
        front in proptest::sample::select(vec![
            vec![], vec![0x94], vec![0x94, 0xc4, 0x02, 7, 7], vec![0x94, 0xc4, 0x01, 7, 0xc0, 0x90, 0xc4, 32],
        ]),
        rest in proptest::collection::vec(any::<u8>(), 0..200),
        size in 1usize..100,
    ) {
        let bytes = [front, rest].concat();
        let parts: Vec<_> = bytes.chunks(size).collect();
        if let Ok((state, envelope)) = Envelope::open(&parts) {
            prop_assert_eq!(envelope.wrap(&bytes[state]), bytes);
        }
    }

    #[test]
    fn a_changed_byte_gives_an_error_or_the_one_encoding_of_something_else(
        at in 0usize..700, to in any::<u8>(),
    ) {
        let mut bytes = envelope(2, Some(part(200, 2))).wrap(&[b's'; 300]);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        if let Ok((state, envelope)) = Envelope::open(&[&bytes]) {
            prop_assert_eq!(envelope.wrap(&bytes[state]), bytes);
        }
    }
}
