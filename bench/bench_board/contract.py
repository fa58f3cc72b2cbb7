"""Probe 测速: operations that do as little as possible around one thing to measure."""

from typing import Protocol
from uuid import UUID

from plugward.kernel import Event, Message, Plain, command, contract, query


class Line(Message):
    id: UUID
    item: Plain
    quantity: int


class Signed(Event, tag="probe.group.signed.v1", key="group"):
    group: UUID
    lines: tuple[Line, ...]


class Said(Event, tag="probe.word.said.v1", key="group"):
    group: UUID


@contract("probe")
class Probe(Protocol):
    """Measures the kernel."""

    @query(permission="probe.use")
    async def echo(self, number: int) -> int:
        """The same number."""
        ...

    @query(permission="probe.use")
    async def line(self, line: UUID) -> Line:
        """One row."""
        ...

    @command(permission="probe.use")
    async def sign(self, group: UUID, lines: tuple[Line, ...]) -> UUID:
        """A group of lines and the fact of it."""
        ...

    @command(permission="probe.use")
    async def say(self, words: int) -> int:
        """So many facts in one unit of work."""
        ...
