"""What registration does: each method is one step from a published clinic to a patient in it."""

from datetime import date
from typing import Any
from uuid import UUID

from plugward.boards.patients.contract import Patients
from plugward.kernel import (
    Plain,
    Reading,
    Settings,
    Store,
    Work,
    in_work,
    reading,
)
from plugward.kit.time import Clock, hospital_date
from plugward.vocabulary import (
    AppointmentId,
    BillId,
    CampusCode,
    DepartmentCode,
    PatientId,
    SlotId,
)

from ..contract import (
    Appointment,
    AppointmentBooked,
    AppointmentCheckedIn,
    AppointmentMoved,
    AppointmentNotFound,
    AppointmentState,
    AppointmentStopped,
    ArrivalMarks,
    BookAppointment,
    CancelReason,
    ClinicStopped,
    NotPaid,
    NotToday,
    PatientUnknown,
    PublishSession,
    Registrations,
    Session,
    SessionId,
    SessionNotFound,
    SessionOffer,
    SessionPublished,
    SessionState,
    SessionStopped,
    Slot,
    SlotNotFound,
    Stop,
    WrongCampus,
)
from ..rules import (
    CAPACITY_MAX,
    LIFECYCLE,
    Booker,
    Fee,
    at_clinic,
    charge_of,
    check_slots,
    held_until,
    pays_first,
    taken_number,
)
from ..tables import appointments, fees, sessions, slots, stops, whereabouts
from . import payment
from .looking import offers_of
from .numbers import (
    Whereabouts,
    appointment_of,
    free,
    give_back,
    move,
    note_whereabouts,
    person_of,
    session_of,
    take_number,
    take_place,
)

PAGE = 50
OFFERS_MAX = 200
SWEEP_MAX = 50
_State = AppointmentState


class RegistrationService(Registrations):
    def __init__(self, store: Store, clock: Clock, settings: Settings, patients: Patients) -> None:
        self.store = store
        self._clock = clock
        self._patients = patients
        self._hold_minutes: int = settings["hold_minutes"]
        self._pay_first: str = settings["pay_first_channels"]

    # ── clinics ─────────────────────────────────────────────────────────────────────────────
    @in_work
    def publish_session(self, work: Work, request: PublishSession) -> Session:
        check_slots(request)
        values = request.fields()
        parts = values.pop("slots")
        session = Session(**values, state=SessionState.OPEN, author=work.actor.id)
        work.insert(sessions, session)
        numbers = tuple(
            Slot(
                **part.fields(), session=session.id, campus=session.campus, remaining=part.capacity
            )
            for part in parts
        )
        work.insert(slots, *numbers, is_open=True)
        put_up = sum(slot.capacity for slot in numbers)
        work.publish(SessionPublished(session=session, numbers=put_up))
        return session

    @in_work
    def stop_clinic(self, work: Work, session: SessionId, reason: Plain) -> Stop:
        found = session_of(work, session)
        done = work.get_or_none(stops, Stop, session)
        if done is not None:
            return done
        work.set_where(slots, slots.c.session == session, is_open=False)
        stopped = found.replace(state=SessionState.STOPPED)
        work.update(sessions, before=found, after=stopped)
        held = self._those(work, session, _State.HELD)
        for appointment in held:
            give_back(work, appointment, _State.CANCELLED, CancelReason.CLINIC_STOPPED)
        affected = self._those(work, session, _State.BOOKED, _State.CHECKED_IN)
        for appointment in affected:
            waiting = move(work, appointment, appointment.replace(state=_State.STOPPED))
            work.publish(AppointmentStopped(appointment=waiting, reason=reason))
        stop = Stop(session=session, affected=len(affected), released=len(held))
        work.insert(
            stops,
            stop,
            campus=found.campus,
            reason=reason,
            author=work.actor.id,
            stopped_at=work.now,
        )
        work.publish(SessionStopped(session=stopped, reason=reason))
        return stop

    # ── taking a number ─────────────────────────────────────────────────────────────────────
    async def book(self, request: BookAppointment) -> Appointment:
        # Whom the number is for is asked first: a unit of work cannot ask another board.
        known = await self._patients.names((request.patient,))
        if not known:
            raise PatientUnknown(patient=request.patient)
        [patient] = known
        return await self._book(
            request,
            Booker(person=patient.person, name=patient.name, birth_date=patient.birth_date),
        )

    @in_work
    def _book(self, work: Work, request: BookAppointment, booker: Booker) -> Appointment:
        slot = work.get(slots, Slot, request.slot, missing=SlotNotFound)
        session = session_of(work, slot.session)
        take_number(work, session, slot)
        made = taken_number(request, booker, session, slot, now=work.now)
        if pays_first(request.channel, self._pay_first):
            made = made.replace(
                state=_State.HELD, held_until=held_until(work.now, self._hold_minutes)
            )
        made = made.replace(author=work.actor.id)
        take_place(work, made, booker.person)
        work.insert(appointments, made, person=booker.person)
        note_whereabouts(work, made)
        work.publish(AppointmentBooked(appointment=made, charge=charge_of(made)))
        return made

    @in_work
    def move(self, work: Work, appointment: AppointmentId, slot: SlotId) -> Appointment:
        found = appointment_of(work, appointment)
        LIFECYCLE.check(found.state, _State.BOOKED)
        number = work.get(slots, Slot, slot, missing=SlotNotFound)
        session = session_of(work, number.session)
        take_number(work, session, number)
        person = person_of(work, found)
        free(work, found, person)
        moved = at_clinic(found.replace(state=_State.BOOKED), session, number)
        take_place(work, moved, person)
        moved = move(work, found, moved)
        note_whereabouts(work, moved)
        work.publish(AppointmentMoved(appointment=moved, was_session=found.session))
        return moved

    @in_work
    def cancel(self, work: Work, appointment: AppointmentId) -> Appointment:
        found = appointment_of(work, appointment)
        reason = (
            CancelReason.CLINIC_STOPPED
            if found.state is _State.STOPPED
            else CancelReason.PATIENT_WISH
        )
        return give_back(work, found, _State.CANCELLED, reason)

    @in_work
    def check_in(
        self, work: Work, appointment: AppointmentId, at: CampusCode, marks: ArrivalMarks
    ) -> Appointment:
        place = work.get(whereabouts, Whereabouts, appointment, missing=AppointmentNotFound)
        if place.at != at:
            raise WrongCampus(campus=place.at, starts_at=place.starts_at)
        found = appointment_of(work, appointment)
        if found.state is _State.CHECKED_IN:
            return found
        if found.state is _State.HELD:
            raise NotPaid(appointment=appointment)
        if found.state is _State.STOPPED:
            raise ClinicStopped(session=found.session)
        LIFECYCLE.check(found.state, _State.CHECKED_IN)
        if found.day != hospital_date(work.now):
            raise NotToday(day=found.day)
        arrived = move(work, found, found.replace(state=_State.CHECKED_IN))
        work.publish(AppointmentCheckedIn(appointment=arrived, marks=marks))
        return arrived

    # ── what happens by itself ──────────────────────────────────────────────────────────────
    @reading
    def has_unpaid(self, read: Reading) -> bool:
        """Whether any hold has run out: a look is cheaper than a unit of work for nothing."""
        late = appointments.c.held_until <= read.now
        return read.first(appointments, Appointment, late, state=_State.HELD) is not None

    @in_work
    def release_unpaid(self, work: Work, turn: int) -> int:
        """Numbers whose hold has run out go back to the pool. Says how many; each ``turn`` of one
        sweep is a unit of its own."""
        del turn
        late = work.find(
            appointments,
            Appointment,
            appointments.c.held_until <= work.now,
            limit=SWEEP_MAX,
            order_by="held_until",
            state=_State.HELD,
        )
        for appointment in late:
            give_back(work, appointment, _State.EXPIRED, CancelReason.NOT_PAID)
        return len(late)

    @in_work
    def note_paid(self, work: Work, bill: BillId, lines: tuple[UUID, ...]) -> None:
        """A bill was settled; some of its lines may be registration fees."""
        paid = work.find(
            appointments, Appointment, limit=PAGE, id=tuple(AppointmentId(line) for line in lines)
        )
        for appointment in paid:
            payment.note(work, appointment, bill)

    @in_work
    def note_seen(self, work: Work, appointment: AppointmentId) -> None:
        """The doctor has begun: the number is used up, whatever becomes of the clinic."""
        found = work.get_or_none(appointments, Appointment, appointment)
        if found is not None and LIFECYCLE.allows(found.state, _State.FULFILLED):
            move(work, found, found.replace(state=_State.FULFILLED, held_until=None))

    @in_work
    def copy_fee(self, work: Work, fee: Fee) -> None:
        """Master data published a version of a registration fee."""
        work.save_copy(fees, fee)

    # ── looking ─────────────────────────────────────────────────────────────────────────────
    @reading
    def offers(
        self, read: Reading, campus: CampusCode, day: date, department: DepartmentCode | None = None
    ) -> tuple[SessionOffer, ...]:
        narrowed: dict[str, Any] = {"department": department} if department is not None else {}
        found = read.find(
            sessions,
            Session,
            limit=OFFERS_MAX,
            order_by=("department", "period", "doctor_name"),
            campus=campus,
            day=day,
            **narrowed,
        )
        return offers_of(read, found)

    @reading
    def session(self, read: Reading, session: SessionId) -> SessionOffer:
        [offer] = offers_of(read, (read.get(sessions, Session, session, missing=SessionNotFound),))
        return offer

    @reading
    def get(self, read: Reading, appointment: AppointmentId) -> Appointment:
        return read.get(appointments, Appointment, appointment, missing=AppointmentNotFound)

    @reading
    def of_patients(
        self, read: Reading, patients: tuple[PatientId, ...], since: date, limit: int = 50
    ) -> tuple[Appointment, ...]:
        return read.find(
            appointments,
            Appointment,
            appointments.c.day >= since,
            limit=min(max(limit, 1), OFFERS_MAX),
            order_by="starts_at",
            patient=patients,
        )

    @reading
    def day_list(
        self,
        read: Reading,
        campus: CampusCode,
        day: date,
        department: DepartmentCode | None = None,
        offset: int = 0,
    ) -> tuple[Appointment, ...]:
        narrowed: dict[str, Any] = {"department": department} if department is not None else {}
        return read.find(
            appointments,
            Appointment,
            limit=PAGE,
            offset=max(offset, 0),
            order_by="starts_at",
            campus=campus,
            day=day,
            **narrowed,
        )

    def _those(
        self, work: Work, session: SessionId, *states: AppointmentState
    ) -> tuple[Appointment, ...]:
        return work.find(
            appointments, Appointment, limit=CAPACITY_MAX, session=session, state=states
        )
