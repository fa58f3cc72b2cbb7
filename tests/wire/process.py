"""One process of a test rack: ``python -m tests.wire.process FOLDER URL BOARD``, until it is told
to end or killed. It says READY when it answers."""

import asyncio
import signal
import sys
from pathlib import Path

from plugward.kernel.auditlog import AuditLog
from plugward.kernel.board import load_board
from plugward.kernel.clock import SystemClock
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.rack.node import Node
from plugward.rack.wire.nats import NatsWire
from plugward.rack.wire.passes import Credentials


async def main(folder: Path, url: str, name: str) -> None:
    clock = SystemClock()
    credentials = Credentials.read(folder / f"{name}.key")
    store = folder / name
    store.mkdir(exist_ok=True)
    wire = await NatsWire.connect(url, credentials, clock=clock)
    runtime = Runtime(Databases(store), clock, AuditLog(store / "audit.sqlite", clock))
    node = Node(runtime, wire)
    await node.start([load_board(f"tests.wire.{name}.board:board")])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    await stop.wait()
    await node.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
