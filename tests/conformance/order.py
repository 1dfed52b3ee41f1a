"""Sections 5 and 6.1: order, counters, joins and exits."""

import asyncio
import os
import time

from client import (
    EVENT, LEAVE, LEAVE_AFTER, LEFT, OUT_OF_ORDER, SEND, SILENT, TICK, TOO_FAST, VIEWS, Room, check, message)
from rules import Rules

RULES = Rules()


def views(line, at):
    """The view ids of all exits (2) or joins (3), in their order."""
    return [view[0] for tag, body in line.log if tag == VIEWS for view in body[at]]


@RULES("5.1.1", "all clients receive the same messages in the same order, without gaps")
async def order(world):
    room = Room()
    lines = [await world.joined(room) for _ in range(4)]
    for counter in range(1, 101):
        await asyncio.gather(*(line.post(counter, os.urandom(20)) for line in lines))
    for line in lines:
        for other in lines:
            await line.event(100, other.view.id)
    last = max(line.seq for line in lines)
    for line in lines:
        while line.seq < last:
            await line.receive()
        check(line.frames[last] == lines[0].frames[last] and line.chain == lines[0].chain, "the orders differ")
    events = [body for tag, body in lines[3].log if tag == EVENT]
    for one in lines:
        own = [body[3] for body in events if body[2] == one.view.id]
        check(own == list(range(1, 101)), f"the events of a view are {own}")


@RULES("5.1.2", "an event has the payload, the counter and the view of the connection that it came over")
async def stamped(world):
    line = await world.joined()
    payload = os.urandom(1000)
    await line.post(1, payload)
    event = await line.event(1)
    check(event[2:5] == [line.view.id, 1, payload], f"{event}")


@RULES("5.1.3", "ticks and messages never go back, and a tick comes with the time that has passed")
async def time_passes(world):
    line = await world.joined()
    first, begun = await line.until(TICK), time.monotonic()
    await asyncio.sleep(2)
    for counter in range(1, 30):
        await line.post(counter)
        await line.event(counter)
    last = await line.until(TICK)
    passed = (last - first) / 1e6
    check(abs(passed - (time.monotonic() - begun)) < 1, f"{passed} s of session time have passed")


@RULES("5.1.4", "the clock of a session stands still while no client is connected")
async def stands_still(world):
    line = await world.joined()
    before = await line.until(TICK)
    await line.say(LEAVE)
    await line.closed()
    await asyncio.sleep(2)
    again = await world.joined(line.view.room)
    check(before <= again.welcome["time"] < before + 1_000_000, f"{again.welcome['time']} after {before}")


@RULES("5.2.1", "a counter that was accepted before is ignored, and a gap is closed with OUT_OF_ORDER")
async def counters(world):
    line = await world.joined()
    for counter in (1, 1, 2, 1, 2, 3, 0):
        await line.post(counter)
    await line.event(3)
    await line.round_trip()
    found = [body[3] for tag, body in line.log if tag == EVENT]
    check(found == [1, 2, 3], f"{found}")
    await line.post(5)
    await line.expect(OUT_OF_ORDER)


@RULES("5.2.2", "the first send of a connection may have any higher counter")
async def first_send(world):
    line = await world.joined()
    check(line.welcome["counter"] == 0, f"the counter of a new view is {line.welcome['counter']}")
    await line.post(2**40)
    await line.event(2**40)
    again = await world.back(line)
    check(again.welcome["counter"] == 2**40, f"{again.welcome['counter']}")
    await again.post(2**40 + 7)
    await again.event(2**40 + 7)


@RULES("5.2.3", "what is sent again after a cut is ordered exactly once")
async def resends(world):
    watcher = await world.joined()
    line = await world.joined(watcher.view.room)
    sent = 0
    for _ in range(6):
        for _ in range(40):
            sent += 1
            await line.post(sent)
        line.cut()
        line = await world.back(line)
        known = line.welcome["counter"]
        check(known <= sent, f"the reflector knows {known} of {sent}")
        for counter in range(max(1, known - 3), sent + 1):
            await line.post(counter)
        await line.event(sent)
    await watcher.event(sent, line.view.id)
    found = [body[3] for tag, body in watcher.log if tag == EVENT]
    check(found == list(range(1, sent + 1)), "events are missing, or have come twice")


@RULES("5.4.1", "the chain begins with the session id, and continues over every frame")
async def chains(world):
    for password in (None, b"sesame"):
        line = await world.joined(Room(version=7, password=password))
        for counter in range(1, 10):
            await line.post(counter)
        await line.event(9)
        again = await world.back(line)
        await again.round_trip()
        other = await world.joined(line.view.room)
        while again.seq < other.seq:
            await again.receive()
        check(other.chain == again.chain, "the chain of a late joiner is another")


@RULES("15.2", "more events than PER_SECOND and BURST allow are closed with TOO_FAST")
async def too_fast(world):
    line = await world.joined()
    _, per_second, burst, _ = line.welcome["limits"]
    async def flood():
        for counter in range(1, burst + 20 * per_second):
            await line.raw(message(SEND, [counter, b""]))
    flooding = asyncio.create_task(flood())
    await line.expect(TOO_FAST, 30)
    flooding.cancel()
    slow = await world.joined()
    for counter in range(1, burst):
        await slow.post(counter)
    await slow.event(burst - 1)


@RULES("6.1.1", "the views of a message count, and each join and exit is told once")
async def presence(world):
    room = Room()
    watcher = await world.joined(room, data=b"me")
    own = next(view for tag, body in watcher.log if tag == VIEWS for view in body[3])
    check(own[:2] == [watcher.view.id, b"me"], f"{own}")
    lines = await asyncio.gather(*(world.joined(room) for _ in range(5)))
    while len(views(watcher, 3)) < 6:
        await watcher.receive()
    check(sorted(views(watcher, 3)) == sorted(line.view.id for line in [watcher, *lines]), "joins are missing")
    last = [body for tag, body in watcher.log if tag == VIEWS][-1]
    check(last[4] == 6, f"active is {last[4]}")


@RULES("6.1.3", "Leave exits at once and is closed with LEFT; a cut exits after the rejoin limit")
async def exits(world):
    room = Room()
    watcher = await world.joined(room)
    leaves, cut, back = [await world.joined(room) for _ in range(3)]
    limit = watcher.welcome["rejoin_limit_ms"] / 1000
    gone = lambda line: lambda body: any(view[0] == line.view.id for view in body[2])
    await leaves.say(LEAVE)
    await leaves.expect(LEFT)
    await watcher.until(VIEWS, gone(leaves), 2)
    cut.cut(), back.cut()
    begun = time.monotonic()
    again = await world.back(back)
    check(again.welcome["seamless"], "a view that came back in time is not seamless")
    await watcher.until(VIEWS, gone(cut), limit + 5)
    check(time.monotonic() - begun > limit * 0.8, f"an exit after {time.monotonic() - begun:.1f} s")
    check(back.view.id not in views(watcher, 2), "a view that came back has exited")
    late = await world.back(cut)
    check(not late.welcome["seamless"], "a view that has exited is seamless")
    await late.present()


@RULES("6.1.4", "after LeaveAfter a view exits, and is closed with SILENT; its next join ends that")
async def leave_after(world):
    room = Room()
    watcher, leaves, stays = [await world.joined(room) for _ in range(3)]
    await leaves.say(LEAVE_AFTER, 500)
    await stays.say(LEAVE_AFTER, 1500)
    again = await world.back(stays)
    await leaves.expect(SILENT)
    await watcher.until(VIEWS, lambda body: any(view[0] == leaves.view.id for view in body[2]), 3)
    await asyncio.sleep(2)
    await again.round_trip()
    await watcher.round_trip()
    check(stays.view.id not in views(watcher, 2), "a view that joined again has exited")
