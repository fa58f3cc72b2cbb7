"""States change by the table and in no other way."""

from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugward.kernel import Lifecycle, WrongState


class Door(StrEnum):
    OPEN = "open"
    SHUT = "shut"
    LOCKED = "locked"
    GONE = "gone"


states = st.sampled_from(list(Door))
tables = st.fixed_dictionaries({state: st.frozensets(states) for state in Door})


@given(tables, states, states)
def test_a_move_is_allowed_exactly_when_the_table_has_it(
    moves: dict[Door, frozenset[Door]], state: Door, to: Door
) -> None:
    lifecycle = Lifecycle(moves)
    if to in moves[state]:
        lifecycle.check(state, to)
    else:
        with pytest.raises(WrongState) as refused:
            lifecycle.check(state, to)
        assert (refused.value.state, refused.value.to) == (state.value, to.value)
    assert lifecycle.allows(state, to) is (to in moves[state])
    assert lifecycle.final(state) is (not moves[state])


def test_a_forgotten_state_is_noticed_at_import() -> None:
    with pytest.raises(ValueError, match="gone"):
        Lifecycle({Door.OPEN: {Door.SHUT}, Door.SHUT: {Door.OPEN}, Door.LOCKED: set()})
