"""The runtime 背板: boards in this process, plugged together and unplugged while others run."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from plugward.kit.ids import new_id
from plugward.kit.time import Clock, Timer

from .auditlog import AuditLog
from .binding import NOTHING_BOUND, Bindings, Here
from .board import Board, BoardError
from .contracts import contract_of, is_contract
from .dispatch import Dispatcher, LocalEndpoint, Transport
from .elsewhere import Elsewhere
from .envelope import Call, Envelope, OfBoards, board_actor, calling
from .events.attempt import attempt
from .events.consumer import Consumer, kind_of
from .events.declare import Job
from .events.feed import Source
from .events.parked import Parked, list_parked, replay, skip
from .manifest import Settings
from .observe.logs import guard
from .observe.meters import Meters
from .outside import Lazily, Nowhere, Outside
from .plugged import Plugged, Proven, in_order
from .refusals import Unavailable
from .sagas import Sagas
from .store.databases import Databases
from .store.migrations import MigrationFailed
from .store.store import Store
from .store.unit import REQUEST_KEPT_DAYS

T = TypeVar("T")
_log = logging.getLogger("plugward.runtime")
HOUSEKEEPING_S = 3_600.0
_STORE_PROBLEMS = (MigrationFailed, DBAPIError, OSError, Unavailable)
CALM_LOOKS = 2  # what a reaction publishes is seen at the second look


class Runtime:
    """Boards of one process over one set of stores."""

    def __init__(
        self,
        databases: Databases,
        clock: Clock,
        audit: AuditLog,
        *,
        transport: Transport = Transport.STRICT,
        settings: dict[str, dict[str, Any]] | None = None,
        reacting: bool = True,
        standby: bool = False,
        bindings: Bindings = NOTHING_BOUND,
    ) -> None:
        """``standby``: another process reacts for these boards; this one answers until its turn."""
        guard()
        self.databases = databases
        self.clock = clock
        self.audit = audit
        self.meters = Meters()
        self.dispatcher = Dispatcher(transport)
        self.bindings = bindings
        self.dispatcher.bind(bindings)
        self.plugged: dict[str, Plugged] = {}
        self.left_out: dict[str, str] = {}
        self.declared: dict[str, Plugged] = {}  # boards of other processes: what they declare
        self._housekeeping: Timer | None = None
        self.outside: Outside = Nowhere()
        self._settings = settings or {}
        self._reacting = reacting and not standby
        self._standby = standby

    @property
    def reacting(self) -> bool:
        """False where boards are only looked at (audit): no timers, no reactions, no listeners."""
        return self._reacting

    @property
    def boards(self) -> dict[str, Board]:
        """Every board whose declarations are known here, plugged in here or elsewhere."""
        known = {**self.declared, **self.plugged}
        return {name: plugged.board for name, plugged in known.items()}

    @property
    def shown(self) -> dict[str, Plugged]:
        """The boards that can be reached now and whose pages can be made here."""
        there = (n for n in self.declared if n not in self.plugged and self.dispatcher.reaches(n))
        return {**self.plugged, **{name: self.declared[name] for name in there}}

    def declare(
        self, boards: Iterable[Board], elsewhere: Callable[[str], Elsewhere] | None = None
    ) -> None:
        """Know these boards too, which run in other processes: their stores stay closed here."""
        for board in boards:
            self.declared[board.name] = declared = self._made(board)
            declared.elsewhere = elsewhere(board.name) if elsewhere else None

    # ── life ────────────────────────────────────────────────────────────────────────────────
    async def start(self, boards: Iterable[Board]) -> None:
        """Plug boards in, each after those it needs, then let events and timers run.

        A board whose store cannot be opened is left out (``left_out`` says why); its callers get
        *unplugged*, everybody else works.
        """
        await self.audit.start()
        ordered = in_order(boards)
        outcomes = await asyncio.gather(
            *(self._open(board) for board in ordered), return_exceptions=True
        )
        for board, problem in zip(ordered, outcomes, strict=True):
            if isinstance(problem, _STORE_PROBLEMS):
                self.left_out[board.name] = str(problem)
                _log.error("board %s is left out: %s", board.name, type(problem).__name__)
            elif problem is not None:
                raise problem
        for board in ordered:
            if board.name in self.plugged:
                self._connect(self.plugged[board.name])
        for plugged in self.plugged.values():
            await self._begin(plugged)
        self._keep_house()

    async def react(self) -> None:
        """Our turn among the processes of these boards: hear facts, ring timers, keep the log."""
        self._reacting, self._standby = True, False
        for plugged in list(self.plugged.values()):
            await self._take_part(plugged)
        self._keep_house()

    async def rest(self) -> None:
        """Somebody else's turn: what is under way ends, calls are answered as ever."""
        self._reacting, self._standby = False, True
        self._leave_house()
        for name, plugged in self.plugged.items():
            plugged.silence()
            await plugged.deafen()
            self.audit.forget(name)

    def _keep_house(self) -> None:
        if self._reacting:
            self._housekeeping = self.clock.every(HOUSEKEEPING_S, self.forget_old_answers)

    def _leave_house(self) -> None:
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            self._housekeeping = None

    async def stop(self) -> None:
        """Doors to the outside first, then timers, reactions, stores: nothing is cut in half."""
        for plugged in self.plugged.values():
            close_doors = getattr(plugged.service, "close_doors", None)
            if close_doors is not None:
                await close_doors()
        self._leave_house()
        for plugged in self.plugged.values():
            plugged.silence()
        await asyncio.gather(*(plugged.deafen() for plugged in self.plugged.values()))
        for plugged in self.plugged.values():
            await plugged.drained()
        await self.audit.stop()
        for plugged in reversed(self.plugged.values()):
            await plugged.close()
        self.plugged = {}

    async def plug(self, board: Board) -> None:
        """Plug one more board in while the others run."""
        if board.name in self.plugged:
            raise BoardError(f"{board.name} is plugged in already")
        await self._open(board)
        plugged = self.plugged[board.name]
        self._connect(plugged)
        await self._begin(plugged)
        for other in list(self.plugged.values()):
            if other is not plugged:
                await self.hear(other, plugged.feed, plugged.board)

    async def unplug(self, name: str) -> None:
        """Take a board out: callers get *unplugged*, its data stay."""
        plugged = self.plugged.pop(name)
        if plugged.board.contract is not None:
            self.dispatcher.detach(name)
        await plugged.drained()
        plugged.silence()
        await plugged.deafen()
        for other in self.plugged.values():
            if name in other.consumers:
                await other.consumers.pop(name).stop()
        self.audit.forget(name)
        await plugged.close()

    async def _open(self, board: Board) -> None:
        plugged = self._made(board)
        await plugged.store.engine.start()
        self.plugged[board.name] = plugged

    def _made(self, board: Board) -> Plugged:
        engine = self.databases.engine(board.tables, board.migrations, self.clock.now)
        store = Store(engine, self.clock)
        # What a board may do in its own name: all its own, and the contracts it needs.
        granted = OfBoards({board.name, *board.manifest.needs}, board.manifest.permissions)
        plugged = Plugged(
            board,
            store,
            board_actor(board.name, granted),
            Settings(board.manifest, self._settings.get(board.name)),
        )
        plugged.sagas = Sagas(
            store,
            board.sagas,
            actor=plugged.actor,
            inject=lambda needs: self.inject(plugged, needs),
            clock=self.clock,
        )
        return plugged

    def _connect(self, plugged: Plugged) -> None:
        board = plugged.board
        if board.service is None:
            return
        plugged.service = board.service(**self.inject(plugged, board.constructor))
        if board.contract is not None:
            plugged.endpoint = LocalEndpoint(
                board.name,
                plugged.service,
                append=self.audit.append,
                meters=self.meters,
                find_done=plugged.store.answered,
            )
            self.dispatcher.attach(board.name, plugged.endpoint)

    async def _begin(self, plugged: Plugged) -> None:
        await plugged.feed.start()
        await self._take_part(plugged)
        started = getattr(plugged.service, "started", None)
        if started is not None:
            await started()

    async def _take_part(self, plugged: Plugged) -> None:
        if not self._standby:
            self.audit.collect(plugged.feed)
        for other in list(self.plugged.values()):
            await self.hear(plugged, other.feed, other.board)
        for job in plugged.board.jobs if self._reacting else ():
            plugged.timers.append(self.clock.every(job.seconds, partial(self._turn, plugged, job)))

    async def hear(self, plugged: Plugged, source: Source, board: Board | None = None) -> None:
        """Let a board react to the facts of another one, which may run in another process.

        ``board`` are its declarations, where this process knows them.
        """
        name = source.board
        # An adapter tells the facts of the contract that it answers.
        spoken_for = {name, self.bindings.contract_of(name)}
        # A service may hear what another board declares for it: the hub sends what boards map.
        hears = getattr(plugged.service, "hears", None)
        declared = hears(board) if hears is not None and board is not None else ()
        reactions = tuple(
            r
            for r in (*plugged.board.reactions, *declared)
            if r.carrying is not None or r.tag.partition(".")[0] in spoken_for
        )
        if not reactions or not self._reacting or name in plugged.consumers:
            return
        consumer = Consumer(
            plugged.store,
            source,
            reactions,
            actor=plugged.actor,
            inject=lambda needs: self.inject(plugged, needs),
            clock=self.clock,
        )
        plugged.consumers[name] = consumer
        await consumer.start()

    async def _turn(self, plugged: Plugged, job: Job) -> None:
        """One turn of a timer. Whatever a job does, the timer rings again."""
        started = time.perf_counter()
        error = await attempt(self.run_job(plugged, job))
        name = f"{plugged.board.name}.every:{job.name}"
        self.meters.count(name, time.perf_counter() - started, "fault" if error else "ok")
        if error is not None:
            _log.error("job %s: %s", name, kind_of(error))

    async def run_job(self, plugged: Plugged, job: Job) -> None:
        """Run a timed job as the board itself; an outage is noted and the next turn tries again."""
        request = new_id()
        envelope = Envelope(request=request, actor=plugged.actor, campus="", trace=request.hex)
        with calling(Call(envelope, operation=f"every:{job.name}")):
            try:
                await job.function(**self.inject(plugged, job.needs))
            except Unavailable as away:
                _log.warning("job %s.%s: %s", plugged.board.name, job.name, away)

    async def forget_old_answers(self) -> None:
        """Drop the answers to requests so old that they are refused as expired (ADR 0008)."""
        before = self.clock.now() - timedelta(days=REQUEST_KEPT_DAYS + 1)
        for plugged in self.plugged.values():
            try:
                await plugged.forget_answers(before)
            except Unavailable as away:
                _log.warning("old answers of %s stay for now: %s", plugged.board.name, away)

    # ── use ─────────────────────────────────────────────────────────────────────────────────
    def inject(self, plugged: Plugged, needs: dict[str, Any]) -> dict[str, Any]:
        """Values for parameters, by their types."""
        return {name: self._value(plugged, name, kind) for name, kind in needs.items()}

    def _value(self, plugged: Plugged, name: str, kind: Any) -> Any:
        if is_contract(kind):
            return self.dispatcher.client(kind, caller=plugged.board.name)
        if kind is Clock:
            return self.clock
        if kind is Outside:
            return Lazily(lambda: self.outside)
        if isinstance(kind, type):
            own: dict[Any, Any] = {
                Store: plugged.store,
                Sagas: plugged.sagas,
                Settings: plugged.settings,
                Here: Here(plugged.board.name, self.bindings),
                Runtime: self,
            }
            if kind in own:
                return own[kind]
            if kind is plugged.board.service or (
                plugged.service is not None and isinstance(plugged.service, kind)
            ):
                return plugged.service
        raise BoardError(f"{plugged.board.name}: nothing fits the parameter {name}: {kind!r}")

    def client(self, protocol: type[T], *, caller: str = "edge") -> T:
        """A client of a contract, acting in the current call's name."""
        contract_of(protocol)
        return self.dispatcher.client(protocol, caller=caller)

    async def quiet(self, *, patience_s: float = 30.0) -> None:
        """Wait until every known fact has been dealt with (tests, the end of a simulated day)."""
        self.audit.hurry()
        try:
            await self._calm(patience_s, self.lag)
        finally:
            self.audit.hurry(on=False)

    async def settled(self, *, patience_s: float = 30.0) -> None:
        """Wait until the boards have dealt with every known fact; the audit log may follow."""
        await self._calm(patience_s, self._unheard)

    async def _calm(self, patience_s: float, lag: Callable[[], int]) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_s
        calm = 0
        while calm < CALM_LOOKS:
            busy = lag() or await self._numbered()
            calm = 0 if busy else calm + 1
            if loop.time() > until:
                raise TimeoutError(f"{busy} events are still waiting")
            await asyncio.sleep(0 if not busy else 0.002)

    async def _numbered(self) -> int:
        """On servers: give what is committed its position, and say how much that brought up."""
        settles = [getattr(p.store.engine, "settle", None) for p in self.plugged.values()]
        await asyncio.gather(*(settle() for settle in settles if settle is not None))
        return self._unheard()

    def lag(self) -> int:
        """How many facts are known and not yet dealt with, over all boards."""
        return self._unheard() + self.audit.lag

    def _unheard(self) -> int:
        return sum(c.lag for p in self.plugged.values() for c in p.consumers.values())

    async def parked(self) -> tuple[Parked, ...]:
        """Every event that waits for a person, over all boards."""
        found: list[Parked] = []
        for plugged in self.plugged.values():
            found += await list_parked(plugged.store)
        return tuple(found)

    async def replay_parked(self, board: str, parked: UUID, *, by: str) -> None:
        """Handle a parked event now. Raises ``StillFailing`` if it cannot be handled yet."""
        plugged = self.plugged[board]
        await replay(plugged.store, plugged.consumers, parked, by)

    async def skip_parked(self, board: str, parked: UUID, *, by: str, reason: str) -> None:
        """Leave a parked event out for good."""
        plugged = self.plugged[board]
        await skip(plugged.store, plugged.consumers, parked, by=by, reason=reason)

    async def prove(self, *, only: str = "") -> list[Proven]:
        """Run the proofs of every board, or of one."""
        boards = [p for p in self.plugged.values() if only in ("", p.board.name)]
        return [proven for plugged in boards for proven in await plugged.prove()]
