"""The tables the laboratory owns: its documents, and copies of what it must know of others."""

from decimal import Decimal

from sqlalchemy import Boolean, Column, Date, Index, Integer, String, Text

from plugward.kernel import BoardTables, Id, Message, Moment, State, Stored
from plugward.kit.message import Clinical, Plain
from plugward.kit.time import Instant
from plugward.vocabulary import (
    CampusCode,
    EncounterId,
    OrderLineId,
    ReportId,
    Sex,
)

from .contract import (
    CriticalState,
    Flag,
    RejectReason,
    ReportState,
    RequestState,
    Result,
    SpecimenState,
    WithdrawReason,
)

tables = BoardTables("lab")

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
    Index("ix_lab_request_waiting", "campus", "state", "is_urgent", "signed_at"),
    Index("ix_lab_request_encounter", "encounter"),
    Index("ix_lab_request_specimen", "specimen"),
    Index("ix_lab_request_patient", "patient"),
    scope="campus",
    shard="encounter",
)

specimens = tables.define(
    "specimen",
    Column("id", Id, primary_key=True),
    Column("barcode", String(24), nullable=False, unique=True),
    Column("encounter", Id, nullable=False),
    Column("patient", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("author", String(80), nullable=False),
    Column("requests", Stored(tuple[OrderLineId, ...]), nullable=False),
    Column("title_zh", String(400), nullable=False),
    Column("title_en", String(400), nullable=False),
    Column("container", String(100), nullable=False),
    Column("is_urgent", Boolean, nullable=False),
    Column("state", State(SpecimenState), nullable=False),
    Column("collected_by", String(80), nullable=False),
    Column("collected_at", Moment, nullable=False),
    Column("received_by", String(80), nullable=False),
    Column("received_at", Moment),
    Column("rejected_because", State(RejectReason)),
    Index("ix_lab_specimen_state", "campus", "state", "is_urgent", "collected_at"),
    scope="campus",
    shard="encounter",
)

drafts = tables.define(
    "draft",
    Column("specimen", Id, primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("results", Stored(tuple[Result, ...]), nullable=False),
    Column("source", String(80), nullable=False),
    Column("entered_at", Moment, nullable=False),
    Column("reason", State(WithdrawReason)),
    scope="campus",
)

reports = tables.define(
    "report",
    Column("id", Id, primary_key=True),
    Column("number", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("specimen", Id, nullable=False),
    Column("barcode", String(24), nullable=False),
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
    Index("ux_lab_report_version", "specimen", "version", unique=True),
    Index("ux_lab_report_number", "number", "version", unique=True),
    Index("ix_lab_report_patient", "patient", "issued_at"),
    scope="campus",
    shard="encounter",
)

readers = tables.define(
    "reader",
    Column("report", Id, primary_key=True),
    Column("reader", String(80), primary_key=True),
    Column("first_at", Moment, nullable=False),
    Column("must_notice", Boolean, nullable=False),
    Index("ix_lab_reader_reader", "reader", "must_notice"),
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
    Index("ix_lab_critical_due", "state", "due_at"),
    Index("ix_lab_critical_campus", "campus", "state", "raised_at"),
    Index("ix_lab_critical_report", "report"),
    scope="campus",
)

# ── copies of what other boards say ──────────────────────────────────────────────────────────

test_versions = tables.define(
    "test_version",
    Column("item", String(32), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("short_code", String(32), nullable=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("loinc", String(32), nullable=False),
    Column("specimen", String(100), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("low_m", Stored(Decimal)),
    Column("high_m", Stored(Decimal)),
    Column("low_f", Stored(Decimal)),
    Column("high_f", Stored(Decimal)),
    Column("critical_low", Stored(Decimal)),
    Column("critical_high", Stored(Decimal)),
    Column("panel", String(32), nullable=False),
    Column("valid_from", Moment, nullable=False),
    Column("is_retired", Boolean, nullable=False),
    scope="shared",
    why_shared="a read copy of the one catalogue for all campuses",
)

panel_versions = tables.define(
    "panel_version",
    Column("item", String(32), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name_zh", String(200), nullable=False),
    Column("container", String(100), nullable=False),
    Column("items", Stored(tuple[str, ...]), nullable=False),
    Column("valid_from", Moment, nullable=False),
    Column("is_retired", Boolean, nullable=False),
    scope="shared",
    why_shared="a read copy of the one catalogue for all campuses",
)

subjects = tables.define(
    "subject",
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("sex", State(Sex), nullable=False),
    Column("birth_date", Date),
    scope="shared",
    why_shared="a read copy of the patient index, which is the hospital's and no campus's",
)

payments = tables.define(
    "payment",
    Column("line", Id, primary_key=True),
    Column("is_paid", Boolean, nullable=False),
    scope="shared",
    why_shared="whether an order line is paid; it may become known before the line does",
)

credits = tables.define(
    "credit",
    Column("encounter", Id, primary_key=True),
    Column("campus", String(16), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("given_by", String(80), nullable=False),
    Column("given_at", Moment, nullable=False),
    scope="campus",
)


class Payment(Message):
    line: OrderLineId
    is_paid: bool


class Credit(Message):
    """Why an encounter's requests may start unpaid at a campus; nobody gives credit for others."""

    encounter: EncounterId
    campus: CampusCode
    reason: Clinical
    given_by: Plain
    given_at: Instant


class Reader(Message):
    """Somebody who has opened a report, and must notice it if it was withdrawn afterwards."""

    report: ReportId
    reader: Plain
    first_at: Instant
    must_notice: bool = False
