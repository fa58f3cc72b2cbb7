"""What may come in wrong: each case gets its stated refusal or is survived, whole.

The table of all cases is docs/operate/bad-input.md; most are told where their board or door is
tested. Here stand those that need the whole hospital.
"""

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from plugward.boards.orders.contract import Orders, SignGroup
from plugward.boards.patients.contract import Patients, RegisterPatient
from plugward.kernel.audit import audit_runtime
from plugward.kernel.dispatch import Transport
from plugward.kernel.envelope import acting_as
from plugward.kernel.refusals import RequestReused, Unavailable
from plugward.kit.ids import new_id
from plugward.vocabulary import CampusCode, OrderGroupId, PatientId
from tests.conftest import MadeOnce
from tests.security.conftest import All, Hospital, live_a_day, person

from .disk import fill, may_mount, small_disk
from .dying import Wish, sign
from .house import AMLODIPINE, ECHO, HBA1C, METFORMIN, URINE_ACR, House, drug, exam, lab

ROOT = Path(__file__).parents[2]
Limit = Callable[[bool], None]


# ── the same key, other content ──────────────────────────────────────────────────────────────
async def test_a_request_used_again_for_something_else_signs_nothing(house: House) -> None:
    """同一请求编号、不同内容：拒绝；第一次的医嘱仍只有一份。"""
    patient = (await house.register("周建民", 1)).patient
    visit = await house.arrive(patient.id)
    request = new_id()
    first = await house.sign(visit, (drug(AMLODIPINE, 2),), request)
    with pytest.raises(RequestReused):
        await house.sign(visit, (drug(AMLODIPINE, 3),), request)
    with house.acting("doctor"):
        groups = await house.client(Orders).for_encounter(visit.encounter)
    assert [(group.id, [line.quantity for line in group.lines]) for group in groups] == [
        (first.id, [2])
    ]
    await house.audit()


# ── a full disk ──────────────────────────────────────────────────────────────────────────────
@contextmanager
def on_a_small_disk(lived: Path) -> Iterator[tuple[Hospital, Limit]]:
    """The whole hospital on a disk that something else fills up."""
    with small_disk(32) as disk:
        shutil.copytree(lived, disk / "boards")
        hospital = Hospital(disk / "boards")
        hospital.run(hospital.open())

        def limit(is_full: bool) -> None:
            if is_full:
                fill(disk, leave_kb=256)
            else:
                (disk / "ballast").unlink()

        yield hospital, limit
        hospital.close()


@contextmanager
def with_full_files(lived: Path, folder: Path) -> Iterator[tuple[Hospital, Limit]]:
    """The whole hospital, and no board's file may grow."""
    shutil.copytree(lived, folder / "boards")
    hospital = Hospital(folder / "boards")
    hospital.run(hospital.open())

    def pages(connection: Connection, more: int) -> None:
        now = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={now + more}")

    def limit(is_full: bool) -> None:
        for plugged in hospital.runtime.plugged.values():
            more = 2 if is_full else 100_000
            hospital.run(plugged.store.engine.system(partial(pages, more=more)))

    yield hospital, limit
    hospital.close()


@pytest.mark.parametrize("kind", ["disk" if may_mount() else "files"])
def test_a_full_disk_loses_nothing_and_leaves_nothing_half_done(
    tmp_path: Path, made_once: MadeOnce, kind: str
) -> None:
    """磁盘写满：已答复的一定在，未答复的不留半截；腾出空间后同一请求继续，账物相符。"""
    lived = made_once("day", live_a_day)
    place = on_a_small_disk(lived) if kind == "disk" else with_full_files(lived, tmp_path)
    with place as (hospital, limit):
        limit(True)
        wishes = [(new_id(), somebody(number)) for number in range(80)]
        answers = [hospital.run(register(hospital, *wish)) for wish in wishes]
        refused = [
            (wish, answer)
            for wish, answer in zip(wishes, answers, strict=True)
            if isinstance(answer, Exception)
        ]
        assert 0 < len(refused) < len(wishes)
        assert {type(answer) for _, answer in refused} == {Unavailable}
        assert {answer.reason for _, answer in refused} == {"storage"}

        limit(False)
        for wish, _ in refused[:10]:
            assert hospital.run(register(hospital, *wish)) == wish[1].id
        hospital.run(hospital.runtime.quiet(patience_s=60))
        promised = {answer for answer in answers if isinstance(answer, PatientId.__supertype__)}
        promised |= {wish[1].id for wish, _ in refused[:10]}
        assert hospital.run(registered(hospital, [w[1].id for w in wishes])) == promised
        report = hospital.run(audit_runtime(hospital.runtime))
        assert [line for line in report.lines if line.breaches] == []


def somebody(number: int) -> RegisterPatient:
    name = "满盘" + "甲乙丙丁戊己庚辛壬癸"[number % 10] * 20
    return RegisterPatient(id=PatientId(new_id()), campus=CampusCode("C1"), name=f"{name}{number}")


async def register(hospital: Hospital, request: Any, patient: RegisterPatient) -> Any:
    try:
        with acting_as(person(("C1",), All(), "desk"), request=request):
            return (await hospital.runtime.client(Patients).register(patient)).patient.id
    except Unavailable as away:
        return away


async def registered(hospital: Hospital, ids: list[PatientId]) -> set[Any]:
    """Which of them are there."""
    found: set[Any] = set()
    for start in range(0, len(ids), 50):
        with acting_as(person(("C1",), All(), "desk")):
            names = await hospital.runtime.client(Patients).names(tuple(ids[start : start + 50]))
        found |= {name.id for name in names}
    return found


# ── killed in the middle of a commit ─────────────────────────────────────────────────────────
LAST = [pytest.param(0, marks=pytest.mark.full), 2, pytest.param(5, marks=pytest.mark.full)]


@pytest.mark.parametrize("last", LAST)
async def test_a_process_killed_in_the_middle_of_a_commit(
    tmp_path: Path, prepared: Path, last: int
) -> None:
    """提交途中断电：写了一半的医嘱要么整张在，要么全不在；同一请求再来一次，恰好一份。"""
    shutil.copytree(prepared, tmp_path / "boards")
    house = House(tmp_path / "boards", Transport.STRICT)
    await house.start()
    patient = (await house.register("周建民", 1)).patient
    visit = await house.arrive(patient.id)
    wishes = [a_wish(visit) for _ in range(6)]
    await house.close()
    (tmp_path / "wishes.json").write_bytes(msgspec.json.encode(wishes))

    died = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.journeys.dying", str(tmp_path), str(last)],
        capture_output=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    answered = [int(line) for line in died.stdout.split()]
    assert answered == list(range(last))

    again = House(tmp_path / "boards", Transport.STRICT)
    await again.start()
    with again.acting("doctor"):
        groups = await again.client(Orders).for_encounter(visit.encounter)
    there = {group.id: len(group.lines) for group in groups}
    whole = {wish.group.id: len(wish.group.lines) for wish in wishes[: last + 1]}
    assert {wish.group.id for wish in wishes[:last]} <= there.keys()
    assert there.items() <= whole.items()  # the last one whole, or not at all
    for wish in wishes:  # whoever had no answer asks again; the others too
        await sign(again, wish)
    await again.quiet()
    with again.acting("doctor"):
        groups = await again.client(Orders).for_encounter(visit.encounter)
    assert sorted(group.id for group in groups) == sorted(wish.group.id for wish in wishes)
    account = await again.account(visit.encounter)
    assert len(account.lines) == len(wishes) * LINES + 1  # and the registration fee
    await again.audit()
    await again.close()


LINES = 5


def a_wish(visit: Any) -> Wish:
    lines = (
        *(drug(AMLODIPINE, 1), drug(METFORMIN, 1, "0.5", "g")),
        *(lab(URINE_ACR), lab(HBA1C), exam(ECHO)),
    )
    return Wish(
        request=new_id(),
        group=SignGroup(
            id=OrderGroupId(new_id()),
            encounter=visit.encounter,
            patient=visit.patient,
            campus=visit.campus,
            department=visit.department,
            lines=lines,
        ),
    )
