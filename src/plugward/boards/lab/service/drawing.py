"""Drawing 采样: who may have a tube drawn now, and the tube itself."""

from typing import Any

from sqlalchemy import select

from plugward.kernel import Reading, Settings, Work, WrongState
from plugward.kit.time import hospital_date
from plugward.vocabulary import CampusCode, EncounterId, OrderLineId, PatientId, SpecimenId

from ..contract import (
    Collect,
    LabRequest,
    NothingToCollect,
    NotOneContainer,
    NotOnePatient,
    NotPaid,
    RejectReason,
    RequestNotFound,
    RequestState,
    Specimen,
    SpecimenCollected,
    SpecimenNotFound,
    SpecimenRejected,
    SpecimenState,
    Subject,
    WaitingRequest,
)
from ..rules import REQUEST_LIFE, SPECIMEN_LIFE, barcode, may_start
from ..tables import Credit, Payment, credits, drafts, payments, requests, specimens
from .catalogue import Catalogue, subjects_of

REQUESTS_MAX = 200
IN_TUBES_MAX = 1_000


def waiting(
    read: Reading, campus: CampusCode, encounter: EncounterId | None, limit: int, settings: Settings
) -> tuple[WaitingRequest, ...]:
    where: dict[str, Any] = {} if encounter is None else {"encounter": encounter}
    found = read.find(
        requests,
        LabRequest,
        campus=campus,
        state=RequestState.REQUESTED,
        order_by=("-is_urgent", "signed_at", "id"),
        limit=max(1, min(limit, REQUESTS_MAX)),
        **where,
    )
    catalogue = Catalogue(read, found)
    people = subjects_of(read, (r.patient for r in found))
    return tuple(
        WaitingRequest(
            request=r,
            subject=people.get(r.patient),
            container=catalogue.container(r),
            may_start=may_start(r, pay_first=settings["pay_first"]),
        )
        for r in found
    )


def collect(work: Work, request: Collect, settings: Settings) -> Specimen:
    drawn = _checked(work, request.requests, settings)
    first = drawn[0]
    day = hospital_date(work.now)
    number = work.next_number(f"specimen:{first.campus}:{day:%y%m%d}")
    specimen = Specimen(
        id=request.id,
        barcode=barcode(first.campus, day, number),
        encounter=first.encounter,
        patient=first.patient,
        campus=first.campus,
        department=first.department,
        author=first.author,
        requests=tuple(r.id for r in drawn),
        title_zh="、".join(r.name_zh for r in drawn)[:400],
        title_en=", ".join(r.name_en for r in drawn)[:400],
        container=Catalogue(work, drawn).container(first),
        is_urgent=any(r.is_urgent for r in drawn),
        state=SpecimenState.COLLECTED,
        collected_by=work.actor.id,
        collected_at=work.now,
    )
    work.insert(specimens, specimen)
    for r in drawn:
        move_request(work, r, RequestState.COLLECTED, specimen=specimen)
    work.publish(SpecimenCollected(specimen=specimen))
    return specimen


def _checked(
    work: Work, ids: tuple[OrderLineId, ...], settings: Settings
) -> tuple[LabRequest, ...]:
    wanted = tuple(dict.fromkeys(ids))
    if not wanted:
        raise NothingToCollect
    found = {r.id: r for r in work.find(requests, LabRequest, id=wanted, limit=REQUESTS_MAX)}
    if len(found) < len(wanted):
        raise RequestNotFound
    drawn = tuple(found[id] for id in wanted)
    if len({(r.encounter, r.patient) for r in drawn}) > 1:
        raise NotOnePatient
    for r in drawn:
        REQUEST_LIFE.check(r.state, RequestState.COLLECTED)
        if not may_start(r, pay_first=settings["pay_first"]):
            raise NotPaid(name=r.name_zh)
    catalogue = Catalogue(work, drawn)
    catalogue.all_tests(drawn)  # nothing is drawn that nobody knows how to measure
    containers = sorted({catalogue.container(r) for r in drawn})
    if len(containers) > 1:
        raise NotOneContainer(containers="、".join(containers))
    return drawn


def receive(work: Work, code: str) -> Specimen:
    specimen = by_barcode(work, code)
    if specimen.state is not SpecimenState.COLLECTED:  # a tube arrives once
        raise WrongState(state=specimen.state.value, to=SpecimenState.RECEIVED.value)
    return received(work, specimen)


def received(work: Work, specimen: Specimen) -> Specimen:
    after = specimen.replace(
        state=SpecimenState.RECEIVED, received_by=work.actor.id, received_at=work.now
    )
    work.update(specimens, before=specimen, after=after)
    return after


def reject(work: Work, specimen: Specimen, because: RejectReason) -> Specimen:
    SPECIMEN_LIFE.check(specimen.state, SpecimenState.REJECTED)
    rejected = specimen.replace(state=SpecimenState.REJECTED, rejected_because=because)
    work.update(specimens, before=specimen, after=rejected)
    work.delete_where(drafts, drafts.c.specimen == specimen.id)
    for r in requests_in(work, specimen):
        move_request(work, r, RequestState.REQUESTED, specimen=None)
    work.publish(SpecimenRejected(specimen=rejected))
    return rejected


def requests_in(read: Reading, specimen: Specimen) -> tuple[LabRequest, ...]:
    """The requests of a tube, in the order they were drawn."""
    return requests_in_each(read, (specimen,))[specimen.id]


def requests_in_each(
    read: Reading, tubes: tuple[Specimen, ...]
) -> dict[SpecimenId, tuple[LabRequest, ...]]:
    """The requests of several tubes, asked for once."""
    wanted = tuple({id for tube in tubes for id in tube.requests})
    found = {r.id: r for r in read.find(requests, LabRequest, id=wanted, limit=IN_TUBES_MAX)}
    return {tube.id: tuple(found[id] for id in tube.requests if id in found) for tube in tubes}


def by_barcode(read: Reading, code: str) -> Specimen:
    specimen = read.first(specimens, Specimen, barcode=code)
    if specimen is None:
        raise SpecimenNotFound
    return specimen


def subjects_seen(read: Reading, patients: tuple[PatientId, ...]) -> tuple[Subject, ...]:
    """Who of these has something here that the caller may see. Nobody else's name is told."""
    if not patients:
        return ()
    seen = read.rows(
        select(requests.c.patient)
        .where(requests.c.patient.in_(patients), *read.visible(requests))
        .distinct()
        .limit(len(patients))
    )
    return tuple(subjects_of(read, (row.patient for row in seen)).values())


def move_request(
    work: Work, request: LabRequest, to: RequestState, *, specimen: Specimen | None
) -> None:
    REQUEST_LIFE.check(request.state, to)
    after = request.replace(state=to, specimen=specimen.id if specimen else None)
    work.update(requests, before=request, after=after)


# ── payment and credit ───────────────────────────────────────────────────────────────────────


def add(work: Work, new: tuple[LabRequest, ...]) -> None:
    """Take over what was signed; what is known of payment and credit already is applied."""
    lines = tuple(r.id for r in new)
    paid = {
        p.line for p in work.find(payments, Payment, line=lines, is_paid=True, limit=REQUESTS_MAX)
    }
    key = (new[0].encounter, new[0].campus)
    credited = work.get_or_none(credits, Credit, key) is not None
    for r in new:
        work.insert_new(requests, r.replace(is_paid=r.id in paid, is_credited=credited))


def set_paid(work: Work, lines: tuple[OrderLineId, ...], is_paid: bool) -> None:
    for line in lines:
        work.save_copy(payments, Payment(line=line, is_paid=is_paid))
    work.set_where(
        requests,
        requests.c.id.in_(lines),
        requests.c.state == RequestState.REQUESTED,
        is_paid=is_paid,
    )


def give_credit(
    work: Work, encounter: EncounterId, campus: CampusCode, reason: str
) -> tuple[LabRequest, ...]:
    credit = Credit(
        encounter=encounter, campus=campus, reason=reason, given_by=work.actor.id, given_at=work.now
    )
    work.insert_new(credits, credit)
    work.set_where(
        requests,
        requests.c.encounter == encounter,
        requests.c.campus == campus,
        is_credited=True,
    )
    return work.find(
        requests,
        LabRequest,
        encounter=encounter,
        campus=campus,
        order_by="signed_at",
        limit=REQUESTS_MAX,
    )


def cancel(work: Work, line: OrderLineId) -> None:
    """A line was withdrawn. What is in a tube already is finished all the same."""
    request = work.get_or_none(requests, LabRequest, line)
    if request is not None and request.state is RequestState.REQUESTED:
        move_request(work, request, RequestState.CANCELLED, specimen=None)
