"""Breaking the glass 打破玻璃: one patient's record, a reason, four hours, a review by others."""

from datetime import timedelta

from sqlalchemy import select

from plugward.kernel import Reading, Settings, Work
from plugward.vocabulary import CampusCode, StaffId

from .contract import (
    Account,
    AccountNotFound,
    BreakGlass,
    NotYourself,
    Opened,
    Opening,
    OpeningId,
    OpeningNotFound,
    OpeningReviewed,
    OpeningState,
    ReasonNeeded,
    RecordOpened,
)
from .rules import OPENING_LIFE, staff_of
from .tables import accounts, openings

WORDS_MIN = 4
OPENED_MAX = 50


def break_glass(work: Work, request: BreakGlass, settings: Settings) -> Opening:
    """Open the record at once; whether it was right is asked afterwards, by somebody else."""
    if len(request.words.strip()) < WORDS_MIN:
        raise ReasonNeeded(characters=WORDS_MIN)
    staff = staff_of(work.actor)
    if staff is None:
        raise AccountNotFound
    who = work.get(accounts, Account, staff, missing=AccountNotFound)
    opening = Opening(
        **request.fields(),
        staff=staff,
        staff_no=who.staff_no,
        name=who.name,
        campus=CampusCode(work.campus),
        state=OpeningState.OPEN,
        opened_at=work.now,
        until=work.now + timedelta(hours=settings["opening_hours"]),
        review_by=work.now + timedelta(days=settings["review_days"]),
    )
    work.insert(openings, opening)
    work.publish(
        RecordOpened(
            opening=opening.id,
            patient=opening.patient,
            staff=staff,
            reason=opening.reason,
            campus=opening.campus,
            until=opening.until,
            review_by=opening.review_by,
        )
    )
    return opening


def review(work: Work, id: OpeningId, state: OpeningState, finding: str) -> Opening:
    opening = work.get(openings, Opening, id, missing=OpeningNotFound)
    reviewer = staff_of(work.actor)
    if reviewer == opening.staff:
        raise NotYourself
    OPENING_LIFE.check(opening.state, state)
    reviewed = opening.replace(
        state=state, reviewed_by=reviewer, reviewed_at=work.now, finding=finding
    )
    work.update(openings, before=opening, after=reviewed)
    work.publish(
        OpeningReviewed(
            opening=id, patient=opening.patient, staff=opening.staff, state=reviewed.state
        )
    )
    return reviewed


def opened_by(read: Reading, staff: StaffId) -> tuple[Opened, ...]:
    """What a person has open now; of every campus, because it is about the person."""
    found = read.rows(
        select(openings.c.patient, openings.c.until)
        .where(openings.c.staff == staff, openings.c.until > read.now)
        .order_by(openings.c.until)
        .limit(OPENED_MAX)
    )
    return tuple(Opened(patient=row.patient, until=row.until) for row in found)
