"""Taking 收件: what comes by other ways than MLLP becomes a durable message, or is refused.

Doors and sources say what came and by what key a repeat is known; the answer is the same for all.
"""

import time
from enum import Enum, auto
from typing import NamedTuple

from plugward.kit.ids import new_id

from .hl7 import Hl7Error
from .intake import NotNow
from .ledger_records import Answered, Arrival, LedgerFailed
from .measures import Direction
from .node import Node
from .routing import Incoming
from .routing.router import Routed

NO_ROOM = "平台暂时无法存储，请重发"


class Verdict(Enum):
    """What became of it."""

    ACCEPTED = auto()  # on disk
    CLASH = auto()  # its key was used for another content
    REFUSED = auto()  # it will never do
    AWAY = auto()  # not now: whoever has it keeps it


class Taken(NamedTuple):
    """The answer, whichever way it is put."""

    verdict: Verdict
    id: str = ""
    words: str = ""
    at: str = ""


async def take(node: Node, incoming: Incoming, *, key: str, peer: str) -> Taken:
    """Make it durable with what the routes make of it, and count it. No key: it is no repeat."""
    began = time.perf_counter()
    taken = await _take(node, incoming, key, peer)
    node.measures.count(
        incoming.sender,
        incoming.kind,
        Direction.IN,
        at=node.clock.now(),
        seconds=time.perf_counter() - began,
        size=len(incoming.body),
        error="" if taken.verdict is Verdict.ACCEPTED else taken.words,
    )
    return taken


async def _take(node: Node, incoming: Incoming, key: str, peer: str) -> Taken:
    try:
        plan = node.plan(incoming)
    except NotNow as error:
        return Taken(Verdict.AWAY, words=error.shown)
    except Hl7Error as error:
        cause = error.__cause__
        at = cause.at if isinstance(cause, Routed) else str(error.at or "")
        return Taken(Verdict.REFUSED, words=error.shown, at=at)
    id_ = new_id()
    arrival = Arrival(
        id=id_,
        sender=incoming.sender,
        control_id=key or id_.hex,
        kind=incoming.kind,
        body=incoming.body,
        at=node.clock.now(),
        peer=peer,
    )
    try:
        kept = await node.ledger.append(arrival, plan.lanes, Answered(b"", "202"))
    except LedgerFailed:
        return Taken(Verdict.AWAY, words=NO_ROOM)
    if kept.is_clash:
        return Taken(Verdict.CLASH, words="this key was used for another content")
    for destination in plan.destinations:
        node.lanes.nudge(destination)
    return Taken(Verdict.ACCEPTED, str(kept.id))
