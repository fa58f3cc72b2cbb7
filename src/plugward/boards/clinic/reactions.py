"""What this board does when something happens elsewhere, and by the clock."""

from plugward.boards.patients.contract import PatientMerged, PatientUnmerged
from plugward.kernel import every, on

from .service import ClinicService


@on(PatientMerged)
async def learn_who_is_one_person(event: PatientMerged, clinic: ClinicService) -> None:
    """患者合并后，各面板按同一人的全部编号取数。"""
    await clinic.learn_merge(event.ids)


@on(PatientUnmerged)
async def learn_who_is_two(event: PatientUnmerged, clinic: ClinicService) -> None:
    """患者拆分后，各取各的。"""
    await clinic.learn_unmerge(event.ids, event.out_of)


@every(3_600)
async def clear_old_desks(clinic: ClinicService) -> None:
    """过期草稿每小时清理一次；已签名的内容不在这里。"""
    await clinic.clear_away()
