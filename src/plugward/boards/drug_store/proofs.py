"""What must hold in the drug store at every moment, on any deployment."""

from sqlalchemy import FromClause, and_, func, or_, select

from plugward.kernel import Finding, Reading, proof

from .contract import DocumentKind
from .tables import batches, documents, held, moves, period_lines, periods

BREACHES_MAX = 1_000


@proof("S1", "库存与可用从不为负，结存等于单据之和，预留等于各处方预留之和")
def balances(read: Reading) -> Finding:
    batch = batches.c
    moved = (
        select(
            moves.c.store, moves.c.item, moves.c.batch_no, func.sum(moves.c.quantity).label("sum")
        )
        .group_by(moves.c.store, moves.c.item, moves.c.batch_no)
        .subquery()
    )
    kept = (
        select(held.c.store, held.c.item, held.c.batch_no, func.sum(held.c.open).label("open"))
        .group_by(held.c.store, held.c.item, held.c.batch_no)
        .subquery()
    )
    joined: FromClause = batches
    for other in (moved, kept):
        same = and_(
            batch.store == other.c.store,
            batch.item == other.c.item,
            batch.batch_no == other.c.batch_no,
        )
        joined = joined.outerjoin(other, same)
    wrong = or_(
        batch.on_hand < 0,
        batch.available < 0,
        batch.reserved < 0,
        batch.on_hand - batch.reserved != batch.available,
        batch.on_hand != func.coalesce(moved.c.sum, 0),
        batch.reserved != func.coalesce(kept.c.open, 0),
    )
    found = read.rows(
        select(batch.store, batch.item, batch.batch_no)
        .select_from(joined)
        .where(wrong)
        .limit(BREACHES_MAX)
    )
    return Finding(read.count(batches), tuple("/".join(row) for row in found))


@proof("S2", "每一账期：期初 + 入 − 出 = 期末，且每笔明细都有单据")
def periods_add_up(read: Reading) -> Finding:
    line = period_lines.c
    before = period_lines.alias("before")
    previous = and_(
        before.c.store == line.store,
        before.c.period == line.period - 1,
        before.c.item == line.item,
        before.c.batch_no == line.batch_no,
    )
    inside = and_(
        moves.c.store == line.store,
        moves.c.item == line.item,
        moves.c.batch_no == line.batch_no,
        moves.c.at < periods.c.ends_at,
    )
    shown = (
        line.store,
        line.period,
        line.item,
        line.batch_no,
        line.opening,
        line.received,
        line.issued,
        line.closing,
    )
    added = (
        select(
            *shown,
            func.coalesce(func.max(before.c.closing), 0).label("closed_before"),
            func.coalesce(func.sum(moves.c.quantity), 0).label("total"),
        )
        .select_from(
            period_lines.join(
                periods, and_(periods.c.store == line.store, periods.c.period == line.period)
            )
            .outerjoin(before, previous)
            .outerjoin(moves, inside)
        )
        .group_by(*shown)
        .subquery()
    ).c
    sums = (
        select(added.store, added.period, added.item, added.batch_no)
        .where(
            or_(
                added.opening + added.received - added.issued != added.closing,
                added.opening != added.closed_before,
                added.closing != added.total,
            )
        )
        .limit(BREACHES_MAX)
    )
    wrong = tuple("/".join(map(str, row)) for row in read.rows(sums))
    nameless = read.rows(
        select(moves.c.document)
        .outerjoin(documents, documents.c.id == moves.c.document)
        .where(documents.c.id.is_(None))
        .limit(BREACHES_MAX)
    )
    orphans = tuple(f"no document {row[0]}" for row in nameless)
    return Finding(read.count(period_lines) + read.count(moves), wrong + orphans)


@proof("S4", "调拨是一张单据：每个批次的调出与调入同时存在且相等")
def transfers_balance(read: Reading) -> Finding:
    sums = (
        select(moves.c.document, moves.c.item, moves.c.batch_no)
        .join(documents, documents.c.id == moves.c.document)
        .where(documents.c.kind == DocumentKind.TRANSFER)
        .group_by(moves.c.document, moves.c.item, moves.c.batch_no)
        .having(or_(func.sum(moves.c.quantity) != 0, func.count() % 2 != 0))
        .limit(BREACHES_MAX)
    )
    found = read.rows(sums)
    examined = read.count(documents, kind=DocumentKind.TRANSFER)
    return Finding(examined, tuple(" ".join(map(str, row)) for row in found))
