"""What registration does when something happens elsewhere, and by the clock."""

from plugward.boards.billing.contract import BillSettled
from plugward.boards.encounters.contract import EncounterStarted
from plugward.commons.masterdata.contract import Domain, EntryPublished
from plugward.kernel import every, on

from .rules import Fee
from .service import RegistrationService

RELEASE_EVERY_S = 15
TURNS_MAX = 20


@on(BillSettled)
async def note_a_paid_fee(event: BillSettled, registration: RegistrationService) -> None:
    """挂号费到账：占的号成立；到账已迟，号还在则重新占上，不在则退费。"""
    lines = tuple(paid.line for paid in event.lines if paid.line is not None)
    if lines:
        await registration.note_paid(event.bill.id, lines)


@on(EncounterStarted)
async def note_a_seen_patient(event: EncounterStarted, registration: RegistrationService) -> None:
    """医生已接诊：号已用，不再退改。"""
    if event.encounter.appointment is not None:
        await registration.note_seen(event.encounter.appointment)


@on(EntryPublished)
async def copy_a_fee(event: EntryPublished, registration: RegistrationService) -> None:
    """主数据发布挂号费，本板留一份只读副本。"""
    entry = event.entry
    if entry.domain is Domain.REGISTRATION_FEE:
        await registration.copy_fee(
            Fee(
                code=entry.code,
                version=entry.version,
                name_zh=entry.name_zh,
                price=entry.price,
                valid_from=entry.valid_from,
                is_retired=entry.is_retired,
            )
        )


@every(RELEASE_EVERY_S)
async def release_unpaid_numbers(registration: RegistrationService) -> None:
    """占号到时未付的，号回到池中。"""
    for turn in range(TURNS_MAX):
        if not (await registration.has_unpaid() and await registration.release_unpaid(turn)):
            return
