"""The table documents owns: shared versions, added and never changed."""

from sqlalchemy import Column, Index, Integer, LargeBinary, String

from plugward.kernel import BoardTables, Id, Moment

tables = BoardTables("documents")

shared = tables.define(
    "shared",
    Column("id", Id, primary_key=True),
    Column("set", Id, nullable=False),
    Column("code", String(8), nullable=False),
    Column("version", Integer, nullable=False),
    Column("patient", Id, nullable=False),
    Column("encounter", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("signed_at", Moment, nullable=False),
    Column("shared_at", Moment, nullable=False),
    Column("shared_by", String(80), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("replaces", Id, nullable=True),
    Column("content", LargeBinary(16_000_000), nullable=False),  # deflated XML
    Index("ix_documents_shared_patient", "patient", "signed_at"),
    scope="campus",
    shard="patient",
)
