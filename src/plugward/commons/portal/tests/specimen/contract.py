"""Specimen: notes that anybody may have written."""

from typing import NewType, Protocol
from uuid import UUID

from plugward.kernel import Conflict, Event, Message, NotFound, command, contract, query
from plugward.kit.message import Clinical, Plain
from plugward.vocabulary import CampusCode

PATIENT = "审计测试·唯一串"
NoteId = NewType("NoteId", UUID)


class Part(Message):
    label: Plain
    inner: "Part | None" = None


class WriteNote(Message):
    id: NoteId
    text: Clinical
    parts: tuple[Part, ...] = ()


class Note(Message):
    id: NoteId
    text: Clinical
    campus: CampusCode


class NoteWritten(Event, tag="specimen.note.written.v1", key="note"):
    note: NoteId


class NoteNotFound(NotFound):
    """没有这份记录。"""


class TextTaken(Conflict):
    """已有相同的记录：{text}。"""

    text: Plain


@contract("specimen")
class Specimen(Protocol):
    """Notes."""

    @command(permission="specimen.write")
    async def write(self, note: WriteNote) -> Note:
        """Write a note. Refuses with ``TextTaken``."""
        ...

    @query(permission="specimen.read", audited=False)
    async def notes(self, limit: int = 50) -> tuple[Note, ...]:
        """The newest notes."""
        ...

    @query(permission="specimen.read")
    async def note(self, note: NoteId) -> Note:
        """One note. Refuses with ``NoteNotFound``."""
        ...

    @command(permission="specimen.write")
    async def tear_up(self, note: NoteId) -> None:
        """Tear a note up. Refuses with ``NoteNotFound``."""
        ...

    @query(permission="specimen.secret")
    async def secret(self) -> Plain:
        """Nobody may ask this."""
        ...

    @query(permission="specimen.read", audited=False)
    async def broken(self) -> Plain:
        """Fails with a text that names a patient."""
        ...
