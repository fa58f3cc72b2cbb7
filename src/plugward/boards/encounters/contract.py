"""Encounters 就诊: one row a visit, from the planned appointment to the doctor's goodbye.

A booking plans an encounter, the check-in makes it *arrived*, being called into the room or the
doctor's own start makes it *in progress*, and the doctor finishes it. A visit has one encounter
however often the patient is called or comes back with results. Other boards file what they write
under its id.
"""

from datetime import date
from enum import StrEnum
from typing import Protocol

from plugward.kernel import (
    Conflict,
    Event,
    Identifying,
    Message,
    NotFound,
    Plain,
    command,
    contract,
    query,
)
from plugward.kit.time import Instant
from plugward.vocabulary import (
    AppointmentId,
    CampusCode,
    DepartmentCode,
    EncounterId,
    PatientId,
    StaffId,
)


class EncounterKind(StrEnum):
    OUTPATIENT = "outpatient"  # 门诊
    EMERGENCY = "emergency"  # 急诊


class EncounterState(StrEnum):
    PLANNED = "planned"  # 已预约
    ARRIVED = "arrived"  # 已签到
    IN_PROGRESS = "in-progress"  # 就诊中
    FINISHED = "finished"  # 已完成
    CANCELLED = "cancelled"  # 已取消


class Disposition(StrEnum):
    """Where the patient goes from here 去向."""

    HOME = "home"  # 回家
    RETURN_VISIT = "return-visit"  # 复诊
    ADMISSION = "admission"  # 收住院
    TRANSFER = "transfer"  # 转诊
    OBSERVATION = "observation"  # 留观


class OpenEncounter(Message):
    """A visit without a booking: an emergency, or a patient the doctor takes in between."""

    id: EncounterId
    patient: PatientId
    patient_name: Identifying
    campus: CampusCode
    department: DepartmentCode
    kind: EncounterKind = EncounterKind.EMERGENCY
    doctor: StaffId | None = None
    doctor_name: Plain = ""


class Encounter(Message):
    """One visit. ``patient`` is the id it was written under, whatever was merged since."""

    id: EncounterId
    patient: PatientId
    patient_name: Identifying
    campus: CampusCode
    department: DepartmentCode
    kind: EncounterKind
    day: date
    state: EncounterState
    appointment: AppointmentId | None = None
    doctor: StaffId | None = None
    doctor_name: Plain = ""
    arrived_at: Instant | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None
    disposition: Disposition | None = None
    author: Plain = ""  # who made the last move


class EncounterPlanned(Event, tag="encounters.encounter.planned.v1", key="encounter.id"):
    """A booking planned the visit, or moved it to another clinic."""

    encounter: Encounter


class EncounterArrived(Event, tag="encounters.encounter.arrived.v1", key="encounter.id"):
    """The patient is here: checked in, or taken in without a booking."""

    encounter: Encounter


class EncounterStarted(Event, tag="encounters.encounter.started.v1", key="encounter.id"):
    """The patient is with the doctor."""

    encounter: Encounter


class EncounterFinished(Event, tag="encounters.encounter.finished.v1", key="encounter.id"):
    """The visit is over, and where the patient goes from here."""

    encounter: Encounter


class EncounterCancelled(Event, tag="encounters.encounter.cancelled.v1", key="encounter.id"):
    """The visit will not take place."""

    encounter: Encounter


class EncounterNotFound(NotFound):
    """没有这次就诊。"""


class EncounterOver(Conflict):
    """本次就诊已结束（{state}），不能再{wish}。"""

    state: EncounterState
    wish: Plain


@contract("encounters")
class Encounters(Protocol):
    """The visits: their states, and who is where today."""

    @command(permission="encounters.open")
    async def open(self, request: OpenEncounter) -> Encounter:
        """Open a visit that was not booked; the patient is here already."""
        ...

    @command(permission="encounters.treat")
    async def start(
        self, encounter: EncounterId, doctor: StaffId, doctor_name: Plain = ""
    ) -> Encounter:
        """The doctor takes the patient. Starting a started visit answers the same.

        Refuses with ``EncounterNotFound`` or ``EncounterOver``."""
        ...

    @command(permission="encounters.treat")
    async def finish(self, encounter: EncounterId, disposition: Disposition) -> Encounter:
        """The visit is over. Refuses with ``EncounterNotFound`` or ``EncounterOver``."""
        ...

    @command(permission="encounters.open")
    async def cancel(self, encounter: EncounterId, reason: Plain) -> Encounter:
        """Cancel a visit nobody has begun. Refuses with ``EncounterNotFound`` or
        ``EncounterOver``."""
        ...

    @query(permission="encounters.read")
    async def get(self, encounter: EncounterId) -> Encounter:
        """One visit. Refuses with ``EncounterNotFound``."""
        ...

    @query(permission="encounters.read")
    async def many(self, wanted: tuple[EncounterId, ...]) -> tuple[Encounter, ...]:
        """The visits with these ids that the caller may see, at most 200."""
        ...

    @query(permission="encounters.read")
    async def of_patients(
        self, patients: tuple[PatientId, ...], limit: int = 50
    ) -> tuple[Encounter, ...]:
        """The visits of a person, newest first; ``patients`` is ``Patients.person_of``'s answer."""
        ...

    @query(permission="encounters.read")
    async def of_day(
        self,
        campus: CampusCode,
        day: date,
        department: DepartmentCode | None = None,
        doctor: StaffId | None = None,
    ) -> tuple[Encounter, ...]:
        """The visits of one day, at most 500, in the order they were planned."""
        ...
