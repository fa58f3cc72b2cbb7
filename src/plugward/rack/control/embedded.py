"""The powers over an embedded hospital: its boards are plugged in and out of this one process."""

import asyncio
import os
from pathlib import Path

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from plugward.kernel.access import Access
from plugward.kernel.board import Board, BoardError, load_board
from plugward.kernel.manifest import ManifestError
from plugward.kernel.refusals import Fault, Refusal, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.migrations import MigrationFailed
from plugward.kit.ids import new_id

from ..discover import board_entries
from .checks import objections, who_hears, without
from .words import ActRefused, BoardStatus, RackStatus, Say, Source

KEPT_OUT = "unplugged.json"
_DOES_NOT_START = (
    BoardError,
    MigrationFailed,
    SQLAlchemyError,
    OSError,
    Refusal,
    Unavailable,
    Fault,
)


class EmbeddedPowers:
    """One act at a time; every one is in the audit log before it is answered."""

    def __init__(self, runtime: Runtime, data: Path) -> None:
        self._runtime = runtime
        self._data = data
        self._one_at_a_time = asyncio.Lock()

    async def plug(self, board: str, *, by: str, say: Say) -> str:
        async with self._one_at_a_time:
            try:
                done = await self._plug(board, say)
            except ActRefused:
                await self._note("rack.plug", board, by, "refused")
                raise
            await self._note("rack.plug", board, by, "done")
            return done

    async def unplug(self, board: str, *, by: str, say: Say, anyway: bool = False) -> str:
        async with self._one_at_a_time:
            try:
                done = await self._unplug(board, say, anyway=anyway)
            except ActRefused:
                await self._note("rack.unplug", board, by, "refused")
                raise
            await self._note("rack.unplug", board, by, "done")
            return done

    async def install(self, source: Source, *, by: str, say: Say, upgrade: bool = False) -> str:
        del by, say, upgrade
        raise ActRefused(
            f"{source.path} needs a process of its own, and this hospital is one process: "
            f"install the package and plug the board in by its name, or run plugward rack up."
        )

    async def rollback(self, board: str, *, by: str, say: Say) -> str:
        del by, say
        raise ActRefused(
            f"{board} runs in this one process: install the package before and restart."
        )

    async def restart(self, board: str, *, by: str, say: Say) -> str:
        del by, say
        raise ActRefused(f"{board} runs in one process with all others: stop and start that.")

    async def move(self, board: str, beside: str, *, by: str, say: Say, anyway: bool) -> str:
        del beside, by, say, anyway
        raise ActRefused(
            f"This hospital is one process. Stop it and start plugward rack up on the same folder: "
            f"then {board} has a process of its own, and no row has moved."
        )

    async def status(self) -> RackStatus:
        rss = rss_of(os.getpid())
        boards = [
            BoardStatus(
                name=name,
                version=plugged.board.manifest.version,
                pids=(os.getpid(),),
                replicas=1,
                healthy=True,
                rss_bytes=rss,
            )
            for name, plugged in self._runtime.plugged.items()
        ]
        boards += [
            BoardStatus(name, "", (), 0, healthy=False, why=why)
            for name, why in self._runtime.left_out.items()
            if name not in self._runtime.plugged
        ]
        out = sorted(kept_out(self._data))
        return RackStatus("embedded", os.getpid(), tuple(boards), tuple(out))

    # ── in and out ──────────────────────────────────────────────────────────────────────────
    async def _plug(self, name: str, say: Say) -> str:
        runtime = self._runtime
        if name in runtime.plugged:
            raise ActRefused(f"{name} is plugged in already.")
        board = _loaded(name)
        if reasons := list(objections(board, _boards(runtime))):
            raise ActRefused(" ".join(reasons))
        say(f"{board.manifest.title} {board.manifest.version}: plugging in")
        try:
            await runtime.plug(board)
        except _DOES_NOT_START as error:
            if name in runtime.plugged:  # half in is not in
                await runtime.unplug(name)
            raise ActRefused(
                f"{name} did not start and is out again: {error}. Nobody else was touched."
            ) from error
        runtime.left_out.pop(name, None)
        keep_out(self._data, kept_out(self._data) - {name})
        return f"{name} {board.manifest.version} is plugged in."

    async def _unplug(self, name: str, say: Say, *, anyway: bool) -> str:
        runtime = self._runtime
        if name not in runtime.plugged:
            raise ActRefused(f"{name} is not plugged in; plugward rack status says what is.")
        others = [board for board in _boards(runtime) if board.name != name]
        for said in without(name, (board.manifest for board in others), anyway=anyway):
            say(said)
        if hearing := who_hears(name, others):
            say(f"no more facts of {name} reach {', '.join(hearing)}; none is lost")
        # Written first: whatever happens now, it stays out at the next start.
        keep_out(self._data, kept_out(self._data) | {name})
        await runtime.unplug(name)
        return f"{name} is unplugged. Its data stay; plugward plug {name} brings it back."

    async def _note(self, operation: str, board: str, by: str, result: str) -> None:
        await self._runtime.audit.append([entry_of(operation, board, by, result)])


def entry_of(operation: str, board: str, by: str, result: str) -> Access:
    """An act as the audit log keeps it."""
    request = new_id()
    return Access(
        operation=operation,
        result=result,
        actor=by,
        on_behalf_of=None,
        roles=(),
        device=None,
        address=None,
        campus="",
        patients=(),
        encounters=(),
        reason=board,
        request=request,
        trace=request.hex,
        arguments_hash=b"",
    )


def _boards(runtime: Runtime) -> list[Board]:
    return [plugged.board for plugged in runtime.plugged.values()]


def _loaded(name: str) -> Board:
    entry = board_entries().get(name)
    if entry is None:
        known = ", ".join(sorted(board_entries()))
        raise ActRefused(f"No board is called {name}. Installed are: {known}.")
    try:
        return load_board(entry.value)
    except (ImportError, TypeError, ValueError, AttributeError, ManifestError) as error:
        raise ActRefused(f"{name} cannot be loaded: {type(error).__name__}: {error}") from error


def kept_out(data: Path) -> frozenset[str]:
    """The boards somebody unplugged: they stay out over a restart."""
    try:
        return frozenset(msgspec.json.decode((data / KEPT_OUT).read_bytes(), type=list[str]))
    except FileNotFoundError:
        return frozenset()


def keep_out(data: Path, names: frozenset[str]) -> None:
    part = data / f"{KEPT_OUT}.new"
    part.write_bytes(msgspec.json.encode(sorted(names)))
    part.replace(data / KEPT_OUT)


def rss_of(pid: int) -> int:
    """The memory a process really has, in bytes."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
