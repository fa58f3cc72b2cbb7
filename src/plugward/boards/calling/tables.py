"""The tables this board owns: tickets, and the doctors who call from a queue."""

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Integer, String

from plugward.kernel import BoardTables, Id, Moment, State

from .contract import PriorityClass, TicketState

tables = BoardTables("calling")

# ``band`` and ``place`` are the order of a queue: the band by the priority class, the place within
# it by arrival, with room between two places for those who re-enter.
tickets = tables.define(
    "ticket",
    Column("id", Id, primary_key=True),
    Column("queue", String(200), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("day", Date, nullable=False),
    Column("number", String(16), nullable=False),
    Column("priority", State(PriorityClass), nullable=False),
    Column("state", State(TicketState), nullable=False),
    Column("patient", Id, nullable=False),
    Column("patient_name", String(400), nullable=False),
    Column("encounter", Id, nullable=False),
    Column("appointment", Id, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("has_rejoined", Boolean, nullable=False),
    Column("issued_at", Moment, nullable=False),
    Column("called_at", Moment, nullable=True),
    Column("served_at", Moment, nullable=True),
    Column("doctor", Id, nullable=True),
    Column("room", String(400), nullable=False),
    Column("closed_because", String(400), nullable=False),
    Column("author", String(80), nullable=False),
    Column("band", Integer, nullable=False),
    Column("place", BigInteger, nullable=False),
    Index("ix_calling_ticket_queue", "queue", "state", "band", "place"),
    Index("ix_calling_ticket_hall", "campus", "day", "department"),
    Index("ix_calling_ticket_encounter", "encounter"),
    scope="campus",
    shard="id",
)

desks = tables.define(
    "desk",
    Column("session", Id, primary_key=True),
    Column("queue", String(200), nullable=False),
    Column("doctor", Id, nullable=False),
    Column("doctor_name", String(400), nullable=False),
    Column("doctor_title", String(400), nullable=False),
    Column("room", String(400), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("department_name", String(400), nullable=False),
    Column("day", Date, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Index("ix_calling_desk_day", "campus", "day", "department"),
    Index("ix_calling_desk_doctor", "doctor", "day"),
    scope="campus",
    shard="session",
)
