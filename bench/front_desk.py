"""The stocked front desk that bench_http.py asks: the product's own gateway on SQLite FULL."""

import asyncio
import json
import secrets
import sqlite3
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from plugward.boards.patients.contract import Patients, RegisterPatient
from plugward.boards.registration.contract import (
    BookAppointment,
    Channel,
    PublishSession,
    PublishSlot,
    Registrations,
    SessionId,
)
from plugward.boards.registration.contract import DayPeriod as Period
from plugward.commons.identity.contract import Identity, SignIn
from plugward.commons.identity.demo import prepare
from plugward.commons.portal.server import serve
from plugward.kernel.envelope import ANONYMOUS, acting_as
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_date, hospital_midnight
from plugward.rack.embedded import Embedded
from plugward.rack.folder import DataFolder
from plugward.sim.cast import Cast, Ids
from plugward.sim.foundation import planner
from plugward.vocabulary import (
    AppointmentId,
    CampusCode,
    DepartmentCode,
    EncounterId,
    PatientId,
    SlotId,
    StaffId,
)

PORT = 8299
TODAY = 2_000
DOCTORS = 40
REGISTRAR = "R10021"
WITHOUT = frozenset({"hub"})


def serve_front_desk(folder: Path, patients: int, bookings: int, ready: Path) -> None:
    """Prepare, stock, serve until terminated."""
    data = folder / "hospital"
    data.mkdir()
    (data / "plugward.toml").write_text(
        "[boards.portal]\nrate_per_s = 100000\nrate_burst = 100000\nin_flight_max = 1000\n"
    )
    template = asyncio.run(_prepare(data))
    _stock(data, template, patients, bookings)
    asyncio.run(_serve(data, template, ready))


async def _prepare(data: Path) -> dict[str, Any]:
    """One patient and one booking through the contracts: what the stock is copied from."""
    hospital, folder = _open(data)
    await hospital.start()
    runtime = hospital.runtime
    chance = Random(1)  # noqa: S311 - a measurement, not a secret
    actor = planner(Cast(runtime, Ids(hospital.clock, chance)))
    day = hospital_date(hospital.clock.now()) + timedelta(days=1)
    patient, appointment = PatientId(new_id()), AppointmentId(new_id())
    with acting_as(actor, campus="C1"):
        await runtime.client(Patients).register(
            RegisterPatient(id=patient, campus=CampusCode("C1"), name="测速模板")
        )
    slots: list[SlotId] = []
    for _ in range(DOCTORS):
        session = _session(day)
        slots += [slot.id for slot in session.slots]
        with acting_as(actor, campus="C1"):
            await runtime.client(Registrations).publish_session(session)
    await runtime.quiet()
    with acting_as(actor, campus="C1"):
        await runtime.client(Registrations).book(
            BookAppointment(
                id=appointment,
                encounter=EncounterId(new_id()),
                patient=patient,
                slot=slots[0],
                channel=Channel.WINDOW,
            )
        )
    await runtime.quiet()
    await hospital.stop()
    folder.close()
    return {
        "patient": patient.bytes,
        "appointment": appointment.bytes,
        "slots": [str(s) for s in slots],
        "day": day.isoformat(),
    }


def _session(day: date) -> PublishSession:
    """A doctor's clinic with as many numbers as a clinic may have."""
    midnight = hospital_midnight(day)
    return PublishSession(
        id=SessionId(new_id()),
        campus=CampusCode("C1"),
        department=DepartmentCode("C1-CARD"),
        department_name="心血管内科",
        doctor=StaffId(new_id()),
        doctor_name="测速医生",
        day=day,
        period=Period.MORNING,
        fee_item="RF01",
        slots=tuple(
            PublishSlot(
                id=SlotId(new_id()),
                capacity=40,
                starts_at=midnight + timedelta(hours=8, minutes=20 * number),
                ends_at=midnight + timedelta(hours=8, minutes=20 * number + 20),
            )
            for number in range(12)
        ),
    )


def _stock(data: Path, template: dict[str, Any], patients: int, bookings: int) -> None:
    """Copies of the template rows with ids of their own."""
    with sqlite3.connect(data / "boards" / "patients.sqlite") as db:
        _copy(
            db,
            "patients_patient",
            "id",
            template["patient"],
            patients,
            {
                "id": "randomblob(16)",
                "name": "'测速' || n",
                "pinyin": "'cs' || n",
                "pinyin_full": "'cesu' || n",
            },
        )
        db.execute(
            "INSERT INTO patients_identifier SELECT 'bench', hex(id), id, NULL, campus, "
            "registered_at, author FROM patients_patient"
        )
    with sqlite3.connect(data / "boards" / "registration.sqlite") as db:
        key = template["appointment"]
        own = {
            "id": "randomblob(16)",
            "encounter": "randomblob(16)",
            "patient": "randomblob(16)",
            "person": "randomblob(16)",
        }
        _copy(db, "registration_appointment", "id", key, TODAY, own)
        _copy(
            db,
            "registration_appointment",
            "id",
            key,
            bookings - TODAY,
            {
                **own,
                "day": "date(day, '-' || (1 + n % 365) || ' days')",
                "state": "'booked'",
                "held_until": "NULL",
            },
        )


def _copy(
    db: sqlite3.Connection, table: str, key: str, value: bytes, count: int, own: dict[str, str]
) -> None:
    names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    columns = ", ".join(f'"{n}"' for n in names)
    values = ", ".join(own.get(n, f't."{n}"') for n in names)
    db.execute(
        f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count}) "  # noqa: S608 - our own names
        f"INSERT INTO {table} ({columns}) SELECT {values} FROM c, {table} t WHERE t.{key} = ?",
        (value,),
    )


async def _serve(data: Path, template: dict[str, Any], ready: Path) -> None:
    hospital, folder = _open(data)
    await hospital.start()
    logins = await prepare(hospital.runtime, folder.path)
    password = next(login.password for login in logins if login.staff_no == REGISTRAR)
    token = secrets.token_urlsafe(16)
    with acting_as(ANONYMOUS):
        await hospital.runtime.client(Identity).sign_in(
            SignIn(staff_no=REGISTRAR, password=password, token=token)
        )
    with sqlite3.connect(data / "boards" / "patients.sqlite") as db:
        rows = db.execute("SELECT id FROM patients_patient LIMIT 6000").fetchall()
    ids = [str(UUID(bytes=row[0])) for row in rows]
    setup = {
        "token": token,
        "known": ids[:3000],
        "fresh": ids,
        "slots": template["slots"],
        "day": template["day"],
    }

    def listening(*_: Any) -> None:
        part = ready.with_suffix(".part")
        part.write_text(json.dumps(setup))
        part.rename(ready)

    await serve(
        hospital.runtime,
        host="127.0.0.1",
        port=PORT,
        demo=True,
        stop=asyncio.Event(),
        listening=listening,
    )


def _open(data: Path) -> tuple[Embedded, DataFolder]:
    folder = DataFolder(data)
    folder.open()
    extra: dict[str, dict[str, Any]] = {"identity": {"demo": True}, "portal": {"demo": True}}
    return Embedded(folder, without=WITHOUT, extra=extra), folder
