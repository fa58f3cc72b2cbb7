"""What the pharmacy does when something happens elsewhere in the hospital."""

from plugward.boards.billing.contract import BillSettled, BillVoided, Category
from plugward.boards.drug_store.contract import ReservationExpired
from plugward.boards.orders.contract import GroupSigned, LineWithdrawn, OrderGroup, OrderLine
from plugward.boards.patients.contract import Patient, PatientRegistered, PatientUpdated
from plugward.commons.masterdata.contract import Domain, EntryPublished
from plugward.kernel import on
from plugward.vocabulary import BillId, OrderKind, OrderLineId, PrescriptionId

from .contract import LineState, Person, Prescription, PrescriptionLine
from .rules import CONTROLLED_CLASSES
from .service import PharmacyService
from .service.dispensing import Payment
from .service.prescribing import Drug


@on(GroupSigned)
async def take_in_a_prescription(event: GroupSigned, pharmacy: PharmacyService) -> None:
    """医生签名后，药品医嘱成为处方。"""
    group = event.group
    drugs = tuple(line for line in group.lines if line.kind is OrderKind.DRUG)
    if drugs:
        prescription = _prescription_of(group)
        signed = tuple(_line_of(line, prescription.id) for line in drugs)
        await pharmacy.take_in(prescription, signed)


@on(LineWithdrawn)
async def stop_a_withdrawn_line(event: LineWithdrawn, pharmacy: PharmacyService) -> None:
    """医生撤回的药品立即从待发中消失，预留释放。"""
    if event.line.kind is OrderKind.DRUG:
        await pharmacy.withdraw(event.line.id)


@on(BillSettled)
async def queue_what_is_paid(event: BillSettled, pharmacy: PharmacyService) -> None:
    """缴费后生成发药任务与取药号。"""
    drugs = tuple(
        OrderLineId(line.line)
        for line in event.lines
        if line.category is Category.DRUG and line.line is not None
    )
    if drugs:
        bill = event.bill
        payment = Payment(
            bill=bill.id,
            encounter=bill.encounter,
            lines=drugs,
            paid_at=bill.settled_at or bill.opened_at,
        )
        await pharmacy.note_paid(payment)


@on(BillVoided)
async def let_go_of_an_unpaid_bill(event: BillVoided, pharmacy: PharmacyService) -> None:
    """账单作废，锁定的药品释放。"""
    await pharmacy.let_go(event.bill.id)


@on(ReservationExpired)
async def note_an_expired_reservation(event: ReservationExpired, pharmacy: PharmacyService) -> None:
    """预留超时，处方回到待缴费。"""
    await pharmacy.let_go(BillId(event.reservation.id))


@on(PatientRegistered)
async def know_a_new_patient(event: PatientRegistered, pharmacy: PharmacyService) -> None:
    """保存患者姓名，供窗口核对。"""
    await pharmacy.note_person(_person_of(event.patient))


@on(PatientUpdated)
async def know_a_patient_better(event: PatientUpdated, pharmacy: PharmacyService) -> None:
    """患者资料更新后，窗口显示随之更新。"""
    await pharmacy.note_person(_person_of(event.patient))


@on(EntryPublished)
async def keep_the_catalogue(event: EntryPublished, pharmacy: PharmacyService) -> None:
    """药品名称、规格与管制类别随主数据更新。"""
    entry = event.entry
    if entry.domain is Domain.DRUG:
        drug = Drug(
            item=entry.code,
            name_zh=entry.name_zh,
            spec=entry.attribute("spec"),
            is_controlled=entry.attribute("rx_class") in CONTROLLED_CLASSES,
        )
        await pharmacy.note_drug(drug)


def _prescription_of(group: OrderGroup) -> Prescription:
    return Prescription(
        id=PrescriptionId(group.id),
        encounter=group.encounter,
        patient=group.patient,
        campus=group.campus,
        department=group.department,
        prescriber=group.author,
        indication=group.indication,
        signed_at=group.signed_at,
    )


def _line_of(line: OrderLine, prescription: PrescriptionId) -> PrescriptionLine:
    return PrescriptionLine(
        id=line.id,
        prescription=prescription,
        encounter=line.encounter,
        campus=line.campus,
        item=line.item,
        name_zh=line.name_zh,
        name_en=line.name_en,
        spec=line.spec,
        unit=line.unit,
        dose=line.dose,
        dose_unit=line.dose_unit,
        route=line.route,
        frequency=line.frequency,
        days=line.days,
        note=line.note,
        quantity=line.quantity,
        state=LineState.SIGNED,
    )


def _person_of(patient: Patient) -> Person:
    return Person(
        patient=patient.id, name=patient.name, sex=patient.sex, birth_date=patient.birth_date
    )
