//! Frames in which an id, a key or a signature has another form than a byte string of its length.

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// How many other forms of each id there are.
pub(crate) const FORMS: usize = 6;

/// The frame with each of its ids, keys and signatures in each of the other forms. Each is a byte string of 16, 32 or 64
/// equal bytes.
pub(crate) fn with_other_ids(frame: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for at in 0..frame.len().saturating_sub(2) {
        let (front, rest) = frame.split_at(at);
        let length = match rest {
            [0xc4, 16, ..] => 16,
            [0xc4, 32, ..] => 32,
            [0xc4, 64, ..] => 64,
            _ => continue,
        };
        let Some((id, behind)) = rest[2..].split_at_checked(length) else { continue };
        if id.iter().all(|byte| *byte == id[0]) {
            let forms = other_forms(id);
            frames.extend(forms.iter().map(|form| [front, form, behind].concat()));
        }
    }
    frames
}

fn other_forms(id: &[u8]) -> [Vec<u8>; FORMS] {
    let length = id.len() as u8;
    let text: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    [
        // Hexadecimal digits.
        [&[0xd9, 2 * length], text.as_bytes()].concat(),
        // A text that is not UTF-8, which some decoders take for a byte string.
        [&[0xd9, length][..], &vec![0xff; id.len()]].concat(),
        // A text of the same length that is UTF-8.
        [&[0xd9, length][..], &vec![b'a'; id.len()]].concat(),
        // An array of numbers.
        [&[0xdc, 0, length][..], &vec![0x01; id.len()]].concat(),
        // Byte strings of another length.
        [&[0xc4, length - 1], &id[1..]].concat(),
        [&[0xc4, length + 1], id, &id[..1]].concat(),
    ]
}
