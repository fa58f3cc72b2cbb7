"""What a call, a unit of work and an event cost. Prints one line a figure.

Run: python bench/bench_kernel.py
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench_board.board import board
from bench_board.contract import Line, Probe

from plugward.kernel.auditlog import AuditLog
from plugward.kernel.clock import SystemClock
from plugward.kernel.dispatch import Transport
from plugward.kernel.envelope import acting_as
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id


async def timed(count: int, call: Callable[[], Awaitable[object]]) -> float:
    """Seconds a call, one after the other."""
    for _ in range(count // 10):
        await call()
    started = time.perf_counter()
    for _ in range(count):
        await call()
    return (time.perf_counter() - started) / count


async def rate(count: int, at_once: int, call: Callable[[], Awaitable[object]]) -> float:
    """Calls a second with so many in flight."""
    left = count

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return count / (time.perf_counter() - started)


async def measure(transport: Transport) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = SystemClock()
        runtime = Runtime(
            Databases(Path(folder)),
            clock,
            AuditLog(Path(folder) / "audit.db", clock),
            transport=transport,
        )
        await runtime.start([board])
        probe = runtime.client(Probe)
        with acting_as(a_tester()):
            per_query = await timed(5_000, lambda: probe.echo(7))
        print(f"{transport}: dispatch of a query      {per_query * 1e6:8.1f} µs")

        async def sign() -> None:
            with acting_as(a_tester()):
                lines = tuple(Line(id=new_id(), item=f"D{n:04}", quantity=n) for n in range(5))
                await probe.sign(new_id(), lines)

        print(f"{transport}: sign 5 lines, 16 in flight {await rate(4_000, 16, sign):8.0f} /s")
        print(f"{transport}: sign 5 lines, 1 in flight  {await rate(500, 1, sign):8.0f} /s")

        async def read() -> None:
            with acting_as(a_tester()):
                await probe.line(known)

        known = new_id()
        with acting_as(a_tester()):
            await probe.sign(new_id(), (Line(id=known, item="D1", quantity=1),))
        print(f"{transport}: read one row, 8 in flight  {await rate(8_000, 8, read):8.0f} /s")

        await runtime.quiet()
        heard = runtime.plugged["probe"].service.heard
        with acting_as(a_tester()):
            started = time.perf_counter()
            for _ in range(40):
                with acting_as(a_tester()):
                    await probe.say(500)
            await runtime.quiet()
            seconds = time.perf_counter() - started
        print(
            f"{transport}: events written and handled "
            f"{(runtime.plugged['probe'].service.heard - heard) / seconds:8.0f} /s"
        )
        await runtime.stop()


if __name__ == "__main__":
    for kind in Transport:
        asyncio.run(measure(kind))
