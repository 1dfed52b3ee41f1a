"""Section 13: blobs."""

import asyncio
import os

import msgpack
import websockets

from client import BAD_PROOF, MALFORMED, NOT_JOINED, OUT_OF_ORDER, TOO_LARGE, VERSION, Room, check, keyed, message, pack
from rules import Rules

RULES = Rules()
HELLO, OFFER, CHUNK, MANIFEST, GET = range(1, 6)
READY, WANTED, STORED, COMPLETE, CONTENT, UNKNOWN, REFUSED = range(1, 8)
SIZE = 262144


async def ask(line, tag, body, expected):
    await line.say(tag, body)
    try:
        frame = await asyncio.wait_for(line.socket.recv(), 8)
    except websockets.ConnectionClosed as closed:
        check(False, f"the request {tag} was closed with {closed.rcvd and closed.rcvd.code}")
    check(frame[1] == expected, f"the request {tag} is answered with {frame[1]} instead of {expected}")
    return msgpack.unpackb(frame[2:])


def greet(line, room, *more):
    """The body of a hello of a client that knows the room."""
    fields = [1, room.name, room.public, "conformance"]
    signed = b"teatime v1 blobs" + line.nonce + b"\0" + pack(fields)
    signature = room.key.sign(signed).signature if room.key else None
    return [*fields, signature, *more]


async def ready(world, room, *more):
    line = await world.blobs()
    body = await ask(line, HELLO, greet(line, room, *more), READY)
    check(body[0] > SIZE and body[1] > SIZE, f"{body}")
    return line


def cut(data):
    return [data[at:at + SIZE] for at in range(0, len(data), SIZE)]


def manifest(space, data, ids=None):
    ids = ids or [keyed(space, chunk) for chunk in cut(data)]
    return b"TEABLOB1" + len(data).to_bytes(8, "big") + b"".join(ids)


@RULES("13.2.4", "a blob is stored by its chunks, and comes back")
async def stores(world):
    room, data = Room(), os.urandom(2 * SIZE + 1000)
    space, line = room.id, await ready(world, room)
    chunks = {keyed(space, chunk): chunk for chunk in cut(data)}
    check(await ask(line, OFFER, list(chunks), WANTED) == list(chunks), "not all chunks are wanted")
    for name, chunk in chunks.items():
        check(await ask(line, CHUNK, chunk, STORED) == name, "a chunk has another id")
    check(await ask(line, OFFER, list(chunks), WANTED) == [], "a stored chunk is wanted")
    root = keyed(space, manifest(space, data))
    check(await ask(line, MANIFEST, manifest(space, data), COMPLETE) == root, "another root")
    other = await ready(world, room)
    found = await ask(other, GET, root, CONTENT)
    check(found == manifest(space, data), "another manifest")
    for name, chunk in chunks.items():
        check(await ask(other, GET, name, CONTENT) == chunk, "another chunk")
    # Another space has nothing of it.
    stranger = await ready(world, Room())
    check(await ask(stranger, GET, root, UNKNOWN) == root, "another room has the blob")


@RULES("13.2.6", "Complete comes only if every chunk is there, and a manifest must be valid")
async def manifests(world):
    room, data = Room(), os.urandom(SIZE + 5)
    space = room.id
    first, second = cut(data)
    line = await ready(world, room)
    await ask(line, CHUNK, first, STORED)
    missing = await ask(line, MANIFEST, manifest(space, data), UNKNOWN)
    check(missing == keyed(space, second), "another chunk is missing")
    for wrong in (b"nonsense", b"TEABLOB2" + manifest(space, data)[8:], manifest(space, data)[:-1]):
        line = await ready(world, room)
        await line.say(MANIFEST, wrong)
        await line.expect(MALFORMED)


@RULES("13.2.1", "Hello comes first and once; replies come in the order of the requests")
async def hello(world):
    line = await world.blobs()
    await line.say(GET, bytes(32))
    await line.expect(NOT_JOINED)
    line = await ready(world, Room())
    names = [os.urandom(32) for _ in range(50)]
    for name in names:
        await line.say(GET, name)
    for name in names:
        frame = await asyncio.wait_for(line.socket.recv(), 8)
        check(frame == message(UNKNOWN, name), "a reply is out of order")
    await line.say(HELLO, greet(line, Room()))
    await line.expect(OUT_OF_ORDER)


@RULES("13.2.3", "Hello may be longer; unknown tags and versions are closed with VERSION")
async def growth(world):
    await ready(world, Room(), b"token", ["later"])
    for tag in (0, 6, 63, 64, 127):
        line = await ready(world, Room())
        await line.say(tag, None)
        await line.expect(VERSION)
    line = await world.blobs()
    await line.say(HELLO, [2, {}])
    await line.expect(VERSION)


@RULES("2.3.1", "a blob connection refuses what is not a message, and what is too large")
async def strict(world):
    for frame, code in ((b"\xc0", MALFORMED), (message(GET, "00" * 32), MALFORMED), (message(GET, bytes(32)) + b"\0", MALFORMED),
                        (message(OFFER, [bytes(32)] * 257), TOO_LARGE), (message(CHUNK, bytes(262185)), TOO_LARGE)):
        line = await ready(world, Room())
        await line.raw(frame)
        await line.expect(code)


@RULES("13.2.2", "only a client that knows the password is in the room, and a hello counts on its own connection only")
async def proves(world):
    room = Room(password=b"tea")
    await ready(world, room)
    before = await world.blobs()
    for wrong in (
        [1, room.name, room.public, "conformance", None],
        [1, room.name, room.public, "conformance", bytes(64)],
        [1, room.name, None, "conformance", bytes(64)],
        greet(before, room),
    ):
        line = await world.blobs()
        await line.say(HELLO, wrong)
        await line.expect(BAD_PROOF)
