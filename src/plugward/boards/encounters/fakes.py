"""A fake of the encounters board for other boards' tests: the contract in memory."""

from datetime import date

from plugward.kernel import Plain
from plugward.kit.ids import new_id
from plugward.kit.time import Instant, hospital_date, hospital_time
from plugward.vocabulary import CampusCode, DepartmentCode, EncounterId, PatientId, StaffId

from .contract import (
    Disposition,
    Encounter,
    EncounterKind,
    EncounterNotFound,
    EncounterOver,
    Encounters,
    EncounterState,
    OpenEncounter,
)

_OVER = {EncounterState.FINISHED, EncounterState.CANCELLED}


class FakeEncounters(Encounters):
    """``fake.visit(patient)`` puts a visit in progress; everything else is the contract."""

    def __init__(self, now: str = "2026-03-02 08:00") -> None:
        self.visits: dict[EncounterId, Encounter] = {}
        self._now: Instant = hospital_time(now)

    def visit(
        self,
        patient: PatientId,
        *,
        id: EncounterId | None = None,
        campus: str = "C1",
        department: str = "C1-CARD",
        state: EncounterState = EncounterState.IN_PROGRESS,
    ) -> Encounter:
        """Put one visit there."""
        made = Encounter(
            id=id or EncounterId(new_id()),
            patient=patient,
            patient_name="沈玉兰",
            campus=CampusCode(campus),
            department=DepartmentCode(department),
            kind=EncounterKind.OUTPATIENT,
            day=hospital_date(self._now),
            state=state,
            arrived_at=self._now,
            started_at=self._now,
        )
        self.visits[made.id] = made
        return made

    async def open(self, request: OpenEncounter) -> Encounter:
        made = Encounter(
            **request.fields(),
            day=hospital_date(self._now),
            state=EncounterState.ARRIVED,
            arrived_at=self._now,
        )
        self.visits[made.id] = made
        return made

    async def start(
        self, encounter: EncounterId, doctor: StaffId, doctor_name: Plain = ""
    ) -> Encounter:
        found = self._alive(encounter, "接诊")
        if found.state is EncounterState.IN_PROGRESS:
            return found
        return self._put(
            found.replace(
                state=EncounterState.IN_PROGRESS,
                doctor=doctor,
                doctor_name=doctor_name,
                started_at=self._now,
            )
        )

    async def finish(self, encounter: EncounterId, disposition: Disposition) -> Encounter:
        found = self._alive(encounter, "结束")
        return self._put(
            found.replace(
                state=EncounterState.FINISHED, disposition=disposition, finished_at=self._now
            )
        )

    async def cancel(self, encounter: EncounterId, reason: Plain) -> Encounter:
        del reason
        return self._put(self._alive(encounter, "取消").replace(state=EncounterState.CANCELLED))

    async def get(self, encounter: EncounterId) -> Encounter:
        if encounter not in self.visits:
            raise EncounterNotFound
        return self.visits[encounter]

    async def many(self, wanted: tuple[EncounterId, ...]) -> tuple[Encounter, ...]:
        return tuple(self.visits[e] for e in wanted if e in self.visits)

    async def of_patients(
        self, patients: tuple[PatientId, ...], limit: int = 50
    ) -> tuple[Encounter, ...]:
        found = [v for v in self.visits.values() if v.patient in patients]
        return tuple(sorted(found, key=lambda v: v.day, reverse=True)[:limit])

    async def of_day(
        self,
        campus: CampusCode,
        day: date,
        department: DepartmentCode | None = None,
        doctor: StaffId | None = None,
    ) -> tuple[Encounter, ...]:
        return tuple(
            v
            for v in self.visits.values()
            if (v.campus, v.day) == (campus, day)
            and department in (None, v.department)
            and doctor in (None, v.doctor)
        )

    def _alive(self, encounter: EncounterId, wish: str) -> Encounter:
        if encounter not in self.visits:
            raise EncounterNotFound
        found = self.visits[encounter]
        if found.state in _OVER:
            raise EncounterOver(state=found.state, wish=wish)
        return found

    def _put(self, encounter: Encounter) -> Encounter:
        self.visits[encounter.id] = encounter
        return encounter
