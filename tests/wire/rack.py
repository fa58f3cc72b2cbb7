"""A rack whose processes live in one: every node has its own runtime, wire, keys and inbox."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from plugward.commons.identity.board import board as identity
from plugward.commons.identity.contract import Identity, SignIn
from plugward.commons.identity.demo import Login
from plugward.commons.identity.seed import DEMO_STAFF
from plugward.commons.masterdata.board import board as masterdata
from plugward.commons.portal.board import board as portal
from plugward.commons.portal.door import new_reference
from plugward.commons.portal.server import serve
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.board import Board
from plugward.kernel.clock import SystemClock
from plugward.kernel.dispatch import Transport
from plugward.kernel.envelope import ANONYMOUS, Actor, ActorKind, acting_as
from plugward.kernel.manifest import Away, Manifest, Need
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import MEMORY, Databases
from plugward.kit.ids import new_id
from plugward.rack.node import Node
from plugward.rack.wire.broker import Broker, User
from plugward.rack.wire.http import HttpEndpoint
from plugward.rack.wire.nats import NatsWire
from plugward.rack.wire.passes import Credentials, Root
from plugward.rack.wire.unix import UnixWire


def manifest(name: str, *needs: str) -> Manifest:
    """A caller that needs these boards."""
    return Manifest(
        name=name,
        title=name,
        title_en=name,
        summary=name,
        version="1.0.0",
        owners=("@kernel",),
        grade="bronze",
        core=False,
        needs={need: Need(">=1", Away.REQUIRED) for need in needs},
        permissions={},
        roles={},
        settings={},
    )


EDGE = manifest("front", "specimen")


def a_nurse(*permissions: str) -> Actor:
    return Actor(
        id="staff:N0007",
        kind=ActorKind.PERSON,
        permissions=frozenset(permissions or ("specimen.read", "specimen.write")),
        campuses=("C1",),
        roles=("nurse",),
    )


class Rack:
    """Nodes on one site of their own, so that tests do not hear each other."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.broker = broker
        self.folder = folder
        self.site = f"t{new_id().hex[-12:]}"
        self.root = Root.create()
        self.clock = SystemClock()
        self.nodes: list[Node] = []
        self.others: list[NatsWire] = []
        self.url = broker.url if broker.port else ""

    def credentials(self, *manifests: Manifest, edge: bool = False) -> Credentials:
        return self.root.credentials(manifests, site=self.site, edge=edge)

    def runtime(
        self,
        store: Path | None = None,
        *,
        reacting: bool = True,
        transport: Transport = Transport.STRICT,
        settings: dict[str, dict[str, Any]] | None = None,
    ) -> Runtime:
        if store is not None:
            store.mkdir(exist_ok=True)
        return Runtime(
            Databases(store or MEMORY, durable=False),
            self.clock,
            AuditLog(None, self.clock),
            reacting=reacting,
            transport=transport,
            settings=settings,
        )

    async def node(
        self,
        *boards: Board,
        caller: Manifest | None = None,
        edge: bool = False,
        store: Path | None = None,
        replica: str = "0",
        user: User | None = None,
        settings: dict[str, dict[str, Any]] | None = None,
        declared: Sequence[Board] = (),
    ) -> Node:
        """A process on NATS with these boards, or one that only calls."""
        manifests: Sequence[Manifest] = [b.manifest for b in boards] or [caller or EDGE]
        credentials = self.credentials(*manifests, edge=edge)
        wire = await self._connected(credentials, user)
        runtime = self.runtime(store, reacting=replica == "0", settings=settings)
        return await self._started(boards, Node(runtime, wire, replica=replica, declared=declared))

    async def wire(self, of: Manifest, user: User) -> NatsWire:
        """A connection that runs no board."""
        wire = await self._connected(self.credentials(of), user)
        self.others.append(wire)
        return wire

    async def _connected(self, credentials: Credentials, user: User | None) -> NatsWire:
        name, password = (user.name, user.password) if user else ("", "")
        return await NatsWire.connect(
            self.url, credentials, clock=self.clock, user=name, password=password
        )

    async def unix(
        self,
        *boards: Board,
        listen: bool = False,
        edge: bool = False,
        caller: Manifest = EDGE,
        store: Path | None = None,
    ) -> Node:
        """A process on the hospital's socket."""
        manifests = [b.manifest for b in boards] or [caller]
        credentials = self.credentials(*manifests, edge=edge)
        way = UnixWire.listen if listen else UnixWire.connect
        wire = await way(self.folder / "rack.sock", credentials, clock=self.clock)
        return await self._started(boards, Node(self.runtime(store), wire))

    async def _started(self, boards: Sequence[Board], node: Node) -> Node:
        await node.start(boards)
        self.nodes.append(node)
        return node

    async def stop(self) -> None:
        for node in reversed(self.nodes):
            await node.stop()
        for wire in self.others:
            await wire.close()


@asynccontextmanager
async def local(rack: Rack, board: Board, transport: Transport) -> AsyncGenerator[Runtime, None]:
    """The board in the caller's own process."""
    runtime = rack.runtime(transport=transport)
    await runtime.start([board])
    try:
        yield runtime
    finally:
        await runtime.stop()


@asynccontextmanager
async def over_http(rack: Rack, board: Board) -> AsyncGenerator[tuple[HttpEndpoint, Runtime], None]:
    """The board behind the real gateway, called with the session of a real account."""
    runtime = rack.runtime(settings={"identity": {"demo": True}})
    await runtime.start([identity, portal, masterdata, board])
    try:
        async with (
            served(runtime) as (base, token),
            aiohttp.ClientSession() as session,
        ):
            yield HttpEndpoint(session, base, lambda _: token), runtime
    finally:
        await runtime.stop()


@asynccontextmanager
async def served(runtime: Runtime) -> AsyncGenerator[tuple[str, str], None]:
    """The portal of this process on a port, and the session of a doctor."""
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(runtime, host="127.0.0.1", port=0, demo=False, stop=stop, listening=port.set_result)
    )
    try:
        token = await _signed_in(runtime)
        yield f"http://127.0.0.1:{await port}", token
    finally:
        stop.set()
        await serving


DOCTOR = "D10247"
PASSWORD = "corr-ect-hrse"  # noqa: S105 - of an invented person, in this test only


async def _signed_in(runtime: Runtime) -> str:
    """A session of the demo's doctor: its reference is the bearer token."""
    logins = tuple(
        Login(
            staff_no=person.staff_no,
            password=PASSWORD,
            name=person.name,
            title=person.title,
            role=person.role,
            campus=person.campuses[0],
        )
        for person in DEMO_STAFF
        if person.staff_no == DOCTOR
    )
    await runtime.plugged["identity"].service.demo.admit(logins)
    token = new_reference()
    with acting_as(ANONYMOUS):
        await runtime.client(Identity).sign_in(
            SignIn(staff_no=DOCTOR, password=PASSWORD, token=token)
        )
    return token


async def reached(node: Node, board: str) -> None:
    await until(lambda: node.wire.directory.reaches(board))


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that must come."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - of another task or process
            await asyncio.sleep(0.005)
