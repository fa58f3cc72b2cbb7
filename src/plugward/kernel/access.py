"""Access 访问记录: what a request looked at, gathered so that it is written down once.

An edge (a page request, a hub message) opens one scope; the calls inside add to it; before the
answer leaves, the scope is appended to the audit log and is durable. A call outside any scope
writes its own entry.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import msgspec

from .contracts import Operation
from .envelope import Envelope


class Access(msgspec.Struct, frozen=True):
    """One call as the audit log keeps it: ids only, no names, no values."""

    operation: str
    result: str
    actor: str
    on_behalf_of: str | None
    roles: tuple[str, ...]
    device: str | None
    address: str | None
    campus: str
    patients: tuple[UUID, ...]
    encounters: tuple[UUID, ...]
    reason: str | None
    request: UUID
    trace: str
    arguments_hash: bytes


Append = Callable[[list[Access]], Awaitable[None]]
SUBJECTS_MAX = 100
_SCOPE: ContextVar["AccessScope | None"] = ContextVar("plugward_access", default=None)


class AccessScope:
    """Gathers the accesses of one request; on leaving, they are durable."""

    def __init__(self, append: Append) -> None:
        self._append = append
        self.entries: list[Access] = []
        self._token: Any = None

    async def __aenter__(self) -> "AccessScope":
        self._token = _SCOPE.set(self)
        return self

    async def __aexit__(self, *problem: object) -> None:
        _SCOPE.reset(self._token)
        if self.entries:
            await self._append(self.entries)
            self.entries = []

    async def flush(self) -> None:
        """Write what there is, for answers that go out in pieces."""
        if self.entries:
            entries, self.entries = self.entries, []
            await self._append(entries)


async def note(access: Access, append: Append) -> None:
    """Into the open scope, or straight to the log."""
    scope = _SCOPE.get()
    if scope is not None:
        scope.entries.append(access)
    else:
        await append([access])


def access_of(
    operation: Operation,
    envelope: Envelope,
    subjects: tuple[tuple[str, UUID], ...],
    arguments_hash: bytes,
    result: str,
) -> Access:
    """The entry for one call."""
    actor = envelope.actor
    return Access(
        operation=operation.full_name,
        result=result,
        actor=actor.id,
        on_behalf_of=actor.on_behalf_of,
        roles=actor.roles,
        device=actor.device,
        address=actor.address,
        campus=envelope.campus,
        patients=_ids("patient", subjects),
        encounters=_ids("encounter", subjects),
        reason=None,
        request=envelope.request,
        trace=envelope.trace,
        arguments_hash=arguments_hash,
    )


def _ids(wanted: str, subjects: tuple[tuple[str, UUID], ...]) -> tuple[UUID, ...]:
    """Each once, in the order found. A whole number is hashed faster than an id."""
    return tuple({i.int: i for kind, i in subjects if kind == wanted}.values())[:SUBJECTS_MAX]
