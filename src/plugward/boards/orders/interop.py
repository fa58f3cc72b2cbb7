"""OML, OMG 申请消息: signed laboratory and examination lines on their way to who fills them.

Laboratories get OML^O21, imaging gets OMG^O19; a withdrawn line is cancelled with ORC-1 = CA.
The drug lines of a group are the shared document C0004 西药处方.
"""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from plugward.boards.patients.contract import Patient, Patients
from plugward.boards.records.contract import Diagnosis, Records
from plugward.kernel.documents import Amount, Coded, Element, Entry, Section, Sheet, Text, document
from plugward.kernel.interop import Outgoing, SegmentData, Value, outbound
from plugward.kit.time import HOSPITAL_ZONE, Instant
from plugward.vocabulary import OrderGroupId, OrderKind, Sex

from .contract import GroupSigned, LineState, LineWithdrawn, OrderGroup, OrderLine, Orders

ICD10 = "2.16.156.10011.2.3.3.11"
SEX = {Sex.MALE: "M", Sex.FEMALE: "F", Sex.OTHER: "O", Sex.UNKNOWN: "U"}
MESSAGES = {OrderKind.LAB: "OML^O21^OML_O21", OrderKind.EXAM: "OMG^O19^OMG_O19"}


@outbound(GroupSigned, service="lab.order", permissions={"patients.read"})
async def request_tests(event: GroupSigned, patients: Patients) -> Sequence[Outgoing]:
    """检验申请：一组一条 OML^O21。"""
    return await _request(event.group, OrderKind.LAB, patients)


@outbound(GroupSigned, service="exam.order", permissions={"patients.read"})
async def request_examinations(event: GroupSigned, patients: Patients) -> Sequence[Outgoing]:
    """检查申请：一组一条 OMG^O19。"""
    return await _request(event.group, OrderKind.EXAM, patients)


@outbound(LineWithdrawn, service="lab.order", permissions={"patients.read"})
async def cancel_test(event: LineWithdrawn, patients: Patients) -> Sequence[Outgoing]:
    """撤回的检验申请：ORC-1 = CA。"""
    return await _cancel(event, OrderKind.LAB, patients)


@outbound(LineWithdrawn, service="exam.order", permissions={"patients.read"})
async def cancel_examination(event: LineWithdrawn, patients: Patients) -> Sequence[Outgoing]:
    """撤回的检查申请：ORC-1 = CA。"""
    return await _cancel(event, OrderKind.EXAM, patients)


async def _request(group: OrderGroup, kind: OrderKind, patients: Patients) -> Sequence[Outgoing]:
    lines = [line for line in group.lines if line.kind is kind]
    if not lines:
        return ()
    patient = await patients.get(group.patient)
    pv1: dict[int, Value] = {3: (group.department, "", "", group.campus)}
    segments = [*_head(patient, lines[0], pv1)]
    for number, line in enumerate(lines, 1):
        segments += _order(line, number, control="NW", group=group)
    return (_outgoing(kind, lines[0], segments),)


async def _cancel(event: LineWithdrawn, kind: OrderKind, patients: Patients) -> Sequence[Outgoing]:
    line = event.line
    if line.kind is not kind:
        return ()
    patient = await patients.get(line.patient)
    order: dict[int, Value] = {1: "CA", 2: str(line.id), 4: str(line.group)}
    order[9] = _stamp(event.withdrawn_at)
    item: Value = (line.item, line.name_zh, "L")
    segments = [*_head(patient, line, {}), ("ORC", order)]
    segments.append(("OBR", {1: "1", 2: str(line.id), 4: item}))
    return (_outgoing(kind, line, segments),)


def _outgoing(kind: OrderKind, line: OrderLine, segments: list[SegmentData]) -> Outgoing:
    return Outgoing(
        kind=MESSAGES[kind], campus=line.campus, key=str(line.patient), segments=tuple(segments)
    )


def _head(patient: Patient, line: OrderLine, pv1: dict[int, Value]) -> Sequence[SegmentData]:
    number = patient.local_number(line.campus) or str(patient.id)
    born = patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""
    pid: dict[int, Value] = {1: "1", 3: (number, "", "", line.campus, "PI"), 5: (patient.name,)}
    pid |= {7: born, 8: SEX[patient.sex]}
    return ("PID", pid), ("PV1", {1: "1", 2: "O", **pv1, 19: str(line.encounter)})


def _order(
    line: OrderLine, number: int, *, control: str, group: OrderGroup
) -> Sequence[SegmentData]:
    placer = str(line.id)
    orc: dict[int, Value] = {1: control, 2: placer, 4: str(group.id), 9: _stamp(group.signed_at)}
    orc[12] = group.author
    obr: dict[int, Value] = {1: str(number), 2: placer, 4: (line.item, line.name_zh, "L")}
    obr |= {16: group.author, 31: ("", group.indication) if group.indication else None}
    urgent: list[SegmentData] = [("TQ1", {1: "1", 9: "S"})] if line.is_urgent else []
    note: list[SegmentData] = [("NTE", {1: "1", 3: line.note})] if line.note else []
    return ("ORC", orc), *urgent, ("OBR", obr), *note


def _stamp(at: Instant) -> str:
    return at.astimezone(HOSPITAL_ZONE).strftime("%Y%m%d%H%M%S")


@document("C0004")
async def prescription(id: UUID, orders: Orders, records: Records) -> Sheet:
    """西药处方：一次签名的全部药品，未撤回的；诊断取自同次就诊的病历。"""
    group = await orders.group(OrderGroupId(id))
    notes = await records.for_encounter(group.encounter)
    diagnoses = tuple(_diagnosis(d) for note in notes for d in note.content.diagnoses)
    drugs = tuple(_drug(line) for line in group.lines if _is_prescribed(line))
    chapters = (Section("29548-5", diagnoses), Section("10160-0", drugs))
    return Sheet(
        id=group.id,
        set=group.id,
        version=1,
        patient=group.patient,
        encounter=group.encounter,
        campus=group.campus,
        department=group.department,
        author=group.author,
        signed_at=group.signed_at,
        sections=tuple(chapter for chapter in chapters if chapter.entries),
    )


def _is_prescribed(line: OrderLine) -> bool:
    return line.kind is OrderKind.DRUG and line.state is not LineState.WITHDRAWN


def _diagnosis(diagnosis: Diagnosis) -> Entry:
    said = Coded(diagnosis.icd10, diagnosis.name, ICD10)
    return Entry((Element("DE05.01.024.00", "疾病诊断编码", said),))


def _drug(line: OrderLine) -> Entry:
    found = [
        Element("DE08.50.022.00", "药物名称", Text(line.name_zh)),
        Element("DE06.00.135.00", "药物使用总剂量", Amount(Decimal(line.quantity), line.unit)),
    ]
    if line.spec:
        found.append(Element("DE08.50.043.00", "药物规格", Text(line.spec)))
    if line.dose is not None:
        found.append(Element("DE08.50.023.00", "药物使用次剂量", Amount(line.dose, line.dose_unit)))
    for code, name, value in (
        ("DE06.00.134.00", "药物使用途径代码", line.route),
        ("DE06.00.133.00", "药物使用频次代码", line.frequency),
    ):
        if value:
            found.append(Element(code, name, Coded(value, value)))
    return Entry(tuple(found))
