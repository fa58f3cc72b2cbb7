"""F06: the database's primary dies under load, its standby takes over, and no row is wrong.

数据库主库在挂号高峰宕机，备库接管：可以报错，但不许丢号、重号、错账。
"""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from plugward.boards.encounters.contract import Encounters
from plugward.boards.patients.contract import Patients, RegisterPatient
from plugward.boards.registration.contract import (
    Appointment,
    BookAppointment,
    Channel,
    Registrations,
)
from plugward.kernel import Unavailable
from plugward.kernel.audit import audit_runtime
from plugward.kernel.envelope import acting_as
from plugward.kernel.runtime import Runtime
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.rack.embedded import Embedded
from plugward.rack.folder import DataFolder
from plugward.rack.place import Stores
from plugward.rack.postgres import Postgres, binary, runs_as
from plugward.vocabulary import AppointmentId, CampusCode, EncounterId, PatientId, SlotId

from .desk import CLERKS, OUT, clinic

T = TypeVar("T")
PATIENCE_S = 60.0


class Pair:
    """A primary that answers a COMMIT once its standby has it, and the standby."""

    def __init__(self, folder: Path) -> None:
        self.primary = Postgres(folder / "primary", connections_max=80)
        self.standby = Postgres(folder / "standby", connections_max=80)

    @property
    def url(self) -> str:
        """Whoever of the two may be written to."""
        hosts = "&".join(f"host=127.0.0.1:{one.port}" for one in (self.primary, self.standby))
        return (
            f"postgresql://plugward:{self.password}@/plugward?{hosts}"
            "&target_session_attrs=read-write"
        )

    @property
    def password(self) -> str:
        return (self.primary.folder / "password").read_text()

    async def start(self) -> None:
        for one in (self.primary, self.standby):
            one.folder.mkdir(mode=0o700, parents=True)
        await self.primary.start()
        await asyncio.to_thread(self._copy)
        await self.standby.start()
        await self._said(self.primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        await self._said(self.primary, "SELECT pg_reload_conf()")

    def _copy(self) -> None:
        told = runs_as()
        cluster = self.standby.folder / "cluster"
        cluster.mkdir(mode=0o700)
        shutil.copy(self.primary.folder / "password", self.standby.folder)
        if user := told.get("user"):
            for path in (self.standby.folder, cluster, self.standby.folder / "password"):
                os.chown(path, user, told["group"])
        subprocess.run(
            [binary("pg_basebackup"), "-D", "/proc/self/cwd", "-R", "-h", "127.0.0.1",
             "-p", str(self.primary.port), "-U", "plugward"],
            cwd=cluster, env={"PGPASSWORD": self.password}, check=True, **told,
        )  # fmt: skip

    async def fail_over(self) -> None:
        """The primary is gone as if its plug was pulled; an operator promotes the standby."""
        await self.primary.abandon()
        await self._said(self.standby, "SELECT pg_promote()")

    async def stop(self) -> None:
        await self.standby.stop()
        await self.primary.stop()

    async def _said(self, server: Postgres, statement: str) -> None:
        connection: Any = await asyncpg.connect(server.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


class Clerks:
    """They repeat what got no answer, under the same request id, as the pages do."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.booked: list[Appointment] = []
        self.unanswered = 0
        self.stopped = asyncio.Event()

    async def work(self, slots: Sequence[SlotId]) -> None:
        await asyncio.gather(*(self._clerk(slots, number) for number in range(CLERKS)))

    async def _clerk(self, slots: Sequence[SlotId], turn: int) -> None:
        patients = self._runtime.client(Patients)
        registrations = self._runtime.client(Registrations)
        while not self.stopped.is_set():
            person = a_person(turn)
            await self.ask(lambda person=person: patients.register(person))
            visit = a_visit(person.id, slots[turn % len(slots)])
            self.booked.append(await self.ask(lambda visit=visit: registrations.book(visit)))
            turn += CLERKS

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        request, until = new_id(), time.monotonic() + PATIENCE_S
        while True:
            with acting_as(a_tester(), request=request):
                try:
                    return await call()
                except Unavailable:
                    self.unanswered += 1
            assert time.monotonic() < until, "it was never answered"
            await asyncio.sleep(0.1)

    async def after(self, more: int) -> None:
        until = len(self.booked) + more
        async with asyncio.timeout(PATIENCE_S):
            while len(self.booked) < until:  # noqa: ASYNC110 - with a deadline
                await asyncio.sleep(0.05)


def a_person(turn: int) -> RegisterPatient:
    return RegisterPatient(
        id=PatientId(new_id()),
        campus=CampusCode("C1"),
        name=f"钱{chr(0x4E00 + turn % 5_000)}",
        birth_date=date(1940 + turn % 60, 1 + turn % 12, 1 + turn % 28),
    )


def a_visit(patient: PatientId, slot: SlotId) -> BookAppointment:
    return BookAppointment(
        id=AppointmentId(new_id()),
        encounter=EncounterId(new_id()),
        patient=patient,
        channel=Channel.DOCTOR,
        slot=slot,
    )


@pytest.mark.full
@pytest.mark.timeout(300)
async def test_f06_the_primary_dies_and_no_number_is_lost_or_given_twice(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.start()
    folder = DataFolder(tmp_path / "hospital")
    folder.open()
    hospital = Embedded(folder, stores=Stores(pair.url), without=OUT | {"identity", "portal"})
    try:
        await hospital.start()
        runtime, clerks = hospital.runtime, Clerks(hospital.runtime)
        registrations = runtime.client(Registrations)
        made = clinic(0, runtime.clock.now())
        await clerks.ask(lambda: registrations.publish_session(made))
        work = asyncio.create_task(clerks.work([slot.id for slot in made.slots]))
        await clerks.after(40)
        await pair.fail_over()
        await clerks.after(40)
        clerks.stopped.set()
        await work
        assert clerks.unanswered  # it was noticed
        await runtime.quiet(patience_s=PATIENCE_S)

        for appointment in clerks.booked:
            kept = await clerks.ask(lambda one=appointment: registrations.get(one.id))
            assert (kept.slot, kept.encounter) == (appointment.slot, appointment.encounter)
        # everything that was asked for was answered in the end: no place is lost or taken twice
        offer = await clerks.ask(lambda: registrations.session(made.id))
        assert offer.remaining == sum(s.capacity for s in made.slots) - len(clerks.booked)
        encounters = runtime.client(Encounters)
        for appointment in clerks.booked:  # each fact was heard once, also those of the last moment
            found = await clerks.ask(lambda one=appointment: encounters.get(one.encounter))
            assert found.patient == appointment.patient
        report = await audit_runtime(runtime)
        assert [breach for line in report.lines for breach in line.breaches] == []
    finally:
        await hospital.stop()
        folder.close()
        await pair.stop()
