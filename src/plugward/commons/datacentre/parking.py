"""Parking 搁置: facts that could not be made, in the list where every parked event is found."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from plugward.kernel.codec import pack
from plugward.kernel.store.store import Store
from plugward.kit.ids import derive
from plugward.kit.time import Instant

from .loading import Broken


async def park(store: Store, broken: Sequence[Broken], now: Instant) -> None:
    """Write them into the board's list, once each; one replayed in vain returns to it."""
    rows = [_row(store, one, now) for one in broken]
    if rows:
        await store.engine.system(lambda c: _insert(c, store, rows))


def _row(store: Store, one: Broken, now: Instant) -> dict[str, Any]:
    frame = one.frame
    return {
        "id": derive(frame.id, "parked", store.board, one.function),
        "event": frame.id,
        "reaction": one.function,
        "source": frame.source,
        "position": frame.position,
        "key": frame.key,
        "frame": pack(frame),
        "error": one.error,
        "attempts": 1,
        "state": "parked",
        "parked_at": now,
    }


def _insert(connection: Connection, store: Store, rows: list[dict[str, Any]]) -> None:
    table = store.engine.tables.system.parked
    for row in rows:
        there = connection.execute(select(table.c.state).where(table.c.id == row["id"])).first()
        if there is None:
            connection.execute(table.insert().values(row))
        elif there.state == "replayed":
            connection.execute(
                table.update()
                .where(table.c.id == row["id"])
                .values(state="parked", error=row["error"], parked_at=row["parked_at"])
            )
