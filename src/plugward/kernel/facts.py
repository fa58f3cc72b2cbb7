"""Facts 事实: how a board's events become rows in the data centre. Pure and replayable."""

import typing
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from plugward.kit.message import Message

from .message import Event, tag_of

F = TypeVar("F", bound=Callable[..., Any])


class Fact(msgspec.Struct, frozen=True, eq=False):
    """One fact table: the event it comes from, its key, and the function that makes the row(s).

    The function returns one ``Message``, a tuple of them, or None for nothing. Rows with the same
    key replace each other, so that replaying the events gives the same table.
    """

    table: str
    event: type[Event]
    tag: str
    key: tuple[str, ...]
    row: type[Message]
    make: Callable[[Any], Any]


def fact(event: type[Event], *, table: str, key: tuple[str, ...]) -> Callable[[F], F]:
    """Declare a function ``event -> row | tuple of rows | None`` as the source of a fact table."""

    def apply(function: F) -> F:
        function.__fact__ = Fact(table, event, tag_of(event), key, _row_type(function), function)  # type: ignore[attr-defined]  # read by fact_of
        return function

    return apply


def fact_of(function: Any) -> Fact:
    found = getattr(function, "__fact__", None)
    if not isinstance(found, Fact):
        raise TypeError(f"{function!r} is not a fact: decorate it with @fact(Event, …)")
    return found


def _row_type(function: Callable[..., Any]) -> type[Message]:

    hint = typing.get_type_hints(function)["return"]
    for part in (hint, *typing.get_args(hint)):
        if isinstance(part, type) and issubclass(part, Message):
            return part
    raise TypeError(f"{function.__name__} must say which Message it returns")
