"""Functions of floats (MODEL.md, 6). Sine and cosine are written here operation by operation, and give the same bits. The others
are computed with many digits, and show how far the results are from them."""

import math
import struct

import mpmath

INV_PIO2, TO_INT = 6.36619772367581382433e-01, 1.5 / 2.0**-52
PIO2_1, PIO2_1T = 1.57079632673412561417e00, 6.07710050650619224932e-11
PIO2_2, PIO2_2T = 6.07710050630396597660e-11, 2.02226624879595063154e-21
PIO2_3, PIO2_3T = 2.02226624871116645580e-21, 8.47842766036889956997e-32
S = (
    -1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04,
    2.75573137070700676789e-06, -2.50507602534068634195e-08, 1.58969099521155010221e-10,
)  # fmt: skip
C = (
    4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05,
    -2.75573143513906633035e-07, 2.08757232129817482790e-09, -1.13596475577881948265e-11,
)  # fmt: skip
# Beyond this the reduction takes another way.
LARGE = 2.0**20 * math.pi / 2


def _high(x):
    """The upper 32 bits without the sign."""
    return struct.unpack(">Q", struct.pack(">d", x))[0] >> 32 & 0x7FFFFFFF


def _kernel_sin(x, y, has_tail):
    z = x * x
    w = z * z
    r = S[1] + z * (S[2] + z * S[3]) + z * w * (S[4] + z * S[5])
    v = z * x
    if not has_tail:
        return x + v * (S[0] + z * r)
    return x - ((z * (0.5 * y - v * r) - y) - v * S[0])


def _kernel_cos(x, y):
    z = x * x
    w = z * z
    r = z * (C[0] + z * (C[1] + z * C[2])) + w * w * (C[3] + z * (C[4] + z * C[5]))
    half = 0.5 * z
    w = 1.0 - half
    return w + (((1.0 - w) - half) + (z * r - x * y))


def _reduce(x):
    """How many quarter turns, and what is left of x in two parts."""
    high = _high(x)
    near = high & 0xFFFFF == 0x921FB if high <= 0x400F6A7A else high in (0x4012D97C, 0x401921FB)
    if high <= 0x401C463B and not near:
        n = 1 + sum(high > limit for limit in (0x4002D97C, 0x400F6A7A, 0x4015FDBC))
        n = int(math.copysign(n, x))
        z = x - n * PIO2_1
        y0 = z - n * PIO2_1T
        return n, y0, (z - y0) - n * PIO2_1T
    f = x * INV_PIO2 + TO_INT - TO_INT
    r, w = x - f * PIO2_1, f * PIO2_1T
    y0 = r - w
    for limit, part, tail in ((16, PIO2_2, PIO2_2T), (49, PIO2_3, PIO2_3T)):
        if (high >> 20) - (_high(y0) >> 20) <= limit:
            break
        t, w = r, f * part
        r = t - w
        w = f * tail - ((t - r) - w)
        y0 = r - w
    return int(f), y0, (r - y0) - w


def _turned(x, quarters):
    n, y0, y1 = _reduce(x)
    n = (n + quarters) % 4
    value = _kernel_cos(y0, y1) if n % 2 else _kernel_sin(y0, y1, True)
    return -value if n >= 2 else value


def sin(x):
    if math.isinf(x) or math.isnan(x):
        return math.nan
    assert abs(x) < LARGE, "the model takes no such angles"
    if _high(x) <= 0x3FE921FB:
        return x if _high(x) < 0x3E500000 else _kernel_sin(x, 0.0, False)
    return _turned(x, 0)


def cos(x):
    if math.isinf(x) or math.isnan(x):
        return math.nan
    assert abs(x) < LARGE, "the model takes no such angles"
    if _high(x) <= 0x3FE921FB:
        return 1.0 if _high(x) < 0x3E46A09E else _kernel_cos(x, 0.0)
    return _turned(x, 1)


EXACT = {
    "sin": lambda x: sin(x) if not abs(x) >= LARGE or math.isinf(x) else None,
    "cos": lambda x: cos(x) if not abs(x) >= LARGE or math.isinf(x) else None,
    "sqrt": lambda x: math.sqrt(x) if x >= 0 else math.nan,
    "rem": lambda x, y: math.nan if math.isinf(x) or y == 0 else math.fmod(x, y),
}

_PRECISE = {
    "asin": "asin", "acos": "acos", "atan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "asinh": "asinh",
    "acosh": "acosh", "atanh": "atanh", "exp": "exp", "exp_m1": "expm1", "ln": "log", "ln_1p": "log1p", "sin": "sin",
    "cos": "cos", "tan": "tan", "atan2": "atan2", "pow": "power", "hypot": "hypot",
}  # fmt: skip
_OTHER = {
    "exp2": lambda x: mpmath.power(2, x),
    "log2": lambda x: mpmath.log(x, 2),
    "log10": lambda x: mpmath.log10(x),
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
}


def precise(name, *arguments):
    """The value with 100 digits. None where it is no finite number."""
    if not all(math.isfinite(x) for x in arguments):
        return None
    with mpmath.workdps(400):
        function = _OTHER.get(name) or getattr(mpmath, _PRECISE[name])
        try:
            value = function(*(mpmath.mpf(x) for x in arguments))
        except (ValueError, ZeroDivisionError):
            return None
        is_real = isinstance(value, mpmath.mpf) and mpmath.isfinite(value)
        return value if is_real else None


def distance(value, exact):
    """How far a float is from a value, in units of the last place of that value."""
    with mpmath.workdps(400):
        if math.isinf(value):
            largest = mpmath.mpf(1.7976931348623157e308)
            return 0 if abs(exact) >= largest and (exact > 0) == (value > 0) else math.inf
        exponent = max(mpmath.frexp(exact)[1] - 53, -1074)
        return float(abs(mpmath.mpf(value) - exact) / mpmath.ldexp(1, exponent))
