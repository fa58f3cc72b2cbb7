"""One unit of work from its first statement to its outbox rows, the same on every database."""

import typing
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.exc import IntegrityError

from plugward.kit.ids import derive, id_milliseconds
from plugward.kit.time import Clock, Instant, milliseconds

from ..codec import hash_of, pack, unpack
from ..contracts import Operation
from ..envelope import Call
from ..refusals import AlreadyThere, RequestExpired, RequestReused
from . import quick
from .frames import Frame, frame_of_command, frames_of_events, key_text
from .statements import insert_into
from .tables import BoardTables
from .work import Work

REQUEST_KEPT_DAYS = 30


class Done(msgspec.Struct):
    """A unit's outcome: its answer and the facts to hand on once it is committed."""

    answer: Any
    frames: list[Frame]


class Unit:
    """A plain function that will run as one transaction on one board's store."""

    __slots__ = (
        "answer_type",
        "args",
        "arguments_hash",
        "call",
        "clock",
        "function",
        "name",
        "request",
        "tables",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        tables: BoardTables,
        call: Call,
        clock: Clock,
    ) -> None:
        self.function = function
        self.args = args
        self.tables = tables
        self.call = call
        self.clock = clock
        self.request, self.name, self.arguments_hash, self.answer_type = _identity(
            function, args, call
        )

    def run(self, connection: Connection, next_position: Callable[[], int] | None = None) -> Done:
        """Run inside an open transaction. Raises what the function raises.

        ``next_position`` is given where one thread does all the committing; elsewhere a sequencer
        numbers the outbox rows after they are committed.
        """
        now = self.clock.now()
        earlier = self._answer_given(connection, now)
        if earlier is not None:
            return earlier
        work = Work(connection, self.tables, self.call, now)
        try:
            answer = self.function(work, *self.args)
        except IntegrityError as error:
            raise AlreadyThere from error
        frames = self._frames(work, next_position or _numbered_later)
        system = self.tables.system
        if frames:
            quick.add(connection, insert_into(system.outbox), [frame.row() for frame in frames])
        done = {
            "request": self.request,
            "operation": self.name,
            "arguments_hash": self.arguments_hash,
            "answer": pack(answer),
            "done_at": now,
        }
        quick.add(connection, insert_into(system.done), [done])
        return Done(answer, frames)

    def earlier(self, connection: Connection) -> Done | None:
        """The answer given before to the same request, if any."""
        return self._answer_given(connection, self.clock.now())

    def _frames(self, work: Work, next_position: Callable[[], int | None]) -> list[Frame]:
        frames: list[Frame] = []
        board = self.tables.board
        if work.published:
            keys = [key_text(event) for event in work.published]
            given = zip(work.published, keys, work.key_versions(keys), strict=True)
            frames += frames_of_events(
                given, board, self.call, self.request, now=work.now, next_position=next_position
            )
        if isinstance(self.call.operation, Operation):
            frames.append(frame_of_command(self.call, board, work.now, next_position()))
        return frames

    def _answer_given(self, connection: Connection, now: Instant) -> Done | None:
        found = quick.rows(connection, _find_done(self.tables.system.done), {"r": self.request})
        if not found:
            oldest = milliseconds(now - timedelta(days=REQUEST_KEPT_DAYS))
            if isinstance(self.call.operation, Operation) and (
                id_milliseconds(self.request) < oldest
            ):
                raise RequestExpired  # its answer may have been forgotten: never run it again
            return None
        [(operation, arguments_hash, answer)] = found
        if operation != self.name or bytes(arguments_hash) != self.arguments_hash:
            raise RequestReused
        return Done(unpack(bytes(answer), self.answer_type), [])


def _identity(
    function: Callable[..., Any], args: tuple[Any, ...], call: Call
) -> tuple[UUID, str, bytes, Any]:
    """Under which request id a unit is remembered, and what its answer looks like."""
    operation = call.operation
    if isinstance(operation, Operation):
        if not operation.is_command:
            raise AssertionError(f"{operation.full_name}: a query opens no unit of work")
        if call.unit_done:
            raise AssertionError(f"{operation.full_name}: one command, one unit of work")
        call.unit_done = True
        return call.envelope.request, operation.full_name, call.arguments_hash, operation.returns
    name = f"{call.operation or 'job'}:{getattr(function, '__qualname__', 'unit')}"[:120]
    digest = hash_of(args)
    request = derive(call.envelope.request, name, digest.hex())
    return request, name, digest, _answer_type(function)


def _numbered_later() -> None:
    """A sequencer gives the position once the transaction is committed."""


@cache
def _answer_type(function: Callable[..., Any]) -> Any:
    plain = getattr(function, "__func__", function)
    return typing.get_type_hints(plain).get("return", Any)


@cache
def _find_done(table: Any) -> Any:
    return select(table.c.operation, table.c.arguments_hash, table.c.answer).where(
        table.c.request == bindparam("r")
    )
