"""The context column: the person's timeline, drugs, reports, and trends; each fails alone."""

from plugward.boards.lab.contract import Lab
from plugward.boards.orders.contract import OrderLine, Orders
from plugward.boards.patients.contract import Patients
from plugward.boards.records.contract import NoteVersion, Records
from plugward.kernel import partial_answers
from plugward.kernel.pages import View, page, view
from plugward.kit.time import hospital_date
from plugward.vocabulary import EncounterId, OrderKind

from ..contract import Clinic

WORK = "clinic.work"
TREND_NOTES = 12
LISTED = 30


@page("/clinic/visits/{encounter}/timeline", title="时间轴", title_en="Timeline", permission=WORK)
async def timeline(encounter: EncounterId, clinic: Clinic, patients: Patients) -> View:
    """What happened to this person at the hospital, under all their numbers."""
    person = await clinic.person(encounter)
    return view("timeline.html", entries=await patients.timeline(person, limit=LISTED))


@page("/clinic/visits/{encounter}/medicines", title="用药", title_en="Medicines", permission=WORK)
async def medicines(encounter: EncounterId, clinic: Clinic, orders: Orders) -> View:
    """The drugs ordered lately, newest first."""
    groups = await orders.for_patient(await clinic.person(encounter), LISTED)
    given: list[tuple[object, OrderLine]] = [
        (group.signed_at, line)
        for group in groups
        for line in group.lines
        if line.kind is OrderKind.DRUG
    ]
    return view("medicines.html", given=given[:LISTED])


@page("/clinic/visits/{encounter}/reports", title="检验", title_en="Reports", permission=WORK)
async def reports(encounter: EncounterId, clinic: Clinic, lab: Lab) -> View:
    """Laboratory reports of every campus, newest first, without values: opening one is
    remembered. A campus whose laboratory does not answer is named, never just left out."""
    person = await clinic.person(encounter)
    with partial_answers() as silent:
        found = await lab.reports_of(person, limit=LISTED)
    return view("reports.html", reports=found, silent=sorted(silent))


@page("/clinic/visits/{encounter}/trend", title="关键趋势", title_en="Trend", permission=WORK)
async def trend(encounter: EncounterId, clinic: Clinic, records: Records) -> View:
    """Blood pressure over the last signed notes."""
    notes = await records.for_patient(await clinic.person(encounter), TREND_NOTES)
    measured = [note for note in reversed(notes) if note.content.vitals.systolic_mmhg]
    return view("trend.html", points=[_point(note) for note in measured])


def _point(note: NoteVersion) -> tuple[str, int | None, int | None]:
    vitals = note.content.vitals
    return (f"{hospital_date(note.signed_at):%m-%d}", vitals.systolic_mmhg, vitals.diastolic_mmhg)
