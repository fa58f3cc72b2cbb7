"""The journal 日志: what happened in a simulated day, counted for the report at its end."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec


class Journal:
    """Counts and waits. No names: it is printed and kept."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.away: Counter[str] = Counter()
        self.waits_s: dict[str, list[float]] = defaultdict(list)

    def did(self, what: str, times: int = 1) -> None:
        self.counts[what] += times

    def refused(self, code: str) -> None:
        self.refusals[code] += 1

    def unavailable(self, board: str) -> None:
        self.away[board] += 1

    def waited(self, where: str, seconds: float) -> None:
        self.waits_s[where].append(seconds)


class Wait(msgspec.Struct, frozen=True):
    """A waiting time's figures, in minutes."""

    where: str
    count: int
    mean_min: float
    p50_min: float
    p95_min: float


def wait_figures(waits_s: dict[str, list[float]]) -> tuple[Wait, ...]:
    """Mean, median and 95th percentile of each waiting time."""
    return tuple(
        Wait(
            where=where,
            count=len(found),
            mean_min=round(sum(found) / len(found) / 60, 1),
            p50_min=round(quantile(found, 0.5) / 60, 1),
            p95_min=round(quantile(found, 0.95) / 60, 1),
        )
        for where, found in sorted(waits_s.items())
        if found
    )


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which ``share`` of all lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
