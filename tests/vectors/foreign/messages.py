"""The messages of the protocol (PROTOCOL.md, 2, 3, 4.2 and 13.2): their tags, and the types of their fields."""

import msgpack

UNSIGNED, BYTES, TEXT, BOOL = "unsigned", "bytes", "text", "bool"
VIEW = (BYTES, ("optional", BYTES))

# A body that is one value has one field, `value`. A body that is nil has none.
MESSAGES = {
    "client": {
        "Join": (1, {
            "protocol": UNSIGNED, "program": BYTES, "name": BYTES, "version": UNSIGNED, "view_key": BYTES,
            "password_key": ("optional", BYTES), "view_data": ("optional", BYTES), "ticks_per_second": UNSIGNED,
            "attempt": UNSIGNED, "resume": ("optional", (UNSIGNED, UNSIGNED, BYTES)), "agent": TEXT,
            "view_signature": BYTES, "password_signature": ("optional", BYTES),
        }),
        "Send": (2, {"counter": UNSIGNED, "payload": BYTES}),
        "RequestVote": (3, {}),
        "Vote": (4, {"seq": UNSIGNED, "hash": BYTES}),
        "SnapshotPart": (5, {"seq": UNSIGNED, "offset": UNSIGNED, "total": UNSIGNED, "data": BYTES}),
        "Ping": (6, {"value": UNSIGNED}),
        "Leave": (7, {}),
        "Persist": (8, {}),
        "LeaveAfter": (9, {"value": UNSIGNED}),
        "Confirm": (10, {"value": UNSIGNED}),
        "Loaded": (11, {"value": UNSIGNED}),
        "Unusable": (12, {"value": UNSIGNED}),
        "Presence": (64, {"data": BYTES}),
    },
    "reflector": {
        "Welcome": (1, {
            "timeline": UNSIGNED, "view_id": BYTES, "resumed": BOOL, "seamless": BOOL, "time": UNSIGNED, "seq": UNSIGNED,
            "counter": ("optional", UNSIGNED), "snapshot": ("optional", (UNSIGNED, UNSIGNED, BYTES, UNSIGNED, BYTES)),
            "persisted": ("optional", UNSIGNED), "tick_ms": UNSIGNED, "rejoin_limit_ms": UNSIGNED,
            "limits": (UNSIGNED, UNSIGNED, UNSIGNED, UNSIGNED),
        }),
        "SnapshotPart": (2, {"value": BYTES}),
        "Event": (3, {"seq": UNSIGNED, "time": UNSIGNED, "sender": BYTES, "counter": UNSIGNED, "payload": BYTES}),
        "Views": (4, {"seq": UNSIGNED, "time": UNSIGNED, "exited": [VIEW], "joined": [VIEW], "active": UNSIGNED}),
        "VoteRequest": (5, {"seq": UNSIGNED, "time": UNSIGNED}),
        "Tick": (6, {"value": UNSIGNED}),
        "Verdict": (7, {"seq": UNSIGNED, "hash": ("optional", BYTES), "agreed": UNSIGNED, "of": UNSIGNED}),
        "SnapshotWanted": (8, {"value": UNSIGNED}),
        "Diverged": (9, {"value": UNSIGNED}),
        "Pong": (10, {"value": UNSIGNED}),
        "Hold": (11, {"value": BOOL}),
        "Persisted": (12, {"value": UNSIGNED}),
        "NewerVersion": (13, {"value": UNSIGNED}),
        "NotPersisted": (14, {"seq": UNSIGNED, "failure": ("optional", TEXT)}),
        "Hello": (15, {"nonce": BYTES, "binds_channel": BOOL}),
        "Disagreement": (16, {"seq": UNSIGNED, "sides": [(BYTES, UNSIGNED, [TEXT])]}),
        "OtherPassword": (17, {}),
        "Presences": (64, {"entries": [(BYTES, BYTES)]}),
    },
    "blob client": {
        "Hello": (1, {
            "version": UNSIGNED, "name": BYTES, "password_key": ("optional", BYTES), "agent": TEXT,
            "signature": ("optional", BYTES),
        }),
        "Offer": (2, {"value": [BYTES]}),
        "Chunk": (3, {"value": BYTES}),
        "Manifest": (4, {"value": BYTES}),
        "Get": (5, {"value": BYTES}),
    },
    "blob server": {
        "Ready": (1, {"max_blob": UNSIGNED, "room": UNSIGNED}),
        "Wanted": (2, {"value": [BYTES]}),
        "Stored": (3, {"value": BYTES}),
        "Complete": (4, {"value": BYTES}),
        "Content": (5, {"value": BYTES}),
        "Unknown": (6, {"value": BYTES}),
        "Refused": (7, {"value": UNSIGNED}),
    },
}  # fmt: skip

# Of a join, these are one byte string, as both keys sign it. A token ends it, which is nil today.
SIGNED = list(MESSAGES["client"]["Join"][1])[1:11]


def of_json(kind, value):
    """A field as it stands in the files of vectors, as a value to encode."""
    if isinstance(kind, list):
        return [of_json(kind[0], one) for one in value]
    if kind[0] == "optional":
        return None if value is None else of_json(kind[1], value)
    if isinstance(kind, tuple):
        return [of_json(one, part) for one, part in zip(kind, value, strict=True)]
    return {UNSIGNED: int, BYTES: bytes.fromhex, TEXT: str, BOOL: bool}[kind](value)


def to_json(kind, value):
    """The opposite."""
    if isinstance(kind, list):
        return [to_json(kind[0], one) for one in value]
    if kind[0] == "optional":
        return None if value is None else to_json(kind[1], value)
    if isinstance(kind, tuple):
        return [to_json(one, part) for one, part in zip(kind, value, strict=True)]
    if kind == UNSIGNED:
        return value if value <= 1 << 53 else str(value)
    return value.hex() if kind == BYTES else value


def encode(sender, message, fields):
    """The frame of a message."""
    tag, kinds = MESSAGES[sender][message]
    if list(fields) != list(kinds):
        raise AssertionError(f"{message} has the fields {list(fields)}, not {list(kinds)}")
    if message == "Join":
        rest = (of_json(kinds[name], fields[name]) for name in ("view_signature", "password_signature"))
        return msgpack.packb([tag, [fields["protocol"], signed_part(fields), *rest]])
    values = [of_json(kind, fields[name]) for name, kind in kinds.items()]
    if list(kinds) == ["value"]:
        return msgpack.packb([tag, values[0]])
    return msgpack.packb([tag, values or None])


def decode(sender, frame):
    """The message and the fields of a frame."""
    tag, body = msgpack.unpackb(frame)
    for message, (own, kinds) in MESSAGES[sender].items():
        if own == tag:
            values = [body] if list(kinds) == ["value"] else body or []
            if message == "Join":
                protocol, signed, *rest = values
                *values, token = msgpack.unpackb(signed)
                if token is not None:
                    raise AssertionError(f"a token {token!r}")
                values = [protocol, *values, *rest]
            pairs = zip(kinds.items(), values, strict=True)
            return message, {name: to_json(kind, value) for (name, kind), value in pairs}
    raise AssertionError(f"unknown tag {tag}")


def signed_part(fields):
    """What a join says, apart from the protocol and its signatures."""
    _, kinds = MESSAGES["client"]["Join"]
    return msgpack.packb([*(of_json(kinds[name], fields[name]) for name in SIGNED), None])


def statement(fields, nonce, channel):
    """What both keys sign."""
    bound_to = b"\0" if channel is None else b"\1" + channel
    return b"teatime v1 join" + nonce + bound_to + signed_part(fields)
