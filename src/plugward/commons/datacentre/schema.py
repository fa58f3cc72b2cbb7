"""Schema 表结构: what a board's fact declarations become as tables of columns.

A column per field of the row message. Text about persons stays with its board: fields marked as
identifying, clinical, sensitive or secret have no column here.
"""

import typing
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

import msgspec

from plugward.kernel.facts import Fact
from plugward.kit.message import Message
from plugward.kit.money import Money, UnitPrice

PLAIN_TYPES: dict[type, str] = {
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    Decimal: "DECIMAL(18,4)",
    datetime: "TIMESTAMP",  # UTC
    date: "DATE",
    UUID: "UUID",
}
WITHHELD = frozenset({"identifier", "phi", "phi5", "secret"})


class FactColumn(msgspec.Struct, frozen=True):
    """A column: its type in the table, its type inside the JSON, and how to get from that to it."""

    name: str
    kind: str
    wire: str
    path: str

    @property
    def is_money(self) -> bool:
        return self.path == ".fen" or self.name.endswith("_fen")


class FactTable(msgspec.Struct, frozen=True):
    """One table of facts of one board. ``position`` of the event decides which row is newer."""

    name: str
    board: str
    key: tuple[str, ...]
    columns: tuple[FactColumn, ...]

    @property
    def fingerprint(self) -> str:
        """Changes when old rows would not fit any more."""
        parts = (f"{column.name} {column.kind}" for column in self.columns)
        return f"{'+'.join(self.key)}: {', '.join(parts)}"

    def column(self, name: str) -> FactColumn | None:
        return next((column for column in self.columns if column.name == name), None)


class UnfitFact(TypeError):
    """A declaration that cannot become a table; says why."""


def table_of(board: str, fact: Fact) -> FactTable:
    """The table a fact declaration asks for."""
    columns = tuple(_columns(fact.row))
    names = {column.name for column in columns}
    missing = [name for name in fact.key if name not in names]
    if missing:
        raise UnfitFact(f"{fact.table}: the key {', '.join(missing)} is no column")
    return FactTable(fact.table, board, fact.key, columns)


def tables_of(board: str, facts: Iterable[Fact]) -> tuple[dict[str, FactTable], dict[str, str]]:
    """Every table a board declares, and what is wrong with those that cannot be."""
    found: dict[str, FactTable] = {}
    problems: dict[str, str] = {}
    for fact in facts:
        if not fact.table.isidentifier():
            problems[fact.table] = "the name of a table is letters, digits and _"
            continue
        try:
            table = table_of(board, fact)
        except UnfitFact as unfit:
            problems[fact.table] = str(unfit)
            continue
        if found.setdefault(fact.table, table) != table:
            problems[fact.table] = "is declared twice with different rows"
    return {name: table for name, table in found.items() if name not in problems}, problems


def _columns(row: type[Message]) -> Iterable[FactColumn]:
    hints = typing.get_type_hints(row, include_extras=True)
    for field in msgspec.structs.fields(row):
        hint = _present(hints[field.name])
        if _data_class(hint) in WITHHELD:
            continue
        kind, wire, path = _kind(hint, f"{row.__name__}.{field.name}")
        yield FactColumn(field.name, kind, wire, path)


def _kind(hint: Any, where: str) -> tuple[str, str, str]:
    plain = _plain(hint)
    if plain is Money:
        return "BIGINT", '{"fen":"BIGINT"}', ".fen"
    if plain is UnitPrice:
        return "DECIMAL(18,4)", '{"yuan":"DECIMAL(18,4)"}', ".yuan"
    if plain in PLAIN_TYPES:
        kind = PLAIN_TYPES[plain]
        return kind, f'"{kind}"', ""
    if isinstance(plain, type) and (issubclass(plain, str) or issubclass(plain, Enum)):
        return "VARCHAR", '"VARCHAR"', ""
    raise UnfitFact(f"{where}: a column cannot hold {plain!r}")


def _present(hint: Any) -> Any:
    """The type of a value that is there: ``X | None`` → ``X``."""
    if get_origin(hint) in (Union, UnionType):
        rest = [part for part in get_args(hint) if part is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return hint


def _plain(hint: Any) -> Any:
    while True:
        if get_origin(hint) is typing.Annotated:
            hint = get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        else:
            return hint


def _data_class(hint: Any) -> str:
    """What a text field may hold; a bare ``str`` that says nothing is taken for the worst."""
    if hint is str:
        return "phi"
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    for mark in get_args(hint)[1:] if get_origin(hint) is typing.Annotated else ():
        if isinstance(mark, msgspec.Meta) and mark.extra and "data_class" in mark.extra:
            return str(mark.extra["data_class"])
    return ""
