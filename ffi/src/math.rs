//! Float functions that give the same bits on every platform, for models in C.

use teatime::math;

/// The sine of an angle in radians. Like all tea_math functions, it gives the same bits on every platform; the functions
/// of math.h do not. The operators + - * / and sqrt are exact everywhere if the compiler does not change them: do not use
/// -ffast-math, use -ffp-contract=off, and on 32-bit x86 use -mfpmath=sse.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_sin(x: f64) -> f64 {
    math::sin(x)
}

/// The cosine of an angle in radians.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_cos(x: f64) -> f64 {
    math::cos(x)
}

/// The tangent of an angle in radians.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_tan(x: f64) -> f64 {
    math::tan(x)
}

/// The arc sine in radians.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_asin(x: f64) -> f64 {
    math::asin(x)
}

/// The arc cosine in radians.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_acos(x: f64) -> f64 {
    math::acos(x)
}

/// The arc tangent in radians.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_atan(x: f64) -> f64 {
    math::atan(x)
}

/// The hyperbolic sine.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_sinh(x: f64) -> f64 {
    math::sinh(x)
}

/// The hyperbolic cosine.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_cosh(x: f64) -> f64 {
    math::cosh(x)
}

/// The hyperbolic tangent.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_tanh(x: f64) -> f64 {
    math::tanh(x)
}

/// The inverse hyperbolic sine.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_asinh(x: f64) -> f64 {
    math::asinh(x)
}

/// The inverse hyperbolic cosine.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_acosh(x: f64) -> f64 {
    math::acosh(x)
}

/// The inverse hyperbolic tangent.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_atanh(x: f64) -> f64 {
    math::atanh(x)
}

/// e to the power of x.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_exp(x: f64) -> f64 {
    math::exp(x)
}

/// 2 to the power of x.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_exp2(x: f64) -> f64 {
    math::exp2(x)
}

/// e to the power of x, minus one, exact near zero.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_exp_m1(x: f64) -> f64 {
    math::exp_m1(x)
}

/// The natural logarithm.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_ln(x: f64) -> f64 {
    math::ln(x)
}

/// The natural logarithm of one plus x, exact near zero.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_ln_1p(x: f64) -> f64 {
    math::ln_1p(x)
}

/// The logarithm to base 2.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_log2(x: f64) -> f64 {
    math::log2(x)
}

/// The logarithm to base 10.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_log10(x: f64) -> f64 {
    math::log10(x)
}

/// The cube root.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_cbrt(x: f64) -> f64 {
    math::cbrt(x)
}

/// The square root, correctly rounded.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_sqrt(x: f64) -> f64 {
    math::sqrt(x)
}

/// The angle of the point (y, x) in radians, in -pi to pi.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_atan2(y: f64, x: f64) -> f64 {
    math::atan2(y, x)
}

/// x to the power of y.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_pow(x: f64, y: f64) -> f64 {
    math::pow(x, y)
}

/// The length of the vector (x, y).
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_hypot(x: f64, y: f64) -> f64 {
    math::hypot(x, y)
}

/// The remainder of x / y with the sign of x.
#[unsafe(no_mangle)]
pub extern "C" fn tea_math_rem(x: f64, y: f64) -> f64 {
    math::rem(x, y)
}
