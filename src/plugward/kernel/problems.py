"""Problems 出错应答: how a refusal, an outage or a fault crosses a border and comes back the same.

Refusals travel as their code and fields, never as prose or a traceback. One whose class this
process does not know (a newer board) arrives as its kind, with the code it was sent under.
"""

from typing import Any

import msgspec

from .codec import convert, pack, unpack
from .refusals import (
    KNOWN_REFUSALS,
    Conflict,
    Fault,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    Unavailable,
)

_KINDS: dict[str, type[Refusal]] = {k.kind: k for k in (Invalid, NotFound, Forbidden, Conflict)}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What travels. ``kind`` is a refusal's kind, ``unavailable`` or ``fault``."""

    kind: str
    code: str = ""
    fields: dict[str, Any] = {}
    board: str = ""
    reason: str = ""
    trace: str = ""


def to_wire(error: Refusal | Unavailable | Fault) -> bytes:
    """Encode one of the closed list of errors."""
    if isinstance(error, Refusal):
        fields = msgspec.to_builtins(error.values, builtin_types=(bytes,))
        return pack(Problem(error.kind, error.code, fields))
    if isinstance(error, Unavailable):
        return pack(Problem("unavailable", board=error.board, reason=error.reason))
    return pack(Problem("fault", trace=error.trace))


def from_wire(data: bytes) -> Refusal | Unavailable | Fault:
    """The error that was sent; an equal one, of the same class where it is known."""
    return error_of(unpack(data, Problem))


def error_of(problem: Problem) -> Refusal | Unavailable | Fault:
    """The error that a problem tells of, whatever it was written in."""
    if problem.kind == "unavailable":
        return Unavailable(problem.board, problem.reason)
    if problem.kind == "fault":
        return Fault(problem.trace)
    known = KNOWN_REFUSALS.get(problem.code)
    if known is None:
        return unknown_refusal(problem)
    fields = convert(problem.fields, known.fields_type)
    return known(**{name: getattr(fields, name) for name in known.fields_type.__struct_fields__})


def unknown_refusal(problem: Problem) -> Refusal:
    """Its kind is what callers may act upon; the code is kept for whoever knows it."""
    kind = _KINDS.get(problem.kind, Conflict)
    refusal = kind()
    refusal.sent_as = problem.code
    return refusal
