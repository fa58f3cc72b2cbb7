"""A fake of the registration board for other boards' tests: the contract, paid at once."""

from datetime import date

from plugward.kernel import Plain, WrongState
from plugward.kit.time import Instant, hospital_time
from plugward.vocabulary import AppointmentId, CampusCode, DepartmentCode, PatientId, SlotId

from .contract import (
    Appointment,
    AppointmentNotFound,
    AppointmentState,
    ArrivalMarks,
    BookAppointment,
    ClinicStopped,
    NothingLeft,
    PublishSession,
    Registrations,
    Session,
    SessionId,
    SessionNotFound,
    SessionOffer,
    SessionState,
    Slot,
    SlotNotFound,
    Stop,
    WrongCampus,
)


class FakeRegistration(Registrations):
    """Sessions, slots and appointments in memory."""

    def __init__(self, now: str = "2026-03-02 08:00") -> None:
        self.sessions: dict[SessionId, Session] = {}
        self.slots: dict[SlotId, Slot] = {}
        self.appointments: dict[AppointmentId, Appointment] = {}
        self._now: Instant = hospital_time(now)

    async def publish_session(self, request: PublishSession) -> Session:
        values = request.fields()
        parts = values.pop("slots")
        session = Session(**values, state=SessionState.OPEN, author="staff:fake")
        self.sessions[session.id] = session
        for part in parts:
            self.slots[part.id] = Slot(
                **part.fields(),
                session=session.id,
                campus=session.campus,
                remaining=part.capacity,
            )
        return session

    async def stop_clinic(self, session: SessionId, reason: Plain) -> Stop:
        del reason
        if session not in self.sessions:
            raise SessionNotFound
        self.sessions[session] = self.sessions[session].replace(state=SessionState.STOPPED)
        affected = [
            a
            for a in self.appointments.values()
            if a.session == session and a.state is AppointmentState.BOOKED
        ]
        for appointment in affected:
            self._put(appointment.replace(state=AppointmentState.STOPPED))
        return Stop(session=session, affected=len(affected), released=0)

    async def book(self, request: BookAppointment) -> Appointment:
        slot = self._take(request.slot)
        session = self.sessions[slot.session]
        if session.state is SessionState.STOPPED:
            raise ClinicStopped(session=session.id)
        shared = {
            name: getattr(session, name)
            for name in Appointment.__struct_fields__
            if name in Session.__struct_fields__ and name not in {"id", "state", "author"}
        }
        return self._put(
            Appointment(
                **shared,
                id=request.id,
                encounter=request.encounter,
                patient=request.patient,
                patient_name="沈玉兰",
                birth_date=None,
                session=session.id,
                slot=slot.id,
                starts_at=slot.starts_at,
                ends_at=slot.ends_at,
                channel=request.channel,
                state=AppointmentState.BOOKED,
                is_paid=True,
                held_until=None,
                booked_at=self._now,
                author="staff:fake",
            )
        )

    async def move(self, appointment: AppointmentId, slot: SlotId) -> Appointment:
        found = await self.get(appointment)
        taken = self._take(slot)
        return self._put(
            found.replace(slot=slot, session=taken.session, state=AppointmentState.BOOKED)
        )

    async def cancel(self, appointment: AppointmentId) -> Appointment:
        found = await self.get(appointment)
        if found.state is AppointmentState.CHECKED_IN:
            raise WrongState(state=found.state.value, to=AppointmentState.CANCELLED.value)
        slot = self.slots[found.slot]
        self.slots[slot.id] = slot.replace(remaining=slot.remaining + 1)
        return self._put(found.replace(state=AppointmentState.CANCELLED))

    async def check_in(
        self, appointment: AppointmentId, at: CampusCode, marks: ArrivalMarks
    ) -> Appointment:
        del marks
        found = await self.get(appointment)
        if found.campus != at:
            raise WrongCampus(campus=found.campus, starts_at=found.starts_at)
        return self._put(found.replace(state=AppointmentState.CHECKED_IN))

    async def offers(
        self, campus: CampusCode, day: date, department: DepartmentCode | None = None
    ) -> tuple[SessionOffer, ...]:
        return tuple(
            self._offer(s)
            for s in self.sessions.values()
            if (s.campus, s.day) == (campus, day) and department in (None, s.department)
        )

    async def session(self, session: SessionId) -> SessionOffer:
        if session not in self.sessions:
            raise SessionNotFound
        return self._offer(self.sessions[session])

    async def get(self, appointment: AppointmentId) -> Appointment:
        if appointment not in self.appointments:
            raise AppointmentNotFound
        return self.appointments[appointment]

    async def of_patients(
        self, patients: tuple[PatientId, ...], since: date, limit: int = 50
    ) -> tuple[Appointment, ...]:
        found = (a for a in self.appointments.values() if a.patient in patients and a.day >= since)
        return tuple(sorted(found, key=lambda a: a.starts_at)[:limit])

    async def day_list(
        self,
        campus: CampusCode,
        day: date,
        department: DepartmentCode | None = None,
        offset: int = 0,
    ) -> tuple[Appointment, ...]:
        found = (
            a
            for a in self.appointments.values()
            if (a.campus, a.day) == (campus, day) and department in (None, a.department)
        )
        return tuple(sorted(found, key=lambda a: a.starts_at)[offset : offset + 50])

    def _take(self, slot: SlotId) -> Slot:
        if slot not in self.slots:
            raise SlotNotFound
        found = self.slots[slot]
        if found.remaining < 1:
            raise NothingLeft(slot=slot)
        self.slots[slot] = found.replace(remaining=found.remaining - 1)
        return found

    def _offer(self, session: Session) -> SessionOffer:
        slots = tuple(s for s in self.slots.values() if s.session == session.id)
        return SessionOffer(session=session, slots=slots, remaining=sum(s.remaining for s in slots))

    def _put(self, appointment: Appointment) -> Appointment:
        self.appointments[appointment.id] = appointment
        return appointment
