"""Plugged 在板: a board that is in, its parts as they run, and the order boards go in."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, Delete

from plugward.kit.ids import new_id
from plugward.kit.time import Instant, Timer

from .board import Board, BoardError
from .dispatch import LocalEndpoint
from .elsewhere import Elsewhere
from .envelope import Actor, Call, Envelope, calling
from .events.consumer import STOPPING_WAIT_S, Consumer
from .events.feed import Feed
from .manifest import Settings
from .proofs import Finding, Proof
from .sagas import Sagas
from .store.store import Store
from .store.work import Reading


class Proven(msgspec.Struct, frozen=True):
    """A proof and what it found."""

    board: str
    id: str
    title: str
    finding: Finding


class Plugged:
    """A board that is in: its parts as they run."""

    def __init__(self, board: Board, store: Store, actor: Actor, settings: Settings) -> None:
        self.board = board
        self.store = store
        self.actor = actor
        self.settings = settings
        self.service: Any = None
        self.endpoint: LocalEndpoint | None = None
        self.sagas: Sagas
        self.feed = Feed(store.engine)
        self.consumers: dict[str, Consumer] = {}
        self.timers: list[Timer] = []
        self.elsewhere: Elsewhere | None = None  # where it runs, if not here

    async def prove(self) -> list[Proven]:
        """Run the board's proofs, each on what is committed now."""
        request = new_id()
        envelope = Envelope(request=request, actor=self.actor, campus="", trace=request.hex)
        found: list[Proven] = []
        for proof in self.board.proofs:
            with calling(Call(envelope, operation="audit")):
                finding = await self.store.read(_run_proof, proof)
            found.append(Proven(self.board.name, proof.id, proof.title, finding))
        return found

    async def forget_answers(self, before: Instant) -> None:
        """Drop the answers given before then."""
        done = self.store.engine.tables.system.done
        await self.store.engine.system(partial(_run, done.delete().where(done.c.done_at < before)))

    async def drained(self) -> None:
        """Wait for the calls under way."""
        if self.endpoint is not None:
            await self.endpoint.drained(STOPPING_WAIT_S)

    def silence(self) -> None:
        """Its timers ring no more."""
        for timer in self.timers:
            timer.cancel()
        self.timers = []

    async def deafen(self) -> None:
        """It hears nobody any more; reactions under way end."""
        consumers, self.consumers = self.consumers, {}
        await asyncio.gather(*(consumer.stop() for consumer in consumers.values()))

    async def close(self) -> None:
        """Its service lets go of what it holds, then its store is closed."""
        stopping = getattr(self.service, "stopping", None)
        if stopping is not None:
            await stopping()
        await self.store.engine.stop()


def _run(statement: Delete, connection: Connection) -> None:
    connection.execute(statement)


def _run_proof(read: Reading, proof: Proof) -> Finding:
    return proof.check(read)


def in_order(boards: Iterable[Board]) -> list[Board]:
    """Boards after those they need. A cycle of needs is an error that names the boards."""
    by_name = {board.name: board for board in boards}
    ordered: dict[str, Board] = {}

    def visit(board: Board, path: tuple[str, ...]) -> None:
        if board.name in path:
            raise BoardError(f"these boards need each other: {' → '.join((*path, board.name))}")
        if board.name not in ordered:
            for need in board.manifest.needs:
                if need in by_name:
                    visit(by_name[need], (*path, board.name))
            ordered[board.name] = board

    for board in by_name.values():
        visit(board, ())
    return list(ordered.values())
