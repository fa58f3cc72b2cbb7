"""Envelope 信封: who calls, for which campus, under which request, and how long there is."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from plugward.kit.ids import new_id
from plugward.kit.message import Plain

ALL_CAMPUSES = ("*",)


class ActorKind(StrEnum):
    PERSON = "person"
    BOARD = "board"
    SYSTEM = "system"
    ANONYMOUS = "anonymous"


class Actor(msgspec.Struct, frozen=True):
    """Who acts: a person with granted permissions, a board, or an outside system."""

    id: Plain
    kind: ActorKind
    permissions: frozenset[str] = frozenset()
    campuses: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    on_behalf_of: str | None = None
    device: str | None = None
    address: str | None = None
    opened: tuple[UUID, ...] = ()  # patients whose records this person may read everywhere, for now

    def sees(self, campus: str) -> bool:
        return campus in self.campuses or self.campuses == ALL_CAMPUSES

    @property
    def sees_all(self) -> bool:
        return self.campuses == ALL_CAMPUSES


ANONYMOUS = Actor(
    id="anonymous", kind=ActorKind.ANONYMOUS, permissions=frozenset({"identity.sign-in"})
)


class OfBoards(frozenset[str]):
    """Every permission of these boards: what a board may do in its own name."""

    boards: frozenset[str]

    def __new__(cls, boards: Iterable[str], named: Iterable[str] = ()) -> "OfBoards":
        made = super().__new__(cls, named)
        made.boards = frozenset(boards)
        return made

    def __contains__(self, permission: object) -> bool:
        return str(permission).partition(".")[0] in self.boards


def board_actor(name: str, needs: frozenset[str]) -> Actor:
    """A board's own identity: it may call what its manifest needs, at every campus."""
    return Actor(id=f"board:{name}", kind=ActorKind.BOARD, permissions=needs, campuses=ALL_CAMPUSES)


class Envelope(msgspec.Struct, frozen=True):
    """What travels with every call, explicitly. ``deadline_ms`` is the time that remains."""

    request: UUID
    actor: Actor
    campus: str
    trace: str
    deadline_ms: int = 30_000
    caller: str = "edge"


class Call:
    """One call under way: its envelope and what the store must know to make it happen once."""

    __slots__ = (
        "arguments_hash",
        "cause",
        "deadline",
        "envelope",
        "first",
        "operation",
        "subjects",
        "unit_done",
    )

    def __init__(
        self,
        envelope: Envelope,
        *,
        operation: Any = None,
        deadline: float | None = None,
        arguments_hash: bytes = b"",
        cause: UUID | None = None,
        subjects: tuple[tuple[str, UUID], ...] = (),
    ) -> None:
        self.envelope = envelope
        self.operation = operation  # contracts.Operation, a reaction's name, or None for jobs
        self.deadline = deadline  # on the event loop's clock
        self.arguments_hash = arguments_hash
        self.cause = cause
        self.subjects = subjects  # the patients and encounters the request names
        self.unit_done = False
        self.first: Any = None  # an edge's first command: it carries the edge's own request id


_CALL: ContextVar[Call | None] = ContextVar("plugward_call", default=None)


def current_call() -> Call | None:
    """The call this code runs in, if any."""
    return _CALL.get()


@contextmanager
def calling(call: Call) -> Generator[Call, None, None]:
    """Run a block as ``call``."""
    token = _CALL.set(call)
    try:
        yield call
    finally:
        _CALL.reset(token)


@contextmanager
def acting_as(
    actor: Actor, *, campus: str = "", request: UUID | None = None, deadline_ms: int = 30_000
) -> Generator[Call, None, None]:
    """Run a block as somebody: edges (portal, hub, CLI, tests) open one per request."""
    request = request or new_id()
    where = campus or (actor.campuses[0] if actor.campuses and not actor.sees_all else "")
    envelope = Envelope(
        request=request, actor=actor, campus=where, trace=request.hex, deadline_ms=deadline_ms
    )
    with calling(Call(envelope)) as call:
        yield call
