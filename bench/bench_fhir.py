"""FHIR over HTTP beside a stocked database: read a Patient, search one page of 20 rows.

One process serves (plugward up's own gateway), this one asks, with 8 clients; a share of the
time goes to the asking. The same question as an operation by JSON stands beside the read.
Run: python bench/bench_fhir.py [patients] [bookings]
"""

import asyncio
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from front_desk import PORT, SURNAMES, serve_front_desk, stocked

CLIENTS = 8
SECONDS = 6.0
ROWS = 20
HERE = f"http://127.0.0.1:{PORT}"


async def rate(call: Callable[[int], Awaitable[None]]) -> tuple[float, float]:
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
    headers = {"authorization": f"Bearer {setup['token']}"}
    connector = aiohttp.TCPConnector(limit=CLIENTS)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        known = setup["patients"]

        async def answered(response: aiohttp.ClientResponse) -> Any:
            answer = await response.json(content_type=None)
            if response.status != 200:  # noqa: PLR2004 - HTTP
                raise RuntimeError(f"{response.url.path}: {response.status} {answer}")
            return answer

        async def operation(turn: int) -> None:
            body = {"patient": known[turn % len(known)]}
            async with session.post(f"{HERE}/api/patients/v1/get", json=body) as response:
                assert (await answered(response))["id"] == body["patient"]

        async def find(turn: int) -> None:
            body = {"text": SURNAMES[turn % 8] + "伟", "limit": ROWS}
            async with session.post(f"{HERE}/api/patients/v1/find", json=body) as response:
                assert len(await answered(response)) == ROWS

        async def read(turn: int) -> None:
            id_ = known[turn % len(known)]
            async with session.get(f"{HERE}/fhir/R4/Patient/{id_}") as response:
                assert (await answered(response))["id"] == id_

        async def search(turn: int) -> None:
            query = {"name": SURNAMES[turn % 8] + "伟", "_count": str(ROWS)}
            async with session.get(f"{HERE}/fhir/R4/Patient", params=query) as response:
                found = await answered(response)
            rows = [e for e in found["entry"] if e["search"]["mode"] == "match"]
            assert len(rows) == ROWS, len(rows)

        for name, call in (
            ("operation patients.get", operation),
            ("read Patient", read),
            (f"operation patients.find, {ROWS} rows", find),
            (f"search Patient by name, {ROWS} rows", search),
        ):
            per_s, p99 = await rate(call)
            rows = f"  {per_s * ROWS:7.0f} rows/s" if "rows" in name else ""
            print(f"fhir: {name:<32} {per_s:6.0f}/s  p99 {p99:6.1f} ms{rows}")


def main() -> None:
    patients = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    bookings = int(sys.argv[2]) if len(sys.argv) > 2 else 150_000  # noqa: PLR2004 - argv
    stock = stocked(patients, bookings)
    with tempfile.TemporaryDirectory(prefix="plugward-bench-") as folder:
        data, ready = Path(folder) / "hospital", Path(folder) / "setup.json"
        shutil.copytree(stock, data)
        context = multiprocessing.get_context("spawn")
        server = context.Process(target=serve_front_desk, args=(data, ready), daemon=True)
        server.start()
        while not ready.exists():
            if not server.is_alive():
                raise SystemExit("the server did not start")
            time.sleep(0.2)
        asyncio.run(measure(json.loads(ready.read_text())))
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
