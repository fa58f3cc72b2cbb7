"""Declarations 声明: what a board does when something happens, and what it does by the clock."""

import inspect
import typing
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from plugward.kit.message import Message

from ..message import Event, tag_of

F = TypeVar("F", bound=Callable[..., Awaitable[None]])


class Carrying(msgspec.Struct, frozen=True):
    """Any event that has a field of this message type, whichever board it comes from."""

    kind: type[Message]


class Reaction(msgspec.Struct, frozen=True, eq=False):
    """One ``@on`` function, with what it hears and what it wants injected."""

    name: str
    function: Callable[..., Awaitable[None]]
    tag: str
    event: type[Event] | None
    carrying: type[Message] | None
    needs: dict[str, Any]

    def hears(self, tag: str, carries: str) -> bool:
        if self.carrying is not None:
            return f",{self.carrying.__name__}," in carries
        return tag == self.tag


class Job(msgspec.Struct, frozen=True, eq=False):
    """One ``@every`` function."""

    name: str
    function: Callable[..., Awaitable[None]]
    seconds: float
    needs: dict[str, Any]


def on(what: type[Event] | Carrying) -> Callable[[F], F]:
    """Run this function when the fact becomes known.

    The first parameter is the event (for ``Carrying(X)``: a ``Carried`` with the ``X`` messages);
    the others are injected by type, as in a service's constructor, plus the board's own service.
    A reaction may run more than once; its units of work take effect once.
    """

    def apply(function: F) -> F:
        function.__reaction__ = Reaction(  # type: ignore[attr-defined]  # read by reaction_of
            name=function.__name__,
            function=function,
            tag="" if isinstance(what, Carrying) else tag_of(what),
            event=None if isinstance(what, Carrying) else what,
            carrying=what.kind if isinstance(what, Carrying) else None,
            needs=_needs(function, skip=1),
        )
        return function

    return apply


def every(seconds: float) -> Callable[[F], F]:
    """Run this function every so many seconds of the hospital's clock, as the board itself."""

    def apply(function: F) -> F:
        function.__job__ = Job(function.__name__, function, seconds, _needs(function, skip=0))  # type: ignore[attr-defined]  # read by job_of
        return function

    return apply


class Carried(Message):
    """What ``@on(Carrying(X))`` receives: the messages, and the event they came in."""

    event: Any
    tag: str
    items: tuple[Any, ...]


def reaction_of(function: Any) -> Reaction:
    found = getattr(function, "__reaction__", None)
    if not isinstance(found, Reaction):
        raise TypeError(f"{function!r} is not a reaction: decorate it with @on(Event)")
    return found


def job_of(function: Any) -> Job:
    found = getattr(function, "__job__", None)
    if not isinstance(found, Job):
        raise TypeError(f"{function!r} is not a job: decorate it with @every(seconds)")
    return found


def _needs(function: Callable[..., Any], *, skip: int) -> dict[str, Any]:
    hints = typing.get_type_hints(function)
    names = list(inspect.signature(function).parameters)[skip:]
    return {name: hints[name] for name in names}
