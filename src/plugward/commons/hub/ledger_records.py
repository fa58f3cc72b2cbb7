"""Ledger records 总账记录: what the ledger takes, what waits in it, and how an attempt ended."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from plugward.kit.time import Instant

from .ledger_tables import State, instant


class LedgerFailed(Exception):
    """The ledger could not make it durable: nothing was accepted."""


class LedgerBusy(LedgerFailed):
    """More waits to be written than may wait: the sender has to slow down."""


class Arrival(msgspec.Struct, frozen=True):
    """A message as it came in or as it is to go out, with what the ledger finds it by."""

    id: UUID
    sender: str
    control_id: str
    kind: str
    body: bytes
    at: Instant
    peer: str = ""
    subject: str = ""
    """Whom it is about, PID-3, for whoever searches."""

    @property
    def digest(self) -> bytes:
        """The content hash by which a repeated message is told from a changed one."""
        return sha256(self.body).digest()


class Kept(msgspec.Struct, frozen=True):
    """What the ledger made of an arrival."""

    seq: int
    id: UUID
    is_new: bool = True
    is_clash: bool = False
    """The sender used this control id before, for other content."""
    answer: bytes | None = None
    """The first answer, when this is a repeat and it was answered."""
    code: str = ""
    """MSA-1 of that answer."""


class Lane(NamedTuple):
    """Where a message goes and which key keeps its order."""

    destination: str
    key: str


class Parcel(NamedTuple):
    """What goes out on a lane: the message as it came in, or what a route made of it."""

    lane: Lane
    body: bytes | None = None
    route: str = ""
    """The route and its version that made it."""


class Answered(NamedTuple):
    """What a message is answered from the start, with its MSA-1."""

    answer: bytes | None = None
    code: str = ""


UNANSWERED = Answered()


class Delivery(msgspec.Struct, frozen=True):
    """One message that waits on one lane."""

    seq: int
    message: UUID
    destination: str
    key: str
    kind: str
    control_id: str
    sender: str
    body: bytes
    attempts: int
    at: Instant
    part: int = 0
    """Which of the parcels of one message on this lane it is."""
    fault: str = ""
    """The kind of failure that ``attempts`` counts."""
    route: str = ""

    @property
    def lane(self) -> Lane:
        return Lane(self.destination, self.key)


class Outcome(msgspec.Struct, frozen=True):
    """How an attempt ended."""

    state: State
    reason: str = ""
    answer: bytes | None = None
    """What the receiver said."""
    reply: bytes | None = None
    """What the message's sender is to be told, with its MSA-1 in ``code``."""
    code: str = ""
    retry_at: Instant | None = None
    fault: str = ""
    """The kind of failure, by which patience is counted."""
    parcels: tuple[Parcel, ...] = ()
    """What has to go out because of this, queued in the same commit."""
    took_us: int = 0
    """How long the attempt took."""


class Letter(msgspec.Struct, frozen=True):
    """A delivery that waits or was given up, for the console."""

    seq: int
    destination: str
    key: str
    kind: str
    control_id: str
    attempts: int
    reason: str
    at: Instant


def delivery_of(lane: Lane, attempts: int, fault: str, row: Sequence[Any]) -> Delivery:
    """A row of what waits on a lane; ``attempts`` and ``fault`` are the lane's."""
    seq, part, message, kind, control_id, sender, body, at, route = row
    return Delivery(
        seq=seq,
        message=UUID(bytes=message),
        destination=lane.destination,
        key=lane.key,
        kind=kind,
        control_id=control_id,
        sender=sender,
        body=body,
        attempts=attempts,
        at=instant(at),
        part=part,
        fault=fault,
        route=route,
    )


def letter_of(row: Sequence[Any]) -> Letter:
    """A row of what waits or was given up."""
    seq, destination, key, kind, control_id, attempts, reason, at = row
    return Letter(seq, destination, key, kind, control_id, attempts, reason, instant(at))
