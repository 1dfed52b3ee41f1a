"""The random numbers of a session (MODEL.md, 5)."""

import struct

from .keys import derive

MASK = 0xFFFFFFFF


def _rotate(word, by):
    return (word << by | word >> 32 - by) & MASK


def _quarter(s, a, b, c, d):
    for one, two, three, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[one] = (s[one] + s[two]) & MASK
        s[three] = _rotate(s[three] ^ s[one], by)


def block(key, counter):
    """Sixteen words of ChaCha with eight rounds."""
    start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key)]
    start += [counter & MASK, counter >> 32, 0, 0]
    s = list(start)
    for _ in range(4):
        for column in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            _quarter(s, *column)
        for diagonal in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            _quarter(s, *diagonal)
    return [(a + b) & MASK for a, b in zip(s, start)]


class Stream:
    def __init__(self, session, position=0):
        self.key = derive("teatime v1 random", session)
        self.position = position
        self.cached = (None, None)

    def _word(self):
        counter, at = divmod(self.position, 16)
        if self.cached[0] != counter:
            self.cached = (counter, block(self.key, counter))
        self.position += 1
        return self.cached[1][at]

    def u64(self):
        low = self._word()
        return self._word() << 32 | low

    def f64(self):
        return (self.u64() >> 11) * 2.0**-53

    def below(self, limit):
        if limit == 0:
            return 0
        while True:
            product = self.u64() * limit
            if product % 2**64 >= 2**64 % limit:
                return product >> 64

    def range(self, low, high):
        if high <= low:
            return low
        span = high - low + 1
        # All numbers of 64 bits: there is nothing to reject.
        return low + (self.u64() if span == 2**64 else self.below(span))
