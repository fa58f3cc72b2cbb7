"""The tables of this board: requests under their short numbers, reports, and whose numbers are."""

from uuid import UUID

from sqlalchemy import Boolean, Column, Index, Integer, String, Text

from plugward.boards.lab.contract import (
    CriticalState,
    Flag,
    ReportState,
    RequestState,
    Result,
    WithdrawReason,
)
from plugward.kernel import BoardTables, Id, Message, Moment, Plain, State, Stored
from plugward.kit.message import Identifying
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, OrderLineId, PatientId, ReportId

tables = BoardTables("lab_hl7")

requests = tables.define(
    "request",
    Column("id", Id, primary_key=True),
    Column("group", Id, nullable=False),
    Column("encounter", Id, nullable=False),
    Column("patient", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("author", String(80), nullable=False),
    Column("item", String(32), nullable=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("is_urgent", Boolean, nullable=False),
    Column("indication", Text, nullable=False),
    Column("signed_at", Moment, nullable=False),
    Column("state", State(RequestState), nullable=False),
    Column("is_paid", Boolean, nullable=False),
    Column("is_credited", Boolean, nullable=False),
    Column("specimen", Id),
    Column("placer", String(12), nullable=False, unique=True),
    Column("code", String(40), nullable=False),
    Column("is_sent", Boolean, nullable=False),
    Index("ix_lab_hl7_request_encounter", "encounter"),
    scope="campus",
    shard="patient",
)

reports = tables.define(
    "report",
    Column("id", Id, primary_key=True),
    Column("number", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("specimen", Id, nullable=False),
    Column("barcode", String(64), nullable=False),
    Column("encounter", Id, nullable=False),
    Column("patient", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("author", String(80), nullable=False),
    Column("requests", Stored(tuple[OrderLineId, ...]), nullable=False),
    Column("title_zh", String(400), nullable=False),
    Column("title_en", String(400), nullable=False),
    Column("indication", Text, nullable=False),
    Column("results", Stored(tuple[Result, ...]), nullable=False),
    Column("state", State(ReportState), nullable=False),
    Column("collected_at", Moment, nullable=False),
    Column("received_at", Moment),
    Column("entered_by", String(80), nullable=False),
    Column("verified_by", String(80), nullable=False),
    Column("issued_at", Moment, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("replaces", Id),
    Column("replaced_by", Id),
    Column("withdrawn_at", Moment),
    Column("withdrawn_by", String(80), nullable=False),
    Column("withdrawn_because", State(WithdrawReason)),
    Column("abnormal", Integer, nullable=False),
    Column("critical", Integer, nullable=False),
    Index("ux_lab_hl7_report_version", "specimen", "version", unique=True),
    Index("ix_lab_hl7_report_patient", "patient", "issued_at"),
    scope="campus",
    shard="patient",
)

readers = tables.define(
    "reader",
    Column("report", Id, primary_key=True),
    Column("reader", String(80), primary_key=True),
    Column("first_at", Moment, nullable=False),
    Column("must_notice", Boolean, nullable=False),
    Index("ix_lab_hl7_reader", "reader", "must_notice"),
    scope="shared",
    why_shared="about the reader, who must be told wherever he is; it holds ids only",
)

criticals = tables.define(
    "critical",
    Column("id", Id, primary_key=True),
    Column("report", Id, nullable=False),
    Column("specimen", Id, nullable=False),
    Column("encounter", Id, nullable=False),
    Column("patient", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("author", String(80), nullable=False),
    Column("item", String(32), nullable=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("value", String(200), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("flag", State(Flag), nullable=False),
    Column("state", State(CriticalState), nullable=False),
    Column("raised_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("level", Integer, nullable=False),
    Column("escalated_at", Moment),
    Column("acknowledged_by", String(80), nullable=False),
    Column("acknowledged_at", Moment),
    Column("words", Text, nullable=False),
    Index("ix_lab_hl7_critical_due", "state", "due_at"),
    Index("ix_lab_hl7_critical_report", "report"),
    scope="campus",
)

numbers = tables.define(
    "number",
    Column("campus", String(16), primary_key=True),
    Column("number", String(64), primary_key=True),
    Column("patient", Id, nullable=False),
    scope="campus",
)

starts = tables.define(
    "start",
    Column("id", Id, primary_key=True),
    Column("campus", String(16), primary_key=True),
    scope="campus",
)


class Start(Message):
    """A line that is paid, or an encounter with credit: known maybe before the request is."""

    id: UUID
    campus: CampusCode


class Number(Message):
    """Whose number in the other system this is, as its first report said."""

    campus: CampusCode
    number: Identifying
    patient: PatientId


class Reader(Message):
    """Somebody who has opened a report, and must notice it if it was withdrawn afterwards."""

    report: ReportId
    reader: Plain
    first_at: Instant
    must_notice: bool = False
