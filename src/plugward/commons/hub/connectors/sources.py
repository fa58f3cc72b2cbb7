"""Sources 来源: the declared sources at work, each looked at in its own rhythm."""

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

from ..in_force import InForce
from ..ledger_records import LedgerFailed
from ..node import Node
from .files_in import FilesSource
from .positions import Positions
from .sources_declared import (
    FILE,
    AnySource,
    DatabaseIn,
    FilesIn,
    SftpIn,
    SourceInvalid,
    read_sources,
)
from .timer import TimerSource

_log = logging.getLogger("plugward.hub.sources")
_LONGEST_PAUSE_S = 60.0


class Working(Protocol):
    """A source at work."""

    every_s: float

    async def look(self) -> None:
        """Take what is there. ``OSError``: it could not be looked at."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


class Sources:
    """The sources of one node, taken over within a second of a change."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._declared = InForce(
            node.folder / FILE, node.problems, read=read_sources, make=self._made
        )
        self._positions = Positions(node.folder / "hub" / "positions")
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Finish what is being taken."""
        self._node.looks.remove(self.look)
        for name in list(self._running):
            self._end(name)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def look(self) -> None:
        """Take over what changed; ``SourceInvalid`` leaves what was in force."""
        self._declared.look(begin=self._begin, end=self._end)

    def _begin(self, name: str, source: Working) -> None:
        self._running[name] = asyncio.get_running_loop().create_task(self._work(name, source))

    def _made(self, name: str, told: AnySource) -> Working:
        try:
            if isinstance(told, FilesIn):
                return FilesSource(name, told, self._node)
            if isinstance(told, DatabaseIn):
                from .rows_in import RowsSource  # noqa: PLC0415 - only where it is used

                return RowsSource(name, told, self._node, self._positions)
            if isinstance(told, SftpIn):
                from .sftp_in import SftpSource  # noqa: PLC0415 - as above

                return SftpSource(name, told, self._node)
            return TimerSource(name, told, self._node, self._positions)
        except ImportError:
            raise SourceInvalid(f"{FILE}: {name}: SFTP needs plugward[sftp]") from None
        except (ValueError, OSError) as error:
            raise SourceInvalid(f"{FILE}: {name}: {error}") from None

    def _end(self, name: str) -> None:
        task = self._running.pop(name)
        task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _work(self, name: str, source: Working) -> None:
        failures = 0
        where = f"source {name}"
        try:
            while True:
                try:
                    await source.look()
                    failures = 0
                    self._node.problems.pop(where, None)
                except (OSError, ValueError, LedgerFailed) as error:
                    failures += 1
                    if where not in self._node.problems:
                        _log.warning("%s: %s", where, error)
                    self._node.problems[where] = str(error)
                pause = source.every_s * 2 ** min(failures, 10)
                await asyncio.sleep(min(pause, max(source.every_s, _LONGEST_PAUSE_S)))
        finally:
            with suppress(OSError):
                await source.close()


def start_sources(node: Node) -> Sources:
    """Begin; they end with the node. What cannot be used is shown, and no reason not to start."""
    sources = Sources(node)
    node.looks.append(sources.look)
    node.ends.append(sources.stop)
    try:
        sources.look()
    except SourceInvalid as error:
        _log.error("%s", error)
    return sources
