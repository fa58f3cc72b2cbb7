"""The tables of identity. Only hashes of passwords, codes and session references are kept."""

from sqlalchemy import Boolean, Column, Index, Integer, String, Text

from plugward.kernel import BoardTables, Id, Message, Moment, State, Stored
from plugward.kit.message import Identifying, Plain, Secret
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, StaffId

from .contract import (
    Account,
    AccountKind,
    AccountState,
    EndReason,
    Grant,
    OpeningReason,
    OpeningState,
    SessionId,
)

tables = BoardTables("identity")

accounts = tables.define(
    "account",
    Column("id", Id, primary_key=True),
    Column("staff_no", String(32), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("title", String(100), nullable=False),
    Column("department", String(32), nullable=False),
    Column("kind", State(AccountKind), nullable=False),
    Column("state", State(AccountState), nullable=False),
    Column("grants", Stored(tuple[Grant, ...]), nullable=False),
    Column("state_reason", String(400), nullable=False),
    Column("is_demo", Boolean, nullable=False),
    Column("password_hash", String(200)),
    Column("password_at", Moment),
    Column("earlier_hashes", Stored(tuple[str, ...]), nullable=False),
    Column("code_hash", String(64)),
    Column("code_until", Moment),
    Column("opened_at", Moment, nullable=False),
    scope="shared",
    why_shared="a person may work at several campuses; administration is cut by the grants",
)

sessions = tables.define(
    "session",
    Column("id", Id, primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("staff", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("workplace", String(100), nullable=False),
    Column("language", String(16), nullable=False),
    Column("device", String(100), nullable=False),
    Column("address", String(64), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("locked_at", Moment),
    Column("ended_at", Moment),
    Column("end_reason", State(EndReason)),
    Index("ix_identity_session_staff", "staff", "ended_at"),
    Index("ix_identity_session_ends", "ends_at"),
    scope="shared",
    why_shared="a session is found by its reference before anybody's campus is known",
)

openings = tables.define(
    "opening",
    Column("id", Id, primary_key=True),
    Column("patient", Id, nullable=False),
    Column("reason", State(OpeningReason), nullable=False),
    Column("words", Text, nullable=False),
    Column("staff", Id, nullable=False),
    Column("staff_no", String(32), nullable=False),
    Column("name", String(100), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("state", State(OpeningState), nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("until", Moment, nullable=False),
    Column("review_by", Moment, nullable=False),
    Column("reviewed_by", Id),
    Column("reviewed_at", Moment),
    Column("finding", Text, nullable=False),
    Index("ix_identity_opening_staff", "staff", "until"),
    Index("ix_identity_opening_state", "state", "campus", "opened_at"),
    scope="campus",
)

places = tables.define(
    "place",
    Column("code", String(32), primary_key=True),
    Column("name_zh", String(100), nullable=False),
    Column("name_en", String(100), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("is_campus", Boolean, nullable=False),
    scope="shared",
    why_shared="names of campuses and departments, shown before anybody is signed in",
)


site = tables.define(
    "site",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("profile", String(16), nullable=False),
    scope="shared",
    why_shared="one row: whether this data folder is a demo's or a hospital's",
)


class Credentials(Account):
    """An account with what opens it. Never leaves this board."""

    state_reason: Plain = ""
    password_hash: Secret | None = None
    password_at: Instant | None = None
    earlier_hashes: tuple[Secret, ...] = ()
    code_hash: Secret | None = None
    code_until: Instant | None = None
    opened_at: Instant | None = None

    def public(self) -> Account:
        return Account(**{f: getattr(self, f) for f in Account.__struct_fields__})


class SessionRow(Message):
    """A session as it is kept."""

    id: SessionId
    token_hash: Secret
    staff: StaffId
    campus: CampusCode
    workplace: Plain
    language: Plain
    device: Plain
    address: Identifying
    started_at: Instant
    seen_at: Instant
    ends_at: Instant
    locked_at: Instant | None = None
    ended_at: Instant | None = None
    end_reason: EndReason | None = None


class PlaceRow(Message):
    code: Plain
    name_zh: Plain
    name_en: Plain
    campus: CampusCode
    is_campus: bool


class SiteRow(Message):
    id: int
    profile: Plain
