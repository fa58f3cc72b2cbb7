"""Requests: taken over, sent when they may start, cancelled."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from plugward.boards.lab.contract import LabRequest, RequestState
from plugward.kernel import Settings, Work
from plugward.vocabulary import CampusCode, EncounterId, OrderLineId

from ..contract import Placed, TestCancelled, TestsPlaced
from ..rules import REQUEST_LIFE, codes_of, may_start, placer_number
from ..tables import Start, requests, starts

REQUESTS_MAX = 200


def take_over(work: Work, new: tuple[LabRequest, ...], settings: Settings) -> None:
    """Each request gets our short number and its code there; what may start goes out at once."""
    codes = codes_of(settings["codes"])
    campus, encounter = new[0].campus, new[0].encounter
    known = _started(work, [encounter, *(r.id for r in new)], campus)
    for request in new:
        if work.get_or_none(requests, Placed, request.id) is not None:
            continue
        placed = Placed(
            **request.replace(is_paid=request.id in known, is_credited=encounter in known).fields(),
            placer=placer_number(campus, work.next_number(f"placer:{campus}")),
            code=codes.get(request.item, ""),
        )
        work.insert(requests, placed)
    send_out(work, settings, group=new[0].group)


def _started(work: Work, ids: list[Any], campus: CampusCode) -> set[UUID]:
    found = work.find(starts, Start, id=tuple(ids), campus=campus, limit=REQUESTS_MAX)
    return {start.id for start in found}


def pay(work: Work, lines: tuple[OrderLineId, ...], campus: CampusCode, settings: Settings) -> None:
    _note(work, lines, campus)
    work.set_where(requests, requests.c.id.in_(lines), is_paid=True)
    send_out(work, settings, id=lines)


def unpay(work: Work, lines: tuple[OrderLineId, ...], campus: CampusCode) -> None:
    """The money went back: what has not been sent waits again. What was sent is cancelled by the
    withdrawal of its line, which says so itself."""
    work.delete_where(starts, starts.c.id.in_(lines), starts.c.campus == campus)
    work.set_where(requests, requests.c.id.in_(lines), requests.c.is_sent.is_(False), is_paid=False)


def credit(
    work: Work, encounter: EncounterId, campus: CampusCode, settings: Settings
) -> tuple[LabRequest, ...]:
    _note(work, [encounter], campus)
    work.set_where(requests, requests.c.encounter == encounter, is_credited=True)
    send_out(work, settings, encounter=encounter)
    return work.find(requests, LabRequest, encounter=encounter, limit=REQUESTS_MAX)


def _note(work: Work, ids: Iterable[UUID], campus: CampusCode) -> None:
    for id_ in ids:
        work.insert_new(starts, Start(id=id_, campus=campus))


def send_out(work: Work, settings: Settings, **equals: Any) -> None:
    """What may start, has a code and has not been sent yet, patient by patient."""
    found = work.find(
        requests,
        Placed,
        state=RequestState.REQUESTED,
        is_sent=False,
        order_by="placer",
        limit=REQUESTS_MAX,
        **equals,
    )
    ready = [r for r in found if r.code and may_start(r, pay_first=settings["pay_first"])]
    by_group: dict[UUID, list[Placed]] = {}
    for request in ready:
        sent = request.replace(is_sent=True)
        work.update(requests, before=request, after=sent)
        by_group.setdefault(request.group, []).append(sent)
    for group in by_group.values():
        first = group[0]
        work.publish(TestsPlaced(patient=first.patient, campus=first.campus, requests=tuple(group)))


def cancel(work: Work, line: OrderLineId) -> None:
    """A withdrawn line. What the other system has begun stays: orders refuses to withdraw it."""
    request = work.get_or_none(requests, Placed, line)
    if request is None or request.state is not RequestState.REQUESTED:
        return
    cancelled = move(work, request, RequestState.CANCELLED)
    if request.is_sent:
        work.publish(TestCancelled(request=cancelled))


def move(work: Work, request: Placed, to: RequestState, **changes: object) -> Placed:
    REQUEST_LIFE.check(request.state, to)
    moved = request.replace(state=to, **changes)
    work.update(requests, before=request, after=moved)
    return moved
