"""What billing does when something happens elsewhere in the hospital, and by the clock."""

from plugward.boards.encounters.contract import (
    Encounter,
    EncounterArrived,
    EncounterPlanned,
    EncounterStarted,
)
from plugward.boards.lab.contract import SpecimenCollected
from plugward.boards.orders.contract import LineWithdrawn
from plugward.boards.patients.contract import Patient, PatientRegistered, PatientUpdated
from plugward.boards.pharmacy.contract import LineUnsupplied, PrescriptionReturned
from plugward.boards.pricing.contract import Charge, ChargeCancelled, ChargeCreated
from plugward.boards.registration.contract import AppointmentCancelled, AppointmentRefundDue
from plugward.kernel import Carried, Carrying, every, on
from plugward.vocabulary import ChargeRequest, OrderLineId

from .contract import AccountLine, Category, DueReason, LineState
from .rules import units_of
from .service import BillingService
from .service.accounts import Human, Visit


@on(Carrying(ChargeRequest))
async def await_a_price(carried: Carried, billing: BillingService) -> None:
    """有事实待计价：费用生成中，页面不显示 0 元。"""
    wanted = tuple(request for request in carried.items if request.line is not None)
    if wanted:
        await billing.await_price(wanted)


@on(ChargeCreated)
async def put_on_the_account(event: ChargeCreated, billing: BillingService) -> None:
    """计价完成，费用进入就诊账户。"""
    await billing.add_charge(_line_of(event.charge))


@on(ChargeCancelled)
async def take_off_the_account(event: ChargeCancelled, billing: BillingService) -> None:
    """费用取消：未付的核销，已付的应退。"""
    await billing.withdraw_charge(event.charge.id)


@on(LineWithdrawn)
async def await_no_longer(event: LineWithdrawn, billing: BillingService) -> None:
    """未计价即撤回的医嘱不再等待计价。"""
    await billing.stop_awaiting(event.line.id)


@on(AppointmentCancelled)
async def await_no_fee(event: AppointmentCancelled, billing: BillingService) -> None:
    """未计价即取消的预约不再等待计价。"""
    await billing.stop_awaiting(OrderLineId(event.appointment.id))


@on(AppointmentRefundDue)
async def owe_for_a_lost_number(event: AppointmentRefundDue, billing: BillingService) -> None:
    """钱到时号已不在：诊查费全额应退。"""
    await billing.withdraw_line(OrderLineId(event.appointment))


@on(SpecimenCollected)
async def keep_what_is_being_measured(event: SpecimenCollected, billing: BillingService) -> None:
    """标本已采集，检验费不再退。"""
    await billing.note_performed(event.specimen.requests)


@on(PrescriptionReturned)
async def owe_for_returned_drugs(event: PrescriptionReturned, billing: BillingService) -> None:
    """药房收下退药，只退所退部分的钱。"""
    parts = tuple((line.line, line.quantity) for line in event.document.lines)
    await billing.free_units(parts, DueReason.RETURNED)


@on(LineUnsupplied)
async def owe_for_unsupplied_drugs(event: LineUnsupplied, billing: BillingService) -> None:
    """已付而缺药，立即生成应退款。"""
    await billing.free_units(((event.line, event.quantity),), DueReason.UNSUPPLIED)


@on(EncounterPlanned)
async def know_a_planned_visit(event: EncounterPlanned, billing: BillingService) -> None:
    """预约产生就诊，收费处按患者找得到它。"""
    await billing.note_visit(_visit_of(event.encounter))


@on(EncounterArrived)
async def know_an_arrived_visit(event: EncounterArrived, billing: BillingService) -> None:
    """签到后更新科室与医生。"""
    await billing.note_visit(_visit_of(event.encounter))


@on(EncounterStarted)
async def keep_the_fee_of_a_seen_patient(event: EncounterStarted, billing: BillingService) -> None:
    """医生已接诊，诊查费不再退。"""
    await billing.note_visit(_visit_of(event.encounter))
    await billing.note_seen(event.encounter.id)


@on(PatientRegistered)
async def know_a_new_patient(event: PatientRegistered, billing: BillingService) -> None:
    """保存性别与出生日期，供窗口核对。"""
    await billing.note_human(_human_of(event.patient))


@on(PatientUpdated)
async def know_a_patient_better(event: PatientUpdated, billing: BillingService) -> None:
    """患者资料更新后，窗口显示随之更新。"""
    await billing.note_human(_human_of(event.patient))


@every(30)
async def end_unpaid_bills(billing: BillingService) -> None:
    """超时未付的账单自动作废，锁定的药品随之释放。"""
    await billing.end_unpaid()


@every(20)
async def refund_by_itself(billing: BillingService) -> None:
    """纯渠道支付的应退款自动原路退回。"""
    await billing.refund_what_is_owed()


def _line_of(charge: Charge) -> AccountLine:
    return AccountLine(
        id=charge.id,
        encounter=charge.encounter,
        campus=charge.campus,
        line=charge.line,
        category=Category(charge.category.value),
        item=charge.item,
        name_zh=charge.name_zh,
        name_en=charge.name_en,
        unit=charge.unit,
        quantity=charge.quantity,
        unit_price=charge.unit_price,
        price_version=charge.price_version,
        amount=charge.amount,
        insurance_class=charge.insurance_class,
        self_ratio=charge.self_ratio,
        fund=charge.fund,
        supplement=charge.supplement,
        self_pay=charge.self_pay,
        units=units_of(charge.quantity),
        state=LineState.PENDING,
        performed_at=charge.performed_at,
    )


def _visit_of(encounter: Encounter) -> Visit:
    return Visit(
        encounter=encounter.id,
        campus=encounter.campus,
        patient=encounter.patient,
        name=encounter.patient_name,
        department=encounter.department,
        doctor_name=encounter.doctor_name,
        planned_for=encounter.day,
    )


def _human_of(patient: Patient) -> Human:
    return Human(patient=patient.id, sex=patient.sex, birth_date=patient.birth_date)
