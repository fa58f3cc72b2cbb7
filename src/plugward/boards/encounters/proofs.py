"""What must always be true of the visits; ``plugward audit`` runs it."""

from collections.abc import Callable, Iterator
from typing import cast

from plugward.kernel import Finding, Reading, proof
from plugward.kernel.proofs import pages

from .contract import Encounter, EncounterState
from .tables import encounters

BATCH = 1_000


def _all(read: Reading) -> Iterator[Encounter]:
    return cast(
        "Iterator[Encounter]",
        pages(
            lambda offset: read.find(
                encounters, Encounter, limit=BATCH, offset=offset, order_by="id"
            ),
            BATCH,
        ),
    )


def _finding(read: Reading, is_wrong: Callable[[Encounter], bool]) -> Finding:
    seen, breaches = 0, []
    for visit in _all(read):
        seen += 1
        if is_wrong(visit):
            breaches.append(str(visit.id))
    return Finding(examined=seen, breaches=tuple(breaches))


@proof("R2", "每次就诊都写明患者、院区、科室和记录人")
def every_visit_names_its_patient(read: Reading) -> Finding:
    return _finding(read, lambda v: not (v.patient.int and v.campus and v.department and v.author))


@proof("E1", "就诊的时间与状态一致：开始的有到达，完成的有开始和去向")
def times_follow_the_state(read: Reading) -> Finding:
    return _finding(read, _times_are_wrong)


@proof("E2", "一个预约只有一次就诊")
def one_encounter_an_appointment(read: Reading) -> Finding:
    seen, double = set(), []
    count = 0
    for visit in _all(read):
        count += 1
        if visit.appointment is None:
            continue
        if visit.appointment in seen:
            double.append(str(visit.id))
        seen.add(visit.appointment)
    return Finding(examined=count, breaches=tuple(double))


def _times_are_wrong(visit: Encounter) -> bool:
    began = visit.state in (EncounterState.IN_PROGRESS, EncounterState.FINISHED)
    over = visit.state is EncounterState.FINISHED
    return (
        began != (visit.started_at is not None)
        or (began and visit.arrived_at is None)
        or over != (visit.finished_at is not None)
        or over != (visit.disposition is not None)
    )
