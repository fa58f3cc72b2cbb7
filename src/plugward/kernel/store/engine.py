"""Engines 引擎: what a database must be able to do for a board's store."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from .frames import Frame
from .tables import BoardTables
from .unit import Unit

T = TypeVar("T")
OnCommit = Callable[[Sequence[Frame]], None]
CONNECTIONS_MAX = 8


class Reach(msgspec.Struct, frozen=True):
    """How a process reaches its boards' tables on a server, beside the address.

    ``owner`` makes schemas, tables and roles at the start. ``prepared``: somebody else has made
    them, and this process has a login that may take its boards' roles, and nothing more.
    """

    owner: str = ""
    prepared: bool = False
    connections: int = CONNECTIONS_MAX  # for each board; made when needed


class Engine(Protocol):
    """One board's place in one database."""

    tables: BoardTables

    async def start(self) -> None:
        """Connect and bring the tables to this version."""
        ...

    async def stop(self) -> None:
        """Finish what is under way and let go of the database."""
        ...

    async def run(self, unit: Unit) -> Any:
        """Run a unit as one transaction; its answer, once it is durable."""
        ...

    async def read(self, function: Callable[[Connection], T], *, what: str = "") -> T:
        """Run a function on a read connection that sees everything committed before now.

        ``what`` names it, so that the engine can know from earlier runs whether it is quick.
        """
        ...

    async def system(self, function: Callable[[Connection], T]) -> T:
        """Run a kernel function (cursors, sequencing, migrations) as one transaction."""
        ...

    def listen(self, on_commit: OnCommit) -> None:
        """Be told, on the event loop, of the frames of every committed unit, in order."""
        ...
