//! The functions of floats that models may use.

use serde_json::{Value, json};
use teatime::math;

use super::text::{array, bits, expect_equal, file, list};

type Unary = (&'static str, fn(f64) -> f64);
type Binary = (&'static str, fn(f64, f64) -> f64);

const UNARY: [Unary; 21] = [
    ("sin", math::sin),
    ("cos", math::cos),
    ("tan", math::tan),
    ("asin", math::asin),
    ("acos", math::acos),
    ("atan", math::atan),
    ("sinh", math::sinh),
    ("cosh", math::cosh),
    ("tanh", math::tanh),
    ("asinh", math::asinh),
    ("acosh", math::acosh),
    ("atanh", math::atanh),
    ("exp", math::exp),
    ("exp2", math::exp2),
    ("exp_m1", math::exp_m1),
    ("ln", math::ln),
    ("ln_1p", math::ln_1p),
    ("log2", math::log2),
    ("log10", math::log10),
    ("cbrt", math::cbrt),
    ("sqrt", math::sqrt),
];

const BINARY: [Binary; 4] =
    [("atan2", math::atan2), ("pow", math::pow), ("hypot", math::hypot), ("rem", math::rem)];

/// Arguments with a reason: zeros, ends of domains, overflow, underflow, and large angles.
const SPECIAL: [f64; 20] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -2.5,
    std::f64::consts::PI,
    1e-10,
    1e-300,
    -5e-324,
    0.99,
    -0.3,
    22.0,
    100.25,
    710.0,
    -745.5,
    1e22,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// Numbers that have no reason, for the rest: a sequence of multiples of the golden section.
fn ordinary(at: u32) -> f64 {
    let turns = f64::from(at) * 0.618_033_988_749_894_9;
    (turns - f64::from(turns as u32) - 0.5) * f64::from(1 << (at % 7))
}

/// The bits of a result. Every NaN has the same ones.
fn result(value: f64) -> Value {
    bits(if value.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { value })
}

pub(super) fn make() -> Value {
    let arguments: Vec<_> = SPECIAL.into_iter().chain((1..=30).map(ordinary)).collect();
    let unary = UNARY.map(|(name, function)| {
        let samples = arguments.iter().map(|x| json!([bits(*x), result(function(*x))]));
        json!({ "function": name, "samples": samples.collect::<Vec<_>>() })
    });
    let binary = BINARY.map(|(name, function)| {
        let pairs = (0..arguments.len()).map(|at| (arguments[at], arguments[(at * 7 + 3) % 50]));
        let samples = pairs.map(|(x, y)| json!([bits(x), bits(y), result(function(x, y))]));
        json!({ "function": name, "samples": samples.collect::<Vec<_>>() })
    });
    file(
        "Functions of floats: their arguments, and the result, as the bits of 64-bit floats. A NaN has the bits that it has in a snapshot.",
        [unary.to_vec(), binary.to_vec()].concat(),
    )
}

pub(super) fn check(content: &Value) -> Result<(), String> {
    let float = |value: &Value| array(value).map(|bytes| f64::from_bits(u64::from_be_bytes(bytes)));
    for vector in list(&content["vectors"])? {
        let name = &vector["function"];
        let unary = UNARY.iter().find(|(one, _)| name == one).map(|(_, function)| function);
        let binary = BINARY.iter().find(|(one, _)| name == one).map(|(_, function)| function);
        for sample in list(&vector["samples"])? {
            let computed = match (unary, binary) {
                (Some(function), _) => function(float(&sample[0])?),
                (_, Some(function)) => function(float(&sample[0])?, float(&sample[1])?),
                _ => return Err(format!("unknown function {name}")),
            };
            let found = list(sample)?.last().unwrap_or(&Value::Null);
            expect_equal(&name.to_string(), found, &result(computed))?;
        }
    }
    Ok(())
}
