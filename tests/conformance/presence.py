"""Section 6.2: what participants show of themselves."""

import asyncio
import os
import time

from client import EVENT, LEAVE, MALFORMED, PRESENCE, PRESENCES, TOO_LARGE, VIEWS, Room, check, message
from rules import Rules

RULES = Rules()


async def shown(line, view, data):
    """Waits until a client has heard that this view shows these bytes."""
    await line.until(PRESENCES, lambda body: [view.id, data] in body[0])


@RULES("6.2.2", "what a participant shows reaches all others, has no place in the order, and the end of it too")
async def reaches_all(world):
    room = Room()
    one, two, three = [await world.joined(room) for _ in range(3)]
    await one.say(PRESENCE, [b"here"])
    await shown(two, one.view, b"here")
    await shown(three, one.view, b"here")
    await one.say(PRESENCE, [b""])
    await shown(two, one.view, b"")
    check(not any(tag == EVENT for tag, _ in two.log), "a presence is in the log")


@RULES("6.2.2", "of many the newest comes, and no more than one message in an interval")
async def coalesced(world):
    room = Room()
    one, two = [await world.joined(room) for _ in range(2)]
    began, messages, last = time.monotonic(), 0, b""
    for number in range(200):
        await one.say(PRESENCE, [number.to_bytes(2, "big")])
        await asyncio.sleep(0.005)
    newest = (199).to_bytes(2, "big")
    while last != newest:
        body = await two.until(PRESENCES)
        check(len(body[0]) == 1, f"one participant shows something, and {len(body[0])} entries come")
        messages, last = messages + 1, body[0][0][1]
    passed = time.monotonic() - began
    check(messages <= passed / 0.033 + 2, f"{messages} messages in {passed:.1f} s")


@RULES("6.2.2", "a new member gets what all views show, after the log, and nothing of a view that has exited")
async def newcomer(world):
    room = Room()
    one, two = [await world.joined(room) for _ in range(2)]
    await one.post(1)
    await one.event(1)
    await one.say(PRESENCE, [b"one"])
    await two.say(PRESENCE, [b"two"])
    await shown(one, two.view, b"two")
    await two.say(LEAVE)
    await one.until(VIEWS, lambda body: any(view[0] == two.view.id for view in body[2]))
    three = await world.joined(room)
    await shown(three, one.view, b"one")
    heard = [entry for tag, body in three.waiting if tag == PRESENCES for entry in body[0]]
    check(not any(view == two.view.id for view, _ in heard), "it hears what one shows that has left")


@RULES("6.2.1", "before the join of its view is ordered, a client shows nothing")
async def early(world):
    room = Room()
    one = await world.joined(room)
    two = await world.line(one.view.__class__(room))
    await two.join()
    await two.say(PRESENCE, [b"early"])
    await two.load()
    await two.catch_up()
    await two.present()
    await two.say(PRESENCE, [b"now"])
    await shown(one, two.view, b"now")
    early = [body for tag, body in one.waiting if tag == PRESENCES and [two.view.id, b"early"] in body[0]]
    check(not early, "what it showed before its join has come")


@RULES("2.3.1", "a presence that is too large, or of another shape, ends the connection")
async def bad(world):
    for body, code in (([os.urandom(1089)], TOO_LARGE), ([1], MALFORMED), (b"x", MALFORMED), ([], MALFORMED)):
        line = await world.joined()
        await line.raw(message(PRESENCE, body))
        await line.expect(code)
