"""Registration 挂号: clinics with numbers to give, and taking one of them.

A department publishes a clinic session 出诊: a doctor, a day, a period, and slots 号源 with so many
numbers each. A patient takes one number in one conditional write. Where the channel must pay first
the number is held and goes back to the pool when the hold runs out; otherwise it is booked at once.
On the day the patient checks in at the right campus. A stopped clinic leaves every patient with a
choice: move to another number, or cancel and have the money back.
"""

from datetime import date
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from plugward.kernel import (
    Conflict,
    Event,
    Identifying,
    Invalid,
    Merge,
    Message,
    NotFound,
    Plain,
    Route,
    command,
    contract,
    query,
)
from plugward.kit.money import Money
from plugward.kit.time import Instant
from plugward.vocabulary import (
    AppointmentId,
    BillId,
    CampusCode,
    ChargeRequest,
    DepartmentCode,
    EncounterId,
    PatientId,
    SlotId,
    StaffId,
)

SessionId = NewType("SessionId", UUID)


class DayPeriod(StrEnum):
    MORNING = "morning"  # 上午
    AFTERNOON = "afternoon"  # 下午
    EVENING = "evening"  # 夜诊


class ClinicKind(StrEnum):
    GENERAL = "general"  # 普通门诊
    EXPERT = "expert"  # 专家门诊


class Channel(StrEnum):
    APP = "app"  # 手机
    KIOSK = "kiosk"  # 自助机
    WINDOW = "window"  # 窗口
    NURSE = "nurse"  # 分诊台
    DOCTOR = "doctor"  # 诊间加号


class SessionState(StrEnum):
    OPEN = "open"  # 出诊
    STOPPED = "stopped"  # 停诊


class AppointmentState(StrEnum):
    HELD = "held"  # 待支付
    BOOKED = "booked"  # 已预约
    CHECKED_IN = "checked-in"  # 已签到
    FULFILLED = "fulfilled"  # 已就诊
    STOPPED = "stopped"  # 停诊待处理
    EXPIRED = "expired"  # 超时未付，已释放
    CANCELLED = "cancelled"  # 已退号


class CancelReason(StrEnum):
    PATIENT_WISH = "patient-wish"  # 患者退号
    NOT_PAID = "not-paid"  # 超时未付
    CLINIC_STOPPED = "clinic-stopped"  # 停诊退号


class PublishSlot(Message):
    """A stretch of the session with so many numbers."""

    id: SlotId
    starts_at: Instant
    ends_at: Instant
    capacity: int


class PublishSession(Message):
    """One doctor's clinic on one day. ``queue`` names a queue shared by several doctors; without it
    the doctor has a queue of their own."""

    id: SessionId
    campus: CampusCode
    department: DepartmentCode
    department_name: Plain
    doctor: StaffId
    doctor_name: Plain
    day: date
    period: DayPeriod
    fee_item: Plain  # code in the domain registration_fee, RF01
    slots: tuple[PublishSlot, ...]
    doctor_title: Plain = ""  # 主任医师
    kind: ClinicKind = ClinicKind.GENERAL
    room: Plain = ""  # 诊室
    queue: Plain = ""


class Slot(Message):
    """A stretch of a session, and how many numbers are left of it."""

    id: SlotId
    session: SessionId
    campus: CampusCode
    starts_at: Instant
    ends_at: Instant
    capacity: int
    remaining: int


class Session(Message):
    """A published clinic, with what is left of it over all its slots."""

    id: SessionId
    campus: CampusCode
    department: DepartmentCode
    department_name: Plain
    doctor: StaffId
    doctor_name: Plain
    doctor_title: Plain
    day: date
    period: DayPeriod
    kind: ClinicKind
    fee_item: Plain
    room: Plain
    queue: Plain
    state: SessionState
    author: Plain


class SessionOffer(Message):
    """A session as it is offered: with its slots, what it is called and costs today."""

    session: Session
    slots: tuple[Slot, ...]
    remaining: int
    fee_name: Plain = ""
    fee: Money | None = None


class BookAppointment(Message):
    """Take one number of a slot. The caller makes the ids of the appointment and of the visit."""

    id: AppointmentId
    encounter: EncounterId
    patient: PatientId
    slot: SlotId
    channel: Channel


class Appointment(Message):
    """A number somebody has. ``patient`` is the id it was taken under."""

    id: AppointmentId
    encounter: EncounterId
    patient: PatientId
    patient_name: Identifying
    birth_date: date | None
    session: SessionId
    slot: SlotId
    campus: CampusCode
    department: DepartmentCode
    department_name: Plain
    doctor: StaffId
    doctor_name: Plain
    doctor_title: Plain
    day: date
    period: DayPeriod
    kind: ClinicKind
    room: Plain
    queue: Plain
    starts_at: Instant
    ends_at: Instant
    fee_item: Plain
    channel: Channel
    state: AppointmentState
    is_paid: bool
    held_until: Instant | None
    booked_at: Instant
    author: Plain  # who made the last move
    bill: BillId | None = None  # the bill that paid the fee


class ArrivalMarks(Message):
    """What the desk sees of an arriving patient: it decides the place in the queue."""

    is_military: bool = False  # 现役军人、优待对象
    is_urgent: bool = False  # 急危
    is_return_visit: bool = False  # 复诊


class Stop(Message):
    """What stopping a clinic did."""

    session: SessionId
    affected: int  # appointments that wait for a choice
    released: int  # held numbers that nobody had paid


class SessionPublished(Event, tag="registration.session.published.v1", key="session.id"):
    """A clinic is up, with so many numbers over all its slots."""

    session: Session
    numbers: int = 0


class SessionStopped(Event, tag="registration.session.stopped.v1", key="session.id"):
    """The clinic is not held: nothing more is booked, everybody with a number is told."""

    session: Session
    reason: Plain


class AppointmentBooked(Event, tag="registration.appointment.booked.v1", key="appointment.id"):
    """A number was taken, held or booked. The fee is asked for here, and only here."""

    appointment: Appointment
    charge: ChargeRequest


class AppointmentPaid(Event, tag="registration.appointment.paid.v1", key="appointment.id"):
    """The fee was paid: a held number is booked."""

    appointment: Appointment
    bill: BillId


class AppointmentReinstated(
    Event, tag="registration.appointment.reinstated.v1", key="appointment.id"
):
    """The money came late, the number was still free and has been taken again: the charge stands
    and the visit is planned again."""

    appointment: Appointment
    bill: BillId


class AppointmentRefundDue(Event, tag="registration.appointment.refund_due.v1", key="appointment"):
    """The money came for a number that is gone: billing returns it in full by its channel."""

    appointment: AppointmentId
    encounter: EncounterId
    bill: BillId


class AppointmentCheckedIn(
    Event, tag="registration.appointment.checked_in.v1", key="appointment.id"
):
    """The patient is here, at the right campus and on the day."""

    appointment: Appointment
    marks: ArrivalMarks


class AppointmentMoved(Event, tag="registration.appointment.moved.v1", key="appointment.id"):
    """After a stopped clinic the patient took another number. Visit and payment go along."""

    appointment: Appointment
    was_session: SessionId


class AppointmentStopped(Event, tag="registration.appointment.stopped.v1", key="appointment.id"):
    """The clinic was stopped; the patient has been offered to move or to have the money back."""

    appointment: Appointment
    reason: Plain


class AppointmentCancelled(
    Event, tag="registration.appointment.cancelled.v1", key="appointment.id"
):
    """The number is free again. ``appointment.is_paid`` says whether there is money to return."""

    appointment: Appointment
    reason: CancelReason


class SessionNotFound(NotFound):
    """没有这个门诊。"""


class SlotNotFound(NotFound):
    """没有这个号源。"""


class AppointmentNotFound(NotFound):
    """没有这个预约。"""


class PatientUnknown(NotFound):
    """没有这位患者，请先建档。"""

    patient: PatientId


class SlotsInvalid(Invalid):
    """号源设置不合法：{problem}。"""

    problem: Plain


class NoneLeft(Conflict):
    """该时段号源已约满，最近可约：{next_doctor} {next_starts_at}。"""

    slot: SlotId
    next_slot: SlotId
    next_doctor: Plain
    next_starts_at: Instant


class NothingLeft(Conflict):
    """该时段号源已约满，本科室当日及以后暂无其他号源。"""

    slot: SlotId


class ClinicStopped(Conflict):
    """该门诊已停诊。"""

    session: SessionId


class SlotOver(Conflict):
    """该时段已过，不能再预约。"""

    ends_at: Instant


class AlreadyBooked(Conflict):
    """该患者已预约同一门诊，不能重复挂号。"""

    appointment: AppointmentId


class WrongCampus(Conflict):
    """该预约在院区 {campus}，时间 {starts_at}，请到该院区签到。"""

    campus: CampusCode
    starts_at: Instant


class NotToday(Conflict):
    """该预约是 {day} 的号，今日不能签到。"""

    day: date


class NotPaid(Conflict):
    """挂号费尚未支付，请先缴费再签到。"""

    appointment: AppointmentId


@contract("registration")
class Registrations(Protocol):
    """Publishing clinics, taking numbers, checking in."""

    @command(permission="registration.publish")
    async def publish_session(self, request: PublishSession) -> Session:
        """Put a clinic up. Refuses with ``SlotsInvalid``."""
        ...

    @command(permission="registration.stop", route=Route.OWNER)
    async def stop_clinic(self, session: SessionId, reason: Plain) -> Stop:
        """Stop a clinic: nothing more is booked, everybody is offered a choice. Stopping it again
        changes nothing. Refuses with ``SessionNotFound``."""
        ...

    @command(permission="registration.book", route=Route.OWNER)
    async def book(self, request: BookAppointment) -> Appointment:
        """Take one number. Refuses with ``PatientUnknown``, ``SlotNotFound``, ``ClinicStopped``,
        ``SlotOver``, ``NoneLeft`` (naming the next free one), ``NothingLeft`` or
        ``AlreadyBooked``."""
        ...

    @command(permission="registration.book", route=Route.OWNER)
    async def move(self, appointment: AppointmentId, slot: SlotId) -> Appointment:
        """Give the patient of a stopped clinic another number; the fee stays as it was. Refuses
        like ``book``, and with ``AppointmentNotFound``."""
        ...

    @command(permission="registration.book", route=Route.OWNER)
    async def cancel(self, appointment: AppointmentId) -> Appointment:
        """Give a number back before the patient has checked in. Refuses with
        ``AppointmentNotFound`` or as being in another state."""
        ...

    @command(permission="registration.check-in", route=Route.OWNER)
    async def check_in(
        self, appointment: AppointmentId, at: CampusCode, marks: ArrivalMarks
    ) -> Appointment:
        """The patient is here. Refuses with ``AppointmentNotFound``, ``WrongCampus``, ``NotToday``,
        ``NotPaid`` or ``ClinicStopped``. Checking in twice answers the same."""
        ...

    @query(permission="registration.read")
    async def offers(
        self, campus: CampusCode, day: date, department: DepartmentCode | None = None
    ) -> tuple[SessionOffer, ...]:
        """The clinics of a day with what is left of them, at most 200."""
        ...

    @query(permission="registration.read", route=Route.OWNER)
    async def session(self, session: SessionId) -> SessionOffer:
        """One clinic. Refuses with ``SessionNotFound``."""
        ...

    @query(permission="registration.read", route=Route.OWNER)
    async def get(self, appointment: AppointmentId) -> Appointment:
        """One appointment. Refuses with ``AppointmentNotFound``."""
        ...

    @query(permission="registration.read", route=Route.ALL, merge=Merge("starts_at"))
    async def of_patients(
        self, patients: tuple[PatientId, ...], since: date, limit: int = 50
    ) -> tuple[Appointment, ...]:
        """A person's appointments from a day on, the next first; ``patients`` is
        ``Patients.person_of``'s answer."""
        ...

    @query(permission="registration.read")
    async def day_list(
        self,
        campus: CampusCode,
        day: date,
        department: DepartmentCode | None = None,
        offset: int = 0,
    ) -> tuple[Appointment, ...]:
        """The appointments of a day by time, 50 a page."""
        ...
