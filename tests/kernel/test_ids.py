"""Ids are made by the caller, and those that follow from them are always the same."""

import time
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from plugward.kit.ids import derive, id_milliseconds, new_id, seeded_id

moments = st.integers(0, 2**48 - 1)
parts = st.lists(st.text(max_size=12) | st.integers() | st.uuids(), min_size=1, max_size=4)


def test_a_new_id_is_a_version_7_of_this_moment() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, UUID(int=0x8 << 60).variant)
    assert before <= id_milliseconds(made) <= after


def test_no_two_ids_are_the_same() -> None:
    assert len({new_id() for _ in range(20_000)}) == 20_000


@given(moments, moments, st.binary(max_size=8), st.binary(max_size=8))
def test_ids_sort_by_the_time_they_were_made(one: int, other: int, a: bytes, b: bytes) -> None:
    """按编号排序就是按时间排序。"""
    first, second = seeded_id(one, a), seeded_id(other, b)
    if one != other:
        assert (first < second) == (one < other)
        assert (first.bytes < second.bytes) == (one < other)


@given(moments, st.binary(max_size=8), parts)
def test_what_follows_from_an_id_is_as_old_as_it_and_always_the_same(
    moment: int, seed: bytes, names: list[object]
) -> None:
    parent = seeded_id(moment, seed)
    child = derive(parent, *names)
    assert child == derive(parent, *names)
    assert id_milliseconds(child) == moment == id_milliseconds(parent)
    assert child != parent
    assert child.version == 7


@given(moments, parts, parts)
def test_different_names_give_different_ids(
    moment: int, one: list[object], other: list[object]
) -> None:
    parent = seeded_id(moment, b"")
    same = [str(part) for part in one] == [str(part) for part in other]
    assert (derive(parent, *one) == derive(parent, *other)) or not same
    assert (
        same
        or "\x1f" in "".join(map(str, one + other))
        or (derive(parent, *one) != derive(parent, *other))
    )


@given(moments, st.binary(max_size=8), st.binary(max_size=8))
def test_one_name_under_two_parents_gives_two_ids(moment: int, a: bytes, b: bytes) -> None:
    if a != b:
        one, other = seeded_id(moment, a), seeded_id(moment, b)
        assert derive(one, "charge") != derive(other, "charge")
