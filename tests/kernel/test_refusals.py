"""Refusals carry a code and fields, and arrive as they were sent."""

import copy
import pickle
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugward.kernel import Conflict, Fault, Invalid, NotFound, Plain, Refusal, Unavailable
from plugward.kernel.codec import pack
from plugward.kernel.problems import Problem, from_wire, to_wire
from plugward.kernel.refusals import KERNEL_REFUSALS, Forbidden, NotAllowed
from plugward.kit.money import Money


class Colour(StrEnum):
    RED = "red"


class Everything(Conflict):
    """{text} {colour} {amount}"""

    text: Plain
    colour: Colour
    amount: Money
    ratio: Decimal
    id: UUID
    at: datetime
    day: date
    maybe: int | None = None
    many: tuple[int, ...] = ()


class MoreThanEverything(Everything):
    """{text} and more"""

    more: int


texts = st.text(max_size=40)
everything = st.fixed_dictionaries(
    {
        "text": texts,
        "colour": st.just(Colour.RED),
        "amount": st.builds(Money, fen=st.integers(-(2**60), 2**60)),
        "ratio": st.decimals(allow_nan=False, allow_infinity=False, places=4),
        "id": st.uuids(),
        "at": st.datetimes(timezones=st.just(UTC)),
        "day": st.dates(),
    },
    optional={"maybe": st.none() | st.integers(0, 9), "many": st.tuples(st.integers(0, 9))},
)


@given(everything)
def test_a_refusal_arrives_as_it_was_sent(fields: dict[str, Any]) -> None:
    sent = Everything(**fields)
    arrived = from_wire(to_wire(sent))
    assert type(arrived) is Everything
    assert isinstance(arrived, Refusal)
    assert arrived.values == sent.values
    assert (arrived.code, arrived.text, arrived.amount) == (sent.code, sent.text, sent.amount)


@given(everything)
def test_a_refusal_can_be_copied_and_kept(fields: dict[str, Any]) -> None:
    sent = MoreThanEverything(**fields, more=1)
    for again in (pickle.loads(pickle.dumps(sent)), copy.copy(sent)):  # noqa: S301 - our own bytes
        assert type(again) is MoreThanEverything
        assert again.values == sent.values


@pytest.mark.parametrize("kind", KERNEL_REFUSALS)
def test_the_kernels_own_refusals_cross_every_border(kind: type[Refusal]) -> None:
    sent = kind(**dict.fromkeys(kind.fields_type.__struct_fields__, "x"))
    assert type(from_wire(to_wire(sent))) is kind


def test_outages_and_faults_cross_without_text() -> None:
    away = from_wire(to_wire(Unavailable("lab", "storage")))
    assert isinstance(away, Unavailable)
    assert (away.board, away.reason) == ("lab", "storage")
    fault = from_wire(to_wire(Fault("4711")))
    assert isinstance(fault, Fault)
    assert fault.trace == "4711"


@pytest.mark.parametrize("kind", [Invalid, NotFound, Forbidden, Conflict])
def test_a_refusal_of_a_newer_board_keeps_its_kind_and_its_code(kind: type[Refusal]) -> None:
    arrived = from_wire(pack(Problem(kind.kind, "lab.InventedTomorrow", {"new": 1})))
    assert isinstance(arrived, kind)
    assert arrived.code == "lab.InventedTomorrow"
    again = from_wire(to_wire(arrived))
    assert isinstance(again, kind)
    assert again.code == "lab.InventedTomorrow"


def test_new_fields_of_a_newer_board_are_ignored() -> None:
    newer = Problem("forbidden", "NotAllowed", {"permission": "lab.read", "added": [1, 2]})
    arrived = from_wire(pack(newer))
    assert isinstance(arrived, NotAllowed)
    assert arrived.permission == "lab.read"


def test_a_refusal_shows_its_fields_names_and_never_their_values() -> None:
    refused = NotAllowed(permission="lab.read")
    assert str(refused) == "NotAllowed(permission)"
    assert "lab.read" not in repr(refused)


def test_a_field_may_not_take_a_word_of_the_envelope() -> None:
    for taken in ("code", "board", "kind", "values"):
        with pytest.raises(TypeError, match=taken):
            type("Wrong", (Conflict,), {"__annotations__": {taken: str}})


def test_a_missing_or_unknown_field_is_noticed_where_it_is_raised() -> None:
    with pytest.raises(TypeError):
        NotAllowed()
    with pytest.raises(TypeError):
        NotAllowed(permission="lab.read", more=1)
