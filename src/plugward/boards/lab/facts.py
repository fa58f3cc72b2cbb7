"""What the data centre learns from the laboratory: turnaround, versions, critical values."""

from datetime import date

from plugward.kernel import Message, Plain
from plugward.kernel.facts import fact
from plugward.kit.time import Instant, hospital_date
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
    ReportId,
    SpecimenId,
)

from .contract import (
    CriticalAcknowledged,
    CriticalEscalated,
    CriticalId,
    CriticalRaised,
    CriticalState,
    CriticalValue,
    Flag,
    RejectReason,
    ReportIssued,
    ReportWithdrawn,
    SpecimenRejected,
)


class IssuedReport(Message):
    """One version of a report 检验报告; turnaround from the needle to the report, in minutes."""

    report: ReportId
    day: date
    campus: CampusCode
    department: DepartmentCode
    encounter: EncounterId
    specimen: SpecimenId
    panel: Plain  # what was asked for, as the report is titled
    version: int
    tests: int
    abnormal: int
    collected_at: Instant
    received_at: Instant | None
    issued_at: Instant
    turnaround_min: int


class WithdrawnReport(Message):
    """A report that was withdrawn 报告撤回, and by how many it had been read."""

    report: ReportId
    day: date
    campus: CampusCode
    because: Plain
    readers: int


class RejectedSpecimen(Message):
    """A tube that was no good 不合格标本."""

    specimen: SpecimenId
    day: date
    campus: CampusCode
    because: RejectReason


class CriticalNotice(Message):
    """A critical value 危急值 and how fast it was acknowledged."""

    critical: CriticalId
    day: date
    campus: CampusCode
    department: DepartmentCode
    item: Plain
    flag: Flag
    state: CriticalState
    level: int
    raised_at: Instant
    escalated_at: Instant | None
    acknowledged_at: Instant | None
    acknowledged_s: int | None


@fact(ReportIssued, table="lab_reports", key=("report",))
def issued_report(event: ReportIssued) -> IssuedReport:
    report = event.report
    took = report.issued_at - report.collected_at
    return IssuedReport(
        report=report.id,
        day=hospital_date(report.issued_at),
        campus=report.campus,
        department=report.department,
        encounter=report.encounter,
        specimen=report.specimen,
        panel=report.title_zh,
        version=report.version,
        tests=len(report.results),
        abnormal=sum(r.flag not in (Flag.NORMAL, Flag.NOT_JUDGED) for r in report.results),
        collected_at=report.collected_at,
        received_at=report.received_at,
        issued_at=report.issued_at,
        turnaround_min=int(took.total_seconds() // 60),
    )


@fact(ReportWithdrawn, table="lab_withdrawals", key=("report",))
def withdrawn_report(event: ReportWithdrawn) -> WithdrawnReport | None:
    report = event.report
    if report.withdrawn_at is None or report.withdrawn_because is None:
        return None
    return WithdrawnReport(
        report=report.id,
        day=hospital_date(report.withdrawn_at),
        campus=report.campus,
        because=report.withdrawn_because.value,
        readers=len(event.readers),
    )


@fact(SpecimenRejected, table="lab_rejections", key=("specimen",))
def rejected_specimen(event: SpecimenRejected) -> RejectedSpecimen | None:
    specimen = event.specimen
    if specimen.rejected_because is None:
        return None
    return RejectedSpecimen(
        specimen=specimen.id,
        day=hospital_date(specimen.collected_at),
        campus=specimen.campus,
        because=specimen.rejected_because,
    )


@fact(CriticalRaised, table="lab_criticals", key=("critical",))
def raised_critical(event: CriticalRaised) -> CriticalNotice:
    return _notice(event.critical)


@fact(CriticalEscalated, table="lab_criticals", key=("critical",))
def escalated_critical(event: CriticalEscalated) -> CriticalNotice:
    return _notice(event.critical)


@fact(CriticalAcknowledged, table="lab_criticals", key=("critical",))
def acknowledged_critical(event: CriticalAcknowledged) -> CriticalNotice:
    return _notice(event.critical)


def _notice(critical: CriticalValue) -> CriticalNotice:
    at = critical.acknowledged_at
    return CriticalNotice(
        critical=critical.id,
        day=hospital_date(critical.raised_at),
        campus=critical.campus,
        department=critical.department,
        item=critical.item,
        flag=critical.flag,
        state=critical.state,
        level=critical.level,
        raised_at=critical.raised_at,
        escalated_at=critical.escalated_at,
        acknowledged_at=at,
        acknowledged_s=None if at is None else int((at - critical.raised_at).total_seconds()),
    )
