"""The tables this board owns: clinics, their numbers, who has them, and what they are called."""

from sqlalchemy import Boolean, Column, Date, Index, Integer, String

from plugward.kernel import BoardTables, Id, Moment, Price, State

from .contract import AppointmentState, Channel, ClinicKind, DayPeriod, SessionState

tables = BoardTables("registration")

sessions = tables.define(
    "session",
    Column("id", Id, primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("department_name", String(400), nullable=False),
    Column("doctor", Id, nullable=False),
    Column("doctor_name", String(400), nullable=False),
    Column("doctor_title", String(400), nullable=False),
    Column("day", Date, nullable=False),
    Column("period", State(DayPeriod), nullable=False),
    Column("kind", State(ClinicKind), nullable=False),
    Column("fee_item", String(400), nullable=False),
    Column("room", String(400), nullable=False),
    Column("queue", String(400), nullable=False),
    Column("state", State(SessionState), nullable=False),
    Column("author", String(80), nullable=False),
    Index("ix_registration_session_day", "campus", "day", "department"),
    scope="campus",
    shard="id",
)

# ``remaining`` is only ever changed by one conditional write; a stopped clinic's slots are closed.
slots = tables.define(
    "slot",
    Column("id", Id, primary_key=True),
    Column("session", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("remaining", Integer, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Index("ix_registration_slot_session", "session", "starts_at"),
    Index("ix_registration_slot_time", "campus", "starts_at"),
    scope="campus",
    shard="session",
)

# One number a person and clinic: ``free`` is one until it is taken, and one again when given back.
places = tables.define(
    "place",
    Column("session", Id, primary_key=True),
    Column("person", Id, primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("free", Integer, nullable=False),
    Column("appointment", Id, nullable=True),
    scope="campus",
    shard="session",
)

appointments = tables.define(
    "appointment",
    Column("id", Id, primary_key=True),
    Column("encounter", Id, nullable=False),
    Column("patient", Id, nullable=False),
    Column("person", Id, nullable=False),
    Column("patient_name", String(400), nullable=False),
    Column("birth_date", Date, nullable=True),
    Column("session", Id, nullable=False),
    Column("slot", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("department_name", String(400), nullable=False),
    Column("doctor", Id, nullable=False),
    Column("doctor_name", String(400), nullable=False),
    Column("doctor_title", String(400), nullable=False),
    Column("day", Date, nullable=False),
    Column("period", State(DayPeriod), nullable=False),
    Column("kind", State(ClinicKind), nullable=False),
    Column("room", String(400), nullable=False),
    Column("queue", String(400), nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("fee_item", String(400), nullable=False),
    Column("channel", State(Channel), nullable=False),
    Column("state", State(AppointmentState), nullable=False),
    Column("is_paid", Boolean, nullable=False),
    Column("held_until", Moment, nullable=True),
    Column("booked_at", Moment, nullable=False),
    Column("author", String(80), nullable=False),
    Column("bill", Id, nullable=True),
    Index("ix_registration_appointment_list", "campus", "day", "starts_at", "id"),
    Index("ix_registration_appointment_patient", "patient", "day"),
    Index("ix_registration_appointment_session", "session", "state"),
    Index("ix_registration_appointment_hold", "state", "held_until"),
    scope="campus",
    shard="id",
)

whereabouts = tables.define(
    "whereabouts",
    Column("appointment", Id, primary_key=True),
    Column("at", String(16), nullable=False),
    Column("starts_at", Moment, nullable=False),
    scope="shared",
    why_shared="a refusal at the wrong campus names the right one and the time, and nothing else",
    shard="appointment",
)

stops = tables.define(
    "stop",
    Column("session", Id, primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("affected", Integer, nullable=False),
    Column("released", Integer, nullable=False),
    Column("reason", String(400), nullable=False),
    Column("author", String(80), nullable=False),
    Column("stopped_at", Moment, nullable=False),
    scope="campus",
    shard="session",
)

fees = tables.define(
    "fee",
    Column("code", String(32), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name_zh", String(200), nullable=False),
    Column("price", Price, nullable=True),
    Column("valid_from", Moment, nullable=False),
    Column("is_retired", Boolean, nullable=False),
    scope="shared",
    why_shared="a copy of the hospital's one catalogue",
)
