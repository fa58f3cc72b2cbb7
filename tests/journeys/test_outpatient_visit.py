"""An outpatient's visit across the boards, and what goes wrong on the way."""

import asyncio

import pytest

from plugward.boards.billing.contract import (
    AskRefund,
    Billing,
    BillState,
    ChannelNotice,
    ChannelOutcome,
    ChannelRequest,
    LegId,
    LegState,
    LineState,
    OpenBill,
    Pay,
    PaymentUndecided,
    RefundId,
    RefundPart,
)
from plugward.boards.billing.contract import Channel as MoneyChannel
from plugward.boards.drug_store.contract import DrugStore, StoreCode
from plugward.boards.encounters.contract import Encounters, EncounterState
from plugward.boards.lab.contract import (
    Collect,
    EnterResults,
    Lab,
    NewResult,
    Report,
    ReportState,
    Specimen,
    SwapTubes,
)
from plugward.boards.orders.contract import LineState as OrderLineState
from plugward.boards.orders.contract import OrderGroup, Orders
from plugward.boards.patients.contract import (
    AllergyId,
    Contact,
    ContactKind,
    MatchOutcome,
    Patients,
    RecordAllergy,
    TimelineKind,
)
from plugward.boards.pharmacy.contract import (
    LineQuantity,
    Pharmacy,
    ReturnId,
    TakeBack,
    TaskSheet,
)
from plugward.boards.registration.contract import Appointment
from plugward.kit.ids import new_id
from plugward.kit.money import Money
from plugward.vocabulary import BillId, PatientId, ReportId, SpecimenId

from .house import (
    AMLODIPINE,
    C1,
    ECHO,
    HBA1C,
    METFORMIN,
    SIMVASTATIN,
    URINE_ACR,
    House,
    drug,
    exam,
    lab,
)

POTASSIUM = "L0033"


async def dispense(house: House) -> TaskSheet:
    """The pharmacist calls the next patient, scans every pack and hands them out."""
    pharmacy = house.client(Pharmacy)
    with house.acting("pharmacist"):
        task = await pharmacy.call_next(C1, "2号窗")
    with house.acting("pharmacist"):
        sheet = await pharmacy.task(task.id)
    for line in sheet.lines:
        for _ in range(line.open):
            with house.acting("pharmacist"):
                await pharmacy.scan(task.id, line.item)
    with house.acting("pharmacist", number=1):
        await pharmacy.dispense(task.id)
    await house.quiet()
    with house.acting("pharmacist"):
        return await pharmacy.task(task.id)


async def test_a_visit_from_the_door_to_the_drugs(house: House) -> None:
    """建档 → 挂号 → 签到 → 接诊 → 开单 387.72 → 缴费 → 发药，账物相符。"""
    patient = (await house.register("周建民", 1)).patient
    visit = await house.arrive(patient.id)
    await house.call_and_serve()
    with house.acting("doctor"):
        encounter = await house.client(Encounters).get(visit.encounter)
    assert encounter.state is EncounterState.IN_PROGRESS

    group = await house.sign(
        visit,
        (
            drug(AMLODIPINE, 2),
            drug(METFORMIN, 2, "0.5", "g"),
            drug(SIMVASTATIN, 2, "20"),
            lab(URINE_ACR),
            lab(HBA1C),
            exam(ECHO),
        ),
    )
    await house.quiet()
    account = await house.account(visit.encounter)
    ordered = [line for line in account.lines if line.category != "registration"]
    assert Money.total(line.amount for line in ordered) == Money.of_yuan("387.72")

    await house.pay_all(visit.encounter)
    sheet = await dispense(house)
    assert [line.dispensed for line in sheet.lines] == [2, 2, 2]
    with house.acting("doctor"):
        now = await house.client(Orders).group(group.id)
    assert [line.state for line in now.lines[:3]] == [OrderLineState.DISPENSED] * 3
    await house.audit()


async def test_b01_doctor_signs_while_billing_is_down(house: House) -> None:
    """收费、物价停机时照常签名；恢复后费用各产生一次，其间绝不显示 0 元。"""
    patient = (await house.register("周建民", 1)).patient
    visit = await house.arrive(patient.id)
    await house.call_and_serve()
    await house.runtime.unplug("billing")
    await house.runtime.unplug("pricing")

    group = await house.sign(
        visit,
        (
            drug(AMLODIPINE, 2),
            drug(METFORMIN, 2, "0.5", "g"),
            drug(SIMVASTATIN, 2, "20"),
            lab(URINE_ACR),
            lab(HBA1C),
            exam(ECHO),
        ),
    )
    assert [line.state for line in group.lines] == [OrderLineState.SIGNED] * 6

    await house.runtime.plug(house.boards["billing"])
    await house.quiet()
    account = await house.account(visit.encounter)
    assert account.awaited == 6
    await house.runtime.plug(house.boards["pricing"])
    await house.quiet()
    account = await house.account(visit.encounter)
    priced = [line.line for line in account.lines if line.category != "registration"]
    assert sorted(map(str, priced)) == sorted(str(line.id) for line in group.lines)
    assert account.awaited == 0
    await house.audit()


async def test_c06_return_of_a_dispensed_drug(house: House) -> None:
    """发药 14 盒，退 4 盒未开封：退药单独立成文，净 10，库存原批加 4，只退 4 盒的钱。"""
    patient = (await house.register("周建民", 1)).patient
    visit = await house.arrive(patient.id)
    await house.call_and_serve()
    group = await house.sign(visit, (drug(AMLODIPINE, 14),))
    await house.quiet()
    bill = await house.pay_all(visit.encounter)
    sheet = await dispense(house)
    before = await on_hand(house, AMLODIPINE)

    with house.acting("pharmacist"):
        await house.client(Pharmacy).take_back(
            TakeBack(
                id=ReturnId(new_id()),
                task=sheet.task.id,
                lines=(LineQuantity(line=group.lines[0].id, quantity=4),),
                reason="患者退药",
                approved_by="林予安",
            )
        )
    await house.quiet()
    with house.acting("cashier"):
        due = await house.client(Billing).refunds_due(C1)
    assert [(d.units, d.left) for d in due] == [(4, 4)]
    with house.acting("cashier"):
        refund = await house.client(Billing).refund(
            AskRefund(
                id=RefundId(new_id()),
                bill=bill,
                parts=(RefundPart(charge=due[0].charge, units=4),),
                reason="退药",
            )
        )
    assert refund.amount == Money.of_yuan("11.76") * 4
    await house.quiet()
    assert await on_hand(house, AMLODIPINE) == before + 4
    with house.acting("pharmacist"):
        [line] = (await house.client(Pharmacy).task(sheet.task.id)).lines
    assert (line.dispensed, line.returned, line.dispensed - line.returned) == (14, 4, 10)
    await house.audit()


async def on_hand(house: House, item: str) -> int:
    with house.acting("pharmacist"):
        [stock] = await house.client(DrugStore).stock(C1, (item,), StoreCode("C1-OP"))
    return stock.on_hand


async def test_a03_payment_channel_says_nothing(house: House) -> None:
    """渠道无应答：先按流水号查清，再决定；最多收一次钱，五分钟内自行了结。"""
    patient = (await house.register("周建民", 1)).patient
    visit = await house.arrive(patient.id)
    house.channel.silent = True
    bill = await house.pay_all(visit.encounter, MoneyChannel.PHONE)
    with house.acting("cashier"):
        sheet = await house.client(Billing).bill(bill)
    assert sheet.bill.state is BillState.OPEN
    with house.acting("cashier"), pytest.raises(PaymentUndecided):
        await house.client(Billing).pay(
            Pay(id=LegId(new_id()), bill=bill, channel=MoneyChannel.PHONE)
        )

    house.channel.silent = False
    for _ in range(10):
        await house.later(seconds=30)
    with house.acting("cashier"):
        sheet = await house.client(Billing).bill(bill)
    assert sheet.bill.state in (BillState.SETTLED, BillState.VOIDED)
    kept = sheet.bill.self_pay.fen if sheet.bill.state is BillState.SETTLED else 0
    assert house.channel.kept_fen == kept
    await house.audit()


async def test_a06_same_person_registers_twice(house: House) -> None:
    """同一身份证在第二院区登记：一个主索引，两个院区号，新电话作第二联系方式。"""
    phones = [(Contact(kind=ContactKind.PHONE, value=f"1390000{n}"),) for n in (1111, 2222)]
    first = await house.register("张三", 7, contacts=phones[0])
    second = await house.register("张三 ", 7, campus="C2", contacts=phones[1])
    assert second.outcome is MatchOutcome.LINKED
    assert second.patient.id == first.patient.id
    assert {n.campus for n in second.patient.local_numbers} == {"C1", "C2"}
    assert second.patient.contacts == (*phones[0], *phones[1])
    assert second.patient.name == "张三"  # nothing is overwritten
    await house.audit()


async def test_a08_merge_and_unmerge(house: House) -> None:
    """合并期间结果归并查看，拆分后各归各；过敏两边都在；往来账分文不变，号码不失。"""
    first = (await house.register("张三", 7)).patient
    second = (await house.register("张叁", 9, identifiers=())).patient
    patients, laboratory = house.client(Patients), house.client(Lab)
    allergy = RecordAllergy(id=AllergyId(new_id()), patient=second.id, substance="青霉素")
    with house.acting("doctor"):
        await patients.record_allergy(allergy)
    await house.arrive(first.id)  # his own visit, its fee unpaid
    visit = await house.arrive(second.id)
    for _ in range(2):
        await house.call_and_serve()
    group = await house.sign(visit, (lab(POTASSIUM),))
    await house.quiet()
    await house.pay_all(visit.encounter)
    tube = await drawn(house, group)
    before = await owed(house, (first.id, second.id))

    with house.acting("steward"):
        await patients.merge(second.id, first.id, "同一人")
    report = await measured(house, tube, "4.2")  # the analyser knows the other number
    with house.acting("doctor"):
        both = await patients.person_of(first.id)
    assert set(both) == {first.id, second.id}
    with house.acting("doctor"):
        assert [line.id for line in await laboratory.reports_of(both)] == [report.id]
    with house.acting("doctor"):
        leading = await patients.get(first.id)
    assert [a.patient for a in leading.allergies] == [second.id]

    with house.acting("steward"):
        await patients.unmerge(second.id, "不是同一人")
    await house.quiet()
    for alone, reports, numbers in (
        (first, [], first.local_numbers),
        (second, [report.id], second.local_numbers),
    ):
        with house.acting("doctor"):
            assert await patients.person_of(alone.id) == (alone.id,)
        with house.acting("doctor"):
            found = await laboratory.reports_of((alone.id,))
        assert [line.id for line in found] == reports
        with house.acting("doctor"):
            assert (await patients.get(alone.id)).local_numbers == numbers
    with house.acting("doctor"):
        kept = await patients.get(second.id)
    assert [(a.id, a.source) for a in kept.allergies] == [(allergy.id, allergy.source)]
    assert await owed(house, (first.id, second.id)) == before
    await house.audit()


async def owed(house: House, people: tuple[PatientId, ...]) -> list[list[tuple[str, int]]]:
    """Every charge of these people: what it is at and what it costs."""
    found = []
    for patient in people:
        with house.acting("cashier"):
            accounts = await house.client(Billing).accounts_of(patient)
        found.append([(x.state.value, x.amount.fen) for a in accounts for x in a.lines])
    return found


async def test_c03_duplicate_notification(house: House) -> None:
    """渠道通知“已付”五次、乱序、一次早于我们自己的应答：一笔款、一张票、一个发药任务。"""
    visit = await house.arrive((await house.register("周建民", 1)).patient.id)
    await house.call_and_serve()
    await house.sign(visit, (drug(AMLODIPINE, 2),))
    await house.quiet()
    told: list[ChannelRequest] = []

    async def tell(request: ChannelRequest) -> None:
        told.append(request)
        with house.acting("integration-engineer"):
            await house.client(Billing).notice(
                ChannelNotice(
                    serial=request.serial, outcome=ChannelOutcome.PAID, amount=request.amount
                )
            )

    house.channel.before_answer = tell
    bill = await house.pay_all(visit.encounter, MoneyChannel.PHONE)
    house.channel.before_answer = None
    await asyncio.gather(*(tell(told[0]) for _ in range(4)))
    await house.quiet()
    with house.acting("cashier"):
        sheet = await house.client(Billing).bill(bill)
    with house.acting("cashier"):
        receipts = await house.client(Billing).receipts(bill)
    with house.acting("pharmacist"):
        tasks = await house.client(Pharmacy).queue(C1)
    phone = [leg for leg in sheet.legs if leg.channel is MoneyChannel.PHONE]
    assert [leg.state for leg in phone] == [LegState.PAID]
    assert (len(receipts), len(tasks)) == (1, 1)
    assert house.channel.kept_fen == sheet.bill.self_pay.fen
    await house.audit()


async def test_c08_mixed_payment(house: House) -> None:
    """个人账户、扫码、现金三路同付，现金取整为一行；全退时各回各路，各行之和相符。"""
    visit = await house.arrive((await house.register("周建民", 1)).patient.id)
    await house.quiet()
    await house.pay_all(visit.encounter)  # the registration fee, at another window
    await house.call_and_serve()
    await house.sign(visit, (lab(HBA1C), exam(ECHO), drug(SIMVASTATIN, 3, "20")))
    await house.quiet()
    account = await house.account(visit.encounter)
    lines = [line for line in account.lines if line.state is LineState.PENDING]
    charges = tuple(line.id for line in lines)
    bill, billing = BillId(new_id()), house.client(Billing)
    with house.acting("cashier"):
        opened = await billing.open_bill(
            OpenBill(id=bill, encounter=visit.encounter, campus=C1, charges=charges)
        )
    cash = 33
    share = (opened.self_pay.fen - cash) // 2
    for channel, fen in (
        (MoneyChannel.ACCOUNT, share),
        (MoneyChannel.PHONE, opened.self_pay.fen - cash - share),
        (MoneyChannel.CASH, None),
    ):
        with house.acting("cashier"):
            await billing.pay(
                Pay(
                    id=LegId(new_id()),
                    bill=bill,
                    channel=channel,
                    amount=None if fen is None else Money(fen=fen),
                )
            )
        await house.quiet()
    with house.acting("cashier"):
        settled = (await billing.bill(bill)).bill
    assert settled.state is BillState.SETTLED
    assert settled.rounding.fen == -3
    await house.audit()  # M1

    with house.acting("cashier"):
        await billing.refund(
            AskRefund(
                id=RefundId(new_id()),
                bill=bill,
                parts=tuple(RefundPart(charge=x.id, units=x.units) for x in lines),
                reason="全退",
            )
        )
    await house.quiet()
    with house.acting("cashier"):
        legs = (await billing.bill(bill)).legs
    by_channel: dict[MoneyChannel, int] = {}
    for leg in legs:
        by_channel[leg.channel] = by_channel.get(leg.channel, 0) + leg.amount.fen
    assert set(by_channel.values()) == {0}  # each to its own channel, nothing kept
    assert house.channel.kept_fen == 0
    await house.audit()


async def reported(house: House, number: int, value: str) -> tuple[Appointment, Report]:
    """One patient's potassium, from the doctor's signature to the verified report."""
    visit = await house.arrive((await house.register(f"患者{number}", number)).patient.id)
    await house.call_and_serve()
    group = await house.sign(visit, (lab(POTASSIUM),))
    await house.quiet()
    await house.pay_all(visit.encounter)
    return visit, await measured(house, await drawn(house, group), value)


async def drawn(house: House, group: OrderGroup) -> Specimen:
    """The tube is drawn and has come to the laboratory."""
    laboratory, lines = house.client(Lab), tuple(line.id for line in group.lines)
    with house.acting("lab-technician"):
        tube = await laboratory.collect(Collect(id=SpecimenId(new_id()), requests=lines))
    with house.acting("lab-technician"):
        return await laboratory.receive(tube.barcode)


async def measured(house: House, tube: Specimen, value: str) -> Report:
    """The potassium of this tube is measured and verified."""
    laboratory, results = house.client(Lab), (NewResult(item=POTASSIUM, value=value),)
    with house.acting("lab-technician"):
        await laboratory.enter(EnterResults(specimen=tube.id, results=results))
    with house.acting("lab-technician"):
        report = await laboratory.verify(tube.id, ReportId(new_id()))
    await house.quiet()
    return report


async def test_e01_result_for_the_wrong_tube(house: House) -> None:
    """两管标签互换、医生已看：两份撤回各出新版，看过的人被告知，病历与时间线只见新版。"""
    visits, reports = zip(
        *[await reported(house, n, value) for n, value in ((1, "7.1"), (2, "4.2"))], strict=True
    )
    laboratory, doctor = house.client(Lab), house.client(Patients)
    with house.acting("doctor"):
        await laboratory.report(reports[0].id)
    with house.acting("lab-technician"):
        fresh = await laboratory.swap(
            SwapTubes(
                first=reports[0].id,
                second=reports[1].id,
                new_first=ReportId(new_id()),
                new_second=ReportId(new_id()),
                words="标签互换",
            )
        )
    await house.quiet()
    assert [r.results[0].value for r in fresh] == ["4.2", "7.1"]
    for visit, old, new in zip(visits, reports, fresh, strict=True):
        with house.acting("doctor", number=1):
            current = await laboratory.reports_of((visit.patient,))
        assert [line.id for line in current] == [new.id]
        with house.acting("doctor", number=1):
            kept = await laboratory.report(old.id)
        assert (kept.state, kept.replaced_by) == (ReportState.WITHDRAWN, new.id)
        with house.acting("doctor"):
            chart = await doctor.timeline((visit.patient,))
        shown = [entry.reference for entry in chart if entry.kind is TimelineKind.REPORT]
        assert old.id not in shown
    with house.acting("doctor"):
        told = await laboratory.withdrawals_for_me()
    assert [t.report for t in told] == [reports[0].id]
    await house.audit()


async def test_e02_critical_value(house: House) -> None:
    """血钾 7.1：危急值在案；检验插件停 15 分钟，恢复后即升级；确认有人有时，不再升级。"""
    visit, _ = await reported(house, 1, "7.1")
    laboratory = house.client(Lab)
    with house.acting("doctor"):
        [raised] = await laboratory.critical_values(C1)
    assert (raised.value, raised.patient, raised.level) == ("7.1", visit.patient, 0)

    await house.runtime.unplug("lab")
    await house.later(minutes=15)
    await house.runtime.plug(house.boards["lab"])
    await house.later(minutes=1)
    with house.acting("doctor"):
        [late] = await laboratory.critical_values(C1)
    assert (late.id, late.level) == (raised.id, 1)

    with house.acting("doctor"):
        await laboratory.acknowledge(raised.id, "已通知患者返院，急查心电图")
    done_at = house.clock.now()
    await house.later(minutes=30)
    with house.acting("doctor"):
        assert await laboratory.critical_values(C1) == ()
    with house.acting("doctor"):
        [kept] = await laboratory.critical_values(C1, False)
    assert (kept.level, kept.acknowledged_at) == (1, done_at)
    assert kept.acknowledged_by == house.actor("doctor").id
    await house.audit()
