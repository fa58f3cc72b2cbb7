"""Frames 事件帧: an event as it stands in the outbox and travels between boards."""

import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any, get_args, get_origin
from uuid import UUID

import msgspec
from sqlalchemy import Row

from plugward.kit.ids import derive
from plugward.kit.message import Message, Plain
from plugward.kit.time import Instant

from ..codec import to_json
from ..envelope import Call
from ..message import Event

COMMAND_DONE = "kernel.command.done.v1"
KEY_LENGTH_MAX = 80


class Frame(msgspec.Struct, frozen=True):
    """One outbox row. ``body`` is JSON; ``position`` is None until the row is committed."""

    id: UUID
    source: str
    position: int | None
    key: str
    key_version: int
    tag: str
    body: bytes
    carries: str
    campus: str
    actor: str
    cause: UUID
    trace: str
    occurred_at: Instant
    recorded_at: Instant

    def row(self) -> dict[str, Any]:
        """The frame as the outbox keeps it."""
        row = msgspec.structs.asdict(self)
        del row["source"]
        return row


class CommandDone(Message, tag=COMMAND_DONE):
    """What the audit log keeps of a command that took effect, written with the effect."""

    operation: Plain
    actor: Plain
    on_behalf_of: Plain | None
    roles: tuple[Plain, ...]
    device: Plain | None
    address: Plain | None
    patients: tuple[UUID, ...]
    encounters: tuple[UUID, ...]
    arguments_hash: bytes


def frames_of_events(
    events: Iterable[tuple[Event, str, int]],
    source: str,
    call: Call,
    request: UUID,
    *,
    now: Instant,
    next_position: Callable[[], int | None],
) -> Iterator[Frame]:
    """The outbox rows of events with their keys and versions.

    Their ids follow from the unit's request, so that a repeat makes the same, and two units of one
    reaction or job make different ones.
    """
    envelope = call.envelope
    for index, (event, key, key_version) in enumerate(events):
        tag = type(event).tag
        yield Frame(
            id=derive(request, source, tag, index),
            source=source,
            position=next_position(),
            key=key,
            key_version=key_version,
            tag=tag,
            body=to_json(event),
            carries=carried_by(type(event)),
            campus=envelope.campus,
            actor=envelope.actor.id,
            cause=call.cause or envelope.request,
            trace=envelope.trace,
            occurred_at=now,
            recorded_at=now,
        )


def frame_of_command(call: Call, source: str, now: Instant, position: int | None) -> Frame:
    """The audit row of the command under way."""
    envelope = call.envelope
    actor = envelope.actor
    done = CommandDone(
        operation=call.operation.full_name,
        actor=actor.id,
        on_behalf_of=actor.on_behalf_of,
        roles=actor.roles,
        device=actor.device,
        address=actor.address,
        patients=tuple(i for kind, i in call.subjects if kind == "patient"),
        encounters=tuple(i for kind, i in call.subjects if kind == "encounter"),
        arguments_hash=call.arguments_hash,
    )
    return Frame(
        id=derive(envelope.request, source, COMMAND_DONE),
        source=source,
        position=position,
        key=envelope.request.hex,
        key_version=0,
        tag=COMMAND_DONE,
        body=to_json(done),
        carries="",
        campus=envelope.campus,
        actor=actor.id,
        cause=envelope.request,
        trace=envelope.trace,
        occurred_at=now,
        recorded_at=now,
    )


def key_text(event: Event) -> str:
    """The ordering key of an event as text, never longer than its column."""
    value = type(event).key_of(event)
    text = value.hex if isinstance(value, UUID) else str(value)
    return (
        text if len(text) <= KEY_LENGTH_MAX else blake2b(text.encode(), digest_size=32).hexdigest()
    )


def carried_by(event: type[Event]) -> str:
    """The message types an event carries directly, as ``,A,B,``: whom else it may concern."""
    hashable: Any = event  # every class is; the metaclass makes pyright doubt it
    return _carried_by(hashable)


@cache
def _carried_by(event: type[Event]) -> str:
    names: set[str] = set()
    for hint in typing.get_type_hints(event).values():
        for part in _parts(hint):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                names.add(part.__name__)
    return f",{','.join(sorted(names))}," if names else ""


def _parts(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) in (tuple, typing.Union, types.UnionType):
        return tuple(p for arg in get_args(hint) for p in _parts(arg))
    return (hint,)


def frame_of_row(row: Sequence[Any], source: str) -> Frame:
    """A frame from its row: the outbox's columns stand in the order of the frame's fields."""
    id, *others = row
    return Frame(id, source, *others)


def columns_of(row: Row[Any]) -> dict[str, Any]:
    """A row's values by plain column names (SQLAlchemy's are ``quoted_name``)."""
    return {str(name): value for name, value in row._mapping.items()}  # pyright: ignore[reportPrivateUsage] - SQLAlchemy's documented name
