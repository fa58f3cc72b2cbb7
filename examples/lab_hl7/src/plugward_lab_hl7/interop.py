"""OML out, ORU in 申请与结果: our requests in the other system's codes, its reports in ours.

Its quirks stand here and nowhere else: it knows patients by its own numbers and gives ours back in
PID-4, its item codes are its own, it writes GB18030 (the hub's business), and it says what it
judged: value, unit, range and flag are taken as they came.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from plugward.boards.lab.contract import Flag, Result
from plugward.boards.patients.contract import Patient, Patients
from plugward.kernel.interop import (
    Group,
    Outgoing,
    Received,
    Rejected,
    SegmentData,
    Value,
    Why,
    inbound,
    outbound,
)
from plugward.kit.time import HOSPITAL_ZONE, Instant
from plugward.vocabulary import PatientId, ReportId, Sex

from .contract import (
    LabHl7,
    OutsideReport,
    Placed,
    PlacerUnknown,
    Progress,
    TestCancelled,
    TestsPlaced,
    WrongPatient,
)

SEX = {Sex.MALE: "M", Sex.FEMALE: "F", Sex.OTHER: "O", Sex.UNKNOWN: "U"}
PROGRESS = {
    "I": Progress.WORKING,
    "P": Progress.WORKING,
    "S": Progress.WORKING,
    "F": Progress.FINAL,
    "C": Progress.CORRECTED,
    "X": Progress.WRONG,
}
FLAGS = {flag.value: flag for flag in Flag} | {
    "↑": Flag.HIGH,
    "↓": Flag.LOW,
    "H": Flag.HIGH,
    "L": Flag.LOW,
}


# ── out ──────────────────────────────────────────────────────────────────────────────────────
@outbound(TestsPlaced, service="lab_hl7.order", permissions={"patients.read"})
async def request_tests(event: TestsPlaced, patients: Patients) -> Sequence[Outgoing]:
    """检验申请：一组一条 OML^O21，编码为对方编码。"""
    patient = await patients.get(event.patient)
    segments = [*_head(patient, event.requests[0])]
    for number, request in enumerate(event.requests, 1):
        segments += _order(request, number, control="NW")
    return (_outgoing(event.patient, event.campus, segments),)


@outbound(TestCancelled, service="lab_hl7.order", permissions={"patients.read"})
async def cancel_test(event: TestCancelled, patients: Patients) -> Sequence[Outgoing]:
    """取消申请：ORC-1 = CA。"""
    request = event.request
    patient = await patients.get(request.patient)
    segments = [*_head(patient, request), *_order(request, 1, control="CA")]
    return (_outgoing(request.patient, request.campus, segments),)


def _outgoing(patient: PatientId, campus: str, segments: list[SegmentData]) -> Outgoing:
    return Outgoing(
        kind="OML^O21^OML_O21", campus=campus, key=str(patient), segments=tuple(segments)
    )


def _head(patient: Patient, request: Placed) -> Sequence[SegmentData]:
    number = patient.local_number(request.campus) or str(request.patient)
    born = patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""
    pid: dict[int, Value] = {1: "1", 3: (number, "", "", request.campus, "PI"), 5: (patient.name,)}
    pid |= {7: born, 8: SEX[patient.sex]}
    pv1: dict[int, Value] = {1: "1", 2: "O", 3: (request.department, "", "", request.campus)}
    return ("PID", pid), ("PV1", pv1)


def _order(request: Placed, number: int, *, control: str) -> Sequence[SegmentData]:
    orc: dict[int, Value] = {1: control, 2: request.placer, 9: _stamp(request.signed_at)}
    obr: dict[int, Value] = {1: str(number), 2: request.placer}
    obr |= {4: (request.code, request.name_zh, "99LIS"), 31: ("", request.indication)}
    urgent: list[SegmentData] = [("TQ1", {1: "1", 9: "S"})] if request.is_urgent else []
    return ("ORC", orc), *urgent, ("OBR", obr)


def _stamp(at: Instant) -> str:
    return at.astimezone(HOSPITAL_ZONE).strftime("%Y%m%d%H%M%S")


# ── in ───────────────────────────────────────────────────────────────────────────────────────
@inbound(
    "ORU^R01",
    permissions={"lab_hl7.results", "patients.read"},
    blame={PlacerUnknown: ("OBR-2", Why.UNKNOWN_KEY), WrongPatient: ("PID-4", Why.UNKNOWN_KEY)},
)
async def take_reports(message: Received, lab: LabHl7) -> None:
    """检验结果：每个 OBR 一份报告。"""
    groups = message.groups("OBR")
    if not groups:
        raise Rejected("OBR", Why.SEQUENCE, "结果消息没有 OBR")
    for number, group in enumerate(groups):
        await lab.take(_report(message, group, number))


def _report(message: Received, group: Group, number: int) -> OutsideReport:
    [obr] = group["OBR"]
    progress = message.choice(f"{obr}-25", PROGRESS)
    results = tuple(_result(message, place) for place in group.get("OBX", ()))
    if not results and progress in (Progress.FINAL, Progress.CORRECTED):
        raise Rejected(f"{obr}-4", Why.MISSING, "没有任何结果")
    first = next(iter(group.get("OBX", ())), "")
    return OutsideReport(
        id=ReportId(message.derive("report", number)),
        placer=message.need(f"{obr}-2.1", "缺少申请号"),
        number=message.text(f"{obr}-3.1"),
        barcode=message.text(f"{group['SPM'][0]}-2.1") if "SPM" in group else "",
        foreign_patient=message.text("PID-3.1"),
        our_patient=message.need("PID-4.1", "缺少本院患者号"),
        progress=progress,
        results=results,
        verified_by=message.text(f"{first}-16.2") if first else "",
        measured_at=message.instant(f"{obr}-7"),
        source=message.sender,
    )


def _result(message: Received, place: str) -> Result:
    low, high = _range(message.text(f"{place}-7"))
    value = message.whole(f"{place}-5")
    if not value:
        raise Rejected(f"{place}-5", Why.MISSING, "缺少结果值")
    return Result(
        item=message.need(f"{place}-3.1", "缺少检验项目"),
        value=value,
        name_zh=message.text(f"{place}-3.2"),
        name_en=message.text(f"{place}-3.5"),
        loinc="",
        unit=message.text(f"{place}-6.1"),
        low=low,
        high=high,
        flag=message.choice(f"{place}-8", FLAGS, Flag.NOT_JUDGED),
    )


def _range(text: str) -> tuple[Decimal | None, Decimal | None]:
    """``0-30``, ``<30``, ``>5``, or words nobody can calculate with."""
    low, dash, high = text.partition("-")
    if text[:1] in "<≤":
        low, high = "", text[1:]
    elif text[:1] in ">≥":
        low, high = text[1:], ""
    elif not dash:
        return None, None
    return _number(low), _number(high)


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text.strip()) if text.strip() else None
    except InvalidOperation:
        return None
