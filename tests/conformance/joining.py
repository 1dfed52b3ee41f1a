"""Section 4: who gets in."""

import asyncio
import os

from client import (
    BAD_PROOF, JOIN, NOT_JOINED, PING, REPLACED, SEND, VIEWS, Room, View, check, keyed, message, pack)
from rules import Rules

RULES = Rules()
SMALL_ORDER = bytes(32)


async def refused(world, view, make, what):
    """What `make` sends as a join is closed with BAD_PROOF."""
    line = await world.line(view)
    view.attempt += 1
    await line.say(JOIN, make(line))
    found = await line.closed()
    check(found == BAD_PROOF, f"{what}: closed with {found}")


@RULES("4.1.1", "Hello comes first; nothing but a join is taken then")
async def hello_first(world):
    for frame in (message(PING, 1), message(SEND, [1, b"x"]), message(7, None)):
        line = await world.line(View(Room()))
        await line.raw(frame)
        await line.expect(NOT_JOINED)


@RULES("4.2.1", "both keys sign the nonce, the channel and the join as it was sent")
async def signatures(world):
    for password in (None, b"sesame"):
        view = View(Room(password=password))
        await world.joined(view=view)
        # The same fields in a longer encoding, signed as they are sent.
        line = await world.line(view)
        view.attempt += 1
        fields = pack(view.fields())
        await line.say(JOIN, view.sign(line.nonce, b"\xdd\x00\x00\x00\x0b" + fields[1:]))
        await line.welcomed()
        # Signed in one encoding, sent in another.
        make = lambda line: [1, b"\xdc\x00\x0b" + fields[1:], *view.sign(line.nonce, fields)[2:]]
        await refused(world, view, make, "another encoding")


@RULES("4.2.3", "no nonce comes twice")
async def nonces(world):
    lines = await asyncio.gather(*(world.line(View(Room())) for _ in range(40)))
    check(len({line.nonce for line in lines}) == 40, "a nonce has come twice")


@RULES("4.2.6", "a missing, superfluous or wrong signature is closed with BAD_PROOF")
async def bad_proofs(world):
    for password in (None, b"sesame"):
        room = Room(password=password)
        view, other = View(room), View(room)
        first = await world.joined(view=view)
        nonce = first.nonce
        prove = lambda line, view=view: view.prove(line.nonce, view.fields())

        def changed(at, value):
            def make(line):
                join = prove(line)
                join[at] = value(join[at]) if callable(value) else value
                return join
            return make

        flip = lambda signature: signature and signature[:-1] + bytes([signature[-1] ^ 1])
        cases = {
            "replayed": lambda line: view.prove(nonce, view.fields()),
            "another nonce": lambda line: view.prove(os.urandom(32), view.fields()),
            "a channel": lambda line: view.prove(line.nonce, view.fields(), b"\1" + bytes(32)),
            "another key": lambda line: [1, pack(view.fields()), *other.prove(line.nonce, view.fields())[2:]],
            "a changed field": lambda line: [1, pack(view.fields(ticks=21)), *prove(line)[2:]],
            "a changed token": lambda line: [1, pack(view.fields(token=b"t")), *prove(line)[2:]],
            "a changed signature": changed(2, flip),
            "zeros": changed(2, bytes(64)),
        }
        if password:
            cases |= {"no password signature": changed(3, None), "the view's for the password's": lambda line: (
                lambda join: [*join[:3], join[2]])(prove(line)), "changed password signature": changed(3, flip)}
        else:
            cases["superfluous"] = lambda line: (lambda join: [*join[:3], join[2]])(prove(line))
        for what, make in cases.items():
            await refused(world, view, make, what)
        # A key of small order, for which a signature of zeros and such a point fits everything.
        fields = view.fields()
        fields[3] = b"\1" + SMALL_ORDER[1:]
        trick = [1, pack(fields), b"\1" + bytes(63), None]
        await refused(world, view, lambda line: trick, "a key of small order")
        # Nothing of this has disturbed the view.
        await first.post(1)
        await first.event(1)


@RULES("4.1.4", "a joiner receives the whole log, with the same bytes as the others")
async def late(world):
    first = await world.joined()
    for counter in range(1, 51):
        await first.post(counter, os.urandom(counter))
    await first.event(50)
    second = await world.joined(first.view.room)
    await first.until(VIEWS, lambda body: body[0] == second.seq)
    check(second.frames == first.frames, "5.4.2: two clients have received different frames")
    check(second.chain == first.chain, "the chains differ")


@RULES("4.1.5", "an event that comes before the own join is ordered all the same")
async def early(world):
    watcher = await world.joined()
    line = await world.line(View(watcher.view.room))
    await line.join()
    await line.post(1)
    await watcher.event(1, line.view.id)


@RULES("4.3.1", "resume is granted on the same timeline, within the log, and with the same chain only")
async def resume(world):
    first = await world.joined()
    watcher = await world.joined(first.view.room)
    for counter in range(1, 6):
        await first.post(counter)
    await first.event(5)
    timeline, seq, chain = first.position()
    old = [timeline, 3, None]
    start = first.view.room.start()
    old[2] = keyed(keyed(keyed(start, first.frames[1]), first.frames[2]), first.frames[3])
    for position, granted in (
            ([timeline, seq, chain], True), (old, True), ([timeline, 0, start], True),
            ([timeline ^ 1, seq, chain], False), ([timeline, seq, bytes(32)], False), ([timeline, 2, old[2]], False),
            ([timeline, seq + 9, chain], False), ([timeline, 2**64 - 1, chain], False)):
        line = await world.line(first.view)
        await line.join(position)
        check(line.welcome["resumed"] == granted, f"{position} is {'refused' if granted else 'granted'}")
        check(line.welcome["seamless"], "the view has not exited")
        line.seq = position[1] if granted else 0
        await line.catch_up()
    await watcher.round_trip()


@RULES("4.4.1", "a join whose attempt is not above the newest is closed with REPLACED, and a higher one replaces")
async def attempts(world):
    first = await world.joined()
    for attempt in (first.view.attempt, 0):
        line = await world.line(first.view)
        first.view.attempt = attempt
        await line.say(JOIN, first.view.prove(line.nonce, first.view.fields()))
        await line.expect(REPLACED)
        first.view.attempt = 1
    await first.round_trip()
    first.view.attempt = 6
    second = await world.line(first.view)
    await second.join()
    await first.expect(REPLACED)
    await second.round_trip()


@RULES("8.4.1", "another password, program, version or name is another session")
async def apart(world):
    room = Room(password=b"sesame")
    first = await world.joined(room)
    others = [Room(room.program, room.name, 1, b"other"), Room(room.program, room.name, 1, None),
              Room(os.urandom(32), room.name, 1, b"sesame"), Room(room.program, room.name, 2, b"sesame")]
    for other in others:
        line = await world.joined(other)
        check((line.seq, line.welcome["timeline"] != first.welcome["timeline"]) == (1, True), "it is the same session")
    await first.post(1)
    event = await first.event(1)
    check(event[0] == 2, f"others have come in: seq {event[0]}")
