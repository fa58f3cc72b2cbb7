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

from plugward.kernel.store.lease import Lease

from .discover import board_entries, discover
from .embedded import Embedded
from .folder import DataFolder
from .node import Node
from .standby import Standby
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
    standby: Standby | None = None
    hospital.begin()
    try:
        await node.start(hospital.found.boards)
        if spec.stores is not None and spec.stores.shared:
            [board] = hospital.runtime.plugged.values()
            standby = Standby(node, Lease(board.store.engine), lambda: _say(hospital, 0))
            standby.start()
        await _serve(spec, hospital, stop)
    finally:
        if standby is not None:
            await standby.stop()
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
        # Over a file, a copy is a version on trial beside the one that reacts.
        reacting=spec.stores is not None or spec.seat.replica == 0,
        lane=spec.seat.label,
        stores=spec.stores,
        campuses=spec.campuses,
    )


async def _serve(spec: Spec, hospital: Embedded, stop: asyncio.Event) -> None:
    """Until told to stop; with the portal among the boards, its door is open so long."""
    runtime = hospital.runtime
    if "portal" not in runtime.plugged:
        _say(hospital, 0)
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
        listening=lambda port: _say(hospital, port),
    )


def _say(hospital: Embedded, port: int) -> None:
    """Tell the rack that the boards are in, and whether it is they who react."""
    runtime = hospital.runtime
    boards = {name: plugged.board.manifest.version for name, plugged in runtime.plugged.items()}
    left_out = {**hospital.found.broken, **runtime.left_out}
    told = msgspec.json.encode(Ready(boards, left_out, port, runtime.reacting))
    sys.stdout.buffer.write(told + b"\n")
    sys.stdout.buffer.flush()


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
