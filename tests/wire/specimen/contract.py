"""Specimen 样板: every kind of type, every kind of answer."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal, Protocol
from uuid import UUID

from plugward.kernel import (
    Conflict,
    Event,
    Invalid,
    Message,
    NotFound,
    command,
    contract,
    query,
)
from plugward.kit.message import Plain
from plugward.kit.money import Money


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Inner(Message):
    name: Plain
    weight: Decimal = Decimal("0.10")


class Everything(Message):
    id: UUID
    text: Plain
    number: int
    ratio: float
    is_so: bool
    raw: bytes
    day: date
    at: datetime
    exact: Decimal
    colour: Colour
    inner: Inner
    many: tuple[Inner, ...]
    pair: tuple[int, Plain]
    perhaps: Plain | None
    either: Literal["a", "b"]
    amount: Money


class NoSuchThing(NotFound):
    """没有这件东西：{id}。"""

    id: UUID


class TooMany(Conflict):
    """只剩 {left} 件，截至 {at}。"""

    left: int
    at: datetime
    share: Decimal


class BadColour(Invalid):
    """颜色不对：{colour}。"""

    colour: Colour


class ThingKept(Event, tag="specimen.thing.kept.v1", key="note"):
    id: UUID
    note: Plain


@contract("specimen")
class Specimen(Protocol):
    """One of everything."""

    @query(permission="specimen.read")
    async def echo(self, thing: Everything) -> Everything:
        """The same again."""
        ...

    @query(permission="specimen.read")
    async def many(self, things: tuple[Everything, ...], colour: Colour | None = None) -> int:
        """How many, with a default."""
        ...

    @query(permission="specimen.read")
    async def nothing(self) -> None:
        """No argument, no answer."""
        ...

    @query(permission="specimen.read")
    async def refuse(self, how: Plain) -> None:
        """Ends in every way a call may end."""
        ...

    @query(permission="specimen.read")
    async def wait(self, ms: int) -> int:
        """Takes so long."""
        ...

    @query(permission="specimen.read")
    async def remaining(self) -> int:
        """How many milliseconds the call has left where it arrives."""
        ...

    @query(permission="specimen.read")
    async def who(self) -> tuple[Plain, Plain, Plain]:
        """Actor, campus and calling board as they arrive."""
        ...

    @query(permission="specimen.rule")
    async def forbidden(self) -> None:
        """Nobody may."""
        ...

    @command(permission="specimen.write")
    async def keep(self, id: UUID, note: Plain) -> int:
        """Keep one; answers how many have been kept, so a second run would show."""
        ...

    @command(permission="specimen.write")
    async def keep_slowly(self, id: UUID, note: Plain, ms: int) -> int:
        """Keep one after a while."""
        ...

    @query(permission="specimen.read")
    async def kept(self) -> int:
        """How many are kept."""
        ...
