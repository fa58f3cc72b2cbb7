"""The journal 日志: what happened in a simulated day, counted for the report at its end."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from uuid import UUID

import msgspec


class Journal:
    """Counts and waits. No names: it is printed and kept."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.away: Counter[str] = Counter()
        self.waits_s: dict[str, list[float]] = defaultdict(list)
        self._acknowledged: FileIO | None = None

    def did(self, what: str, times: int = 1) -> None:
        self.counts[what] += times

    def write_acknowledged(self, path: Path | None) -> None:
        """From now on the request id of every acknowledged command goes to this file at once."""
        self._acknowledged = path.open("ab", buffering=0) if path else None

    def acknowledged(self, request: UUID) -> None:
        """The hospital has said that this is done."""
        if self._acknowledged is not None:
            self._acknowledged.write(f"{request}\n".encode())

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
