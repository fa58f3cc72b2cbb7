"""One visit, from the booked number to the doctor's goodbye, told as the clinic would tell it."""

from contextlib import suppress
from datetime import date, timedelta
from itertools import product

import pytest

from plugward.boards.calling.contract import (
    PriorityClass,
    QueueCode,
    Ticket,
    TicketServed,
    TicketState,
)
from plugward.boards.encounters.board import board
from plugward.boards.encounters.contract import (
    Disposition,
    Encounter,
    EncounterArrived,
    EncounterCancelled,
    EncounterFinished,
    EncounterKind,
    EncounterNotFound,
    EncounterOver,
    EncounterPlanned,
    Encounters,
    EncounterStarted,
    EncounterState,
    OpenEncounter,
)
from plugward.boards.encounters.fakes import FakeEncounters
from plugward.boards.registration.contract import (
    Appointment,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentCheckedIn,
    AppointmentMoved,
    AppointmentReinstated,
    AppointmentState,
    AppointmentStopped,
    ArrivalMarks,
    CancelReason,
    Channel,
    ClinicKind,
    DayPeriod,
    SessionId,
)
from plugward.kernel import Conflict
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_time
from plugward.vocabulary import (
    AppointmentId,
    BillId,
    CampusCode,
    ChargeRequest,
    DepartmentCode,
    EncounterId,
    PatientId,
    SlotId,
    StaffId,
    TicketId,
)

MRS_SHEN = PatientId(new_id())
DR_LIN = StaffId(new_id())
DR_HE = StaffId(new_id())
C1, C2 = CampusCode("C1"), CampusCode("C2")
CARDIOLOGY = DepartmentCode("C1-CARD")
MONDAY = date(2026, 3, 2)


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(board, transport=request.param, now="2026-03-02 08:00")


def number_for(
    patient: PatientId = MRS_SHEN, campus: str = "C1", day: date = MONDAY
) -> Appointment:
    start = hospital_time(f"{day} 09:00")
    return Appointment(
        id=AppointmentId(new_id()),
        encounter=EncounterId(new_id()),
        patient=patient,
        patient_name="沈玉兰",
        birth_date=date(1964, 5, 20),
        session=SessionId(new_id()),
        slot=SlotId(new_id()),
        campus=CampusCode(campus),
        department=DepartmentCode(f"{campus}-CARD"),
        department_name="心血管内科",
        doctor=DR_LIN,
        doctor_name="林予安",
        doctor_title="副主任医师",
        day=day,
        period=DayPeriod.MORNING,
        kind=ClinicKind.EXPERT,
        room="6",
        queue="",
        starts_at=start,
        ends_at=start + timedelta(minutes=30),
        fee_item="RF02",
        channel=Channel.APP,
        state=AppointmentState.BOOKED,
        is_paid=True,
        held_until=None,
        booked_at=start - timedelta(days=1),
        author="staff:app",
    )


def booked(number: Appointment) -> AppointmentBooked:
    return AppointmentBooked(
        appointment=number,
        charge=ChargeRequest(
            encounter=number.encounter,
            item=number.fee_item,
            quantity=1,
            performed_at=number.booked_at,
            line=number.id,
        ),
    )


def checked_in(number: Appointment) -> AppointmentCheckedIn:
    return AppointmentCheckedIn(
        appointment=number.replace(state=AppointmentState.CHECKED_IN), marks=ArrivalMarks()
    )


def served(number: Appointment) -> TicketServed:
    return TicketServed(
        ticket=Ticket(
            id=TicketId(new_id()),
            queue=QueueCode("C1-CARD:2026-03-02:morning:x"),
            campus=number.campus,
            department=number.department,
            day=number.day,
            number="A036",
            priority=PriorityClass.ORDINARY,
            state=TicketState.SERVED,
            patient=number.patient,
            patient_name=number.patient_name,
            encounter=number.encounter,
            appointment=number.id,
            calls=1,
            has_rejoined=False,
            issued_at=number.starts_at,
            doctor=DR_LIN,
            author="staff:lin",
        )
    )


async def state_of(bench: Bench, number: Appointment) -> EncounterState:
    return (await bench.client(Encounters).get(number.encounter)).state


async def test_a_visit_is_planned_arrives_is_treated_and_finished(bench: Bench) -> None:
    """挂号 → 已预约 → 签到 → 已签到 → 到诊 → 就诊中 → 医生结束 → 已完成。"""
    number = number_for()
    await bench.receive(booked(number))
    assert await state_of(bench, number) is EncounterState.PLANNED
    bench.clock.set("2026-03-02 08:50")
    await bench.receive(checked_in(number))
    assert await state_of(bench, number) is EncounterState.ARRIVED
    bench.clock.set("2026-03-02 09:10")
    await bench.receive(served(number))
    bench.clock.set("2026-03-02 09:20")
    finished = await bench.client(Encounters).finish(number.encounter, Disposition.HOME)

    assert finished.state is EncounterState.FINISHED
    assert finished.arrived_at == hospital_time("2026-03-02 08:50")
    assert finished.started_at == hospital_time("2026-03-02 09:10")
    assert finished.finished_at == hospital_time("2026-03-02 09:20")
    assert finished.author == "staff:tester"
    [planned] = bench.published(EncounterPlanned)
    [arrived] = bench.published(EncounterArrived)
    [started] = bench.published(EncounterStarted)
    [ended] = bench.published(EncounterFinished)
    assert {e.encounter.id for e in (planned, arrived, started, ended)} == {number.encounter}
    await bench.prove()


async def test_every_fact_heard_twice_counts_once(bench: Bench) -> None:
    number = number_for()
    for event in (booked(number), checked_in(number), served(number)):
        await bench.receive(event, times=2)
    assert await state_of(bench, number) is EncounterState.IN_PROGRESS
    assert len(bench.published(EncounterPlanned)) == 1
    assert len(bench.published(EncounterArrived)) == 1
    assert len(bench.published(EncounterStarted)) == 1


async def test_the_doctor_may_start_before_word_of_the_arrival_gets_here(bench: Bench) -> None:
    """到诊消息先于挂号消息到达：就诊只有一条，状态不倒退。"""
    number = number_for()
    await bench.receive(served(number))
    await bench.receive(booked(number))
    await bench.receive(checked_in(number))

    [visit] = await bench.client(Encounters).of_patients((MRS_SHEN,))
    assert (visit.id, visit.state) == (number.encounter, EncounterState.IN_PROGRESS)
    await bench.prove()


async def test_starting_twice_is_starting_once(bench: Bench) -> None:
    number = number_for()
    await bench.receive(booked(number))
    first = await bench.client(Encounters).start(number.encounter, DR_HE, "贺之")
    again = await bench.client(Encounters).start(number.encounter, DR_LIN, "林予安")
    assert first == again
    assert (again.doctor, again.doctor_name) == (DR_HE, "贺之")
    assert len(bench.published(EncounterStarted)) == 1


async def test_a_finished_visit_takes_no_more(bench: Bench) -> None:
    number = number_for()
    await bench.receive(booked(number))
    encounters = bench.client(Encounters)
    with pytest.raises(EncounterOver):  # nobody has begun it
        await encounters.finish(number.encounter, Disposition.HOME)
    await encounters.start(number.encounter, DR_LIN)
    with pytest.raises(EncounterOver):  # it has been begun
        await encounters.cancel(number.encounter, "患者要求")
    await encounters.finish(number.encounter, Disposition.RETURN_VISIT)
    with pytest.raises(EncounterOver):
        await encounters.start(number.encounter, DR_HE)
    with pytest.raises(EncounterNotFound):
        await encounters.get(EncounterId(new_id()))


async def test_a_number_given_back_calls_the_visit_off(bench: Bench) -> None:
    number = number_for()
    await bench.receive(booked(number))
    await bench.receive(AppointmentCancelled(appointment=number, reason=CancelReason.PATIENT_WISH))
    assert await state_of(bench, number) is EncounterState.CANCELLED
    assert len(bench.published(EncounterCancelled)) == 1

    await bench.receive(AppointmentReinstated(appointment=number, bill=BillId(new_id())))
    assert await state_of(bench, number) is EncounterState.PLANNED


async def test_a_stopped_clinic_sends_an_arrived_patient_to_another_doctor(bench: Bench) -> None:
    """已签到 → 停诊 → 退回已预约 → 改到周二贺之门诊；仍是同一次就诊。"""
    number = number_for()
    await bench.receive(booked(number))
    await bench.receive(checked_in(number))
    await bench.receive(AppointmentStopped(appointment=number, reason="医生急诊手术"))
    assert await state_of(bench, number) is EncounterState.PLANNED

    moved = number.replace(
        session=SessionId(new_id()), day=date(2026, 3, 3), doctor=DR_HE, doctor_name="贺之"
    )
    await bench.receive(AppointmentMoved(appointment=moved, was_session=number.session))
    [visit] = await bench.client(Encounters).of_day(C1, date(2026, 3, 3), doctor=DR_HE)
    assert visit.id == number.encounter
    assert await bench.client(Encounters).of_day(C1, MONDAY) == ()
    await bench.prove()


async def test_an_emergency_needs_no_booking(bench: Bench) -> None:
    request = OpenEncounter(
        id=EncounterId(new_id()),
        patient=MRS_SHEN,
        patient_name="无名氏 0302",
        campus=C1,
        department=DepartmentCode("C1-EM"),
    )
    opened = await bench.client(Encounters).open(request)
    assert (opened.kind, opened.state) == (EncounterKind.EMERGENCY, EncounterState.ARRIVED)
    assert opened.day == MONDAY
    assert len(bench.published(EncounterArrived)) == 1


async def test_a_person_with_two_ids_has_the_visits_of_both(bench: Bench) -> None:
    """A08：合并后的人按一组编号查询，任何一次就诊都不改写原编号。"""
    other = PatientId(new_id())
    for patient in (MRS_SHEN, MRS_SHEN, MRS_SHEN, other):
        await bench.receive(booked(number_for(patient)))
    encounters = bench.client(Encounters)
    assert len(await encounters.of_patients((MRS_SHEN, other))) == 4
    assert {v.patient for v in await encounters.of_patients((MRS_SHEN, other))} == {MRS_SHEN, other}
    assert len(await encounters.of_patients((other,))) == 1


async def test_another_campus_does_not_see_the_visit(bench: Bench) -> None:
    number = number_for()
    await bench.receive(booked(number))
    with bench.acting(campuses=("C2",)):
        encounters = bench.client(Encounters)
        with pytest.raises(EncounterNotFound):
            await encounters.get(number.encounter)
        with pytest.raises(EncounterNotFound):
            await encounters.start(number.encounter, DR_HE)
        assert await encounters.of_patients((MRS_SHEN,)) == ()
        assert await encounters.of_day(C1, MONDAY) == ()


async def test_fifty_visits_of_a_day_are_one_statement(bench: Bench) -> None:
    numbers = [number_for() for _ in range(50)]
    for number in numbers:
        await bench.receive(booked(number))
    encounters = bench.client(Encounters)
    with bench.queries(at_most=1):
        assert len(await encounters.of_day(C1, MONDAY, CARDIOLOGY)) == 50
    with bench.queries(at_most=1):
        assert len(await encounters.many(tuple(n.encounter for n in numbers))) == 50


STEPS = ("arrive", "serve", "stop", "cancel", "finish")


async def test_whatever_happens_a_visit_keeps_its_order(bench: Bench) -> None:
    """The board's invariant over every sequence of three: facts are taken, the proofs hold."""
    for steps in product(STEPS, repeat=3):
        number = number_for()
        await bench.receive(booked(number))
        for step in steps:
            await take_step(bench, number, step)
        final = (await bench.client(Encounters).get(number.encounter)).state
        done = [e.encounter.id for e in bench.published(EncounterFinished)]
        gone = [e.encounter.id for e in bench.published(EncounterCancelled)]
        assert done.count(number.encounter) == (final is EncounterState.FINISHED), steps
        assert gone.count(number.encounter) == (final is EncounterState.CANCELLED), steps
    await bench.prove()


async def take_step(bench: Bench, number: Appointment, step: str) -> None:
    facts = {
        "arrive": checked_in(number),
        "serve": served(number),
        "stop": AppointmentStopped(appointment=number, reason="停诊"),
        "cancel": AppointmentCancelled(appointment=number, reason=CancelReason.PATIENT_WISH),
    }
    if step != "finish":
        await bench.receive(facts[step])
        return
    with suppress(Conflict):  # a request may be refused, a fact may not
        await bench.client(Encounters).finish(number.encounter, Disposition.HOME)


# ── the fake is held to the same promises ────────────────────────────────────────────────────


@pytest.fixture(params=["real", "fake"])
def clinic(request: pytest.FixtureRequest) -> Encounters:
    if request.param == "fake":
        return FakeEncounters()
    return Bench(board).client(Encounters)


async def opened_visit(clinic: Encounters) -> Encounter:
    return await clinic.open(
        OpenEncounter(
            id=EncounterId(new_id()),
            patient=MRS_SHEN,
            patient_name="沈玉兰",
            campus=C1,
            department=CARDIOLOGY,
        )
    )


async def test_real_and_fake_treat_a_visit_alike(clinic: Encounters) -> None:
    visit = await opened_visit(clinic)
    started = await clinic.start(visit.id, DR_LIN, "林予安")
    assert started.state is EncounterState.IN_PROGRESS
    assert [v.id for v in await clinic.of_day(C1, MONDAY, doctor=DR_LIN)] == [visit.id]
    assert [v.id for v in await clinic.of_patients((MRS_SHEN,))] == [visit.id]
    assert [v.id for v in await clinic.many((visit.id, EncounterId(new_id())))] == [visit.id]
    finished = await clinic.finish(visit.id, Disposition.HOME)
    assert finished.state is EncounterState.FINISHED
    with pytest.raises(EncounterOver):
        await clinic.start(visit.id, DR_LIN)


async def test_real_and_fake_cancel_alike(clinic: Encounters) -> None:
    visit = await opened_visit(clinic)
    assert (await clinic.cancel(visit.id, "错登")).state is EncounterState.CANCELLED
    with pytest.raises(EncounterNotFound):
        await clinic.cancel(EncounterId(new_id()), "错登")
