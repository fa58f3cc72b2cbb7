"""Databases 数据库: where the boards of one site keep their tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .engine import Engine, Reach
from .migrations import Step
from .sqlite import SqliteEngine
from .tables import BoardTables

MEMORY = "memory"


class Databases:
    """Makes a board's engine. ``location`` is ``memory``, a folder, or a database URL.

    URLs: ``postgresql://…`` (one schema a board) or ``mysql://…`` (one database a board). With the
    owner's URL in ``reach``, the owner makes schemas and tables, and each board works as a role
    that reaches its own rows and nothing else.
    """

    def __init__(
        self, location: str | Path, *, durable: bool = True, reach: Reach | None = None
    ) -> None:
        self.location = location
        self._durable = durable
        self._reach = reach

    def engine(
        self, tables: BoardTables, steps: tuple[Step, ...], now: Callable[[], Any]
    ) -> Engine:
        """The engine of one board, not yet started."""
        if self.location == MEMORY:
            return SqliteEngine(tables, None, steps=steps, now=now, durable=False)
        if isinstance(self.location, Path):
            path = self.location / f"{tables.board}.sqlite"
            return SqliteEngine(tables, path, steps=steps, now=now, durable=self._durable)
        from .server import ServerEngine  # noqa: PLC0415 - the drivers load only where used

        return ServerEngine(tables, self.location, steps=steps, now=now, reach=self._reach)
