"""Section 1: HTTP and WebSocket."""

import asyncio
import base64
import hashlib
import time
from urllib.parse import urlsplit

from client import MALFORMED, NOT_JOINED, SILENT, TICK, VERSION, Room, View, check
from rules import Rules

RULES = Rules()
KEY = base64.b64encode(bytes(16)).decode()
ACCEPT = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def request(line="GET / HTTP/1.1", **changes):
    """An upgrade, with some header lines changed: None leaves a line out."""
    lines = {"Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Protocol": "teatime.v1"}
    lines |= {name.replace("_", "-"): value for name, value in changes.items()}
    named = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"{line}\r\n{named}\r\n".encode()


async def dial(world):
    url = urlsplit(world.url)
    return await asyncio.open_connection(url.hostname, url.port)


async def ask(world, request, within=8):
    """The answer: status, header lines, and what follows."""
    reader, writer = await dial(world)
    try:
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), within)
        status, *lines = head.decode().split("\r\n")
        rest = b""
        if " 101 " in status:
            rest = await asyncio.wait_for(reader.read(256), within)
        return int(status.split()[1]), dict(line.split(": ", 1) for line in lines if line), rest
    finally:
        writer.close()


async def refused(world, status, *requests):
    for text in requests:
        found, lines, _ = await ask(world, text)
        check(found == status, f"expected {status}, found {found} for {text[:200]!r}")
        check(lines.get("Server", "").startswith("teatime/"), f"no Server line: {lines}")


@RULES("1.2", "a request of more than 8192 bytes is refused with 431")
async def long_request(world):
    await refused(world, 431, request(X_Long="x" * 9000))


@RULES("1.2", "a request that does not become complete is ended")
async def slow_request(world):
    begun = time.monotonic()
    try:
        found, _, _ = await ask(world, b"GET / HTTP/1.1\r\n", within=10)
        check(found == 408, f"found {found}")
    except asyncio.IncompleteReadError:
        pass
    check(1 < time.monotonic() - begun < 8, f"after {time.monotonic() - begun:.1f} s")


@RULES("1.2", "what is not HTTP, and an incomplete upgrade, is refused with 400")
async def bad_requests(world):
    await refused(world, 400, b"nonsense\r\n\r\n", request(Sec_WebSocket_Version="8"), request(Sec_WebSocket_Key=None),
                  request(Sec_WebSocket_Protocol=None), request(Sec_WebSocket_Protocol="chat"))


@RULES("1.2", "other methods are refused with 405")
async def methods(world):
    await refused(world, 405, request("POST / HTTP/1.1"), request("OPTIONS /healthz HTTP/1.1"))


@RULES("1.2", "a reflector at a loopback address refuses other hosts with 421")
async def hosts(world):
    if urlsplit(world.url).hostname in ("127.0.0.1", "localhost", "::1"):
        await refused(world, 421, request(Host="evil.example"), request(Host="127.0.0.1.evil.example:9090"))


@RULES("1.2", "/healthz answers 200, whatever follows the question mark")
async def healthz(world):
    for method in ("GET", "HEAD"):
        for path in ("/healthz", "/healthz?x=y"):
            await refused(world, 200, request(f"{method} {path} HTTP/1.1"))


@RULES("1.2", "a request that is no upgrade is refused with 426")
async def upgrades(world):
    await refused(world, 426, request(Upgrade=None), request(Connection="close"), request("HEAD / HTTP/1.1"))


@RULES("1.2", "an origin is refused with 403")
async def origins(world):
    await refused(world, 403, request(Origin="https://evil.example"), request(Origin="null"))


@RULES("1.2", "an upgrade is answered with teatime.v1, and with Hello right behind it")
async def upgraded(world):
    found, lines, rest = await ask(world, request("GET /?x=y HTTP/1.1", Sec_WebSocket_Protocol="chat, teatime.v1"))
    check((found, lines.get("Sec-WebSocket-Protocol")) == (101, "teatime.v1"), f"{found} {lines}")
    check(lines.get("Sec-WebSocket-Accept") == ACCEPT, f"{lines}")
    check(rest[:5] == bytes.fromhex("8226920f92"), f"Hello is {rest.hex()}")


@RULES("2.4.5", "an upgrade to another version only is closed with VERSION")
async def other_version(world):
    for version in ("teatime.v2", "teatime.v77, teatime.v2"):
        found, lines, rest = await ask(world, request(Sec_WebSocket_Protocol=version))
        check((found, lines.get("Sec-WebSocket-Protocol")) == (101, version.split(",")[0]), f"{found} {lines}")
        check(rest[0] == 0x88 and int.from_bytes(rest[2:4], "big") == VERSION, f"{rest.hex()}")


@RULES("1.1.2", "text, fragments and unmasked frames are closed with MALFORMED")
async def frames(world):
    for frame in ("text", [b"\x92", b"\x06\x05"]):
        line = await world.joined()
        await line.socket.send(frame)
        await line.expect(MALFORMED)
    line = await world.joined()
    line.socket.transport.write(b"\x82\x03\x92\x06\x05")
    await line.expect(MALFORMED)


@RULES("1.1.3", "pings are answered, and MAX_CONTROL_FRAMES may come before the join")
async def pings(world):
    line = await world.line(View(Room()))
    for _ in range(16):
        await line.socket.ping()
    await line.join()
    await asyncio.wait_for(await line.socket.ping(), 8)
    line = await world.line(View(Room()))
    for _ in range(17):
        await line.socket.ping()
    await line.expect(NOT_JOINED)


@RULES("15.1", "a connection without a join is closed with SILENT after 10 s")
async def no_join(world):
    line = await world.line(View(Room()))
    begun = time.monotonic()
    await line.expect(SILENT, 15)
    check(time.monotonic() - begun > 8, f"after {time.monotonic() - begun:.1f} s")


@RULES("4.5.1", "Ping is answered; a silent connection is closed with SILENT, one that pings is not", within=120)
async def silence(world):
    silent, alive = await world.joined(), await world.joined()
    ended = asyncio.create_task(silent.closed(world.silence + 10))
    begun = time.monotonic()
    while not ended.done():
        await alive.round_trip()
        await asyncio.sleep(0.2)
    check(ended.result() == SILENT, f"closed with {ended.result()}")
    check(time.monotonic() - begun > world.silence * 0.8, f"after {time.monotonic() - begun:.1f} s")
    await alive.round_trip()


@RULES("4.5.2", "ticks come as the welcome says, and at least once a second")
async def ticks(world):
    line = await world.joined(ticks=10)
    check(line.welcome["tick_ms"] == 100, f"tick_ms is {line.welcome['tick_ms']}")
    times = []
    for _ in range(8):
        await line.until(TICK)
        times.append(time.monotonic())
    check(max(b - a for a, b in zip(times, times[1:])) < 2, f"{times}")
    for asked, given in ((0, 1000), (1, 1000), (60, 16), (1000, 16)):
        line = await world.joined(ticks=asked)
        check(line.welcome["tick_ms"] == given, f"{asked} ticks a second give {line.welcome['tick_ms']} ms")
