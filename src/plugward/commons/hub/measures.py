"""Measures 计量: what every service of every system does, counted as it happens.

One row for each (system, service, direction): calls, errors, bytes, a histogram of times and the
last sixty minutes. Counting is a few additions; nothing here holds a message or a patient.
"""

from bisect import bisect_left
from collections.abc import Iterable
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

import msgspec

from plugward.kit.time import Instant

BOUNDS_MS = (
    0.5,
    1,
    2,
    3,
    5,
    8,
    12,
    20,
    30,
    50,
    80,
    120,
    200,
    300,
    500,
    800,
    1200,
    2000,
    5000,
    15000,
)
ROWS_MAX = 20_000
"""A sender that makes up message types must not make up memory: the rest is counted together."""
MINUTES = 60
DAY_MINUTES = 1440
OTHERS = "…"


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


class Row(msgspec.Struct, frozen=True):
    """One service of one system, as a person or a program reads it."""

    system: str
    service: str
    direction: str
    calls: int
    errors: int
    bytes: int
    p50_ms: float
    p99_ms: float
    last_at: Instant | None
    last_error: str
    calls_15: int
    errors_15: int

    @property
    def error_rate(self) -> float:
        """Of the last quarter of an hour."""
        return self.errors_15 / self.calls_15 if self.calls_15 else 0.0

    def with_added(self, other: "Row") -> "Row":
        """Two services as one; the slower one's times stand for both."""
        return _added(self, other)


class Tally(NamedTuple):
    """Calls and errors of one system in one direction."""

    calls: int = 0
    errors: int = 0
    last_at: Instant | None = None


NO_CALLS = Tally()


class _Ring:
    """Calls and errors by minute, for the last ``size`` minutes."""

    __slots__ = ("calls", "errors", "minute", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.minute = 0
        self.calls = [0] * size
        self.errors = [0] * size

    def add(self, minute: int, failed: int) -> None:
        self.turn(minute)
        self.calls[minute % self.size] += 1
        self.errors[minute % self.size] += failed

    def turn(self, minute: int) -> None:
        for passed in range(max(self.minute + 1, minute - self.size + 1), minute + 1):
            self.calls[passed % self.size] = self.errors[passed % self.size] = 0
        self.minute = max(self.minute, minute)

    def last(self, minute: int, count: int) -> tuple[int, int]:
        self.turn(minute)
        places = [(minute - back) % self.size for back in range(min(count, self.size))]
        return sum(self.calls[at] for at in places), sum(self.errors[at] for at in places)


class _Count:
    __slots__ = ("bytes", "calls", "errors", "last_at", "last_error", "ring", "times")

    def __init__(self) -> None:
        self.calls = self.errors = self.bytes = 0
        self.times = [0] * (len(BOUNDS_MS) + 1)
        self.last_at: Instant | None = None
        self.last_error = ""
        self.ring = _Ring(MINUTES)

    def share_ms(self, share: float) -> float:
        total = sum(self.times)
        if not total:
            return 0.0
        for place, reached in enumerate(accumulate(self.times)):
            if reached >= share * total:
                return float(BOUNDS_MS[min(place, len(BOUNDS_MS) - 1)])
        return float(BOUNDS_MS[-1])


class Measures:
    """The live catalogue of what goes through this node."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, Direction], _Count] = {}
        self._all = _Ring(DAY_MINUTES)

    def count(
        self,
        system: str,
        service: str,
        direction: Direction,
        *,
        at: Instant,
        seconds: float,
        size: int = 0,
        error: str = "",
    ) -> None:
        """One call, how long it took, and why it failed if it did."""
        key = (system, service, direction)
        row = self._counts.get(key)
        if row is None:
            if len(self._counts) >= ROWS_MAX:
                key = (OTHERS, OTHERS, direction)
            row = self._counts.setdefault(key, _Count())
        minute = int(at.timestamp()) // 60
        row.calls += 1
        row.bytes += size
        row.times[bisect_left(BOUNDS_MS, seconds * 1000)] += 1
        row.last_at = at
        failed = 0
        if error:
            failed = 1
            row.errors += 1
            row.last_error = error
        row.ring.add(minute, failed)
        self._all.add(minute, failed)

    def rows(self, now: Instant) -> list[Row]:
        """Every service that was ever called, the busiest first."""
        minute = int(now.timestamp()) // 60
        found = [self._row(key, count, minute) for key, count in self._counts.items()]
        return sorted(found, key=lambda row: (-row.calls, row.system, row.service))

    def by_system(self, now: Instant) -> dict[str, Row]:
        """The same, a system's services added up; the slowest service's times stand for all."""
        found: dict[str, Row] = {}
        for row in self.rows(now):
            before = found.get(row.system)
            found[row.system] = row if before is None else before.with_added(row)
        return found

    def by_direction(self) -> dict[tuple[str, Direction], Tally]:
        """What every system sent and was sent, whatever the service."""
        found: dict[tuple[str, Direction], Tally] = {}
        for (system, _, direction), count in self._counts.items():
            before = found.get((system, direction), NO_CALLS)
            found[system, direction] = Tally(
                before.calls + count.calls,
                before.errors + count.errors,
                max((at for at in (before.last_at, count.last_at) if at is not None), default=None),
            )
        return found

    def minutes(self, now: Instant, count: int = DAY_MINUTES) -> list[tuple[int, int, int]]:
        """(minute, calls, errors) of the last minutes, the oldest first."""
        minute = int(now.timestamp()) // 60
        self._all.turn(minute)
        size = self._all.size
        return [
            (at, self._all.calls[at % size], self._all.errors[at % size])
            for at in range(minute - min(count, size) + 1, minute + 1)
        ]

    @staticmethod
    def _row(key: tuple[str, str, Direction], count: _Count, minute: int) -> Row:
        calls_15, errors_15 = count.ring.last(minute, 15)
        return Row(
            system=key[0],
            service=key[1],
            direction=key[2].value,
            calls=count.calls,
            errors=count.errors,
            bytes=count.bytes,
            p50_ms=count.share_ms(0.5),
            p99_ms=count.share_ms(0.99),
            last_at=count.last_at,
            last_error=count.last_error,
            calls_15=calls_15,
            errors_15=errors_15,
        )


def _added(one: Row, other: Row) -> Row:
    seen: Iterable[Instant] = [at for at in (one.last_at, other.last_at) if at is not None]
    return Row(
        system=one.system,
        service=OTHERS,
        direction=one.direction if one.direction == other.direction else OTHERS,
        calls=one.calls + other.calls,
        errors=one.errors + other.errors,
        bytes=one.bytes + other.bytes,
        p50_ms=max(one.p50_ms, other.p50_ms),
        p99_ms=max(one.p99_ms, other.p99_ms),
        last_at=max(seen, default=None),
        last_error=one.last_error or other.last_error,
        calls_15=one.calls_15 + other.calls_15,
        errors_15=one.errors_15 + other.errors_15,
    )
