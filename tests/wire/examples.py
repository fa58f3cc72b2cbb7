"""Values made from types: one of everything a contract of any board asks for or answers."""

import types
import typing
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from itertools import count
from typing import Annotated, Any, get_args, get_origin
from uuid import UUID

import msgspec

from plugward.kit.time import Period

START = datetime(2026, 3, 2, 0, 0, 0, 123456, UTC)
DEPTH_MAX = 4


class Examples:
    """Different values each time, the same in every run."""

    def __init__(self) -> None:
        self._numbers: Iterator[int] = count(1)

    def of(self, hint: Any, depth: int = 0) -> Any:
        hint = _plain(hint)
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is typing.Literal:
            return arguments[0]
        if origin in (typing.Union, types.UnionType):
            options = [part for part in arguments if part is not type(None)]
            return None if depth > DEPTH_MAX else self.of(options[0], depth)
        if origin is tuple:
            if arguments[-1] is not Ellipsis:
                return tuple(self.of(part, depth + 1) for part in arguments)
            return () if depth > DEPTH_MAX else (self.of(arguments[0], depth + 1),) * 2
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            return self.message(hint, depth + 1)
        return self._scalar(hint)

    def message(self, kind: type[Any], depth: int = 0) -> Any:
        if kind is Period:
            return Period(start=START, end=START + timedelta(hours=1))
        hints = typing.get_type_hints(kind, include_extras=True)
        values = {name: self.of(hints[name], depth) for name in kind.__struct_fields__}
        return kind(**values)

    def _scalar(self, hint: Any) -> Any:
        number = next(self._numbers)
        if isinstance(hint, type) and issubclass(hint, Enum):
            return list(hint)[number % len(hint)]
        made: dict[Any, Any] = {
            type(None): None,
            bool: number % 2 == 0,
            int: number,
            float: number / 8,
            str: f"第{number}个\n\N{GRINNING FACE}",
            bytes: bytes([number % 256, 0, 255]),
            date: date(2026, 1, 1) + timedelta(days=number % 300),
            datetime: START + timedelta(seconds=number),
            Decimal: Decimal(number).scaleb(-2),
            UUID: UUID(int=number),
        }
        return made[hint]


def _plain(hint: Any) -> Any:
    while True:
        if get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        else:
            return hint
