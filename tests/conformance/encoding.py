"""Section 2: what the reflector reads, and what it refuses."""

import os

from client import (
    JOIN, MALFORMED, NOT_JOINED, OUT_OF_ORDER, PART, PING, SEND, TOO_LARGE, VERSION, VOTE, Broken, Room, View, check,
    message)
from rules import Rules

RULES = Rules()


async def refused(world, code, frames):
    """Each frame closes a connection of its own with this code, and no other one."""
    watcher = await world.joined()
    room = watcher.view.room
    for frame in frames:
        line = await world.joined(room)
        await line.raw(frame)
        try:
            found = await line.closed()
        except Broken:
            found = None
        check(found == code, f"{frame[:40].hex()} is closed with {found} instead of {code}")
    await watcher.post(1)
    await watcher.event(1)


@RULES("2.3.1", "a frame that is not exactly one message is closed with MALFORMED")
async def malformed(world):
    await refused(world, MALFORMED, [
        b"", b"\xc0", b"nonsense", b"\x92", b"\x91\x06", b"\x93\x06\x05\x00", b"\x82\x06\x05", b"\xdc\x00\x02\x06\x05",
        b"\x92\xcc\x06\x05",  # a tag in two bytes
        b"\x92\xff\x05", b"\x92\xa1\x06\x05", message(PING, 5) + b"\x00", message(PING, "5"), message(PING, -1),
        b"\x92\x06\xcf\x00", message(SEND, [1]), message(SEND, [1, "x"]), message(SEND, 1), message(SEND, {}),
        message(SEND, ["1", b"x"]), message(7, 0), message(SEND, [2**64 - 1, b"x"])[:-1],
        message(SEND, [1, b"x", [[[[[[[[[[1]]]]]]]]]]]),
        message(SEND, [1, b"x"])[:2] + b"\x93\x01\xc4\x01x\xa1\xff",  # text that is not UTF-8
    ])


@RULES("2.3.2", "a digest in any other form than 32 bytes is closed with MALFORMED")
async def digests(world):
    forms = ["00" * 32, bytes(31), bytes(33), [0] * 32, None]
    await refused(world, MALFORMED, [message(VOTE, [1, form]) for form in forms])


@RULES("2.3.3", "a message that may not come at this point is closed with OUT_OF_ORDER")
async def out_of_order(world):
    await refused(world, OUT_OF_ORDER, [message(PART, [1, 0, 1, b"x"])])
    line = await world.joined()
    line.view.attempt += 1
    await line.say(JOIN, line.view.prove(line.nonce, line.view.fields()))
    await line.expect(OUT_OF_ORDER)


@RULES("15.3", "what exceeds a size is closed with TOO_LARGE, and what does not is taken")
async def sizes(world):
    line = await world.joined()
    most = line.welcome["limits"][0]
    await line.post(1, bytes(most))
    await line.event(1)
    await refused(world, TOO_LARGE, [
        message(SEND, [1, bytes(most + 1)]), message(9, 1) + bytes(66560), message(PART, [1, 0, 9, bytes(65537)]),
        message(PART, [1, 0, 268435457, b"x"])])
    for more in ({"data": bytes(2049)}, {"agent": "a" * 161}, {"token": bytes(4097)}):
        line = await world.line(View(Room()))
        line.view.attempt = 1
        await line.say(JOIN, line.view.prove(line.nonce, line.view.fields(**more)))
        await line.expect(TOO_LARGE)
    await world.joined(data=bytes(2048), agent="a" * 160, token=os.urandom(4096))


@RULES("2.2", "integers and lengths may be wider than needed")
async def wide(world):
    line = await world.joined()
    await line.raw(b"\x92\x02\xdd\x00\x00\x00\x02\xcf" + (1).to_bytes(8, "big") + b"\xc6\x00\x00\x00\x01x")
    await line.event(1)
    await line.raw(b"\x92\x06\xcd\x00\x05")
    await line.round_trip()


@RULES("2.4.1", "further fields are ignored, and missing ones are refused")
async def longer(world):
    line = await world.joined()
    for counter, more in enumerate(([None], [5, "text"], [[[1], b"x"]], [{"a": 1.5}]), 1):
        await line.say(SEND, [counter, b"x", *more])
        await line.event(counter)
    await line.say(VOTE, [1, bytes(32), 1])
    await line.round_trip()
    # A join that is longer on both levels, with a token.
    view = View(Room(password=b"sesame"))
    line = await world.line(view)
    view.attempt = 1
    fields = [*view.fields(token=b"token"), 1, ["later"]]
    await line.say(JOIN, [*view.prove(line.nonce, fields), "later", None])
    await line.welcomed()
    view = View(Room())
    line = await world.line(view)
    await line.say(JOIN, view.prove(line.nonce, view.fields()[:10]))
    await line.expect(MALFORMED)


@RULES("2.4.2", "an unknown message is ignored from tag 64 on, and closed with VERSION below")
async def unknown(world):
    line = await world.joined()
    for tag in (65, 66, 100, 127):
        for body in (None, [b"x", "later"], 7, {"a": [1]}):
            await line.say(tag, body)
    await line.post(1)
    await line.event(1)
    await refused(world, VERSION, [message(tag, body) for tag in (0, 13, 40, 63) for body in (None, [1])])
    await refused(world, MALFORMED, [b"\x92\x41", b"\x92\x41\x92\x01", b"\x92\x41\xc0\xc0"])
    line = await world.line(View(Room()))
    await line.say(65)
    await line.expect(NOT_JOINED)


@RULES("2.4.5", "a join of another version is closed with VERSION, whatever its shape")
async def versions(world):
    view = View(Room())
    for change in (lambda join: [2, *join[1:]], lambda join: [300, {}, 1], lambda join: [2]):
        line = await world.line(view)
        await line.say(JOIN, change(view.prove(line.nonce, view.fields())))
        await line.expect(VERSION)
