"""What the data centre takes in and answers: rows a second, freshness, reports over many rows.

    python bench/bench_datacentre.py [--rows 200000] [--seconds 6] [--rate 1000]

Three measurements: facts collected from an outbox that is full (catching up), the time from a
commit until its row can be reported on while facts come at a steady rate, and the time of the
hospital's own report definitions over a table of so many visits.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from bench_board.board import board as probe
from bench_board.contract import Probe, Said

from plugward.boards.encounters.board import board as encounters_board
from plugward.boards.encounters.facts import Visit
from plugward.commons.datacentre.board import board as datacentre_board
from plugward.commons.datacentre.catalogue import Catalogue
from plugward.commons.datacentre.engine import Scope, run
from plugward.commons.datacentre.loading import Batch, Row, write_batch
from plugward.commons.datacentre.schema import tables_of
from plugward.commons.datacentre.warehouse import Warehouse, prepare_board
from plugward.kernel import Message, fact
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.clock import SystemClock
from plugward.kernel.envelope import acting_as
from plugward.kernel.facts import fact_of
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.vocabulary import CampusCode, DepartmentCode, EncounterId, PatientId, StaffId

CAMPUSES = ("C1", "C2", "C3")
DEPARTMENTS = ("CARD", "ENDO", "GI", "RESP", "ORTH", "PED", "GYN", "EYE", "DERM", "NEUR")
IN_FLIGHT = 16


class SaidRow(Message):
    group: UUID
    campus: CampusCode


@fact(Said, table="probe_said", key=("group",))
def said(event: Said) -> SaidRow:
    return SaidRow(group=event.group, campus=CampusCode("C1"))


def runtime_in(folder: Path) -> Runtime:
    clock = SystemClock()
    return Runtime(
        Databases(folder),
        clock,
        AuditLog(None, clock),
        settings={"datacentre": {"data_folder": str(folder)}},
    )


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - measured from outside: nothing tells us
        await asyncio.sleep(0.002)


async def say(runtime: Runtime, words: int) -> None:
    with acting_as(a_tester()):
        await runtime.client(Probe).say(words)


async def catching_up(folder: Path, events: int) -> None:
    """The outbox is full when the data centre is plugged in."""
    probe.facts = (fact_of(said),)
    runtime = runtime_in(folder)
    await runtime.start([probe])
    for _ in range(events // 500):
        await say(runtime, 500)
    started = time.perf_counter()
    await runtime.plug(datacentre_board)
    collector = runtime.plugged["datacentre"].service.collector
    await until(lambda: collector.rows >= events // 500 * 500)
    seconds = time.perf_counter() - started
    print(f"catching up            {collector.rows / seconds:10,.0f} facts/s  ({collector.rows:,})")
    await runtime.stop()


async def freshness(folder: Path, seconds: float, rate: int) -> None:
    """Facts at a steady rate; the collector notes commit → reportable for each."""
    probe.facts = (fact_of(said),)
    runtime = runtime_in(folder)
    await runtime.start([probe, datacentre_board])
    collector = runtime.plugged["datacentre"].service.collector
    await until(lambda: "probe" in collector.sources)
    loop = asyncio.get_running_loop()
    began, told = loop.time(), 0
    ticks: list[float] = []
    while loop.time() - began < seconds:
        due = int((loop.time() - began) * rate) - told
        if due > 0:
            await say(runtime, min(due, 100))
            told += min(due, 100)
        before = loop.time()
        await asyncio.sleep(0.005)
        ticks.append(loop.time() - before - 0.005)
    await until(lambda: collector.rows >= told)
    delays = sorted(collector.delays_s)
    print(
        f"freshness at {told / seconds:6,.0f}/s   p50 {delays[len(delays) // 2] * 1e3:6.0f} ms   "
        f"p99 {delays[int(len(delays) * 0.99)] * 1e3:6.0f} ms   max {delays[-1] * 1e3:6.0f} ms"
    )
    ticks.sort()
    print(f"event loop held        p99 {ticks[int(len(ticks) * 0.99)] * 1e3:6.1f} ms")
    await runtime.stop()


async def reports(folder: Path, rows: int) -> None:
    """The hospital's own definitions over so many visits of a year."""
    tables, _ = tables_of("encounters", encounters_board.facts)
    warehouse = Warehouse(str(folder), memory_mb=128)
    await warehouse.open()
    await warehouse.write(lambda c: prepare_board(c, "encounters", tables.values(), ""))
    dice, year = Random(1), date(2026, 1, 1)  # noqa: S311 - invented visits
    started = time.perf_counter()
    for begin in range(0, rows, 5_000):
        batch = Batch(
            {"visits": {(n,): visit(n, year, dice) for n in range(begin, begin + 5_000)}}, []
        )
        await warehouse.write(partial(write_batch, batch=batch, tables=tables, read={}))
    seconds = time.perf_counter() - started
    print(f"rows made and written  {rows / seconds:10,.0f} rows/s   ({rows:,} visits)")
    catalogue = Catalogue([encounters_board], tables)
    scope = Scope(year, year + timedelta(days=365), None)
    for name, plan in catalogue.plans.items():
        times = []
        for _ in range(5):
            began = time.perf_counter()
            await warehouse.read(partial(run, plan=plan, scope=scope, dimensions={}, facts=()))
            times.append(time.perf_counter() - began)
        print(f"  {name:<38}{statistics.median(times) * 1e3:8.0f} ms")
    await warehouse.close()


def visit(number: int, year: date, dice: Random) -> Row:
    day = year + timedelta(days=number * 365 // 10_000_000 % 365)
    at = datetime(day.year, day.month, day.day, 1, tzinfo=UTC) + timedelta(
        minutes=dice.randrange(480)
    )
    campus = CampusCode(dice.choice(CAMPUSES))
    row = Visit(
        encounter=EncounterId(new_id()),
        patient=PatientId(UUID(int=number)),
        campus=campus,
        department=DepartmentCode(f"{campus}-{dice.choice(DEPARTMENTS)}"),
        doctor=StaffId(UUID(int=dice.randrange(300))),
        doctor_name="",
        kind="outpatient",
        day=day,
        state="finished",
        arrived_at=at,
        started_at=at + timedelta(minutes=dice.randrange(60)),
        finished_at=at + timedelta(minutes=60 + dice.randrange(30)),
        disposition="home",
    )
    return Row(number + 1, at, row)


async def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=200_000)
    asked.add_argument("--events", type=int, default=30_000)
    asked.add_argument("--seconds", type=float, default=6.0)
    asked.add_argument("--rate", type=int, default=1_000)
    options: Any = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="plugward-bench-") as folder:
        first, second = Path(folder) / "a", Path(folder) / "b"
        first.mkdir()
        second.mkdir()
        await catching_up(first, options.events)
        await freshness(second, options.seconds, options.rate)
        await reports(Path(folder) / "c", options.rows)
    memory = psutil.Process().memory_info().rss / 2**20
    print(f"memory of this process {memory:10,.0f} MB")


if __name__ == "__main__":
    asyncio.run(main())
