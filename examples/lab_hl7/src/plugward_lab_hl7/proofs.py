"""What must always be true of this board; ``plugward audit`` runs it."""

from typing import cast

from sqlalchemy import func, select

from plugward.boards.lab.contract import Report, ReportState, RequestState
from plugward.kernel import Finding, Reading, proof
from plugward.kernel.proofs import pages

from .rules import content_hash
from .tables import reports, requests

BATCH = 1_000


@proof("L1", "外部检验报告内容与摘要一致，从未改动")
def reports_never_change(read: Reading) -> Finding:
    seen, breaches = 0, []
    for found in pages(
        lambda offset: read.find(reports, Report, limit=BATCH, offset=offset, order_by="id"), BATCH
    ):
        report = cast("Report", found)
        seen += 1
        if report.content_hash != content_hash(report):
            breaches.append(str(report.id))
    return Finding(examined=seen, breaches=tuple(breaches))


@proof("L2", "每份标本至多一个有效报告")
def one_version_stands(read: Reading) -> Finding:
    wrong = read.rows(
        select(reports.c.specimen)
        .where(reports.c.state == ReportState.ISSUED, *read.visible(reports))
        .group_by(reports.c.specimen)
        .having(func.count() > 1)
        .limit(BATCH)
    )
    return Finding(examined=read.count(reports), breaches=tuple(str(row.specimen) for row in wrong))


@proof("L3", "每个申请都有对方编码；没有编码的不会被检验，须维护对照")
def every_request_has_a_code(read: Reading) -> Finding:
    missing = read.rows(
        select(requests.c.id, requests.c.item)
        .where(
            requests.c.code == "",
            requests.c.state == RequestState.REQUESTED,
            *read.visible(requests),
        )
        .limit(BATCH)
    )
    return Finding(
        examined=read.count(requests),
        breaches=tuple(f"{row.item}: {row.id}" for row in missing),
    )
