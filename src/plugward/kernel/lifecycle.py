"""Lifecycle 状态机: the only way a state changes."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from plugward.kit.message import Plain

from .refusals import Conflict

S = TypeVar("S", bound=StrEnum)


class WrongState(Conflict):
    """当前状态为“{state}”，不能变为“{to}”。"""

    state: Plain
    to: Plain


class Lifecycle(Generic[S]):
    """A table of moves: ``{state: {next, …}}``. Every state of the enum must have a row."""

    def __init__(self, moves: Mapping[S, Collection[S]]) -> None:
        states = set(type(next(iter(moves))))
        if missing := states - set(moves):
            raise ValueError(f"no row for the states {sorted(missing)}")
        self.moves: dict[S, frozenset[S]] = {s: frozenset(to) for s, to in moves.items()}

    def check(self, state: S, to: S) -> None:
        """Refuse with ``WrongState`` unless the move is in the table."""
        if to not in self.moves[state]:
            raise WrongState(state=state.value, to=to.value)

    def allows(self, state: S, to: S) -> bool:
        return to in self.moves[state]

    def final(self, state: S) -> bool:
        """True if nothing follows this state."""
        return not self.moves[state]
