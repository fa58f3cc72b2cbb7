"""The one table clinic owns: doctors' desks. Everything on it is a draft."""

from sqlalchemy import Column, Index, String

from plugward.kernel import BoardTables, Id, Moment, Stored

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
