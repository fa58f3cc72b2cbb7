"""Node 节点: a whole hub in one process: doors, ledger, lanes and the site's routes.

The hospital's hub board runs one; ``plugward hub listen`` runs one by itself.
"""

import asyncio
import fcntl
import logging
import os
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from plugward.kit.time import Clock, Instant

from .endpoints import AnyEndpoint, EndpointInvalid, Ready, read_endpoints, ready
from .hl7 import ErrorCode, Message, parse_path
from .in_force import NEVER, mark_of
from .intake import Denied, Intake, NotNow, Plan, kind_of, sender_of, unnoticed
from .lanes import Destination, Lanes
from .ledger import LocalLedger
from .ledger_records import Delivery, Outcome
from .ledger_tables import State
from .measures import Direction, Measures, Row
from .mllp import Peer
from .routing import Incoming
from .routing.book import RouteBook
from .routing.compiled import RouteInvalid
from .routing.router import FAULTS, Routed, Router

_log = logging.getLogger("plugward.hub.node")

LOOK_EVERY_S = 1.0
FREE_BYTES_MIN = 256 * 1024 * 1024
UNREAD = "unread"
MSH_9_2 = parse_path("MSH-9.2")
TAKEN = "the hospital's own hub already sends to a system of this name; choose another"
NOTHING = Plan()


class Live(msgspec.Struct, frozen=True):
    """What a running node tells about itself, once a second or so, in ``live.json``."""

    pid: int
    at: Instant
    rows: tuple[Row, ...]
    minutes: tuple[tuple[int, int, int], ...]
    routes: dict[str, int]
    problems: dict[str, str]
    connected: dict[str, bool]
    pending: dict[str, int]


class FolderTaken(OSError):
    """Another process works on the same folder: one sentence that says what to do."""


Own = Callable[[Message, Peer], Plan]
"""What the hospital's own boards do with a message, besides the site's routes."""


def _none(message: Message, peer: Peer) -> Plan:
    del message, peer
    return NOTHING


class Node:
    """Everything but the doors, which are opened on top of it."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        keeps_all: bool = False,
        own: Own = _none,
        denied: Denied = unnoticed,
        name_of: Callable[[str], str] = str,
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.measures = Measures()
        self.book = RouteBook(folder / "routes")
        self.endpoints: dict[str, Ready] = {}
        self.problems: dict[str, str] = {}
        """What of the configuration is not in force, and why."""
        self.is_full = False
        self.looks: list[Callable[[], None]] = []
        """What else is looked at once a second; ``ValueError`` is a problem to be shown."""
        self.ends: list[Callable[[], Awaitable[None]]] = []
        """What else has to end before the ledger closes."""
        self._keeps_all = keeps_all
        self._own = own
        self._denied = denied
        self._name_of = name_of
        self._lock: IO[str] | None = None
        self._served: set[str] = set()
        self._others: set[str] = set()
        self._endpoints_mark = NEVER
        self._looker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the ledger, take the routes into force, deliver what waits."""
        await self.open()
        await self.work()

    async def open(self) -> None:
        """Open the ledger, to be looked at; nothing is delivered yet."""
        (self.folder / "hub").mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ledger = LocalLedger(self.folder / "hub" / "ledger.sqlite", self.clock.now)
        await self.ledger.start()
        self.lanes = Lanes(self.ledger, self.clock)
        self.lanes.watch = self._attempted
        self.router = Router(self.book, self.is_there)
        self.intake = Intake(
            ledger=self.ledger,
            lanes=self.lanes,
            clock=self.clock,
            decide=self.decide,
            denied=self._denied,
            watch=self._took,
        )

    async def work(self) -> None:
        """Take the folder for this process and the routes into force; deliver what waits.

        Raises ``FolderTaken``.
        """
        self._lock = (self.folder / "hub" / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FolderTaken(f"another hub works on {self.folder}; stop it first") from None
        await self.look()
        self._looker = asyncio.get_running_loop().create_task(self._look_again_and_again())

    async def stop(self) -> None:
        """Finish what is under way and close."""
        for end in self.ends:
            await end()
        if self._looker is not None:
            self._looker.cancel()
            with suppress(asyncio.CancelledError):
                await self._looker
        await self.lanes.stop()
        for one in self.endpoints.values():
            await one.close()
        if self._looker is not None:
            self.tell()
        await self.ledger.stop()
        if self._lock is not None:
            self._lock.close()

    # ── deciding ────────────────────────────────────────────────────────────────────────────
    @property
    def destinations(self) -> set[str]:
        """Where something may be sent."""
        return {*self.endpoints, *self._others}

    def is_there(self, destination: str) -> bool:
        """Whether something may be sent there."""
        return destination in self.endpoints or destination in self._others

    def decide(self, message: Message, peer: Peer) -> Plan:
        """What becomes of an HL7 message; refuses by ``Hl7Error``."""
        own = self._own(message, peer)
        incoming = Incoming(
            message.raw, kind=kind_of(message), sender=sender_of(message), message=message
        )
        return self.plan(incoming, own)

    def plan(self, incoming: Incoming, own: Plan = NOTHING) -> Plan:
        """What the routes in force make of it, and ``own`` besides; refuses by ``Hl7Error``."""
        if self.is_full:
            raise _not_now("the disk is nearly full", "平台存储空间不足，请稍后重发")
        routes = self.router.concerned(incoming)
        if not routes:
            if self._keeps_all or own.lanes:
                return own
            raise NotNow(
                "no route and no board takes this message now",
                code=ErrorCode.UNSUPPORTED_EVENT_CODE,
                at=MSH_9_2,
                shown="目前没有路由或业务板处理此类消息，请稍后重发",
            )
        try:
            parcels = self.router.parcels(routes, incoming)
        except Routed as refused:
            if refused.again:
                raise _not_now(refused.error.reason, refused.error.shown) from refused
            raise refused.error from refused
        plan = own._replace(lanes=[*own.lanes, *parcels])
        for name in plan.destinations:
            self.check_room(name)
        if any(route.settings.reply == "delivered" for route in routes):
            return plan._replace(delivered=frozenset(one.lane.destination for one in parcels))
        return plan

    def check_room(self, destination: str) -> None:
        """Back-pressure: what cannot be kept is not accepted, so the sender keeps it."""
        one = self.endpoints.get(destination)
        if one is not None and self.ledger.pending[destination] >= one.endpoint.backlog_max:
            raise _not_now(f"the backlog of {destination} is full", "目的系统积压已满，请稍后重发")

    # ── configuration ───────────────────────────────────────────────────────────────────────
    async def look(self) -> None:
        """Take over what changed: destinations first, then routes."""
        await self._look_at_endpoints()
        if self.router.look():
            await self._serve_routes()
        for look in self.looks:
            try:
                look()
            except ValueError as error:
                _log.error("%s", error)
        free = shutil.disk_usage(self.folder).free
        if (free < FREE_BYTES_MIN) is not self.is_full:
            self.is_full = free < FREE_BYTES_MIN
            _log.warning(
                "%d MiB are free: %s", free >> 20, "refusing" if self.is_full else "going on"
            )

    async def serve(self, destination: Destination) -> None:
        """A destination of the hospital's own; one of the same name is replaced."""
        await self.leave(destination.name)
        self._others.add(destination.name)
        self.lanes.add(destination)

    async def leave(self, destination: str) -> None:
        """Serve it no more; what waits for it stays."""
        if destination in self.endpoints:
            await self._close(destination)
            self.problems[destination] = TAKEN
        await self.lanes.remove(destination)
        self._others.discard(destination)
        self._endpoints_mark = NEVER  # a destination of this name may be taken now

    async def _look_at_endpoints(self) -> None:
        path = self.folder / "destinations.toml"
        mark = mark_of(path)
        if mark == self._endpoints_mark:
            return
        self._endpoints_mark = mark
        try:
            wanted = read_endpoints(path)
        except EndpointInvalid as error:
            _log.error("%s", error)
            self.problems["destinations.toml"] = str(error)
            return
        self.problems.pop("destinations.toml", None)
        for name in set(self.endpoints) - set(wanted):
            await self._close(name)
        for name, told in wanted.items():
            before = self.endpoints.get(name)
            if before is None or before.endpoint != told:
                await self._open(name, told)

    async def _open(self, name: str, told: AnyEndpoint) -> None:
        if name in self._others:
            self.problems[name] = TAKEN
            return
        try:
            fresh = ready(name, told, base=self.folder)
        except EndpointInvalid as error:
            _log.error("%s", error)
            self.problems[name] = str(error)
            return
        self.problems.pop(name, None)
        await self._close(name)
        self.endpoints[name] = fresh
        self.lanes.add(fresh.destination)

    async def _close(self, name: str) -> None:
        """What waits for it stays on its lanes."""
        await self.lanes.remove(name)
        before = self.endpoints.pop(name, None)
        if before is not None:
            await before.close()

    async def _serve_routes(self) -> None:
        wanted = {FAULTS + name for name in self.router.active}
        for gone in self._served - wanted:
            await self.lanes.remove(gone)
        for name in wanted - self._served:
            self.lanes.add(Destination(name, self.router.again))
        self._served = wanted

    async def _look_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
                self.tell()
            except (OSError, RouteInvalid) as error:
                _log.warning("the configuration could not be looked at: %s", error)

    @property
    def all_problems(self) -> dict[str, str]:
        """What of the configuration and the routes is not in force, and why."""
        return {**self.problems, **self.router.problems}

    # ── telling ─────────────────────────────────────────────────────────────────────────────
    def live(self) -> Live:
        """How it is doing."""
        now = self.clock.now()
        return Live(
            pid=os.getpid(),
            at=now,
            rows=tuple(self.measures.rows(now)),
            minutes=tuple(self.measures.minutes(now)),
            routes={name: route.version for name, route in self.router.active.items()},
            problems=self.all_problems,
            connected={name: one.is_connected() for name, one in self.endpoints.items()},
            pending={name: count for name, count in self.ledger.pending.items() if count > 0},
        )

    def tell(self) -> None:
        """Write ``live.json`` for whoever asks from another process."""
        path = self.folder / "hub" / "live.json"
        fresh = path.with_suffix(".part")
        fresh.write_bytes(msgspec.json.encode(self.live()))
        fresh.replace(path)

    def _took(self, sender: str, kind: str, size: int, seconds: float, error: str) -> None:
        self.measures.count(
            self._name_of(sender) or UNREAD,
            kind or UNREAD,
            Direction.IN,
            at=self.clock.now(),
            seconds=seconds,
            size=size,
            error=error,
        )

    def _attempted(self, delivery: Delivery, outcome: Outcome, seconds: float) -> None:
        self.measures.count(
            delivery.destination,
            delivery.kind,
            Direction.OUT,
            at=self.clock.now(),
            seconds=seconds,
            size=len(delivery.body),
            error="" if outcome.state is State.DONE else outcome.reason,
        )


def _not_now(reason: str, shown: str) -> NotNow:
    return NotNow(reason, code=ErrorCode.INTERNAL, shown=shown)
