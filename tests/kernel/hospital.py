"""A whole small hospital for tests: boards, stores, events and timers as in production."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from plugward.kernel.auditlog import AuditLog
from plugward.kernel.board import Board
from plugward.kernel.clock import ManualClock
from plugward.kernel.dispatch import Transport
from plugward.kernel.envelope import acting_as
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import MEMORY, Databases
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.kit.time import Clock
from plugward.vocabulary import CampusCode, PatientId

from .parcels.board import board as parcels_board
from .parcels.contract import Parcel, Parcels

C1 = CampusCode("C1")
MRS_CHEN = PatientId(UUID("01950000-0000-7000-8000-00000000c4e4"))


@asynccontextmanager
async def hospital(
    *boards: Board,
    folder: Path | None = None,
    transport: Transport = Transport.STRICT,
    settings: dict[str, dict[str, Any]] | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[Runtime, None]:
    """Run these boards (the parcels board alone without any); in memory without a folder."""
    clock = clock or ManualClock("2026-03-02 08:00")
    runtime = Runtime(
        Databases(folder or MEMORY, durable=False),
        clock,
        AuditLog(folder / "audit.sqlite" if folder else None, clock),
        transport=transport,
        settings=settings,
    )
    await runtime.start(boards or (parcels_board,))
    try:
        yield runtime
    finally:
        await runtime.stop()


def a_parcel(**changes: Any) -> Parcel:
    return Parcel(id=new_id(), campus=C1, addressee=MRS_CHEN, name="陈桂芳").replace(**changes)


async def received(runtime: Runtime, parcel: Parcel | None = None) -> Parcel:
    """A parcel that has been received."""
    with acting_as(a_tester()):
        return await runtime.client(Parcels).receive(parcel or a_parcel())


async def outcome(call: Awaitable[Any]) -> Any:
    """The answer, or the error, of a call."""
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - the test compares it
        return error


async def until(holds: Callable[[], bool], *, patience_s: float = 5.0) -> None:
    """Wait for what other tasks bring about."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience_s
    while not holds():
        assert loop.time() < end, "it did not come about"
        await asyncio.sleep(0.002)
