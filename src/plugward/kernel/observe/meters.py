"""Meters 计量: calls, errors and times of every operation, cheap enough to be always on."""

import time
from collections import defaultdict
from math import log2

import msgspec

_BUCKETS = 64  # four per doubling, from 16 µs to over a second
_FLOOR_S = 16e-6
_PER_DOUBLING = 4


class Meter(msgspec.Struct):
    """One operation's calls since start."""

    calls: int = 0
    total_s: float = 0.0
    outcomes: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * _BUCKETS)
    last_at: float = 0.0

    def quantile_ms(self, share: float) -> float | None:
        """An upper bound of the given quantile in milliseconds, None without calls."""
        if not self.calls:
            return None
        wanted, seen = share * self.calls, 0
        for index, count in enumerate(self.buckets):
            seen += count
            if seen >= wanted:
                return upper_bound_s(index) * 1000
        return None


def upper_bound_s(bucket: int) -> float:
    """The longest time that falls into a bucket, in seconds."""
    return float(_FLOOR_S * 2 ** ((bucket + 1) / _PER_DOUBLING))


class Meters:
    """The meters of one process."""

    def __init__(self) -> None:
        self.by_operation: dict[str, Meter] = defaultdict(Meter)
        self.started = time.monotonic()

    def count(self, name: str, seconds: float, outcome: str) -> None:
        """Note one call."""
        meter = self.by_operation[name]
        meter.calls += 1
        meter.total_s += seconds
        meter.outcomes[outcome] = meter.outcomes.get(outcome, 0) + 1
        meter.buckets[_bucket(seconds)] += 1
        meter.last_at = time.monotonic()

    def of_board(self, board: str) -> Meter:
        """All operations of one board together."""
        whole = Meter()
        for name, meter in self.by_operation.items():
            if name.partition(".")[0] == board:
                whole.calls += meter.calls
                whole.total_s += meter.total_s
                whole.last_at = max(whole.last_at, meter.last_at)
                whole.buckets = [a + b for a, b in zip(whole.buckets, meter.buckets, strict=True)]
                for outcome, count in meter.outcomes.items():
                    whole.outcomes[outcome] = whole.outcomes.get(outcome, 0) + count
        return whole


def _bucket(seconds: float) -> int:
    if seconds <= _FLOOR_S:
        return 0
    return min(_BUCKETS - 1, int(log2(seconds / _FLOOR_S) * _PER_DOUBLING))
