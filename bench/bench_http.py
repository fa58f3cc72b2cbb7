"""The front desk over HTTP: register, book, read, today's list, beside a stocked database.

One process serves (plugward up's own gateway), this one asks, with 8 clients. 100,000 patients
and 150,000 bookings are in the stores before the clock starts.
Run: python bench/bench_http.py [patients] [bookings]
"""

import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from front_desk import PORT, serve_front_desk

from plugward.kit.ids import new_id

CLIENTS = 8
SECONDS = 6.0


class Desk:
    """One signed-in client."""

    def __init__(self, session: aiohttp.ClientSession, setup: dict[str, Any]) -> None:
        self._session = session
        self._headers = {"authorization": f"Bearer {setup['token']}"}
        self.setup = setup

    async def call(self, operation: str, body: dict[str, Any]) -> Any:
        board, _, name = operation.partition(".")
        url = f"http://127.0.0.1:{PORT}/api/{board}/v1/{name}"
        async with self._session.post(url, json=body, headers=self._headers) as response:
            answer = await response.json()
            if response.status != 200:  # noqa: PLR2004 - HTTP
                raise RuntimeError(f"{operation}: {response.status} {answer}")
            return answer


async def rate(call: Callable[[int], Awaitable[Any]]) -> tuple[float, float]:
    """Calls a second and the 99th percentile in ms over ``SECONDS`` with ``CLIENTS`` clients."""
    took: list[float] = []
    end = time.perf_counter() + SECONDS

    async def client(number: int) -> None:
        turn = number
        while (now := time.perf_counter()) < end:
            await call(turn)
            took.append(time.perf_counter() - now)
            turn += CLIENTS

    started = time.perf_counter()
    await asyncio.gather(*(client(n) for n in range(CLIENTS)))
    seconds = time.perf_counter() - started
    took.sort()
    return len(took) / seconds, took[int(len(took) * 0.99)] * 1000


async def measure(setup: dict[str, Any]) -> None:
    connector = aiohttp.TCPConnector(limit=CLIENTS)
    async with aiohttp.ClientSession(connector=connector) as session:
        desk = Desk(session, setup)

        async def register(turn: int) -> None:
            await desk.call("patients.register", {"request": {
                "id": str(new_id()), "campus": "C1", "name": f"测速{turn:06}", "sex": "female",
                "birth_date": f"19{turn % 80 + 10:02}-03-{turn % 27 + 1:02}",
            }})  # fmt: skip

        async def book(turn: int) -> None:
            await desk.call("registration.book", {"request": {
                "id": str(new_id()), "encounter": str(new_id()),
                "patient": setup["fresh"][turn % len(setup["fresh"])],
                "slot": setup["slots"][turn % len(setup["slots"])], "channel": "window",
            }})  # fmt: skip

        async def read(turn: int) -> None:
            await desk.call("patients.get", {"patient": setup["known"][turn % len(setup["known"])]})

        async def today(turn: int) -> None:
            page = turn % 20 * 50
            rows = await desk.call(
                "registration.day_list", {"campus": "C1", "day": setup["day"], "offset": page}
            )
            assert len(rows) == 50, len(rows)  # noqa: PLR2004 - the page size

        for name, call, goal in (
            ("create patient", register, 500),
            ("book", book, 500),
            ("read patient", read, 1_500),
            ("today's list, 50 rows", today, 500),
        ):
            per_s, p99 = await rate(call)
            print(f"http: {name:<24} {per_s:7.0f}/s  p99 {p99:6.1f} ms  (goal {goal}/s)")


def main() -> None:
    patients = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    bookings = int(sys.argv[2]) if len(sys.argv) > 2 else 150_000  # noqa: PLR2004 - argv
    with tempfile.TemporaryDirectory(prefix="plugward-bench-") as folder:
        ready = Path(folder) / "setup.json"
        context = multiprocessing.get_context("spawn")
        server = context.Process(
            target=serve_front_desk, args=(Path(folder), patients, bookings, ready), daemon=True
        )
        server.start()
        while not ready.exists():
            if not server.is_alive():
                raise SystemExit("the server did not start")
            time.sleep(0.2)
        time.sleep(1)
        asyncio.run(measure(json.loads(ready.read_text())))
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
