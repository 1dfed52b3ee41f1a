"""A client of the protocol, written from PROTOCOL.md alone. It checks what holds for every message it receives."""

import asyncio
import os
import time
from dataclasses import dataclass, field, replace

import msgpack
import websockets
from argon2.low_level import Type, hash_secret_raw
from blake3 import blake3
from nacl.signing import SigningKey

# Tags, section 3.
JOIN, SEND, REQUEST_VOTE, VOTE, PART, PING, LEAVE, PERSIST, LEAVE_AFTER, CONFIRM, LOADED, UNUSABLE = range(1, 13)
(WELCOME, SNAPSHOT_PART, EVENT, VIEWS, VOTE_REQUEST, TICK, VERDICT, SNAPSHOT_WANTED, DIVERGED, PONG, HOLD, PERSISTED,
 NEWER_VERSION, NOT_PERSISTED, HELLO, DISAGREEMENT, OTHER_PASSWORD) = range(1, 18)
PRESENCE = PRESENCES = 64
ORDERED = (EVENT, VIEWS, VOTE_REQUEST)

# Close codes, section 14.
LEFT, GOING_AWAY, SILENT = 1000, 4000, 4002
MALFORMED, TOO_LARGE, VERSION, NOT_JOINED, OUT_OF_ORDER = range(4100, 4105)
TOO_FAST, REPLACED, BAD_PROOF = 4106, 4107, 4108

# Longest wait for what must come at once.
SOON = 8.0


class Broken(Exception):
    """The reflector has broken a rule."""


def check(holds, what):
    if not holds:
        raise Broken(what)


def hash_of(data):
    return blake3(data).digest()


def derive(context, data):
    return blake3(data, derive_key_context=context).digest()


def keyed(key, data):
    return blake3(data, key=key).digest()


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def message(tag, body):
    return b"\x92" + bytes([tag]) + pack(body)


@dataclass
class Room:
    """What a join says of a session, section 10."""

    program: bytes = field(default_factory=lambda: os.urandom(32))
    name: bytes = field(default_factory=lambda: os.urandom(32))
    version: int = 1
    password: bytes | None = None

    def __post_init__(self):
        master = self.password and hash_secret_raw(self.password, self.name, 2, 19456, 1, 32, Type.ID, 0x13)
        self.key = SigningKey(derive("teatime v1 password key", master)) if master else None

    @property
    def public(self):
        return bytes(self.key.verify_key) if self.key else None

    @property
    def id(self):
        if self.key:
            return derive("teatime v1 room id with password", self.name + self.public)
        return derive("teatime v1 room id", self.name)

    @property
    def session(self):
        return derive("teatime v1 session id", self.id + self.version.to_bytes(4, "big") + self.program)

    def start(self, begun_with=b""):
        return derive("teatime v1 chain", self.session + begun_with)

    def of_version(self, version):
        return replace(self, program=os.urandom(32), version=version)


class View:
    """The identity of a view, over all its connections."""

    def __init__(self, room):
        self.room = room
        self.key = SigningKey(derive("teatime v1 view key", os.urandom(32)))
        self.public = bytes(self.key.verify_key)
        self.id = derive("teatime v1 view id", self.public)[:16]
        self.attempt = 0

    def fields(self, resume=None, data=None, ticks=20, token=None, agent="conformance"):
        room = self.room
        return [room.program, room.name, room.version, self.public, room.public, data, ticks, self.attempt, resume,
                agent, token]

    def prove(self, nonce, fields, channel=b"\0"):
        """The fields of a join, and its signatures."""
        return self.sign(nonce, pack(fields), channel)

    def sign(self, nonce, join, channel=b"\0"):
        signed = b"teatime v1 join" + nonce + channel + join
        password = self.room.key.sign(signed).signature if self.room.key else None
        return [1, join, self.key.sign(signed).signature, password]


class Line:
    """A connection that checks the order of what it receives."""

    def __init__(self, url, view=None):
        self.url, self.view = url, view
        self.log, self.frames, self.waiting = [], {}, []
        self.seq = self.time = 0
        self.chain = None
        self.welcome = None

    async def open(self, subprotocol="teatime.v1"):
        self.socket = await websockets.connect(
            self.url, subprotocols=[subprotocol], compression=None, ping_interval=None, max_size=None, proxy=None,
            close_timeout=1)
        return self

    async def hello(self):
        tag, body, _ = await self.receive()
        check(tag == HELLO, f"4.1.1: the first message has the tag {tag}")
        check(len(body[0]) == 32 and isinstance(body[1], bool), f"3.2: Hello {body}")
        self.nonce = body[0]
        return self

    async def say(self, tag, body=None):
        await self.raw(message(tag, body))

    async def raw(self, frame):
        try:
            await self.socket.send(frame)
        except websockets.ConnectionClosed:
            pass  # What follows from it is read.

    async def join(self, resume=None, **more):
        self.view.attempt += 1
        await self.say(JOIN, self.view.prove(self.nonce, self.view.fields(resume, **more)))
        return await self.welcomed()

    async def welcomed(self):
        tag, body, _ = await self.receive()
        check(tag == WELCOME and len(body) >= 12, f"4.1.1: after the join comes {tag} {body}")
        names = ("timeline view resumed seamless time seq counter snapshot persisted tick_ms rejoin_limit_ms limits")
        self.welcome = dict(zip(names.split(), body))
        check(body[1] == self.view.id, "3.4: the welcome is for another view")
        return self

    async def load(self):
        """What a welcome without `resumed` announces: the snapshot's bytes, or nothing."""
        info = self.welcome["snapshot"]
        if not info:
            self.chain = self.view.room.start()
            return b""
        data = b""
        while len(data) < info[3]:
            tag, body, _ = await self.receive()
            check(tag == SNAPSHOT_PART, f"4.1.2: a part is expected, and {tag} comes")
            check(0 < len(body) <= 65536, f"15.3: a part of {len(body)} bytes")
            data += body
        check(hash_of(data) == info[2], "4.1.2: the parts do not have the announced hash")
        self.seq, self.time = info[0], info[1]
        begun = self.welcome["persisted"] is not None
        self.chain = self.view.room.start(info[2]) if begun else info[4]
        return data

    def goes_on(self, other):
        """This line has resumed the log of another one."""
        self.seq, self.time, self.chain = other.seq, other.time, other.chain
        self.log, self.frames = list(other.log), dict(other.frames)
        return self

    def position(self):
        return [self.welcome["timeline"], self.seq, self.chain]

    async def receive(self, within=SOON, missing=None):
        """The next message: tag, body and frame."""
        try:
            frame = await asyncio.wait_for(self.socket.recv(), within)
        except asyncio.TimeoutError:
            raise Broken(missing or f"nothing has come within {within} s") from None
        except websockets.ConnectionClosed as closed:
            raise Broken(f"the connection was closed: {code_of(closed)}") from None
        check(isinstance(frame, bytes), "1.1.2: a text frame")
        check(frame[0] == 0x92 and frame[1] < 128, f"2.1.1: the frame begins with {frame[:2].hex()}")
        tag, body = frame[1], msgpack.unpackb(frame[2:], strict_map_key=False)
        self.keep(tag, body, frame)
        return tag, body, frame

    def keep(self, tag, body, frame):
        if tag in ORDERED:
            check(body[0] == self.seq + 1, f"5.1.1: after seq {self.seq} comes {body[0]}")
            check(body[1] >= self.time, f"5.1.3: at {self.time} µs comes a message of {body[1]} µs")
            self.seq, self.time = body[0], body[1]
            self.chain = self.chain and keyed(self.chain, frame)
            self.log.append((tag, body))
            self.frames[body[0]] = frame
        if tag == TICK:
            check(body >= self.time, f"5.1.3: a tick goes back from {self.time} to {body}")
            self.time = body

    async def until(self, tag, fits=lambda body: True, within=SOON):
        """Waits for such a message, also if it has come before something else that was waited for."""
        for at, (found, body) in enumerate(self.waiting):
            if found == tag and fits(body):
                del self.waiting[at]
                return body
        end = time.monotonic() + within
        missing = f"the expected message {tag} has not come within {within} s"
        while True:
            found, body, _ = await self.receive(max(0.01, end - time.monotonic()), missing)
            if found == tag and fits(body):
                return body
            if found not in (TICK, PONG):
                self.waiting.append((found, body))

    async def catch_up(self):
        while self.seq < self.welcome["seq"]:
            await self.receive()
        return self

    async def round_trip(self):
        """Everything that was sent before has been handled."""
        number = int.from_bytes(os.urandom(4), "big")
        await self.say(PING, number)
        end = time.monotonic() + SOON
        while time.monotonic() < end:
            found, body, _ = await self.receive()
            if (found, body) == (PONG, number):
                return
            if found not in (TICK, PONG):
                self.waiting.append((found, body))
        raise Broken("4.5.1: a ping was not answered")

    async def present(self):
        """Waits for the own join."""
        fits = lambda body: any(view[0] == self.view.id for view in body[3])
        if not self.welcome["seamless"]:
            await self.until(VIEWS, fits)
        return self

    async def post(self, counter, payload=b"x"):
        await self.say(SEND, [counter, payload])

    async def event(self, counter, sender=None):
        sender = sender or self.view.id
        return await self.until(EVENT, lambda body: body[2] == sender and body[3] == counter)

    async def closed(self, within=SOON):
        """Waits for the end. The close code."""
        end = time.monotonic() + within
        try:
            while True:
                await asyncio.wait_for(self.socket.recv(), max(0.01, end - time.monotonic()))
        except asyncio.TimeoutError:
            raise Broken(f"the connection is not closed within {within} s") from None
        except websockets.ConnectionClosed as closed:
            return code_of(closed)

    async def expect(self, code, within=SOON):
        found = await self.closed(within)
        check(found == code, f"expected the close code {code}, found {found}")

    def cut(self):
        """Breaks the connection without a word."""
        self.socket.transport.abort()


def code_of(closed):
    return closed.rcvd.code if closed.rcvd else None


class World:
    """Makes connections to the reflector, and ends them."""

    def __init__(self, url, silence):
        self.url, self.silence = url.rstrip("/"), silence
        self.lines = []

    async def line(self, view):
        line = await Line(self.url + "/", view).open()
        self.lines.append(line)
        return await line.hello()

    async def blobs(self):
        line = await Line(self.url + "/blobs").open("teatime.blobs.v1")
        self.lines.append(line)
        return await line.hello()

    async def joined(self, room=None, view=None, resume=None, **more):
        """A client that has received the log, and whose join is ordered."""
        line = await self.line(view or View(room or Room()))
        await line.join(resume, **more)
        line.snapshot = await line.load()
        await line.catch_up()
        return await line.present()

    async def back(self, line):
        """The same view joins again with its position."""
        again = await self.line(line.view)
        await again.join(line.position())
        check(again.welcome["resumed"], "4.3.1: the reflector does not resume")
        return again.goes_on(line)

    async def end(self):
        for line in self.lines:
            line.cut()
