"""The pages of the index: finding somebody, one person's timeline, the steward's list."""

from plugward.kernel import Identifying, Plain
from plugward.kernel.pages import (
    Go,
    Home,
    Key,
    Place,
    TodoItem,
    View,
    Viewer,
    action,
    home,
    page,
    view,
)
from plugward.vocabulary import PatientId

from .contract import Candidate, Patients, PatientSummary, SearchTooShort

DUPLICATES = "/patients/duplicates"
_BY_STEWARD = "主管核对"


@page(
    "/patients/find",
    title="查找患者",
    title_en="Find a patient",
    permission="patients.read",
    icon="search",
    keys=(Key("F2", "查找", "Find", "#find-text"),),
)
async def find(patients: Patients, viewer: Viewer, text: Identifying = "") -> View:
    """Whoever fits what was typed."""
    hits: tuple[PatientSummary, ...] = ()
    note = ""
    if text.strip():
        try:
            hits = await patients.find(text)
            note = "" if hits else "not_found"
        except SearchTooShort:
            note = "too_short"
    return view("find.html", text=text, hits=hits, note=note, now=viewer.now)


@page(
    "/patients/person/{patient}",
    title="患者档案",
    title_en="Patient",
    permission="patients.read",
    icon="user",
)
async def person(patient: PatientId, patients: Patients, viewer: Viewer) -> View:
    """Who somebody is, and what happened to them at this campus."""
    known = await patients.get(patient)
    ids = await patients.person_of(patient)
    return view(
        "person.html",
        patient=known,
        ids=ids,
        entries=await patients.timeline(ids),
        now=viewer.now,
    )


@page(
    DUPLICATES,
    title="疑似重复",
    title_en="Possible duplicates",
    permission="patients.merge",
    place=Place.RAIL,
    icon="users",
    order=60,
    keys=(Key("F9", "合并", "Merge", "#merge"),),
)
async def duplicates(patients: Patients, viewer: Viewer) -> View:
    """The steward's work list: pairs that may be one person."""
    found = await patients.candidates(limit=50)
    ids = tuple({i for candidate in found for i in (candidate.patient, candidate.other)})
    known = {s.id: s for s in await patients.summaries(ids)}
    return view("duplicates.html", pairs=_pairs(found, known), now=viewer.now)


@action("/patients/merge", title="合并", permission="patients.merge")
async def merge(
    viewer: Viewer,
    patients: Patients,
    patient: PatientId,
    into: PatientId,
    reason: Plain = _BY_STEWARD,
) -> Go:
    await patients.merge(patient, into, reason)
    return Go(DUPLICATES, said=viewer.say("已合并", "Merged"))


@action("/patients/dismiss", title="不是同一人", permission="patients.merge")
async def dismiss(
    viewer: Viewer,
    patients: Patients,
    patient: PatientId,
    other: PatientId,
    reason: Plain = _BY_STEWARD,
) -> Go:
    await patients.dismiss_candidate(patient, other, reason)
    return Go(DUPLICATES, said=viewer.say("已标为不是同一人", "Marked as two people"))


@action("/patients/unmerge", title="拆分", permission="patients.merge")
async def unmerge(
    viewer: Viewer, patients: Patients, patient: PatientId, reason: Plain = _BY_STEWARD
) -> Go:
    await patients.unmerge(patient, reason)
    return Go(f"/patients/person/{patient}", said=viewer.say("已拆分", "Taken apart"))


@home("patients.merge")
async def steward_home(viewer: Viewer, patients: Patients) -> Home:
    """How many pairs wait to be looked at."""
    waiting = len(await patients.candidates(limit=200))
    if not waiting:
        return Home(tile=viewer.say("没有待核对的档案", "No pairs to look at"))
    return Home(
        tile=viewer.say(f"{waiting} 对疑似重复待核对", f"{waiting} pairs to look at"),
        tone="warn",
        badge=waiting,
        todos=(
            TodoItem(
                viewer.say(f"{waiting} 对疑似重复档案", f"{waiting} possible duplicates"),
                viewer.say("核对后合并或排除", "Look, then merge or keep apart"),
                DUPLICATES,
                viewer.say("核对", "Look"),
            ),
        ),
    )


def _pairs(
    found: tuple[Candidate, ...], known: dict[PatientId, PatientSummary]
) -> list[tuple[Candidate, PatientSummary, PatientSummary]]:
    return [
        (candidate, known[candidate.patient], known[candidate.other])
        for candidate in found
        if candidate.patient in known and candidate.other in known
    ]
