"""Reporting 报告: issue, withdraw, issue anew. What a report says never changes (R1)."""

from typing import NamedTuple

from plugward.kernel import Reading, Settings, Work
from plugward.kit.time import hospital_date
from plugward.vocabulary import ReportId, SpecimenId

from ..contract import (
    Draft,
    Flag,
    NewResult,
    NoResults,
    OwnResults,
    Report,
    ReportIssued,
    ReportNotCurrent,
    ReportNotFound,
    ReportState,
    ReportWithdrawn,
    RequestState,
    Result,
    ResultsMissing,
    SameTube,
    Specimen,
    SpecimenNotFound,
    SpecimenState,
    SwapTubes,
    TubesDiffer,
    WithdrawReason,
)
from ..rules import CRITICAL_FLAGS, REPORT_LIFE, SPECIMEN_LIFE, content_hash, in_order
from ..tables import Reader, drafts, readers, reports, specimens
from . import criticals
from .drawing import move_request, requests_in
from .resulting import judge, missing_items, standing_report, tests_in

READERS_MAX = 1_000


class Verdict(NamedTuple):
    """Who stands for a report, and the id it is issued under."""

    id: ReportId
    by: str


def verify(work: Work, id: SpecimenId, report: ReportId, settings: Settings) -> Report:
    """A person stands for these results: the report is issued, or a corrected version of it."""
    specimen = work.get(specimens, Specimen, id, missing=SpecimenNotFound)
    draft = work.get_or_none(drafts, Draft, id)
    if draft is None:
        raise NoResults
    missing = missing_items(draft, tests_in(work, specimen))
    if missing:
        raise ResultsMissing(items="、".join(missing)[:400])
    if settings["verify_by_other"] and draft.source == work.actor.id:
        raise OwnResults
    return issue(work, specimen, draft, Verdict(report, work.actor.id), settings)


def issue(
    work: Work, specimen: Specimen, draft: Draft, verdict: Verdict, settings: Settings
) -> Report:
    """Issue the next version; one that stands is withdrawn in the same step."""
    standing = standing_report(work, specimen.id)
    before = standing or _last(work, specimen.id)
    if standing is not None:
        _withdraw(
            work, standing, draft.reason or WithdrawReason.WRONG_RESULT, replaced_by=verdict.id
        )
    report = _next_version(work, specimen, before, draft, verdict)
    _insert(work, report, settings)
    work.delete_where(drafts, drafts.c.specimen == specimen.id)
    if specimen.state is not SpecimenState.REPORTED:
        SPECIMEN_LIFE.check(specimen.state, SpecimenState.REPORTED)
        work.update(
            specimens, before=specimen, after=specimen.replace(state=SpecimenState.REPORTED)
        )
    for request in requests_in(work, specimen):
        if request.state is RequestState.COLLECTED:
            move_request(work, request, RequestState.REPORTED, specimen=specimen)
    return report


def withdraw(work: Work, id: ReportId, because: WithdrawReason) -> Report:
    """Withdraw without a new version: the tube is measured again."""
    report = _current(work, id)
    withdrawn = _withdraw(work, report, because, replaced_by=None)
    specimen = work.get(specimens, Specimen, report.specimen)
    SPECIMEN_LIFE.check(specimen.state, SpecimenState.RECEIVED)
    work.update(specimens, before=specimen, after=specimen.replace(state=SpecimenState.RECEIVED))
    work.delete_where(drafts, drafts.c.specimen == specimen.id)
    for request in requests_in(work, specimen):
        if request.state is RequestState.REPORTED:
            move_request(work, request, RequestState.COLLECTED, specimen=specimen)
    return withdrawn


def swap(work: Work, request: SwapTubes, settings: Settings) -> tuple[Report, ...]:
    """Each report gets the other tube's results, judged for the patient they belong to."""
    first, second = _current(work, request.first), _current(work, request.second)
    if first.specimen == second.specimen:
        raise SameTube
    if {r.item for r in first.results} != {r.item for r in second.results}:
        raise TubesDiffer
    because = WithdrawReason.WRONG_TUBE
    _withdraw(work, first, because, replaced_by=request.new_first)
    _withdraw(work, second, because, replaced_by=request.new_second)
    return (
        _issue_with(work, first, second.results, request.new_first, settings),
        _issue_with(work, second, first.results, request.new_second, settings),
    )


def _issue_with(
    work: Work, before: Report, results: tuple[Result, ...], id: ReportId, settings: Settings
) -> Report:
    specimen = work.get(specimens, Specimen, before.specimen)
    values = tuple(NewResult(item=r.item, value=r.value) for r in results)
    tests = tests_in(work, specimen)
    draft = Draft(
        specimen=specimen.id,
        results=in_order(judge(work, specimen, values, tests), tests),
        source=before.entered_by,
        entered_at=work.now,
    )
    report = _next_version(work, specimen, before, draft, Verdict(id, work.actor.id))
    _insert(work, report, settings)
    work.delete_where(drafts, drafts.c.specimen == specimen.id)
    return report


def _next_version(
    work: Work, specimen: Specimen, before: Report | None, draft: Draft, verdict: Verdict
) -> Report:
    year = f"{hospital_date(work.now):%y}"
    number = before.number if before else _number(work, specimen.campus, year)
    asked = requests_in(work, specimen)
    report = Report(
        id=verdict.id,
        number=number,
        version=before.version + 1 if before else 1,
        specimen=specimen.id,
        barcode=specimen.barcode,
        encounter=specimen.encounter,
        patient=specimen.patient,
        campus=specimen.campus,
        department=specimen.department,
        author=specimen.author,
        requests=specimen.requests,
        title_zh=specimen.title_zh,
        title_en=specimen.title_en,
        indication=asked[0].indication if asked else "",
        results=draft.results,
        state=ReportState.ISSUED,
        collected_at=specimen.collected_at,
        received_at=specimen.received_at,
        entered_by=draft.source,
        verified_by=verdict.by,
        issued_at=work.now,
        content_hash="",
        replaces=before.id if before else None,
    )
    return report.replace(content_hash=content_hash(report))


def _number(work: Work, campus: str, year: str) -> str:
    return f"{campus}R{year}{work.next_number(f'report:{campus}:{year}'):07d}"


def _insert(work: Work, report: Report, settings: Settings) -> None:
    critical = sum(r.flag in CRITICAL_FLAGS for r in report.results)
    normal = sum(r.flag in (Flag.NORMAL, Flag.NOT_JUDGED) for r in report.results)
    abnormal = len(report.results) - normal
    work.insert(reports, report, abnormal=abnormal, critical=critical)
    work.publish(ReportIssued(report=report))
    criticals.raise_for(work, report, settings)


def _withdraw(
    work: Work, report: Report, because: WithdrawReason, *, replaced_by: ReportId | None
) -> Report:
    REPORT_LIFE.check(report.state, ReportState.WITHDRAWN)
    withdrawn = report.replace(
        state=ReportState.WITHDRAWN,
        replaced_by=replaced_by,
        withdrawn_at=work.now,
        withdrawn_by=work.actor.id,
        withdrawn_because=because,
    )
    work.update(reports, before=report, after=withdrawn)
    seen = work.find(readers, Reader, report=report.id, order_by="first_at", limit=READERS_MAX)
    work.set_where(readers, readers.c.report == report.id, must_notice=True)
    work.publish(ReportWithdrawn(report=withdrawn, readers=tuple(r.reader for r in seen)))
    criticals.clear_of(work, withdrawn)
    return withdrawn


def _current(work: Work, id: ReportId) -> Report:
    report = work.get(reports, Report, id, missing=ReportNotFound)
    if not report.is_current:
        raise ReportNotCurrent
    return report


def _last(read: Reading, specimen: SpecimenId) -> Report | None:
    """The latest version of a specimen's report, whatever became of it."""
    return read.first(reports, Report, specimen=specimen, order_by="-version")
