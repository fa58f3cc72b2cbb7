"""The test bench 试验台: one board with a clock, an outbox, others' fakes, both transports."""

import os
import tempfile
import weakref
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

from sqlalchemy import event as sa_event

from plugward.kit.ids import new_id
from plugward.kit.message import Message

from .auditlog import AuditLog
from .binding import EVERYWHERE, Bindings
from .board import Board
from .clock import ManualClock
from .codec import from_json, to_json
from .contracts import Contract, contract_of
from .dispatch import LocalEndpoint, Transport
from .envelope import Actor, ActorKind, Call, acting_as, calling, current_call
from .events.consumer import Consumer
from .events.feed import Feed
from .message import Event, tag_of
from .plugged import Plugged
from .runtime import Runtime
from .store import quick
from .store.databases import MEMORY, Databases
from .store.frames import Frame, carried_by, key_text

T = TypeVar("T")
E = TypeVar("E", bound=Event)

TRANSPORTS = (Transport.DIRECT, Transport.STRICT)
_OPEN: "weakref.WeakSet[Bench]" = weakref.WeakSet()


class _Everything(frozenset[str]):
    """The permissions of the bench's own user: every one."""

    def __contains__(self, item: object) -> bool:
        return isinstance(item, str)


def a_tester(
    permissions: frozenset[str] | None = None,
    campuses: tuple[str, ...] = ("C1",),
    id: str = "tester",
) -> Actor:
    """A person for tests; without ``permissions`` one who may do everything at campus C1."""
    return Actor(
        id=f"staff:{id}",
        kind=ActorKind.PERSON,
        permissions=_Everything() if permissions is None else permissions,
        campuses=campuses,
    )


def database_under_test() -> str:
    """``memory``, or the database URL the environment asks the scenarios to run on."""
    return os.environ.get("PLUGWARD_TEST_DATABASE", MEMORY)


class Bench:
    """A board on the bench. Calls go through the real dispatch path on a real database."""

    def __init__(
        self,
        board: Board,
        *,
        fakes: Sequence[Any] = (),
        transport: Transport = Transport.STRICT,
        now: str = "2026-03-02 08:00",
        settings: dict[str, Any] | None = None,
        database: str | None = None,
    ) -> None:
        self.board = board
        self.clock = ManualClock(now)
        self.actor = a_tester()
        self._fakes = tuple(fakes)
        self._published: list[Frame] = []
        self.statements: list[str] = []
        self._overheard: list[Any] = []
        self.runtime = Runtime(
            Databases(self._location(database or database_under_test())),
            self.clock,
            AuditLog(None, self.clock),
            transport=transport,
            settings={board.name: settings or {}},
            reacting=False,
            bindings=_alone(board),
        )
        self._started = False
        _OPEN.add(self)

    # ── the board under test ────────────────────────────────────────────────────────────────
    def client(self, protocol: type[T]) -> T:
        """A client; each call is a request of its own by the bench's actor."""
        return cast("T", _BenchClient(self, contract_of(protocol)))

    async def receive(self, event: Event, *, times: int = 1, id: UUID | None = None) -> None:
        """Another board's fact reaches this board, ``times`` times. Problems are raised."""
        plugged = await self.ready()
        frame = _frame(event, id or new_id(), self.clock, self.actor.campuses[0])
        consumer = self._consumer(plugged)
        for _ in range(times):
            for reaction in self.board.reactions:
                if reaction.hears(frame.tag, frame.carries):
                    await consumer.run(reaction, frame)
        await self.settle()

    async def tick(self) -> None:
        """Run every timed job of the board once, as its timer would."""
        plugged = await self.ready()
        for job in self.board.jobs:
            await self.runtime.run_job(plugged, job)
        await self.settle()

    async def settle(self) -> None:
        """On a server database: wait until what is committed has its position."""
        settle = getattr(self.runtime.plugged[self.board.name].store.engine, "settle", None)
        if settle is not None:
            await settle()

    def published(self, kind: type[E]) -> list[E]:
        """The facts of this kind the board has published, oldest first."""
        tag = tag_of(kind)
        return [from_json(f.body, kind) for f in self._published if f.tag == tag]

    async def prove(self) -> None:
        """Run the board's proofs and fail on a breach."""
        await self.ready()
        for proven in await self.runtime.prove():
            assert not proven.finding.breaches, f"{proven.id} {proven.title}: {proven.finding}"

    def fake(self, kind: type[T]) -> T:
        """The fake of this class the bench was given."""
        return next(f for f in self._fakes if isinstance(f, kind))

    @property
    def service(self) -> Any:
        """The board's own service, once the bench has been used."""
        return self.runtime.plugged[self.board.name].service

    @contextmanager
    def acting(
        self,
        *,
        permissions: set[str] | None = None,
        campuses: tuple[str, ...] = ("C1",),
        id: str = "tester",
    ) -> Generator[Actor, None, None]:
        """Calls inside come from somebody else."""
        before = self.actor
        granted = None if permissions is None else frozenset(permissions)
        self.actor = a_tester(granted, campuses, id)
        try:
            yield self.actor
        finally:
            self.actor = before

    @contextmanager
    def request(self, id: UUID) -> Generator[Call, None, None]:
        """Calls inside carry this request id: a retry, a double click."""
        with acting_as(self.actor, request=id) as call:
            yield call

    @contextmanager
    def queries(self, *, at_most: int) -> Generator[None, None, None]:
        """The N+1 alarm: at most so many statements inside."""
        self.statements.clear()
        yield
        seen = [
            s
            for s in self.statements
            if s.lstrip()[:6].upper() in ("SELECT", "INSERT", "UPDATE")
            and "_sys_" not in s  # a server's sequencer looks at the outbox in between
        ]
        assert len(seen) <= at_most, f"{len(seen)} statements: {seen}"

    # ── behind it ───────────────────────────────────────────────────────────────────────────
    async def ready(self) -> Plugged:
        """Start on first use."""
        if not self._started:
            self._started = True
            for fake in self._fakes:
                self.attach(fake)
            await self.runtime.start([self.board])
            plugged = self.runtime.plugged[self.board.name]
            plugged.store.engine.listen(self._hear)
            self._count_statements(plugged)
        return self.runtime.plugged[self.board.name]

    def _hear(self, frames: Sequence[Frame]) -> None:
        self._published.extend(frames)
        self.runtime.plugged[self.board.name].feed.committed(frames)

    def attach(self, fake: Any) -> None:
        """Plug a fake in (again): what it stands for answers from now on."""
        contract = _contract_of(cast("type[Any]", type(fake)))

        async def never_done(call: Call) -> None:
            del call

        self.runtime.dispatcher.attach(
            contract.name,
            LocalEndpoint(
                contract.name,
                fake,
                append=self.runtime.audit.append,
                meters=self.runtime.meters,
                find_done=never_done,
            ),
        )

    def detach(self, kind: type[Any]) -> None:
        """Unplug the fake of this class: from now on its contract is unavailable."""
        self.runtime.dispatcher.detach(_contract_of(kind).name)

    def _consumer(self, plugged: Plugged) -> Consumer:
        return Consumer(
            plugged.store,
            Feed(plugged.store.engine),
            self.board.reactions,
            actor=plugged.actor,
            inject=lambda needs: self.runtime.inject(plugged, needs),
            clock=self.clock,
        )

    def _location(self, database: str) -> str | Path:
        """``file`` is a folder that goes when the bench goes; anything else as it is."""
        if database != "file":
            return database
        self._folder = tempfile.TemporaryDirectory(
            prefix="plugward-bench-", ignore_cleanup_errors=True
        )
        return Path(self._folder.name)

    def _count_statements(self, plugged: Plugged) -> None:
        engine = getattr(plugged.store.engine, "_engine", None)
        target = getattr(engine, "sync_engine", engine)

        def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
            del conn, cursor, rest
            self.statements.append(statement)

        sa_event.listen(target, "before_cursor_execute", note)
        quick.overhear(target, self.statements.append)
        self._overheard.append(target)

    async def stop(self) -> None:
        if self._started:
            self._started = False
            for target in self._overheard:
                quick.leave(target)
            await self.runtime.stop()


class _BenchClient:
    def __init__(self, bench: Bench, contract: Contract) -> None:
        self._bench = bench
        self._contract = contract

    def __getattr__(self, name: str) -> Any:
        operation = self._contract.operations.get(name)
        if operation is None:
            raise AttributeError(name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._bench.ready()
            protocol: type[Any] = self._contract.protocol
            client: Any = self._bench.runtime.client(protocol)
            try:
                if current_call() is not None:
                    return await getattr(client, name)(*args, **kwargs)
                with acting_as(self._bench.actor):
                    return await getattr(client, name)(*args, **kwargs)
            finally:
                await self._bench.settle()

        return call


def _alone(board: Board) -> Bindings:
    """An adapter on the bench answers the contract it implements at every campus."""
    implements = board.manifest.implements
    return Bindings.of({EVERYWHERE: {implements: board.name}} if implements else {})


def _contract_of(kind: type[Any]) -> Contract:
    """The contract that a fake class keeps."""
    return contract_of(next(c for c in kind.__mro__ if "__contract__" in vars(c)))


async def close_benches() -> None:
    """After each test: no thread and no connection stays behind."""
    for bench in list(_OPEN):
        await bench.stop()
    _OPEN.clear()


def _frame(event: Event, id: UUID, clock: ManualClock, campus: str) -> Frame:
    tag = tag_of(type(event))
    return Frame(
        id=id,
        source=tag.partition(".")[0],
        position=1,
        key=key_text(event),
        key_version=1,
        tag=tag,
        body=to_json(event),
        carries=carried_by(type(event)),
        campus=campus,
        actor="staff:somebody",
        cause=id,
        trace=id.hex,
        occurred_at=clock.now(),
        recorded_at=clock.now(),
    )


__all__ = [
    "TRANSPORTS",
    "Bench",
    "Message",
    "Transport",
    "a_tester",
    "calling",
    "close_benches",
    "database_under_test",
]
