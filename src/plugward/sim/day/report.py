"""The day's report: visits, waits, refusals, calls, times; figures as they were measured."""

import msgspec

from plugward.kernel.events.parked import Parked

from .hospital import Hospital
from .journal import Wait, wait_figures
from .patient import Visits


class OperationFigures(msgspec.Struct, frozen=True):
    """Calls of one operation and how long they took."""

    operation: str
    calls: int
    errors: int
    p50_ms: float
    p99_ms: float


class DayReport(msgspec.Struct, frozen=True):
    """What happened."""

    visits: int
    seen: int
    finished: int
    seconds: float
    calls: int
    calls_per_s: float
    steps: dict[str, int]
    refusals: dict[str, int]
    unavailable: dict[str, int]
    waits: tuple[Wait, ...]
    operations: tuple[OperationFigures, ...]
    parked: tuple[str, ...]


def report_of(
    hospital: Hospital, visits: Visits, seconds: float, parked: tuple[Parked, ...]
) -> DayReport:
    """Read the journal and the meters."""
    journal, meters = hospital.journal, hospital.world.runtime.meters
    everyone = list(visits)
    calls = sum(meter.calls for meter in meters.by_operation.values())
    operations = tuple(
        OperationFigures(
            operation=name,
            calls=meter.calls,
            errors=meter.outcomes.get("fault", 0) + meter.outcomes.get("unavailable", 0),
            p50_ms=round(meter.quantile_ms(0.5) or 0, 2),
            p99_ms=round(meter.quantile_ms(0.99) or 0, 2),
        )
        for name, meter in sorted(
            meters.by_operation.items(), key=lambda item: item[1].calls, reverse=True
        )
    )
    return DayReport(
        visits=len(everyone),
        seen=sum(visit.seen_at is not None for visit in everyone),
        finished=sum(visit.is_finished for visit in everyone),
        seconds=round(seconds, 1),
        calls=calls,
        calls_per_s=round(calls / seconds, 1),
        steps=dict(sorted(journal.counts.items())),
        refusals=dict(journal.refusals.most_common()),
        unavailable=dict(journal.away),
        waits=wait_figures(journal.waits_s),
        operations=operations,
        parked=tuple(f"{p.board}.{p.reaction}: {p.tag} ({p.error})" for p in parked),
    )
