"""Identifiers 标识: UUIDv7 made by the caller, and ids derived from other ids."""

import os
import time
from hashlib import blake2b
from uuid import UUID, SafeUUID

_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_DRAW = 100
_drawn: list[bytes] = []
os.register_at_fork(after_in_child=_drawn.clear)  # a forked process must not repeat our ids
_KEEP = ~((0xF << 76) | (0x3 << 62)) & ((1 << 128) - 1)


def uuid_of(value: int) -> UUID:
    """As ``UUID(int=value)``, at a third of its time: ids are made many times a call."""
    made = _NEW(UUID)
    _SET(made, "int", value)
    _SET(made, "is_safe", SafeUUID.unknown)
    return made


_NEW, _SET = object.__new__, object.__setattr__


def _stamp(milliseconds: int, tail: bytes) -> UUID:
    """A UUIDv7 from a Unix time in milliseconds and ten bytes."""
    value = ((milliseconds & 0xFFFF_FFFF_FFFF) << 80) | int.from_bytes(tail, "big")
    return uuid_of((value & _KEEP) | _VERSION_7 | _VARIANT)


def new_id() -> UUID:
    """A fresh UUIDv7. Real time and real randomness: for callers, never inside a unit of work."""
    try:
        tail = _drawn.pop()
    except IndexError:  # one draw for many: each is a call of the operating system
        lot = os.urandom(_DRAW * 10)
        tail = lot[:10]
        _drawn.extend(lot[at : at + 10] for at in range(10, len(lot), 10))
    return _stamp(time.time_ns() // 1_000_000, tail)


def derive(parent: UUID, *parts: object) -> UUID:
    """The id that follows from ``parent`` and ``parts``: the same every time it is asked.

    It keeps the parent's millisecond, so that a repeated request is as old as its first try.
    """
    seed = parent.bytes + "\x1f".join(map(str, parts)).encode()
    return _stamp(id_milliseconds(parent), blake2b(seed, digest_size=10).digest())


def seeded_id(milliseconds: int, seed: bytes) -> UUID:
    """A UUIDv7 of a given instant, its tail drawn from ``seed`` (simulations, seed data)."""
    return _stamp(milliseconds, blake2b(seed, digest_size=10).digest())


def id_milliseconds(value: UUID) -> int:
    """When a UUIDv7 was made, in milliseconds since 1970 (UTC)."""
    return value.int >> 80
