"""Lanes 通道: deliver what the ledger keeps, in order per key, again and again until it is done.

A key that fails waits with growing pauses and holds nobody but itself. What is refused for good,
or fails too often, is given up *visibly*: it stands among the dead letters until a person acts.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from plugward.kit.time import Clock, Instant

from .ledger import Delivery, LedgerFailed, LocalLedger, Outcome
from .ledger_tables import State

_log = logging.getLogger("plugward.hub.lanes")

Deliver = Callable[[Delivery], Awaitable[Outcome]]
Watch = Callable[[Delivery, Outcome, float], None]
"""Told of every attempt: what, how it ended, and how many seconds it took."""


def _unwatched(delivery: Delivery, outcome: Outcome, seconds: float) -> None:
    del delivery, outcome, seconds


DONE = Outcome(State.DONE)
_SETTLE_EVERY_S = 0.1
_AFTER_LEDGER_FAILURE_S = 1.0
_IDLE_S = 3600.0
_GATHER_S = 0.003
"""Under load a worker that looks again at once finds one message and pays a commit for it."""


class Kind(StrEnum):
    """Of a failure. Each has its own patience, counted for itself."""

    CONNECT = "connect"  # nobody there: it cannot have arrived
    NO_ANSWER = "no-answer"  # it may have arrived
    ERROR = "error"  # AE, HTTP 5xx, a SOAP fault of the server: there, and says no for now
    BUSY = "busy"  # HTTP 429, 503: told to come later
    UNREADABLE = "unreadable"  # what came back is no answer to this


@dataclass(frozen=True)
class Retry:
    """How long to wait after the first, second … failure, and when to give up."""

    first_s: float = 1.0
    factor: float = 2.0
    longest_s: float = 300.0
    attempts_max: int = 0
    """0: an outage never makes a letter dead, however long it lasts."""

    def after(self, attempts: int) -> timedelta:
        """The pause after this many failures."""
        # 2.0 ** 1024 is an error, and an outage of a week comes near it.
        return timedelta(
            seconds=min(self.first_s * self.factor ** min(attempts, 64), self.longest_s)
        )


ERRORS_BEFORE_DEAD = 10
POLICY: Mapping[str, Retry] = {
    Kind.CONNECT: Retry(longest_s=60.0),
    Kind.NO_ANSWER: Retry(),
    Kind.ERROR: Retry(attempts_max=ERRORS_BEFORE_DEAD),
    Kind.BUSY: Retry(first_s=5.0),
    Kind.UNREADABLE: Retry(attempts_max=ERRORS_BEFORE_DEAD),
}
"""A receiver that is away is waited for; one that is there and says no, not for ever."""


@dataclass(frozen=True)
class Destination:
    """Somewhere messages go, and how. ``retry`` is one patience for all, or one for each kind."""

    name: str
    deliver: Deliver
    retry: Retry | Mapping[str, Retry] = Retry()
    parallel: int = 1
    lanes_per_run: int = 32
    per_lane: int = 64

    def patience(self, kind: str) -> Retry:
        """How this kind of failure is met."""
        if isinstance(self.retry, Retry):
            return self.retry
        return self.retry.get(kind) or POLICY.get(kind) or Retry()


class Failed(Exception):
    """An attempt failed; the same message will be tried again. ``after_s``: not before that."""

    def __init__(self, reason: str, kind: str = Kind.CONNECT, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.kind = kind
        self.after_s = after_s


class Lanes:
    """The workers: one for each destination."""

    def __init__(self, ledger: LocalLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._workers: dict[str, _Worker] = {}
        self._expected: dict[tuple[UUID, str], asyncio.Future[Outcome]] = {}
        self.watch: Watch = _unwatched

    @property
    def names(self) -> tuple[str, ...]:
        """The destinations that are served."""
        return tuple(self._workers)

    def add(self, destination: Destination) -> None:
        """Serve a destination from now on, beginning with whatever waits for it."""
        worker = _Worker(destination, self._ledger, self._clock, self)
        self._workers[destination.name] = worker
        worker.start()

    async def remove(self, destination: str) -> None:
        """Serve a destination no more; what waits for it stays."""
        worker = self._workers.pop(destination, None)
        if worker is not None:
            await worker.stop()

    async def stop(self) -> None:
        """Finish the attempts under way and stop."""
        await asyncio.gather(*(worker.stop() for worker in self._workers.values()))
        self._workers = {}

    def nudge(self, destination: str) -> None:
        """Something new waits there."""
        if destination in self._workers:
            self._workers[destination].look.set()

    def expect(self, message: UUID, destination: str) -> "asyncio.Future[Outcome]":
        """The outcome of the next attempt at a delivery, once it is durable."""
        place = (message, destination)
        if place not in self._expected:
            future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            self._expected[place] = future
            future.add_done_callback(lambda _: self._expected.pop(place, None))
        return self._expected[place]

    def is_awaited(self, destination: str) -> bool:
        """Whether a sender waits for an outcome there."""
        return any(to == destination for _, to in self._expected)

    def tell(self, delivery: Delivery, outcome: Outcome) -> None:
        """An outcome is durable: whoever waits for it, and lanes it opened, are told."""
        for parcel in outcome.parcels:
            self.nudge(parcel.lane.destination)
        waiting = self._expected.get((delivery.message, delivery.destination))
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)


class _Worker:
    def __init__(
        self,
        destination: Destination,
        ledger: LocalLedger,
        clock: Clock,
        lanes: Lanes,
    ) -> None:
        self.destination = destination
        self.look = asyncio.Event()
        self._ledger = ledger
        self._clock = clock
        self._lanes = lanes
        self._busy: set[str] = set()
        self._runs: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._ended_at = 0.0

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        self._is_stopping = True
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._runs:
            await asyncio.wait(self._runs, timeout=5)
        for run in self._runs:
            run.cancel()

    async def _work(self) -> None:
        while True:
            self.look.clear()
            await self._gather()
            free = self.destination.parallel - len(self._runs)
            if free > 0:
                for run in await self._runs_due(free):
                    self._begin(run)
            await self._rest()

    async def _gather(self) -> None:
        """Right after a run, let a few messages come together, unless somebody waits for one."""
        name = self.destination.name
        is_busy = asyncio.get_running_loop().time() - self._ended_at < _GATHER_S
        is_short = self._ledger.pending[name] < self.destination.per_lane
        if is_busy and is_short and not self._lanes.is_awaited(name):
            await asyncio.sleep(_GATHER_S)

    async def _runs_due(self, free: int) -> list[list[Delivery]]:
        there = self.destination
        found = await self._ledger.heads(
            there.name,
            lanes=free * there.lanes_per_run,
            per_lane=there.per_lane,
            busy=frozenset(self._busy),
        )
        by_key: dict[str, list[Delivery]] = {}
        for delivery in found:
            by_key.setdefault(delivery.key, []).append(delivery)
        runs: list[list[Delivery]] = [[] for _ in range(min(free, len(by_key)))]
        for number, deliveries in enumerate(by_key.values()):
            runs[number % len(runs)] += deliveries
        return runs

    def _begin(self, run: list[Delivery]) -> None:
        keys = {delivery.key for delivery in run}
        self._busy |= keys
        task = asyncio.get_running_loop().create_task(self._run(run))
        self._runs.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._runs.discard(task)
            self._busy -= keys
            self._ended_at = asyncio.get_running_loop().time()
            self.look.set()

        task.add_done_callback(ended)

    async def _rest(self) -> None:
        """Until something new waits, a run ends, or the next lane falls due."""
        if self.look.is_set():
            return
        due = None
        if len(self._runs) < self.destination.parallel:
            due = await self._ledger.next_due(self.destination.name, frozenset(self._busy))
        if due is None:
            await self.look.wait()
            return
        pause = (due - self._clock.now()).total_seconds()
        if pause <= 0:
            return
        waits = [
            asyncio.ensure_future(self.look.wait()),
            asyncio.ensure_future(self._clock.sleep(min(pause, _IDLE_S))),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _run(self, run: Sequence[Delivery]) -> None:
        loop = asyncio.get_running_loop()
        held: set[str] = set()
        settled: list[tuple[Delivery, Outcome]] = []
        since = loop.time()
        for delivery in run:
            if delivery.key in held or self._is_stopping:
                continue
            began = loop.time()
            outcome = await self._attempt(delivery)
            self._lanes.watch(delivery, outcome, loop.time() - began)
            if outcome.state is State.PENDING:
                held.add(delivery.key)
            settled.append((delivery, outcome))
            if loop.time() - since > _SETTLE_EVERY_S:
                await self._settle(settled)
                settled, since = [], loop.time()
        await self._settle(settled)

    async def _attempt(self, delivery: Delivery) -> Outcome:
        # A task of its own: whatever a connector raises is this delivery's end, not the worker's.
        attempt = asyncio.ensure_future(self.destination.deliver(delivery))
        try:
            await asyncio.wait({attempt})
        finally:
            attempt.cancel()
        failure = attempt.exception()
        if failure is None:
            return attempt.result()
        if isinstance(failure, Failed):
            return self._again(delivery, failure)
        kind = type(failure).__name__
        _log.error(
            "fault in the delivery of %s to %s: %s", delivery.kind, delivery.destination, kind
        )
        return Outcome(State.DEAD, f"fault: {kind}")

    def _again(self, delivery: Delivery, failed: Failed) -> Outcome:
        retry = self.destination.patience(failed.kind)
        before = delivery.attempts if delivery.fault in (failed.kind, "") else 0
        if retry.attempts_max and before + 1 >= retry.attempts_max:
            return Outcome(State.DEAD, f"given up after {before + 1} attempts: {failed}")
        pause = max(retry.after(before), timedelta(seconds=failed.after_s))
        at: Instant = self._clock.now() + pause
        return Outcome(State.PENDING, str(failed), retry_at=at, fault=failed.kind)

    async def _settle(self, settled: list[tuple[Delivery, Outcome]]) -> None:
        if not settled:
            return
        try:
            await self._ledger.settle(settled)
        except LedgerFailed as failure:
            # Delivered and not noted: it will be delivered again, which receivers expect.
            _log.error("outcomes of %s were not kept: %s", self.destination.name, failure)
            await asyncio.sleep(_AFTER_LEDGER_FAILURE_S)
            return
        for delivery, outcome in settled:
            self._lanes.tell(delivery, outcome)
