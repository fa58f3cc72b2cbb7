"""The tables clinic owns: doctors' desks, which hold drafts only, and who is one person."""

from sqlalchemy import Column, Index, String

from plugward.kernel import BoardTables, Id, Moment, Stored
from plugward.vocabulary import PatientId

from .contract import ChosenDiagnosis, NoteText

tables = BoardTables("clinic")

desks = tables.define(
    "desk",
    Column("encounter", Id, primary_key=True),
    Column("author", String(80), primary_key=True),
    Column("patient", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("note", Id, nullable=False),
    Column("text", Stored(NoteText), nullable=False),
    Column("diagnoses", Stored(tuple[ChosenDiagnosis, ...]), nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("saved_at", Moment, nullable=True),
    Index("ix_clinic_desk_opened", "opened_at"),
    scope="campus",
    shard="encounter",
)

# Which numbers are one person, so that no panel has to ask the patient index for it.
persons = tables.define(
    "person",
    Column("patient", Id, primary_key=True),
    Column("ids", Stored(tuple[PatientId, ...]), nullable=False),
    scope="shared",
    why_shared="a person is the same at every campus; it holds ids only",
)
