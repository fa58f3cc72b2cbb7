"""One copy 一次搬库: every table counted, moved, read again and compared, then shown."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.util import greenlet_spawn

from plugward.kernel.board import Board
from plugward.kernel.store.server import POSITION, number_batch
from plugward.kernel.store.tables import BoardTables

from .places import CopyRefused, Part, Rows, Side, audit_part, part_of, told
from .rows import Sum, count, pages, plain, sum_up
from .source import Source, opened
from .target import FolderTarget, Target, prepared

T = TypeVar("T")
Progress = Callable[[str, int, int], None]  # a table, rows done, rows in all


class Copied(msgspec.Struct, frozen=True):
    """One table on both sides. Without rows on the other side it was only counted."""

    part: str
    table: str
    rows: int
    digest: str = ""
    rows_there: int = 0
    digest_there: str = ""

    @property
    def same(self) -> bool:
        return (self.rows, self.digest) == (self.rows_there, self.digest_there)


class Report(msgspec.Struct, frozen=True):
    """What was moved, or compared. ``tables`` is empty of nothing: every table is in it."""

    source: str
    target: str
    tables: tuple[Copied, ...]
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @property
    def different(self) -> tuple[Copied, ...]:
        return tuple(table for table in self.tables if not table.same)


def copy(source: Rows, target: Rows, boards: Sequence[Board], progress: Progress) -> Report:
    """Move a hospital. Raises ``CopyRefused``; then there is nothing at the target."""
    return _in_words(lambda: _copy(source, target, boards, progress))


def plan(source: Rows, target: Rows, boards: Sequence[Board]) -> Report:
    """What a copy would move, in rows; nothing is written."""

    def look() -> Report:
        with opened(source) as seen:
            parts = _parts(seen, boards)
            tables = [
                Copied(part.name, table.name, count(seen.of(part.name), table))
                for part in parts
                for table in part.tables
            ]
        return Report(told(source.boards), told(target.boards), tuple(tables))

    return _in_words(look)


def compare(one: Rows, other: Rows, boards: Sequence[Board], progress: Progress) -> Report:
    """Read two hospitals and say where they differ."""

    def look() -> Report:
        began = time.monotonic()
        with opened(one) as first, opened(other) as second:
            parts = _parts(first, boards)
            if missing := sorted(set(first.boards) ^ set(second.boards)):
                raise CopyRefused(f"Only one of the two has {', '.join(missing)}.")
            tables = _compared(first, second, parts, progress)
        return Report(
            told(one.boards), told(other.boards), tables, round(time.monotonic() - began, 1)
        )

    return _in_words(look)


def in_greenlet(run: Callable[[], T]) -> T:
    """Run plain code that uses the servers' asynchronous drivers, as SQLAlchemy allows it to."""
    return asyncio.run(greenlet_spawn(run))


def transfer(
    seen: Source, target: Rows, boards: Sequence[Board], progress: Progress
) -> tuple[Copied, ...]:
    """Move what is seen, compare it, then let it be there. Raises ``CopyRefused``."""
    parts = _parts(seen, boards)
    total = sum(count(seen.of(p.name), table) for p in parts for table in p.tables)
    with prepared(target) as made:
        sums = fill(seen, made, parts, _Steps(progress, total))
        tables = read_back(made, parts, sums, progress)
        if different := [table for table in tables if not table.same]:
            first = different[0]
            raise CopyRefused(
                f"The copy differs in {len(different)} tables, first {first.table} ({first.rows} "
                f"rows, {first.rows_there} there), and was thrown away."
            )
        for part in parts:
            if part.board is not None:
                _number(made, part.board.tables)
        made.publish()
    return tables


def _in_words(run: Callable[[], Report]) -> Report:
    try:
        return in_greenlet(run)
    except (SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise CopyRefused(f"Nothing was moved: {reason}.") from error


def _copy(source: Rows, target: Rows, boards: Sequence[Board], progress: Progress) -> Report:
    began = time.monotonic()
    with opened(source) as seen:
        tables = transfer(seen, target, boards, progress)
    seconds = round(time.monotonic() - began, 1)
    return Report(told(source.boards), told(target.boards), tables, seconds)


class _Steps:
    """Rows so far, of all there are."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def add(self, table: str, rows: int) -> None:
        self._done += rows
        self._progress(table, self._done, self._total)


def fill(source: Side, target: Target, parts: Sequence[Part], steps: _Steps) -> dict[str, Sum]:
    """Move every row; the sums of what was read, by table."""
    sums: dict[str, Sum] = {}
    for part in parts:
        target.make(part)
        for declared in part.tables:
            table, found = plain(declared), Sum()
            names = [column.name for column in table.columns]
            into = insert(table)
            for page in pages(source.of(part.name), table):
                for row in page:
                    found.add(row)
                target.of(part.name).execute(into, [dict(zip(names, r, strict=True)) for r in page])
                steps.add(table.name, len(page))
            sums[table.name] = found
        target.written(part.name)
    return sums


def read_back(
    target: Side, parts: Sequence[Part], sums: dict[str, Sum], progress: Progress
) -> tuple[Copied, ...]:
    """Read what was written and lay it beside what was read."""
    compared: list[Copied] = []
    total = sum(found.rows for found in sums.values())
    for part in parts:
        for declared in part.tables:
            table = plain(declared)
            here, there = sums[table.name], sum_up(target.of(part.name), table)
            compared.append(_beside(part, table.name, here, there))
            progress(table.name, sum(c.rows for c in compared), total)
    return tuple(compared)


def _compared(
    one: Side, other: Side, parts: Sequence[Part], progress: Progress
) -> tuple[Copied, ...]:
    found: list[Copied] = []
    tables = [(part, plain(table)) for part in parts for table in part.tables]
    for at, (part, table) in enumerate(tables):
        progress(table.name, at, len(tables))
        here, there = sum_up(one.of(part.name), table), sum_up(other.of(part.name), table)
        found.append(_beside(part, table.name, here, there))
    progress("", len(tables), len(tables))
    return tuple(found)


def _beside(part: Part, table: str, here: Sum, there: Sum) -> Copied:
    return Copied(part.name, table, here.rows, here.digest, there.rows, there.digest)


def _parts(source: Source, boards: Sequence[Board]) -> list[Part]:
    """Every board that has rows there, each with tables as this release makes them."""
    known = {board.name: board for board in boards}
    if strange := sorted(set(source.boards) - set(known)):
        raise CopyRefused(
            f"There are rows of {', '.join(strange)}, which is not installed here: install it, "
            f"so that its rows are not left behind."
        )
    parts = [part_of(known[name]) for name in source.boards]
    for part in parts:
        _check_release(source.of(part.name), part)
    return [*parts, audit_part()]


def _check_release(connection: Connection, part: Part) -> None:
    assert part.board is not None, "the audit log has no migrations"
    number = part.board.tables.system.migration.c.number
    applied = set(connection.execute(select(number)).scalars())
    wanted = {0, *(step.number for step in part.board.migrations)}
    if applied != wanted:
        raise CopyRefused(
            f"The tables of {part.name} are of another release. Start the hospital once with this "
            f"one and stop it; then copy."
        )


def _number(target: Target, tables: BoardTables) -> None:
    """Number what was not numbered in that moment, and leave the counter where it belongs."""
    connection = target.of(tables.board)
    outbox, series = tables.system.outbox, tables.system.series
    last = connection.execute(select(func.max(outbox.c.position))).scalar()
    counter = series.c.name == POSITION
    connection.execute(delete(series).where(counter))
    if last is not None:
        connection.execute(insert(series).values(name=POSITION, value=last))
    while number_batch(connection, tables):
        pass
    if isinstance(target, FolderTarget):
        connection.execute(delete(series).where(counter))  # a file has its last row for that
    target.written(tables.board)
