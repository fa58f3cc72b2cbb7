"""What must hold in the pharmacy at every moment, on any deployment."""

from sqlalchemy import and_, or_, select

from plugward.kernel import Finding, Reading, proof

from .contract import LineState, TaskState
from .tables import lines, tasks

BREACHES_MAX = 1_000
OVER = (TaskState.DISPENSED, TaskState.CLOSED)


@proof("S3", "已发数量减已退数量不超过已缴数量，逐行相符")
def nothing_is_handed_out_unpaid(read: Reading) -> Finding:
    line = lines.c
    wrong = or_(
        line.dispensed - line.returned > line.paid,
        line.paid != line.open + line.dispensed + line.given_up,
        line.returnable != line.dispensed - line.returned,
        line.scanned > line.open,
        line.open < 0,
        line.returned > line.dispensed,
    )
    found = read.rows(select(line.id).where(wrong).limit(BREACHES_MAX))
    return Finding(read.count(lines), tuple(str(row[0]) for row in found))


@proof("D01", "已缴费的药品必有在办的发药任务，任务完成后不再有待发数量")
def every_paid_line_has_a_task(read: Reading) -> Finding:
    line = lines.c
    open_without = and_(line.open > 0, or_(tasks.c.id.is_(None), tasks.c.state.in_(OVER)))
    paid_without = and_(line.state == LineState.PAID, line.open == 0)
    found = read.rows(
        select(line.id)
        .outerjoin(tasks, tasks.c.id == line.task)
        .where(or_(open_without, paid_without))
        .limit(BREACHES_MAX)
    )
    return Finding(read.count(lines), tuple(str(row[0]) for row in found))
