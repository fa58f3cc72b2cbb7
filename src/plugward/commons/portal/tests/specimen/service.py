"""Keeps notes."""

from plugward.kernel import Reading, Store, Work, in_work, reading
from plugward.kit.message import Plain
from plugward.vocabulary import CampusCode

from .contract import (
    PATIENT,
    Note,
    NoteId,
    NoteNotFound,
    NoteWritten,
    Specimen,
    TextTaken,
    WriteNote,
)
from .tables import notes


class SpecimenService(Specimen):
    def __init__(self, store: Store) -> None:
        self.store = store
        self.archive_closed = False
        self.filed: list[NoteId] = []

    @in_work
    def write(self, work: Work, note: WriteNote) -> Note:
        if work.first(notes, Note, text=note.text) is not None:
            raise TextTaken(text=note.text[:40])
        made = Note(id=note.id, text=note.text, campus=CampusCode(work.campus))
        work.insert(notes, made, written_at=work.now)
        work.publish(NoteWritten(note=note.id))
        return made

    @reading
    def notes(self, read: Reading, limit: int = 50) -> tuple[Note, ...]:
        return read.find(notes, Note, limit=max(1, min(limit, 50)), order_by="-written_at")

    @reading
    def note(self, read: Reading, note: NoteId) -> Note:
        return read.get(notes, Note, note, missing=NoteNotFound)

    @in_work
    def tear_up(self, work: Work, note: NoteId) -> None:
        work.get(notes, Note, note, missing=NoteNotFound)
        work.delete_where(notes, notes.c.id == note)

    async def secret(self) -> Plain:
        return "secret"

    async def broken(self) -> Plain:
        raise ValueError(PATIENT)
