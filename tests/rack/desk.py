"""A front desk under load: clerks who register, book, check in and read, over HTTP."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from plugward.boards.registration.contract import (
    DayPeriod,
    PublishSession,
    PublishSlot,
    Registrations,
    SessionId,
)
from plugward.commons.identity.contract import Identity, SignIn
from plugward.commons.identity.demo import prepare
from plugward.commons.portal.server import serve
from plugward.kernel.clock import ManualClock
from plugward.kernel.envelope import ANONYMOUS, acting_as
from plugward.kernel.runtime import Runtime
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.kit.time import Instant, hospital_date, hospital_midnight
from plugward.rack.control.embedded import EmbeddedPowers
from plugward.rack.control.server import ControlServer
from plugward.rack.embedded import Embedded
from plugward.rack.folder import DataFolder
from plugward.vocabulary import CampusCode, DepartmentCode, SlotId, StaffId

CLERKS = 8
OPENING = "2026-03-02 08:00"
# Boards without a part in this story; the hub would take a port.
OUT = frozenset({"hub", "datacentre", "documents", "drug_store", "pharmacy", "lab", "billing"})


class FrontDesk:
    """Eight clerks. Every answer is looked at; what failed is kept in words."""

    def __init__(self, url: str, token: str, slots: list[str]) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {token}"}
        self._slots = slots
        self._stopped = asyncio.Event()
        self._one_more = asyncio.Event()
        self.failed: list[str] = []
        self.checked_in: list[str] = []
        self.asked = 0

    async def work(self) -> None:
        async with aiohttp.ClientSession(self._url, headers=self._headers) as session:
            await asyncio.gather(*(self._clerk(session, n) for n in range(CLERKS)))

    def go_home(self) -> None:
        self._stopped.set()

    async def after(self, visits: int) -> None:
        """Until so many more patients have checked in."""
        until = len(self.checked_in) + visits
        async with asyncio.timeout(20):
            while len(self.checked_in) < until and not self.failed:
                self._one_more.clear()
                await self._one_more.wait()

    async def _clerk(self, session: aiohttp.ClientSession, number: int) -> None:
        turn = number
        while not self._stopped.is_set() and not self.failed:
            patient, visit = str(new_id()), str(new_id())
            encounter = str(new_id())
            name = f"李{chr(0x4E00 + turn % 5_000)}{chr(0x5000 + turn // 7 % 5_000)}"
            await self._call(session, "patients.register", {"request": {
                "id": patient, "campus": "C1", "name": name,
                "birth_date": f"{1940 + turn % 60}-{1 + turn % 12:02}-{1 + turn % 28:02}",
            }})  # fmt: skip
            await self._call(session, "registration.book", {"request": {
                "id": visit, "encounter": encounter, "patient": patient, "channel": "doctor",
                "slot": self._slots[turn % len(self._slots)],
            }})  # fmt: skip
            arrived = {"appointment": visit, "at": "C1", "marks": {}}
            await self._call(session, "registration.check_in", arrived)
            await self._call(session, "patients.get", {"patient": patient})
            if not self.failed:
                self.checked_in.append(encounter)
            self._one_more.set()
            turn += CLERKS

    async def _call(
        self, session: aiohttp.ClientSession, operation: str, body: dict[str, Any]
    ) -> None:
        board, _, name = operation.partition(".")
        self.asked += 1
        async with session.post(f"/api/{board}/v1/{name}", json=body) as answer:
            text = await answer.text()
        if answer.status != 200:
            self.failed.append(f"{operation}: {answer.status} {text[:300]}")


class Open:
    """An embedded hospital with its portal and its control socket."""

    def __init__(self, hospital: Embedded, url: str, token: str, data: Path) -> None:
        self.hospital = hospital
        self.runtime: Runtime = hospital.runtime
        self.url = url
        self.token = token
        self.data = data

    async def front_desk(self) -> FrontDesk:
        return FrontDesk(self.url, self.token, await clinics(self.runtime))

    async def page(self, path: str) -> int:
        headers = {"authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession(self.url, headers=headers) as session,
            session.get(path, allow_redirects=False) as answer,
        ):
            await answer.read()
            return answer.status


@asynccontextmanager
async def open_hospital(data: Path, *, without: frozenset[str] = OUT) -> AsyncIterator[Open]:
    folder = DataFolder(data)
    folder.open()
    demo: dict[str, dict[str, Any]] = {
        "identity": {"demo": True},
        "portal": {"demo": True, "rate_per_s": 100_000, "rate_burst": 100_000},
    }
    hospital = Embedded(folder, clock=ManualClock(OPENING), without=without, extra=demo)
    await hospital.start()
    control = ControlServer(folder.path, EmbeddedPowers(hospital.runtime, folder.path))
    await control.start()
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    served = asyncio.create_task(
        serve(
            hospital.runtime, host="127.0.0.1", port=0, demo=True, stop=stop,
            listening=ready.set_result,
        )
    )  # fmt: skip
    try:
        token = await _clerk_of(hospital.runtime, data)
        yield Open(hospital, f"http://127.0.0.1:{await ready}", token, data)
    finally:
        stop.set()
        await served
        await control.stop()
        await hospital.stop()
        folder.close()


async def _clerk_of(runtime: Runtime, data: Path) -> str:
    logins = {login.staff_no: login for login in await prepare(runtime, data)}
    token = secrets.token_urlsafe(16)
    with acting_as(ANONYMOUS):
        await runtime.client(Identity).sign_in(
            SignIn(staff_no="R10021", password=logins["R10021"].password, token=token)
        )
    return token


def clinic(number: int, now: Instant) -> PublishSession:
    """An hour of one doctor's, on this very day: 480 places."""
    day = hospital_date(now)
    left = hospital_midnight(day + timedelta(days=1)) - now - timedelta(minutes=1)
    # A clinic ends on the day it began: late in the evening it is one long slot.
    slots, minutes = (12, timedelta(minutes=5)) if left > timedelta(minutes=65) else (1, left / 2)
    return PublishSession(
        id=SessionId(new_id()),
        campus=CampusCode("C1"),
        department=DepartmentCode("C1-CARD"),
        department_name="心血管内科",
        doctor=StaffId(new_id()),
        doctor_name=f"医生{number}",
        day=day,
        period=DayPeriod.MORNING,
        fee_item="RF01",
        slots=tuple(
            PublishSlot(
                id=SlotId(new_id()),
                starts_at=now + minutes * (at + 1),
                ends_at=now + minutes * (at + 2),
                capacity=480 // slots,
            )
            for at in range(slots)
        ),
    )


async def clinics(runtime: Runtime, *, doctors: int = 4) -> list[str]:
    sessions = [clinic(number, runtime.clock.now()) for number in range(doctors)]
    for session in sessions:
        with acting_as(a_tester()):
            await runtime.client(Registrations).publish_session(session)
    return [str(slot.id) for session in sessions for slot in session.slots]
