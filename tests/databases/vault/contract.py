"""Vault 金库: what the store promises, as operations."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from plugward.kernel import Conflict, Event, Identifying, Message, Plain, command, contract, query
from plugward.kit.money import Money, UnitPrice
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode


class BoxState(StrEnum):
    OPEN = "open"
    SEALED = "sealed"


class Note(Message):
    text: Identifying
    amount: Decimal


class Box(Message, kw_only=True):
    id: UUID
    campus: CampusCode
    name: Identifying
    state: BoxState = BoxState.OPEN
    left: int = 0
    held: int = 0
    money: Money = Money(fen=0)
    price: UnitPrice = UnitPrice(yuan=Decimal("1.2345"))
    day: date = date(2026, 3, 2)
    at: Instant
    notes: tuple[Note, ...] = ()
    number: int = 0
    taker: Plain | None = None


class Put(Event, tag="vault.box.put.v1", key="box"):
    box: UUID
    step: int


class Empty(Conflict):
    """已空：{box}。"""

    box: UUID


@contract("vault")
class Vault(Protocol):
    """Boxes with numbers that can run out."""

    @command(permission="vault.use")
    async def put(self, box: Box) -> Box:
        """Put a box in and give it the next number."""
        ...

    @command(permission="vault.use")
    async def take(self, box: UUID, amount: int) -> Box:
        """Take from a box. Refuses with ``Empty``."""
        ...

    @command(permission="vault.use")
    async def hold(self, box: UUID, amount: int) -> Box:
        """Hold some of a box. Refuses with ``Empty``."""
        ...

    @command(permission="vault.use")
    async def claim(self, taker: Plain) -> Box | None:
        """Claim the first open box."""
        ...

    @command(permission="vault.use")
    async def rename(self, before: Box, name: Identifying) -> Box:
        """Rename a box if nobody else has."""
        ...

    @command(permission="vault.use")
    async def annotate(self, before: Box, notes: tuple[Note, ...]) -> Box:
        """Change the notes of a box if nobody else has."""
        ...

    @command(permission="vault.use")
    async def say(self, box: UUID, steps: int) -> int:
        """Publish ``steps`` facts about a box."""
        ...

    @query(permission="vault.use")
    async def box(self, box: UUID) -> Box:
        """One box."""
        ...

    @query(permission="vault.use")
    async def boxes(self) -> tuple[Box, ...]:
        """All boxes one may see."""
        ...
