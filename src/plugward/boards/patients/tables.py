"""The tables of the index: what was sent, what is known, and which ids are one person."""

from sqlalchemy import Boolean, Column, Date, Index, Integer, String

from plugward.kernel import BoardTables, Id, Moment, State, Stored
from plugward.vocabulary import Sex

from .contract import (
    AllergySource,
    ContactKind,
    Coverage,
    MatchOutcome,
    Sent,
    Severity,
    TimelineKind,
)

tables = BoardTables("patients")

# A person is one person at every campus; what a campus may not see is in the boards of its visits.
_WHY_SHARED = "one index of persons for all campuses"

patients = tables.define(
    "patient",
    Column("id", Id, primary_key=True),
    Column("name", String(400), nullable=False),
    Column("pinyin", String(80), nullable=False),
    Column("pinyin_full", String(400), nullable=False),
    Column("sex", State(Sex), nullable=False),
    Column("birth_date", Date, nullable=True),
    Column("coverage", Stored(Coverage), nullable=False),
    Column("has_no_known_allergy", Boolean, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("registered_at", Moment, nullable=False),
    Column("author", String(80), nullable=False),
    Index("ix_patients_name", "name"),
    Index("ix_patients_pinyin", "pinyin"),
    Index("ix_patients_pinyin_full", "pinyin_full"),
    Index("ix_patients_birth", "birth_date"),
    why_shared=_WHY_SHARED,
    shard="id",
)

# Every number of every system, the campuses' own among them (then ``local_campus`` says whose).
identifiers = tables.define(
    "identifier",
    Column("system", String(64), primary_key=True),
    Column("value", String(128), primary_key=True),
    Column("patient", Id, nullable=False),
    Column("local_campus", String(16), nullable=True),
    Column("campus", String(16), nullable=False),
    Column("added_at", Moment, nullable=False),
    Column("author", String(80), nullable=False),
    Index("ix_patients_identifier_patient", "patient"),
    Index("ix_patients_identifier_value", "value"),
    why_shared=_WHY_SHARED,
)

contacts = tables.define(
    "contact",
    Column("patient", Id, primary_key=True),
    Column("kind", State(ContactKind), primary_key=True),
    Column("value", String(400), primary_key=True),
    Column("value_end", String(4), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("added_at", Moment, nullable=False),
    Column("author", String(80), nullable=False),
    Index("ix_patients_contact_value", "value"),
    Index("ix_patients_contact_end", "value_end"),
    why_shared=_WHY_SHARED,
    shard="patient",
)

allergies = tables.define(
    "allergy",
    Column("id", Id, primary_key=True),
    Column("patient", Id, nullable=False),
    Column("substance", String(400), nullable=False),
    Column("reaction", Stored(str), nullable=False),
    Column("severity", State(Severity), nullable=False),
    Column("source", State(AllergySource), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("recorded_by", String(80), nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("refuted_because", Stored(str), nullable=True),
    Index("ix_patients_allergy_patient", "patient"),
    why_shared=_WHY_SHARED,
    shard="patient",
)

# What each system sent, as it sent it. Only ever added to.
records = tables.define(
    "record",
    Column("id", Id, primary_key=True),
    Column("patient", Id, nullable=False),
    Column("outcome", State(MatchOutcome), nullable=False),
    Column("sent", Stored(Sent), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("at", Moment, nullable=False),
    Column("author", String(80), nullable=False),
    Index("ix_patients_record_patient", "patient"),
    why_shared=_WHY_SHARED,
    shard="patient",
)

# A merge is a link and nothing else. ``into`` is empty again after it has been undone.
links = tables.define(
    "link",
    Column("patient", Id, primary_key=True),
    Column("into", Id, nullable=True),
    Column("changed_at", Moment, nullable=False),
    Column("author", String(80), nullable=False),
    Index("ix_patients_link_into", "into"),
    why_shared=_WHY_SHARED,
)

link_changes = tables.define(
    "link_change",
    Column("id", Id, primary_key=True),
    Column("patient", Id, nullable=False),
    Column("into", Id, nullable=False),
    Column("is_merge", Boolean, nullable=False),
    Column("reason", String(400), nullable=False),
    Column("at", Moment, nullable=False),
    Column("author", String(80), nullable=False),
    Index("ix_patients_link_change_patient", "patient", "at"),
    why_shared=_WHY_SHARED,
)

candidates = tables.define(
    "candidate",
    Column("patient", Id, primary_key=True),
    Column("other", Id, primary_key=True),
    Column("score_percent", Integer, nullable=False),
    Column("evidence", Stored(tuple[str, ...]), nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("reason", String(400), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("found_at", Moment, nullable=False),
    Index("ix_patients_candidate_open", "is_open", "score_percent"),
    why_shared="the group has one steward's list",
)

# Other boards' facts, as far as a list of what happened needs them.
timeline = tables.define(
    "timeline",
    Column("id", Id, primary_key=True),
    Column("patient", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("at", Moment, nullable=False),
    Column("kind", State(TimelineKind), nullable=False),
    Column("title", Stored(str), nullable=False),
    Column("encounter", Id, nullable=True),
    Column("reference", Id, nullable=True),
    Index("ix_patients_timeline", "patient", "at"),
    scope="campus",
    shard="patient",
)
