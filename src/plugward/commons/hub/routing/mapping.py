"""Mapping tables 对照表: one CSV file a table, kept and versioned with its route.

The first column is the key, the second the value, both with a heading; further columns are for
people. A key that is not there is refused to the sender, never passed on by accident.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from .incoming import Refuse

ROWS_MAX = 200_000


class TableInvalid(ValueError):
    """A table that cannot be used, and the line that is to blame."""


class Table(Mapping[str, str]):
    """One mapping table."""

    def __init__(self, name: str, rows: Mapping[str, str]) -> None:
        self.name = name
        self._rows = dict(rows)

    def __getitem__(self, key: str) -> str:
        """The value; a missing key is a ``KeyError``, as in any mapping."""
        return self._rows[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def need(self, key: str, at: str) -> str:
        """The value; a code that is not in the table is refused at this place of the message."""
        value = self._rows.get(key)
        if value is None:
            raise Refuse(at, f"对照表 {self.name} 中没有此代码", again=True)
        return value


class Tables(Mapping[str, Table]):
    """The tables of one route."""

    def __init__(self, tables: Mapping[str, Table] | None = None) -> None:
        self._tables = dict(tables or {})

    def __getitem__(self, name: str) -> Table:
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


def read_tables(folder: Path) -> Tables:
    """Every ``*.csv`` of a folder."""
    return Tables({path.stem: read_table(path) for path in sorted(folder.glob("*.csv"))})


def read_table(path: Path) -> Table:
    """One table; a doubled key or a short row is refused with its line."""
    rows: dict[str, str] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        if len(next(reader, [])) < 2:  # noqa: PLR2004 - a key and a value
            raise TableInvalid(f"{path.name}: the first line names at least two columns")
        for number, row in enumerate(reader, 2):
            if not row:
                continue
            if len(row) < 2 or not row[0].strip():  # noqa: PLR2004 - a key and a value
                raise TableInvalid(f"{path.name} line {number}: a key and a value are needed")
            if row[0] in rows:
                raise TableInvalid(f"{path.name} line {number}: the key {row[0]} is there twice")
            if number > ROWS_MAX:
                raise TableInvalid(f"{path.name}: more than {ROWS_MAX} rows")
            rows[row[0]] = row[1]
    return Table(path.stem, rows)
