"""Alone 单独运行: a node with its doors, without a hospital around it (``plugward hub listen``)."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from plugward.kernel.clock import SystemClock

from .connectors.sources import start_sources
from .endpoints import Tls, server_tls
from .mllp import Limits, MllpServer
from .node import FolderTaken, Node


class CannotListen(Exception):
    """One sentence that says what to do."""


class Options(NamedTuple):
    """What the command line asked for."""

    data: Path
    host: str = "127.0.0.1"
    mllp_port: int | None = 2575
    http_port: int | None = None
    connections_per_source: int = 256
    tls: Tls | None = None


class Doors(NamedTuple):
    """Where it listens."""

    node: Node
    mllp_port: int
    http_port: int


@asynccontextmanager
async def listening(options: Options) -> AsyncIterator[Doors]:
    """A hub that keeps what it is sent and does what the routes in force say."""
    node = Node(options.data, SystemClock(), keeps_all=True)
    await node.open()
    try:
        await node.work()
        start_sources(node)
        async with _doors(node, options) as doors:
            yield doors
    except FolderTaken as taken:
        raise CannotListen(str(taken)) from None
    finally:
        await node.stop()


@asynccontextmanager
async def _doors(node: Node, options: Options) -> AsyncIterator[Doors]:
    tls = server_tls(options.tls, options.data) if options.tls else None
    limits = Limits(connections_per_source=options.connections_per_source)
    mllp = MllpServer(
        node.intake.handle, node.intake.refuse_frame, name="alone", limits=limits, tls=tls
    )
    mllp_port = http_port = 0
    if options.mllp_port is not None:
        mllp_port = await _bound(mllp.start(options.host, options.mllp_port), options.mllp_port)
    try:
        if options.http_port is None:
            yield Doors(node, mllp_port, 0)
            return
        from .connectors.offers import Offers  # noqa: PLC0415 - only where HTTP is wanted
        from .door import Door  # noqa: PLC0415 - only where HTTP is wanted
        from .web.callers import Callers  # noqa: PLC0415 - as above
        from .web.server import WebServer  # noqa: PLC0415 - as above

        callers = Callers(options.data / "systems.toml")
        callers.look()
        node.looks.append(callers.look)
        door = Door(node, callers)
        offers = Offers(node, door)
        await offers.start()
        web = WebServer(door, tls=tls)
        try:
            starting = web.start(options.host, options.http_port)
            http_port = await _bound(starting, options.http_port)
            yield Doors(node, mllp_port, http_port)
        finally:
            await web.stop()
            await offers.stop()
    finally:
        if options.mllp_port is not None:
            await mllp.stop()


async def _bound(starting: Awaitable[int], port: int) -> int:
    try:
        return await starting
    except OSError as error:
        raise CannotListen(f"port {port} cannot be had: {error.strerror}; take another") from None
