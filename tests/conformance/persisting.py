"""Section 8: persisted data, rooms and passwords."""

import os

from client import NEWER_VERSION, NOT_PERSISTED, OTHER_PASSWORD, PERSISTED, Room, check, hash_of
from rules import Rules
from votes import envelope, snapshot

RULES = Rules()


async def persist(world, room, data):
    """A client persists data alone in its session. Its line, and the position."""
    line = await world.joined(room)
    seq = await snapshot([line], envelope(room, os.urandom(20), data))
    return line, seq


@RULES("8.1.5", "Persisted follows when the data is stored")
async def stored(world):
    line, seq = await persist(world, Room(), b"data")
    check(await line.until(PERSISTED, within=15) == seq, "another vote was stored")


@RULES("8.3.1", "a newer version begins with the data of the older one, and an older one does not")
async def begins(world):
    for password in (None, b"sesame"):
        room = Room(version=5, password=password)
        line, _ = await persist(world, room, b"tea and cake")
        await line.until(PERSISTED, within=15)
        next_room = room.of_version(6)
        for _ in range(2):  # The same bytes for every client before the first snapshot.
            newer = await world.joined(next_room)
            info = newer.welcome["snapshot"]
            check(newer.welcome["persisted"] == 5 and info[:2] == [0, 0], f"{newer.welcome}")
            check(newer.snapshot == b"tea and cake" and info[2] == hash_of(b"tea and cake"), "it is other data")
        again = await world.back(newer)
        await again.round_trip()
        older = await world.joined(room.of_version(4))
        check(older.welcome["persisted"] is None and older.welcome["snapshot"] is None, "an older version has it")


@RULES("8.4.3", "clients of older versions hear of a newer one")
async def newer(world):
    room = Room(version=5)
    old = await world.joined(room)
    await world.joined(room.of_version(9))
    check(await old.until(NEWER_VERSION) == 9, "another version")
    late = await world.joined(room)
    check(await late.until(NEWER_VERSION) == 9, "a newcomer does not hear of it")


@RULES("8.1.4", "a full room takes no further record, and says NotPersisted without a failure", within=120)
async def full(world):
    room = Room()
    for _ in range(16):
        line, seq = await persist(world, room, b"data")
        await line.until(PERSISTED, within=15)
        room = room.of_version(1)
    line, seq = await persist(world, room, b"data")
    body = await line.until(NOT_PERSISTED, within=15)
    check(body[:2] == [seq, None], f"{body}")


@RULES("8.4.2", "a client alone with another password hears OtherPassword if the other room is in use")
async def other_password(world):
    room = Room(password=b"sesame")
    first = await world.joined(room)
    await first.post(1)
    await first.event(1)
    for password in (b"sesane", None):
        mistyped = await world.joined(Room(room.program, room.name, 1, password))
        await mistyped.until(OTHER_PASSWORD)
    await first.round_trip()
    check(not any(tag == OTHER_PASSWORD for tag, _ in first.waiting), "the room in use is told as well")
