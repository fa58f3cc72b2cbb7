"""The pages of registration: one desk for finding, booking and checking in."""

from datetime import date

from plugward.boards.patients.contract import (
    ID_CARD,
    Contact,
    ContactKind,
    Patients,
    PatientSummary,
    RegisterPatient,
    SearchTooShort,
)
from plugward.kernel import Identifying, Message, Unavailable
from plugward.kernel.pages import (
    Go,
    Home,
    Key,
    Place,
    Stat,
    View,
    Viewer,
    action,
    home,
    page,
    view,
)
from plugward.kit.time import hospital_date
from plugward.vocabulary import (
    AppointmentId,
    CampusCode,
    DepartmentCode,
    EncounterId,
    Identifier,
    PatientId,
    Sex,
    SlotId,
)

from .contract import (
    Appointment,
    AppointmentState,
    ArrivalMarks,
    BookAppointment,
    Channel,
    Registrations,
    SessionOffer,
    SessionState,
)

DESK = "/registration/desk"
_ALIVE = frozenset({AppointmentState.HELD, AppointmentState.BOOKED, AppointmentState.CHECKED_IN})


@page(
    DESK,
    title="挂号签到",
    title_en="Registration desk",
    permission="registration.check-in",
    place=Place.RAIL,
    icon="id-card",
    order=20,
    keys=(
        Key("F2", "读卡、查找", "Find or read a card", "#who"),
        Key("F4", "新建患者", "New patient", "#new-name"),
        Key("F9", "确认", "Confirm", "#confirm"),
    ),
)
async def desk(
    viewer: Viewer,
    registrations: Registrations,
    patients: Patients,
    text: Identifying = "",
    patient: PatientId | None = None,
) -> View:
    """Read a card: whoever has a number today checks in, anybody else gets one."""
    campus, today = CampusCode(viewer.campus), hospital_date(viewer.now)
    hits, note = await _found(patients, text, patient)
    chosen = hits[0] if len(hits) == 1 else None
    return view(
        "desk.html",
        text=text,
        hits=hits,
        note=note,
        chosen=chosen,
        numbers=await _numbers(registrations, patients, chosen, (campus, today)),
        offers=[o for o in await registrations.offers(campus, today) if _is_bookable(o, viewer)],
        now=viewer.now,
    )


@page(
    "/registration/today",
    title="今日挂号",
    title_en="Today's list",
    permission="registration.read",
    icon="list",
)
async def today_list(
    viewer: Viewer,
    registrations: Registrations,
    department: DepartmentCode | None = None,
    offset: int = 0,
) -> View:
    rows = await registrations.day_list(
        CampusCode(viewer.campus), hospital_date(viewer.now), department, offset
    )
    return view("today.html", rows=rows, offset=offset, department=department)


class ArrivalForm(Message):
    """A number taken at the desk by somebody who is here. The form makes the ids."""

    appointment: AppointmentId
    encounter: EncounterId
    patient: PatientId
    slot: SlotId


class NewcomerForm(Message):
    """What is asked of somebody new."""

    id: PatientId
    name: Identifying
    sex: Sex = Sex.UNKNOWN
    birth_date: date | None = None
    card: Identifying = ""
    phone: Identifying = ""


@action("/registration/arrive", title="挂号并签到", permission="registration.check-in")
async def arrive(
    viewer: Viewer, registrations: Registrations, form: ArrivalForm, marks: ArrivalMarks
) -> Go:
    """A number at the desk, and the patient is here."""
    made = await registrations.book(
        BookAppointment(
            id=form.appointment,
            encounter=form.encounter,
            patient=form.patient,
            slot=form.slot,
            channel=Channel.NURSE,
        )
    )
    await registrations.check_in(made.id, CampusCode(viewer.campus), marks)
    return Go(
        DESK,
        said=viewer.say(
            f"{made.patient_name} 已挂 {made.doctor_name} 号并签到",
            f"{made.patient_name} booked with {made.doctor_name} and checked in",
        ),
    )


@action("/registration/check-in", title="签到", permission="registration.check-in")
async def check_in(
    viewer: Viewer, registrations: Registrations, appointment: AppointmentId, marks: ArrivalMarks
) -> Go:
    arrived = await registrations.check_in(appointment, CampusCode(viewer.campus), marks)
    return Go(
        DESK,
        said=viewer.say(
            f"{arrived.patient_name} 已签到，{arrived.doctor_name} {arrived.room} 诊室",
            f"{arrived.patient_name} checked in: {arrived.doctor_name}, room {arrived.room}",
        ),
    )


@action("/registration/cancel", title="退号", permission="registration.book")
async def cancel(viewer: Viewer, registrations: Registrations, appointment: AppointmentId) -> Go:
    gone = await registrations.cancel(appointment)
    return Go(
        f"{DESK}?patient={gone.patient}",
        said=viewer.say(f"{gone.patient_name} 已退号", f"{gone.patient_name}: booking cancelled"),
    )


@action("/registration/newcomer", title="新建患者", permission="registration.check-in")
async def newcomer(viewer: Viewer, patients: Patients, form: NewcomerForm) -> Go:
    """Register somebody and go on with them at the desk."""
    card, phone = form.card.strip(), form.phone.strip()
    done = await patients.register(
        RegisterPatient(
            id=form.id,
            campus=CampusCode(viewer.campus),
            name=form.name,
            sex=form.sex,
            birth_date=form.birth_date,
            identifiers=(Identifier(system=ID_CARD, value=card),) if card else (),
            contacts=(Contact(kind=ContactKind.PHONE, value=phone),) if phone else (),
        )
    )
    return Go(
        f"{DESK}?patient={done.patient.id}",
        said=viewer.say(f"{done.patient.name} 已建档", f"{done.patient.name} registered"),
    )


@home("registration.read")
async def registration_home(viewer: Viewer, registrations: Registrations) -> Home:
    """Today's numbers: how many are taken, how many are left."""
    offers = await registrations.offers(CampusCode(viewer.campus), hospital_date(viewer.now))
    total = sum(slot.capacity for offer in offers for slot in offer.slots)
    left = sum(offer.remaining for offer in offers)
    full = [offer for offer in offers if offer.slots and offer.remaining == 0]
    say = viewer.say
    return Home(
        tile=say(f"今日已挂 {total - left}，余 {left}", f"{total - left} booked, {left} left")
        if offers
        else say("今日尚未发布出诊", "No clinics published for today"),
        stats=(
            Stat(
                say("今日挂号", "Booked today"),
                f"{total - left:,}",
                say("个", "numbers"),
                say(f"余 {left:,}", f"{left:,} left"),
            ),
            Stat(
                say("今日出诊", "Clinics today"),
                str(len(offers)),
                say("个单元", "sessions"),
                say(f"{len(full)} 个已满", f"{len(full)} full"),
                tone="warn" if full else "",
            ),
        )
        if viewer.may("registration.check-in")
        else (),
    )


async def _found(
    patients: Patients, text: str, patient: PatientId | None
) -> tuple[tuple[PatientSummary, ...], str]:
    """Who is meant, or the key of a word why nobody was found."""
    try:
        if patient is not None:
            return await patients.summaries((patient,)), ""
        if not text.strip():
            return (), ""
        hits = await patients.find(text)
    except SearchTooShort:
        return (), "too_short"
    except Unavailable:
        return (), "index_away"
    return hits, "" if hits else "not_found"


async def _numbers(
    registrations: Registrations,
    patients: Patients,
    chosen: PatientSummary | None,
    where: tuple[CampusCode, date],
) -> list[Appointment]:
    """The chosen patient's numbers of today at this campus."""
    if chosen is None:
        return []
    campus, today = where
    ids = await patients.person_of(chosen.id)
    return [
        number
        for number in await registrations.of_patients(ids, today)
        if (number.campus, number.day) == (campus, today) and number.state in _ALIVE
    ]


def _is_bookable(offer: SessionOffer, viewer: Viewer) -> bool:
    return (
        offer.session.state is SessionState.OPEN
        and offer.remaining > 0
        and any(slot.remaining and slot.ends_at > viewer.now for slot in offer.slots)
    )
