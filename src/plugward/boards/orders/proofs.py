"""The invariants of orders, which ``plugward audit`` checks on any hospital."""

from sqlalchemy import and_, func, or_, select

from plugward.kernel import Finding, Reading, proof

from .tables import groups, lines

BREACHES_MAX = 50


@proof("R2", "每条医嘱都有患者、就诊、院区与开立者，且与所在医嘱组一致")
def lines_belong_where_their_group_does(read: Reading) -> Finding:
    """A line names the same patient, encounter and campus as the group whose author signed it."""
    stray = (
        select(lines.c.id)
        .select_from(lines.outerjoin(groups, lines.c.group == groups.c.id))
        .where(
            or_(
                groups.c.id.is_(None),
                lines.c.patient != groups.c.patient,
                lines.c.encounter != groups.c.encounter,
                lines.c.campus != groups.c.campus,
                groups.c.author == "",
            )
        )
        .limit(BREACHES_MAX)
    )
    return Finding(read.count(lines), tuple(str(row.id) for row in read.rows(stray)))


@proof("O1", "每组已签名医嘱至少一条，且条目编号连续")
def groups_are_whole(read: Reading) -> Finding:
    """A group was signed whole: it has lines, numbered from the first without a gap."""
    counted = (
        select(
            lines.c.group.label("id"),
            func.count().label("lines"),
            func.min(lines.c.position).label("first"),
            func.max(lines.c.position).label("last"),
        )
        .group_by(lines.c.group)
        .subquery()
    )
    torn = (
        select(groups.c.id)
        .select_from(groups.outerjoin(counted, counted.c.id == groups.c.id))
        .where(
            or_(
                counted.c.id.is_(None),
                counted.c.first != 0,
                and_(counted.c.last + 1 != counted.c.lines),
            )
        )
        .limit(BREACHES_MAX)
    )
    return Finding(read.count(groups), tuple(str(row.id) for row in read.rows(torn)))
