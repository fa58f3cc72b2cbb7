"""Rows 数据行: read as they are kept, written as they are, summed up so that tables compare."""

from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, Text, func, select
from sqlalchemy.engine import Dialect

from plugward.kernel.store.columns import Fen, Price, State, Stored
from plugward.kernel.store.server import POSITION
from plugward.kit.money import UnitPrice

ROWS_AT_ONCE = 1_000
_MODULUS = 1 << 256
_FOUR_DECIMALS = Decimal("0.0001")


class Sum:
    """Count and digest of rows, in whatever order they come.

    The digest is the sum of the rows' SHA-256 modulo 2**256: databases sort texts and ids
    differently, so there is no order of rows that all of them share.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._total = 0

    def add(self, row: tuple[Any, ...]) -> None:
        self.rows += 1
        self._total += int.from_bytes(sha256(_ENCODER.encode(row)).digest(), "big")

    @property
    def digest(self) -> str:
        return f"{self._total % _MODULUS:064x}"


def plain(table: Table) -> Table:
    """The same table, whose columns hand over what is kept without making messages of it."""
    columns = [
        Column(c.name, _plain(c.type), primary_key=c.primary_key, autoincrement=False)
        for c in table.columns
    ]
    return Table(table.name, MetaData(), *columns)


def count(connection: Connection, table: Table) -> int:
    """How many rows there are to move."""
    counted = select(func.count()).select_from(table)
    return int(connection.execute(_moving(counted, table)).scalar_one())


def pages(connection: Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    """Every row that moves, some at a time."""
    found = connection.execute(
        _moving(select(table), table), execution_options={"yield_per": ROWS_AT_ONCE}
    )
    for page in found.partitions():
        yield [tuple(row) for row in page]


def sum_up(connection: Connection, table: Table) -> Sum:
    """Read a table once more, for its count and digest."""
    found = Sum()
    for page in pages(connection, table):
        for row in page:
            found.add(row)
    return found


def _moving(statement: Any, table: Table) -> Any:
    """All rows but one: how far facts are numbered is kept by servers only, and set at the end."""
    if table.name.endswith("_sys_series"):
        return statement.where(table.c.name != POSITION)
    return statement


def _plain(kind: Any) -> Any:
    if isinstance(kind, Stored):
        return Text()
    if isinstance(kind, State):
        return String()
    if isinstance(kind, Price):
        return _PlainPrice()
    return BigInteger() if isinstance(kind, Fen) else kind


class _PlainPrice(Price):
    """12.5 and 12.5000 are one price: as text with four decimals it is one on every database."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return super().process_bind_param(value and UnitPrice(yuan=Decimal(value)), dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else str(Decimal(str(value)).quantize(_FOUR_DECIMALS))


_ENCODER = msgspec.msgpack.Encoder()
