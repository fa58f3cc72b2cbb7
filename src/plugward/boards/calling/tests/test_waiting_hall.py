"""A morning in the waiting hall of cardiology, told as the triage nurse would tell it."""

import asyncio
from datetime import date, timedelta
from itertools import product

import pytest

from plugward.boards.calling.board import board
from plugward.boards.calling.contract import (
    CalledTooFew,
    Calling,
    NobodyWaits,
    PriorityClass,
    QueueCode,
    StillCalling,
    Ticket,
    TicketCalled,
    TicketClosed,
    TicketIssued,
    TicketMissed,
    TicketNotFound,
    TicketRejoined,
    TicketServed,
    TicketState,
)
from plugward.boards.calling.fakes import FakeCalling
from plugward.boards.calling.rules import masked
from plugward.boards.encounters.contract import (
    Encounter,
    EncounterFinished,
    EncounterKind,
    EncounterStarted,
    EncounterState,
)
from plugward.boards.registration.contract import (
    Appointment,
    AppointmentCheckedIn,
    AppointmentState,
    AppointmentStopped,
    ArrivalMarks,
    Channel,
    ClinicKind,
    DayPeriod,
    Session,
    SessionId,
    SessionPublished,
    SessionState,
    SessionStopped,
)
from plugward.kernel import Conflict, NotFound, WrongState
from plugward.kernel.testing import TRANSPORTS, Bench
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
    TicketId,
)

C1 = CampusCode("C1")
CARDIOLOGY = DepartmentCode("C1-CARD")
MONDAY = date(2026, 3, 2)
DR_LIN, DR_HE = StaffId(new_id()), StaffId(new_id())
SHARED = QueueCode("C1-CARD:2026-03-02:morning:general")


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(board, transport=request.param, now="2026-03-02 09:00")


def clinic(doctor: StaffId = DR_LIN, room: str = "6", queue: str = "general") -> Session:
    return Session(
        id=SessionId(new_id()),
        campus=C1,
        department=CARDIOLOGY,
        department_name="心血管内科",
        doctor=doctor,
        doctor_name="林予安" if doctor == DR_LIN else "贺之",
        doctor_title="副主任医师",
        day=MONDAY,
        period=DayPeriod.MORNING,
        kind=ClinicKind.EXPERT,
        fee_item="RF02",
        room=room,
        queue=queue,
        state=SessionState.OPEN,
        author="staff:manager",
    )


def number_for(name: str = "沈玉兰", born: int = 1964, queue: str = "general") -> Appointment:
    start = hospital_time("2026-03-02 09:00")
    return Appointment(
        id=AppointmentId(new_id()),
        encounter=EncounterId(new_id()),
        patient=PatientId(new_id()),
        patient_name=name,
        birth_date=date(born, 5, 20),
        session=SessionId(new_id()),
        slot=SlotId(new_id()),
        campus=C1,
        department=CARDIOLOGY,
        department_name="心血管内科",
        doctor=DR_LIN,
        doctor_name="林予安",
        doctor_title="副主任医师",
        day=MONDAY,
        period=DayPeriod.MORNING,
        kind=ClinicKind.EXPERT,
        room="6",
        queue=queue,
        starts_at=start,
        ends_at=start + timedelta(minutes=30),
        fee_item="RF02",
        channel=Channel.APP,
        state=AppointmentState.CHECKED_IN,
        is_paid=True,
        held_until=None,
        booked_at=start,
        author="staff:app",
    )


async def arrive(
    bench: Bench,
    name: str = "沈玉兰",
    *,
    born: int = 1964,
    marks: ArrivalMarks | None = None,
    number: Appointment | None = None,
) -> Ticket:
    number = number or number_for(name, born)
    await bench.receive(
        AppointmentCheckedIn(appointment=number, marks=marks or ArrivalMarks()), times=2
    )
    ticket = await bench.client(Calling).ticket_of(number.encounter)
    assert ticket is not None
    return ticket


async def order(bench: Bench, queue: QueueCode = SHARED) -> list[str]:
    return [t.number for t in (await bench.client(Calling).queue(queue)).waiting]


def visit_of(ticket: Ticket, state: EncounterState) -> Encounter:
    return Encounter(
        id=ticket.encounter,
        patient=ticket.patient,
        patient_name=ticket.patient_name,
        campus=ticket.campus,
        department=ticket.department,
        kind=EncounterKind.OUTPATIENT,
        day=ticket.day,
        state=state,
        appointment=ticket.appointment,
        doctor=DR_LIN,
        started_at=hospital_time("2026-03-02 09:10"),
    )


# ── A10 ─────────────────────────────────────────────────────────────────────────────────────


async def test_a10_calling_twice_called_and_absent(bench: Bench) -> None:
    """两位医生同时按“下一位” → 两个不同的号；12 号三呼不到 → 过号；到场 → 排在后两位之后。"""
    calling = bench.client(Calling)
    tickets = [await arrive(bench, f"患者{i}") for i in range(1, 17)]

    first, second = await asyncio.gather(
        calling.call_next(SHARED, DR_LIN, "6"), calling.call_next(SHARED, DR_HE, "7")
    )
    assert {first.number, second.number} == {"A001", "A002"}
    assert {first.doctor, second.doctor} == {DR_LIN, DR_HE}

    await calling.serve(first.id)
    await calling.serve(second.id)
    for expected in tickets[2:11]:
        called = await calling.call_next(SHARED, DR_LIN, "6")
        assert called.number == expected.number
        await calling.serve(called.id)
    twelve = await calling.call_next(SHARED, DR_LIN, "6")
    assert twelve.number == "A012"
    with pytest.raises(StillCalling):
        await calling.call_next(SHARED, DR_LIN, "6")
    with pytest.raises(CalledTooFew):
        await calling.miss(twelve.id)
    await calling.recall(twelve.id)
    await calling.recall(twelve.id)
    thirteen = await calling.call_next(SHARED, DR_LIN, "6")
    assert thirteen.number == "A013"
    [missed] = bench.published(TicketMissed)
    assert (missed.ticket.number, missed.ticket.calls) == ("A012", 3)

    await calling.rejoin(twelve.id)
    with pytest.raises(WrongState):  # one position only
        await calling.rejoin(twelve.id)
    assert await order(bench) == ["A014", "A015", "A012", "A016"]
    assert len(bench.published(TicketRejoined)) == 1
    again = await calling.ticket_of(twelve.encounter)
    assert again is not None
    assert again.encounter == twelve.encounter
    await bench.prove()


async def test_ten_doctors_call_at_once_and_each_has_their_own(bench: Bench) -> None:
    for i in range(10):
        await arrive(bench, f"患者{i}")
    calling = bench.client(Calling)
    called = await asyncio.gather(
        *(calling.call_next(SHARED, StaffId(new_id()), str(room)) for room in range(10))
    )
    assert len({t.id for t in called}) == 10
    with pytest.raises(NobodyWaits):
        await calling.call_next(SHARED, DR_LIN)
    await bench.prove()


async def test_a_double_click_calls_one(bench: Bench) -> None:
    await arrive(bench)
    await arrive(bench, "秦风")
    same, answers = new_id(), []
    for _ in range(2):
        with bench.request(same):
            answers.append(await bench.client(Calling).call_next(SHARED, DR_LIN))
    assert answers[0] == answers[1]
    assert len(bench.published(TicketCalled)) == 1
    assert await order(bench) == ["A002"]


async def test_two_missed_patients_keep_their_order_among_themselves(bench: Bench) -> None:
    calling = bench.client(Calling)
    for i in range(8):
        await arrive(bench, f"患者{i}")
    missed = []
    for _ in range(2):
        ticket = await calling.call_next(SHARED, DR_LIN)
        await calling.recall(ticket.id)
        await calling.recall(ticket.id)
        missed.append(await calling.miss(ticket.id))
    for ticket in missed:
        await calling.rejoin(ticket.id)
    assert await order(bench) == ["A003", "A004", "A001", "A002", "A005", "A006", "A007", "A008"]
    await bench.prove()


async def test_a_missed_patient_is_next_when_nobody_else_waits(bench: Bench) -> None:
    calling = bench.client(Calling)
    await arrive(bench)
    ticket = await calling.call_next(SHARED, DR_LIN)
    await calling.recall(ticket.id)
    await calling.recall(ticket.id)
    await calling.miss(ticket.id)
    await calling.rejoin(ticket.id)
    again = await calling.call_next(SHARED, DR_LIN)
    assert (again.id, again.calls, again.state) == (ticket.id, 1, TicketState.CALLED)


# ── tickets and priorities ──────────────────────────────────────────────────────────────────


async def test_urgent_military_and_the_old_go_ahead(bench: Bench) -> None:
    """急危 → 军人、80 岁以上 → 复诊 → 普通；同类先到先看。"""
    await arrive(bench, "普通一")
    await arrive(bench, "复诊", marks=ArrivalMarks(is_return_visit=True))
    await arrive(bench, "八十", born=1945)
    await arrive(bench, "军人", marks=ArrivalMarks(is_military=True))
    await arrive(bench, "急危", marks=ArrivalMarks(is_urgent=True))
    await arrive(bench, "普通二")
    queue = await bench.client(Calling).queue(SHARED)
    assert [t.patient_name for t in queue.waiting] == [
        "急危",
        "八十",
        "军人",
        "复诊",
        "普通一",
        "普通二",
    ]
    assert queue.waiting[1].priority is PriorityClass.ELDERLY


async def test_somebody_is_old_on_the_eightieth_birthday() -> None:
    bench = Bench(board, now="2026-03-02 09:00")
    eighty = number_for().replace(birth_date=date(1946, 3, 2))
    younger = number_for().replace(birth_date=date(1946, 3, 3))
    assert (await arrive(bench, number=eighty)).priority is PriorityClass.ELDERLY
    assert (await arrive(bench, number=younger)).priority is PriorityClass.ORDINARY
    unknown = number_for().replace(birth_date=None)
    assert (await arrive(bench, number=unknown)).priority is PriorityClass.ORDINARY


async def test_a_check_in_heard_twice_gives_one_ticket(bench: Bench) -> None:
    number = number_for()
    await arrive(bench, number=number)
    await arrive(bench, number=number)  # another delivery, even as another event
    assert await order(bench) == ["A001"]
    assert len(bench.published(TicketIssued)) == 1


async def test_numbers_of_one_hall_are_all_different(bench: Bench) -> None:
    """专家 A、普通 C，两位医生各自排队，同一候诊厅没有两张相同的号。"""
    own = number_for(queue="")
    general = number_for(queue="").replace(kind=ClinicKind.GENERAL, doctor=DR_HE)
    tickets = [await arrive(bench, number=n) for n in (number_for(), own, general, number_for())]
    assert [t.number for t in tickets] == ["A001", "A002", "C001", "A003"]
    assert len({t.queue for t in tickets}) == 3
    await bench.prove()


async def test_a_patient_with_results_comes_back_with_a_b_number(bench: Bench) -> None:
    """就诊中去做检查 → 回诊：同一次就诊，B 号，排在普通患者之前。"""
    calling = bench.client(Calling)
    shen = await arrive(bench)
    await arrive(bench, "秦风")
    called = await calling.call_next(SHARED, DR_LIN, "6")
    with pytest.raises(WrongState):
        await calling.come_back(called.id)
    await calling.serve(called.id)
    back = await calling.come_back(called.id)
    assert (back.number, back.encounter) == ("B001", shen.encounter)
    assert await order(bench) == ["B001", "A002"]
    again = await calling.call_next(SHARED, DR_LIN, "6")
    assert again.id == shen.id
    await calling.serve(again.id)
    await bench.receive(EncounterFinished(encounter=visit_of(again, EncounterState.FINISHED)))
    done = await calling.ticket_of(shen.encounter)
    assert done is not None
    assert done.state is TicketState.DONE
    await bench.prove()


async def test_a_doctor_who_starts_without_calling_takes_the_ticket_along(bench: Bench) -> None:
    ticket = await arrive(bench)
    started = EncounterStarted(encounter=visit_of(ticket, EncounterState.IN_PROGRESS))
    await bench.receive(started, times=2)
    [served] = bench.published(TicketServed)
    assert served.ticket.doctor == DR_LIN
    assert await order(bench) == []
    # Word of the start that comes late does not call the patient in a second time.
    await bench.client(Calling).come_back(ticket.id)
    await bench.receive(started)
    assert await order(bench) == ["B001"]


async def test_a_stopped_clinic_closes_the_tickets_of_those_who_wait(bench: Bench) -> None:
    session, waits, seen = clinic(), number_for(), number_for("秦风")
    await bench.receive(SessionPublished(session=session))
    treated = await arrive(bench, number=seen)
    waiting = await arrive(bench, number=waits)
    calling = bench.client(Calling)
    await calling.serve((await calling.call_next(SHARED, DR_LIN)).id)
    for number in (waits, seen):
        await bench.receive(AppointmentStopped(appointment=number, reason="急诊手术"), times=2)
    await bench.receive(SessionStopped(session=session, reason="急诊手术"))

    [closed] = bench.published(TicketClosed)
    assert closed.ticket.id == waiting.id
    assert closed.ticket.closed_because == "停诊：急诊手术"
    still = await calling.ticket_of(treated.encounter)
    assert still is not None
    assert still.state is TicketState.SERVED
    assert await calling.queues_of(DR_LIN, MONDAY) == ()

    moved = waits.replace(doctor=DR_HE, queue="")
    again = await arrive(bench, number=moved)
    assert (again.id, again.state) == (waiting.id, TicketState.WAITING)
    assert again.queue != waiting.queue
    await bench.prove()


# ── the screen ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "shown"),
    [("沈玉兰", "沈*兰"), ("秦风", "秦*"), ("欧阳修文", "欧*文"), ("安", "*"), ("", "*")],
)
def test_a_name_on_the_screen_finds_nobody(name: str, shown: str) -> None:
    assert masked(name) == shown


async def test_sec_data_10_the_hall_sees_numbers_and_masked_names(bench: Bench) -> None:
    """大屏：号码必有，姓名打码；两个诊室共用队列；显示数据时间。"""
    await bench.receive(SessionPublished(session=clinic(DR_LIN, "6")))
    await bench.receive(SessionPublished(session=clinic(DR_HE, "7")))
    for name in ("沈玉兰", "秦风", "施英", "张刚", "孔明", "曹玉"):
        await arrive(bench, name)
    calling = bench.client(Calling)
    shen = await calling.call_next(SHARED, DR_LIN)
    bench.clock.set("2026-03-02 09:01")
    await calling.call_next(SHARED, DR_HE)

    with bench.queries(at_most=3):
        screen = await calling.screen(C1, CARDIOLOGY)
    assert screen.calling is not None
    assert (screen.calling.number, screen.calling.masked_name) == ("A002", "秦*")
    six, seven = screen.rooms
    assert (six.room, seven.room) == ("6", "7")
    assert six.now is not None
    assert (six.now.number, six.now.masked_name, six.is_calling) == ("A001", "沈*兰", False)
    assert seven.is_calling
    assert [t.number for t in six.next] == ["A003", "A004", "A005"]
    assert six.wait_minutes == 4 * 6 // 2
    assert screen.as_of == hospital_time("2026-03-02 09:01")
    assert "沈玉兰" not in str(screen)

    await calling.serve(shen.id)
    for _ in range(2):
        await calling.recall((await calling.queue(SHARED)).called[1].id)
    await calling.call_next(SHARED, DR_HE)
    screen = await calling.screen(C1, CARDIOLOGY)
    assert [(t.number, t.room) for t in screen.missed] == [("A002", "7")]


async def test_another_campus_sees_no_ticket(bench: Bench) -> None:
    ticket = await arrive(bench)
    with bench.acting(campuses=("C2",)):
        calling = bench.client(Calling)
        assert await calling.ticket_of(ticket.encounter) is None
        assert (await calling.screen(C1, CARDIOLOGY)).rooms == ()
        assert (await calling.queue(SHARED)).waiting == ()
        with pytest.raises(NobodyWaits):
            await calling.call_next(SHARED, DR_HE)
        with pytest.raises(NotFound):
            await calling.serve(ticket.id)


# ── the board's invariant ───────────────────────────────────────────────────────────────────

BEGINNINGS = (("call",), ("call", "serve"), ("call", "recall", "recall", "miss"))
STEPS = ("call", "serve", "rejoin", "back", "start", "stop", "finish")


async def test_whatever_happens_a_visit_stands_in_one_place() -> None:
    """After every beginning, over every two steps: one ticket a visit, in one list or over."""
    bench = Bench(board, now="2026-03-02 09:00")
    calling = bench.client(Calling)
    every = (*product(BEGINNINGS, product(STEPS, repeat=2)), *(((), (s,)) for s in STEPS))
    for index, (beginning, following) in enumerate(every):
        steps = (*beginning, *following)
        number = number_for(queue=f"q{index}")
        ticket = await arrive(bench, number=number)
        for step in steps:
            await take_step(bench, ticket, number, step)
        queue = await calling.queue(ticket.queue)
        places = [t for t in (*queue.waiting, *queue.called, *queue.missed) if t.id == ticket.id]
        final = await calling.ticket_of(number.encounter)
        assert final is not None
        over = final.state in (TicketState.DONE, TicketState.CLOSED)
        assert len(places) == (0 if over else 1), steps
    await bench.prove()


async def take_step(bench: Bench, ticket: Ticket, number: Appointment, step: str) -> None:
    calling = bench.client(Calling)
    facts = {
        "start": EncounterStarted(encounter=visit_of(ticket, EncounterState.IN_PROGRESS)),
        "finish": EncounterFinished(encounter=visit_of(ticket, EncounterState.FINISHED)),
        "stop": AppointmentStopped(appointment=number, reason="停诊"),
    }
    if step in facts:  # a fact is never refused
        await bench.receive(facts[step])
        return
    try:  # a request may be
        if step == "call":
            await calling.call_next(ticket.queue, DR_LIN)
        else:
            await {
                "recall": calling.recall,
                "serve": calling.serve,
                "miss": calling.miss,
                "rejoin": calling.rejoin,
                "back": calling.come_back,
            }[step](ticket.id)
    except Conflict:
        return


# ── the fake is held to the same promises ────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["real", "fake"])
async def test_real_and_fake_call_alike(kind: str) -> None:
    calling: Calling
    if kind == "fake":
        fake = FakeCalling()
        for name in ("沈玉兰", "秦风"):
            fake.check_in(SHARED, PatientId(new_id()), EncounterId(new_id()), name)
        calling = fake
    else:
        bench = Bench(board)
        await arrive(bench)
        await arrive(bench, "秦风")
        calling = bench.client(Calling)
    first = await calling.call_next(SHARED, DR_LIN, "6")
    assert (first.number, first.state, first.room) == ("A001", TicketState.CALLED, "6")
    with pytest.raises(StillCalling):
        await calling.call_next(SHARED, DR_LIN, "6")
    with pytest.raises(CalledTooFew):
        await calling.miss(first.id)
    assert (await calling.recall((await calling.recall(first.id)).id)).calls == 3
    second = await calling.call_next(SHARED, DR_LIN, "6")
    assert second.number == "A002"
    assert [t.number for t in (await calling.queue(SHARED)).missed] == ["A001"]
    await calling.serve(second.id)
    await calling.rejoin(first.id)
    assert (await calling.come_back(second.id)).priority is PriorityClass.RETURN_VISIT
    assert len((await calling.queue(SHARED)).waiting) == 2
    with pytest.raises(TicketNotFound):
        await calling.serve(TicketId(new_id()))
