"""A board's process 插板进程: ``python -m plugward.rack.process SPEC``, started by the rack.

It serves its boards over the wire, reaches the others there, and stops when it is told to or when
the rack that started it is gone: nothing is left behind by a supervisor that was killed.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from .discover import board_entries, discover
from .embedded import Embedded
from .folder import DataFolder
from .node import Node
from .supervisor.spec import Ready, Spec, read_secret
from .wire.nats import NatsWire
from .wire.passes import Credentials


async def run(spec: Spec) -> None:
    """From the first board in to the last one out."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for kind in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(kind, stop.set)
    orphaned = loop.create_task(_orphaned(stop))
    hospital = _hospital(spec)
    credentials = Credentials.from_bytes(spec.credentials)
    wire = await NatsWire.connect(
        spec.nats, credentials, clock=hospital.clock, user=spec.user, password=spec.password
    )
    declared = discover(frozenset(board_entries()) - set(spec.declared)).boards
    node = Node(hospital.runtime, wire, replica=str(spec.seat.replica), declared=declared)
    hospital.begin()
    try:
        await node.start(hospital.found.boards)
        await _serve(spec, hospital, stop)
    finally:
        await node.stop()
        hospital.end()
        orphaned.cancel()


def _hospital(spec: Spec) -> Embedded:
    demo: dict[str, dict[str, Any]] = {
        "hub": {"mllp_port": spec.mllp_port, "host": spec.host},
        "identity": {"demo": spec.demo},
        "portal": {"demo": spec.demo},
    }
    return Embedded(
        DataFolder(Path(spec.data)),
        without=frozenset(board_entries()) - set(spec.seat.boards),
        extra=demo,
        reacting=spec.seat.replica == 0,
        lane=spec.seat.label,
        stores=spec.stores,
        campuses=spec.campuses,
    )


async def _serve(spec: Spec, hospital: Embedded, stop: asyncio.Event) -> None:
    """Until told to stop; with the portal among the boards, its door is open so long."""
    runtime = hospital.runtime
    boards = {name: plugged.board.manifest.version for name, plugged in runtime.plugged.items()}
    left_out = {**hospital.found.broken, **runtime.left_out}

    def ready(port: int) -> None:
        told = msgspec.json.encode(Ready(boards, left_out, port))
        sys.stdout.buffer.write(told + b"\n")
        sys.stdout.buffer.flush()

    if "portal" not in runtime.plugged:
        ready(0)
        await stop.wait()
        return
    from plugward.commons.portal.server import serve  # noqa: PLC0415 - one process serves it

    await serve(
        runtime,
        host=spec.host,
        port=spec.port,
        demo=spec.demo,
        hosts=hospital.hospital.hosts,
        stop=stop,
        listening=ready,
    )


async def _orphaned(stop: asyncio.Event) -> None:
    """The rack holds the other end of our input: when it is gone, we go too."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    stop.set()


def main() -> None:
    asyncio.run(run(read_secret(Path(sys.argv[1]), Spec)))


if __name__ == "__main__":
    main()
