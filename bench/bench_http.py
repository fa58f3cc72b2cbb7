"""The front desk over HTTP: register, book, read, today's list, beside a stocked database.

One process serves (plugward up's own gateway and event loop), this one asks, with 8 clients on
connections of their own. 100,000 patients and 150,000 bookings are in the stores before the clock
starts; the stocked folder is kept beside the temporary files for the day, and each run works on a
copy. Every patient and every booking is a new one, and every answer is decoded and compared.
Run: python bench/bench_http.py [patients] [bookings] [seconds]
"""

import json
import multiprocessing
import re
import shutil
import sys
import tempfile
import time
from collections import deque
from html import unescape
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import msgspec
from front_desk import PORT, person, serve_front_desk, stocked
from http_client import Check, measure, page, request

from plugward.kit.ids import new_id

CLIENTS = 8
SECONDS = 5.0
PREPARED_A_SECOND = 4_000
BOOKINGS_MAX = 11_000  # after so many, a patient would ask for a second number of one clinic
PAGE = 50
PANELS_MIN = 5


class _Created(msgspec.Struct):
    id: UUID
    name: str


class _Registered(msgspec.Struct):
    patient: _Created
    outcome: str


class _Booked(msgspec.Struct):
    id: UUID
    slot: UUID
    number: int | None = None


class _Read(msgspec.Struct):
    id: UUID
    name: str


class _Row(msgspec.Struct):
    id: UUID
    day: str


class Desk:
    """What one signed-in clerk asks for, made beforehand, and how the answers are proved."""

    def __init__(self, setup: dict[str, Any], seconds: float) -> None:
        self._setup = setup
        self._turns = range(int(PREPARED_A_SECOND * seconds))
        self._chance = Random(5)  # noqa: S311 - a measurement, not a secret
        self._seen: set[UUID] = set()

    def _call(self, operation: str, body: dict[str, Any]) -> bytes:
        board, _, name = operation.partition(".")
        token = self._setup["token"]
        return request(f"/api/{board}/v1/{name}", token, json.dumps(body).encode())

    def create(self) -> tuple[deque[bytes], Check]:
        made: deque[bytes] = deque()
        for turn in self._turns:
            name, born = person(self._chance)
            made.append(self._call("patients.register", {"request": {
                "id": str(new_id()), "campus": "C1", "name": name, "birth_date": born,
                "sex": ("female", "male")[turn % 2],
            }}))  # fmt: skip
        decoder = msgspec.json.Decoder(_Registered)

        def check(body: bytes) -> None:
            answer = decoder.decode(body)
            if answer.outcome not in ("new", "review"):
                raise RuntimeError(f"not a new patient: {answer.outcome}")
            self._new(answer.patient.id)

        return made, check

    def book(self) -> tuple[deque[bytes], Check]:
        patients, slots = self._setup["patients"], self._setup["slots"]
        made = deque(
            self._call("registration.book", {"request": {
                "id": str(new_id()), "encounter": str(new_id()),
                "patient": patients[turn % len(patients)], "slot": slots[turn % len(slots)],
                "channel": "window",
            }})
            for turn in self._turns[:BOOKINGS_MAX]
        )  # fmt: skip
        decoder = msgspec.json.Decoder(_Booked)

        def check(body: bytes) -> None:
            self._new(decoder.decode(body).id)

        return made, check

    def read(self) -> tuple[deque[bytes], Check]:
        patients = self._setup["patients"]
        made = deque(
            self._call("patients.get", {"patient": patients[turn % len(patients)]})
            for turn in self._turns
        )
        known = {UUID(patient) for patient in patients}
        decoder = msgspec.json.Decoder(_Read)

        def check(body: bytes) -> None:
            answer = decoder.decode(body)
            if answer.id not in known or not answer.name:
                raise RuntimeError("somebody else")

        return made, check

    def today(self) -> tuple[deque[bytes], Check]:
        day = self._setup["day"]
        asked = [
            self._call("registration.day_list", {"campus": "C1", "day": day, "offset": turn * PAGE})
            for turn in range(20)
        ]
        made = deque(asked[turn % 20] for turn in self._turns)
        decoder = msgspec.json.Decoder(list[_Row])

        def check(body: bytes) -> None:
            rows = decoder.decode(body)
            if len({row.id for row in rows}) != PAGE or any(row.day != day for row in rows):
                raise RuntimeError("not today's list")

        return made, check

    def page(self) -> tuple[deque[bytes], Check]:
        """The doctor's page, and each panel it asks for when it opens."""
        token = self._setup["doctor"]
        path = f"/clinic/visits/{self._setup['encounter']}"
        opened: list[str] = []

        def first(body: bytes) -> None:
            opened.extend(
                unescape(address)
                for element in re.findall(rb"<[^>]* data-panel [^>]*>", body)
                if (trigger := re.search(rb'hx-trigger="([^"]*)"', element))
                and b"load" in trigger[1]
                for address in re.findall(rb'hx-get="([^"]+)"', element)
                for address in [address.decode()]
            )

        measure(PORT, 0, deque([page(path, token)]), clients=1, seconds=1, check=first)
        if len(opened) < PANELS_MIN:
            raise RuntimeError(f"the page asks for {opened} only")
        asked = [page(address, token) for address in (path, *opened)]
        made = deque(asked[turn % len(asked)] for turn in self._turns)

        def check(body: bytes) -> None:
            if not body.lstrip().startswith(b"<"):
                raise RuntimeError(body.decode()[:400])

        return made, check

    def _new(self, key: UUID) -> None:
        if key in self._seen:
            raise RuntimeError("not a new one")
        self._seen.add(key)


def report(setup: dict[str, Any], server: int, seconds: float) -> None:
    desk = Desk(setup, seconds)
    for name, asking, goal in (
        ("create patient", desk.create, 500),
        ("book", desk.book, 500),
        ("read patient", desk.read, 1_500),
        ("today's list, 50 rows", desk.today, 500),
        ("doctor's page, a panel", desk.page, 0),
    ):
        requests, check = asking()
        warm = deque(requests.popleft() for _ in range(50))
        clients = CLIENTS if goal else 1
        measure(PORT, server, warm, clients=clients, seconds=1, check=check)
        result = measure(PORT, server, requests, clients=clients, seconds=seconds, check=check)
        told = f"goal {goal}/s" if goal else "goal p95 100 ms"
        print(f"http: {name:<22} {result}  ({told})", flush=True)


def main() -> None:
    given = sys.argv[1:]
    patients, bookings, seconds = (*map(int, given), *(100_000, 150_000, SECONDS)[len(given) :])
    kept = stocked(int(patients), int(bookings))
    with tempfile.TemporaryDirectory(prefix="plugward-bench-") as folder:
        data, ready = Path(folder) / "hospital", Path(folder) / "setup.json"
        shutil.copytree(kept, data)
        context = multiprocessing.get_context("spawn")
        server = context.Process(target=serve_front_desk, args=(data, ready), daemon=True)
        server.start()
        while not ready.exists():
            if not server.is_alive():
                raise SystemExit("the server did not start")
            time.sleep(0.2)
        time.sleep(1)
        try:
            report(json.loads(ready.read_text()), server.pid or 0, float(seconds))
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
