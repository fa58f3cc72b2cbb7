"""Filters and attributes of templates."""

from datetime import date
from decimal import Decimal

import pytest
from markupsafe import Markup

from plugward.commons.portal.rendering import (
    attributes,
    json_data,
    masked,
    money,
    number,
    yuan,
)
from plugward.commons.portal.words import LANGUAGES, fill, own_catalogue
from plugward.kit.money import Money


def test_money_is_shown_to_the_fen() -> None:
    assert money(Money(fen=41832)) == "418.32"
    assert yuan(Money(fen=-6219)) == "-¥62.19"
    assert yuan(None) == "—"
    assert number(6718) == "6,718"
    assert number(Decimal("0.50")) == "0.5"


def test_names_on_public_screens_are_masked() -> None:
    assert [masked(n) for n in ("沈玉兰", "何静", "欧阳修远", "安", "", None)] == [
        "沈*兰", "何*", "欧*远", "安*", "*", "*",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ['"', "'", "<", "&", "</script>", "\u2028", "'><img src=x>"])
def test_data_in_a_page_cannot_end_their_element_or_attribute(text: str) -> None:
    inside = json_data({"t": text})
    for sign in ("'", "<", ">", "&", "\u2028"):
        assert sign not in inside
    value = attributes({"hx-vals": {"t": text}, "title": text})
    assert value.count('"') == 4
    assert "<" not in value


def test_attributes_may_be_left_out_and_prepared_ones_stay() -> None:
    assert attributes({"a": None, "b": False, "c": True, "d": 0}) == ' c="" d="0"'
    assert attributes({"hx-vals": Markup("{&#34;a&#34;: 1}")}) == ' hx-vals="{&#34;a&#34;: 1}"'
    with pytest.raises(AssertionError):
        attributes({'x" onclick="y': "z"})


def test_nothing_but_the_named_fields_is_filled_in() -> None:
    values = {"a": "{b}", "b": date(2026, 3, 2)}
    assert fill("{a} {b} {c} {a.x}", values) == "{b} 2026-03-02 {c} {a.x}"


def test_both_languages_have_the_same_words() -> None:
    first, second = (own_catalogue(language) for language in LANGUAGES)
    for table in ("ui", "js"):
        assert set(first[table]) == set(second[table])
