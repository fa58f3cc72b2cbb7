"""An outpatient's visit across the boards, and what goes wrong on the way."""

import asyncio

import pytest

from plugward.boards.billing.contract import (
    AskRefund,
    Billing,
    BillState,
    LegId,
    LineState,
    OpenBill,
    Pay,
    PaymentUndecided,
    RefundId,
    RefundPart,
)
from plugward.boards.billing.contract import Channel as MoneyChannel
from plugward.boards.drug_store.contract import DocumentId, DrugStore, Issue, StoreCode, Wanted
from plugward.boards.encounters.contract import Encounters, EncounterState
from plugward.boards.orders.contract import LineState as OrderLineState
from plugward.boards.orders.contract import Orders
from plugward.boards.patients.contract import MatchOutcome, Patients
from plugward.boards.pharmacy.contract import (
    LineQuantity,
    OutOfStock,
    Pharmacy,
    ReturnId,
    TakeBack,
    TaskSheet,
)
from plugward.kit.ids import new_id
from plugward.kit.money import Money
from plugward.vocabulary import BillId, OrderGroupId

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


async def test_b07_duplicate_order_by_double_click(house: House) -> None:
    """同一组医嘱因双击到达三次：一组医嘱，一套费用。"""
    patient = (await house.register("周建民", 1)).patient
    visit = await house.arrive(patient.id)
    await house.call_and_serve()
    request, group, lines = new_id(), OrderGroupId(new_id()), (drug(AMLODIPINE, 2), lab(HBA1C))
    answers = await asyncio.gather(
        *(house.sign(visit, lines, request=request, group=group) for _ in range(3))
    )
    assert answers[0] == answers[1] == answers[2]
    await house.quiet()
    account = await house.account(visit.encounter)
    assert len([line for line in account.lines if line.category != "registration"]) == 2
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


async def test_d01_paid_then_out_of_stock(house: House) -> None:
    """库存 10，三人各付 6：先占库存再收钱，至多一人付成，其余付款前即被告知。"""
    with house.acting("pharmacist"):
        pharmacy_stock = await house.client(DrugStore).stock(C1, (AMLODIPINE,))
    spare = pharmacy_stock[0].available - 10
    patients = [(await house.register(f"患者{n}", n)).patient for n in range(4)]
    visits = []
    for patient in patients:
        visits.append(await house.arrive(patient.id))
    for _ in visits:
        await house.call_and_serve()
    with house.acting("pharmacist"):
        await take_out(house, spare)
    for visit in visits[:3]:
        await house.sign(visit, (drug(AMLODIPINE, 6),))
    await house.quiet()

    outcomes = await asyncio.gather(
        *(house.pay_all(visit.encounter) for visit in visits[:3]), return_exceptions=True
    )
    refused = [o for o in outcomes if isinstance(o, BaseException)]
    assert {type(o) for o in refused} == {OutOfStock}
    assert len(refused) == 2
    await house.audit()


async def take_out(house: House, packs: int) -> None:
    await house.client(DrugStore).issue(
        Issue(
            id=DocumentId(new_id()),
            store=StoreCode("C1-OP"),
            lines=(Wanted(line=new_id(), item=AMLODIPINE, quantity=packs),),
        )
    )


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
    first = await house.register("张三", 7)
    second = await house.register("张三 ", 7, campus="C2")
    assert second.outcome is MatchOutcome.LINKED
    assert second.patient.id == first.patient.id
    assert {n.campus for n in second.patient.local_numbers} == {"C1", "C2"}
    await house.audit()


async def test_c10_two_cashiers_one_bill(house: House) -> None:
    """两个窗口同收一笔：一张结算单，后者被告知何人何时。"""
    patient = (await house.register("周建民", 1)).patient
    visit = await house.arrive(patient.id)
    await house.quiet()
    account = await house.account(visit.encounter)
    charges = tuple(line.id for line in account.lines if line.state is LineState.PENDING)

    async def open_one() -> object:
        with house.acting("cashier"):
            return await house.client(Billing).open_bill(
                OpenBill(id=BillId(new_id()), encounter=visit.encounter, campus=C1, charges=charges)
            )

    outcomes = await asyncio.gather(open_one(), open_one(), return_exceptions=True)
    [refused] = [o for o in outcomes if isinstance(o, BaseException)]
    assert type(refused).__name__ == "ChargeTaken"
    await house.audit()


async def test_a08_merge_and_unmerge(house: House) -> None:
    """合并期间结果归并查看，拆分后各归各；过敏两边都在，来源不失。"""
    first = (await house.register("张三", 7)).patient
    second = (await house.register("张叁", 9, identifiers=())).patient
    visit = await house.arrive(second.id)
    await house.call_and_serve()
    with house.acting("steward"):
        await house.client(Patients).merge(second.id, first.id, "同一人")
    with house.acting("doctor"):
        both = await house.client(Patients).person_of(first.id)
    assert set(both) == {first.id, second.id}
    await house.sign(visit, (lab(HBA1C),))
    with house.acting("doctor"):
        merged = await house.client(Orders).for_patient(both)
    assert [g.patient for g in merged] == [second.id]
    with house.acting("steward"):
        await house.client(Patients).unmerge(second.id, "不是同一人")
    with house.acting("doctor"):
        assert await house.client(Patients).person_of(first.id) == (first.id,)
    await house.audit()
