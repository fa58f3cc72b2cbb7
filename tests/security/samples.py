"""Requests made from types alone, and the ids that a hospital's own facts hold.

A new operation is covered by being declared: its arguments are built from its type hints, ids come
from what really happened at a campus.
"""

import types
import typing
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID

import msgspec

from plugward.kernel.contracts import Operation
from plugward.kit.ids import new_id

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
TEXT = "x"
PERSONAL = frozenset({"identifier", "phi", "phi5", "secret"})


class Pool:
    """Ids and codes by the name of their type, and short texts by the name of their field."""

    def __init__(self) -> None:
        self.ids: dict[str, list[UUID]] = {}
        self.codes: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.numbers: dict[type, int | float | Decimal] = {
            int: 1,
            float: 1.0,
            Decimal: Decimal(1),
        }

    def id(self, kind: str) -> UUID:
        found = self.ids.get(kind)
        return found[-1] if found else new_id()


def request_of(operation: Operation, pool: Pool) -> Any:
    """A request for the operation, out of its types and what the pool holds."""
    hints = typing.get_type_hints(operation.request, include_extras=True)
    return operation.request(
        **{f.name: sample(hints[f.name], f.name, pool) for f in _fields(operation.request)}
    )


def sample(hint: Any, name: str, pool: Pool) -> Any:
    """A value of a type. An unknown type is an error: the matrix must be taught it."""
    hint = _plain(hint)
    if isinstance(hint, typing.NewType):
        return _named(hint, name, pool)
    origin = get_origin(hint)
    if origin is tuple:
        return (sample(get_args(hint)[0], name, pool),)
    if origin in (typing.Union, types.UnionType):
        return sample(next(a for a in get_args(hint) if a is not type(None)), name, pool)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        inner = typing.get_type_hints(hint, include_extras=True)
        return hint(**{f.name: sample(inner[f.name], f.name, pool) for f in _fields(hint)})
    return get_args(hint)[0] if origin is Literal else _scalar(hint, name, pool)


def _named(hint: Any, name: str, pool: Pool) -> Any:
    if hint.__supertype__ is UUID:
        return pool.id(hint.__name__)
    known = pool.codes.get(hint.__name__)
    return known if known is not None else sample(hint.__supertype__, name, pool)


def _plain(hint: Any) -> Any:
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return hint


def _scalar(hint: Any, name: str, pool: Pool) -> Any:
    if hint is str:
        return pool.texts.get(name, TEXT)
    values: dict[Any, Any] = {
        **pool.numbers,
        UUID: pool.id(name),
        bool: False,
        bytes: b"x" * 32,
        datetime: NOW,
        date: NOW.date(),
    }
    if hint not in values:
        raise TypeError(f"the matrix does not know how to make a {hint!r} for {name}")
    return values[hint]


def _fields(kind: type[msgspec.Struct]) -> tuple[Any, ...]:
    return msgspec.structs.fields(kind)


# ── what a value holds ───────────────────────────────────────────────────────────────────────


class Found(msgspec.Struct, frozen=True):
    """An id or a personal text somewhere in a message, and the campus it belongs to."""

    kind: str  # the NewType's name, or the field's for a text
    value: Any
    campus: str
    is_personal: bool


def walk(value: Any, hint: Any, campus: str, name: str = "") -> Iterator[Found]:
    """Everything that identifies something in a value, by its declared types."""
    if value is None:
        return
    is_personal, hint = _class_of(hint)
    origin = get_origin(hint)
    if isinstance(hint, typing.NewType):
        yield Found(hint.__name__, value, campus, is_personal)
    elif origin is tuple:
        for part in value:
            yield from walk(part, get_args(hint)[0], campus, name)
    elif origin in (typing.Union, types.UnionType):
        fitting = next(option for option in get_args(hint) if _fits(value, option))
        yield from walk(value, fitting, campus, name)
    elif isinstance(value, msgspec.Struct):
        yield from _walk_fields(value, campus)
    elif isinstance(value, str) and value:
        yield Found(name, value, campus, is_personal)


def _walk_fields(value: msgspec.Struct, campus: str) -> Iterator[Found]:
    own = getattr(value, "campus", None)
    inside = typing.get_type_hints(type(value), include_extras=True)
    for field in _fields(type(value)):
        where = own if isinstance(own, str) and own else campus
        yield from walk(getattr(value, field.name), inside[field.name], where, field.name)


def _class_of(hint: Any) -> tuple[bool, Any]:
    """Whether a text is personal, and the type without its marks."""
    is_personal = False
    while get_origin(hint) is Annotated:
        for meta in get_args(hint)[1:]:
            extra = getattr(meta, "extra", None) or {}
            is_personal = is_personal or extra.get("data_class") in PERSONAL
        hint = get_args(hint)[0]
    return is_personal, hint


def _fits(value: Any, option: Any) -> bool:
    option = _plain(option)
    if isinstance(option, typing.NewType):
        option = option.__supertype__
    if get_origin(option) is tuple:
        return isinstance(value, tuple)
    return isinstance(option, type) and isinstance(value, option)
