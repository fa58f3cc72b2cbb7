"""Portal 统一门户: what the portal itself keeps and shows: parked events, the key of drafts.

Everything else in the portal belongs to other boards: their pages, their home parts, their
interfaces. This contract is the little that is the portal's own.
"""

from typing import NewType, Protocol
from uuid import UUID

from plugward.kernel import Invalid, Message, NotFound, command, contract, query
from plugward.kit.message import Plain
from plugward.kit.time import Instant

ParkedId = NewType("ParkedId", UUID)


class ParkedEvent(Message):
    """A fact that a board could not handle, and that waits for a person."""

    id: ParkedId
    board: Plain
    reaction: Plain
    tag: Plain
    key: Plain
    error: Plain
    attempts: int
    parked_at: Instant


class BoardNotPlugged(NotFound):
    """没有插上这块插板：{name}。"""

    name: Plain


class ReasonNeeded(Invalid):
    """跳过事件必须写明理由。"""


class KeyNotUsable(Invalid):
    """草稿密钥长度不对。"""


@contract("portal")
class Portal(Protocol):
    """The portal's own few operations."""

    @query(permission="portal.use", audited=False)
    async def my_draft_key(self) -> bytes | None:
        """The key that seals the caller's drafts on their device, if there is one yet."""
        ...

    @command(permission="portal.use", audited=False)
    async def keep_draft_key(self, candidate: bytes) -> bytes:
        """Keep ``candidate`` as the caller's key unless there is one; answers what holds.
        Refuses with ``KeyNotUsable``."""
        ...

    @query(permission="portal.replay", audited=False)
    async def parked(self) -> tuple[ParkedEvent, ...]:
        """What could not be handled, over all boards, oldest first."""
        ...

    @command(permission="portal.replay")
    async def replay(self, board: Plain, parked: ParkedId) -> None:
        """Handle a parked event now. Refuses with ``BoardNotPlugged``, or with the kernel's
        ``ParkedNotFound`` and ``StillFailing``."""
        ...

    @command(permission="portal.replay")
    async def skip(self, board: Plain, parked: ParkedId, why: Plain) -> None:
        """Leave a parked event out for good. Refuses with ``ReasonNeeded`` or
        ``BoardNotPlugged``."""
        ...
