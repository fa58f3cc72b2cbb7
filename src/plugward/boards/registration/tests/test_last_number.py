"""Taking a number: the last one, the held one, the late money, the stopped clinic."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal

import pytest

from plugward.boards.billing.contract import Bill, BillSettled, BillState, Category, PaidLine
from plugward.boards.encounters.contract import (
    Encounter,
    EncounterKind,
    EncounterStarted,
    EncounterState,
)
from plugward.boards.patients.fakes import FakePatients
from plugward.boards.registration.board import board
from plugward.boards.registration.contract import (
    AlreadyBooked,
    Appointment,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentCheckedIn,
    AppointmentMoved,
    AppointmentNotFound,
    AppointmentPaid,
    AppointmentRefundDue,
    AppointmentReinstated,
    AppointmentState,
    AppointmentStopped,
    ArrivalMarks,
    BookAppointment,
    CancelReason,
    Channel,
    ClinicKind,
    ClinicStopped,
    DayPeriod,
    NoneLeft,
    NothingLeft,
    NotPaid,
    NotToday,
    PatientUnknown,
    PublishSession,
    PublishSlot,
    Registrations,
    Session,
    SessionId,
    SessionPublished,
    SessionStopped,
    SlotOver,
    SlotsInvalid,
    WrongCampus,
)
from plugward.boards.registration.fakes import FakeRegistration
from plugward.commons.masterdata.contract import Domain, Entry, EntryPublished
from plugward.kernel import NotFound, Unavailable, WrongState
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.money import Money, UnitPrice
from plugward.kit.time import hospital_time
from plugward.vocabulary import (
    AppointmentId,
    BillId,
    CampusCode,
    ChargeId,
    DepartmentCode,
    EncounterId,
    PatientId,
    SlotId,
    StaffId,
)

C1, C2 = CampusCode("C1"), CampusCode("C2")
CARDIOLOGY = DepartmentCode("C1-CARD")
MONDAY = date(2026, 3, 2)
DR_LIN, DR_HE = StaffId(new_id()), StaffId(new_id())
NO_MARKS = ArrivalMarks()


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(board, fakes=[FakePatients()], transport=request.param, now="2026-03-02 08:00")


def clinic(
    *numbers: int, doctor: StaffId = DR_LIN, name: str = "林予安", day: date = MONDAY
) -> PublishSession:
    """A morning clinic from nine on, a slot of half an hour for each count of numbers."""
    nine = hospital_time(f"{day} 09:00")
    half = timedelta(minutes=30)
    return PublishSession(
        id=SessionId(new_id()),
        campus=C1,
        department=CARDIOLOGY,
        department_name="心血管内科",
        doctor=doctor,
        doctor_name=name,
        doctor_title="副主任医师",
        day=day,
        period=DayPeriod.MORNING,
        kind=ClinicKind.EXPERT,
        fee_item="RF02",
        room="6",
        slots=tuple(
            PublishSlot(
                id=SlotId(new_id()),
                starts_at=nine + index * half,
                ends_at=nine + (index + 1) * half,
                capacity=capacity,
            )
            for index, capacity in enumerate(numbers)
        ),
    )


def patient(bench: Bench, name: str = "沈玉兰") -> PatientId:
    return bench.fake(FakePatients).add(name).id


def wish(patient: PatientId, slot: SlotId, channel: Channel = Channel.NURSE) -> BookAppointment:
    return BookAppointment(
        id=AppointmentId(new_id()),
        encounter=EncounterId(new_id()),
        patient=patient,
        slot=slot,
        channel=channel,
    )


async def left(bench: Bench, session: SessionId) -> list[int]:
    offer = await bench.client(Registrations).session(session)
    return [slot.remaining for slot in offer.slots]


def settled(*lines: Appointment, bill: BillId | None = None) -> BillSettled:
    zero, now = Money(fen=0), hospital_time("2026-03-02 08:00")
    encounter = lines[0].encounter
    return BillSettled(
        bill=Bill(
            id=bill or BillId(new_id()),
            encounter=encounter,
            campus=C1,
            state=BillState.SETTLED,
            total=Money(fen=2_500),
            fund=zero,
            supplement=zero,
            self_pay=Money(fen=2_500),
            opened_at=now,
            opened_by="staff:cashier",
            expires_at=now,
        ),
        lines=tuple(
            PaidLine(
                charge=ChargeId(new_id()),
                line=line.id,
                category=Category.REGISTRATION,
                item="RF02",
                quantity=Decimal(1),
                amount=Money(fen=2_500),
            )
            for line in lines
        ),
        legs=(),
    )


# ── A01 ─────────────────────────────────────────────────────────────────────────────────────


async def test_a01_last_number_many_hands(bench: Bench) -> None:
    """50 人同抢最后一个号：恰好 1 人挂上，49 人得到明确答复和最近的空号，号源不为负。"""
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(1, 5))
    [last, later] = (await registration.session(today.id)).slots
    people = [patient(bench, f"患者{i}") for i in range(50)]
    channels = (Channel.APP, Channel.KIOSK, Channel.WINDOW)

    answers = await asyncio.gather(
        *(
            registration.book(wish(person, last.id, channels[i % 3]))
            for i, person in enumerate(people)
        ),
        return_exceptions=True,
    )

    booked = [a for a in answers if isinstance(a, Appointment)]
    refused = [a for a in answers if isinstance(a, NoneLeft)]
    assert (len(booked), len(refused)) == (1, 49)
    assert {r.next_slot for r in refused} == {later.id}
    assert {r.next_doctor for r in refused} == {"林予安"}
    assert {r.next_starts_at for r in refused} == {hospital_time("2026-03-02 09:30")}
    assert await left(bench, today.id) == [0, 5]
    [event] = bench.published(AppointmentBooked)  # one charge request and no more
    assert event.charge.line == booked[0].id
    assert (event.charge.encounter, event.charge.item) == (booked[0].encounter, "RF02")
    await bench.prove()


async def test_a_refusal_names_a_colleague_when_the_doctor_is_full(bench: Bench) -> None:
    registration = bench.client(Registrations)
    lin = await registration.publish_session(clinic(1))
    tuesday = date(2026, 3, 3)
    await registration.publish_session(clinic(3, doctor=DR_HE, name="贺之", day=tuesday))
    [slot] = (await registration.session(lin.id)).slots
    await registration.book(wish(patient(bench), slot.id))
    with pytest.raises(NoneLeft) as refused:
        await registration.book(wish(patient(bench), slot.id))
    assert refused.value.next_doctor == "贺之"
    assert refused.value.next_starts_at == hospital_time("2026-03-03 09:00")


async def test_a_refusal_says_when_there_is_nothing_at_all(bench: Bench) -> None:
    registration = bench.client(Registrations)
    only = await registration.publish_session(clinic(1))
    [slot] = (await registration.session(only.id)).slots
    await registration.book(wish(patient(bench), slot.id))
    with pytest.raises(NothingLeft):
        await registration.book(wish(patient(bench), slot.id))


async def test_a_retried_booking_takes_one_number(bench: Bench) -> None:
    """网络中断后重发同一请求：同一个号，不多占。"""
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(5))
    [slot] = (await registration.session(today.id)).slots
    request, same = wish(patient(bench), slot.id), new_id()
    answers = []
    for _ in range(3):
        with bench.request(same):
            answers.append(await registration.book(request))
    assert answers[0] == answers[1] == answers[2]
    assert await left(bench, today.id) == [4]
    assert len(bench.published(AppointmentBooked)) == 1


async def test_nobody_has_two_numbers_of_one_clinic(bench: Bench) -> None:
    """同一患者（含已合并的另一编号）重复挂同一门诊 → 拒绝；退号后可再挂。"""
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(5, 5))
    [first, second] = (await registration.session(today.id)).slots
    shen, double = patient(bench), patient(bench)
    await bench.fake(FakePatients).merge(double, shen, "同一人")
    kept = await registration.book(wish(shen, first.id))
    for same_person in (shen, double):
        with pytest.raises(AlreadyBooked) as refused:
            await registration.book(wish(same_person, second.id))
        assert refused.value.appointment == kept.id
    assert await left(bench, today.id) == [4, 5]
    await registration.cancel(kept.id)
    await registration.book(wish(double, second.id))
    await bench.prove()


async def test_nobody_is_booked_who_is_not_registered(bench: Bench) -> None:
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(1))
    [slot] = (await registration.session(today.id)).slots
    with pytest.raises(PatientUnknown):
        await registration.book(wish(PatientId(new_id()), slot.id))
    assert await left(bench, today.id) == [1]


async def test_a_slot_that_is_over_takes_nobody(bench: Bench) -> None:
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(5))
    [slot] = (await registration.session(today.id)).slots
    bench.clock.set("2026-03-02 09:30")
    with pytest.raises(SlotOver):
        await registration.book(wish(patient(bench), slot.id))


# ── A02 ─────────────────────────────────────────────────────────────────────────────────────


async def held_number(bench: Bench, numbers: int = 1) -> tuple[Session, Appointment]:
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(numbers))
    [slot] = (await registration.session(today.id)).slots
    return today, await registration.book(wish(patient(bench), slot.id, Channel.APP))


async def test_a_number_paid_in_time_is_booked(bench: Bench) -> None:
    today, number = await held_number(bench)
    assert number.state is AppointmentState.HELD
    assert number.held_until == hospital_time("2026-03-02 08:15")
    bench.clock.set("2026-03-02 08:14:59")
    await bench.tick()
    await bench.receive(settled(number), times=2)
    [paid] = bench.published(AppointmentPaid)
    assert (paid.appointment.state, paid.appointment.is_paid) == (AppointmentState.BOOKED, True)
    bench.clock.set("2026-03-02 08:30")
    await bench.tick()
    assert (await bench.client(Registrations).get(number.id)).state is AppointmentState.BOOKED
    assert await left(bench, today.id) == [0]
    assert bench.published(AppointmentCancelled) == []
    await bench.prove()


async def test_a02_held_number_not_paid(bench: Bench) -> None:
    """15 分钟未付 → 号回池；2 分钟后钱到、号仍在 → 重新占上，钱归该号。"""
    today, number = await held_number(bench)
    bench.clock.set("2026-03-02 08:15")
    await bench.tick()
    await bench.tick()
    [gone] = bench.published(AppointmentCancelled)
    assert (gone.appointment.id, gone.reason) == (number.id, CancelReason.NOT_PAID)
    assert await left(bench, today.id) == [1]

    bench.clock.set("2026-03-02 08:17")
    await bench.receive(settled(number), times=2)
    [again] = bench.published(AppointmentReinstated)
    assert again.appointment.state is AppointmentState.BOOKED
    assert await left(bench, today.id) == [0]
    assert bench.published(AppointmentRefundDue) == []
    await bench.prove()


async def test_a02_held_number_not_paid_and_taken_by_another(bench: Bench) -> None:
    """钱到时号已被他人占用 → 不占号，要求原路退款；绝不既收钱又无号。"""
    today, number = await held_number(bench)
    bench.clock.set("2026-03-02 08:15")
    await bench.tick()
    await bench.client(Registrations).book(wish(patient(bench), number.slot))
    bill = BillId(new_id())
    await bench.receive(settled(number, bill=bill), times=2)
    [due] = bench.published(AppointmentRefundDue)
    assert (due.appointment, due.bill) == (number.id, bill)
    assert bench.published(AppointmentReinstated) == []
    assert await left(bench, today.id) == [0]
    assert (await bench.client(Registrations).get(number.id)).state is AppointmentState.EXPIRED
    await bench.prove()


async def test_late_money_of_somebody_who_took_another_number_goes_back(bench: Bench) -> None:
    today, number = await held_number(bench, numbers=2)
    bench.clock.set("2026-03-02 08:15")
    await bench.tick()
    await bench.client(Registrations).book(wish(number.patient, number.slot))
    await bench.receive(settled(number))
    assert len(bench.published(AppointmentRefundDue)) == 1
    assert await left(bench, today.id) == [1]
    await bench.prove()


async def test_money_for_a_number_given_back_or_paid_twice_goes_back(bench: Bench) -> None:
    _, number = await held_number(bench)
    await bench.receive(settled(number))
    await bench.receive(settled(number))  # another bill
    assert len(bench.published(AppointmentRefundDue)) == 1
    await bench.client(Registrations).cancel(number.id)
    [cancelled] = bench.published(AppointmentCancelled)
    assert cancelled.appointment.is_paid  # so that there is money to return


async def test_many_holds_run_out_at_once() -> None:
    """一次释放超过一批：全部回池，各有一条事实。"""
    bench = Bench(board, fakes=[FakePatients()])
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(110))
    [slot] = (await registration.session(today.id)).slots
    for _ in range(110):
        await registration.book(wish(patient(bench), slot.id, Channel.KIOSK))
    assert await left(bench, today.id) == [0]
    bench.clock.set("2026-03-02 08:20")
    await bench.tick()
    assert await left(bench, today.id) == [110]
    assert len(bench.published(AppointmentCancelled)) == 110
    await bench.prove()


# ── A04 ─────────────────────────────────────────────────────────────────────────────────────


async def test_a04_doctor_stops_clinic(bench: Bench) -> None:
    """停诊：30 个已付号（3 个已签到）待患者选择，未付的占号释放，再停一次什么也不变。"""
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(40))
    [slot] = (await registration.session(today.id)).slots
    numbers = [
        await registration.book(wish(patient(bench), slot.id, Channel.APP)) for _ in range(30)
    ]
    await bench.receive(settled(*numbers))
    unpaid = await registration.book(wish(patient(bench), slot.id, Channel.APP))
    for number in numbers[:3]:
        await registration.check_in(number.id, C1, NO_MARKS)

    stop = await registration.stop_clinic(today.id, "医生急诊手术")
    again = await registration.stop_clinic(today.id, "医生急诊手术")

    assert (stop.affected, stop.released) == (30, 1)
    assert again == stop
    assert len(bench.published(SessionStopped)) == 1
    stopped = bench.published(AppointmentStopped)
    assert {e.appointment.id for e in stopped} == {n.id for n in numbers}
    assert all(e.appointment.is_paid for e in stopped)
    [released] = bench.published(AppointmentCancelled)
    assert (released.appointment.id, released.reason) == (
        unpaid.id,
        CancelReason.CLINIC_STOPPED,
    )
    with pytest.raises(ClinicStopped):
        await registration.book(wish(patient(bench), slot.id))
    with pytest.raises(ClinicStopped):
        await registration.check_in(numbers[5].id, C1, NO_MARKS)
    await bench.prove()


async def test_a_patient_of_a_stopped_clinic_moves_or_has_the_money_back(bench: Bench) -> None:
    registration = bench.client(Registrations)
    lin = await registration.publish_session(clinic(5))
    he = await registration.publish_session(clinic(5, doctor=DR_HE, name="贺之"))
    [slot], [other] = [(await registration.session(s.id)).slots for s in (lin, he)]
    moving, leaving = [await registration.book(wish(patient(bench), slot.id)) for _ in range(2)]
    with pytest.raises(WrongState):  # as long as the clinic is held, nobody is moved
        await registration.move(moving.id, other.id)
    await registration.stop_clinic(lin.id, "停诊")

    moved = await registration.move(moving.id, other.id)
    assert (moved.doctor_name, moved.state) == ("贺之", AppointmentState.BOOKED)
    assert (moved.encounter, moved.fee_item) == (moving.encounter, moving.fee_item)
    [event] = bench.published(AppointmentMoved)
    assert event.was_session == lin.id
    cancelled = await registration.cancel(leaving.id)
    assert cancelled.state is AppointmentState.CANCELLED
    assert bench.published(AppointmentCancelled)[0].reason is CancelReason.CLINIC_STOPPED
    assert (await left(bench, lin.id), await left(bench, he.id)) == ([5], [4])
    await registration.check_in(moved.id, C1, NO_MARKS)
    await bench.prove()


async def test_a_patient_the_doctor_has_seen_is_not_stopped(bench: Bench) -> None:
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(5))
    [slot] = (await registration.session(today.id)).slots
    number = await registration.book(wish(patient(bench), slot.id))
    await registration.check_in(number.id, C1, NO_MARKS)
    await bench.receive(
        EncounterStarted(
            encounter=Encounter(
                id=number.encounter,
                patient=number.patient,
                patient_name="沈玉兰",
                campus=C1,
                department=CARDIOLOGY,
                kind=EncounterKind.OUTPATIENT,
                day=MONDAY,
                state=EncounterState.IN_PROGRESS,
                appointment=number.id,
            )
        )
    )
    assert (await registration.stop_clinic(today.id, "停诊")).affected == 0
    assert (await registration.get(number.id)).state is AppointmentState.FULFILLED
    with pytest.raises(WrongState):
        await registration.cancel(number.id)
    await bench.prove()


# ── A09 and the desk ────────────────────────────────────────────────────────────────────────


async def test_a09_wrong_campus(bench: Bench) -> None:
    """主院区的号到东院区签到：拒绝并告知正确院区与时间，不产生签到，且留有审计记录。"""
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(5))
    [slot] = (await registration.session(today.id)).slots
    number = await registration.book(wish(patient(bench), slot.id))
    with bench.acting(campuses=("C2",), id="east"):
        with pytest.raises(WrongCampus) as refused:
            await registration.check_in(number.id, C2, NO_MARKS)
        assert (refused.value.campus, refused.value.starts_at) == (
            "C1",
            hospital_time("2026-03-02 09:00"),
        )
        with pytest.raises(AppointmentNotFound):  # claiming to be at C1 does not help
            await registration.check_in(number.id, C1, NO_MARKS)
        with pytest.raises(NotFound):
            await registration.get(number.id)
        assert await registration.day_list(C1, MONDAY) == ()
        assert await registration.of_patients((number.patient,), MONDAY) == ()
    assert bench.published(AppointmentCheckedIn) == []
    tries = bench.runtime.audit.entries(operation="registration.check_in")
    assert [e.body["actor"] for e in tries] == ["staff:east", "staff:east"]


async def test_checking_in_twice_is_checking_in_once(bench: Bench) -> None:
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(5))
    [slot] = (await registration.session(today.id)).slots
    number = await registration.book(wish(patient(bench), slot.id))
    marks = ArrivalMarks(is_military=True)
    first = await registration.check_in(number.id, C1, marks)
    assert first == await registration.check_in(number.id, C1, marks)
    [event] = bench.published(AppointmentCheckedIn)
    assert event.marks == marks
    with pytest.raises(WrongState):
        await registration.cancel(number.id)


async def test_an_unpaid_number_and_tomorrows_number_do_not_check_in(bench: Bench) -> None:
    _, number = await held_number(bench)
    registration = bench.client(Registrations)
    with pytest.raises(NotPaid):
        await registration.check_in(number.id, C1, NO_MARKS)
    tuesday = await registration.publish_session(clinic(5, day=date(2026, 3, 3)))
    [slot] = (await registration.session(tuesday.id)).slots
    tomorrow = await registration.book(wish(patient(bench), slot.id))
    with pytest.raises(NotToday):
        await registration.check_in(tomorrow.id, C1, NO_MARKS)


async def test_only_the_named_channels_must_pay_first() -> None:
    bench = Bench(board, fakes=[FakePatients()], settings={"pay_first_channels": ""})
    _, number = await held_number(bench)
    assert (number.state, number.held_until) == (AppointmentState.BOOKED, None)


# ── publishing and looking ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", ["none", "zero", "overlap", "other-day", "backwards"])
async def test_a_clinic_with_senseless_slots_is_not_published(fault: str) -> None:
    request = clinic(5, 5)
    first, second = request.slots
    wrong = {
        "none": (),
        "zero": (first.replace(capacity=0),),
        "overlap": (first, second.replace(starts_at=first.starts_at)),
        "other-day": (
            first.replace(
                starts_at=first.starts_at + timedelta(days=1),
                ends_at=first.ends_at + timedelta(days=1),
            ),
        ),
        "backwards": (first.replace(ends_at=first.starts_at),),
    }[fault]
    bench = Bench(board, fakes=[FakePatients()])
    with pytest.raises(SlotsInvalid):
        await bench.client(Registrations).publish_session(request.replace(slots=wrong))
    assert bench.published(SessionPublished) == []


async def test_an_offer_shows_what_it_costs_today(bench: Bench) -> None:
    """主数据发布新价格，到生效时刻起显示新价。"""
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(2, 3))
    assert (await registration.session(today.id)).fee is None
    for version, price, since in ((1, "25", "2026-01-01 00:00"), (2, "30", "2026-03-02 12:00")):
        await bench.receive(
            EntryPublished(
                entry=Entry(
                    domain=Domain.REGISTRATION_FEE,
                    code="RF02",
                    version=version,
                    sequence=version,
                    name_zh="副主任医师诊查费",
                    name_en="",
                    pinyin="",
                    attributes=(),
                    unit="次",
                    price=UnitPrice(yuan=Decimal(price)),
                    insurance=None,
                    valid_from=hospital_time(since),
                    valid_to=None,
                )
            )
        )
    [offer] = await registration.offers(C1, MONDAY, CARDIOLOGY)
    assert (offer.remaining, offer.fee, offer.fee_name) == (
        5,
        Money(fen=2_500),
        "副主任医师诊查费",
    )
    bench.clock.set("2026-03-02 12:00")
    assert (await registration.session(today.id)).fee == Money(fen=3_000)


async def test_fifty_appointments_of_today_are_three_statements_at_most(bench: Bench) -> None:
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(60))
    [slot] = (await registration.session(today.id)).slots
    for _ in range(55):
        await registration.book(wish(patient(bench), slot.id))
    with bench.queries(at_most=3):
        assert len(await registration.day_list(C1, MONDAY, CARDIOLOGY)) == 50
    with bench.queries(at_most=3):
        assert len(await registration.day_list(C1, MONDAY, CARDIOLOGY, offset=50)) == 5
    with bench.queries(at_most=3):
        [offer] = await registration.offers(C1, MONDAY)
        assert offer.remaining == 5


async def test_without_the_index_nobody_is_booked_and_everything_else_goes_on(
    bench: Bench,
) -> None:
    """患者主索引停机：新挂号明确告知暂不可用；签到、退号、停诊、列表照常。"""
    registration = bench.client(Registrations)
    today = await registration.publish_session(clinic(5))
    [slot] = (await registration.session(today.id)).slots
    somebody = patient(bench)
    arriving = await registration.book(wish(somebody, slot.id))
    leaving = await registration.book(wish(patient(bench), slot.id))
    bench.runtime.dispatcher.detach("patients")

    with pytest.raises(Unavailable) as away:
        await registration.book(wish(patient(bench), slot.id))
    assert (away.value.board, away.value.reason) == ("patients", "unplugged")
    assert await left(bench, today.id) == [3]
    await registration.check_in(arriving.id, C1, NO_MARKS)
    await registration.cancel(leaving.id)
    assert len(await registration.day_list(C1, MONDAY)) == 2
    assert (await registration.stop_clinic(today.id, "停诊")).affected == 1
    await bench.prove()


# ── the fake is held to the same promises ────────────────────────────────────────────────────


@pytest.fixture(params=["real", "fake"])
def desk(request: pytest.FixtureRequest) -> tuple[Registrations, PatientId]:
    people = FakePatients()
    somebody = people.add().id
    if request.param == "fake":
        return FakeRegistration(), somebody
    return Bench(board, fakes=[people]).client(Registrations), somebody


async def test_real_and_fake_give_a_number_alike(desk: tuple[Registrations, PatientId]) -> None:
    registration, somebody = desk
    today = await registration.publish_session(clinic(1))
    [slot] = (await registration.session(today.id)).slots
    number = await registration.book(wish(somebody, slot.id))
    assert number.state is AppointmentState.BOOKED
    with pytest.raises((NothingLeft, AlreadyBooked)):
        await registration.book(wish(somebody, slot.id))
    with pytest.raises(WrongCampus):
        await registration.check_in(number.id, C2, NO_MARKS)
    assert await registration.get(number.id) in await registration.day_list(C1, MONDAY)
    assert len(await registration.of_patients((somebody,), MONDAY)) == 1
    await registration.cancel(number.id)
    [offer] = await registration.offers(C1, MONDAY)
    assert offer.remaining == 1
    assert (await registration.stop_clinic(today.id, "停诊")).affected == 0
    with pytest.raises(NotFound):
        await registration.get(AppointmentId(new_id()))
