"""The frame of the workstation: the page with its panels, the queue, the patient's banner."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from plugward.boards.calling.contract import Calling, Queue, Ticket
from plugward.boards.encounters.contract import Disposition, Encounter, Encounters
from plugward.boards.patients.contract import Patients, PatientSummary
from plugward.kernel import Unavailable
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
from plugward.vocabulary import CampusCode, EncounterId, PatientId, TicketId

from ..contract import Clinic, DeskNotFound
from .words import doctor_of, say

WORK = "clinic.work"
RECENT_MAX = 8
KEYS = (
    Key("F4", "叫下一位", "Call next", "#call-next"),
    Key("F6", "病历", "Note", "#f-complaint"),
    Key("F7", "开药", "Drugs", "#drug-text"),
    Key("F8", "检查检验", "Tests", "#test-text"),
    Key("Alt+R", "续方", "Repeat", "#repeat"),
    Key("Alt+C", "引用上次", "Reuse note", "#reuse"),
    Key("Alt+D", "诊断", "Diagnosis", "#diagnosis-text"),
    Key("F9", "签名提交", "Sign", "#sign"),
    Key("F10", "打印", "Print", "#print"),
    Key("Alt+H", "侧栏", "Side column", "#drawer"),
)


@page(
    "/clinic",
    title="门诊",
    title_en="Clinic",
    permission=WORK,
    place=Place.RAIL,
    icon="stethoscope",
    order=10,
    keys=KEYS,
)
async def workstation() -> View:
    """The workstation with nobody in the room: the queue, and what to press."""
    return view("workstation.html", desk=None)


@page(
    "/clinic/visits/{encounter}",
    title="门诊医生工作站",
    title_en="Outpatient workstation",
    permission=WORK,
    keys=KEYS,
)
async def visit(encounter: EncounterId, clinic: Clinic) -> View:
    """The workstation with a patient's visit open. Its panels ask for themselves."""
    try:
        desk = await clinic.desk(encounter)
    except DeskNotFound:
        desk = await clinic.open(encounter)
    return view("workstation.html", desk=desk)


# ── the queue ────────────────────────────────────────────────────────────────────────────────
@page("/clinic/queue", title="候诊", title_en="Queue", permission=WORK)
async def queue_panel(
    viewer: Viewer, calling: Calling, patients: Patients, on: EncounterId | None = None
) -> View:
    """Who waits for this doctor, in the order they will be called."""
    queues = await _queues(viewer, calling)
    tickets = [t for queue in queues for t in (*queue.called, *queue.waiting, *queue.missed)]
    return view(
        "queue.html",
        queues=queues,
        called=[t for queue in queues for t in queue.called],
        waiting=[t for queue in queues for t in queue.waiting],
        missed=[t for queue in queues for t in queue.missed],
        people=await _people(patients, tickets),
        on=on,
        wait_minutes=_mean_wait(queues, viewer),
    )


async def _queues(viewer: Viewer, calling: Calling) -> tuple[Queue, ...]:
    """The queues of the doctor's sessions today, each once, in the order of the day."""
    rooms = await calling.queues_of(doctor_of(viewer), hospital_date(viewer.now))
    codes = dict.fromkeys(room.queue for room in rooms)
    return tuple(await asyncio.gather(*(calling.queue(code) for code in codes)))


async def _people(patients: Patients, tickets: Sequence[Ticket]) -> dict[PatientId, PatientSummary]:
    """Sex and age in one question; without the index the names on the tickets must do."""
    if not tickets:
        return {}
    try:
        found = await patients.summaries(tuple({ticket.patient for ticket in tickets})[:200])
    except Unavailable:
        return {}
    return {summary.id: summary for summary in found}


def _mean_wait(queues: Sequence[Queue], viewer: Viewer) -> int:
    waits = [
        int((viewer.now - ticket.issued_at).total_seconds())
        for queue in queues
        for ticket in queue.waiting
    ]
    return sum(waits) // len(waits) // 60 if waits else 0


@action("/clinic/next", title="叫下一位", permission=WORK)
async def call_next(viewer: Viewer, clinic: Clinic) -> Go:
    """Call the next patient and open their visit: one key."""
    called = await clinic.call_next(doctor_of(viewer))
    said = say(viewer, "已叫", "Called")
    return Go(f"/clinic/visits/{called.encounter}", said=f"{said} {called.number} {called.name}")


@action("/clinic/recall", title="再次呼叫", permission=WORK)
async def recall(
    viewer: Viewer, ticket: TicketId, calling: Calling, patients: Patients, on: EncounterId | None
) -> View:
    """Call the same patient again."""
    await calling.recall(ticket)
    return await queue_panel(viewer, calling, patients, on)


@action("/clinic/arrived", title="确认到诊", permission=WORK)
async def arrived(
    viewer: Viewer, ticket: TicketId, calling: Calling, patients: Patients, on: EncounterId | None
) -> View:
    """The called patient has come in."""
    await calling.serve(ticket)
    return await queue_panel(viewer, calling, patients, on)


@action("/clinic/missed", title="记为过号", permission=WORK)
async def missed(
    viewer: Viewer, ticket: TicketId, calling: Calling, patients: Patients, on: EncounterId | None
) -> View:
    """Nobody came: the next one's turn."""
    await calling.miss(ticket)
    return await queue_panel(viewer, calling, patients, on)


# ── the patient ──────────────────────────────────────────────────────────────────────────────
@page("/clinic/visits/{encounter}/banner", title="患者", title_en="Patient", permission=WORK)
async def banner(encounter: EncounterId, clinic: Clinic, patients: Patients) -> View:
    """Who this is, and the allergies: present, none known, or not asked."""
    desk = await clinic.desk(encounter)
    return view("banner.html", desk=desk, patient=await patients.get(desk.patient))


@action("/clinic/visits/{encounter}/finish", title="结束就诊", permission=WORK)
async def finish(
    viewer: Viewer, encounter: EncounterId, disposition: Disposition, encounters: Encounters
) -> Go:
    """The visit is over."""
    await encounters.finish(encounter, disposition)
    return Go("/clinic", said=say(viewer, "就诊已结束", "The visit is finished"))


@home(WORK)
async def at_home(viewer: Viewer, calling: Calling, encounters: Encounters) -> Home:
    """How many wait, who is next, and how the doctor's day goes."""
    queues = await _queues(viewer, calling)
    if not queues:
        return Home()
    count = sum(len(queue.waiting) for queue in queues)
    line = viewer.say(f"候诊 {count} 人", f"{count} waiting")
    following = next((ticket for queue in queues for ticket in queue.waiting), None)
    if following is not None:
        next_one = f"{following.number} {following.patient_name}"
        line += viewer.say(f"，下一位 {next_one}", f", next {next_one}")
    return Home(tile=line, stats=await _figures(viewer, queues, encounters), badge=count)


async def _figures(
    viewer: Viewer, queues: Sequence[Queue], encounters: Encounters
) -> tuple[Stat, ...]:
    """Waiting, seen and the mean wait; without the visits' board what the queue knows."""
    say, people = viewer.say, viewer.say("人", "people")
    waiting = Stat(
        say("候诊", "Waiting"),
        str(sum(len(queue.waiting) for queue in queues)),
        people,
        say(
            f"过号 {sum(len(queue.missed) for queue in queues)}",
            f"{sum(len(queue.missed) for queue in queues)} missed",
        ),
    )
    wait = Stat(say("平均已候", "Mean wait now"), str(_mean_wait(queues, viewer)), say("分", "min"))
    try:
        visits = await _of_today(viewer, encounters)
    except Unavailable:
        return (waiting, wait)
    seen = [visit for visit in visits if visit.started_at]
    over = sum(visit.finished_at is not None for visit in seen)
    note = say(f"已结束 {over}", f"{over} finished")
    return (waiting, Stat(say("已接诊", "Seen"), str(len(seen)), people, note), wait)


async def _of_today(viewer: Viewer, encounters: Encounters) -> tuple[Encounter, ...]:
    return await encounters.of_day(
        CampusCode(viewer.campus), hospital_date(viewer.now), doctor=doctor_of(viewer)
    )


@page(
    "/clinic/recent",
    title="最近患者",
    title_en="Recent patients",
    permission=WORK,
    place=Place.SLOT,
    slot="home.main",
)
async def recent(viewer: Viewer, encounters: Encounters, patients: Patients) -> View:
    """On the home page: whom this doctor saw today, the latest first."""
    visits = await _of_today(viewer, encounters)
    begun = [visit for visit in visits if visit.started_at is not None]
    begun.sort(key=lambda visit: visit.started_at or viewer.now, reverse=True)
    latest = begun[:RECENT_MAX]
    found: tuple[PatientSummary, ...] = ()
    if latest:
        with suppress(Unavailable):
            found = await patients.summaries(tuple({visit.patient for visit in latest}))
    return view("recent.html", visits=latest, people={one.id: one for one in found})
