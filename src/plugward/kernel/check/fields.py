"""Fields 字段: every text of a contract says what it may hold about a person (SEC-DATA-01)."""

import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import msgspec

from plugward.kit.message import Message

from ..board import Board
from .findings import Finding, Findings

CLASSES = ("none", "identifier", "phi", "phi5", "secret")


def unclassed_texts(board: Board) -> Findings:
    """A bare ``str`` in a message, an event, a refusal, a fact row, an argument or an answer."""
    for owner, name, hint in _texts(board):
        if _is_bare(hint):
            yield Finding(
                "SEC-DATA-01",
                f"{board.name}.{owner}.{name}",
                "is a bare str; say what it may hold: Plain, Identifying, Clinical, Sensitive or "
                "Secret",
            )


def _texts(board: Board) -> Iterator[tuple[str, str, Any]]:
    if board.contract is not None:
        for operation in board.contract.operations.values():
            for name, hint in hints_of(operation.request).items():
                yield operation.name, name, hint
            yield operation.name, "answer", operation.returns
        for kind in (*board.contract.messages, *board.contract.events):
            for name, hint in hints_of(kind).items():
                yield kind.__name__, name, hint
        for refusal in board.contract.refusals:
            for name, hint in hints_of(refusal.fields_type).items():
                yield refusal.__name__, name, hint
    for fact in board.facts:
        for name, hint in hints_of(fact.row).items():
            yield fact.row.__name__, name, hint


def hints_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """A struct's fields with their types as written, inherited ones too."""
    if issubclass(kind, Message):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {name: hints[name] for name in kind.__struct_fields__}
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


def _is_bare(hint: Any) -> bool:
    """A ``str`` without a class. A ``NewType`` over ``str`` is a code with a name of its own."""
    if hint is str:
        return True
    if get_origin(hint) is Annotated:
        base, *marks = get_args(hint)
        return _is_bare(base) and not any(_classed(mark) for mark in marks)
    if get_origin(hint) in (tuple, typing.Union, types.UnionType):
        return any(_is_bare(part) for part in get_args(hint))
    return False


def _classed(mark: Any) -> bool:
    return isinstance(mark, msgspec.Meta) and (mark.extra or {}).get("data_class") in CLASSES
