"""MessagePack as it travels: what a decoder of values would hide counts here, such as text or bytes (MODEL.md, 1 and 2)."""

import struct


class Refused(Exception):
    """Bytes that are not what they must be."""


def unpack(data, depth=64):
    """The one value that these bytes are, as pairs of a kind and a content."""
    value, end = _value(data, 0, depth)
    if end != len(data):
        raise Refused("bytes follow the value")
    return value


def _take(data, at, length):
    if at + length > len(data):
        raise Refused("the bytes end too early")
    return data[at : at + length], at + length


def _number(data, at, form):
    raw, at = _take(data, at, struct.calcsize(form))
    return struct.unpack(form, raw)[0], at


_INTEGERS = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
_SIGNED = {0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_FLOATS = {0xCA: ("f32", ">f"), 0xCB: ("f64", ">d")}
_LENGTHS = {
    0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"),
    0xD9: ("str", ">B"), 0xDA: ("str", ">H"), 0xDB: ("str", ">I"),
    0xDC: ("array", ">H"), 0xDD: ("array", ">I"),
    0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
}  # fmt: skip
_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}


def _value(data, at, depth):
    head, at = _number(data, at, ">B")
    if head <= 0x7F:
        return ("unsigned", head), at
    if head >= 0xE0:
        return ("signed", head - 256), at
    if head in (0xC0, 0xC2, 0xC3):
        return {0xC0: ("nil", None), 0xC2: ("bool", False), 0xC3: ("bool", True)}[head], at
    if head in _INTEGERS or head in _SIGNED:
        number, at = _number(data, at, _INTEGERS.get(head) or _SIGNED[head])
        return ("unsigned" if head in _INTEGERS else "signed", number), at
    if head in _FLOATS:
        kind, form = _FLOATS[head]
        number, at = _number(data, at, form)
        return (kind, number), at
    if head in _EXTENSIONS or 0xC7 <= head <= 0xC9:
        length = _EXTENSIONS.get(head)
        if length is None:
            length, at = _number(data, at, {0xC7: ">B", 0xC8: ">H", 0xC9: ">I"}[head])
        _, at = _take(data, at, 1 + length)
        return ("extension", None), at
    if head <= 0x8F:
        kind, length = "map", head & 15
    elif head <= 0x9F:
        kind, length = "array", head & 15
    elif head <= 0xBF:
        kind, length = "str", head & 31
    elif head in _LENGTHS:
        kind, form = _LENGTHS[head]
        length, at = _number(data, at, form)
    else:
        raise Refused("a reserved byte")
    if kind in ("str", "bin"):
        raw, at = _take(data, at, length)
        # A text that is not UTF-8 counts as bytes.
        if kind == "str":
            try:
                return ("str", raw.decode()), at
            except UnicodeDecodeError:
                pass
        return ("bin", raw), at
    return _container(data, at, kind, length, depth - 1)


def _container(data, at, kind, length, depth):
    if depth == 0:
        raise Refused("nested too deep")
    values = []
    for _ in range(length * (2 if kind == "map" else 1)):
        value, at = _value(data, at, depth)
        values.append(value)
    if kind == "map":
        return ("map", list(zip(values[::2], values[1::2], strict=True))), at
    return ("array", values), at
