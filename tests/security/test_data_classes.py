"""SEC-DATA-01: every text of every contract says what it may hold about a person."""

import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Protocol, get_args, get_origin

import msgspec
import pytest

from plugward.kernel import Message, command, contract, query
from plugward.kernel.contracts import Contract, contract_of
from plugward.kit.message import Identifying, Plain
from plugward.rack.discover import board_entries, discover

CLASSES = {"none", "identifier", "phi", "phi5", "secret"}


def unmarked(found: Contract) -> list[str]:
    """``Message.field`` for every text without a class, in messages, events, refusals, calls."""
    wrong: list[str] = []
    kinds: list[type[msgspec.Struct]] = [*found.messages, *found.events]
    for kind in kinds:
        wrong += _unmarked_fields(kind, kind.__name__)
    for refusal in found.refusals:
        hints = typing.get_type_hints(refusal, include_extras=True)
        for name in refusal.fields_type.__struct_fields__:
            wrong += [f"{refusal.__name__}.{name}" for _ in bare_texts(hints[name])]
    for operation in found.operations.values():
        wrong += _unmarked_fields(operation.request, operation.full_name)
        wrong += [f"{operation.full_name} answer" for _ in bare_texts(operation.returns)]
    return sorted(set(wrong))


def _unmarked_fields(kind: type[msgspec.Struct], name: str) -> list[str]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return [
        f"{name}.{field.name}"
        for field in msgspec.structs.fields(kind)
        for _ in bare_texts(hints[field.name])
    ]


def bare_texts(hint: Any, *, marked: bool = False) -> Iterator[Any]:
    """Every ``str`` in a type that carries no class. A ``NewType`` of ``str`` is a code."""
    if get_origin(hint) is Annotated:
        classes = {
            (getattr(meta, "extra", None) or {}).get("data_class") for meta in get_args(hint)[1:]
        }
        yield from bare_texts(get_args(hint)[0], marked=bool(classes & CLASSES))
    elif isinstance(hint, typing.NewType):
        return
    elif get_origin(hint) in (tuple, typing.Union, types.UnionType):
        for part in get_args(hint):
            yield from bare_texts(part)
    elif hint is str and not marked:
        yield hint


def contracts() -> list[Contract]:
    return [board.contract for board in discover().boards if board.contract is not None]


@pytest.mark.parametrize("found", contracts(), ids=lambda found: found.name)
def test_sec_data_01_every_text_of_a_contract_has_a_class(found: Contract) -> None:
    assert unmarked(found) == []


def test_sec_data_01_no_board_is_left_out() -> None:
    assert {found.name for found in contracts()} == set(board_entries())


def test_sec_data_01_an_unmarked_text_is_found_wherever_it_stands() -> None:
    """The finder finds what it is for: a message, an event, a refusal, a call, an answer."""
    planted = contract_of(_planted())
    found = unmarked(planted)
    assert found == [
        "Careless.name",
        "Careless.names",
        "planted.ask answer",
        "planted.ask.words",
    ]
    assert [text for text in bare_texts(tuple[str | None, ...])] == [str]
    assert list(bare_texts(tuple[Identifying | None, ...])) == []


class Careless(Message):
    name: str
    names: tuple[str, ...]
    label: Plain


def _planted() -> type:
    @contract("planted")
    class Planted(Protocol):
        """Breaks the rule in every place."""

        @query(permission="planted.ask")
        async def ask(self, words: str) -> tuple[str, ...]: ...

        @command(permission="planted.tell")
        async def tell(self, label: Plain) -> None: ...

    return Planted
