"""A09: a booking of one campus is scanned at another one's kiosk, behind another vendor's desk.

院区甲的号到院区乙的自助机签到；两个院区的挂号由不同系统应答。
"""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from plugward.boards.calling.board import board as calling
from plugward.boards.calling.contract import Calling
from plugward.boards.encounters.board import board as encounters
from plugward.boards.encounters.contract import Encounters, EncounterState
from plugward.boards.patients.board import board as patients
from plugward.boards.patients.contract import Patients, RegisterPatient
from plugward.boards.registration.board import board as registration
from plugward.boards.registration.contract import (
    Appointment,
    AppointmentNotFound,
    AppointmentState,
    ArrivalMarks,
    BookAppointment,
    Channel,
    DayPeriod,
    PublishSession,
    PublishSlot,
    Registrations,
    SessionId,
    WrongCampus,
)
from plugward.boards.registration.fakes import FakeRegistration
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.binding import Bindings
from plugward.kernel.clock import ManualClock
from plugward.kernel.dispatch import LocalEndpoint
from plugward.kernel.envelope import Actor, Call, acting_as
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_time
from plugward.vocabulary import (
    AppointmentId,
    CampusCode,
    DepartmentCode,
    EncounterId,
    PatientId,
    SlotId,
    StaffId,
)

C1, C2 = CampusCode("C1"), CampusCode("C2")
MONDAY = date(2026, 3, 2)
NINE = hospital_time("2026-03-02 09:00")
DESK = a_tester(campuses=("C1", "C2"), id="desk")
KIOSK = {campus: a_tester(campuses=(campus,), id=f"kiosk-{campus}") for campus in ("C1", "C2")}


class Two:
    """Campus C1 with our registration, campus C2 behind another vendor's."""

    def __init__(self, runtime: Runtime, theirs: FakeRegistration) -> None:
        self.runtime = runtime
        self.theirs = theirs
        self.registration = runtime.client(Registrations)

    async def booked(self, campus: CampusCode) -> Appointment:
        """A clinic of that campus, and a patient who has a number of it."""
        patient, session, slot = PatientId(new_id()), SessionId(new_id()), SlotId(new_id())
        with acting_as(DESK, campus=campus):
            await self.runtime.client(Patients).register(
                RegisterPatient(id=patient, campus=campus, name="沈玉兰")
            )
        with acting_as(DESK, campus=campus):
            await self.registration.publish_session(
                PublishSession(
                    id=session, campus=campus, department=DepartmentCode(f"{campus}-CARD"),
                    department_name="心血管内科", doctor=StaffId(new_id()), doctor_name="李医生",
                    day=MONDAY, period=DayPeriod.MORNING, fee_item="RF01",
                    slots=(
                        PublishSlot(
                            id=slot, starts_at=NINE, ends_at=hospital_time("2026-03-02 09:30"),
                            capacity=2,
                        ),
                    ),
                )
            )  # fmt: skip
        wish = BookAppointment(
            id=AppointmentId(new_id()),
            encounter=EncounterId(new_id()),
            patient=patient,
            slot=slot,
            channel=Channel.NURSE,
        )
        with acting_as(DESK, campus=campus):
            found = await self.registration.book(wish)
        await self.runtime.quiet()
        return found

    async def scan(self, appointment: AppointmentId, at: CampusCode, who: Actor) -> Appointment:
        with acting_as(who):
            return await self.registration.check_in(appointment, at, ArrivalMarks())


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    clock = ManualClock("2026-03-02 08:00")
    runtime = Runtime(
        Databases(tmp_path, durable=False),
        clock,
        AuditLog(None, clock),
        bindings=Bindings.of({"C2": {"registration": "other_desk"}}),
    )
    await runtime.start([patients, registration, encounters, calling])
    theirs = FakeRegistration()

    async def never_done(call: Call) -> None:
        del call

    runtime.dispatcher.attach(
        "other_desk",
        LocalEndpoint(
            "other_desk", theirs, append=runtime.audit.append, meters=runtime.meters,
            find_done=never_done,
        ),
    )  # fmt: skip
    yield Two(runtime, theirs)
    await runtime.stop()


async def test_a09_our_booking_at_the_other_vendors_kiosk(two: Two) -> None:
    """本院 C1 的号，到 C2 自助机：指明院区与时间；无票、无就诊、C2 名单不见；留痕。"""
    number = await two.booked(C1)
    with pytest.raises(WrongCampus) as refused:
        await two.scan(number.id, C2, KIOSK["C2"])
    assert (refused.value.campus, refused.value.starts_at) == ("C1", NINE)
    await two.runtime.quiet()
    with acting_as(KIOSK["C2"]):
        assert await two.registration.day_list(C2, MONDAY) == ()
        assert await two.registration.of_patients((number.patient,), MONDAY) == ()
        with pytest.raises(AppointmentNotFound):
            await two.registration.get(number.id)
        assert await two.runtime.client(Encounters).of_day(C2, MONDAY) == ()
    with acting_as(DESK):
        visit = await two.runtime.client(Encounters).get(number.encounter)
        assert visit.state is EncounterState.PLANNED
        assert await two.runtime.client(Calling).ticket_of(number.encounter) is None
    await two.runtime.quiet()
    tries = two.runtime.audit.entries(operation="registration.check_in")
    assert [e.body["actor"] for e in tries] == ["staff:kiosk-C2"]


async def test_a09_the_other_vendors_booking_at_our_kiosk(two: Two) -> None:
    """对方 C2 的号，到本院 C1 自助机：同样指明；到对的院区即签到成功。"""
    number = await two.booked(C2)
    assert number.id in two.theirs.appointments
    with pytest.raises(WrongCampus) as refused:
        await two.scan(number.id, C1, KIOSK["C1"])
    assert refused.value.campus == "C2"
    with acting_as(KIOSK["C1"]):
        assert await two.registration.day_list(C1, MONDAY) == ()
    arrived = await two.scan(number.id, C2, KIOSK["C2"])
    assert arrived.state is AppointmentState.CHECKED_IN
