"""The portal's table: one key per person, for drafts that are sealed on devices."""

from sqlalchemy import Column, String

from plugward.kernel import Blob, BoardTables, Moment

tables = BoardTables("portal")

draft_keys = tables.define(
    "draft_key",
    Column("staff", String(80), primary_key=True),
    Column("secret", Blob, nullable=False),
    Column("made_at", Moment, nullable=False),
    scope="shared",
    why_shared="a person's key holds at every campus; only that person is ever given it",
    shard="staff",
)
