"""What happens in the waiting hall when something happens at the desk or with the doctor."""

from plugward.boards.encounters.contract import (
    EncounterCancelled,
    EncounterFinished,
    EncounterStarted,
)
from plugward.boards.registration.contract import (
    AppointmentCheckedIn,
    AppointmentStopped,
    SessionPublished,
    SessionStopped,
)
from plugward.kernel import on

from .service import CallingService

STOPPED = "停诊"
CANCELLED = "就诊取消"


@on(SessionPublished)
async def open_a_desk(event: SessionPublished, calling: CallingService) -> None:
    """出诊发布后，该医生可从其队列叫号。"""
    await calling.open_desk(event.session)


@on(SessionStopped)
async def close_a_desk(event: SessionStopped, calling: CallingService) -> None:
    """停诊后，大屏不再显示该诊室。"""
    await calling.close_desk(event.session)


@on(AppointmentCheckedIn)
async def issue_a_ticket(event: AppointmentCheckedIn, calling: CallingService) -> None:
    """签到后取得候诊号。"""
    await calling.issue(event.appointment, event.marks)


@on(AppointmentStopped)
async def close_a_stopped_ticket(event: AppointmentStopped, calling: CallingService) -> None:
    """停诊时，未就诊的候诊号关闭并注明原因。"""
    await calling.close(event.appointment.encounter, f"{STOPPED}：{event.reason}"[:400])


@on(EncounterStarted)
async def note_a_started_visit(event: EncounterStarted, calling: CallingService) -> None:
    """医生直接接诊的，候诊号视为已到诊。"""
    visit = event.encounter
    if visit.started_at is not None:
        await calling.note_started(visit.id, visit.doctor, visit.started_at)


@on(EncounterFinished)
async def note_a_finished_visit(event: EncounterFinished, calling: CallingService) -> None:
    """就诊结束，候诊号完成。"""
    await calling.note_finished(event.encounter.id)


@on(EncounterCancelled)
async def close_a_cancelled_ticket(event: EncounterCancelled, calling: CallingService) -> None:
    """就诊取消，候诊号关闭。"""
    await calling.close(event.encounter.id, CANCELLED)
