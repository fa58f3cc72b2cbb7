"""``plugward day``: a simulated day, its figures, and the audit of what it left behind."""

import asyncio
import gc
import json
import resource
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from plugward.kernel.audit import AuditReport
from plugward.kernel.clock import ManualClock, SystemClock
from plugward.kit.time import Instant, hospital_time
from plugward.rack.embedded import Embedded
from plugward.rack.folder import DataFolder, FolderError
from plugward.sim.day.report import DayReport
from plugward.sim.day.run import Day
from plugward.sim.progress import Steps

from .audit import print_report

DAWN = "2026-03-02 07:00"
LEFT_OUT = frozenset({"portal"})


def day(
    *,
    visits: int,
    seed: int,
    data: Path | None,
    speed: float,
    acknowledged: Path | None,
    as_json: bool,
) -> int:
    """0 when the audit holds, 1 on a breach, 2 when the folder cannot be used."""
    console = Console(stderr=as_json)
    with tempfile.TemporaryDirectory(prefix="plugward-day-") as fresh:
        folder = DataFolder(data or Path(fresh))
        try:
            folder.open()
            folder.mark_demo()
            report, audit = asyncio.run(
                _run(folder, Plan(visits, seed, speed, acknowledged), console)
            )
        except FolderError as error:
            console.print(str(error), markup=False)
            return 2
        finally:
            folder.close()
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if as_json:
        body = {
            "day": msgspec.to_builtins(report),
            "audit": msgspec.to_builtins(audit),
            "peak_memory_mb": round(memory_mb, 1),
        }
        print(json.dumps(body, ensure_ascii=False))  # noqa: T201 - the output
    else:
        _print(console, report, memory_mb)
        print_report(console, audit)
    return 0 if audit.holds and not report.parked else 1


class Plan(msgspec.Struct, frozen=True):
    """What the command line asked for."""

    visits: int
    seed: int
    speed: float
    acknowledged: Path | None


async def _run(folder: DataFolder, plan: Plan, console: Console) -> tuple[DayReport, AuditReport]:
    paced = plan.speed > 0
    clock = SystemClock(start=_dawn(), rate=plan.speed) if paced else ManualClock(DAWN)
    # A port of its own: a day may run beside an open hospital. Nobody reads reports meanwhile.
    extra: dict[str, dict[str, Any]] = {
        "hub": {"mllp_port": 0},
        "datacentre": {"batch_ms": 2_000, "batch_events": 20_000},
    }
    hospital = Embedded(folder, clock=clock, without=LEFT_OUT, extra=extra)
    with Steps(console) as steps:
        step = steps.begin("visits 就诊", plan.visits)
        await hospital.start()
        _collect_rarely()
        try:
            simulated = Day(hospital.runtime, clock, visits=plan.visits, seed=plan.seed)
            simulated.hospital.journal.write_acknowledged(plan.acknowledged)
            return await simulated.run(lambda done: steps.reach(step, done))
        finally:
            await hospital.stop()


def _collect_rarely() -> None:
    """What is loaded stays; what a day makes and drops is freed without looking for cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _dawn() -> Instant:
    return hospital_time(DAWN)


def _print(console: Console, report: DayReport, memory_mb: float) -> None:
    console.print(
        f"[bold]{report.visits} visits[/] ({report.seen} seen, {report.finished} went home) in "
        f"{report.seconds:.1f} s; {report.calls:,} calls, {report.calls_per_s:,.0f}/s; "
        f"peak memory {memory_mb:.0f} MB"
    )
    waits = _table("wait", "n", "mean min", "median", "p95")
    for wait in report.waits:
        waits.add_row(
            wait.where, str(wait.count), f"{wait.mean_min}", f"{wait.p50_min}", f"{wait.p95_min}"
        )
    console.print(waits)
    calls = _table("operation", "calls", "errors", "p50 ms", "p99 ms")
    for line in report.operations[:25]:
        calls.add_row(
            line.operation, f"{line.calls:,}", str(line.errors), f"{line.p50_ms}", f"{line.p99_ms}"
        )
    console.print(calls)
    for title, counts in (
        ("steps", report.steps),
        ("refusals", report.refusals),
        ("unavailable", report.unavailable),
    ):
        listed = ", ".join(f"{what} {count:,}" for what, count in counts.items()) or "none"
        console.print(f"[bold]{title}[/]: {listed}")
    console.print(f"[bold]parked events[/]: {', '.join(report.parked) or 'none'}")


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table
