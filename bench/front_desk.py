"""The stocked front desk that bench_http.py asks: the product's own gateway on SQLite FULL."""

import asyncio
import json
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import uvloop

from plugward.boards.patients.contract import Patients, RegisterPatient
from plugward.boards.patients.rules import pinyin_full, pinyin_initials
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
from plugward.commons.identity.demo import Login, prepare
from plugward.commons.portal.server import serve
from plugward.kernel.clock import SystemClock
from plugward.kernel.envelope import ANONYMOUS, acting_as
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_date, hospital_midnight
from plugward.rack.discover import discover
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
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红建国文辉力鑫宇浩凯雪琳晨思佳欣子涵"


def serve_front_desk(data: Path, ready: Path) -> None:
    """Serve a stocked folder until terminated, on the event loop that ``plugward up`` uses."""
    template = json.loads((data / "template.json").read_text())
    uvloop.run(_serve(data, template, ready))


def stocked(patients: int, bookings: int) -> Path:
    """A folder with so much in it; made once a day, then kept beside the temporary files."""
    day = hospital_date(SystemClock().now()).isoformat()
    name = f"plugward-front-desk-{patients}-{bookings}-{day}-{_fingerprint()}"
    kept = Path(tempfile.gettempdir()) / name
    if kept.exists():
        return kept
    with tempfile.TemporaryDirectory(prefix="plugward-stocking-") as folder:
        data = Path(folder) / "hospital"
        data.mkdir()
        (data / "plugward.toml").write_text(
            "[boards.portal]\nrate_per_s = 100000\nrate_burst = 100000\nin_flight_max = 1000\n"
        )
        template = asyncio.run(_prepare(data))
        _stock(data, template, patients, bookings)
        told = {name: template[name] for name in ("slots", "day", "encounter")}
        (data / "template.json").write_text(json.dumps(told))
        shutil.move(data, kept)
    return kept


def _fingerprint() -> str:
    """Changes with the boards' tables and this file, so that nothing kept is older than they."""
    told = [
        f"{table.name} {[f'{c.name} {c.type}' for c in table.columns]} "
        f"{sorted(str(index.name) for index in table.indexes)}"
        for board in discover(WITHOUT).boards
        for table in board.tables.metadata.sorted_tables
    ]
    return sha256("\n".join(told).encode() + Path(__file__).read_bytes()).hexdigest()[:10]


async def _prepare(data: Path) -> dict[str, Any]:
    """One patient and one booking through the contracts: what the stock is copied from."""
    hospital, folder = _open(data)
    await hospital.start()
    runtime = hospital.runtime
    chance = Random(1)  # noqa: S311 - a measurement, not a secret
    actor = planner(Cast(runtime, Ids(hospital.clock, chance)))
    day = hospital_date(hospital.clock.now()) + timedelta(days=1)
    patient, appointment = PatientId(new_id()), AppointmentId(new_id())
    encounter = EncounterId(new_id())
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
                encounter=encounter,
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
        "encounter": str(encounter),
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
    """Copies of the template rows with ids, names, birthdays and numbers of their own."""
    chance = Random(7)  # noqa: S311 - a measurement, not a secret
    with sqlite3.connect(data / "boards" / "patients.sqlite") as db:
        _people(db, template["patient"], patients, chance)
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
            "starts_at": "starts_at + (n % 12) * 1200000000",
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


def person(chance: Random) -> tuple[str, str]:
    """A name and a birthday, spread as a city's are: some share a day, a few a name."""
    name = chance.choice(SURNAMES) + chance.choice(GIVEN) + chance.choice(GIVEN)
    born = date(1935, 1, 1) + timedelta(days=chance.randrange(32_000))
    return name, born.isoformat()


def _people(db: sqlite3.Connection, template: bytes, count: int, chance: Random) -> None:
    names = [row[1] for row in db.execute("PRAGMA table_info(patients_patient)")]
    row = db.execute("SELECT * FROM patients_patient WHERE id = ?", (template,)).fetchone()
    like = dict(zip(names, row, strict=True))

    def rows() -> Iterator[tuple[Any, ...]]:
        for _ in range(count):
            name, born = person(chance)
            own = {
                "id": new_id().bytes,
                "name": name,
                "birth_date": born,
                "sex": chance.choice(("female", "male")),
                "pinyin": pinyin_initials(name),
                "pinyin_full": pinyin_full(name),
            }
            yield tuple((like | own).values())

    marks = ", ".join("?" * len(names))
    db.executemany(f"INSERT INTO patients_patient VALUES ({marks})", rows())  # noqa: S608 - our own names


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
    clerk = next(login for login in logins if login.staff_no == REGISTRAR)
    doctor = next(login for login in logins if login.role == "doctor" and login.campus == "C1")
    with sqlite3.connect(data / "boards" / "patients.sqlite") as db:
        rows = db.execute("SELECT id FROM patients_patient").fetchall()
    ids = [str(UUID(bytes=row[0])) for row in rows]
    Random(3).shuffle(ids)  # noqa: S311 - a measurement, not a secret
    setup = {
        "token": await _signed_in(hospital, clerk),
        "doctor": await _signed_in(hospital, doctor),
        "encounter": template["encounter"],
        "patients": ids[:12_000],
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


async def _signed_in(hospital: Embedded, login: Login) -> str:
    """The reference of a new session."""
    token = secrets.token_urlsafe(16)
    with acting_as(ANONYMOUS):
        await hospital.runtime.client(Identity).sign_in(
            SignIn(staff_no=login.staff_no, password=login.password, token=token)
        )
    return token


def _open(data: Path) -> tuple[Embedded, DataFolder]:
    folder = DataFolder(data)
    folder.open()
    extra: dict[str, dict[str, Any]] = {"identity": {"demo": True}, "portal": {"demo": True}}
    return Embedded(folder, without=WITHOUT, extra=extra), folder
