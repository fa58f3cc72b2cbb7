"""Schemas 契约快照: a contract as data, and whether a change keeps every old caller working."""

import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import msgspec

from ..board import Board
from ..message import tag_of
from .fields import hints_of
from .findings import Finding, Findings


class FieldSchema(msgspec.Struct, frozen=True):
    type: str
    required: bool


class OperationSchema(msgspec.Struct, frozen=True):
    kind: str
    permission: str
    route: str
    parameters: dict[str, FieldSchema]
    answer: str


class ContractSchema(msgspec.Struct, frozen=True):
    """A contract at one version. ``types`` holds every message and event by name."""

    board: str
    version: str
    operations: dict[str, OperationSchema]
    events: dict[str, str]  # tag → the type that carries it
    refusals: dict[str, dict[str, FieldSchema]]
    types: dict[str, dict[str, FieldSchema]]
    enums: dict[str, tuple[str, ...]]


def schema_of(board: Board) -> ContractSchema | None:
    """The contract as it stands in the code; None for a board without one."""
    contract = board.contract
    if contract is None:
        return None
    found = _Found()
    operations = {
        operation.name: OperationSchema(
            kind=operation.kind.value,
            permission=operation.permission,
            route=operation.route.value,
            parameters=found.fields(operation.request),
            answer=found.name(operation.returns),
        )
        for operation in contract.operations.values()
    }
    events = {tag_of(event): found.name(event) for event in contract.events}
    refusals = {r.__name__: found.fields(r.fields_type) for r in contract.refusals}
    return ContractSchema(
        board=board.name,
        version=board.manifest.version,
        operations=operations,
        events=events,
        refusals=refusals,
        types=dict(sorted(found.types.items())),
        enums=dict(sorted(found.enums.items())),
    )


class _Found:
    """Names types and gathers what they are made of."""

    def __init__(self) -> None:
        self.types: dict[str, dict[str, FieldSchema]] = {}
        self.enums: dict[str, tuple[str, ...]] = {}

    def fields(self, kind: type[msgspec.Struct]) -> dict[str, FieldSchema]:
        required = {f.name: f.required for f in msgspec.structs.fields(kind)}
        return {
            name: FieldSchema(self.name(hint), required[name])
            for name, hint in hints_of(kind).items()
        }

    def name(self, hint: Any) -> str:
        if isinstance(hint, typing.NewType):
            return hint.__name__
        if get_origin(hint) is Annotated:
            return self.name(get_args(hint)[0])
        if get_origin(hint) is not None:
            return self._composed(hint)
        return "None" if hint in (None, type(None)) else self._class(hint)

    def _composed(self, hint: Any) -> str:
        if get_origin(hint) in (typing.Union, types.UnionType):
            return " | ".join(sorted(self._each(hint)))
        if get_origin(hint) is typing.Literal:
            return f"Literal[{', '.join(map(repr, get_args(hint)))}]"
        return f"tuple[{', '.join(self._each(hint))}]"

    def _each(self, hint: Any) -> Iterator[str]:
        for part in get_args(hint):
            yield "…" if part is Ellipsis else self.name(part)

    def _class(self, kind: Any) -> str:
        name = str(kind.__name__)
        if issubclass(kind, Enum):
            self.enums[name] = tuple(str(member.value) for member in kind)
        elif issubclass(kind, msgspec.Struct) and name not in self.types:
            self.types[name] = {}  # a type may hold itself
            self.types[name] = self.fields(kind)
        return name


# ── compatibility ────────────────────────────────────────────────────────────────────────────
def broken_promises(released: ContractSchema, now: ContractSchema) -> Findings:
    """What a caller built against the released contract would stumble over."""
    if _major(now.version) > _major(released.version):
        return  # a new major stands beside the old one for a release
    yield from _operations(released, now)
    yield from _events(released, now)
    yield from _refusals(released, now)
    for name, fields in released.types.items():
        if name in now.types:
            yield from _fields(f"{released.board}.{name}", fields, now.types[name])
    for name, members in released.enums.items():
        kept = now.enums.get(name, members)
        for member in (member for member in members if member not in kept):
            where = f"{released.board}.{name}"
            yield _broken(where, f"lost {member!r}", "old rows and messages have it")


def _operations(released: ContractSchema, now: ContractSchema) -> Findings:
    for name, before in released.operations.items():
        where = f"{released.board}.{name}"
        after = now.operations.get(name)
        if after is None:
            yield _broken(where, "was removed", "keep it for this major version")
        else:
            yield from _operation(where, before, after)


def _events(released: ContractSchema, now: ContractSchema) -> Findings:
    for tag, kind in released.events.items():
        if tag not in now.events:
            yield _broken(tag, "was removed", "publish it beside its next version")
        elif now.events[tag] != kind:
            yield _broken(tag, f"is now carried by {now.events[tag]}", f"it was {kind}")


def _refusals(released: ContractSchema, now: ContractSchema) -> Findings:
    for name, fields in released.refusals.items():
        where = f"{released.board}.{name}"
        if name not in now.refusals:
            yield _broken(where, "was removed", "keep the refusal for this major version")
        else:
            yield from _fields(where, fields, now.refusals[name])


def _operation(where: str, before: OperationSchema, after: OperationSchema) -> Findings:
    if before.kind != after.kind:
        yield _broken(where, f"was a {before.kind}", f"it is a {after.kind} now")
    if before.answer != after.answer:
        yield _broken(where, f"answered {before.answer}", f"it answers {after.answer} now")
    yield from _fields(where, before.parameters, after.parameters)


def _fields(where: str, before: dict[str, FieldSchema], after: dict[str, FieldSchema]) -> Findings:
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            yield _broken(f"{where}.{name}", "was removed", "fields only ever come")
        elif new.type != old.type:
            yield _broken(f"{where}.{name}", f"was {old.type}", f"it is {new.type} now")
        elif new.required and not old.required:
            yield _broken(f"{where}.{name}", "had a default", "it has none now")
    for name in after.keys() - before.keys():
        if after[name].required:
            yield _broken(f"{where}.{name}", "is new and has no default", "old messages lack it")


def _broken(where: str, what: str, why: str) -> Finding:
    return Finding("compatible", where, f"{what}; {why} (released contract)")


def _major(version: str) -> int:
    return int(version.partition(".")[0])


# ── files ────────────────────────────────────────────────────────────────────────────────────
def released_path(board: Board) -> Path | None:
    """``contracts/<board>.json`` beside the project's pyproject.toml, if this is a checkout."""
    for folder in board.folder.parents:
        if (folder / "pyproject.toml").exists():
            return folder / "contracts" / f"{board.name}.json"
    return None


def released_schema(board: Board) -> ContractSchema | None:
    """The contract as it was last released."""
    path = released_path(board)
    if path is None or not path.exists():
        return None
    return msgspec.json.decode(path.read_bytes(), type=ContractSchema)


def write_schema(board: Board) -> Path | None:
    """Write the contract as released; the file, or None if there is nothing to write."""
    path, schema = released_path(board), schema_of(board)
    if path is None or schema is None:
        return None
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(schema), indent=1) + b"\n")
    return path
