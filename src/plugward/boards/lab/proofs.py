"""The invariants of the laboratory, run by ``plugward audit``."""

from collections.abc import Iterator

from sqlalchemy import func, select

from plugward.kernel import Finding, Reading, proof
from plugward.kernel.proofs import pages

from .contract import CriticalState, CriticalValue, Report, ReportState
from .rules import content_hash
from .tables import criticals, reports

PAGE = 1_000


def _all_reports(read: Reading) -> Iterator[Report]:
    return pages(  # type: ignore[return-value]  # pages of reports
        lambda offset: read.find(
            reports, Report, order_by=("specimen", "version"), limit=PAGE, offset=offset
        ),
        PAGE,
    )


@proof("R1", "An issued report says for ever what it said; a correction is a new version")
def reports_never_change(read: Reading) -> Finding:
    examined, breaches, before = 0, [], None
    for report in _all_reports(read):
        examined += 1
        if content_hash(report) != report.content_hash:
            breaches.append(f"{report.id} was changed")
        if before is None or before.specimen != report.specimen:
            if report.version != 1:
                breaches.append(f"{report.id} has no first version")
        elif (
            report.version != before.version + 1
            or report.replaces != before.id
            or before.state is not ReportState.WITHDRAWN
        ):
            breaches.append(f"{report.id} does not follow a withdrawn version")
        before = report
    return Finding(examined=examined, breaches=tuple(breaches))


@proof("LAB-1", "At most one version of a specimen's report stands")
def one_version_stands(read: Reading) -> Finding:
    doubled = read.rows(
        select(reports.c.specimen, func.count())
        .where(reports.c.state == ReportState.ISSUED)
        .group_by(reports.c.specimen)
        .having(func.count() > 1)
        .limit(PAGE)
    )
    standing = read.count(reports, state=ReportState.ISSUED)
    return Finding(examined=standing, breaches=tuple(str(row.specimen) for row in doubled))


@proof("LAB-2", "No critical value of a withdrawn report waits for anybody")
def void_values_are_cleared(read: Reading) -> Finding:
    waiting = read.find(
        criticals,
        CriticalValue,
        state=(CriticalState.RAISED, CriticalState.ESCALATED),
        limit=PAGE,
    )
    void = {
        r.id
        for r in read.find(
            reports,
            Report,
            id=tuple(c.report for c in waiting),
            state=ReportState.WITHDRAWN,
            limit=PAGE,
        )
    }
    return Finding(
        examined=len(waiting),
        breaches=tuple(f"{c.id} belongs to a void report" for c in waiting if c.report in void),
    )
