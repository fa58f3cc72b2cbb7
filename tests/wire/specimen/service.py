"""Specimen, answered."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select

from plugward.kernel import Fault, Message, Reading, Store, Unavailable, Work, in_work, reading
from plugward.kernel.envelope import current_call

from .contract import (
    BadColour,
    Colour,
    Everything,
    NoSuchThing,
    Specimen,
    ThingKept,
    TooMany,
)
from .tables import things


class Thing(Message):
    id: UUID
    note: str


class SpecimenService(Specimen):
    def __init__(self, store: Store) -> None:
        self.store = store
        self.runs = 0
        self.arrived = 0

    async def echo(self, thing: Everything) -> Everything:
        return thing

    async def many(self, things: tuple[Everything, ...], colour: Colour | None = None) -> int:
        return sum(1 for thing in things if colour is None or thing.colour is colour)

    async def nothing(self) -> None:
        return None

    async def refuse(self, how: str) -> None:
        at = datetime(2026, 3, 2, 10, 0, 0, 123456, UTC)
        endings: dict[str, Exception] = {
            "not-found": NoSuchThing(id=UUID(int=7)),
            "conflict": TooMany(left=2, at=at, share=Decimal("0.30")),
            "invalid": BadColour(colour=Colour.GREEN),
            "unavailable": Unavailable("elsewhere", "unplugged"),
            "fault": Fault("a-trace"),
            "bug": RuntimeError("张三 never crosses the border"),
        }
        raise endings[how]

    async def wait(self, ms: int) -> int:
        await asyncio.sleep(ms / 1000)
        return ms

    async def remaining(self) -> int:
        call = current_call()
        assert call is not None
        assert call.deadline is not None
        return int((call.deadline - asyncio.get_running_loop().time()) * 1000)

    async def who(self) -> tuple[str, str, str]:
        call = current_call()
        assert call is not None
        envelope = call.envelope
        return envelope.actor.id, envelope.campus, envelope.caller

    async def forbidden(self) -> None:
        raise AssertionError("nobody may")

    @in_work
    def keep(self, work: Work, id: UUID, note: str) -> int:
        return self._keep(work, id, note)

    async def keep_slowly(self, id: UUID, note: str, ms: int) -> int:
        self.arrived += 1
        await asyncio.sleep(ms / 1000)
        return await self.store.work(self._keep, id, note)

    def _keep(self, work: Work, id: UUID, note: str) -> int:
        self.runs += 1
        work.insert(things, Thing(id=id, note=note))
        work.publish(ThingKept(id=id, note=note))
        return _count(work)

    @reading
    def kept(self, read: Reading) -> int:
        return _count(read)


def _count(read: Reading) -> int:
    return int(read.rows(select(func.count().label("n")).select_from(things))[0].n)
