"""Proofs 证明: the invariants of a board, run by ``plugward audit`` on any deployment."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from .store.work import Reading

Check = Callable[[Reading], "Finding"]
F = TypeVar("F", bound=Check)


class Finding(msgspec.Struct, frozen=True):
    """What a proof found: how many things it looked at, and which are wrong (ids, no names)."""

    examined: int
    breaches: tuple[str, ...] = ()


class Proof(msgspec.Struct, frozen=True, eq=False):
    """One invariant: its id in the scenarios (``M1``), what it says, and the check."""

    id: str
    title: str
    check: Check


def proof(id: str, title: str) -> Callable[[F], F]:
    """Declare ``def check(read: Reading) -> Finding`` as the proof of an invariant."""

    def apply(function: F) -> F:
        function.__proof__ = Proof(id, title, function)  # type: ignore[attr-defined]  # read by proof_of
        return function

    return apply


def proof_of(function: Check) -> Proof:
    found = getattr(function, "__proof__", None)
    if not isinstance(found, Proof):
        raise TypeError(f"{function!r} is not a proof: decorate it with @proof(id, title)")
    return found


def pages(
    fetch: Callable[[int], tuple[msgspec.Struct, ...]], size: int = 1_000
) -> Iterator[msgspec.Struct]:
    """Walk a big table page by page: ``fetch(offset)`` returns at most ``size`` rows."""
    offset = 0
    while rows := fetch(offset):
        yield from rows
        if len(rows) < size:
            return
        offset += size
