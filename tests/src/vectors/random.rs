//! The random numbers of a session.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use teatime::{App, Cx, External, SessionId, Time, ViewId, Vm, handlers, model, to_bytes};

use super::snapshots;
use super::text::{array, bits, expect_equal, file, hex, list, number, signed};

/// What to draw.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Draw {
    U64,
    F64,
    Below(u64),
    Range(i64, i64),
}

/// The bits of what was drawn last.
#[derive(Debug)]
#[model(id = "vectors.dice", version = 1, code = "dice 1")]
struct Dice {
    drawn: u64,
}

#[handlers]
impl Dice {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("dice", "draw", Self::draw);
        Self { drawn: 0 }
    }

    fn draw(&mut self, cx: &mut Cx<Self>, draw: &Draw) {
        self.drawn = match *draw {
            Draw::U64 => cx.random_u64(),
            Draw::F64 => cx.random().to_bits(),
            Draw::Below(limit) => cx.random_below(limit),
            Draw::Range(low, high) => cx.random_range(low, high).cast_unsigned(),
        };
    }
}

const DRAWS: [Draw; 20] = [
    Draw::U64,
    Draw::F64,
    Draw::Below(6),
    Draw::Below(0),
    Draw::Below(1),
    // Half of all draws are rejected.
    Draw::Below((1 << 63) + 1),
    Draw::Below((1 << 63) + 1),
    Draw::Below((1 << 63) + 1),
    Draw::Below((1 << 63) + 1),
    Draw::Below(u64::MAX),
    Draw::Range(-3, 3),
    Draw::Range(5, 5),
    Draw::Range(5, 4),
    Draw::Range(i64::MIN, i64::MAX),
    Draw::Range(i64::MIN, i64::MAX - 1),
    Draw::Range(0, i64::MAX),
    Draw::F64,
    Draw::F64,
    Draw::U64,
    Draw::U64,
];

pub(super) fn make() -> Value {
    file(
        "Random numbers of sessions by their id: each draw with its result, and the position of the stream after it, in words of 32 bits. The results \
         of u64 and below are unsigned, those of range signed, those of f64 are bits. Then a thousand more draws of 64 bits and the hash of them, \
         each as 8 bytes big-endian.",
        [[0; 32], [0x5e; 32]].map(vector).to_vec(),
    )
}

struct Table {
    vm: Vm,
}

impl Table {
    fn draw(&mut self, draw: Draw) -> u64 {
        let payload = to_bytes(&draw).expect("an enum can be encoded");
        let (scope, event, payload) = ("dice", "draw", &payload[..]);
        let external = External::Event { sender: ViewId([1; 16]), scope, event, payload };
        let seq = self.vm.seq() + 1;
        self.vm.deliver(Time::ZERO, seq, &external).expect("events come in order");
        self.vm.root::<Dice>().expect("the root is there").drawn
    }

    fn position(&self) -> u64 {
        let snapshot = self.vm.snapshot().expect("it can be saved");
        snapshots::position(&snapshot)
    }
}

fn vector(session: [u8; 32]) -> Value {
    let app = App::builder::<Dice>("org.example.dice").build().expect("the declaration is valid");
    let unit = to_bytes(&()).expect("a unit can be encoded");
    let vm = Vm::new(&app, SessionId(session), &unit).expect("the session starts");
    let mut table = Table { vm };
    let mut draws = Vec::new();
    for draw in DRAWS {
        let drawn = table.draw(draw);
        let (what, result) = match draw {
            Draw::U64 => (json!(["u64"]), number(drawn)),
            Draw::F64 => (json!(["f64"]), bits(f64::from_bits(drawn))),
            Draw::Below(limit) => (json!(["below", number(limit)]), number(drawn)),
            Draw::Range(low, high) => {
                (json!(["range", signed(low), signed(high)]), signed(drawn.cast_signed()))
            }
        };
        draws.push(json!([what, result, number(table.position())]));
    }
    let more: Vec<_> = (0..1000).flat_map(|_| table.draw(Draw::U64).to_be_bytes()).collect();
    json!({
        "session": hex(session),
        "draws": draws,
        "thousand": hex(teatime_base::Digest::of(&more).0),
        "position": number(table.position()),
    })
}

pub(super) fn check(content: &Value) -> Result<(), String> {
    for found in list(&content["vectors"])? {
        expect_equal("random numbers", found, &vector(array(&found["session"])?))?;
    }
    Ok(())
}
