"""What happens to a visit when something happens at the desk or in the waiting hall."""

from plugward.boards.calling.contract import TicketServed
from plugward.boards.registration.contract import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentCheckedIn,
    AppointmentMoved,
    AppointmentReinstated,
    AppointmentStopped,
)
from plugward.kernel import on

from .service import EncounterService


@on(AppointmentBooked)
async def plan_a_booked_visit(event: AppointmentBooked, encounters: EncounterService) -> None:
    """挂号后，就诊为“已预约”。"""
    await encounters.plan(event.appointment)


@on(AppointmentReinstated)
async def plan_a_visit_again(event: AppointmentReinstated, encounters: EncounterService) -> None:
    """迟到的支付重新占到号，就诊恢复为“已预约”。"""
    await encounters.plan(event.appointment)


@on(AppointmentMoved)
async def plan_a_moved_visit(event: AppointmentMoved, encounters: EncounterService) -> None:
    """停诊改号后，就诊随之改到新的门诊。"""
    await encounters.plan(event.appointment)


@on(AppointmentCheckedIn)
async def note_an_arrival(event: AppointmentCheckedIn, encounters: EncounterService) -> None:
    """签到后，就诊为“已签到”。"""
    await encounters.arrive(event.appointment)


@on(AppointmentStopped)
async def take_an_arrival_back(event: AppointmentStopped, encounters: EncounterService) -> None:
    """停诊时已签到的，退回“已预约”，等患者选择改号或退号。"""
    await encounters.unarrive(event.appointment)


@on(AppointmentCancelled)
async def call_a_visit_off(event: AppointmentCancelled, encounters: EncounterService) -> None:
    """退号、超时释放后，就诊取消。"""
    await encounters.call_off(event.appointment)


@on(TicketServed)
async def begin_a_visit(event: TicketServed, encounters: EncounterService) -> None:
    """患者到诊，就诊为“就诊中”。"""
    await encounters.begin(event.ticket)
