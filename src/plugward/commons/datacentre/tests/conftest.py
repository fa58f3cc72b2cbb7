"""A hospital with a ward and a data centre, started and stopped as a test needs it."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

import pytest

from plugward.commons.datacentre.board import board as datacentre_board
from plugward.commons.datacentre.contract import DataCentre
from plugward.commons.datacentre.tests.ward.board import board as ward_board
from plugward.commons.datacentre.tests.ward.contract import Stay, StayId, Ward
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.board import Board
from plugward.kernel.clock import ManualClock
from plugward.kernel.dispatch import Transport
from plugward.kernel.envelope import acting_as
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.kit.money import Money
from plugward.kit.time import hospital_time

T = TypeVar("T")
SOON_MS = 20  # a batch in these tests


class Hospital:
    """Ward and data centre over one folder; stopping and starting again keeps the files."""

    def __init__(
        self,
        folder: Path,
        *,
        boards: tuple[Board, ...],
        transport: Transport = Transport.STRICT,
        keeps_file: bool = True,
    ) -> None:
        self.folder = folder
        self.keeps_file = keeps_file
        self.clock = ManualClock("2026-03-02 08:00")
        self.boards = boards
        self._transport = transport
        self.runtime: Runtime
        self.campuses: tuple[str, ...] = ("C1", "C2")
        self._request: UUID | None = None

    async def start(
        self, *, other: dict[str, dict[str, Any]] | None = None, **settings: Any
    ) -> "Hospital":
        self.runtime = Runtime(
            Databases(self.folder, durable=False),
            self.clock,
            AuditLog(None, self.clock),
            transport=self._transport,
            settings={
                **(other or {}),
                "datacentre": {
                    "data_folder": str(self.folder) if self.keeps_file else "",
                    "batch_ms": SOON_MS,
                    **settings,
                },
            },
        )
        await self.runtime.start(self.boards)
        return self

    async def stop(self) -> None:
        await self.runtime.stop()

    async def again(self) -> None:
        await self.stop()
        await self.start()

    def client(self, contract: type[T]) -> Any:
        return _Acting(self, contract)

    @contextmanager
    def request(self, id: UUID) -> Iterator[None]:
        """Calls inside carry this request id: a retry, a double click."""
        self._request = id
        yield
        self._request = None

    @property
    def centre(self) -> DataCentre:
        return cast("DataCentre", self.client(DataCentre))

    @property
    def service(self) -> Any:
        return self.runtime.plugged["datacentre"].service

    async def caught_up(self) -> None:
        """Until every fact is in."""
        collector = self.service.collector
        for _ in range(1_000):
            await collector.match()
            if all(not s.waiting and s.behind <= 0 for s in collector.sources.values()):
                return
            await collector.pause(0.01)
        raise AssertionError("the data centre does not catch up")

    async def rows(self, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """What stands in a fact table, in order."""
        await self.caught_up()
        question = f"SELECT {columns} FROM fact.{table} ORDER BY ALL"  # noqa: S608 - a test's own
        found: list[tuple[Any, ...]] = await self.service.warehouse.read(
            lambda c: c.execute(question).fetchall()
        )
        return found


class _Acting:
    """A client of whatever runs now, as a person of the test's campuses."""

    def __init__(self, hospital: Hospital, contract: Any) -> None:
        self._hospital = hospital
        self._contract = contract

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            tester = a_tester(campuses=self._hospital.campuses)
            with acting_as(tester, request=self._hospital._request):
                client = self._hospital.runtime.client(self._contract)
                return await getattr(client, name)(*args, **kwargs)

        return call


def a_stay(room: str = "101", *, campus: str = "C1", at: str = "2026-03-02 08:00") -> Stay:
    return Stay(
        id=StayId(new_id()),
        campus=campus,  # type: ignore[arg-type]  # a code
        room=room,
        patient_name="测试·沈玉兰",
        began_at=hospital_time(at),
    )


def ended(stay: Stay, *, at: str = "2026-03-02 10:00", fen: int = 1_000, meals: int = 2) -> Stay:
    return stay.replace(ended_at=hospital_time(at), cost=Money(fen=fen), meals=meals)


@pytest.fixture
async def hospital(tmp_path: Path) -> AsyncIterator[Hospital]:
    """With a file, so that it can be stopped and started again."""
    opened = Hospital(tmp_path, boards=(ward_board, datacentre_board))
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def ward(hospital: Hospital) -> Any:
    return hospital.client(Ward)


def run_python(code: str) -> str:
    """What a program prints, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


__all__ = ["Hospital", "Ward", "a_stay", "ended", "run_python"]
