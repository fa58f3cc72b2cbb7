"""Interop 互联: how a board's messages meet HL7, declared by the board, found by the hub.

``interop.py`` of a board holds tables and functions that read a message or write one; the hub
brings the messages and carries them away. A service never sees a segment.
"""

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from enum import IntEnum
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec

from plugward.kit.ids import derive
from plugward.kit.time import HOSPITAL_ZONE, Instant

from .documents import Teller
from .message import Event, tag_of
from .refusals import Refusal

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Why(IntEnum):
    """Why a place in a message is not acceptable (HL7 table 0357)."""

    SEQUENCE = 100
    MISSING = 101
    WRONG_TYPE = 102
    NOT_IN_TABLE = 103
    UNKNOWN_KEY = 204
    DUPLICATE_KEY = 205


class Rejected(Exception):
    """A message cannot be taken over: the place that is to blame, and why, in Chinese words."""

    def __init__(self, at: str, why: Why, words: str) -> None:
        super().__init__(f"{at}: {why.name}")
        self.at = at
        self.why = why
        self.words = words


class Fields(Protocol):
    """What the hub's codec gives: text by path, ``""`` where there is nothing."""

    def __getitem__(self, path: str, /) -> str: ...

    def whole_text(self, path: str, /) -> str: ...

    def count(self, path: str, /) -> int: ...

    def names(self) -> Sequence[str]: ...


Group = Mapping[str, tuple[str, ...]]
"""Segments that belong together: name → their places, such as ``OBX`` → ``("OBX[3]", …)``."""


class Received:
    """A message that came in, read in the hospital's terms. Every complaint names its place."""

    def __init__(self, fields: Fields, *, id: UUID, campus: str, sender: str) -> None:
        self._fields = fields
        self.id = id
        """The hub's id of the message: a repeat of the message has the same."""
        self.campus = campus
        """The sender's campus, by the hub's configuration."""
        self.sender = sender
        """The sending system, by the hub's configuration."""

    def text(self, path: str) -> str:
        """What stands there, or ``""``. HL7's ``""`` for "delete" reads as nothing, too."""
        value = self._fields[path].strip()
        return "" if value == '""' else value

    def whole(self, path: str) -> str:
        """A free text, whole."""
        return self._fields.whole_text(path).strip()

    def need(self, path: str, words: str = "") -> str:
        """What stands there; it may not be missing."""
        value = self.text(path)
        if not value:
            raise Rejected(path, Why.MISSING, words or f"缺少 {path}")
        return value

    def count(self, path: str) -> int:
        """How many segments of a name, or repetitions of a field."""
        return self._fields.count(path)

    def date(self, path: str) -> date | None:
        """``20261122…``, or nothing."""
        value = self.text(path)
        try:
            return (
                datetime.strptime(value[:8], "%Y%m%d").replace(tzinfo=UTC).date() if value else None
            )
        except ValueError:
            raise Rejected(path, Why.WRONG_TYPE, f"{path} 不是日期") from None

    def instant(self, path: str) -> Instant | None:
        """``20261122101500+0800`` and its shorter forms; hospital time unless a zone is said."""
        value = self.text(path)
        if not value:
            return None
        try:
            return _instant(value)
        except ValueError:
            raise Rejected(path, Why.WRONG_TYPE, f"{path} 不是时间") from None

    def choice(self, path: str, table: Mapping[str, T], default: T | None = None) -> T:
        """The table's value for what stands there; a code outside the table is refused."""
        value = self.text(path)
        if not value and default is not None:
            return default
        if value not in table:
            raise Rejected(path, Why.NOT_IN_TABLE if value else Why.MISSING, f"{path} 代码无法识别")
        return table[value]

    def derive(self, *parts: object) -> UUID:
        """An id that follows from this message: the same when it is processed again."""
        return derive(self.id, *parts)

    def groups(self, start: str) -> list[Group]:
        """The segments from each ``start`` to the next, by name."""
        seen: dict[str, int] = {}
        groups: list[dict[str, tuple[str, ...]]] = []
        for name in self._fields.names():
            seen[name] = seen.get(name, 0) + 1
            if name == start:
                groups.append({})
            if groups:
                groups[-1][name] = (*groups[-1].get(name, ()), f"{name}[{seen[name]}]")
        return list(groups)


def _instant(text: str) -> Instant:
    main, sign, offset = text, "", ""
    for mark in "+-":
        if mark in text:
            main, sign, offset = text.partition(mark)
    digits = main.partition(".")[0]
    layout = "%Y%m%d%H%M%S"[: {8: 6, 10: 8, 12: 10, 14: 12}.get(len(digits), 0)]
    if not layout:
        raise ValueError(text)
    zone: Any = HOSPITAL_ZONE
    if offset:
        shift = timedelta(hours=int(offset[:2]), minutes=int(offset[2:4] or 0))
        zone = timezone(-shift if sign == "-" else shift)
    return datetime.strptime(digits, layout).replace(tzinfo=zone).astimezone(UTC)


Leaf = str | int | None
Component = Leaf | tuple[Leaf, ...]
Repetition = Leaf | tuple[Component, ...]
Value = Repetition | list[Repetition]
SegmentData = tuple[str, Mapping[int, Value]]
"""``("PID", {3: ("P1", "", "", "C1", "PI"), 5: ("张示例",)})``: the hub escapes every leaf."""


class Outgoing(msgspec.Struct, frozen=True):
    """A message to be sent: the hub adds MSH, sends it to the systems of that campus, in order
    per ``key``, and again until it is acknowledged."""

    kind: str
    """MSH-9, such as ``OML^O21^OML_O21``."""
    campus: str
    key: str
    segments: tuple[SegmentData, ...]


class Blame(msgspec.Struct, frozen=True):
    """Which place a refusal is about, and why, for the answer to the sender."""

    at: str
    why: Why


class Inbound(msgspec.Struct, frozen=True, eq=False):
    """One ``@inbound`` function."""

    name: str
    kinds: tuple[str, ...]
    function: Callable[..., Awaitable[None]]
    needs: dict[str, Any]
    permissions: frozenset[str]
    blame: dict[type[Refusal], Blame]
    key: str


class Outbound(msgspec.Struct, frozen=True, eq=False):
    """One ``@outbound`` function."""

    name: str
    event: type[Event]
    tag: str
    service: str
    function: Callable[..., Awaitable[Sequence[Outgoing]]]
    needs: dict[str, Any]
    permissions: frozenset[str]


Declared = Inbound | Outbound | Teller


def inbound(
    *kinds: str,
    permissions: set[str],
    blame: Mapping[type[Refusal], tuple[str, Why]] | None = None,
    key: str = "PID-3",
) -> Callable[[F], F]:
    """Take over messages of these kinds (``"ADT^A28"``).

    ``async def f(message: Received, patients: Patients)``: contracts are injected by type and
    called in the sending system's name, with these permissions and no others. It may run more than
    once for one message; its commands take effect once. ``blame`` says which place a refusal is
    about. Messages with the same ``key`` are taken over in order.
    """

    def apply(function: F) -> F:
        function.__interop__ = Inbound(  # type: ignore[attr-defined]  # read by declared_of
            name=f"{function.__module__}.{function.__name__}",
            kinds=kinds,
            function=function,
            needs=_needs(function),
            permissions=frozenset(permissions),
            blame={kind: Blame(*place) for kind, place in (blame or {}).items()},
            key=key,
        )
        return function

    return apply


def outbound(
    event: type[Event], *, service: str, permissions: set[str] | None = None
) -> Callable[[F], F]:
    """Send messages when the fact becomes known, to whoever takes the service ``"lab.order"``.

    ``async def f(event, patients: Patients) -> Sequence[Outgoing]``.
    """

    def apply(function: F) -> F:
        function.__interop__ = Outbound(  # type: ignore[attr-defined]  # read by declared_of
            name=f"{function.__module__}.{function.__name__}",
            event=event,
            tag=tag_of(event),
            service=service,
            function=function,
            needs=_needs(function),
            permissions=frozenset(permissions or ()),
        )
        return function

    return apply


def declared_of(function: Any) -> Declared:
    """What a function in ``interop=[…]`` declares."""
    found = getattr(function, "__interop__", None)
    if not isinstance(found, Inbound | Outbound | Teller):
        raise TypeError(
            f"{function!r} is no interop declaration: use @inbound, @outbound or @document"
        )
    return found


def _needs(function: Callable[..., Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(function)
    return {name: hints[name] for name in list(inspect.signature(function).parameters)[1:]}
