"""Standby 待命: one of a board's replicas hears facts; when it is gone, another one does."""

import asyncio
import logging
from collections.abc import Callable

from plugward.kernel.auditstore import StoreAway
from plugward.kernel.refusals import Unavailable
from plugward.kernel.store.lease import TURN_S, Lease

from .node import Node

_log = logging.getLogger("plugward.rack")


class Standby:
    """Turns one replica's reactions on and off as the lease moves."""

    def __init__(self, node: Node, lease: Lease, changed: Callable[[], None]) -> None:
        self._node = node
        self._lease = lease
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Finish what is under way, then let another replica begin at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._node.runtime.reacting:
            await self._node.rest()
        await self._lease.release()

    async def _take_part(self, held: bool) -> None:
        if not held:
            await self._node.rest()
            return
        try:
            await self._node.react()
        except (Unavailable, StoreAway) as away:
            _log.warning("tried again at the next turn: %s", away)
            await self._node.rest()

    async def _run(self) -> None:
        while True:
            held = await self._lease.turn()
            if held != self._node.runtime.reacting:
                await self._take_part(held)
                self._changed()
            await asyncio.sleep(TURN_S)
