"""FHIR search as the standard means it: dates by their stretch, tokens, escapes, pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugward.commons.hub.fhir.search import fits, in_order, understand
from plugward.kernel.fhir import Json, Resource, Unfit, moment, reference, span_of, string, token


async def nobody(id_: str) -> Json | None:
    del id_
    return None


KIND = Resource(
    type="Thing",
    read=nobody,
    params={
        "when": moment("when|period"),
        "code": token("code"),
        "status": token("status"),
        "title": string("title"),
        "who": reference("who", "Patient"),
        "person": reference("who", "Patient", is_kept=True),
    },
)
DAY: Json = {"resourceType": "Thing", "id": "1", "when": "2026-03-02T10:15:00.000+08:00"}
STAY: Json = {"resourceType": "Thing", "id": "2", "period": {"start": "2026-03-02"}}


def found(resource: Json, *pairs: tuple[str, str]) -> bool:
    return fits(resource, understand(KIND, pairs).criteria)


@pytest.mark.parametrize(
    ("value", "is_day", "is_stay"),
    [
        ("2026-03-02", True, False),  # a stay without an end is not within a day
        ("eq2026-03", True, False),
        ("ne2026-03-02", False, True),
        ("gt2026-03-02", False, True),
        ("ge2026-03-02", True, True),
        ("lt2026-03-02", False, False),
        ("le2026-03-02", True, False),
        ("sa2026-03-01", True, True),
        ("eb2026-03-03", True, False),
        ("2026-03-02T10:15:00+08:00", True, False),
        ("2026-03-02T02:15Z", True, False),
        ("2026-03-02T10:16", False, False),
    ],
)
def test_a_date_is_the_stretch_it_names(value: str, is_day: bool, is_stay: bool) -> None:
    assert found(DAY, ("when", value)) is is_day
    assert found(STAY, ("when", value)) is is_stay


@pytest.mark.parametrize("value", ["", "x2026", "2026-13", "9999-12", "2026-02-30", "ap2026", "20"])
def test_what_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(Unfit):
        understand(KIND, [("when", value)])


@given(st.text(max_size=12))
def test_no_text_is_more_than_refused_as_a_date(text: str) -> None:
    try:
        start, end = span_of(text)
    except ValueError:
        return
    assert start < end


def test_a_token_is_told_by_its_system_where_one_is_said() -> None:
    thing: Json = {"code": {"coding": [{"system": "s", "code": "a"}]}, "status": "final"}
    for value, is_found in (("a", True), ("s|a", True), ("t|a", False), ("|a", False),
                            ("s|", True), ("t|", False), ("b,a", True)):  # fmt: skip
        assert found(thing, ("code", value)) is is_found, value
    assert found(thing, ("status", "http://x|final"))
    assert not found(thing, ("status", "amended"))


def test_commas_are_alternatives_unless_they_are_escaped() -> None:
    thing: Json = {"title": "ab, cd"}
    assert found(thing, ("title", r"ab\, cd"))
    assert not found(thing, ("title", r"x\, ab"))
    assert found(thing, ("title", "x,AB"))
    assert found(thing, ("title:contains", "CD"))
    assert not found(thing, ("title:exact", "ab"))
    assert not found(thing, ("title", "ab"), ("title", "cd"))  # both are asked for


def test_a_reference_is_told_by_id_or_with_its_type() -> None:
    thing: Json = {"who": {"reference": "Patient/1"}}
    for name, value, is_found in (("who", "1", True), ("who", "Patient/1", True),
                                  ("who", "http://h/fhir/R4/Patient/1", True),
                                  ("who", "Device/1", False), ("who:Patient", "1", True),
                                  ("who", "2", False)):  # fmt: skip
        assert found(thing, (name, value)) is is_found, value


def test_what_a_board_keeps_to_by_itself_is_asked_once() -> None:
    with pytest.raises(Unfit):
        understand(KIND, [("person", "1"), ("person", "2")])


def test_things_without_the_key_come_last_both_ways() -> None:
    things: list[Json] = [{"id": "1"}, {"id": "2", "title": "b"}, {"id": "3", "title": "a"}]
    for sort, order in (("title", "321"), ("-title", "231"), ("-_id", "321")):
        wish = understand(KIND, [("_sort", sort)])
        assert "".join(one["id"] for one in in_order(KIND, things, wish)) == order


def test_a_page_belongs_to_one_search() -> None:
    wish = understand(KIND, [("title", "a")])
    page = understand(KIND, [("title", "a"), ("_page", wish.page(20))])
    assert page.offset == 20
    for other in ([("title", "b")], [("title", "a"), ("_sort", "title")]):
        with pytest.raises(Unfit):
            understand(KIND, [*other, ("_page", wish.page(20))])
