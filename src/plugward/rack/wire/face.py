"""The face 外观: what every board answers besides its contract, for portal, relay and supervisor.

``describe`` says what the board is, ``page`` and ``home`` run and render its pages in its own
process (the portal only frames them), ``facts`` reads its outbox by position, ``json`` calls an
operation for somebody who has not got the contract's types. Rights are those of the page or the
operation asked for.
"""

import asyncio
from typing import Any, Protocol

import msgspec

from plugward.kernel.access import AccessScope
from plugward.kernel.codec import to_json
from plugward.kernel.contracts import Operation, contract, contract_of, query
from plugward.kernel.dispatch import envelope_for, mapped
from plugward.kernel.elsewhere import (
    Asked,
    BoardTold,
    NeedTold,
    OperationTold,
    PageTold,
    Rendered,
    ViewerTold,
)
from plugward.kernel.envelope import Call, Envelope, calling, current_call
from plugward.kernel.events.feed import read_frames
from plugward.kernel.pages import Home, Page, Viewer
from plugward.kernel.plugged import Plugged
from plugward.kernel.refusals import (
    BadRequest,
    Fault,
    NotAllowed,
    NotFound,
    Refusal,
    Unavailable,
)
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.frames import COMMAND_DONE, Frame

WAIT_MS_MAX = 20_000


class Facts(msgspec.Struct, frozen=True):
    """A stretch of a board's outbox: nothing is missing between ``after`` and ``upto``."""

    frames: tuple[Frame, ...]
    upto: int
    last: int


@contract("face")
class Face(Protocol):
    """What every board answers."""

    @query(permission="face.describe", audited=False)
    async def describe(self) -> BoardTold:
        """What the board is and declares."""
        ...

    @query(permission="face.page", audited=False)
    async def page(self, asked: Asked) -> Rendered:
        """Run a page or an action as the viewer and render what it returns."""
        ...

    @query(permission="face.home", audited=False)
    async def home(self, number: int, viewer: ViewerTold) -> bytes:
        """The board's part of the viewer's home page."""
        ...

    @query(permission="face.json", audited=False)
    async def json(self, operation: str, body: bytes) -> bytes:
        """Call an operation with JSON arguments; the answer as JSON."""
        ...

    @query(permission="face.facts", audited=False)
    async def facts(self, after: int, limit: int, wait_ms: int) -> Facts:
        """Committed facts by position, without the kernel's own notes; waits for the next."""
        ...


FACE = contract_of(Face)


class FaceEndpoint:
    """One board's face. It has no permissions of its own: each part checks its own right."""

    def __init__(self, runtime: Runtime, plugged: Plugged) -> None:
        self._runtime = runtime
        self._plugged = plugged
        self._rendering: Any = None
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Whoever waits for the next fact waits no longer."""
        self._closing.set()

    async def __call__(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        board = self._plugged.board.name
        deadline = asyncio.get_running_loop().time() + envelope.deadline_ms / 1000
        part = getattr(self, f"_{operation.name}")
        try:
            async with asyncio.timeout_at(deadline):
                # No operation of its own: a page's first command keeps the browser's request id.
                with calling(Call(envelope, deadline=deadline)):
                    return await part(*msgspec.structs.astuple(request))
        except TimeoutError as error:
            raise Unavailable(board, "time-out") from error
        except (Refusal, Unavailable, Fault):
            raise
        except Exception as error:
            raise mapped(error, operation, envelope) from error

    async def _describe(self) -> BoardTold:
        return told(self._plugged)

    async def _facts(self, after: int, limit: int, wait_ms: int) -> Facts:
        feed, engine = self._plugged.feed, self._plugged.store.engine
        if wait_ms and feed.last_position <= after:
            await self._news(after, min(wait_ms, WAIT_MS_MAX) / 1000)
        rows = await engine.read(lambda c: read_frames(c, engine.tables, after))
        rows = rows[: max(1, limit)]
        upto = (rows[-1].position or after) if rows else after
        frames = tuple(frame for frame in rows if frame.tag != COMMAND_DONE)
        return Facts(frames, upto, max(feed.last_position, upto))

    async def _news(self, after: int, seconds: float) -> None:
        """Wait for the next fact, so long at most, or until the board goes."""
        waiting = {
            asyncio.ensure_future(self._plugged.feed.after(after)),
            asyncio.ensure_future(self._closing.wait()),
        }
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    async def _json(self, operation: str, body: bytes) -> bytes:
        from plugward.commons.portal.edge import decode  # noqa: PLC0415 - only where it is asked for

        contract_ = self._plugged.board.contract
        found = contract_.operations.get(operation) if contract_ else None
        if found is None:
            raise NotFound
        arguments = decode(found, body)
        envelope = envelope_for(found, arguments, "edge")
        async with AccessScope(self._runtime.audit.append):
            answer = await self._runtime.dispatcher.call(found, arguments, envelope)
        return to_json(answer)

    async def _home(self, number: int, told: ViewerTold) -> bytes:
        viewer = told.viewer()
        parts = self._plugged.board.home
        if not 0 <= number < len(parts):
            raise NotFound
        self._may(parts[number].permission, viewer)
        home: Home = await self._rendered().home(parts[number], viewer)
        return to_json(home)

    async def _page(self, asked: Asked) -> Rendered:
        if not asked.path.startswith("/"):
            raise BadRequest(where="path")
        async with AccessScope(self._runtime.audit.append):
            made: Rendered = await self._rendered().page(asked, self._may)
        return made

    def _may(self, permission: str, viewer: Viewer) -> None:
        """The viewer is who the pass says, and has the right: the portal is not believed."""
        call = calling_now()
        if call.actor.id != viewer.actor_id or not viewer.permissions <= call.actor.permissions:
            raise NotAllowed(permission=permission)
        if permission not in call.actor.permissions:
            raise NotAllowed(permission=permission)

    def _rendered(self) -> Any:
        """Templates cost memory: a board whose pages nobody opens does without."""
        if self._rendering is None:
            from .pages import Rendering  # noqa: PLC0415 - see above

            self._rendering = Rendering(self._runtime, self._plugged)
        return self._rendering


def calling_now() -> Envelope:
    call = current_call()
    assert call is not None, "a face is asked inside a call"
    return call.envelope


def told(plugged: Plugged) -> BoardTold:
    """What a board is and declares, without its code."""
    board, manifest = plugged.board, plugged.board.manifest
    operations = board.contract.operations.values() if board.contract else ()
    described = b""
    if board.contract is not None:
        from plugward.commons.portal.edge import openapi  # noqa: PLC0415 - only where it is asked

        title = f"{manifest.title_en} {manifest.title}"
        described = openapi(board.contract, title, manifest.version)
    return BoardTold(
        name=manifest.name,
        title=manifest.title,
        title_en=manifest.title_en,
        summary=manifest.summary,
        version=manifest.version,
        owners=manifest.owners,
        grade=manifest.grade,
        core=manifest.core,
        needs=tuple(
            NeedTold(name, need.version, need.away.value, need.fallback)
            for name, need in manifest.needs.items()
        ),
        permissions=tuple(manifest.permissions.items()),
        roles=tuple(manifest.roles.items()),
        pages=tuple(page_told(page) for page in board.pages),
        home=tuple(part.permission for part in board.home),
        operations=tuple(
            OperationTold(op.name, op.is_command, op.permission, op.parameters) for op in operations
        ),
        hears=tuple(sorted({r.tag for r in board.reactions if r.tag})),
        strings=to_json(board.strings),
        openapi=described,
    )


def page_told(page: Page) -> PageTold:
    """A page without its function."""
    return PageTold(**{name: getattr(page, name) for name in PageTold.__struct_fields__})


__all__ = ["FACE", "Asked", "BoardTold", "Face", "FaceEndpoint", "Facts", "Rendered"]
