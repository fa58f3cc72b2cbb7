"""The store 存储 as a board sees it: ``work`` changes, ``read`` looks, nothing else."""

import functools
import inspect
from collections.abc import Callable
from types import CoroutineType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from sqlalchemy import Connection

from plugward.kit.ids import new_id
from plugward.kit.time import Clock

from ..envelope import Actor, Call, Envelope, board_actor, current_call
from .engine import Engine
from .pace import name_of
from .unit import Done, Unit
from .work import Reading, Work

P = ParamSpec("P")
R = TypeVar("R")


class Store:
    """One board's own tables. Another board's store cannot be had."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock
        self.board = engine.tables.board

    async def work(self, function: Callable[..., R], *args: Any) -> R:
        """Run ``function(work, *args)`` as one transaction, with its outbox and its request id.

        The answer comes after COMMIT. The same request id gives the same answer again.
        """
        unit = Unit(
            function,
            args,
            tables=self.engine.tables,
            call=current_call() or self._own_call(),
            clock=self.clock,
        )
        answer: R = await self.engine.run(unit)
        return answer

    async def read(self, function: Callable[..., R], *args: Any) -> R:
        """Run ``function(reading, *args)`` on what is committed now."""
        call = current_call() or self._own_call()
        now = self.clock.now()
        tables = self.engine.tables

        def run(connection: Connection) -> R:
            return function(Reading(connection, tables, call, now), *args)

        return await self.engine.read(run, what=name_of(function))

    async def answered(self, call: Call) -> Done | None:
        """The answer already given to this command, if it has been done before."""
        unit = Unit(_nothing, (), tables=self.engine.tables, call=call, clock=self.clock)
        call.unit_done = False
        return await self.engine.read(unit.earlier, what="answered")

    def _own_call(self) -> Call:
        """Work nobody asked for from outside: timers and start-up, as the board itself."""
        request = new_id()
        actor: Actor = board_actor(self.board, frozenset())
        return Call(Envelope(request=request, actor=actor, campus="", trace=request.hex))


def _nothing(work: Work) -> None:
    del work


class HasStore(Protocol):
    """A service: whatever keeps its store under ``store``."""

    store: Store


S = TypeVar("S", bound=HasStore)


def in_work(
    function: Callable[Concatenate[S, Work, P], R],
) -> "Callable[Concatenate[S, P], CoroutineType[Any, Any, R]]":
    """Turns ``def step(self, work, …)`` into the contract's async operation: one transaction."""

    @functools.wraps(function)
    async def operation(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        positional = _in_order(function, args, kwargs)
        return await self.store.work(_bound(function, self), *positional)

    operation.__in_work__ = True  # type: ignore[attr-defined]  # the unit itself answers repeats
    return cast("Callable[Concatenate[S, P], CoroutineType[Any, Any, R]]", operation)


def reading(
    function: Callable[Concatenate[S, Reading, P], R],
) -> "Callable[Concatenate[S, P], CoroutineType[Any, Any, R]]":
    """Turns ``def list(self, read, …)`` into the contract's async query."""

    @functools.wraps(function)
    async def operation(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        positional = _in_order(function, args, kwargs)
        return await self.store.read(_bound(function, self), *positional)

    return cast("Callable[Concatenate[S, P], CoroutineType[Any, Any, R]]", operation)


def _bound(function: Callable[..., R], service: Any) -> Callable[..., R]:
    return cast("Callable[..., R]", function.__get__(service))


def _in_order(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, ...]:
    """All arguments in the order of the signature, so that a repeat hashes alike."""
    if not kwargs:
        return args
    names = _parameters(function)[len(args) :]
    signature = inspect.signature(function)
    return (*args, *(kwargs.get(n, signature.parameters[n].default) for n in names))


@functools.cache
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)[2:]
