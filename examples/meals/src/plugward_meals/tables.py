"""The one table this board owns. No other board reads it."""

from sqlalchemy import Column, Date, Index, String

from plugward.kernel import BoardTables, Id, State

from .contract import MealState, MealTime

tables = BoardTables("meals")

meal_orders = tables.define(
    "meal_order",
    Column("id", Id, primary_key=True),
    Column("encounter", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("ward", Id, nullable=False),
    Column("day", Date, nullable=False),
    Column("time", State(MealTime), nullable=False),
    Column("dish", String(32), nullable=False),
    Column("state", State(MealState), nullable=False),
    Index("ix_meals_ward_day", "ward", "day"),
    Index("ix_meals_encounter_day", "encounter", "day"),
    scope="campus",
    shard="encounter",
)
