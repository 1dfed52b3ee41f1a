"""Canonical MessagePack by type, and reading of other forms (MODEL.md, 1 and 2)."""

import math
import struct

import msgpack

from .wire import Refused, unpack

NAN32, NAN64 = bytes.fromhex("7fc00000"), bytes.fromhex("7ff8000000000000")
BITS = {"u8": 8, "u16": 16, "u32": 32, "u64": 64, "i8": 8, "i16": 16, "i32": 32, "i64": 64}
INTEGERS = tuple(BITS)


def write(kind, value):
    """The canonical bytes of a value of this type."""
    if kind in INTEGERS or kind in ("bool", "str", "char", "bytes"):
        return msgpack.packb(value)
    if kind in ("u128", "i128"):
        return msgpack.packb(value.to_bytes(16, "big", signed=kind == "i128"))
    if kind == "f32":
        return b"\xca" + (NAN32 if math.isnan(value) else struct.pack(">f", value))
    if kind == "f64":
        return b"\xcb" + (NAN64 if math.isnan(value) else struct.pack(">d", value))
    if kind == "unit":
        return b"\xc0"
    if kind == "unit struct":
        return b"\x90"
    ((shape, inner),) = kind.items()
    if shape == "option":
        return b"\xc0" if value is None else write(inner, value)
    if shape == "id":
        return msgpack.packb(bytes(value))
    if shape in ("list", "set"):
        return array(write(inner, one) for one in value)
    if shape in ("tuple", "struct"):
        kinds = inner if shape == "tuple" else [one for _, one in inner]
        return array(write(one, part) for one, part in zip(kinds, value, strict=True))
    if shape in ("map", "sorted map"):
        pairs = [write(inner[0], key) + write(inner[1], one) for key, one in value.items()]
        return msgpack.Packer().pack_map_header(len(pairs)) + b"".join(pairs)
    if shape == "enum":
        name, content = value
        inner = dict(inner)[name]
        if inner is None:
            return msgpack.packb(name)
        return b"\x81" + msgpack.packb(name) + write(inner, content)
    raise AssertionError(kind)


def array(parts):
    """An array of values that are encoded already."""
    parts = list(parts)
    return msgpack.Packer().pack_array_header(len(parts)) + b"".join(parts)


def read(kind, data):
    """The value of this type that a payload is."""
    return _read(kind, unpack(data))


def _refuse(kind, node):
    raise Refused(f"expected {kind}, found {node}")


def _integer(kind, node):
    bits, signed = BITS[kind], kind[0] == "i"
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    if node[0] not in ("unsigned", "signed") or not low <= node[1] < high:
        _refuse(kind, node)
    return node[1]


def _wide(kind, node):
    if node[0] in ("unsigned", "signed"):
        return node[1] % (1 << 128) if kind == "u128" else node[1]
    if node[0] == "bin" and len(node[1]) == 16:
        return int.from_bytes(node[1], "big", signed=kind == "i128")
    return _refuse(kind, node)


def _float(kind, node):
    if node[0] not in ("unsigned", "signed", "f32", "f64"):
        _refuse(kind, node)
    value = float(node[1])
    if kind == "f64" or math.isnan(value):
        return value
    try:
        return struct.unpack(">f", struct.pack(">f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def _text(kind, node):
    if node[0] == "bin" and kind == "str":
        try:
            return node[1].decode()
        except UnicodeDecodeError:
            _refuse(kind, node)
    if node[0] != "str" or (kind == "char" and len(node[1]) != 1):
        _refuse(kind, node)
    return node[1]


def _bytes(node):
    if node[0] == "array":
        return bytes(_integer("u8", one) for one in node[1])
    if node[0] == "str":
        return node[1].encode()
    return node[1] if node[0] == "bin" else _refuse("bytes", node)


def _list(node):
    if node[0] == "bin":
        return [("unsigned", byte) for byte in node[1]]
    return node[1] if node[0] == "array" else _refuse("a list", node)


def _id(length, node):
    if node[0] == "str":
        try:
            value = bytes.fromhex(node[1]) if len(node[1]) == 2 * length else b""
        except ValueError:
            value = b""
    else:
        value = _bytes(node)
    return value if len(value) == length else _refuse(f"{length} bytes", node)


def _tuple(kinds, node):
    parts = _list(node)
    too_long = len(parts) > len(kinds) and node[0] == "array"
    if len(parts) < len(kinds) or too_long:
        _refuse(kinds, node)
    return [_read(kind, part) for kind, part in zip(kinds, parts)]


def _name(names, node, others):
    """A field or a variant: by its name, also as bytes, or by its number."""
    kind, value = node
    if kind == "bin":
        value = value.decode(errors="replace")
    if kind in ("str", "bin") and (value in names or others):
        return value if value in names else None
    if kind == "unsigned" and (value < len(names) or others):
        return names[value] if value < len(names) else None
    return _refuse(names, node)


def _struct(fields, node):
    if node[0] != "map":
        return _tuple([kind for _, kind in fields], node)
    found = {}
    names = [name for name, _ in fields]
    for key, value in node[1]:
        name = _name(names, key, others=True)
        if name in found:
            _refuse("each field once", node)
        if name is not None:
            found[name] = _read(dict(fields)[name], value)
    for name, kind in fields:
        if name not in found:
            # Only an optional field may be missing, and only if nothing else is declared for it.
            if not isinstance(kind, dict) or "option" not in kind or kind["option"] == "bytes":
                _refuse(name, node)
            found[name] = None
    return [found[name] for name in names]


def _enum(variants, node):
    names = [name for name, _ in variants]
    if node[0] != "map":
        name = _name(names, node, others=False)
        return (name, None) if dict(variants)[name] is None else _refuse("content", node)
    if len(node[1]) != 1:
        _refuse("one variant", node)
    key, content = node[1][0]
    name = _name(names, key, others=False)
    kind = dict(variants)[name]
    if kind is None:
        return (name, None) if content[0] == "nil" else _refuse("nil", content)
    return name, _read(kind, content)


def _read(kind, node):
    if kind in INTEGERS:
        return _integer(kind, node)
    if kind in ("u128", "i128"):
        return _wide(kind, node)
    if kind in ("f32", "f64"):
        return _float(kind, node)
    if kind in ("str", "char"):
        return _text(kind, node)
    if kind == "bytes":
        return _bytes(node)
    if kind in ("bool", "unit", "unit struct"):
        empty = kind == "unit struct" and node == ("array", [])
        if node[0] == ("bool" if kind == "bool" else "nil") or empty:
            return node[1]
        _refuse(kind, node)
    ((shape, inner),) = kind.items()
    if shape == "option":
        return None if node[0] == "nil" else _read(inner, node)
    if shape == "id":
        return _id(inner, node)
    if shape in ("list", "set"):
        values = [_read(inner, one) for one in _list(node)]
        return list(dict.fromkeys(values)) if shape == "set" else values
    if shape == "tuple":
        return _tuple(inner, node)
    if shape == "struct":
        return _struct(inner, node)
    if shape == "enum":
        return _enum(inner, node)
    if shape in ("map", "sorted map") and node[0] == "map":
        pairs = {_read(inner[0], key): _read(inner[1], value) for key, value in node[1]}
        return dict(sorted(pairs.items())) if shape == "sorted map" else pairs
    return _refuse(kind, node)


def recode(data):
    """The canonical form of any value."""
    return _recode(unpack(data))


def _recode(node):
    kind, value = node
    if kind == "nil":
        return b"\xc0"
    if kind in ("unsigned", "signed", "bool", "str", "bin"):
        return msgpack.packb(value)
    if kind in ("f32", "f64"):
        return write(kind, value)
    if kind == "array":
        return array(_recode(one) for one in value)
    if kind == "map":
        pairs = b"".join(_recode(key) + _recode(one) for key, one in value)
        return msgpack.Packer().pack_map_header(len(value)) + pairs
    raise Refused("an extension type")
