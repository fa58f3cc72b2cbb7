"""What identity does when master data changes, and what it does by the clock."""

from plugward.commons.masterdata.contract import Domain, EntryPublished
from plugward.kernel import every, on
from plugward.vocabulary import CampusCode

from .service import IdentityService
from .tables import PlaceRow


@on(EntryPublished)
async def know_the_places(event: EntryPublished, identity: IdentityService) -> None:
    """院区、科室一经发布，登录页即可选择。"""
    entry = event.entry
    if entry.domain not in (Domain.CAMPUS, Domain.DEPARTMENT):
        return
    if entry.is_retired:
        await identity.drop_place(entry.code)
        return
    is_campus = entry.domain is Domain.CAMPUS
    campus = entry.code if is_campus else entry.attribute("campus_code")
    await identity.keep_place(
        PlaceRow(
            code=entry.code,
            name_zh=entry.name_zh,
            name_en=entry.name_en,
            campus=CampusCode(campus),
            is_campus=is_campus,
        )
    )


@every(30)
async def save_when_people_were_last_there(identity: IdentityService) -> None:
    await identity.save_seen()


@every(3_600)
async def forget_old_sessions(identity: IdentityService) -> None:
    await identity.forget_old_sessions()
