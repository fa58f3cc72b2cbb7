"""Periods 账期: opening + in − out = closing, batch by batch."""

from collections.abc import Sequence

from sqlalchemy import case, func, select

from plugward.kernel import Message, Work
from plugward.kit.time import Instant

from ..contract import DrugStoreLocation, Period, PeriodLine, PeriodTooLate
from ..rules import may_close
from ..tables import moves, period_lines, periods

BATCHES_MAX = 1_000


class Turnover(Message):
    """What came in and went out of one batch."""

    item: str
    batch_no: str
    received: int
    issued: int


def close(work: Work, place: DrugStoreLocation, ends_at: Instant) -> tuple[PeriodLine, ...]:
    """Close the books of a store up to an instant that no more moves can reach."""
    last = work.first(periods, Period, order_by="-period", store=place.store)
    starts_at = last.ends_at if last else None
    if not may_close(ends_at, starts_at=starts_at, now=work.now):
        raise PeriodTooLate
    number = last.period + 1 if last else 1
    period = Period(
        store=place.store,
        campus=place.campus,
        period=number,
        starts_at=starts_at,
        ends_at=ends_at,
        closed_by=work.actor.id,
        closed_at=work.now,
    )
    work.insert(periods, period)
    before = {}
    if last:
        closing = work.find(
            period_lines, PeriodLine, limit=BATCHES_MAX, store=place.store, period=last.period
        )
        before = {(line.item, line.batch_no): line.closing for line in closing}
    turnovers = {(t.item, t.batch_no): t for t in _turnovers(work, period)}
    lines = tuple(
        _line(period, key, before.get(key, 0), turnovers.get(key))
        for key in sorted({*before, *turnovers})
    )
    work.insert(period_lines, *lines)
    return lines


def _turnovers(work: Work, period: Period) -> Sequence[Turnover]:
    column = moves.c
    within = [column.store == period.store, column.at < period.ends_at]
    if period.starts_at is not None:
        within.append(column.at >= period.starts_at)
    statement = (
        select(
            column.item,
            column.batch_no,
            func.sum(case((column.quantity > 0, column.quantity), else_=0)),
            func.sum(case((column.quantity < 0, -column.quantity), else_=0)),
        )
        .where(*within, *work.visible(moves))
        .group_by(column.item, column.batch_no)
        .limit(BATCHES_MAX)
    )
    return [
        Turnover(item=item, batch_no=batch_no, received=int(received), issued=int(issued))
        for item, batch_no, received, issued in map(tuple, work.rows(statement))
    ]


def _line(
    period: Period, key: tuple[str, str], opening: int, turnover: Turnover | None
) -> PeriodLine:
    received = turnover.received if turnover else 0
    issued = turnover.issued if turnover else 0
    return PeriodLine(
        store=period.store,
        campus=period.campus,
        period=period.period,
        item=key[0],
        batch_no=key[1],
        opening=opening,
        received=received,
        issued=issued,
        closing=opening + received - issued,
    )
