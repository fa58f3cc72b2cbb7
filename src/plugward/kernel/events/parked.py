"""Parked events 滞留事件: what could not be handled waits here, visibly, for a person.

Replay runs the reaction again; skip leaves the event out for good, with a reason and an author.
Both are once only. What waited behind it under the same key follows by itself, in its order, as
far as it can be handled.
"""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, and_, select

from plugward.kit.time import Instant

from ..codec import unpack
from ..refusals import Conflict, NotFound, Unavailable
from ..store.frames import Frame
from ..store.store import Store
from .attempt import attempt
from .consumer import BEHIND, Consumer, kind_of

LISTED_MAX = 200


class Parked(msgspec.Struct, frozen=True):
    """One event a board could not handle. ``error`` names what went wrong, without values."""

    id: UUID
    board: str
    reaction: str
    source: str
    tag: str
    key: str
    position: int
    error: str
    attempts: int
    state: str
    parked_at: Instant


class ParkedNotFound(NotFound):
    """没有这条滞留事件，可能已经处理。"""


class StillFailing(Conflict):
    """重放仍未成功，事件继续保留在滞留列表。"""


class WaitsBehind(Conflict):
    """同一对象还有更早的滞留事件，请先处理更早的一条。"""


async def list_parked(store: Store) -> tuple[Parked, ...]:
    """What waits in one board's list, oldest first."""
    return await store.engine.read(lambda c: _listed(c, store))


async def replay(store: Store, consumers: dict[str, Consumer], parked: UUID, by: str) -> None:
    """Handle a parked event now, and then what waited behind it.

    Raises ``StillFailing``; ``WaitsBehind`` if an older one of the same key waits too; and
    ``Unavailable`` if the board it came from is not plugged in.
    """
    frame, reaction = await store.engine.read(lambda c: _frame(c, store, parked))
    consumer = consumers.get(frame.source)
    if consumer is None:
        raise Unavailable(frame.source, "unplugged")
    oldest = await store.engine.read(lambda c: _oldest(c, store, frame))
    if oldest is not None and oldest.position < (frame.position or 0):
        raise WaitsBehind
    await _again(consumer, store, parked, frame, reaction)
    await _close(store, parked, state="replayed", by=by)
    await _follow(store, consumer, frame, by)


async def skip(
    store: Store, consumers: dict[str, Consumer], parked: UUID, *, by: str, reason: str
) -> None:
    """Leave a parked event out for good; what waited behind it follows."""
    frame, _ = await store.engine.read(lambda c: _frame(c, store, parked))
    await _close(store, parked, state="skipped", by=by, reason=reason)
    consumer = consumers.get(frame.source)
    if consumer is not None:
        await _follow(store, consumer, frame, by)


async def _follow(store: Store, consumer: Consumer, frame: Frame, by: str) -> None:
    """What only waited behind follows in its order; the first that fails itself stops it."""
    while True:
        oldest = await store.engine.read(lambda c: _oldest(c, store, frame))
        if oldest is None:
            consumer.unblock(frame.key)
            return
        if oldest.error != BEHIND:
            return
        try:
            await _again(consumer, store, oldest.id, _unpacked(oldest.frame), oldest.reaction)
        except StillFailing:
            return
        await _close(store, oldest.id, state="replayed", by=by)


async def _close(store: Store, parked: UUID, *, state: str, by: str, reason: str = "") -> None:
    await store.engine.system(
        lambda c: _mark(c, store, parked, state=state, resolved_by=by, reason=reason)
    )


async def _again(
    consumer: Consumer, store: Store, parked: UUID, frame: Frame, reaction_name: str
) -> None:
    reaction = consumer.reaction(reaction_name)
    if reaction is None:
        raise ParkedNotFound
    error = await attempt(consumer.run(reaction, frame))
    if isinstance(error, Unavailable):
        raise error
    if error is not None:
        why = kind_of(error)
        await store.engine.system(lambda c: _note(c, store, parked, why))
        raise StillFailing from error


def _listed(connection: Connection, store: Store) -> tuple[Parked, ...]:
    table = store.engine.tables.system.parked
    rows = connection.execute(
        select(table).where(table.c.state == "parked").order_by(table.c.position).limit(LISTED_MAX)
    )
    return tuple(
        Parked(
            id=row.id,
            board=store.board,
            reaction=row.reaction,
            source=row.source,
            tag=_unpacked(row.frame).tag,
            key=row.key,
            position=row.position,
            error=row.error,
            attempts=row.attempts,
            state=row.state,
            parked_at=row.parked_at,
        )
        for row in rows
    )


def _frame(connection: Connection, store: Store, parked: UUID) -> tuple[Frame, str]:
    table = store.engine.tables.system.parked
    row = connection.execute(
        select(table.c.frame, table.c.reaction).where(
            table.c.id == parked, table.c.state == "parked"
        )
    ).first()
    if row is None:
        raise ParkedNotFound
    return _unpacked(row.frame), row.reaction


def _oldest(connection: Connection, store: Store, frame: Frame) -> Row[Any] | None:
    """The oldest parked event under the same key of the same board's facts."""
    table = store.engine.tables.system.parked
    return connection.execute(
        select(table)
        .where(table.c.key == frame.key, table.c.state == "parked", table.c.source == frame.source)
        .order_by(table.c.position, table.c.parked_at)
        .limit(1)
    ).first()


def _mark(connection: Connection, store: Store, parked: UUID, **values: Any) -> None:
    """Close one parked event, once."""
    table = store.engine.tables.system.parked
    open_one = and_(table.c.id == parked, table.c.state == "parked")
    if not connection.execute(table.update().where(open_one).values(values)).rowcount:
        raise ParkedNotFound


def _note(connection: Connection, store: Store, parked: UUID, error: str) -> None:
    """Keep what went wrong this time."""
    table = store.engine.tables.system.parked
    connection.execute(
        table.update()
        .where(table.c.id == parked)
        .values(error=error, attempts=table.c.attempts + 1)
    )


def _unpacked(data: bytes) -> Frame:
    frame: Frame = unpack(bytes(data), Frame)
    return frame
