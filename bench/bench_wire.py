"""What a call costs when the board is in another process: NATS and a Unix socket, one callee.

Run: python bench/bench_wire.py
Prints the time of one call and the calls per second of the callee's processor time.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import uvloop
from bench_board.board import board
from bench_board.contract import Line, Probe

from plugward.kernel.auditlog import AuditLog
from plugward.kernel.clock import SystemClock
from plugward.kernel.envelope import Actor, ActorKind, acting_as
from plugward.kernel.manifest import Away, Need
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kit.ids import new_id
from plugward.rack.node import Node
from plugward.rack.wire.broker import Broker
from plugward.rack.wire.nats import NatsWire
from plugward.rack.wire.passes import Credentials, Root
from plugward.rack.wire.unix import UnixWire

COUNT = 20_000
WARM = 2_000
AT_ONCE = 32


async def callee(folder: Path, way: str, url: str) -> None:
    """The board's process, until it is ended."""
    clock = SystemClock()
    key = Credentials.read(folder / "callee.key")
    wire: NatsWire | UnixWire
    if way == "nats":
        wire = await NatsWire.connect(url, key, clock=clock)
    else:
        wire = await UnixWire.connect(folder / "rack.sock", key, clock=clock)
    runtime = Runtime(Databases(folder), clock, AuditLog(folder / "audit.sqlite", clock))
    node = Node(runtime, wire)
    await node.start([board])
    await asyncio.Event().wait()


def a_doctor() -> Actor:
    """Rights as a real session has them: some sixty."""
    rights = {f"{name}.action-{n}" for name in ("orders", "records", "lab") for n in range(20)}
    rights |= set(board.manifest.permissions)
    return Actor(
        id="staff:D0001", kind=ActorKind.PERSON, permissions=frozenset(rights), campuses=("C1",)
    )


async def measure(way: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), Root.create()
        (folder / "callee.key").write_bytes(
            root.credentials([board.manifest], site="bench").to_bytes()
        )
        broker = Broker(folder / "nats")
        await broker.start()
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own file, before anything waits
            [sys.executable, __file__, "callee", str(folder), way, broker.url],
            env={"PYTHONPATH": str(Path(__file__).parent)},
        )
        try:
            await _calls(way, folder, root, broker, psutil.Process(process.pid))
        finally:
            process.kill()
            process.wait()
            await broker.stop()


async def _calls(
    way: str, folder: Path, root: Root, broker: Broker, process: psutil.Process
) -> None:
    clock = SystemClock()
    front = front_manifest()
    key = root.credentials([front], site="bench", edge=True)
    wire: NatsWire | UnixWire
    if way == "nats":
        wire = await NatsWire.connect(broker.url, key, clock=clock)
    else:
        wire = await UnixWire.listen(folder / "rack.sock", key, clock=clock)
    (folder / "front").mkdir()
    node = Node(Runtime(Databases(folder / "front"), clock, AuditLog(None, clock)), wire)
    await node.start([])
    while not wire.directory.reaches(board.name):  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.01)
    probe = node.runtime.client(Probe, caller="front")
    doctor = a_doctor()

    async def echo() -> None:
        with acting_as(doctor):
            await probe.echo(7)

    async def sign() -> None:
        with acting_as(doctor):
            lines = tuple(Line(id=new_id(), item=f"D{n:04}", quantity=n) for n in range(5))
            await probe.sign(new_id(), lines)

    await one_by_one(echo, WARM)
    times = await one_by_one(echo, 5_000)
    print(f"{way}: a query, one after the other  p50 {times[len(times) // 2] * 1e3:6.3f} ms, "
          f"p99 {times[len(times) * 99 // 100] * 1e3:6.3f} ms")  # fmt: skip
    await told(f"{way}: a query, {AT_ONCE} in flight   ", echo, COUNT, process)
    await told(f"{way}: sign 5 lines, {AT_ONCE} in flight", sign, COUNT // 4, process)
    await node.stop()


async def one_by_one(call, count: int) -> list[float]:  # type: ignore[no-untyped-def]  # a coroutine function
    times = []
    for _ in range(count):
        started = time.perf_counter()
        await call()
        times.append(time.perf_counter() - started)
    return sorted(times)


async def told(what: str, call, count: int, process: psutil.Process) -> None:  # type: ignore[no-untyped-def]  # a coroutine function
    left = count

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    before, started, mine = process.cpu_times(), time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    seconds = time.perf_counter() - started
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    print(f"{what} {count / seconds:7.0f} /s, {count / used:7.0f} per second of the callee's core, "
          f"{count / (time.process_time() - mine):7.0f} of the caller's")  # fmt: skip


def front_manifest():  # type: ignore[no-untyped-def]  # a manifest with one need
    manifest = board.manifest
    return type(manifest)(
        **{
            **{f: getattr(manifest, f) for f in manifest.__struct_fields__},
            "name": "front",
            "needs": {board.name: Need(">=1", Away.REQUIRED)},
            "permissions": {},
        }
    )


async def main() -> None:
    for way in ("nats", "unix"):
        await measure(way)


if __name__ == "__main__":
    if sys.argv[1:2] == ["callee"]:
        uvloop.run(callee(Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
    else:
        uvloop.run(main())
