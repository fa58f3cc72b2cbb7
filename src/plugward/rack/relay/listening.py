"""Listening 收听: which boards of this process hear which boards of others, and are heard."""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from plugward.kernel.board import Board
from plugward.kernel.envelope import Envelope
from plugward.kernel.plugged import Plugged
from plugward.kernel.runtime import Runtime
from plugward.kit.ids import new_id

from ..wire.caller import RemoteEndpoint
from ..wire.directory import Directory
from ..wire.face import FACE, Facts
from .publisher import Publisher
from .source import Ask, Bus, RemoteFeed

_log = logging.getLogger("plugward.relay")
ASK_MS = 25_000


class Listening:
    """The relay's part of one process."""

    def __init__(
        self,
        runtime: Runtime,
        endpoint: RemoteEndpoint,
        directory: Directory,
        bus: Bus | None,
        declared: Sequence[Board] = (),
    ) -> None:
        self._runtime = runtime
        self._endpoint = endpoint
        self._directory = directory
        self._bus = bus
        self._declared = {board.name: board for board in declared}
        self._publishers: dict[str, Publisher] = {}
        self._feeds: dict[tuple[str, str], RemoteFeed] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False

    async def start(self) -> None:
        self._running = True
        for name in list(self._runtime.plugged):
            await self.plugged(name)

    async def flush(self) -> None:
        """What is written here is on the bus, if there is one."""
        self._running = False
        await asyncio.gather(*(p.stop() for p in self._publishers.values()))
        self._publishers = {}

    async def stop(self) -> None:
        """After the runtime: no consumer reads any more."""
        await self.flush()
        await asyncio.gather(*(feed.stop() for feed in self._feeds.values()))
        self._feeds = {}

    async def plugged(self, name: str) -> None:
        """A board of this process begins to tell and to hear."""
        plugged = self._runtime.plugged[name]
        if not self._runtime.reacting:
            return
        if self._bus is not None:
            publisher = Publisher(plugged.feed, self._bus)
            publisher.start()
            self._publishers[name] = publisher
        for source in self._sources(plugged):
            await self._hear(plugged, source)

    async def rest(self) -> None:
        """Another process of these boards tells and hears now."""
        await asyncio.gather(*(p.stop() for p in self._publishers.values()))
        await asyncio.gather(*(feed.stop() for feed in self._feeds.values()))
        self._publishers, self._feeds = {}, {}

    async def unplugged(self, name: str) -> None:
        """It tells what it has still to tell, and hears no more."""
        publisher = self._publishers.pop(name, None)
        if publisher is not None:
            await publisher.stop()

    def forget(self, name: str) -> list[RemoteFeed]:
        """The feeds of a board that is out."""
        gone = [key for key in self._feeds if key[0] == name]
        return [self._feeds.pop(key) for key in gone]

    def _sources(self, plugged: Plugged) -> set[str]:
        """Whom a board hears: named by its reactions, or everybody there is."""
        tags = {r.tag.partition(".")[0] for r in plugged.board.reactions if r.tag}
        named = {provider for tag in tags for provider in self._runtime.bindings.providers(tag)}
        if any(r.carrying is not None for r in plugged.board.reactions):
            named |= set(self._directory.seen) | set(self._declared)
        if hasattr(plugged.service, "hears"):
            named |= set(self._declared)
        return named - set(self._runtime.plugged)

    def changed(self, board: str) -> None:
        """Somebody new is there: whoever hears everybody hears it too."""
        task = asyncio.get_running_loop().create_task(self._hear_new(board))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hear_new(self, board: str) -> None:
        for plugged in list(self._runtime.plugged.values()):
            hears = self._running and self._runtime.reacting
            if hears and board in self._sources(plugged):
                await self._hear(plugged, board)

    async def _hear(self, plugged: Plugged, source: str) -> None:
        listener = plugged.board.name
        if source in plugged.consumers or (listener, source) in self._feeds:
            return
        ask = asking(self._endpoint, plugged, source)
        feed = RemoteFeed(source, listener, ask, self._bus)
        self._feeds[listener, source] = feed
        await self._runtime.hear(plugged, feed, self._declared.get(source))


def asking(endpoint: RemoteEndpoint, plugged: Plugged, source: str) -> Ask:
    """How a board reads the outbox of one in another process."""
    operation = FACE.operations["facts"]

    async def ask(after: int, limit: int, wait_ms: int) -> Facts:
        request = new_id()
        envelope = Envelope(
            request=request,
            actor=plugged.actor,
            campus="",
            trace=request.hex,
            deadline_ms=ASK_MS,
            caller=plugged.board.name,
        )
        arguments: msgspec.Struct = operation.request(after, limit, wait_ms)
        facts: Facts = await endpoint.call("face", source, operation, arguments, envelope)
        return facts

    return ask
