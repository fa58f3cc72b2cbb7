"""Critical values 危急值: raised with the report, acknowledged by a clinician, else escalated."""

from datetime import timedelta
from typing import Any

from plugward.kernel import Reading, Settings, Work
from plugward.vocabulary import CampusCode

from ..contract import (
    CriticalAcknowledged,
    CriticalCleared,
    CriticalEscalated,
    CriticalId,
    CriticalNotFound,
    CriticalRaised,
    CriticalState,
    CriticalValue,
    NotCritical,
    Report,
)
from ..rules import CRITICAL_FLAGS, CRITICAL_LIFE
from ..tables import criticals

LIST_MAX = 200
OPEN = (CriticalState.RAISED, CriticalState.ESCALATED)


def raise_for(work: Work, report: Report, settings: Settings) -> None:
    """Raise every critical value of a report that has just been issued."""
    for result in report.results:
        if result.flag not in CRITICAL_FLAGS:
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


def clear_of(work: Work, report: Report) -> None:
    """The report is void, and so are the values nobody has dealt with yet."""
    for critical in work.find(
        criticals, CriticalValue, report=report.id, state=OPEN, limit=LIST_MAX
    ):
        cleared = _moved(work, critical, CriticalState.CLEARED)
        work.publish(CriticalCleared(critical=cleared))


def acknowledge(work: Work, id: CriticalId, words: str) -> CriticalValue:
    critical = work.get(criticals, CriticalValue, id, missing=CriticalNotFound)
    if not critical.is_open:
        raise NotCritical
    acknowledged = _moved(
        work,
        critical,
        CriticalState.ACKNOWLEDGED,
        acknowledged_by=work.actor.id,
        acknowledged_at=work.now,
        words=words,
    )
    work.publish(CriticalAcknowledged(critical=acknowledged))
    return acknowledged


def has_overdue(read: Reading, settings: Settings) -> bool:
    """Whether a critical value waits longer than it may."""
    late = (criticals.c.due_at <= read.now, criticals.c.level < settings["escalation_levels"])
    return read.first(criticals, CriticalValue, *late, state=OPEN) is not None


def escalate_overdue(work: Work, settings: Settings) -> int:
    """Tell the next one up. What fell due while nobody looked is told now: late, but not lost."""
    overdue = work.find(
        criticals,
        CriticalValue,
        criticals.c.due_at <= work.now,
        criticals.c.level < settings["escalation_levels"],
        state=OPEN,
        order_by="due_at",
        limit=LIST_MAX,
    )
    for critical in overdue:
        escalated = _moved(
            work,
            critical,
            CriticalState.ESCALATED,
            level=critical.level + 1,
            escalated_at=work.now,
            due_at=work.now + timedelta(minutes=settings["critical_minutes"]),
        )
        work.publish(CriticalEscalated(critical=escalated))
    return len(overdue)


def listed(
    read: Reading, campus: CampusCode, is_open: bool, limit: int
) -> tuple[CriticalValue, ...]:
    state: dict[str, Any] = {"state": OPEN} if is_open else {}
    return read.find(
        criticals,
        CriticalValue,
        campus=campus,
        order_by="raised_at" if is_open else "-raised_at",
        limit=max(1, min(limit, LIST_MAX)),
        **state,
    )


def _moved(
    work: Work, critical: CriticalValue, to: CriticalState, **changes: object
) -> CriticalValue:
    CRITICAL_LIFE.check(critical.state, to)
    moved = critical.replace(state=to, **changes)
    work.update(criticals, before=critical, after=moved)
    return moved
