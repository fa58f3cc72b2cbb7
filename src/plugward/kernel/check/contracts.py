"""Contracts 契约: operations, refusals and events say what they promise, in both languages."""

import inspect
import re
from typing import Any

import msgspec

from ..board import Board
from ..contracts import Operation
from ..message import Event, tag_of
from ..refusals import Refusal
from .fields import hints_of
from .findings import Finding, Findings

_TAG = re.compile(r"^([a-z][a-z0-9_]*)\.[a-z0-9_]+\.[a-z0-9_]+\.v\d+$")
_QUOTED = re.compile(r"``(\w+)``")
_SLOT = re.compile(r"\{(\w+)\}")
_CHINESE = re.compile(r"[一-鿿]")
SHORTEST_DOC = 10


def check_operations(board: Board) -> Findings:
    """Each operation says what it does and names the refusals it may raise."""
    if board.contract is None:
        return
    named: set[str] = set()
    for operation in board.contract.operations.values():
        where = operation.full_name
        if len(operation.doc) < SHORTEST_DOC:
            yield Finding("documented", where, "has no docstring; say what it promises")
        named |= set(_QUOTED.findall(operation.doc))
    for page in board.pages:
        named |= set(_QUOTED.findall(inspect.getdoc(page.function) or ""))
    own = {refusal.__name__: refusal for refusal in board.contract.refusals}
    for name, refusal in own.items():
        if name not in named and not _has_children(refusal, own):
            yield Finding(
                "refusals",
                f"{board.name}.{name}",
                f"is named by no operation; write ``{name}`` into the docstring of each that "
                f"raises it, or drop it",
            )
    if len(board.contract.doc) < SHORTEST_DOC:
        yield Finding("documented", board.name, "the contract's Protocol has no docstring")


def unaudited(board: Board) -> tuple[str, ...]:
    """Operations that leave no entry of their own, for a reviewer to read."""
    found: list[Operation] = list(board.contract.operations.values()) if board.contract else []
    return tuple(f"{o.full_name} leaves no audit entry of its own" for o in found if not o.audited)


def check_refusals(board: Board) -> Findings:
    """Each refusal has its Chinese sentence and its English one, with fields that exist."""
    if board.contract is None:
        return
    english = board.strings.get("en", {}).get("refusals", {})
    for refusal in board.contract.refusals:
        where = f"{board.name}.{refusal.__name__}"
        fields = set(refusal.fields_type.__struct_fields__)
        chinese = inspect.cleandoc(vars(refusal).get("__doc__") or "")
        if not _CHINESE.search(chinese):
            yield Finding(
                "refusals", where, "its docstring must be the Chinese sentence people read"
            )
        sentence = english.get(refusal.__name__)
        if sentence is None:
            yield Finding(
                "strings",
                where,
                f"has no English sentence; add {refusal.__name__} under [refusals] in "
                f"strings/en.toml",
            )
        for language, text in (("docstring", chinese), ("strings/en.toml", sentence or "")):
            for slot in sorted(set(_SLOT.findall(text)) - fields):
                yield Finding("refusals", where, f"its {language} fills in {{{slot}}}, no field")
    for name in sorted(set(english) - {r.__name__ for r in board.contract.refusals}):
        if not _is_refusal_elsewhere(name):
            yield Finding("strings", board.name, f"strings/en.toml has {name}, no refusal of it")


def _is_refusal_elsewhere(name: str) -> bool:
    """A board may word the kernel's refusals for its own pages."""
    from ..refusals import KNOWN_REFUSALS  # noqa: PLC0415 - filled while contracts are imported

    return name in KNOWN_REFUSALS


def _has_children(refusal: type[Refusal], own: dict[str, type[Refusal]]) -> bool:
    return any(other is not refusal and issubclass(other, refusal) for other in own.values())


def check_events(board: Board) -> Findings:
    """Each event is ``board.subject.past.vN``, has a key that exists, and says what happened."""
    if board.contract is None:
        return
    path = board.folder / "README.md"
    readme = path.read_text("utf-8") if path.exists() else ""
    for event in board.contract.events:
        where = f"{board.name}.{event.__name__}"
        match = _TAG.match(tag_of(event))
        if match is None or match.group(1) != board.name:
            yield Finding(
                "events", where, f"its tag {tag_of(event)!r} must read {board.name}.subject.past.v1"
            )
        told = (vars(event).get("__doc__") or "").strip() or tag_of(event) in readme
        if not told:
            yield Finding(
                "documented",
                where,
                f"say what has happened: in its docstring, or with {tag_of(event)} in README.md",
            )
        yield from _check_key(event, where)


def _check_key(event: type[Event], where: str) -> Findings:
    if not event.ordering_key:
        yield Finding("events", where, 'has no ordering key; write key="…" on its class line')
        return
    kind: Any = event
    for part in event.ordering_key.split("."):
        fields = hints_of(kind) if _is_struct(kind) else {}
        if part not in fields and isinstance(getattr(kind, part, None), property):
            return
        if part not in fields:
            yield Finding(
                "events", where, f"its key {event.ordering_key!r} leads to no field {part!r}"
            )
            return
        kind = fields[part]


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
