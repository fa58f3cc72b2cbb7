"""What the index writes on a patient's timeline when something happens elsewhere."""

from plugward.boards.encounters.contract import (
    Encounter,
    EncounterArrived,
    EncounterCancelled,
    EncounterFinished,
    EncounterStarted,
)
from plugward.boards.lab.contract import ReportIssued, ReportWithdrawn
from plugward.boards.records.contract import NoteSigned
from plugward.kernel import on

from .contract import TimelineEntry
from .rules import entry_of_note, entry_of_report, entry_of_visit
from .service import PatientService


@on(EncounterArrived)
async def note_an_arrival(event: EncounterArrived, patients: PatientService) -> None:
    """患者到院，时间线上有这次就诊。"""
    await _visit(event.encounter, patients)


@on(EncounterStarted)
async def note_a_start(event: EncounterStarted, patients: PatientService) -> None:
    """开始就诊。"""
    await _visit(event.encounter, patients)


@on(EncounterFinished)
async def note_an_end(event: EncounterFinished, patients: PatientService) -> None:
    """就诊完成。"""
    await _visit(event.encounter, patients)


@on(EncounterCancelled)
async def forget_a_visit(event: EncounterCancelled, patients: PatientService) -> None:
    """取消的就诊不在时间线上。"""
    await patients.forget(event.encounter.id)


@on(NoteSigned)
async def note_a_note(event: NoteSigned, patients: PatientService) -> None:
    """病历签署。"""
    await patients.note(entry_of_note(event))


@on(ReportIssued)
async def note_a_report(event: ReportIssued, patients: PatientService) -> None:
    """检验报告发布。"""
    await patients.note(entry_of_report(event.report))


@on(ReportWithdrawn)
async def forget_a_report(event: ReportWithdrawn, patients: PatientService) -> None:
    """撤回的报告不在时间线上。"""
    await patients.forget(event.report.id)


async def _visit(visit: Encounter, patients: PatientService) -> None:
    entry: TimelineEntry | None = entry_of_visit(visit)
    if entry is not None:
        await patients.note(entry)
