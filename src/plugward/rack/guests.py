"""Guests 外来插板: boards whose code this process has not got, known by what they tell.

Processes that show, grant or carry what others declare ask every board they meet what it is; from
then on it stands among the declared ones, and its pages, operations and facts are asked there.
"""

import asyncio
import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec

from plugward.kernel.board import Board
from plugward.kernel.codec import from_json
from plugward.kernel.dispatch import envelope_for
from plugward.kernel.elsewhere import Asked, BoardTold, Guest, Rendered, ViewerTold
from plugward.kernel.envelope import Envelope
from plugward.kernel.pages import Home, Viewer
from plugward.kernel.plugged import Plugged
from plugward.kernel.refusals import Fault, Refusal, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.frames import Frame
from plugward.kit.ids import new_id

from .relay.listening import asking
from .relay.source import Bus, RemoteFeed
from .relay.tail import Tail
from .wire.caller import RemoteEndpoint
from .wire.directory import Directory
from .wire.face import FACE

ASK_MS = 5_000
AGAIN_S = 0.5
# Boards that show, grant or carry what others declare: their processes know everybody.
KNOW_ALL = ("portal", "identity", "hub", "datacentre", "documents")
_log = logging.getLogger("plugward.rack")


class Reached:
    """One board elsewhere, for the boards of this process: the kernel's ``Elsewhere``."""

    def __init__(
        self, name: str, runtime: Runtime, endpoint: RemoteEndpoint, bus: Bus | None
    ) -> None:
        self.name = name
        self._runtime = runtime
        self._endpoint = endpoint
        self._bus = bus

    @cached_property
    def _asker(self) -> Plugged:
        """The board of this process in whose name it is asked."""
        asker = asker_of(self._runtime)
        assert asker is not None, "only a process that knows all reaches for others"
        return asker

    @cached_property
    def tail(self) -> Tail:
        return Tail(self.name, asking(self._endpoint, self._asker, self.name))

    def listen(self, listener: str) -> RemoteFeed:
        ask = asking(self._endpoint, self._asker, self.name)
        return RemoteFeed(self.name, listener, ask, self._bus)

    async def look(self, after: int) -> tuple[Frame | None, int]:
        facts = await asking(self._endpoint, self._asker, self.name)(after, 1, 0)
        return next(iter(facts.frames), None), facts.last

    async def page(self, asked: Asked) -> Rendered:
        rendered: Rendered = await self._ask("page", asked)
        return rendered

    async def home(self, number: int, viewer: Viewer) -> Home:
        told: bytes = await self._ask("home", number, ViewerTold.of(viewer))
        home: Home = from_json(told, Home)
        return home

    async def json(self, operation: str, body: bytes) -> bytes:
        told: bytes = await self._ask("json", operation, body)
        return told

    async def describe(self) -> BoardTold:
        """What it is. Asked in our own name: nobody waits for it."""
        request = new_id()
        envelope = Envelope(
            request=request,
            actor=self._asker.actor,
            campus="",
            trace=request.hex,
            deadline_ms=ASK_MS,
            caller=self._asker.board.name,
        )
        operation = FACE.operations["describe"]
        told: BoardTold = await self._endpoint.call(
            "face", self.name, operation, operation.request(), envelope
        )
        return told

    async def stop(self) -> None:
        if "tail" in self.__dict__:
            await self.tail.stop()

    async def _ask(self, name: str, *given: Any) -> Any:
        operation = FACE.operations[name]
        request: msgspec.Struct = operation.request(*given)
        envelope = envelope_for(operation, request, self._asker.board.name)
        return await self._endpoint.call("face", self.name, operation, request, envelope)


class Guests:
    """Keeps a process that must know every board informed."""

    def __init__(
        self,
        runtime: Runtime,
        endpoint: RemoteEndpoint,
        directory: Directory,
        bus: Bus | None,
        declared: Sequence[Board],
    ) -> None:
        self._runtime = runtime
        self._endpoint = endpoint
        self._directory = directory
        self._bus = bus
        self._declared = {board.name: board for board in declared}
        self._reached: dict[str, Reached] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    def know(self) -> None:
        """The declared boards, before any board of this process begins."""
        self._runtime.declare(self._declared.values(), self._reach)

    def start(self) -> None:
        """Meet those who are there already."""
        for name in self._directory.seen:
            self.changed(name)

    async def stop(self) -> None:
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*(reached.stop() for reached in self._reached.values()))
        self._reached = {}

    def changed(self, board: str) -> None:
        """Somebody came or went. Who is known with its code, or runs here, need not be asked."""
        ours = board in self._runtime.plugged or board in self._declared
        if ours or asker_of(self._runtime) is None or board in self._asking:
            return
        task = asyncio.get_running_loop().create_task(self._meet(board))
        self._asking[board] = task
        task.add_done_callback(lambda _: self._asking.pop(board, None))

    def _reach(self, board: str) -> Reached:
        if board not in self._reached:
            self._reached[board] = Reached(board, self._runtime, self._endpoint, self._bus)
        return self._reached[board]

    async def _meet(self, board: str) -> None:
        while self._directory.reaches(board):
            try:
                told = await self._reach(board).describe()
            except (Unavailable, Refusal, Fault) as away:
                _log.warning("%s does not say what it is: %s", board, away)
                await asyncio.sleep(AGAIN_S)
                continue
            self._know(told)
            return

    def _know(self, told: BoardTold) -> None:
        known = self._runtime.declared.get(told.name)
        if known is not None and isinstance(known.board, Guest) and known.board.told == told:
            return
        try:
            self._runtime.declare([Guest(told)], self._reach)
        except (TypeError, ValueError) as wrong:
            _log.warning("%s says of itself what cannot be: %s", told.name, type(wrong).__name__)


def asker_of(runtime: Runtime) -> Plugged | None:
    """The board of this process that must know everybody, if there is one."""
    return next((runtime.plugged[name] for name in KNOW_ALL if name in runtime.plugged), None)
