"""Sagas 跨系统流程: what must go on after a call has been answered, as rows beside its data.

A service begins a saga inside the unit of work it belongs to. Its steps run one after the other,
each under a request id that follows from the saga and the step, so that a step that ran halfway is
repeated, not doubled. A step ends *done*, *refused* or *unknown*; unknown waits and is tried again.
Whoever dies in the middle of a step loses it after a while, and the board's timer goes on.
"""

import asyncio
import inspect
import logging
import typing
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Connection, func, select, update

from plugward.kit.ids import derive
from plugward.kit.message import Message
from plugward.kit.time import Clock, Instant

from .codec import from_json, to_json
from .envelope import Actor, Call, Envelope, calling
from .events.declare import Job
from .refusals import Refusal, Unavailable
from .store.frames import columns_of
from .store.store import Store
from .store.work import Work

_log = logging.getLogger("plugward.sagas")
LEASE = timedelta(seconds=30)
RESUME_SECONDS = 2.0
LOOK_AGAIN = timedelta(seconds=60)
RESUMED_AT_ONCE_MAX = 100
TURNS_MAX = 20
AWAY_WAIT_S = 5.0
NOTE_MAX = 400

F = TypeVar("F", bound=Callable[..., Awaitable["Then"]])
Inject = Callable[[dict[str, Any]], dict[str, Any]]


class SagaState(StrEnum):
    READY = "ready"  # its step may run when it is due
    RUNNING = "running"  # somebody runs its step; if they die, it is due again after the lease
    UNKNOWN = "unknown"  # waits for an answer; tried again when it is due
    DONE = "done"
    REFUSED = "refused"


ENDED = (SagaState.DONE, SagaState.REFUSED)


class Then(msgspec.Struct, frozen=True):
    """How a step ended and what comes next."""

    outcome: SagaState
    next: str = ""
    note: str = ""
    again_s: float = 0.0


def done(next: str = "", note: str = "") -> Then:
    """The step is done; go on with ``next``, or the saga is done."""
    return Then(SagaState.DONE, next, note[:NOTE_MAX])


def refused(note: str, next: str = "") -> Then:
    """The answer is no; go on with ``next`` (the way back), or the saga ends refused."""
    return Then(SagaState.REFUSED, next, note[:NOTE_MAX])


def unknown(note: str, *, again_s: float, next: str = "") -> Then:
    """No answer: it may or may not have happened. Try again (or ``next``) after a while."""
    return Then(SagaState.UNKNOWN, next, note[:NOTE_MAX], again_s)


class Turn(msgspec.Struct, frozen=True):
    """One try of one step. ``given`` is what the pusher has at hand and nobody may keep."""

    saga: UUID
    data: Any
    tries: int
    age_s: float
    given: Any = None


class Saga:
    """A declared saga, ``CHARGE = Saga("charge", ChargeData)``, and its steps in their order."""

    def __init__(self, name: str, data: type[Message]) -> None:
        self.name = name
        self.data = data
        self.steps: dict[str, tuple[Callable[..., Awaitable[Then]], dict[str, Any]]] = {}

    def step(self, function: F) -> F:
        """Declare ``async def ask(turn: Turn, …) -> Then``; the rest is injected by type."""
        hints = typing.get_type_hints(function)
        names = list(inspect.signature(function).parameters)[1:]
        self.steps[function.__name__] = (function, {name: hints[name] for name in names})
        return function


class _Row(msgspec.Struct):
    id: UUID
    name: str
    state: str
    step: str
    data: bytes
    attempts: int
    due_at: Instant
    started_at: Instant
    note: str | None
    version: int


class _Kept(Message):
    """What a saga keeps: its data, and whose campus and trace it goes on under."""

    campus: str
    trace: str
    data: msgspec.Raw


def begin(work: Work, name: str, id: UUID, data: Message, *, wait_s: float = 0.0) -> None:
    """Begin a saga with this unit of work: both exist, or neither."""
    envelope = work.envelope
    kept = _Kept(campus=envelope.campus, trace=envelope.trace, data=msgspec.Raw(to_json(data)))
    work.insert(
        work.system.saga,
        _Row(
            id=id,
            name=name,
            state=SagaState.READY,
            step="",
            data=to_json(kept),
            attempts=0,
            due_at=work.now + timedelta(seconds=wait_s),
            started_at=work.now,
            note=None,
            version=1,
        ),
    )


class Sagas:
    """The sagas of one board. Given to services that ask for it."""

    def __init__(
        self, store: Store, sagas: tuple[Saga, ...], *, actor: Actor, inject: Inject, clock: Clock
    ) -> None:
        self._store = store
        self._sagas = {saga.name: saga for saga in sagas}
        self._actor = actor
        self._inject = inject
        self._clock = clock
        self._table = store.engine.tables.system.saga
        self._steps = store.engine.tables.system.saga_step
        self._here: set[UUID] = set()
        self._look_at: Instant | None = None

    async def push(self, id: UUID, *, given: Any = None, now: bool = False) -> None:
        """Run a saga until it waits or ends. ``now``: also if its time has not come."""
        if id in self._here:
            return
        self._here.add(id)
        try:
            for turn in range(TURNS_MAX):
                claim = partial(self._claim, id, now=now and turn == 0)
                row = await self._store.engine.system(claim)
                if row is None:
                    return
                then = await self._turn(row, given)
                await self._store.engine.system(partial(self._record, row, then))
                if then.outcome is SagaState.UNKNOWN or not then.next:
                    return
        finally:
            self._here.discard(id)

    async def resume(self) -> None:
        """Push every saga that is due: the board's timer."""
        now = self._clock.now()
        if self._look_at is not None and now < self._look_at:
            return
        due = await self._store.engine.read(partial(self._due, now), what="sagas due")
        results = await asyncio.gather(*(self.push(id) for id in due), return_exceptions=True)
        for id, result in zip(due, results, strict=True):
            if isinstance(result, Exception):
                _log.error("saga %s.%s: %s", self._store.board, id, type(result).__name__)
            elif isinstance(result, BaseException):
                raise result
        earliest = await self._store.engine.read(self._earliest, what="sagas next")
        self._look_at = min(earliest or now + LOOK_AGAIN, now + LOOK_AGAIN)

    # ── one turn ────────────────────────────────────────────────────────────────────────────
    async def _turn(self, row: _Row, given: Any) -> Then:
        saga = self._sagas[row.name]
        step = row.step or next(iter(saga.steps))
        function, needs = saga.steps[step]
        kept = from_json(row.data, _Kept)
        turn = Turn(
            saga=row.id,
            data=from_json(bytes(kept.data), saga.data),
            tries=row.attempts,
            age_s=(self._clock.now() - row.started_at).total_seconds(),
            given=given,
        )
        envelope = Envelope(
            request=derive(row.id, row.name, step),
            actor=self._actor,
            campus=kept.campus,
            trace=kept.trace,
            caller=self._store.board,
        )
        with calling(Call(envelope, operation=f"saga:{row.name}.{step}", cause=row.id)):
            try:
                return await function(turn, **self._inject(needs))
            except Unavailable as away:
                return unknown(str(away), again_s=AWAY_WAIT_S)
            except Refusal as refusal:
                return refused(refusal.code)

    def _claim(self, id: UUID, connection: Connection, *, now: bool) -> _Row | None:
        """The saga, if its step may run: from now on it is this caller's for a lease."""
        table, instant = self._table, self._clock.now()
        found = connection.execute(select(table).where(table.c.id == id)).first()
        if found is None:
            return None
        row = _Row(**columns_of(found))
        waits = row.due_at > instant and not (now and row.state != SagaState.RUNNING)
        if row.state in ENDED or waits:
            return None
        done = connection.execute(
            update(table)
            .where(table.c.id == id, table.c.version == row.version)
            .values(
                state=SagaState.RUNNING,
                version=row.version + 1,
                attempts=row.attempts + 1,
                due_at=instant + LEASE,
            )
        )
        row.version += 1
        return row if done.rowcount == 1 else None

    def _record(self, row: _Row, then: Then, connection: Connection) -> None:
        """Write how the step ended, unless somebody else has taken the saga over meanwhile."""
        table, instant = self._table, self._clock.now()
        step = row.step or next(iter(self._sagas[row.name].steps))
        state = then.outcome
        if state is not SagaState.UNKNOWN and then.next:
            state = SagaState.READY
        stays = state is SagaState.UNKNOWN and then.next in ("", step)
        due_at = instant + timedelta(seconds=then.again_s)
        values = {
            "state": state,
            "step": then.next or step,
            "attempts": row.attempts + 1 if stays else 0,
            "due_at": due_at,
            "note": then.note or None,
            "version": row.version + 1,
        }
        done = connection.execute(
            update(table).where(table.c.id == row.id, table.c.version == row.version).values(values)
        )
        if done.rowcount != 1:
            return
        if state is SagaState.UNKNOWN and self._look_at is not None:
            self._look_at = min(self._look_at, due_at)
        connection.execute(
            self._steps.insert().values(
                id=derive(row.id, "step", row.version),
                saga=row.id,
                step=step,
                outcome=then.outcome,
                note=then.note or None,
                at=instant,
            )
        )

    def _due(self, now: Instant, connection: Connection) -> list[UUID]:
        table = self._table
        statement = (
            select(table.c.id)
            .where(table.c.state.not_in(ENDED), table.c.due_at <= now)
            .order_by(table.c.due_at)
            .limit(RESUMED_AT_ONCE_MAX)
        )
        return list(connection.execute(statement).scalars())

    def _earliest(self, connection: Connection) -> Instant | None:
        table = self._table
        statement = select(func.min(table.c.due_at)).where(table.c.state.not_in(ENDED))
        found: Instant | None = connection.execute(statement).scalar()
        return found


async def resume_sagas(sagas: Sagas) -> None:
    """A board's sagas go on when they are due."""
    await sagas.resume()


RESUME = Job("resume_sagas", resume_sagas, RESUME_SECONDS, {"sagas": Sagas})
