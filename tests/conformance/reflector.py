#!/usr/bin/env python3
"""Checks a reflector against PROTOCOL.md: one line for each rule, exit status 1 if one is broken, 2 without a reflector."""

import argparse
import asyncio
import sys
import traceback

from websockets.exceptions import WebSocketException

import blobs
import encoding
import joining
import order
import persisting
import presence
import transport
import votes
from client import Broken, World

# Rules that run at the same time: a rule waits most of the time.
AT_ONCE = 12


async def run(rule, world, gate):
    async with gate:
        try:
            await asyncio.wait_for(rule.run(world), rule.within)
            return None
        except Broken as broken:
            return str(broken)
        except asyncio.TimeoutError:
            return f"not done within {rule.within} s"
        except Exception:
            return traceback.format_exc()
        finally:
            await world.end()


async def main(arguments):
    try:
        await World(arguments.url, arguments.silence).line(None)
    except (OSError, WebSocketException) as why:
        print(f"conformance: {arguments.url} cannot be reached: {why}", file=sys.stderr)
        return 2
    modules = (transport, encoding, joining, order, presence, votes, persisting, blobs)
    rules = [rule for module in modules for rule in module.RULES.all if rule.section.startswith(arguments.only)]
    gate = asyncio.Semaphore(AT_ONCE)
    worlds = [World(arguments.url, arguments.silence) for _ in rules]
    results = await asyncio.gather(*(run(rule, world, gate) for rule, world in zip(rules, worlds)))
    broken = 0
    for rule, why in sorted(zip(rules, results), key=lambda one: [int(part) for part in one[0].section.split(".")]):
        broken += why is not None
        print(f"{'ok    ' if why is None else 'BROKEN'} {rule.section:8} {rule.text}{'' if why is None else ': ' + why}")
    print(f"{len(rules) - broken} of {len(rules)} rules hold")
    return 1 if broken or not rules else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the reflector, such as ws://127.0.0.1:9090")
    parser.add_argument("--silence", type=float, default=30, help="SILENCE_TIMEOUT of the reflector, in seconds")
    parser.add_argument("--only", default="", help="only rules of sections that begin with this")
    sys.exit(asyncio.run(main(parser.parse_args())))
