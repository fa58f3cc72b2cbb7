"""Server 服务: the gateway on a socket, until it is told to stop."""

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from plugward.kernel.runtime import Runtime

from .gateway import Gateway
from .guard import LOOPBACK_NAMES, host_name

GRACE_S = 3
BACKLOG = 2_048
KEEP_ALIVE_S = 30


class _Server(uvicorn.Server):
    """Whoever runs us handles the signals; the server must not take them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    runtime: Runtime,
    *,
    host: str,
    port: int,
    demo: bool,
    hosts: Sequence[str] = (),
    stop: asyncio.Event,
    https: bool = False,
    listening: Callable[[int], None] | None = None,
) -> None:
    """Serve until ``stop`` is set. Raises ``OSError`` when the address is taken.

    ``hosts`` are the names besides this machine's own under which the portal is reached; others
    are turned away. ``https``: a proxy in front speaks TLS, so cookies and headers are strict.
    ``listening`` is told the port once connections are accepted (0 asks for a free one).
    """
    names = frozenset({*LOOPBACK_NAMES, *(host_name(name) for name in hosts)})
    gateway = Gateway(runtime, hosts=names, demo=demo, https=https)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=BACKLOG) as bound:
        await gateway.prepare()
        if listening is not None:
            listening(bound.getsockname()[1])
        server = _Server(
            uvicorn.Config(
                gateway,
                loop="none",
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        run = asyncio.ensure_future(server.serve(sockets=[bound]))
        waiting = asyncio.ensure_future(stop.wait())
        await asyncio.wait({run, waiting}, return_when=asyncio.FIRST_COMPLETED)
        gateway.streams.close()
        server.should_exit = True
        waiting.cancel()
        await run
