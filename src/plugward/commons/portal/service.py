"""What the portal keeps, and how parked events are dealt with."""

from plugward.kernel import Message, Reading, Store, Work, in_work, reading
from plugward.kernel.envelope import current_call
from plugward.kernel.runtime import Runtime
from plugward.kit.message import Plain
from plugward.kit.time import Instant

from .contract import BoardNotPlugged, KeyNotUsable, ParkedEvent, ParkedId, Portal, ReasonNeeded
from .tables import draft_keys

KEY_BYTES = 32


class DraftKey(Message):
    """One person's key. Never listed, never logged, given to nobody else."""

    staff: Plain
    secret: bytes
    made_at: Instant


class PortalService(Portal):
    def __init__(self, store: Store, runtime: Runtime) -> None:
        self.store = store
        self._runtime = runtime

    @reading
    def my_draft_key(self, read: Reading) -> bytes | None:
        found = read.get_or_none(draft_keys, DraftKey, read.actor.id)
        return found.secret if found else None

    @in_work
    def keep_draft_key(self, work: Work, candidate: bytes) -> bytes:
        if len(candidate) != KEY_BYTES:
            raise KeyNotUsable
        mine = DraftKey(staff=work.actor.id, secret=candidate, made_at=work.now)
        if work.insert_new(draft_keys, mine):
            return candidate
        return work.get(draft_keys, DraftKey, work.actor.id).secret

    async def parked(self) -> tuple[ParkedEvent, ...]:
        found = await self._runtime.parked()
        events = (
            ParkedEvent(
                id=ParkedId(event.id),
                board=event.board,
                reaction=event.reaction,
                tag=event.tag,
                key=event.key,
                error=event.error,
                attempts=event.attempts,
                parked_at=event.parked_at,
            )
            for event in found
        )
        return tuple(sorted(events, key=lambda event: event.parked_at))

    async def replay(self, board: Plain, parked: ParkedId) -> None:
        self._check(board)
        await self._runtime.replay_parked(board, parked, by=_caller())

    async def skip(self, board: Plain, parked: ParkedId, why: Plain) -> None:
        if not why.strip():
            raise ReasonNeeded
        self._check(board)
        await self._runtime.skip_parked(board, parked, by=_caller(), reason=why.strip())

    def _check(self, board: str) -> None:
        if board not in self._runtime.plugged:
            raise BoardNotPlugged(name=board)


def _caller() -> str:
    call = current_call()
    assert call is not None, "operations run inside a call"
    return call.envelope.actor.id
