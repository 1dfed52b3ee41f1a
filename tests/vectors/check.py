"""Checks the vectors with an implementation in another language, which shares no code with Teatime: computes everything from the
inputs in the files, and compares. Needs the packages of requirements.txt. Prints the number of checks of each file."""

import json
import struct
import sys
from pathlib import Path

import msgpack

from foreign import keys, maths, messages
from foreign.board import App
from foreign.encoding import array, read, recode, write
from foreign.stream import Stream
from foreign.vm import Vm, version_hash
from foreign.wire import Refused

HERE = Path(__file__).parent
raw = bytes.fromhex


class Checker:
    """Compares, and counts."""

    def __init__(self, name):
        self.file = json.loads((HERE / name).read_text())
        self.name, self.count = name, 0

    def equal(self, what, expected, computed):
        self.count += 1
        if isinstance(computed, bytes):
            computed = computed.hex()
        if expected != computed:
            sys.exit(f"{self.name}: {what}:\nexpected {expected}\ncomputed {computed}")


def optional(value):
    return None if value is None else raw(value)


def float_of(bits):
    return struct.unpack({8: ">f", 16: ">d"}[len(bits)], raw(bits))[0]


def check_values(to):
    for vector in to.file["vectors"]:
        kind, value, found = vector["type"], vector["value"], vector["canonical"]
        if kind.startswith("length of "):
            kind = kind.removeprefix("length of ")
            whole = {"str": "a" * value, "bytes": b"a" * value, "list": [0] * value}[kind]
            packed = write({"list": "u8"} if kind == "list" else kind, whole)
            packed = packed[: len(found) // 2]
        elif kind in ("f32", "f64"):
            packed = write(kind, float_of(value))
        else:
            packed = write(kind, int(value))
        to.equal(vector, found, packed)
    for vector in to.file["read"]:
        try:
            computed = write(vector["type"], read(vector["type"], raw(vector["msgpack"])))
        except Refused:
            computed = None
        to.equal(vector, vector["canonical"], computed)
    for vector in to.file["any"]:
        try:
            computed = recode(raw(vector["msgpack"]))
        except Refused:
            computed = None
        to.equal(vector, vector["canonical"], computed)


def check_keys(to):
    for vector in to.file["vectors"]:
        room = keys.Room(vector["app"], vector["room"], vector["password"])
        to.equal("N", vector["name"], room.name)
        public = room.signing and bytes(room.signing.verify_key)
        to.equal("password key", vector["password_key"], public)
        to.equal("room id", vector["room_id"], room.id)
        for context, key in vector["room_keys"].items():
            to.equal(context, key, room.key(context))
        program = keys.program(raw(vector["version_hash"]), raw(vector["options"]))
        to.equal("P", vector["program"], program)
        session = keys.session_id(room.id, vector["version"], program)
        to.equal("session", vector["session"], session)
        key = room.signing and room.key("teatime v1 session key", session)
        to.equal("session key", vector["session_key"], key)
    for vector in to.file["views"]:
        public = bytes(keys.view_key(raw(vector["secret"])).verify_key)
        to.equal("view key", vector["public_key"], public)
        to.equal("view id", vector["view_id"], keys.view_id(public))


def check_messages(to):
    seen = set()
    for vector in to.file["vectors"]:
        sender, message, fields = vector["from"], vector["message"], vector["fields"]
        seen.add((sender, message))
        to.equal(message, vector["frame"], messages.encode(sender, message, fields))
        to.equal(message, (message, fields), messages.decode(sender, raw(vector["frame"])))
    known = {(sender, one) for sender, kinds in messages.MESSAGES.items() for one in kinds}
    to.equal("kinds of messages", seen, known)


def check_joins(to):
    for vector in to.file["vectors"]:
        fields = vector["fields"]
        room = keys.Room(vector["app"], vector["room"], vector["password"])
        view = keys.view_key(raw(vector["view_secret"]))
        to.equal("view key", fields["view_key"], bytes(view.verify_key))
        signed = messages.statement(fields, raw(vector["nonce"]), optional(vector["channel"]))
        to.equal("view signature", fields["view_signature"], view.sign(signed).signature)
        by_password = room.signing and room.signing.sign(signed).signature
        to.equal("password signature", fields["password_signature"], by_password)
        to.equal("frame", vector["frame"], messages.encode("client", "Join", fields))
        session = keys.session_id(room.id, fields["version"], raw(fields["program"]))
        to.equal("session", vector["session"], session)
        to.equal("view id", vector["view_id"], keys.view_id(bytes(view.verify_key)))


def check_seals(to):
    file = to.file
    room = keys.Room(file["app"], file["room"], file["password"])
    session = raw(file["session"])
    seal = keys.Seal(room, session)
    for vector in file["vectors"]:
        plain, binding = raw(vector["plain"]), vector["binding"]
        if vector["kind"] == "persisted":
            sealed = seal.data(int(binding[0]), plain)
        else:
            nonce = vector["nonce"]
            nonce = raw(nonce["random"]) + nonce["sealed_before"].to_bytes(8, "big")
            # View data and presence count as the event with the number 0.
            counter = int(binding[1]) if vector["kind"] == "event" else 0
            key = seal.presence if vector["kind"] == "presence" else seal.payload
            sealed = seal.event(nonce, raw(binding[0]), counter, plain, key)
        to.equal(vector["kind"], vector["sealed"], sealed)
    for vector in file["chains"]:
        chain = keys.chain_start(session, optional(vector["begun_with"]) or b"")
        to.equal("chain", vector["values"][0], chain)
        for frame, value in zip(vector["frames"], vector["values"][1:], strict=True):
            chain = keys.chain_next(chain, raw(frame))
            to.equal("chain", value, chain)


def check_blobs(to):
    for vector in to.file["vectors"]:
        room = keys.Room(vector["app"], vector["room"], vector["password"])
        content = bytes((131 * at + at // 251) % 256 for at in range(vector["size"]))
        blob = keys.Blob(room, content)
        to.equal("space", vector["space"], room.id)
        to.equal("number of chunks", len(vector["chunks"]), len(blob.chunks))
        for found, own, chunk in zip(vector["chunks"], blob.ids, blob.chunks, strict=True):
            to.equal("chunk id", found["id"], own)
            to.equal("chunk", (found["length"], found["hash"]), (len(chunk), keys.plain(chunk).hex()))
            to.equal("chunk", found["bytes"] or chunk.hex(), chunk)
        to.equal("manifest", vector["manifest"], blob.manifest)
        to.equal("root", vector["root"], blob.root)
        to.equal("handle", vector["handle"], blob.handle)


def check_random(to):
    for vector in to.file["vectors"]:
        stream = Stream(raw(vector["session"]))
        for (what, *arguments), result, position in vector["draws"]:
            drawn = getattr(stream, what)(*(int(one) for one in arguments))
            found = float_of(result) if what == "f64" else int(result)
            to.equal((what, arguments), found, drawn)
            to.equal("position", int(position), stream.position)
        more = b"".join(stream.u64().to_bytes(8, "big") for _ in range(1000))
        to.equal("a thousand", vector["thousand"], keys.plain(more))
        to.equal("position", int(vector["position"]), stream.position)


def check_maths(to):
    """Bit for bit where the implementation here is exact, and otherwise within two units of the last place."""
    for vector in to.file["vectors"]:
        name = vector["function"]
        for *arguments, found in vector["samples"]:
            values = [float_of(one) for one in arguments]
            exact = maths.EXACT[name](*values) if name in maths.EXACT else None
            if exact is not None:
                to.equal((name, values), found, write("f64", exact)[1:])
                continue
            precise = maths.precise(name, *values)
            if precise is not None:
                far = maths.distance(float_of(found), precise)
                to.equal((name, values, far), True, far <= 2)


def check_snapshots(to):
    for vector in to.file["vectors"]:
        parts, names = vector["parts"], list(vector["parts"])
        numbers = lambda value: [int(one) for one in value]  # noqa: E731
        views = [[raw(view), optional(data)] for view, data in parts["views"]]
        futures = [[numbers(due), raw(payload)] for due, payload in parts["futures"]]
        models = [
            array([msgpack.packb(model), msgpack.packb(kind), raw(state)])
            for model, kind, state in parts["models"]
        ]
        plain = [parts["head"], raw(parts["version"]), raw(parts["session"])]
        plain += [parts["time"], parts["seq"], parts["counters"], parts["random"], views, parts["names"]]
        persisted = [[version, raw(data)] for version, data in parts["persisted"]]
        packed = [msgpack.packb(part) for part in plain] + [array(models)]
        packed += [msgpack.packb(part) for part in (parts["subscriptions"], futures, persisted)]
        to.equal("number of parts", len(names), len(packed))
        to.equal("snapshot", vector["snapshot"], array(packed))
        to.equal("hash", vector["hash"], keys.plain(array(packed)))
    for vector in to.file["envelopes"]:
        digests = [raw(one) for one in vector["roots"]]
        persisted = vector["persisted"] and [
            raw(vector["persisted"][0]),
            [raw(one) for one in vector["persisted"][1]],
        ]
        envelope = msgpack.packb([raw(vector["state"]), persisted, digests, raw(vector["space"])])
        to.equal("envelope", vector["envelope"], envelope)
        to.equal("hash", vector["hash"], keys.plain(envelope))


def check_run(to):
    file = to.file
    to.equal("app", (file["app"], file["version"]), (App.id, App.version))
    to.equal("version hash", file["version_hash"], version_hash(App))
    vm = Vm(App, raw(file["session"]), raw(file["options"]))
    to.equal("start", file["start"], vm.snapshot())
    for at, vector in enumerate(file["vectors"]):
        time, given = int(vector["time"]), vector["input"]
        if given == "time":
            vm.advance(time)
        elif given == "marker":
            vm.marker(time)
        elif "event" in given:
            sender, scope, event, payload = given["event"]
            vm.deliver(time, raw(sender), scope, event, raw(payload))
        else:
            views = lambda views: [(raw(view), optional(data)) for view, data in views]  # noqa: E731
            vm.views(time, views(given["views"]["exited"]), views(given["views"]["joined"]))
        what = f"step {at}, {vector['shows']}"
        to.equal(what, vector["faults"], vm.faults)
        vm.faults = []
        to.equal(what, vector["snapshot"], vm.snapshot())
        to.equal(what, vector["state"], keys.plain(vm.snapshot()))


class Peer:
    """Follows the session of session.json: opens all that is sealed, and seals it again."""

    def __init__(self, to):
        file = to.file
        self.to, self.room = to, keys.Room(file["app"], file["room"], file["password"])
        program = keys.program(raw(file["version_hash"]), raw(file["options"]))
        self.session = keys.session_id(self.room.id, file["version"], program)
        to.equal("session", file["session"], self.session)
        to.equal("space", file["space"], self.room.id)
        self.seal = keys.Seal(self.room, self.session)
        self.vm = Vm(App, self.session, raw(file["options"]))
        self.chain = [keys.chain_start(self.session)]
        # View id to [attempt, counter].
        self.present = {}

    def open(self, sealed, view, counter):
        content = keys.open_sealed(
            self.seal.payload, sealed, self.session + view + counter.to_bytes(8, "big")
        )
        self.to.equal("sealed again", sealed.hex(), self.seal.event(sealed[:24], view, counter, content))
        return content

    def hear(self, message, fields, frame):
        """An ordered message."""
        self.chain.append(keys.chain_next(self.chain[-1], frame))
        time = int(fields["time"])
        if message == "VoteRequest":
            self.vm.marker(time)
        elif message == "Views":
            joined = []
            for view, sealed in fields["joined"]:
                attempt, data = msgpack.unpackb(self.open(raw(sealed), raw(view), 0))
                self.present[raw(view)] = [attempt, 0 if attempt == 1 else None]
                joined.append((raw(view), data))
            self.vm.views(time, [], joined)
        else:
            view, counter = raw(fields["sender"]), int(fields["counter"])
            content = self.open(raw(fields["payload"]), view, counter)
            scope, event, data, (seq, chain, previous, attempt) = msgpack.unpackb(content)
            self.to.equal("claim", self.chain[seq][:16].hex(), chain)
            self.to.equal("previous", self.present[view][1], previous)
            self.to.equal("attempt", self.present[view][0], attempt)
            self.present[view][1] = counter
            self.vm.deliver(time, view, scope, event, data)

    def envelope(self):
        """What the clients vote for."""
        state, seq = self.vm.snapshot(), self.vm.state.seq
        records = [[view, *record] for view, record in sorted(self.present.items())]
        transcript = msgpack.packb([self.chain[-1], [records, []]])
        persisted = None
        if self.vm.state.persisted is not None:
            version, data = self.vm.state.persisted
            persisted = [self.seal.data(App.version, version.to_bytes(4, "big") + data), []]
        return msgpack.packb([self.seal.state(seq, transcript, state), persisted, [], self.room.id])


def check_session(to):
    peer, states = Peer(to), iter(to.file["states"])
    uploaded = b""
    for client, direction, frame in to.file["vectors"]:
        frame = raw(frame)
        sender = "reflector" if direction == "to client" else "client"
        message, fields = messages.decode(sender, frame)
        to.equal(message, frame.hex(), messages.encode(sender, message, fields))
        if sender == "reflector" and client == 0 and message in ("Event", "Views", "VoteRequest"):
            peer.hear(message, fields, frame)
            expected = next(states)
            to.equal("chain", expected["chain"], peer.chain[-1])
            for state in expected["states"]:
                to.equal("state", state, keys.plain(peer.vm.snapshot()))
        if message == "Vote":
            to.equal("vote", fields["hash"], keys.plain(peer.envelope()))
        if message == "SnapshotPart" and sender == "client":
            uploaded += raw(fields["data"])
    to.equal("handed in", uploaded.hex(), peer.envelope())


def main():
    for check in (
        check_values, check_keys, check_messages, check_joins, check_seals, check_blobs, check_random, check_maths,
        check_snapshots, check_run, check_session,
    ):  # fmt: skip
        name = check.__name__.removeprefix("check_") + ".json"
        to = Checker(name)
        check(to)
        print(f"{name}: {to.count} values agree")


if __name__ == "__main__":
    main()
