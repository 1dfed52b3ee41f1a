"""Rooms, sessions, views, seals, the chain, and blobs (PROTOCOL.md, 5.4, 10, 11 and 13)."""

import unicodedata

import msgpack
from argon2.low_level import Type, hash_secret_raw
from blake3 import blake3
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as decrypt
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as encrypt
from nacl.signing import SigningKey

CHUNK = 262144


def derive(context, *parts):
    return blake3(b"".join(parts), derive_key_context=context).digest()


def keyed(key, *parts):
    return blake3(b"".join(parts), key=key).digest()


def plain(data):
    return blake3(data).digest()


def view_key(secret):
    return SigningKey(derive("teatime v1 view key", secret))


def view_id(public_key):
    return derive("teatime v1 view id", public_key)[:16]


class Room:
    def __init__(self, app, room, password):
        names = [app, unicodedata.normalize("NFC", room)]
        self.name = self.master = derive("teatime v1 room name", msgpack.packb(names))
        self.signing = None
        if password is None:
            self.id = derive("teatime v1 room id", self.name)
            return
        spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in password)
        self.master = hash_secret_raw(
            unicodedata.normalize("NFC", spaced).encode(), self.name,
            time_cost=2, memory_cost=19456, parallelism=1, hash_len=32, type=Type.ID, version=0x13,
        )  # fmt: skip
        self.signing = SigningKey(derive("teatime v1 password key", self.master))
        public = bytes(self.signing.verify_key)
        self.id = derive("teatime v1 room id with password", self.name, public)

    def key(self, context, *parts):
        return derive(context, self.master, *parts)


def program(version_hash, options):
    return derive("teatime v1 program", version_hash, options)


def session_id(room_id, version, program_hash):
    return derive("teatime v1 session id", room_id, version.to_bytes(4, "big"), program_hash)


def open_sealed(key, sealed, bound_to):
    return decrypt(sealed[24:], bound_to, sealed[:24], key)


class Seal:
    """Seals the messages of a session with a password."""

    def __init__(self, room, session):
        key = room.key("teatime v1 session key", session)
        self.room, self.session = room, session
        self.payload = derive("teatime v1 payload", key)
        self.presence = derive("teatime v1 presence", key)
        self.snapshot = derive("teatime v1 snapshot", key)
        self.snapshot_nonce = derive("teatime v1 snapshot nonce", key)
        self.persisted = room.key("teatime v1 persisted")
        self.persisted_nonce = room.key("teatime v1 persisted nonce")

    def event(self, nonce, view, counter, content, key=None):
        bound_to = self.session + view + counter.to_bytes(8, "big")
        return nonce + encrypt(content, bound_to, nonce, key or self.payload)

    def state(self, seq, transcript, state):
        nonce = keyed(self.snapshot_nonce, plain(transcript + plain(state)))[:24]
        content = len(transcript).to_bytes(4, "big") + transcript + state
        bound_to = self.session + seq.to_bytes(8, "big")
        return nonce + encrypt(content, bound_to, nonce, self.snapshot)

    def data(self, version, content):
        version = version.to_bytes(4, "big")
        nonce = keyed(self.persisted_nonce, version, content)[:24]
        return nonce + encrypt(content, self.room.id + version, nonce, self.persisted)


def chain_start(session, begun_with=b""):
    return derive("teatime v1 chain", session, begun_with)


def chain_next(chain, frame):
    return keyed(chain, frame)


class Blob:
    """A blob as servers store it."""

    def __init__(self, room, content):
        chunks = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
        self.chunks = [self.seal(room, chunk) for chunk in chunks]
        self.ids = [keyed(room.id, chunk) for chunk in self.chunks]
        size = len(content).to_bytes(8, "big")
        self.manifest = b"TEABLOB1" + size + b"".join(self.ids)
        self.root = keyed(room.id, self.manifest)
        mark = keyed(room.key("teatime v1 blob handle"), self.root, size)[:16]
        self.handle = "teatime-blob:" + (self.root + size + mark).hex()

    @staticmethod
    def seal(room, chunk):
        if room.signing is None:
            return chunk
        nonce = keyed(room.key("teatime v1 blob nonce"), chunk)[:24]
        return nonce + encrypt(chunk, room.id, nonce, room.key("teatime v1 blob chunk"))
