"""Masking 脱敏: people's numbers and addresses are shown whole only to who may see them.

SEC-DATA-09. A ``Masked`` text leaves the boards with stars in its middle, whatever the output
(JSON, a page, FHIR, a file), unless the person who asks holds ``<board>.see-identifiers``.
Between boards nothing is masked: they work with the values.
"""

import typing
from functools import cache
from typing import Annotated, Any, cast, get_args

import msgspec

from .contracts import Operation
from .envelope import ActorKind, current_call

HEAD, TAIL = 3, 4
"""What of a number stays readable: 138****5678, 110***********1234."""
STARS = "****"


def shown(operation: Operation, answer: Any) -> Any:
    """The answer as whoever stands at the edge may see it."""
    if not hides(operation):
        return answer
    call = current_call()
    if call is None or call.operation is not None:
        return answer  # a board asks; what it shows of it passes an edge of its own
    actor = call.envelope.actor
    if actor.kind is not ActorKind.PERSON or permission_of(operation.board) in actor.permissions:
        return answer
    return conceal(answer)


def permission_of(board: str) -> str:
    """The permission that shows a board's masked fields whole."""
    return f"{board}.see-identifiers"


@cache
def hides(operation: Operation) -> bool:
    """Whether its answer can hold a masked field."""
    return _reaches(operation.returns)


def conceal(value: Any) -> Any:
    """The same value with every masked field's middle replaced; what holds none is returned."""
    if isinstance(value, tuple):
        return tuple(map(conceal, cast("tuple[Any, ...]", value)))
    if not isinstance(value, msgspec.Struct):
        return value
    masked, deeper = _plan(type(value))
    changes = {name: masked_text(getattr(value, name)) for name in masked}
    changes |= {name: conceal(getattr(value, name)) for name in deeper}
    return msgspec.structs.replace(value, **changes) if changes else value


def masked_text(text: str | None) -> str | None:
    """138****5678. Words, and what is too short to keep its ends, lose all but their beginning."""
    if not text:
        return text
    if not text.isascii() or len(text) <= HEAD + TAIL:
        return text[: min(HEAD, len(text) // 3)] + STARS
    return text[:HEAD] + "*" * (len(text) - HEAD - TAIL) + text[-TAIL:]


@cache
def _plan(kind: type[msgspec.Struct]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields that are masked, and those that have masked ones inside."""
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = [(name, hints[name]) for name in kind.__struct_fields__]
    masked = tuple(name for name, hint in fields if _is_masked(hint))
    inside = (name for name, hint in fields if name not in masked and _reaches(hint))
    return masked, tuple(inside)


def _is_masked(hint: Any) -> bool:
    """A masked text, or one that may be missing."""
    if typing.get_origin(hint) is Annotated:
        marks = (mark for mark in get_args(hint)[1:] if isinstance(mark, msgspec.Meta))
        return any((mark.extra or {}).get("masked") for mark in marks)
    return type(None) in get_args(hint) and any(_is_masked(part) for part in get_args(hint))


def _reaches(hint: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a masked text lies somewhere inside this type."""
    if _is_masked(hint):
        return True
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        if hint in seen:
            return False
        fields = typing.get_type_hints(hint, include_extras=True).values()
        return any(_reaches(field, seen | {hint}) for field in fields)
    return any(_reaches(part, seen) for part in get_args(hint))
