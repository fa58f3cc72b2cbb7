"""The tables of the pharmacy: prescriptions, what was paid of them, and what was handed out."""

from decimal import Decimal

from sqlalchemy import Boolean, Column, Date, Index, Integer, String, Text

from plugward.kernel import BoardTables, Id, Moment, State, Stored
from plugward.vocabulary import Sex

from .contract import HeldBatch, LineState, ReturnedLine, ScanOutcome, TaskState

tables = BoardTables("pharmacy")

prescriptions = tables.define(
    "prescription",
    Column("id", Id, primary_key=True),
    Column("encounter", Id, nullable=False),
    Column("patient", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("prescriber", String(80), nullable=False),
    Column("indication", Text, nullable=False),
    Column("signed_at", Moment, nullable=False),
    Index("ix_pharmacy_prescription_encounter", "encounter"),
    scope="campus",
    shard="encounter",
)

lines = tables.define(
    "line",
    Column("id", Id, primary_key=True),
    Column("prescription", Id, nullable=False),
    Column("encounter", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("item", String(32), nullable=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("spec", String(120), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("dose", Stored(Decimal), nullable=True),
    Column("dose_unit", String(32), nullable=False),
    Column("route", String(32), nullable=False),
    Column("frequency", String(32), nullable=False),
    Column("days", Integer, nullable=True),
    Column("note", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("state", State(LineState), nullable=False),
    Column("reservation", Id, nullable=True),
    Column("batches", Stored(tuple[HeldBatch, ...]), nullable=False),
    Column("is_controlled", Boolean, nullable=False),
    Column("task", Id, nullable=True),
    Column("paid", Integer, nullable=False),
    Column("open", Integer, nullable=False),
    Column("scanned", Integer, nullable=False),
    Column("dispensed", Integer, nullable=False),
    Column("returned", Integer, nullable=False),
    Column("returnable", Integer, nullable=False),
    Column("given_up", Integer, nullable=False),
    Index("ix_pharmacy_line_encounter", "encounter"),
    Index("ix_pharmacy_line_prescription", "prescription"),
    Index("ix_pharmacy_line_task", "task"),
    Index("ix_pharmacy_line_reservation", "reservation"),
    scope="campus",
    shard="encounter",
)

tasks = tables.define(
    "task",
    Column("id", Id, primary_key=True),
    Column("number", String(16), nullable=False),
    Column("day", Date, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("prescription", Id, nullable=False),
    Column("bill", Id, nullable=False),
    Column("encounter", Id, nullable=False),
    Column("patient", Id, nullable=False),
    Column("patient_name", String(200), nullable=False),
    Column("state", State(TaskState), nullable=False),
    Column("paid_at", Moment, nullable=False),
    Column("packs", Integer, nullable=False),
    Column("window", String(80), nullable=False),
    Column("calls", Integer, nullable=False),
    Column("called_at", Moment, nullable=True),
    Column("picked_by", String(80), nullable=False),
    Column("dispensed_by", String(80), nullable=False),
    Column("dispensed_at", Moment, nullable=True),
    Column("reason", String(400), nullable=False),
    Index("ix_pharmacy_task_queue", "campus", "state", "paid_at"),
    Index("ix_pharmacy_task_patient", "patient", "dispensed_at"),
    Index("ix_pharmacy_task_encounter", "encounter"),
    scope="campus",
    shard="encounter",
)

scans = tables.define(
    "scan",
    Column("id", Id, primary_key=True),
    Column("task", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("code", String(400), nullable=False),
    Column("outcome", State(ScanOutcome), nullable=False),
    Column("line", Id, nullable=True),
    Column("name", String(200), nullable=False),
    Column("by", String(80), nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_pharmacy_scan_task", "task", "at"),
    scope="campus",
)

drug_returns = tables.define(
    "drug_return",
    Column("id", Id, primary_key=True),
    Column("task", Id, nullable=False),
    Column("encounter", Id, nullable=False),
    Column("patient", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("lines", Stored(tuple[ReturnedLine, ...]), nullable=False),
    Column("reason", String(400), nullable=False),
    Column("approved_by", String(80), nullable=False),
    Column("taken_by", String(80), nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_pharmacy_drug_return_task", "task"),
    scope="campus",
    shard="encounter",
)

drugs = tables.define(
    "drug",
    Column("item", String(32), primary_key=True),
    Column("name_zh", String(200), nullable=False),
    Column("spec", String(120), nullable=False),
    Column("is_controlled", Boolean, nullable=False),
    scope="shared",
    why_shared="a read copy of the drug catalogue, which is one for all campuses",
)

persons = tables.define(
    "person",
    Column("patient", Id, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("sex", State(Sex), nullable=False),
    Column("birth_date", Date, nullable=True),
    scope="shared",
    why_shared="a read copy of the patient index, which is one for all campuses",
)
