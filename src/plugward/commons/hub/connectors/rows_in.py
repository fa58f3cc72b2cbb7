"""Rows in 数据库轮询: new rows of a query become messages; how far it came is kept after them.

A row that was kept but whose position was not is asked for again, and known by its key and content.
The other side's driver is the site's choice: whatever SQLAlchemy speaks through, on a thread.
"""

import asyncio
import hashlib
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from ..database import engine_of
from ..node import Node
from ..routing import Incoming
from ..taking import Verdict, take
from .positions import Position, Positions
from .sources_declared import DatabaseIn


class NotAsked(OSError):
    """The database did not answer the query."""


class RowsSource:
    """One query."""

    def __init__(self, name: str, told: DatabaseIn, node: Node, positions: Positions) -> None:
        self._name = name
        self._told = told
        self._node = node
        self._positions = positions
        self._engine = engine_of(node.folder / told.url_file)
        self._query = text(told.query)
        self.every_s = told.every_s

    async def look(self) -> None:
        """Take the rows after the last one, in the order of their key."""
        while True:
            after = self._after()
            rows = await asyncio.to_thread(self._ask, after)
            last = after
            try:
                for row in rows:
                    key = self._key_of(row, last)
                    if not await self._take(row, key):
                        return
                    last = key
            finally:
                if last != after:
                    await asyncio.to_thread(self._positions.put, self._name, last)
            if len(rows) < self._told.limit:
                return

    async def close(self) -> None:
        """Let the connections go."""
        await asyncio.to_thread(self._engine.dispose)

    def _after(self) -> Position:
        position = self._positions.get(self._name)
        return self._told.start if position is None else position

    def _ask(self, after: Position) -> list[dict[str, Any]]:
        try:
            with self._engine.connect() as connection:
                found = connection.execute(self._query, {"after": after, "limit": self._told.limit})
                return [dict(row) for row in found.mappings()]
        except SQLAlchemyError as error:
            raise NotAsked(type(error).__name__) from None

    def _key_of(self, row: dict[str, Any], last: Position) -> Position:
        """A key that does not grow would be asked for again and again, or skip rows."""
        key = row.get(self._told.key)
        if isinstance(key, int) and isinstance(last, int) and key > last:
            return key
        if isinstance(key, str) and (key > last if isinstance(last, str) else last == 0):
            return key
        raise NotAsked(f"the column {self._told.key} is no number or text that grows")

    async def _take(self, row: dict[str, Any], key: Position) -> bool:
        try:
            body = msgspec.json.encode(row)
        except TypeError as error:
            raise NotAsked(f"a row cannot be written as JSON: {error}") from None
        digest = hashlib.sha256(body).hexdigest()[:32]
        incoming = Incoming(body, kind=f"row {self._name}", sender=self._name)
        repeat = f"{str(key)[-80:]} {digest}"
        taken = await take(self._node, incoming, key=repeat, peer=f"database {self._name}")
        if taken.verdict is Verdict.AWAY:
            return False
        if taken.verdict is Verdict.REFUSED:  # kept for a person, and the next rows go on
            await self._node.ledger.refused(body, peer=f"database {self._name}", reason=taken.words)
        return True
