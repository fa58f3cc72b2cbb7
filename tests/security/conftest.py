"""A whole hospital after a short day, for looking at it from outside.

The day is lived once a run, and with it is kept what it wrote outside the boards' tables: its log
and its meters. Each package of tests opens a copy in the evening.
"""

import asyncio
import json
import logging
import shutil
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from plugward.kernel.auditlog import AuditLog
from plugward.kernel.board import Board
from plugward.kernel.clock import ManualClock
from plugward.kernel.codec import from_json
from plugward.kernel.contracts import Operation
from plugward.kernel.envelope import Actor, ActorKind, acting_as
from plugward.kernel.events.feed import read_frames
from plugward.kernel.message import tag_of
from plugward.kernel.plugged import Plugged
from plugward.kernel.refusals import Fault, Refusal, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.store.frames import Frame
from plugward.rack.discover import discover
from plugward.sim.day.run import Day, connect_payment_channel
from plugward.sim.outside.payment import Faults
from tests.conftest import MadeOnce
from tests.security.samples import Pool, walk

VISITS = 5
DAY, EVENING = "2026-03-02 07:00", "2026-03-02 21:00"
SEED = 11


class Lines(logging.Handler):
    """Every line anybody logs, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        extras = {k: v for k, v in vars(record).items() if k not in _USUAL}
        self.lines.append(f"{self.format(record)} {extras}")


_USUAL = set(vars(logging.makeLogRecord({})))


class Outcome(msgspec.Struct, frozen=True):
    """How a call ended: ``ok`` or the kind of refusal, and the answer or the refusal's name."""

    kind: str
    answer: Any


class Hospital:
    """Every board that is installed, on one runtime, with an event loop of its own."""

    def __init__(self, folder: Path, now: str = EVENING) -> None:
        self.folder = folder
        self.loop = asyncio.new_event_loop()
        self.boards: tuple[Board, ...] = discover(frozenset()).boards
        self.clock = ManualClock(now)
        self.runtime = Runtime(
            Databases(folder, durable=False),
            self.clock,
            AuditLog(folder / "audit.sqlite", self.clock),
            settings={"hub": {"mllp_port": 0}, "identity": {"demo": True}},
        )
        self.log = Lines()
        self.meters_of_the_day = ""

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    async def open(self) -> None:
        logging.getLogger("plugward").addHandler(self.log)
        logging.getLogger("plugward").setLevel(logging.DEBUG)
        await self.runtime.start(self.boards)
        connect_payment_channel(self.runtime, SEED, Faults())
        kept = self.folder / "written.json"
        if kept.exists():
            log, self.meters_of_the_day = json.loads(kept.read_text("utf-8"))
            self.log.lines[:0] = log

    async def live_a_day(self) -> None:
        day = Day(self.runtime, self.clock, visits=VISITS, seed=SEED)
        await day.run()

    def keep_what_was_written(self) -> None:
        written = (self.log.lines, self.meters())
        (self.folder / "written.json").write_text(json.dumps(written), "utf-8")

    def meters(self) -> str:
        """Everything the meters hold, as text."""
        found = {name: self.runtime.meters.of_board(name) for name in self.runtime.plugged}
        return repr({n: vars(m) if hasattr(m, "__dict__") else m for n, m in found.items()})

    def close(self) -> None:
        self.run(self.runtime.stop())
        logging.getLogger("plugward").removeHandler(self.log)
        self.loop.close()

    # ── asking ──────────────────────────────────────────────────────────────────────────────
    def operations(self) -> list[Operation]:
        return [
            operation
            for board in self.boards
            if board.contract is not None
            for operation in board.contract.operations.values()
        ]

    async def ask(self, operation: Operation, request: Any, actor: Actor) -> Outcome:
        client: Any = self.runtime.client(self._protocol(operation))
        arguments = [getattr(request, name) for name in operation.parameters]
        try:
            with acting_as(actor):
                answer = await getattr(client, operation.name)(*arguments)
        except Refusal as refusal:
            return Outcome(refusal.kind, refusal.code)
        except Unavailable as away:
            return Outcome("unavailable", str(away))
        except Fault as fault:
            return Outcome("fault", str(fault))
        return Outcome("ok", answer)

    def _protocol(self, operation: Operation) -> type:
        return next(
            b.contract.protocol for b in self.boards if b.contract and b.name == operation.board
        )

    # ── what happened ───────────────────────────────────────────────────────────────────────
    async def frames(self) -> list[Frame]:
        """Every outbox row of every board."""
        found: list[Frame] = []
        for plugged in self.runtime.plugged.values():
            position = 0
            while rows := await plugged.store.engine.read(_after(plugged, position)):
                found += rows
                position = rows[-1].position or 0
        return found

    async def pool(self, campus: str) -> Pool:
        """What the day's facts at one campus were about."""
        events = {
            tag_of(event): event
            for board in self.boards
            if board.contract is not None
            for event in board.contract.events
        }
        pool = Pool()
        for frame in await self.frames():
            event = events.get(frame.tag)
            if event is None:
                continue
            for found in walk(from_json(frame.body, event), event, frame.campus):
                if found.campus != campus:
                    continue
                if isinstance(found.value, str):
                    pool.texts.setdefault(found.kind, found.value)
                else:
                    pool.ids.setdefault(found.kind, []).append(found.value)
        return pool


def _after(plugged: Plugged, position: int) -> Callable[[Connection], list[Frame]]:
    return lambda connection: read_frames(connection, plugged.store.engine.tables, position)


def person(campuses: tuple[str, ...], permissions: frozenset[str], name: str = "matrix") -> Actor:
    return Actor(
        id=f"staff:{name}", kind=ActorKind.PERSON, permissions=permissions, campuses=campuses
    )


class All(frozenset[str]):
    """Every permission there is, or every one but a few."""

    def __new__(cls, *but: str) -> "All":
        made = super().__new__(cls)
        made.but = frozenset(but)
        return made

    but: frozenset[str]

    def __contains__(self, item: object) -> bool:
        return item not in self.but


@pytest.fixture(scope="package")
def hospital(tmp_path_factory: pytest.TempPathFactory, made_once: MadeOnce) -> Iterator[Hospital]:
    lived = made_once("day", live_a_day)
    folder = tmp_path_factory.mktemp("hospital") / "boards"
    shutil.copytree(lived, folder)
    hospital = Hospital(folder)
    hospital.run(hospital.open())
    yield hospital
    hospital.close()


def live_a_day(folder: Path) -> None:
    hospital = Hospital(folder, DAY)
    hospital.run(hospital.open())
    hospital.run(hospital.live_a_day())
    hospital.keep_what_was_written()
    hospital.close()
