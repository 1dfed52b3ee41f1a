"""Section 7: votes and snapshots."""

import os
import time

from client import (
    CONFIRM, DISAGREEMENT, DIVERGED, GOING_AWAY, LOADED, OUT_OF_ORDER, PART, PERSIST, REQUEST_VOTE, SNAPSHOT_WANTED, SOON,
    UNUSABLE, VERDICT, VOTE, VOTE_REQUEST, Broken, Room, check, hash_of, pack)
from rules import Rules

RULES = Rules()


def envelope(room, state=b"state", persisted=None):
    return pack([state, persisted and [persisted, []], [], room.id])


async def vote(lines, hashes, asks=REQUEST_VOTE):
    """All clients vote. The position."""
    await lines[0].say(asks)
    for line, value in zip(lines, hashes):
        body = await line.until(VOTE_REQUEST)
        line.asked = body[0]
        if value is not None:
            await line.say(VOTE, [body[0], value])
    check(len({line.asked for line in lines}) == 1, "clients vote at different positions")
    return lines[0].asked


async def hand_in(line, seq, data, size=65536):
    for offset in range(0, len(data), size):
        await line.say(PART, [seq, offset, len(data), data[offset:offset + size]])


async def asked(lines, seq):
    """The client that is asked for the snapshot of this vote."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        for line in lines:
            await line.round_trip()
        found = [line for line in lines if (SNAPSHOT_WANTED, seq) in line.waiting]
        if found:
            check(len(found) == 1, f"{len(found)} clients are asked for the snapshot")
            return found[0]
    raise Broken("7.2.1: no client is asked for the snapshot")


async def snapshot(lines, data):
    """All clients agree on this envelope, and the one that is asked hands it in."""
    seq = await vote(lines, [hash_of(data)] * len(lines), PERSIST)
    line = await asked(lines, seq)
    await hand_in(line, seq, data)
    await line.round_trip()
    return seq


@RULES("7.1.3", "a hash that more than half of the views sent has the majority, and Verdict counts")
async def verdicts(world):
    room = Room()
    lines = [await world.joined(room)]
    a, b, c = (bytes([byte]) * 32 for byte in (1, 2, 3))
    cases = [[(a,), a, 1], [(a, a), a, 2], [(a, b), None, 1], [(a, a, b), a, 2], [(a, b, c), None, 1]]
    for hashes, expected, agreed in cases:
        while len(lines) < len(hashes):
            lines.append(await world.joined(room))
        seq = await vote(lines, hashes)
        for line in lines:
            body = await line.until(VERDICT, lambda body: body[0] == seq)
            check(body[1:4] == [expected, agreed, len(hashes)], f"the verdict about {len(hashes)} is {body}")


@RULES("7.1.2", "a silent view counts, its vote ends after VOTE_TIMEOUT, and a second vote does not count")
async def silent(world):
    room = Room()
    lines = [await world.joined(room) for _ in range(3)]
    a, b = b"\1" * 32, b"\2" * 32
    begun = time.monotonic()
    seq = await vote(lines, [a, b, None])
    await lines[1].say(VOTE, [seq, a])
    body = await lines[0].until(VERDICT, within=12)
    check(body[:4] == [seq, None, 1, 3], f"{body}")
    check(3 < time.monotonic() - begun < 10, f"after {time.monotonic() - begun:.1f} s")


@RULES("7.1.4", "a late vote against the verdict is answered by it, and by Diverged")
async def late(world):
    room = Room()
    lines = [await world.joined(room) for _ in range(3)]
    a, b = b"\1" * 32, b"\2" * 32
    seq = await vote(lines, [a, a, None])
    for line in lines:
        await line.until(VERDICT, lambda body: body[0] == seq, 12)
    await lines[2].say(VOTE, [seq, b])
    await lines[2].until(VERDICT, lambda body: body[:2] == [seq, a])
    await lines[2].until(DIVERGED, lambda body: body == seq)


@RULES("7.1.5", "one vote answers all requests before it")
async def merged(world):
    line = await world.joined()
    for _ in range(50):
        await line.say(REQUEST_VOTE)
    await line.round_trip()
    asked = [body for tag, body in line.log if tag == VOTE_REQUEST]
    check(len(asked) <= 2, f"{len(asked)} votes answer 50 requests")


@RULES("7.2.1", "a log that has grown leads to a vote, and one voter of the majority is asked for the snapshot")
async def grown(world):
    line = await world.joined()
    for counter in range(1, 20):
        await line.post(counter, os.urandom(65536))
    seq = (await line.until(VOTE_REQUEST))[0]
    data = envelope(line.view.room, os.urandom(200_000))
    await line.say(VOTE, [seq, hash_of(data)])
    check(await line.until(SNAPSHOT_WANTED) == seq, "another vote's snapshot is wanted")
    await line.event(19)
    await hand_in(line, seq, data, 50_000)
    await line.round_trip()
    late = await world.joined(line.view.room)
    check(late.snapshot == data, "a newcomer receives another snapshot")
    check(late.welcome["snapshot"][:2] == [seq, line.log[seq - 1][1][1]], f"{late.welcome['snapshot']}")
    while line.seq < late.seq:
        await line.receive()
    check(late.chain == line.chain, "7.2.5: the chain of the welcome is not that of the log")


@RULES("7.2.3", "bytes that the majority did not vote for are closed with OUT_OF_ORDER, and the next voter is asked")
async def wrong_bytes(world):
    room = Room()
    lines = [await world.joined(room) for _ in range(3)]
    data = envelope(room, b"right")
    seq = await vote(lines, [hash_of(data)] * 3, PERSIST)
    for _ in range(2):
        liar = await asked(lines, seq)
        await hand_in(liar, seq, data.replace(b"right", b"wrong"))
        await liar.expect(OUT_OF_ORDER)
        lines.remove(liar)
    await asked(lines, seq)
    await hand_in(lines[0], seq, data)
    await lines[0].round_trip()
    late = await world.joined(room)
    check(late.snapshot == data, "the right snapshot is not taken")


@RULES("7.2.4", "what is not a valid envelope is refused, although all voted for it")
async def envelopes(world):
    wide = lambda data: b"\xdc\x00\x04" + data[1:]
    roots = sorted(os.urandom(32) for _ in range(2))
    state = bytes(400)
    for make in (
            lambda room: b"junk", lambda room: envelope(room) + b"\0", lambda room: wide(envelope(room)),
            lambda room: pack([b"s", None, []]), lambda room: pack([b"s", None, [], room.id, 1]),
            lambda room: pack([state, None, roots[::-1], room.id]), lambda room: pack([state, None, roots[:1] * 2, room.id]),
            lambda room: pack([b"s", None, roots, room.id]), lambda room: pack([b"s", [b"", []], [], room.id])):
        line = await world.joined()
        data = make(line.view.room)
        seq = await vote([line], [hash_of(data)], PERSIST)
        await line.until(SNAPSHOT_WANTED)
        await hand_in(line, seq, data)
        await line.expect(OUT_OF_ORDER)
    line = await world.joined()
    await snapshot([line], pack([state, None, roots, line.view.room.id]))


@RULES("7.3.1", "Diverged goes to the minority; without a majority to all; confirmed states are told to all")
async def diverged(world):
    room = Room()
    lines = [await world.joined(room) for _ in range(3)]
    a, b = b"\1" * 32, b"\2" * 32
    seq = await vote(lines, [a, a, b])
    await lines[2].until(DIVERGED, lambda body: body == seq)
    for line in lines[:2]:
        await line.until(VERDICT)
        await line.round_trip()
        check(not any(tag == DIVERGED for tag, _ in line.waiting), "the majority is told that it diverged")
    await lines[2].say(CONFIRM, seq)
    for line in lines:
        body = await line.until(DISAGREEMENT, within=12)
        sides = [[side[0], side[1], side[2]] for side in body[1]]
        check(body[0] == seq and sides == [[a, 2, ["conformance"]], [b, 1, ["conformance"]]], f"{body}")
    two = [await world.joined() for _ in range(1)]
    two.append(await world.joined(two[0].view.room))
    seq = await vote(two, [a, b])
    for line in two:
        await line.until(DIVERGED, lambda body: body == seq)


@RULES("7.4.4", "Unusable brings the history back, unless another client has loaded the snapshot")
async def unusable(world):
    first = await world.joined()
    room = first.view.room
    for counter in range(1, 6):
        await first.post(counter)
    await first.event(5)
    data = envelope(room)
    seq = await snapshot([first], data)
    late = await world.joined(room)
    check(late.snapshot == data, "the snapshot is not handed out")
    await late.say(UNUSABLE, seq)
    await late.expect(GOING_AWAY)
    again = await world.joined(room)
    check(again.snapshot == b"" and again.welcome["timeline"] == first.welcome["timeline"], "the history is not back")
    check(all(again.frames[at] == frame for at, frame in first.frames.items()), "the log has other bytes")
    await first.round_trip()


@RULES("7.4.5", "a snapshot that was loaded stays")
async def loaded(world):
    first = await world.joined()
    room = first.view.room
    data = envelope(room)
    seq = await snapshot([first], data)
    await first.say(UNUSABLE, seq)  # It was not given the snapshot.
    await first.round_trip()
    late = await world.joined(room)
    await late.say(LOADED, seq + 1)
    await late.say(LOADED, seq)
    await late.round_trip()
    other = await world.joined(room)
    await other.say(UNUSABLE, seq)
    await other.round_trip()
    last = await world.joined(room)
    check(last.snapshot == data, "one client has thrown away a snapshot that another has loaded")
