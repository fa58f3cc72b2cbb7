"""Parked events 滞留事件: what could not be handled waits here, visibly, for a person.

Replay runs the reaction again; skip leaves the event out for good, with a reason and an author.
Both are once only. What waits behind a parked event of the same key is replayed in its order.
"""

from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, and_, select

from plugward.kit.time import Instant

from ..codec import unpack
from ..refusals import Conflict, NotFound
from ..store.frames import Frame
from ..store.store import Store

if TYPE_CHECKING:
    from .consumer import Consumer

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


async def list_parked(store: Store) -> tuple[Parked, ...]:
    """What waits in one board's list, oldest first."""
    return await store.engine.read(lambda c: _listed(c, store))


async def replay(store: Store, consumers: "dict[str, Consumer]", parked: UUID, by: str) -> None:
    """Handle a parked event now, and then what waited behind it."""
    frame, reaction_name = await store.engine.read(lambda c: _frame(c, store, parked))
    consumer = consumers.get(frame.source)
    reaction = consumer.reaction(reaction_name) if consumer else None
    if consumer is None or reaction is None:
        raise ParkedNotFound
    try:
        await consumer.run(reaction, frame)
    except Exception as error:
        raise StillFailing from error
    await _resolve(store, consumer, frame, parked, state="replayed", by=by)


async def skip(
    store: Store, consumers: "dict[str, Consumer]", parked: UUID, *, by: str, reason: str
) -> None:
    """Leave a parked event out for good."""
    frame, _ = await store.engine.read(lambda c: _frame(c, store, parked))
    consumer = consumers.get(frame.source)
    await _resolve(store, consumer, frame, parked, state="skipped", by=by, reason=reason)


async def _resolve(
    store: Store,
    consumer: "Consumer | None",
    frame: Frame,
    parked: UUID,
    *,
    state: str,
    by: str,
    reason: str = "",
) -> None:
    rest = await store.engine.system(
        lambda c: _mark(c, store, parked, frame.key, state=state, resolved_by=by, reason=reason)
    )
    if not rest and consumer is not None:
        consumer.unblock(frame.key)


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


def _mark(connection: Connection, store: Store, parked: UUID, key: str, **values: Any) -> bool:
    """Close one parked event; says whether others of the same key still wait."""
    table = store.engine.tables.system.parked
    open_one = and_(table.c.id == parked, table.c.state == "parked")
    if not connection.execute(table.update().where(open_one).values(values)).rowcount:
        raise ParkedNotFound
    waiting = select(table.c.id).where(table.c.key == key, table.c.state == "parked").limit(1)
    return connection.execute(waiting).first() is not None


def _unpacked(data: bytes) -> Frame:
    frame: Frame = unpack(bytes(data), Frame)
    return frame
