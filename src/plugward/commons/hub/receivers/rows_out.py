"""Rows out: a message, a JSON object, becomes the parameters of one statement, in one transaction.

The statement may use ``:message_id``, which is the same at every attempt: with a unique column and
``ON CONFLICT DO NOTHING`` (or ``WHERE NOT EXISTS``) a repeat after a lost answer does nothing.
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)

from ..database import engine_of
from ..lanes import DONE, Failed, Kind
from ..ledger_records import Delivery, Outcome
from ..ledger_tables import State

_PLAIN = str | int | float | bool | None


class RowsOut:
    """One statement on one database."""

    def __init__(self, url_file: Path, statement: str, *, connections: int) -> None:
        self._engine = engine_of(url_file, connections)
        self._statement = text(statement)
        self._wanted = frozenset(self._statement.compile().params)
        self.answers = False

    async def deliver(self, delivery: Delivery) -> Outcome:
        """One attempt."""
        try:
            told = msgspec.json.decode(delivery.body, type=dict[str, Any])
        except msgspec.DecodeError:
            return Outcome(State.DEAD, "the message is no JSON object of parameters")
        told["message_id"] = f"{delivery.message}-{delivery.part}"
        missing = sorted(self._wanted - set(told))
        if missing:
            return Outcome(State.DEAD, f"the message lacks {', '.join(missing)[:200]}")
        row = {name: _bound(told[name]) for name in self._wanted}
        return await asyncio.to_thread(self._write, row)

    async def close(self) -> None:
        """Let the connections go."""
        await asyncio.to_thread(self._engine.dispose)

    def _write(self, row: dict[str, Any]) -> Outcome:
        kind = Kind.CONNECT
        self.answers = False
        try:
            with self._engine.connect() as connection:
                kind = Kind.NO_ANSWER  # from here on it may have happened
                with connection.begin():
                    connection.execute(self._statement, row)
        except (IntegrityError, DataError) as error:  # the database's words may hold the row
            return Outcome(State.DEAD, f"the row does not fit: {type(error).__name__}")
        except (OperationalError, InterfaceError) as error:
            raise Failed(type(error).__name__, kind) from None
        except DBAPIError as error:
            raise Failed(type(error).__name__, Kind.ERROR) from None
        except SQLAlchemyError as error:
            raise Failed(type(error).__name__, kind) from None
        self.answers = True
        return DONE


def _bound(value: Any) -> _PLAIN:
    if value is None or isinstance(value, str | int | float):
        return value
    return msgspec.json.encode(value).decode()
