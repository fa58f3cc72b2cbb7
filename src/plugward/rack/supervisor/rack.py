"""The rack 机架: its processes started in order, watched, told apart, and ended together."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from plugward.kernel.binding import NOTHING_BOUND, Bindings
from plugward.kernel.manifest import Manifest, read_manifest
from plugward.kit.time import Clock

from ..control.embedded import keep_out, kept_out
from ..control.words import RackStatus
from ..environments import Installed
from ..folder import DataFolder, FolderError
from ..place import Stores
from ..postgres import PostgresFailed
from ..wire.broker import Broker, User, administrator, user_of
from ..wire.passes import Root
from .child import Child, board_process
from .database import ServerDatabase, database_of
from .guests import Guests
from .moving import keep_seating, reseated, seating_of
from .plan import RackPlan, Seat
from .preparing import PreparingFailed
from .servers import Guard, own_nats
from .shares import BudgetTooSmall
from .spec import Spec, write_secret
from .standing import standing
from .survey import Survey, Surveyed, survey

LOOK_S = 0.2
AT_ONCE = 3  # processes that start at the same time: more only wait for each other
# They speak for persons and systems, not only for themselves.
EDGES = frozenset({"portal", "hub", "identity"})
# They show or carry what other boards declare.
KNOW_ALL = frozenset({"portal", "hub", "identity", "datacentre", "documents"})
Say = Callable[[str], None]


class RackFailed(Exception):
    """The rack cannot stand; one sentence."""


class Rack:
    """All processes of one host."""

    def __init__(self, folder: DataFolder, plan: RackPlan, clock: Clock, *, demo: bool) -> None:
        self.folder = folder
        self.plan = plan
        self.port = 0
        self._demo = demo
        self._clock = clock
        self._root = Root.create()
        self._own = administrator()
        self._seats: dict[str, Seat] = {}
        self._database: ServerDatabase | None = None
        self._broker: Broker | None = None
        self._guard = Guard()
        self._survey = Survey((), {})
        self._children: dict[str, tuple[Seat, Child]] = {}
        self.manifests: dict[str, Manifest] = {}
        self._url = ""
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._users: dict[str, User] = {}
        self._campuses: dict[str, dict[str, str]] = {}
        self._bindings = NOTHING_BOUND
        self.as_written = plan  # before boards were moved
        self.guests = Guests(folder.path / "guests")

    @property
    def work(self) -> Path:
        """Where the rack keeps what only it needs: keys, NATS, what processes are told."""
        return self.folder.path / "rack"

    async def open(self, say: Say) -> Stores | None:
        """The database server, if the plan names one, and the rack's own way to it.

        Raises ``RackFailed``.
        """
        try:
            self._database = database_of(self.folder, self.plan)
            if self._database is None:
                return None
            say(f"database: {await self._database.start(self._watched)}")
        except (FolderError, PostgresFailed) as error:
            raise RackFailed(str(error)) from None
        return self._database.rack_stores()

    async def start(self, say: Say) -> None:
        """Everything up, those first whom others need. Raises ``RackFailed``."""
        self._survey = await survey()
        self.as_written = self.plan
        self.plan = reseated(self.plan, seating_of(self.folder.path))
        boards = {board.name: board for board in self._survey.boards}
        self.manifests = {
            name: read_manifest(Path(board.folder) / "board.toml") for name, board in boards.items()
        }
        for installed in self.guests.all():
            self.welcome(installed)
        self._bind()
        seats = self.plan.seats(tuple(board.name for board in self._survey.boards))
        self._users = {seat.label: self._user(seat) for seat in seats}
        await self._prepare(say)
        self._url = await self._nats(say)
        out = kept_out(self.folder.path)
        self._seats = {seat.label: seat for seat in seats}
        begin = [seat for seat in seats if not out & set(seat.boards)]
        await asyncio.gather(*(self._begin(seat, say) for seat in begin))
        await self._watched()
        portal = next((c for s, c in self._children.values() if "portal" in s.boards), None)
        if portal is not None and portal.ready is not None:
            self.port = portal.ready.port

    async def stop(self, say: Say) -> None:
        """Doors first, then those whom others need last, then the servers."""
        for seat, child in reversed(self._children.values()):
            if EDGES & set(seat.boards):
                await child.stop()
        await asyncio.gather(*(child.stop() for _, child in self._children.values()))
        say(f"{len(self._children)} processes have ended")
        await self._guard.dismiss()
        if self._broker is not None:
            await self._broker.stop()

    def _bind(self) -> None:
        """Who answers which contract where; callers may call all of them. Raises ``RackFailed``."""
        self._campuses = dict(self.plan.campus or self.folder.settings().campus)
        self._bindings = Bindings.of(self._campuses)
        if problems := [*self._bindings.problems(self.manifests)]:
            raise RackFailed("\n".join(problems))
        widened = self._bindings.widened
        self.manifests = {name: widened(manifest) for name, manifest in self.manifests.items()}

    async def close(self) -> None:
        """The database server, after everybody who writes to it."""
        if self._database is not None:
            await self._database.stop()

    async def _prepare(self, say: Say) -> None:
        """A place on the server for every board there is, so that each can be plugged in later."""
        if self._database is None:
            return
        names = [b.name for b in self._survey.boards if b.name not in self.guests]
        everybody = {
            name: msgspec.structs.replace(self.plan.board(name), plugged=True) for name in names
        }
        plan = msgspec.structs.replace(self.plan, boards=everybody)
        try:
            await self._database.prepare(plan.seats(names), self.work / "preparation")
        except (BudgetTooSmall, PreparingFailed) as error:
            raise RackFailed(str(error)) from None
        say(f"{len(names)} boards have their tables, roles and logins")

    # ── processes ───────────────────────────────────────────────────────────────────────────
    async def _begin(self, seat: Seat, say: Say) -> bool:
        async with self._limit:
            path = self.work / "processes" / f"{seat.label}.spec"
            write_secret(path, self._spec(seat))
            child = Child(
                seat.label, self._command(seat, path), self.folder.logs / f"{seat.label}.log"
            )
            self._children[seat.label] = (seat, child)
            child.start()
            if await child.until_ready():
                say(f"{seat.label}: {', '.join(seat.boards)}")
                return True
            say(f"{seat.label} is not up: {child.why}")
            return False

    @property
    def plugged(self) -> list[str]:
        """The boards that should be running."""
        return [board for seat, _ in self._children.values() for board in seat.boards]

    def copies(self, board: str) -> int:
        """How many processes answer for a board."""
        return sum(board in seat.boards for seat, _ in self._children.values())

    def together_with(self, board: str) -> list[str]:
        """Who else sits in this board's process."""
        return [
            other
            for seat, _ in self._children.values()
            if board in seat.boards
            for other in seat.boards
            if other != board
        ]

    def hearing(self, board: str) -> list[str]:
        """Who reacts to this board's facts and runs."""
        told = {one.name: one.hears for one in self._survey.boards}
        return sorted(name for name in self.plugged if board in told.get(name, ()))

    async def put_in(self, board: str) -> str:
        """Start a board's processes; answers what is wrong, or nothing."""
        seats = [seat for seat in self._seats.values() if board in seat.boards]
        if not seats:
            seats = [Seat(board, (board,))]
            self._seats[board] = seats[0]
        keep_out(self.folder.path, kept_out(self.folder.path) - {board})
        for seat in seats:
            if problem := await self.tried(seat):
                return problem
        await self._watched()
        return ""

    async def take_out(self, board: str) -> None:
        """End a board's processes; it stays out at the next start."""
        keep_out(self.folder.path, kept_out(self.folder.path) | {board})
        gone = [label for label, (seat, _) in self._children.items() if board in seat.boards]
        for label in gone:
            await self.ended(label)

    # ── boards from outside ─────────────────────────────────────────────────────────────────
    def forget(self, name: str) -> None:
        """A board that never ran: it leaves no claim behind."""
        self.guests.drop(name)
        self.manifests.pop(name, None)
        self._survey = self._survey.without(name)
        keep_out(self.folder.path, kept_out(self.folder.path) - {name})

    async def tried(self, seat: Seat) -> str:
        """Whether a process starts and stays."""
        if seat.label not in self._users:
            self._users[seat.label] = self._user(seat)
            self._reload()
        begun = asyncio.ensure_future(self._begin(seat, _silent))
        while not begun.done():
            await asyncio.wait({begun}, timeout=LOOK_S)
            child = self._children.get(seat.label)
            if child is not None and child[1].ended:
                begun.cancel()
                return child[1].ended
        _, tried = self._children[seat.label]
        return "" if begun.result() and tried.healthy else tried.why

    async def ended(self, label: str) -> None:
        """End one process."""
        if label in self._children:
            _, child = self._children.pop(label)
            await child.stop()
            await self._watched()

    def is_up(self, label: str) -> bool:
        return label in self._children and self._children[label][1].healthy

    def welcome(self, installed: Installed) -> None:
        """Its manifest, whom it hears, and everybody's rights with it there."""
        name = installed.name
        self.manifests[name] = self._bindings.widened(self.guests.manifest(name))
        told = Surveyed(name, installed.examined.folder, installed.examined.hears)
        self._survey = self._survey.with_(told)
        for label, seat in self._seats.items():
            fresh = self._user(seat)
            self._users[label] = msgspec.structs.replace(
                fresh, password=self._users[label].password
            )
        self._reload()

    def _command(self, seat: Seat, spec: Path) -> Sequence[str]:
        guest = next((name for name in seat.boards if name in self.guests), None)
        if guest is None:
            return board_process(spec)
        return self.guests.command(guest, spec, self._url)

    async def restart(self, board: str, say: Say) -> str:
        """One replica after the other, each ready before the next; what is wrong, or nothing."""
        for seat, child in [found for found in self._children.values() if board in found[0].boards]:
            await child.stop()
            up = await self._begin(seat, say)
            await self._watched()
            if not up:
                return self._children[seat.label][1].why
        return ""

    # ── between processes ───────────────────────────────────────────────────────────────────
    def touched_by(self, board: str, seat: str) -> list[str]:
        """The boards whose processes start anew when this one moves."""
        before, after = self._planned(self.plan), self._planned(self._moved(board, seat))
        changed = {*before.items()} ^ {*after.items()}
        return sorted({name for _, one in changed for name in one.boards})

    async def reseat(self, board: str, seat: str) -> str:
        """Move a board to another process; what is wrong, or nothing. Files stay where they are.

        Only one process has a board's file open: the old ones end before the new ones begin.
        """
        before, moved = self.plan, self._moved(board, seat)
        problem = await self._exchanged(moved)
        if problem:
            await self._exchanged(before)
            return problem
        seating = seating_of(self.folder.path) | {board: seat}
        keep_seating(self.folder.path, seating)
        return ""

    def _moved(self, board: str, seat: str) -> RackPlan:
        return reseated(self.as_written, seating_of(self.folder.path) | {board: seat})

    def _planned(self, plan: RackPlan) -> dict[str, Seat]:
        return {seat.label: seat for seat in plan.seats([b.name for b in self._survey.boards])}

    async def _exchanged(self, plan: RackPlan) -> str:
        """End what the plan no longer has and begin what it has anew; the first that is not up."""
        seats, out = self._planned(plan), kept_out(self.folder.path)
        running = {label: seat for label, (seat, _) in self._children.items()}
        gone = [label for label, seat in running.items() if seats.get(label) != seat]
        await asyncio.gather(*(self._children.pop(label)[1].stop() for label in gone))
        new = [s for label, s in seats.items() if running.get(label) != s and not out & {*s.boards}]
        self.plan, self._seats = plan, seats
        self._users |= {seat.label: self._user(seat) for seat in new}
        self._reload()
        up = await asyncio.gather(*(self._begin(seat, _silent) for seat in new))
        await self._watched()
        sick = (s for s, is_up in zip(new, up, strict=True) if not is_up)
        return next((f"{s.label}: {self._children[s.label][1].why}" for s in sick), "")

    def _reload(self) -> None:
        if self._broker is not None:
            self._broker.reload([self._own, *self._users.values()])

    def _spec(self, seat: Seat) -> Spec:
        user = self._users[seat.label]
        credentials = self._root.credentials(
            [self.manifests[name] for name in seat.boards],
            site=self.plan.site,
            edge=bool(EDGES & set(seat.boards)),
        )
        others = set(self.manifests) - set(seat.boards)
        knows = others if KNOW_ALL & set(seat.boards) else set()
        outside = any(name in self.guests for name in seat.boards)
        return Spec(
            seat=seat,
            site=self.plan.site,
            data=str(self.guests.home(seat.name) if outside else self.folder.path),
            nats=self._url,
            user=user.name,
            password=user.password,
            credentials=credentials.to_bytes(),
            host=self.plan.host,
            port=self.plan.port,
            mllp_port=self.plan.mllp_port,
            demo=self._demo,
            declared=tuple(sorted(knows)),
            stores=None if outside else self._stores(seat),
            campuses=self._campuses,
        )

    def _stores(self, seat: Seat) -> Stores | None:
        if self._database is None:
            return None
        return self._database.stores(seat, replicas=self.plan.replicas(seat))

    def _user(self, seat: Seat) -> User:
        boards = {board.name: board for board in self._survey.boards}
        hears: set[str] = set()
        for name in seat.boards:
            said = [p for n in boards[name].hears for p in self._bindings.providers(n)]
            hears |= set(boards) if "*" in said or name in KNOW_ALL else set(said)
        return user_of(
            seat.label,
            [self.manifests[name] for name in seat.boards],
            site=self.plan.site,
            hears=sorted(hears),
            edge=bool(EDGES & set(seat.boards)),
        )

    # ── servers ─────────────────────────────────────────────────────────────────────────────
    async def _nats(self, say: Say) -> str:
        if self.plan.nats:
            return self.plan.nats
        users = [self._own, *self._users.values()]
        try:
            self._broker = await own_nats(self.work / "nats", users, self.plan.site)
        except RuntimeError as error:
            raise RackFailed(str(error)) from None
        say(f"NATS on {self._broker.url}")
        return self._broker.url

    async def _watched(self) -> None:
        boards = [child.pid for _, child in self._children.values() if child.pid]
        servers = [self._broker.pid] if self._broker else []
        servers += self._database.pids if self._database is not None else []
        await self._guard.watch(boards, servers)

    # ── how it is ───────────────────────────────────────────────────────────────────────────
    async def status(self) -> RackStatus:
        used: dict[str, int] = {}
        if self._database is not None:
            used = await self._database.connections()
        boards = standing(self._children.values(), used)
        out = tuple(sorted(set(self.manifests) - {board.name for board in boards}))
        return RackStatus(
            "rack",
            os.getpid(),
            boards,
            out,
            database=self._database.where if self._database is not None else "",
            connections=sum(used.values()),
            connections_budget=self.plan.connections_max if self._database is not None else 0,
        )


def _silent(said: str) -> None:
    del said
