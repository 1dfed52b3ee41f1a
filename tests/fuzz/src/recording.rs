//! Recordings and evidence: files that users pass on.

use std::sync::LazyLock;

use teatime_session::forensics::diff::diff;
use teatime_session::forensics::evidence::Evidence;
use teatime_vm::App;
use teatime_vm::recording::{MARK, Recording};

use crate::diary::app;

static APP: LazyLock<App> = LazyLock::new(app);

/// Most future messages that a recording runs here: a valid one can have any number.
const TURNS: u64 = 1_000;

/// The first byte says whether the sums are made right, so that more than the checksums is read.
pub(crate) fn run(bytes: &[u8]) {
    let Some((how, file)) = bytes.split_first() else { return };
    let mut file = file.to_vec();
    if how & 1 == 1 {
        seal(&mut file);
    }
    if let Ok((recording, cut)) = Recording::decode_part(&file) {
        assert_eq!(Recording::decode(&file).is_ok(), cut.is_none());
        assert_eq!(Recording::decode(&recording.encode()).as_ref(), Ok(&recording));
        play(&recording);
    }
    if let Ok(evidence) = Evidence::decode(&file) {
        assert_eq!(Evidence::decode(&evidence.encode()).as_ref(), Ok(&evidence));
        // An error is an answer, too.
        let _ = diff(&evidence, None);
    }
}

fn play(recording: &Recording) {
    let Ok(mut player) = recording.player(&APP) else { return };
    let mut left = TURNS;
    while let Some(input) = player.peek() {
        let time = input.time;
        while player.vm().time() < time {
            if left == 0 {
                return;
            }
            left -= 1;
            player.vm_mut().advance(time, 1);
        }
        if player.step().is_err() {
            return;
        }
    }
    if let Ok(snapshot) = player.vm().snapshot() {
        teatime_vm::Vm::restore(&APP, &snapshot).expect("it was just saved");
    }
}

/// Bytes of the sum of a block.
const SUM: usize = 16;
/// Bytes in front of the content of a block.
const FRONT: usize = 9;

/// Makes the sums right: of the blocks of a recording, or of a file that was written in one go.
fn seal(file: &mut [u8]) {
    if !file.starts_with(MARK) {
        if let Some((content, sum)) = file.split_last_chunk_mut::<{ blake3::OUT_LEN }>() {
            *sum = *blake3::hash(content).as_bytes();
        }
        return;
    }
    let mut sum = chain(&[2; SUM], MARK);
    let mut at = MARK.len() + 1;
    while let Some(front) = file.get_mut(at..at + FRONT) {
        let check = chain(&sum, &front[..5]);
        front[5..].copy_from_slice(&check[..4]);
        let length = u32::from_le_bytes([front[1], front[2], front[3], front[4]]) as usize;
        let end = at + FRONT + length;
        let Some(block) = file.get(at..end) else { return };
        sum = chain(&sum, block);
        let Some(place) = file.get_mut(end..end + SUM) else { return };
        place.copy_from_slice(&sum);
        at = end + SUM;
    }
}

fn chain(before: &[u8; SUM], bytes: &[u8]) -> [u8; SUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(bytes);
    let mut sum = [0; SUM];
    hasher.finalize_xof().fill(&mut sum);
    sum
}
