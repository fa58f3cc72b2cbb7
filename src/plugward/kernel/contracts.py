"""Contracts 契约: the typed public face of a board, read once when it is imported."""

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, TypeVar, get_args, get_origin
from uuid import UUID

import msgspec

from .message import Event
from .refusals import Refusal

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_SCALARS = (str, int, bool, bytes, float, date, datetime, Decimal, UUID, type(None))


class Kind(StrEnum):
    COMMAND = "command"
    QUERY = "query"


class Route(StrEnum):
    """Which campus answers, when there are several sites (design §6)."""

    CAMPUS = "campus"  # the envelope's campus
    OWNER = "owner"  # the encounter's home campus
    ALL = "all"  # everybody, merged


class Merge(msgspec.Struct, frozen=True):
    """How the answers of several boards become one: in the order of a field (``"-issued_at"``:
    the greatest first), what has the same ``same`` once, and no more than the ``limit`` asked."""

    order_by: str
    same: str = "id"

    def of(self, answers: Iterable[tuple[Any, ...]], limit: int | None = None) -> tuple[Any, ...]:
        once = {getattr(item, self.same): item for a in reversed([*answers]) for item in a}
        field = self.order_by.removeprefix("-")
        ordered = sorted(
            once.values(), key=attrgetter(field), reverse=self.order_by.startswith("-")
        )
        return tuple(ordered if limit is None else ordered[:limit])


class ContractError(TypeError):
    """The contract itself is wrong; says where and what to do."""


class _Mark(msgspec.Struct, frozen=True):
    kind: Kind
    permission: str
    route: Route
    stale_s: float | None
    audited: bool
    merge: Merge | None = None


class Operation(msgspec.Struct, frozen=True, eq=False):
    """One operation of a contract, with the struct that holds its arguments."""

    board: str
    name: str
    kind: Kind
    permission: str
    route: Route
    stale_s: float | None
    audited: bool
    request: type[msgspec.Struct]
    parameters: tuple[str, ...]
    returns: Any
    doc: str
    subjects_of_request: Callable[[Any], list[tuple[str, UUID]]]
    subjects_of_answer: Callable[[Any], list[tuple[str, UUID]]]
    merge: Merge | None = None

    def of_board(self, board: str) -> "Operation":
        """The same operation as a board offers it that implements another one's contract."""
        return self if board == self.board else _of_board(self, board)

    @property
    def full_name(self) -> str:
        return f"{self.board}.{self.name}"

    @property
    def is_command(self) -> bool:
        return self.kind is Kind.COMMAND


def command(
    *, permission: str, route: Route = Route.CAMPUS, audited: bool = True
) -> Callable[[F], F]:
    """Changes something. Carries a request id; executed once however often it arrives."""
    if route is Route.ALL:
        raise ContractError("a command goes to one board: route it by campus or owner")
    return _marker(_Mark(Kind.COMMAND, permission, route, None, audited))


def query(
    *,
    permission: str,
    route: Route = Route.CAMPUS,
    stale_s: float | None = None,
    audited: bool = True,
    merge: Merge | None = None,
) -> Callable[[F], F]:
    """Changes nothing. May be retried; with ``stale_s`` it may be answered by a replica.

    ``route=Route.ALL`` with ``merge`` says how the answers of several campuses become one, where
    the contract is answered by different boards there.

    ``audited=False`` is for answers that name no patient although they carry an encounter id
    (public screens, stock); ``plugward check`` lists them.
    """
    return _marker(_Mark(Kind.QUERY, permission, route, stale_s, audited, merge))


def _marker(mark: _Mark) -> Callable[[F], F]:
    def apply(function: F) -> F:
        function.__operation__ = mark  # type: ignore[attr-defined]  # read by @contract
        return function

    return apply


class Contract(msgspec.Struct, frozen=True, eq=False):
    """A contract's name and everything that belongs to it."""

    name: str
    protocol: type
    operations: dict[str, Operation]
    doc: str

    @property
    def module(self) -> types.ModuleType:
        return sys.modules[self.protocol.__module__]

    def of_board(self, board: str) -> "Contract":
        """This contract as another board offers it."""
        operations = {name: op.of_board(board) for name, op in self.operations.items()}
        return msgspec.structs.replace(self, name=board, operations=operations)

    def _classes(self, base: type[T]) -> tuple[type[T], ...]:
        return tuple(
            value
            for value in vars(self.module).values()
            if isinstance(value, type)
            and issubclass(value, base)
            and value.__module__ == self.module.__name__
        )

    @property
    def refusals(self) -> tuple[type[Refusal], ...]:
        return self._classes(Refusal)

    @property
    def events(self) -> tuple[type[Event], ...]:
        return self._classes(Event)

    @property
    def messages(self) -> tuple[type[msgspec.Struct], ...]:
        return tuple(c for c in self._classes(msgspec.Struct) if not issubclass(c, Event))


def contract(name: str) -> Callable[[type[T]], type[T]]:
    """Names a ``Protocol`` as the public face of the board ``name``."""

    def apply(protocol: type[T]) -> type[T]:
        operations: dict[str, Operation] = {}
        for attribute, function in vars(protocol).items():
            mark = getattr(function, "__operation__", None)
            if mark is not None:
                operations[attribute] = _operation(name, attribute, function, mark)
            elif inspect.isfunction(function) and not attribute.startswith("_"):
                raise ContractError(f"{name}.{attribute} is neither @command nor @query")
        found = Contract(name, protocol, operations, inspect.getdoc(protocol) or "")
        protocol.__contract__ = found  # type: ignore[attr-defined]  # read by contract_of
        for refusal in found.refusals:
            refusal.belongs_to(name)
        return protocol

    return apply


@cache
def _of_board(operation: Operation, board: str) -> Operation:
    return msgspec.structs.replace(operation, board=board)


def contract_of(protocol: type) -> Contract:
    """The contract behind a Protocol, or an error that says what is missing."""
    found = vars(protocol).get("__contract__")
    if not isinstance(found, Contract):
        raise ContractError(f"{protocol.__name__} is not a contract: decorate it with @contract")
    return found


def is_contract(value: Any) -> bool:
    return isinstance(value, type) and isinstance(vars(value).get("__contract__"), Contract)


def _operation(board: str, name: str, function: Callable[..., Any], mark: _Mark) -> Operation:
    where = f"{board}.{name}"
    if not inspect.iscoroutinefunction(function):
        raise ContractError(f"{where} must be declared with async def")
    if not mark.permission:
        raise ContractError(f"{where} names no permission")
    hints = typing.get_type_hints(function, include_extras=True)
    returns = hints.pop("return", None)
    _check(returns, where, "its answer")
    if mark.merge is not None and (mark.route is not Route.ALL or get_origin(returns) is not tuple):
        raise ContractError(f"{where}: only a tuple from every campus (Route.ALL) can be merged")
    fields: list[Any] = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.name not in hints:
            raise ContractError(f"{where}: parameter {parameter.name} has no type")
        _check(hints[parameter.name], where, parameter.name)
        if parameter.default is inspect.Parameter.empty:
            fields.append((parameter.name, hints[parameter.name]))
        else:
            fields.append((parameter.name, hints[parameter.name], parameter.default))
    request = msgspec.defstruct(f"{name}_request", fields, frozen=True, module=function.__module__)
    return Operation(
        board=board,
        name=name,
        kind=mark.kind,
        permission=mark.permission,
        route=mark.route,
        stale_s=mark.stale_s,
        audited=mark.audited,
        request=request,
        parameters=tuple(field[0] for field in fields),
        returns=returns,
        doc=inspect.getdoc(function) or "",
        subjects_of_request=_finder({field[0]: field[1] for field in fields}),
        subjects_of_answer=_answer_finder(returns),
        merge=mark.merge,
    )


def _check(hint: Any, where: str, what: str, seen: frozenset[Any] = frozenset()) -> None:
    """Refuse a type that is not deeply frozen or cannot cross the wire."""
    hint = _plain(hint)
    if hint in seen or hint in _SCALARS or isinstance(hint, str):
        return
    origin = get_origin(hint)
    if origin in (tuple, typing.Union, types.UnionType, typing.Literal):
        for part in get_args(hint):
            if part is not Ellipsis and origin is not typing.Literal:
                _check(part, where, what, seen)
        return
    if isinstance(hint, type) and issubclass(hint, Enum):
        return
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        if not hint.__struct_config__.frozen:
            raise ContractError(f"{where}: {hint.__name__} in {what} is not a Message")
        for part in typing.get_type_hints(hint, include_extras=True).values():
            if get_origin(part) is not typing.ClassVar:
                _check(part, where, what, seen | {hint})
        return
    raise ContractError(
        f"{where}: {what} has the type {hint!r}; use a Message, an enum, a scalar or a tuple"
    )


_ALIAS: Any = getattr(typing, "TypeAliasType", ())  # Python 3.12's ``type X = …``


def _plain(hint: Any) -> Any:
    while True:
        if get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif isinstance(hint, _ALIAS):
            hint = hint.__value__
        else:
            return hint


# ── whom an operation concerns: found from the types, for the audit log ──────────────────────

_SUBJECTS = {"PatientId": "patient", "EncounterId": "encounter"}
_Found = list[tuple[str, UUID]]
_Finder = Callable[[Any], _Found]
_Collector = Callable[[Any, _Found], None]  # adds what a value names


def _finder(fields: dict[str, Any]) -> _Finder:
    found = [(name, sub) for name, hint in fields.items() if (sub := _sub(hint)) is not None]
    return _finding(_of_parts(found)) if found else _nobody


def _nobody(value: Any) -> _Found:  # noqa: ARG001 - same shape as a finder
    return []


def _answer_finder(returns: Any) -> _Finder:
    sub = _sub(returns)
    return _finding(sub) if sub else _nobody


def _finding(sub: _Collector) -> _Finder:
    def find(value: Any) -> _Found:
        found: _Found = []
        if value is not None:
            sub(value, found)
        return found

    return find


def _of_parts(pairs: list[tuple[str, _Collector]]) -> _Collector:
    def collect(value: Any, found: _Found) -> None:
        for name, sub in pairs:
            part = getattr(value, name)
            if part is not None:
                sub(part, found)

    return collect


def _of_each(inner: _Collector) -> _Collector:
    def collect(values: Any, found: _Found) -> None:
        for value in values:
            if value is not None:
                inner(value, found)

    return collect


def _sub(hint: Any, seen: frozenset[Any] = frozenset()) -> _Collector | None:
    if isinstance(hint, typing.NewType) and hint.__name__ in _SUBJECTS:
        subject = _SUBJECTS[hint.__name__]
        return lambda value, found: found.append((subject, value))
    hint = _plain(hint)
    origin = get_origin(hint)
    if origin is tuple:
        inner = _sub(get_args(hint)[0], seen) if get_args(hint) else None
        return _of_each(inner) if inner else None
    if origin in (typing.Union, types.UnionType):
        options = [_sub(part, seen) for part in get_args(hint) if part is not type(None)]
        return options[0] if len(options) == 1 else None
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct) and hint not in seen:
        fields = {
            name: part
            for name, part in typing.get_type_hints(hint, include_extras=True).items()
            if get_origin(part) is not typing.ClassVar
        }
        pairs = [(name, sub) for name, part in fields.items() if (sub := _sub(part, seen | {hint}))]
        return _of_parts(pairs) if pairs else None
    return None
