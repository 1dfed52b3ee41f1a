//! Reading takes time in proportion to the bytes, also if they come one by one.

use std::time::Instant;

use super::super::accept::Search;
use super::super::frame::parse;
use super::super::inbox::Inbox;
use super::super::worker::MAX_FRAME;
use super::frame;
use super::*;

/// The largest frame that is tried, and a sixteenth of it.
const PAYLOADS: [usize; 2] = [4_000, 64_000];

/// Sixteen times the bytes take at most this many times as long. Copying all that is there at each byte takes hundreds.
const GROWTH: f64 = 16.0 * 2.5;

/// Compares the shortest of some runs: the others were disturbed.
fn assert_linear(what: &str, run: impl Fn(&[u8])) {
    let [part, whole] = PAYLOADS.map(|length| {
        let frame = frame(&ClientMessage::Send(Send { counter: 1, payload: &vec![7; length] }));
        let time = |()| {
            let started = Instant::now();
            run(&frame);
            started.elapsed()
        };
        [(); 15].map(time).into_iter().min().unwrap_or_default()
    });
    let growth = whole.as_secs_f64() / part.as_secs_f64();
    assert!(growth < GROWTH, "{what}: {part:?}, and {whole:?} for sixteen times the bytes");
}

#[test]
fn a_frame_that_comes_byte_by_byte_costs_time_in_proportion_to_its_length() {
    assert_linear("of a member", |frame| {
        let mut inbox = Inbox::default();
        for byte in frame {
            inbox.push(&[*byte]);
            let length = parse(inbox.rest(), MAX_FRAME).expect("it is valid").map_or(0, |f| f.1);
            inbox.mark_handled(length);
        }
        assert!(inbox.is_empty());
    });
    assert_linear("before the join", |frame| {
        let mut search = Search::new(Vec::new(), 3);
        let found = frame.iter().filter(|byte| search.add(**byte).is_some()).count();
        assert_eq!(found, 1);
    });
}
