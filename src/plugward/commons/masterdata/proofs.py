"""What must hold of the catalogue on any deployment."""

from sqlalchemy import func, select

from plugward.kernel import Finding, Reading, proof

from .tables import entries, heads

BREACHES_MAX = 50


@proof("MD1", "每个条目的版本从 1 起连续，最新版本与检索目录一致")
def versions_follow_each_other(read: Reading) -> Finding:
    """Versions of an entry run from 1 without gaps, and its head names the last one."""
    counted = (
        select(
            entries.c.domain,
            entries.c.code,
            func.count().label("versions"),
            func.max(entries.c.version).label("last"),
        )
        .group_by(entries.c.domain, entries.c.code)
        .subquery()
    )
    wrong = (
        select(counted.c.domain, counted.c.code)
        .outerjoin(heads, (heads.c.domain == counted.c.domain) & (heads.c.code == counted.c.code))
        .where(
            (counted.c.versions != counted.c.last)
            | heads.c.version.is_(None)
            | (heads.c.version != counted.c.last)
        )
        .limit(BREACHES_MAX)
    )
    breaches = tuple(f"{row.domain.value}:{row.code}" for row in read.rows(wrong))
    return Finding(examined=read.count(heads), breaches=breaches)


@proof("MD2", "每个目录的变更日志连续无缺")
def log_is_whole(read: Reading) -> Finding:
    """A domain's change log runs from 1 without gaps: whoever follows it misses nothing."""
    counted = select(
        entries.c.domain, func.count().label("changes"), func.max(entries.c.sequence).label("last")
    ).group_by(entries.c.domain)
    rows = read.rows(counted.limit(BREACHES_MAX))
    breaches = tuple(row.domain.value for row in rows if row.changes != row.last)
    return Finding(examined=read.count(entries), breaches=breaches)
