"""ORU 检验结果消息: what analysers and other laboratories' systems report, and what we report.

In: results by barcode or order line. Out: every issued version; a later one is marked corrected,
and a report withdrawn without a successor is sent as wrong. A report in force is the shared
document C0007 检验报告.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from uuid import UUID

from plugward.boards.patients.contract import Patient, Patients
from plugward.commons.documents.contract import NotShareable
from plugward.kernel import Refusal
from plugward.kernel.documents import (
    Amount,
    Coded,
    Element,
    Entry,
    Moment,
    Section,
    Sheet,
    Text,
    document,
)
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
from plugward.kit.ids import derive
from plugward.kit.time import HOSPITAL_ZONE, Instant, hospital_date
from plugward.vocabulary import OrderLineId, ReportId, Sex

from .contract import (
    Flag,
    ItemUnknown,
    Lab,
    NewResult,
    OutsideResults,
    Report,
    ReportIssued,
    ReportWithdrawn,
    Result,
    ResultNotANumber,
    ResultNotAsked,
    ResultTwice,
    SpecimenNotFound,
)

FINAL = {"F": True, "C": True, "P": False, "R": False, "S": False, "I": False}
"""HL7 tables 0085 and 0123: final and corrected, and what is not finished."""
NOT_OBTAINED = ("X", "N", "D")
"""OBX-11: there is no value to take."""

JUDGED = {
    Flag.NORMAL: ("1", "正常"),
    Flag.LOW: ("2", "异常"),
    Flag.HIGH: ("2", "异常"),
    Flag.CRITICAL_LOW: ("2", "异常"),
    Flag.CRITICAL_HIGH: ("2", "异常"),
    Flag.ABNORMAL: ("2", "异常"),
}
"""检验结果代码 of a shared document; a value that could not be judged has none."""

WRONG_ITEM: dict[type[Refusal], tuple[str, Why, str]] = {
    ItemUnknown: ("3", Why.NOT_IN_TABLE, "检验项目不在目录中"),
    ResultNotAsked: ("3", Why.UNKNOWN_KEY, "该标本没有申请此项目"),
    ResultNotANumber: ("5", Why.WRONG_TYPE, "结果须为数值"),
    ResultTwice: ("3", Why.DUPLICATE_KEY, "项目结果重复"),
}


@inbound(
    "ORU^R01",
    permissions={"lab.interface"},
    blame={SpecimenNotFound: ("OBR-2", Why.UNKNOWN_KEY)},
)
async def take_results(message: Received, lab: Lab) -> None:
    """检验结果：每个 OBR 一份；项目或数值有误时指明是第几个 OBX。"""
    groups = message.groups("OBR")
    if not groups:
        raise Rejected("OBR", Why.SEQUENCE, "结果消息没有 OBR")
    for number, group in enumerate(groups):
        places = _places(message, group)
        try:
            await lab.outside(_results(message, group, places, number))
        except (ItemUnknown, ResultNotAsked, ResultNotANumber, ResultTwice) as refusal:
            field, why, words = WRONG_ITEM[type(refusal)]
            place = places.get(refusal.item, group["OBR"][0])
            raise Rejected(f"{place}-{field}", why, words) from refusal


def _places(message: Received, group: Group) -> dict[str, str]:
    """Item → the OBX it stands in, leaving out values that could not be obtained."""
    return {
        message.need(f"{place}-3.1", "缺少检验项目"): place
        for place in group.get("OBX", ())
        if message.text(f"{place}-11") not in NOT_OBTAINED
    }


def _results(
    message: Received, group: Group, places: dict[str, str], number: int
) -> OutsideResults:
    [obr] = group["OBR"]
    values = tuple(
        NewResult(item=item, value=_value(message, place)) for item, place in places.items()
    )
    if not values:
        raise Rejected(f"{obr}-4", Why.MISSING, "没有任何结果")
    barcode = message.text(f"{group['SPM'][0]}-2.1") if "SPM" in group else ""
    verifier = next((message.text(f"{place}-16.2") for place in places.values()), "")
    return OutsideResults(
        id=message.derive("results", number),
        source=message.sender,
        results=values,
        barcode=barcode,
        line=None if barcode else _line(message, f"{obr}-2.1"),
        is_final=message.choice(f"{obr}-25", FINAL, False),
        verified_by=verifier,
        measured_at=message.instant(f"{obr}-22"),
    )


def _value(message: Received, place: str) -> str:
    value = message.whole(f"{place}-5")
    if not value:
        raise Rejected(f"{place}-5", Why.MISSING, "缺少结果值")
    return value


def _line(message: Received, place: str) -> OrderLineId:
    text = message.need(place, "缺少申请号或条码")
    try:
        return OrderLineId(UUID(text))
    except ValueError:
        raise Rejected(place, Why.UNKNOWN_KEY, "没有该申请号") from None


# ── out ──────────────────────────────────────────────────────────────────────────────────────
SEX = {Sex.MALE: "M", Sex.FEMALE: "F", Sex.OTHER: "O", Sex.UNKNOWN: "U"}


@outbound(ReportIssued, service="lab.report", permissions={"patients.read"})
async def send_report(event: ReportIssued, patients: Patients) -> Sequence[Outgoing]:
    """检验报告：第 1 版为 F，更正版为 C。"""
    report = event.report
    status = "F" if report.version == 1 else "C"
    return (_report_message(report, await patients.get(report.patient), status, status),)


@outbound(ReportWithdrawn, service="lab.report", permissions={"patients.read"})
async def send_withdrawal(event: ReportWithdrawn, patients: Patients) -> Sequence[Outgoing]:
    """撤回而无新版：原结果有误（OBX-11 = W）；有新版时由新版更正。"""
    report = event.report
    if report.replaced_by is not None:
        return ()
    return (_report_message(report, await patients.get(report.patient), "X", "W"),)


def _report_message(report: Report, patient: Patient, of_report: str, of_result: str) -> Outgoing:
    number = patient.local_number(report.campus) or str(patient.id)
    born = patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""
    placer = str(report.requests[0]) if report.requests else ""
    issued = _stamp(report.withdrawn_at or report.issued_at)
    pid: dict[int, Value] = {1: "1", 3: (number, "", "", report.campus, "PI"), 5: (patient.name,)}
    pid |= {7: born, 8: SEX[patient.sex]}
    obr: dict[int, Value] = {1: "1", 2: placer, 3: report.number}
    obr |= {4: (report.number, report.title_zh, "L"), 7: _stamp(report.collected_at)}
    obr |= {16: report.author, 22: issued, 25: of_report}
    segments: list[SegmentData] = [
        ("PID", pid),
        ("PV1", {1: "1", 2: "O", 3: (report.department, "", "", report.campus)}),
        ("ORC", {1: "RE", 2: placer, 3: report.number}),
        ("OBR", obr),
        *(_observed(n, r, report, of_result) for n, r in enumerate(report.results, 1)),
        ("SPM", {1: "1", 2: (report.barcode,), 17: _stamp(report.collected_at)}),
    ]
    return Outgoing(
        kind="ORU^R01^ORU_R01",
        campus=report.campus,
        key=str(report.patient),
        segments=tuple(segments),
    )


def _observed(number: int, result: Result, report: Report, status: str) -> SegmentData:
    low = "" if result.low is None else str(result.low)
    high = "" if result.high is None else str(result.high)
    obx: dict[int, Value] = {1: str(number), 2: "NM" if result.unit and _is_plain(result) else "ST"}
    obx |= {3: (result.loinc, result.name_en, "LN", result.item, result.name_zh, "L")}
    obx |= {5: result.value, 6: result.unit, 7: f"{low}-{high}" if low or high else ""}
    obx |= {8: "" if result.flag is Flag.NOT_JUDGED else result.flag.value, 11: status}
    obx |= {14: _stamp(report.collected_at), 16: report.verified_by}
    return ("OBX", obx)


def _is_plain(result: Result) -> bool:
    """A number without ``<`` or ``>``: only such a value may be sent as NM."""
    return result.value.replace(".", "", 1).removeprefix("-").isdigit()


def _stamp(at: Instant) -> str:
    return at.astimezone(HOSPITAL_ZONE).strftime("%Y%m%d%H%M%S")


# ── the shared document ─────────────────────────────────────────────────────────────────────
@document("C0007")
async def laboratory_report(id: UUID, lab: Lab) -> Sheet:
    """检验报告：一个有效版本；更正指向它所替代的版本。已撤回的版本不能签出。"""
    report = await lab.report(ReportId(id))
    if not report.is_current:
        raise NotShareable(at="report", words="该版本已撤回")
    return Sheet(
        id=report.id,
        set=derive(report.specimen, "report"),
        version=report.version,
        patient=report.patient,
        encounter=report.encounter,
        campus=report.campus,
        department=report.department,
        author=report.entered_by,
        verifier=report.verified_by,
        signed_at=report.issued_at,
        sections=(Section("30954-2", (_particulars(report), *map(_result_entry, report.results))),),
        replaces=report.replaces,
    )


def _particulars(report: Report) -> Entry:
    found = [
        Element("DE01.00.018.00", "检验报告单编号", Text(report.number)),
        Element("DE01.00.003.00", "检验标本号", Text(report.barcode)),
        Element("DE04.50.137.00", "标本采样日期时间", Moment(_second(report.collected_at))),
        Element("DE04.50.133.00", "检验报告日期", Moment(hospital_date(report.issued_at))),
    ]
    if report.received_at is not None:
        received = Moment(_second(report.received_at))
        found.append(Element("DE04.50.141.00", "接收标本日期时间", received))
    return Entry(tuple(found))


def _result_entry(result: Result) -> Entry:
    """The value as text, as it was judged; a number also as a quantity with its limits."""
    said = f"{result.name_zh} {result.value} {result.unit}".strip()
    found = [
        Element("DE04.30.019.00", "检验项目代码", Text(result.item)),
        Element("DE04.50.130.00", "检验报告结果", Text(said)),
    ]
    number = _number(result.value)
    if number is not None:
        quantity = Amount(number, result.unit, result.low, result.high)
        found.append(Element("DE04.30.015.00", "检验定量结果", quantity))
    if result.flag in JUDGED:
        code, name = JUDGED[result.flag]
        found.append(Element("DE04.30.017.00", "检验结果代码", Coded(code, name)))
    return Entry(tuple(found))


def _number(text: str) -> Decimal | None:
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _second(at: Instant) -> Instant:
    return at.replace(microsecond=0)
