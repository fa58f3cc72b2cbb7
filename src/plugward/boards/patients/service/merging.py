"""Two ids, one person, and back: a merge changes a link, and nothing else."""

from plugward.kernel import Message, Plain, Reading, Work
from plugward.kit.time import Instant
from plugward.vocabulary import PatientId

from ..contract import (
    ID_CARD,
    AlreadyMerged,
    DifferentIdCards,
    NotMerged,
    PatientMerged,
    PatientUnmerged,
    TimelineKind,
)
from ..tables import candidates, identifiers, link_changes, links
from .matching import keep_moment
from .persons import PARTS_MAX, Link, Number, Person, persons_of, row_of


class LinkChange(Message):
    """A merge or its undoing, for good."""

    patient: PatientId
    into: PatientId
    is_merge: bool
    reason: Plain
    at: Instant
    author: Plain


def merge(work: Work, patient: PatientId, into: PatientId, reason: str) -> None:
    # Merges wait for each other here: two at once could else make a circle of links.
    work.next_number("merge")
    row_of(work, patient)
    row_of(work, into)
    persons = persons_of(work, (patient, into))
    one, other = persons[patient], persons[into]
    if one.leader == other.leader:
        raise AlreadyMerged
    _check_cards(work, one, other)
    _set(work, one.leader, other.leader)
    _keep(work, one.leader, other.leader, reason, is_merge=True)
    _close_candidates(work, one, other, reason)
    keep_moment(work, one.leader, _campus(work, one.leader), (TimelineKind.MERGED, reason))
    work.publish(
        PatientMerged(
            patient=one.leader,
            into=other.leader,
            ids=(*other.ids, *one.ids),
            reason=reason,
            author=work.actor.id,
        )
    )


def unmerge(work: Work, patient: PatientId, reason: str) -> None:
    work.next_number("merge")
    row_of(work, patient)
    link = work.get_or_none(links, Link, patient)
    if link is None or link.into is None:
        raise NotMerged
    out_of = persons_of(work, (patient,))[patient].leader
    _set(work, patient, None)
    _keep(work, patient, link.into, reason, is_merge=False)
    keep_moment(work, patient, _campus(work, patient), (TimelineKind.UNMERGED, reason))
    work.publish(
        PatientUnmerged(
            patient=patient,
            out_of=out_of,
            ids=persons_of(work, (patient,))[patient].ids,
            reason=reason,
            author=work.actor.id,
        )
    )


def dismiss(work: Work, patient: PatientId, other: PatientId, reason: str) -> None:
    """Whichever of the two came first: not one person."""
    for pair in ((patient, other), (other, patient)):
        work.set_where(
            candidates,
            candidates.c.patient == pair[0],
            candidates.c.other == pair[1],
            is_open=False,
            reason=reason,
        )


def _campus(work: Work, patient: PatientId) -> str:
    return work.campus or row_of(work, patient).campus


def _set(work: Work, patient: PatientId, into: PatientId | None) -> None:
    fresh = Link(patient=patient, into=into, changed_at=work.now, author=work.actor.id)
    if not work.insert_new(links, fresh):
        work.update(links, before=work.get(links, Link, patient), after=fresh)


def _keep(work: Work, patient: PatientId, into: PatientId, reason: str, *, is_merge: bool) -> None:
    change = LinkChange(
        patient=patient,
        into=into,
        is_merge=is_merge,
        reason=reason,
        at=work.now,
        author=work.actor.id,
    )
    work.insert(link_changes, change, id=work.derive("link", patient))


def _check_cards(read: Reading, one: Person, other: Person) -> None:
    """Two valid cards are two people. Only valid cards are ever kept."""
    cards = read.find(
        identifiers, Number, limit=PARTS_MAX, patient=(*one.ids, *other.ids), system=ID_CARD
    )
    of_one = {card.value for card in cards if card.patient in one.ids}
    of_other = {card.value for card in cards if card.patient in other.ids}
    if of_one and of_other and not of_one & of_other:
        raise DifferentIdCards


def _close_candidates(work: Work, one: Person, other: Person, reason: str) -> None:
    work.set_where(
        candidates,
        candidates.c.patient.in_((*one.ids, *other.ids)),
        candidates.c.other.in_((*one.ids, *other.ids)),
        is_open=False,
        reason=reason,
    )
