"""What this board does by the clock."""

from plugward.kernel import every

from .service import ClinicService


@every(3_600)
async def clear_old_desks(clinic: ClinicService) -> None:
    """过期草稿每小时清理一次；已签名的内容不在这里。"""
    await clinic.clear_away()
