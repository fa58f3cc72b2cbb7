"""Reports as the other system tells them: in versions, for the right patient, never changed."""

from datetime import timedelta

from plugward.boards.lab.contract import (
    CriticalCleared,
    CriticalId,
    CriticalRaised,
    CriticalState,
    CriticalValue,
    Report,
    ReportIssued,
    ReportState,
    ReportWithdrawn,
    RequestState,
    Specimen,
    SpecimenCollected,
    SpecimenState,
    WithdrawReason,
)
from plugward.kernel import Settings, Work
from plugward.vocabulary import ReportId, SpecimenId

from ..contract import OutsideReport, Placed, PlacerUnknown, Progress, WrongPatient
from ..rules import CRITICAL, QUIET, content_hash
from ..tables import Number, Reader, criticals, numbers, readers, reports, requests
from .requesting import move

READERS_MAX = 1_000
OPEN = (CriticalState.RAISED, CriticalState.ESCALATED)
CLERK = WithdrawReason.CORRECTED_BY_ANALYSER


def take(work: Work, told: OutsideReport, our_number: str, settings: Settings) -> Report | None:
    """One report of one request. What was told before, under another message, changes nothing."""
    request = work.first(requests, Placed, placer=told.placer)
    if request is None:
        raise PlacerUnknown
    _same_patient(work, request, told, our_number)
    request = _begun(work, request, told)
    standing = work.first(reports, Report, specimen=_specimen_of(request), state=ReportState.ISSUED)
    if told.progress is Progress.WORKING:
        return None
    if told.progress is Progress.WRONG:
        if standing is not None:
            _withdraw(work, standing, told, replaced_by=None)
            move(work, request, RequestState.COLLECTED)
        return None
    if standing is not None and standing.results == told.results:
        return standing
    return _issue(work, request, told, standing, settings)


def _same_patient(work: Work, request: Placed, told: OutsideReport, our_number: str) -> None:
    """The number we sent must come back, and theirs must have meant this patient ever since."""
    if told.our_patient not in (our_number, str(request.patient)):
        raise WrongPatient(placer=told.placer)
    if not told.foreign_patient:
        return
    key = (request.campus, told.foreign_patient)
    known = work.get_or_none(numbers, Number, key)
    if known is None:
        link = Number(campus=request.campus, number=told.foreign_patient, patient=request.patient)
        work.insert(numbers, link)
    elif known.patient != request.patient:
        raise WrongPatient(placer=told.placer)


def _specimen_of(request: Placed) -> SpecimenId:
    return SpecimenId(request.id)  # one tube a request, as far as we are told


def _begun(work: Work, request: Placed, told: OutsideReport) -> Placed:
    """The first word of a request says that its tube is there."""
    if request.state is not RequestState.REQUESTED:
        return request
    specimen = Specimen(
        id=_specimen_of(request),
        barcode=told.barcode or request.placer,
        encounter=request.encounter,
        patient=request.patient,
        campus=request.campus,
        department=request.department,
        author=request.author,
        requests=(request.id,),
        title_zh=request.name_zh,
        title_en=request.name_en,
        container="",
        is_urgent=request.is_urgent,
        state=SpecimenState.COLLECTED,
        collected_by=told.source,
        collected_at=told.measured_at or work.now,
    )
    begun = move(work, request, RequestState.COLLECTED, specimen=specimen.id)
    work.publish(SpecimenCollected(specimen=specimen))
    return begun


def _issue(
    work: Work, request: Placed, told: OutsideReport, standing: Report | None, settings: Settings
) -> Report:
    specimen = _specimen_of(request)
    before = work.first(reports, Report, specimen=specimen, order_by="-version")
    if standing is not None:
        _withdraw(work, standing, told, replaced_by=told.id)
    report = Report(
        id=told.id,
        number=told.number or request.placer,
        version=before.version + 1 if before else 1,
        specimen=specimen,
        barcode=told.barcode or request.placer,
        encounter=request.encounter,
        patient=request.patient,
        campus=request.campus,
        department=request.department,
        author=request.author,
        requests=(request.id,),
        title_zh=request.name_zh,
        title_en=request.name_en,
        indication=request.indication,
        results=told.results,
        state=ReportState.ISSUED,
        collected_at=told.measured_at or work.now,
        received_at=None,
        entered_by=told.source,
        verified_by=told.verified_by or told.source,
        issued_at=work.now,
        content_hash="",
        replaces=before.id if before else None,
    )
    report = report.replace(content_hash=content_hash(report))
    critical = sum(r.flag in CRITICAL for r in report.results)
    abnormal = sum(r.flag not in QUIET for r in report.results)
    work.insert(reports, report, abnormal=abnormal, critical=critical)
    work.publish(ReportIssued(report=report))
    _raise_criticals(work, report, settings)
    if request.state is RequestState.COLLECTED:
        move(work, request, RequestState.REPORTED)
    return report


def _withdraw(
    work: Work, report: Report, told: OutsideReport, *, replaced_by: ReportId | None
) -> None:
    withdrawn = report.replace(
        state=ReportState.WITHDRAWN,
        replaced_by=replaced_by,
        withdrawn_at=work.now,
        withdrawn_by=told.source,
        withdrawn_because=CLERK,
    )
    work.update(reports, before=report, after=withdrawn)
    seen = work.find(readers, Reader, report=report.id, order_by="first_at", limit=READERS_MAX)
    work.set_where(readers, readers.c.report == report.id, must_notice=True)
    work.publish(ReportWithdrawn(report=withdrawn, readers=tuple(r.reader for r in seen)))
    for critical in work.find(criticals, CriticalValue, report=report.id, state=OPEN, limit=200):
        cleared = critical.replace(state=CriticalState.CLEARED)
        work.update(criticals, before=critical, after=cleared)
        work.publish(CriticalCleared(critical=cleared))


def _raise_criticals(work: Work, report: Report, settings: Settings) -> None:
    for result in report.results:
        if result.flag not in CRITICAL:
            continue
        critical = CriticalValue(
            id=CriticalId(work.derive("critical", report.id, result.item)),
            report=report.id,
            specimen=report.specimen,
            encounter=report.encounter,
            patient=report.patient,
            campus=report.campus,
            department=report.department,
            author=report.author,
            item=result.item,
            name_zh=result.name_zh,
            name_en=result.name_en,
            value=result.value,
            unit=result.unit,
            flag=result.flag,
            state=CriticalState.RAISED,
            raised_at=work.now,
            due_at=work.now + timedelta(minutes=settings["critical_minutes"]),
        )
        work.insert(criticals, critical)
        work.publish(CriticalRaised(critical=critical))
