//! Float functions that give the same bits on every platform.
//!
//! IEEE 754 defines + − × ÷ and √ exactly, and Rust follows it. All other functions of `std` come from the
//! mathematical library of the platform, and these differ: models must use the functions here. They come from
//! the `libm` crate, a port of musl's library in plain arithmetic.

/// The sine of an angle in radians.
pub fn sin(x: f64) -> f64 {
    libm::sin(x)
}

/// The cosine of an angle in radians.
pub fn cos(x: f64) -> f64 {
    libm::cos(x)
}

/// The tangent of an angle in radians.
pub fn tan(x: f64) -> f64 {
    libm::tan(x)
}

/// The arc sine in radians, in −π/2..=π/2.
pub fn asin(x: f64) -> f64 {
    libm::asin(x)
}

/// The arc cosine in radians, in 0..=π.
pub fn acos(x: f64) -> f64 {
    libm::acos(x)
}

/// The arc tangent in radians, in −π/2..=π/2.
pub fn atan(x: f64) -> f64 {
    libm::atan(x)
}

/// The hyperbolic sine.
pub fn sinh(x: f64) -> f64 {
    libm::sinh(x)
}

/// The hyperbolic cosine.
pub fn cosh(x: f64) -> f64 {
    libm::cosh(x)
}

/// The hyperbolic tangent.
pub fn tanh(x: f64) -> f64 {
    libm::tanh(x)
}

/// The inverse hyperbolic sine.
pub fn asinh(x: f64) -> f64 {
    libm::asinh(x)
}

/// The inverse hyperbolic cosine.
pub fn acosh(x: f64) -> f64 {
    libm::acosh(x)
}

/// The inverse hyperbolic tangent.
pub fn atanh(x: f64) -> f64 {
    libm::atanh(x)
}

/// e to the power of `x`.
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// 2 to the power of `x`.
pub fn exp2(x: f64) -> f64 {
    libm::exp2(x)
}

/// e to the power of `x`, minus one, exact near zero.
pub fn exp_m1(x: f64) -> f64 {
    libm::expm1(x)
}

/// The natural logarithm.
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// The natural logarithm of one plus `x`, exact near zero.
pub fn ln_1p(x: f64) -> f64 {
    libm::log1p(x)
}

/// The logarithm to base 2.
pub fn log2(x: f64) -> f64 {
    libm::log2(x)
}

/// The logarithm to base 10.
pub fn log10(x: f64) -> f64 {
    libm::log10(x)
}

/// The cube root.
pub fn cbrt(x: f64) -> f64 {
    libm::cbrt(x)
}

/// The square root, correctly rounded.
pub fn sqrt(x: f64) -> f64 {
    libm::sqrt(x)
}

/// The angle of the point (`y`, `x`) in radians, in −π..=π.
pub fn atan2(y: f64, x: f64) -> f64 {
    libm::atan2(y, x)
}

/// `x` to the power of `y`.
pub fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

/// The length of the vector (`x`, `y`).
pub fn hypot(x: f64, y: f64) -> f64 {
    libm::hypot(x, y)
}

/// The remainder of `x / y` with the sign of `x`.
pub fn rem(x: f64, y: f64) -> f64 {
    libm::fmod(x, y)
}
