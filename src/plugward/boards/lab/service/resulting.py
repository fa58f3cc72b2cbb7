"""Resulting 结果: what is measured in a tube, by hand or by message, until somebody verifies it."""

from sqlalchemy import func, select

from plugward.kernel import Reading, Work
from plugward.vocabulary import Sex, SpecimenId

from ..contract import (
    BenchView,
    Draft,
    LabRequest,
    NewResult,
    OutsideResults,
    ReasonNeeded,
    Report,
    ReportState,
    Result,
    ResultNotAsked,
    ResultTwice,
    Specimen,
    SpecimenNotFound,
    SpecimenState,
    Test,
    WithdrawReason,
)
from ..rules import SPECIMEN_LIFE, in_order, judged, merged, names_item
from ..tables import drafts, reports, requests, specimens
from .catalogue import Catalogue, subjects_of
from .drawing import by_barcode, received, requests_in, requests_in_each

LIST_MAX = 200


def worklist(read: Reading, campus: str, state: SpecimenState, limit: int) -> tuple[BenchView, ...]:
    found = read.find(
        specimens,
        Specimen,
        campus=campus,
        state=state,
        order_by=("-is_urgent", "collected_at", "id"),
        limit=max(1, min(limit, LIST_MAX)),
    )
    return bench_views(read, found)


def counted(read: Reading, campus: str) -> dict[SpecimenState, int]:
    """How many specimens are in each state that waits for somebody."""
    waits = (SpecimenState.COLLECTED, SpecimenState.RECEIVED, SpecimenState.RESULTED)
    rows = read.rows(
        select(specimens.c.state, func.count().label("many"))
        .where(
            specimens.c.campus == campus,
            specimens.c.state.in_(waits),
            *read.visible(specimens),
        )
        .group_by(specimens.c.state)
        .limit(len(waits))
    )
    return {row.state: row.many for row in rows}


def bench_views(read: Reading, found: tuple[Specimen, ...]) -> tuple[BenchView, ...]:
    """Specimens as the technician sees them, in a fixed number of queries."""
    if not found:
        return ()
    asked = requests_in_each(read, found)
    catalogue = Catalogue(read, (r for tube in asked.values() for r in tube))
    people = subjects_of(read, (s.patient for s in found))
    ids = tuple(s.id for s in found)
    written = {d.specimen: d for d in read.find(drafts, Draft, specimen=ids, limit=LIST_MAX)}
    standing = {
        r.specimen: r.id
        for r in read.find(reports, Report, specimen=ids, state=ReportState.ISSUED, limit=LIST_MAX)
    }
    return tuple(
        BenchView(
            specimen=s,
            subject=people.get(s.patient),
            tests=catalogue.all_tests(asked[s.id]),
            draft=written.get(s.id),
            report=standing.get(s.id),
        )
        for s in found
    )


def tests_in(read: Reading, specimen: Specimen) -> tuple[Test, ...]:
    """What is to be measured in one tube."""
    asked = requests_in(read, specimen)
    return Catalogue(read, asked).all_tests(asked)


def enter(
    work: Work,
    specimen: Specimen,
    new: tuple[NewResult, ...],
    reason: WithdrawReason | None,
    source: str,
) -> Draft:
    """Add results to what was entered. For a reported specimen they are a correction."""
    if specimen.state is SpecimenState.REPORTED:
        if reason is None:
            raise ReasonNeeded
    else:
        SPECIMEN_LIFE.check(specimen.state, SpecimenState.RESULTED)
        work.update(
            specimens, before=specimen, after=specimen.replace(state=SpecimenState.RESULTED)
        )
    tests = tests_in(work, specimen)
    results = judge(work, specimen, new, tests)
    draft = Draft(
        specimen=specimen.id,
        results=in_order(merged(_earlier(work, specimen), results), tests),
        source=source,
        entered_at=work.now,
        reason=reason,
    )
    work.save_copy(drafts, draft, campus=specimen.campus)
    return draft


def judge(
    read: Reading, specimen: Specimen, new: tuple[NewResult, ...], tests: tuple[Test, ...]
) -> tuple[Result, ...]:
    """Values with the flags they have for this patient."""
    subject = subjects_of(read, (specimen.patient,)).get(specimen.patient)
    sex = subject.sex if subject else Sex.UNKNOWN
    results: dict[str, Result] = {}
    for value in new:
        test = next((t for t in tests if names_item(t, value.item)), None)
        if test is None:
            raise ResultNotAsked(item=value.item)
        if test.item in results:
            raise ResultTwice(item=value.item)
        results[test.item] = judged(value, test, sex)
    return tuple(results.values())


def _earlier(read: Reading, specimen: Specimen) -> tuple[Result, ...]:
    """What new results build on: an unverified draft, else the report that stands."""
    draft = read.get_or_none(drafts, Draft, specimen.id)
    if draft is not None:
        return draft.results
    standing = standing_report(read, specimen.id)
    return standing.results if standing else ()


def standing_report(read: Reading, specimen: SpecimenId) -> Report | None:
    """The version of a specimen's report that is in force, if there is one."""
    return read.first(reports, Report, specimen=specimen, state=ReportState.ISSUED)


def missing_items(draft: Draft, tests: tuple[Test, ...]) -> tuple[str, ...]:
    there = {result.item for result in draft.results}
    return tuple(test.name_zh for test in tests if test.item not in there)


def outside(work: Work, request: OutsideResults) -> tuple[Specimen, Draft | None]:
    """Results by message become a draft; None if they say what the report says already."""
    specimen = _meant(work, request)
    if specimen.state is SpecimenState.COLLECTED:  # it is being measured, so it has arrived
        specimen = received(work, specimen)
    if specimen.state is not SpecimenState.REPORTED:
        draft = enter(work, specimen, request.results, None, request.source)
        return work.get(specimens, Specimen, specimen.id), draft
    if _says_what_stands(work, specimen, request.results):
        return specimen, None
    because = WithdrawReason.CORRECTED_BY_ANALYSER
    return specimen, enter(work, specimen, request.results, because, request.source)


def _says_what_stands(read: Reading, specimen: Specimen, new: tuple[NewResult, ...]) -> bool:
    standing = standing_report(read, specimen.id)
    values = {r.item: r.value for r in standing.results} if standing else {}
    judged_now = judge(read, specimen, new, tests_in(read, specimen))
    return all(values.get(r.item) == r.value for r in judged_now)


def _meant(read: Reading, request: OutsideResults) -> Specimen:
    """The tube a message is about: by its barcode, else by an order line in it."""
    if request.barcode:
        return by_barcode(read, request.barcode)
    asked = read.get_or_none(requests, LabRequest, request.line) if request.line else None
    if asked is None or asked.specimen is None:
        raise SpecimenNotFound
    return read.get(specimens, Specimen, asked.specimen, missing=SpecimenNotFound)
