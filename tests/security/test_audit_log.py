"""SEC-AUDIT: what is done is written down with its effect, and whoever changes the log is found."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from plugward.boards.patients.board import board
from plugward.boards.patients.contract import Patients, RegisterPatient
from plugward.kernel.auditlog import AuditLog, verify
from plugward.kernel.clock import ManualClock
from plugward.kernel.envelope import Actor, ActorKind, acting_as
from plugward.kernel.refusals import Fault, NotAllowed, NotFound, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kit.ids import new_id
from plugward.vocabulary import CampusCode, PatientId

REGISTRAR = Actor(
    id="staff:0190",
    kind=ActorKind.PERSON,
    permissions=frozenset({"patients.read", "patients.register"}),
    campuses=("C1",),
    roles=("registrar",),
    device="desk-3",
    address="10.1.0.7",
)
READER = Actor(
    id="staff:0191",
    kind=ActorKind.PERSON,
    permissions=frozenset({"patients.read"}),
    campuses=("C1",),
)


class Office:
    """A patient index with an audit log in a file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "audit.sqlite"
        clock = ManualClock("2026-03-02 08:00")
        self.runtime = Runtime(Databases(folder), clock, AuditLog(self.path, clock))
        self.patients = self.runtime.client(Patients)

    async def open(self) -> "Office":
        await self.runtime.start([board])
        return self

    async def register(self, name: str = "沈玉兰", actor: Actor = REGISTRAR) -> PatientId:
        id = PatientId(new_id())
        with acting_as(actor):
            await self.patients.register(RegisterPatient(id=id, campus=CampusCode("C1"), name=name))
        await self.runtime.quiet()
        return id

    async def look_at(self, patient: PatientId, actor: Actor = READER) -> None:
        with acting_as(actor):
            await self.patients.get(patient)

    def rows(self) -> list[tuple[str, str, str]]:
        """Operation, actor and body, read from the file as somebody else would read it."""
        with sqlite3.connect(self.path) as db:
            return list(db.execute("SELECT operation, actor, body FROM audit_entry ORDER BY seq"))


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    office = await Office(tmp_path).open()
    yield office
    await office.runtime.stop()


async def test_sec_audit_01_no_audit_no_effect(office: Office) -> None:
    """The row of a command is written in its transaction: if it cannot be, nothing is."""
    store = office.runtime.plugged["patients"].store
    await store.engine.system(
        lambda c: c.execute(
            text(
                "CREATE TRIGGER full BEFORE INSERT ON patients_sys_outbox "
                "WHEN NEW.tag = 'kernel.command.done.v1' "
                "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        )
    )
    with pytest.raises((Fault, Unavailable)):
        await office.register()
    left = await store.engine.read(
        lambda c: c.execute(text("SELECT count(*) FROM patients_patient")).scalar_one()
    )
    assert left == 0
    await store.engine.system(lambda c: c.execute(text("DROP TRIGGER full")))
    await office.register()


async def test_sec_audit_01_a_read_that_cannot_be_written_down_is_not_answered(
    office: Office,
) -> None:
    patient = await office.register()
    with sqlite3.connect(office.path) as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON audit_entry "
            "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    with pytest.raises(Unavailable):
        await office.look_at(patient)


async def test_sec_audit_02_a_read_is_durable_before_its_answer(office: Office) -> None:
    patient = await office.register()
    await office.look_at(patient)
    operation, actor, body = office.rows()[-1]  # another connection, at once
    assert (operation, actor) == ("patients.get", READER.id)
    assert str(patient) in body


DIE = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.security.test_audit_log import Office

async def main():
    office = await Office(Path(sys.argv[1])).open()
    patient = await office.register()
    await office.look_at(patient)
    print(patient, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.parametrize("turn", range(3))
def test_sec_audit_02_a_process_killed_after_its_answer_has_written_it_down(
    tmp_path: Path, turn: int
) -> None:
    del turn
    root = Path(__file__).parents[2]
    died = subprocess.run(
        [sys.executable, "-c", DIE, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    patient = died.stdout.strip()
    with sqlite3.connect(tmp_path / "audit.sqlite") as db:
        reads = [
            body
            for operation, body in db.execute("SELECT operation, body FROM audit_entry")
            if operation == "patients.get"
        ]
        assert [patient in body for body in reads] == [True]
        assert list(verify(db)) == []


async def test_sec_audit_03_rows_are_complete_and_hold_no_names(office: Office) -> None:
    patient = await office.register("沈玉兰")
    await office.look_at(patient, REGISTRAR)
    [command] = office.runtime.audit.entries(operation="patients.register")
    [read] = office.runtime.audit.entries(operation="patients.get")
    for entry in (command, read):
        body = entry.body
        assert body["actor"] == REGISTRAR.id
        assert body["roles"] == ["registrar"]
        assert (body["device"], body["address"]) == ("desk-3", "10.1.0.7")
        assert body["campus"] == "C1"
        assert body["patients"] == [str(patient)]
        assert body["request"]
        assert body["trace"]
        assert entry.at
    assert command.body["result"] == "done"
    assert command.body["arguments_hash"]
    assert "沈玉兰" not in str(office.rows())


async def test_sec_audit_13_what_was_denied_is_written_down_too(office: Office) -> None:
    patient = PatientId(new_id())
    nobody = Actor(id="staff:0192", kind=ActorKind.PERSON, campuses=("C1",))
    with pytest.raises(NotAllowed):
        await office.look_at(patient, nobody)
    with pytest.raises(NotAllowed):
        await office.register(actor=READER)
    bodies = {(op, actor): json.loads(body) for op, actor, body in office.rows()}
    looked = bodies["patients.get", "staff:0192"]
    assert (looked["result"], looked["patients"]) == ("forbidden", [str(patient)])
    assert bodies["patients.register", READER.id]["result"] == "forbidden"


async def test_sec_audit_13_a_command_the_rules_refuse_is_written_down(office: Office) -> None:
    with pytest.raises(NotFound), acting_as(REGISTRAR):
        await office.patients.register(
            RegisterPatient(id=PatientId(new_id()), campus=CampusCode("C9"), name="甲")
        )
    [entry] = office.runtime.audit.entries(operation="patients.register")
    assert entry.body["result"] == "not-found"


async def test_sec_audit_07_the_log_refuses_to_be_changed(office: Office) -> None:
    await office.register()
    for statement in (
        "UPDATE audit_entry SET actor = 'staff:somebody'",
        "DELETE FROM audit_entry",
    ):
        with (
            sqlite3.connect(office.path) as db,
            pytest.raises(sqlite3.DatabaseError, match="append-only"),
        ):
            db.execute(statement)


# ── tampering: the database's owner takes the triggers off and goes on ───────────────────────
def edit(db: sqlite3.Connection) -> None:
    db.execute("UPDATE audit_entry SET body = replace(body, 'staff:0191', 'staff:9') WHERE seq = 4")


def delete(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM audit_entry WHERE seq = 3")


def delete_first(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM audit_entry WHERE seq = 1")


def insert(db: sqlite3.Connection) -> None:
    db.execute("UPDATE audit_entry SET seq = seq + 100 WHERE seq >= 4")
    db.execute("UPDATE audit_entry SET seq = seq - 99 WHERE seq >= 104")
    db.execute(
        "INSERT INTO audit_entry SELECT lane, 4, at, body, patients, operation, actor, request, "
        "hash FROM audit_entry WHERE seq = 3"
    )


def swap(db: sqlite3.Connection) -> None:
    for old, new in ((2, 1000), (3, 2), (1000, 3)):
        db.execute("UPDATE audit_entry SET seq = ? WHERE seq = ?", (new, old))


def backdate(db: sqlite3.Connection) -> None:
    db.execute("UPDATE audit_entry SET at = '2025-01-01T00:00:00+00:00' WHERE seq = 2")


def cut_tail(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM audit_entry WHERE seq > 3")


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (edit, "entry 4 was changed"),
        (delete, "entry 3 is missing"),
        (delete_first, "entry 1 is missing"),
        (insert, "entry 4 was changed"),
        (swap, "entry 2 was changed"),
        (backdate, "entry 2 was changed"),
        (cut_tail, "the tail was cut"),
    ],
)
async def test_sec_audit_04_and_05_every_tampering_is_named(
    tmp_path: Path, tamper: Callable[[sqlite3.Connection], None], named: str
) -> None:
    (tmp_path / "house").mkdir()
    office = await Office(tmp_path / "house").open()
    patient = await office.register()
    for _ in range(5):
        await office.look_at(patient)
    await office.runtime.stop()  # writes the anchor

    copy = tmp_path / "copy.sqlite"
    shutil.copy(office.path, copy)
    with sqlite3.connect(copy) as db:
        assert list(verify(db)) == []
        db.execute("DROP TRIGGER audit_no_update")
        db.execute("DROP TRIGGER audit_no_delete")
        tamper(db)
        db.commit()
        found = list(verify(db))
    assert len(found) >= 1
    assert named in found[0]
