"""What many hands reach for at once: the scenarios that lean on what a database promises.

They run on SQLite over both transports, and on PostgreSQL in every test run.
"""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from plugward.boards.billing.contract import (
    AlreadySettled,
    Billing,
    BillState,
    ChargeTaken,
    LegId,
    LineState,
    OpenBill,
    Pay,
    ReceiptState,
)
from plugward.boards.billing.contract import Channel as MoneyChannel
from plugward.boards.calling.contract import Calling, QueueCode, Ticket
from plugward.boards.drug_store.contract import DocumentId, DrugStore, Issue, StoreCode, Wanted
from plugward.boards.encounters.contract import Encounters
from plugward.boards.orders.contract import Orders
from plugward.boards.pharmacy.contract import OutOfStock, Pharmacy
from plugward.boards.registration.contract import (
    Appointment,
    ArrivalMarks,
    BookAppointment,
    Channel,
    DayPeriod,
    NoneLeft,
    PublishSession,
    PublishSlot,
    Registrations,
    SessionId,
)
from plugward.kernel.envelope import acting_as
from plugward.kernel.refusals import Fault, Unavailable
from plugward.kernel.store.work import Work
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_date
from plugward.sim.foundation import planner
from plugward.vocabulary import (
    AppointmentId,
    BillId,
    EncounterId,
    OrderGroupId,
    PatientId,
    SlotId,
)

from .house import AMLODIPINE, C1, CARDIOLOGY, HBA1C, House, drug, lab

pytestmark = pytest.mark.databases

T = TypeVar("T")
PHARMACY = StoreCode("C1-OP")
SHARED = "C1-CARD-SHARED"


async def all_of(*calls: Awaitable[T]) -> tuple[list[T], list[BaseException]]:
    """What was answered, and what was refused."""
    done = await asyncio.gather(*calls, return_exceptions=True)
    return (
        [d for d in done if not isinstance(d, BaseException)],
        [d for d in done if isinstance(d, BaseException)],
    )


async def publish(house: House, doctor: int, *capacities: int, queue: str = "") -> list[SlotId]:
    """A clinic of this afternoon, with so many numbers an hour."""
    member = house.member("doctor", number=doctor)
    start = house.clock.now() + timedelta(hours=6)
    slots = tuple(
        PublishSlot(
            id=SlotId(new_id()),
            starts_at=start + timedelta(hours=hour),
            ends_at=start + timedelta(hours=hour + 1),
            capacity=capacity,
        )
        for hour, capacity in enumerate(capacities)
    )
    with acting_as(planner(house.cast), campus=C1, request=new_id()):
        await house.client(Registrations).publish_session(
            PublishSession(
                id=SessionId(new_id()),
                campus=C1,
                department=CARDIOLOGY,
                department_name="心内科",
                doctor=member.id,
                doctor_name=member.name,
                day=hospital_date(house.clock.now()),
                period=DayPeriod.AFTERNOON,
                fee_item="RF02",
                slots=slots,
                queue=queue,
            )
        )
    await house.quiet()
    return [slot.id for slot in slots]


async def people(house: House, count: int, first: int = 100) -> list[PatientId]:
    return [(await house.register(f"患者{n}", n)).patient.id for n in range(first, first + count)]


async def book(
    house: House, patient: PatientId, slot: SlotId, channel: Channel, role: str = "registrar"
) -> Appointment:
    with house.acting(role):
        return await house.client(Registrations).book(
            BookAppointment(
                id=AppointmentId(new_id()),
                encounter=EncounterId(new_id()),
                patient=patient,
                slot=slot,
                channel=channel,
            )
        )


async def test_a01_last_number_many_hands(house: House) -> None:
    """50 人同抢最后一个号：恰好 1 人挂上；49 人被告知最近的空号，且没有任何费用。"""
    last, later = await publish(house, 0, 1, 5)
    patients = await people(house, 50)
    channels = (Channel.APP, Channel.KIOSK, Channel.WINDOW)
    booked, refused = await all_of(
        *(book(house, who, last, channels[n % 3]) for n, who in enumerate(patients))
    )
    assert (len(booked), len(refused)) == (1, 49)
    assert {type(r) for r in refused} == {NoneLeft}
    assert {r.next_slot for r in refused if isinstance(r, NoneLeft)} == {later}
    await house.quiet()
    with house.acting("registrar"):
        offer = await house.client(Registrations).session(booked[0].session)
    assert [slot.remaining for slot in offer.slots] == [0, 5]
    with house.acting("cashier"):
        owing = await house.client(Billing).waiting(C1, 200)
    assert [party.encounter for party in owing] == [booked[0].encounter]
    assert len((await house.account(booked[0].encounter)).lines) == 1
    await house.audit()


async def test_a10_calling_twice_called_and_absent(house: House) -> None:
    """两位医生同按“下一位”：两个不同的号；三呼不到过号，到场排在后两位之后，仍是一次就诊。"""
    [slot] = await publish(house, 0, 9, queue=SHARED)
    arrived = []
    for who in await people(house, 7):
        booked = await book(house, who, slot, Channel.NURSE, "triage-nurse")
        arrived.append(booked)
        with house.acting("triage-nurse"):
            await house.client(Registrations).check_in(booked.id, C1, ArrivalMarks())
        await house.quiet()
    calling, doctors = house.client(Calling), [house.member("doctor", number=n).id for n in (0, 1)]
    with house.acting("doctor"):
        ticket = await calling.ticket_of(arrived[0].encounter)
    assert ticket is not None
    queue = ticket.queue

    async def press(number: int) -> Ticket:
        with house.acting("doctor", number=number):
            return await calling.call_next(queue, doctors[number])

    first, second = await asyncio.gather(press(0), press(1))
    assert {first.encounter, second.encounter} == {a.encounter for a in arrived[:2]}
    for seen in (first, second):
        with house.acting("doctor", number=doctors.index(seen.doctor or doctors[0])):
            await calling.serve(seen.id)
    absent = await press(0)
    for _ in range(2):
        with house.acting("doctor"):
            await calling.recall(absent.id)
    assert (await press(0)).encounter == arrived[3].encounter  # the absent one is passed over
    with house.acting("triage-nurse"):
        await calling.rejoin(absent.id)
    await house.quiet()
    assert await order(house, queue) == [arrived[n].encounter for n in (4, 5, 2, 6)]
    with house.acting("doctor"):
        visit = await house.client(Encounters).get(absent.encounter)
    assert visit.patient == arrived[2].patient
    await house.audit()  # C1: one visit has one ticket; E2: one booking has one visit


async def order(house: House, queue: QueueCode) -> list[EncounterId]:
    with house.acting("doctor"):
        return [t.encounter for t in (await house.client(Calling).queue(queue)).waiting]


async def a_served_visit(house: House, number: int = 1) -> Appointment:
    visit = await house.arrive((await house.register("周建民", number)).patient.id)
    await house.call_and_serve()
    return visit


async def test_b07_duplicate_order_by_double_click(house: House) -> None:
    """同一组医嘱因双击到达三次：一组医嘱，一套费用，一张账单；三次应答相同。"""
    visit = await a_served_visit(house)
    request, group, lines = new_id(), OrderGroupId(new_id()), (drug(AMLODIPINE, 2), lab(HBA1C))
    answers, refused = await all_of(
        *(house.sign(visit, lines, request=request, group=group) for _ in range(3))
    )
    assert refused == []
    assert answers[0] == answers[1] == answers[2]
    await house.quiet()
    with house.acting("doctor"):
        groups = await house.client(Orders).for_encounter(visit.encounter)
    assert [g.id for g in groups] == [group]
    account = await house.account(visit.encounter)
    assert len([line for line in account.lines if line.category != "registration"]) == 2
    bill = await house.pay_all(visit.encounter)
    with house.acting("cashier"):
        receipts = await house.client(Billing).receipts(bill)
    assert len(receipts) == 1
    assert len((await house.account(visit.encounter)).bills) == 1
    await house.audit()


def pending(account: Any) -> tuple[Any, ...]:
    return tuple(line.id for line in account.lines if line.state is LineState.PENDING)


async def test_c10_two_cashiers_one_bill(house: House) -> None:
    """两个窗口同收一笔：一张结算单，后者被告知何人何时；药只发一份任务。"""
    visit = await a_served_visit(house)
    await house.sign(visit, (drug(AMLODIPINE, 2),))
    await house.quiet()
    charges = pending(await house.account(visit.encounter))

    async def open_one() -> BillId:
        with house.acting("cashier"):
            opened = await house.client(Billing).open_bill(
                OpenBill(
                    id=BillId(new_id()),
                    encounter=visit.encounter,
                    campus=C1,
                    charges=charges,
                    cashier="顾晓棠",
                )
            )
        return opened.id

    [bill], [taken] = await all_of(open_one(), open_one())
    assert isinstance(taken, ChargeTaken)
    assert (taken.by, taken.bill) == ("顾晓棠", bill)

    async def pay() -> None:
        with house.acting("cashier"):
            await house.client(Billing).pay(
                Pay(id=LegId(new_id()), bill=bill, channel=MoneyChannel.CASH)
            )

    _, [second] = await all_of(pay(), pay())
    await house.quiet()
    with house.acting("cashier"):
        settled = (await house.client(Billing).bill(bill)).bill
    assert isinstance(second, AlreadySettled)
    assert (second.by, second.at) == (settled.settled_by, settled.settled_at)
    with house.acting("pharmacist"):
        tasks = await house.client(Pharmacy).queue(C1)
    assert len(tasks) == 1
    await house.audit()


async def test_c11_bill_numbers_without_gaps_or_doubles(house: House) -> None:
    """八个窗口同时收款，收费插件中途停机再起：号码不重不漏，作废的票据留号并指向新号。"""
    bills = []
    for who in await people(house, 8):
        visit = await house.book(who)
        await house.quiet()
        with house.acting("cashier"):
            opened = await house.client(Billing).open_bill(
                OpenBill(
                    id=BillId(new_id()),
                    encounter=visit.encounter,
                    campus=C1,
                    charges=pending(await house.account(visit.encounter)),
                )
            )
        bills.append((opened.id, LegId(new_id()), new_id()))

    async def pay(bill: BillId, leg: LegId, request: Any) -> None:
        with house.acting("cashier", request=request):
            await house.client(Billing).pay(Pay(id=leg, bill=bill, channel=MoneyChannel.CASH))

    paying = asyncio.gather(*(pay(*each) for each in bills), return_exceptions=True)
    await asyncio.sleep(0)
    await house.runtime.unplug("billing")
    assert {type(e) for e in await paying if e is not None} <= {Unavailable}
    await house.runtime.plug(house.boards["billing"])
    for each in bills:  # whoever got no answer presses the same button again
        await pay(*each)
    with house.acting("cashier"):
        fresh = await house.client(Billing).replace_receipt(bills[3][0], "卡纸")
    await house.quiet()

    numbers = []
    for bill, *_ in bills:
        with house.acting("cashier"):
            receipts = await house.client(Billing).receipts(bill)
        numbers += [receipt.number for receipt in receipts]
        if bill == bills[3][0]:
            voided, valid = receipts
            assert (voided.state, voided.replaced_by) == (ReceiptState.VOIDED, fresh.text)
            assert valid.number == 9
    assert sorted(numbers) == list(range(1, 10))
    await house.audit()


async def test_d01_paid_then_out_of_stock(house: House) -> None:
    """库存 10，三人各付 6：先占库存再收钱，至多一人付成；付后缺药即产生退费任务。"""
    with house.acting("pharmacist"):
        [stock] = await house.client(DrugStore).stock(C1, (AMLODIPINE,))
    visits = [await a_served_visit(house, number) for number in range(1, 4)]
    with house.acting("pharmacist"):
        await take_out(house, AMLODIPINE, stock.available - 10)
    for visit in visits:
        await house.sign(visit, (drug(AMLODIPINE, 6),))
    await house.quiet()

    bills, refused = await all_of(*(house.pay_all(visit.encounter) for visit in visits))
    assert {type(r) for r in refused} == {OutOfStock}
    assert (len(bills), len(refused)) == (1, 2)
    for visit in visits:  # whoever was refused was asked for no money
        account = await house.account(visit.encounter)
        assert [b.id for b in account.bills if b.state is BillState.SETTLED] in ([], bills)

    [task] = await tasks_of(house)
    with house.acting("pharmacist"):
        [line] = (await house.client(Pharmacy).task(task.id)).lines
    with house.acting("pharmacist"):
        await house.client(Pharmacy).cannot_supply(line.id, 6, "破损")
    await house.quiet()
    with house.acting("cashier"):
        [due] = await house.client(Billing).refunds_due(C1)
    assert (due.bill, due.left) == (bills[0], 6)
    await house.audit()


async def tasks_of(house: House) -> tuple[Any, ...]:
    with house.acting("pharmacist"):
        return await house.client(Pharmacy).queue(C1)


async def take_out(house: House, item: str, packs: int) -> None:
    await house.client(DrugStore).issue(
        Issue(
            id=DocumentId(new_id()),
            store=PHARMACY,
            lines=(Wanted(line=new_id(), item=item, quantity=packs),),
        )
    )


async def test_d02_double_settle_of_one_issue_document(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 行出库单：第 7 行后进程出错则一行也没有；再送三次，明细 16 行各一次，库存不为负。"""
    store = house.client(DrugStore)
    with house.acting("pharmacist"):
        stocked = await store.batches(PHARMACY)
    firsts = {batch.item: batch for batch in reversed(stocked) if batch.available > 0}
    wanted = {item: firsts[item].available for item in sorted(firsts)[:16]}  # one batch a line

    async def on_hand() -> dict[str, int]:
        with house.acting("pharmacist"):
            found = await store.stock(C1, tuple(wanted), PHARMACY)
        return {stock.item: stock.on_hand for stock in found}

    before = await on_hand()
    issue = Issue(
        id=DocumentId(new_id()),
        store=PHARMACY,
        lines=tuple(Wanted(line=new_id(), item=i, quantity=q) for i, q in wanted.items()),
    )
    request = new_id()

    shifts = 0
    shift = Work.shift

    def broken(self: Work, *args: Any, **options: Any) -> Any:
        nonlocal shifts
        shifts += 1
        if shifts > 7:
            raise RuntimeError("the process stops here")
        return shift(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Work, "shift", broken)
        with house.acting("pharmacist", request=request), pytest.raises(Fault):
            await store.issue(issue)
    assert shifts == 8
    assert await on_hand() == before

    async def send() -> Any:
        with house.acting("pharmacist", request=request):
            return await store.issue(issue)

    answers, refused = await all_of(send(), send(), send())
    assert refused == []
    assert answers[0] == answers[1] == answers[2]
    assert {move.item: -move.quantity for move in answers[0].moves} == wanted
    assert len(answers[0].moves) == 16
    assert await on_hand() == {item: before[item] - quantity for item, quantity in wanted.items()}
    with house.acting("pharmacist"):
        moves = [move for i in wanted for move in await store.moves(PHARMACY, i, 10)]
    assert len([move for move in moves if move.document == issue.id]) == 16
    await house.audit()
