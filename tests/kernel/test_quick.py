"""The short way to SQLite says and refuses the same as the long one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

import pytest
from sqlalchemy import Column, Connection, Integer, String, bindparam, create_engine, select
from sqlalchemy.exc import IntegrityError, OperationalError

from plugward.kernel import BoardTables, Id, Message, Moment, Plain, Reading, State
from plugward.kernel.envelope import Call, Envelope, board_actor
from plugward.kernel.store import quick
from plugward.kernel.store.statements import insert_into
from plugward.kit.ids import new_id
from plugward.kit.time import Instant

NOW = datetime(2026, 11, 25, 8, 30, 0, 123_457, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


tables = BoardTables("quick")
bags = tables.define(
    "bag",
    Column("id", Id, primary_key=True),
    Column("colour", State(Colour), nullable=True),
    Column("packed_at", Moment, nullable=False),
    Column("label", String(40), nullable=False),
    Column("weight", Integer, nullable=False),
    why_shared="a test",
)
wards = tables.define(
    "ward", Column("id", Id, primary_key=True), Column("campus", String(16)), scope="campus"
)


class Bag(Message):
    id: UUID
    colour: Colour | None
    packed_at: Instant
    label: Plain
    weight: int


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as opened:
        tables.metadata.create_all(opened)
        yield opened
    engine.dispose()


def packed(connection: Connection, count: int) -> list[Bag]:
    made = [
        Bag(
            id=new_id(),
            colour=(Colour.RED, Colour.BLUE, None)[number % 3],
            packed_at=NOW,
            label=f"袋{number}",
            weight=number,
        )
        for number in range(count)
    ]
    quick.add(connection, insert_into(bags), [bag.fields() for bag in made])
    return made


def reader(connection: Connection) -> Reading:
    envelope = Envelope(
        request=new_id(), actor=board_actor("quick", frozenset()), campus="", trace="t"
    )
    return Reading(connection, tables, Call(envelope), NOW)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 50])
def test_what_was_put_in_comes_out_the_same_both_ways(connection: Connection, count: int) -> None:
    made = packed(connection, count)
    read = reader(connection)
    short = read.find(bags, Bag, limit=100, order_by="weight", id=tuple(bag.id for bag in made))
    long = read.find(bags, Bag, bags.c.weight >= 0, limit=100, order_by="weight")
    assert short == long == tuple(made)
    assert all(bag.id == UUID(bytes=bag.id.bytes) and bag.id.is_safe for bag in short)
    assert len({bag.id for bag in short}) == count


def test_lists_of_any_length_find_what_they_name(connection: Connection) -> None:
    made = packed(connection, 40)
    read = reader(connection)
    for count in (0, 1, 2, 3, 5, 17, 33, 40):
        wanted = tuple(bag.id for bag in made[:count])
        assert read.count(bags, id=wanted) == count
        assert len(read.find(bags, Bag, limit=100, id=wanted)) == count
    assert read.count(bags, colour=None) == sum(bag.colour is None for bag in made)


def test_a_doubled_key_is_told_as_ever(connection: Connection) -> None:
    [bag] = packed(connection, 1)
    with pytest.raises(IntegrityError) as told:
        quick.add(connection, insert_into(bags), [bag.fields()])
    assert bag.label not in str(told.value)  # values stay out of errors


def test_trouble_of_the_file_keeps_its_code(connection: Connection) -> None:
    packed(connection, 1)
    connection.exec_driver_sql("PRAGMA query_only=1")
    with pytest.raises(OperationalError) as told:
        packed(connection, 1)
    assert getattr(told.value.orig, "sqlite_errorcode", 0) & 0xFF == 8  # read-only


def test_a_kept_select_takes_its_values_each_time(connection: Connection) -> None:
    made = packed(connection, 20)
    heavy = (
        select(*(bags.c[name] for name in Bag.__struct_fields__))
        .where(bags.c.weight >= bindparam("least"), bags.c.colour == Colour.RED)
        .order_by(bags.c.weight)
        .limit(bindparam("limit", type_=Integer))
    )
    read = reader(connection)
    for least in (0, 9, 19, 20):
        expected = [b for b in made if b.weight >= least and b.colour is Colour.RED][:3]
        assert read.kept(heavy, Bag, least=least, limit=3) == tuple(expected)


def test_a_kept_select_may_not_pass_by_the_campuses(connection: Connection) -> None:
    other = wards.alias("other")
    for table in (wards, other):
        with pytest.raises(TypeError, match="shared"):
            reader(connection).kept(select(table.c.id).limit(1), Bag)
