"""Loading 入库: a batch of events becomes rows, and the rows replace older ones of the same key.

Everything of a batch, with the places it was read to, is one transaction. The newer event of a
key wins whatever the order of loading, so a doubled event, a restart in the middle and a replay
from the first event all leave the same tables.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import msgspec

from plugward.kernel.codec import from_json
from plugward.kernel.events.consumer import kind_of
from plugward.kernel.facts import Fact
from plugward.kernel.store.frames import Frame
from plugward.kit.message import Message

from .schema import FactTable
from .warehouse import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ENCODER = msgspec.json.Encoder(decimal_format="string")


class Declared(msgspec.Struct, frozen=True, eq=False):
    """One fact function, and the table it fills."""

    fact: Fact
    table: FactTable

    @property
    def name(self) -> str:
        return self.fact.make.__name__


class Broken(msgspec.Struct, frozen=True):
    """A fact function that failed on an event."""

    frame: Frame
    function: str
    error: str


class Read(msgspec.Struct, frozen=True):
    """How far one board has been read when a batch is in."""

    position: int
    event: UUID | None
    recorded_at: Any


class Row(msgspec.Struct):
    p: int
    t: Any
    r: Message


Rows = dict[str, dict[tuple[Any, ...], Row]]


class Batch(msgspec.Struct):
    """What is written at once."""

    rows: Rows
    broken: list[Broken]


def batch_of(frames: Iterable[Frame], declared: Mapping[str, tuple[Declared, ...]]) -> Batch:
    """Run every fact function on every event it is for. ``declared`` is by event tag."""
    batch = Batch({}, [])
    for frame in frames:
        for one in declared.get(frame.tag, ()):
            made = _made(one, frame)
            if isinstance(made, Broken):
                batch.broken.append(made)
                continue
            into = batch.rows.setdefault(one.table.name, {})
            for row in made:
                key = tuple(getattr(row, name) for name in one.table.key)
                position = frame.position or 0
                newest = into.get(key)
                if newest is None or newest.p <= position:
                    into[key] = Row(position, frame.recorded_at, row)
    return batch


def _made(one: Declared, frame: Frame) -> tuple[Message, ...] | Broken:
    try:
        made = one.fact.make(from_json(frame.body, one.fact.event))
        rows = made if isinstance(made, tuple) else () if made is None else (made,)
        wrong = next((row for row in rows if not isinstance(row, one.fact.row)), None)
    except Exception as error:  # noqa: BLE001 - a board's own function: parked with its kind
        return Broken(frame, one.name, kind_of(error))
    if wrong is not None:
        return Broken(frame, one.name, f"made a {type(wrong).__name__}")
    return cast("tuple[Message, ...]", rows)


def write_batch(
    connection: "DuckDBPyConnection",
    batch: Batch,
    tables: Mapping[str, FactTable],
    read: Mapping[str, Read],
) -> int:
    """Put the rows and the places into the file; how many rows. Runs inside a transaction."""
    written = 0
    for name, rows in batch.rows.items():
        _replace(connection, tables[name], list(rows.values()))
        written += len(rows)
    for board, place in read.items():
        connection.execute(
            "UPDATE meta.source SET position = ?, event = ?, "
            "recorded_at = coalesce(?, recorded_at) WHERE board = ?",
            [place.position, place.event, place.recorded_at, board],
        )
    return written


def _replace(connection: "DuckDBPyConnection", table: FactTable, rows: list[Row]) -> None:
    """One statement each to read the batch, drop what it replaces, and put it in."""
    if not rows:
        return
    name = f"fact.{quoted(table.name)}"
    wire = ",".join(f'"{column.name}":{column.wire}' for column in table.columns)
    taken = ", ".join(
        f"u.r.{quoted(column.name)}{column.path} AS {quoted(column.name)}"
        for column in table.columns
    )
    structure = f'[{{"p":"BIGINT","t":"TIMESTAMP","r":{{{wire}}}}}]'
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE batch AS SELECT {taken}, u.p AS _position, "  # noqa: S608 - names of declared columns, quoted
        f"u.t AS _recorded_at FROM (SELECT unnest(from_json_strict(?::JSON, ?)) AS u)",
        [_ENCODER.encode(rows).decode(), structure],
    )
    same = " AND ".join(f"f.{quoted(key)} = b.{quoted(key)}" for key in table.key)
    connection.execute(
        f"DELETE FROM {name} f USING batch b WHERE {same} AND f._position <= b._position"  # noqa: S608 - as above
    )
    connection.execute(
        f"INSERT INTO {name} SELECT * FROM batch b "  # noqa: S608 - as above
        f"WHERE NOT EXISTS (SELECT 1 FROM {name} f WHERE {same})"
    )
