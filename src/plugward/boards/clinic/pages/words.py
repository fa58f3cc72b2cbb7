"""Words for what an action did, and who is asking."""

from uuid import UUID

from plugward.kernel.pages import Viewer
from plugward.vocabulary import StaffId

CHINESE = "zh-CN"


def say(viewer: Viewer, zh: str, en: str) -> str:
    """The sentence in the viewer's language."""
    return zh if viewer.language == CHINESE else en


def doctor_of(viewer: Viewer) -> StaffId:
    """The doctor's staff id behind the actor ``staff:<id>``."""
    return StaffId(UUID(viewer.actor_id.partition(":")[2]))
