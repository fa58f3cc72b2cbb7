"""The one table this board owns: a row a visit."""

from sqlalchemy import Column, Date, Index, String

from plugward.kernel import BoardTables, Id, Moment, State

from .contract import Disposition, EncounterKind, EncounterState

tables = BoardTables("encounters")

encounters = tables.define(
    "encounter",
    Column("id", Id, primary_key=True),
    Column("patient", Id, nullable=False),
    Column("patient_name", String(400), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("kind", State(EncounterKind), nullable=False),
    Column("day", Date, nullable=False),
    Column("state", State(EncounterState), nullable=False),
    Column("appointment", Id, nullable=True),
    Column("doctor", Id, nullable=True),
    Column("doctor_name", String(400), nullable=False),
    Column("arrived_at", Moment, nullable=True),
    Column("started_at", Moment, nullable=True),
    Column("finished_at", Moment, nullable=True),
    Column("disposition", State(Disposition), nullable=True),
    Column("author", String(80), nullable=False),
    Index("ix_encounters_patient", "patient", "day"),
    Index("ix_encounters_day", "campus", "day", "department"),
    scope="campus",
    shard="id",
)
