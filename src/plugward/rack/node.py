"""A node 进程: some boards in this process, all others over the wire, for callers all alike."""

import os
import socket
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from plugward.kernel.board import Board
from plugward.kernel.runtime import Runtime

from .guests import Guests
from .relay.listening import Listening
from .relay.source import Bus
from .wire.answerer import Offer
from .wire.caller import RemoteEndpoint
from .wire.directory import Directory, State
from .wire.face import FACE, FaceEndpoint
from .wire.passes import Passes


class Wire(Protocol):
    """What a node needs of NATS or of a Unix socket."""

    process: str
    passes: Passes
    directory: Directory
    endpoint: RemoteEndpoint

    async def serve(self, state: State, **offers: Offer) -> None:
        """Answer for a board from now on."""
        ...

    async def withdraw(self, board: str) -> None:
        """Answer no more for a board."""
        ...

    async def announce(self, state: State) -> None:
        """Say how a board is."""
        ...

    async def who(self, seconds: float = ...) -> Directory:
        """Hear who is there."""
        ...

    def bus(self) -> Bus | None:
        """Where facts are published between processes; None: they are pulled from each other."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


class Node:
    """One process of the rack."""

    def __init__(
        self, runtime: Runtime, wire: Wire, *, replica: str = "0", declared: Sequence[Board] = ()
    ) -> None:
        """``declared``: boards of other processes whose declarations a common here must know."""
        self.runtime = runtime
        self.wire = wire
        self._replica = replica
        self._faces: dict[str, FaceEndpoint] = {}
        bus = wire.bus()
        self._listening = Listening(runtime, wire.endpoint, wire.directory, bus, declared)
        self._guests = Guests(runtime, wire.endpoint, wire.directory, bus, declared)

    async def start(self, boards: Iterable[Board]) -> None:
        """Plug in, reach the others, be reached, hear and be heard."""
        self.runtime.dispatcher.elsewhere = self.wire.endpoint
        self._guests.know()
        await self.wire.who(0.0)  # they answer while the boards are plugged in
        await self.runtime.start(boards)
        for name in self.runtime.plugged:
            await self._serve(name)
        self._guests.start()
        await self._listening.start()
        self.wire.directory.changed = self._changed

    async def stop(self) -> None:
        """No call is cut in half, no fact is left behind."""
        for name in list(self.runtime.plugged):
            await self._withdraw(name)
        await self._listening.flush()
        await self.runtime.stop()
        await self._guests.stop()
        await self._listening.stop()
        await self.wire.close()

    async def react(self) -> None:
        """It is this replica's turn to hear facts, to tell them and to ring timers."""
        await self.runtime.react()
        for name in list(self.runtime.plugged):
            await self._listening.plugged(name)
        await self.tell()

    async def rest(self) -> None:
        """Another replica's turn; calls are answered as ever."""
        await self.runtime.rest()
        await self._listening.rest()
        await self.tell()

    async def plug(self, board: Board) -> None:
        """One more board in this process, while the others run."""
        await self.runtime.plug(board)
        await self._serve(board.name)
        await self._listening.plugged(board.name)

    async def unplug(self, name: str) -> None:
        """Take a board out: what has arrived is answered, then callers get *unplugged*."""
        await self._withdraw(name)
        await self._listening.unplugged(name)
        await self.runtime.unplug(name)
        for feed in self._listening.forget(name):
            await feed.stop()

    def _changed(self, board: str) -> None:
        self._listening.changed(board)
        self._guests.changed(board)

    async def _withdraw(self, name: str) -> None:
        face = self._faces.pop(name, None)
        if face is not None:
            face.close()
        await self.wire.withdraw(name)

    def states(self) -> tuple[State, ...]:
        """How the boards of this process are."""
        running = tuple(self._state(name) for name in self.runtime.plugged)
        return (*running, *(self._left_out(n, why) for n, why in self.runtime.left_out.items()))

    async def tell(self) -> None:
        """Say now how the boards are; the wire repeats it with every beat."""
        for name in list(self.runtime.plugged):
            await self.wire.announce(self._state(name))

    async def _serve(self, name: str) -> None:
        plugged = self.runtime.plugged[name]
        self._faces[name] = face = FaceEndpoint(self.runtime, plugged)
        offers: dict[str, Any] = {"face": Offer(FACE.operations, face)}
        if plugged.board.contract is not None and plugged.endpoint is not None:
            offers["call"] = Offer(plugged.board.contract.operations, plugged.endpoint)
        await self.wire.serve(self._state(name), **offers)

    def _state(self, name: str) -> State:
        plugged = self.runtime.plugged[name]
        return State(
            board=name,
            version=plugged.board.manifest.version,
            process=self.wire.process,
            pid=os.getpid(),
            replica=self._replica,
            host=socket.gethostname(),
            reacting=self.runtime.reacting,
            lag=sum(consumer.lag for consumer in plugged.consumers.values()),
        )

    def _left_out(self, name: str, why: str) -> State:
        return State(
            board=name,
            version="",
            process=self.wire.process,
            pid=os.getpid(),
            replica=self._replica,
            serving=False,
            left_out=why,
        )
