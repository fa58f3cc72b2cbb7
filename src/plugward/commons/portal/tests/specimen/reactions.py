"""Files every note, unless the archive is closed."""

from plugward.kernel import Conflict, on

from .contract import NoteWritten
from .service import SpecimenService


class ArchiveClosed(Conflict):
    """档案室未开。"""


@on(NoteWritten)
async def file_it(event: NoteWritten, specimen: SpecimenService) -> None:
    """每份记录归档一次。"""
    if specimen.archive_closed:
        raise ArchiveClosed
    specimen.filed.append(event.note)
