"""What the encounters board does: each method is one step of a visit."""

from datetime import date
from typing import Any

from plugward.boards.calling.contract import Ticket
from plugward.boards.registration.contract import Appointment
from plugward.kernel import Plain, Reading, Store, Work, in_work, reading
from plugward.kit.time import Clock, hospital_date
from plugward.vocabulary import CampusCode, DepartmentCode, EncounterId, PatientId, StaffId

from .contract import (
    Disposition,
    Encounter,
    EncounterArrived,
    EncounterCancelled,
    EncounterFinished,
    EncounterKind,
    EncounterNotFound,
    EncounterOver,
    EncounterPlanned,
    Encounters,
    EncounterStarted,
    EncounterState,
    OpenEncounter,
)
from .rules import BEGUN, LIFECYCLE, OVER
from .tables import encounters

DAY_MAX = 500
MANY_MAX = 200


class EncounterService(Encounters):
    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self._clock = clock

    # ── what people ask for ─────────────────────────────────────────────────────────────────
    @in_work
    def open(self, work: Work, request: OpenEncounter) -> Encounter:
        opened = Encounter(
            **request.fields(),
            day=hospital_date(work.now),
            state=EncounterState.ARRIVED,
            arrived_at=work.now,
            author=work.actor.id,
        )
        work.insert(encounters, opened)
        work.publish(EncounterArrived(encounter=opened))
        return opened

    @in_work
    def start(
        self, work: Work, encounter: EncounterId, doctor: StaffId, doctor_name: Plain = ""
    ) -> Encounter:
        found = self._alive(work, encounter, "接诊")
        if found.state is EncounterState.IN_PROGRESS:
            return found
        return self._start(work, found, doctor, doctor_name)

    @in_work
    def finish(self, work: Work, encounter: EncounterId, disposition: Disposition) -> Encounter:
        found = self._alive(work, encounter, "结束")
        if found.state is not EncounterState.IN_PROGRESS:
            raise EncounterOver(state=found.state, wish="结束")
        finished = self._move(
            work,
            found,
            found.replace(
                state=EncounterState.FINISHED, finished_at=work.now, disposition=disposition
            ),
        )
        work.publish(EncounterFinished(encounter=finished))
        return finished

    @in_work
    def cancel(self, work: Work, encounter: EncounterId, reason: Plain) -> Encounter:
        del reason  # kept by the audit log with the command
        found = self._alive(work, encounter, "取消")
        if found.state in BEGUN:
            raise EncounterOver(state=found.state, wish="取消")
        return self._cancel(work, found)

    @reading
    def get(self, read: Reading, encounter: EncounterId) -> Encounter:
        return read.get(encounters, Encounter, encounter, missing=EncounterNotFound)

    @reading
    def many(self, read: Reading, wanted: tuple[EncounterId, ...]) -> tuple[Encounter, ...]:
        if not wanted:
            return ()
        return read.find(encounters, Encounter, limit=MANY_MAX, id=wanted[:MANY_MAX])

    @reading
    def of_patients(
        self, read: Reading, patients: tuple[PatientId, ...], limit: int = 50
    ) -> tuple[Encounter, ...]:
        return read.find(
            encounters,
            Encounter,
            limit=min(max(limit, 1), MANY_MAX),
            order_by=("-day", "-id"),
            patient=patients,
        )

    @reading
    def of_day(
        self,
        read: Reading,
        campus: CampusCode,
        day: date,
        department: DepartmentCode | None = None,
        doctor: StaffId | None = None,
    ) -> tuple[Encounter, ...]:
        narrowed: dict[str, Any] = {
            name: value
            for name, value in (("department", department), ("doctor", doctor))
            if value is not None
        }
        return read.find(
            encounters, Encounter, limit=DAY_MAX, campus=campus, day=day, order_by="id", **narrowed
        )

    # ── what registration and calling tell (facts are never refused) ────────────────────────
    @in_work
    def plan(self, work: Work, booked: Appointment) -> None:
        """A number was taken, moved or taken again: the visit stands at that clinic."""
        planned = _planned(booked)
        found = self._find(work, booked.encounter)
        if found is None:
            work.insert(encounters, planned)
            work.publish(EncounterPlanned(encounter=planned))
            return
        if found.state in BEGUN:
            return  # it was called in before we heard of the booking; only the clinic is news
        moved = found.replace(
            department=planned.department,
            doctor=planned.doctor,
            doctor_name=planned.doctor_name,
            day=planned.day,
            state=EncounterState.PLANNED,
            arrived_at=None,
            author=planned.author,
        )
        if moved != found:
            work.update(encounters, before=found, after=moved)
            work.publish(EncounterPlanned(encounter=moved))

    @in_work
    def arrive(self, work: Work, checked_in: Appointment) -> None:
        """The patient is here."""
        found = self._find(work, checked_in.encounter)
        if found is None:  # the booking's own fact is before this one, in the same order
            found = _planned(checked_in)
            work.insert(encounters, found)
        if found.state is not EncounterState.PLANNED:
            return
        arrived = self._move(
            work, found, found.replace(state=EncounterState.ARRIVED, arrived_at=work.now)
        )
        work.publish(EncounterArrived(encounter=arrived))

    @in_work
    def unarrive(self, work: Work, stopped: Appointment) -> None:
        """The clinic was stopped while the patient waited: the visit is only planned again."""
        found = self._find(work, stopped.encounter)
        if found is None or found.state is not EncounterState.ARRIVED:
            return
        planned = self._move(
            work, found, found.replace(state=EncounterState.PLANNED, arrived_at=None)
        )
        work.publish(EncounterPlanned(encounter=planned))

    @in_work
    def call_off(self, work: Work, cancelled: Appointment) -> None:
        """The number was given back."""
        found = self._find(work, cancelled.encounter)
        if found is not None and found.state not in BEGUN | OVER:
            self._cancel(work, found)

    @in_work
    def begin(self, work: Work, served: Ticket) -> None:
        """The patient is with the doctor, says the ticket."""
        found = self._find(work, served.encounter)
        if found is None:
            found = _from_ticket(served)
            work.insert(encounters, found)
        if found.state in (EncounterState.PLANNED, EncounterState.ARRIVED):
            self._start(work, found, served.doctor or found.doctor, found.doctor_name)

    # ── one place for each move ─────────────────────────────────────────────────────────────
    def _start(
        self, work: Work, found: Encounter, doctor: StaffId | None, doctor_name: str
    ) -> Encounter:
        started = self._move(
            work,
            found,
            found.replace(
                state=EncounterState.IN_PROGRESS,
                arrived_at=found.arrived_at or work.now,
                started_at=work.now,
                doctor=doctor,
                doctor_name=doctor_name or found.doctor_name,
            ),
        )
        work.publish(EncounterStarted(encounter=started))
        return started

    def _cancel(self, work: Work, found: Encounter) -> Encounter:
        cancelled = self._move(work, found, found.replace(state=EncounterState.CANCELLED))
        work.publish(EncounterCancelled(encounter=cancelled))
        return cancelled

    def _move(self, work: Work, before: Encounter, after: Encounter) -> Encounter:
        LIFECYCLE.check(before.state, after.state)
        signed = after.replace(author=work.actor.id)
        work.update(encounters, before=before, after=signed)
        return signed

    def _alive(self, work: Work, encounter: EncounterId, wish: str) -> Encounter:
        found = work.get(encounters, Encounter, encounter, missing=EncounterNotFound)
        if found.state in OVER:
            raise EncounterOver(state=found.state, wish=wish)
        return found

    def _find(self, work: Work, encounter: EncounterId) -> Encounter | None:
        return work.get_or_none(encounters, Encounter, encounter)


def _planned(booked: Appointment) -> Encounter:
    return Encounter(
        id=booked.encounter,
        patient=booked.patient,
        patient_name=booked.patient_name,
        campus=booked.campus,
        department=booked.department,
        kind=EncounterKind.OUTPATIENT,
        day=booked.day,
        state=EncounterState.PLANNED,
        appointment=booked.id,
        doctor=booked.doctor,
        doctor_name=booked.doctor_name,
        author=booked.author,
    )


def _from_ticket(ticket: Ticket) -> Encounter:
    """A visit first heard of from the waiting hall: calling's facts may overtake registration's."""
    return Encounter(
        id=ticket.encounter,
        patient=ticket.patient,
        patient_name=ticket.patient_name,
        campus=ticket.campus,
        department=ticket.department,
        kind=EncounterKind.OUTPATIENT,
        day=ticket.day,
        state=EncounterState.ARRIVED,
        appointment=ticket.appointment,
        doctor=ticket.doctor,
        arrived_at=ticket.issued_at,
        author=ticket.author,
    )
