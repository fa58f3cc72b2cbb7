"""Hub 集成平台: the outside systems, what each may send and is sent, and what waits for them.

A message is durable before it is acknowledged. A system that is not known, comes from another
network or sends what it was not granted is rejected and audited. What cannot be delivered waits in
order; what is refused for good stands among the dead letters until a person acts.
"""

from enum import StrEnum
from typing import Protocol

from plugward.kernel import (
    Event,
    Invalid,
    Message,
    NotFound,
    Plain,
    Sensitive,
    command,
    contract,
    query,
)
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode


class System(Message):
    """An outside system: what it calls itself, from where, what it may send and what it takes."""

    code: Plain  # LIS-C3
    name: Plain
    campus: CampusCode
    application: Plain  # MSH-3 as it writes it
    facility: Plain  # MSH-4
    networks: tuple[Plain, ...] = ()  # "10.3.0.0/24"; empty: wherever the listener is reached from
    may_send: tuple[Plain, ...] = ()  # "ORU^R01"
    takes: tuple[Plain, ...] = ()  # services such as "lab.order"
    host: Plain = ""  # where it listens, if it takes anything
    port: int = 0
    charset: Plain = "UNICODE UTF-8"
    is_active: bool = True
    until: Instant | None = None  # when all this ends, at most a year ahead


class SystemStatus(Message):
    """A system and how it is doing since this process started."""

    system: System
    received: int
    refused: int
    delivered: int
    waiting: int
    dead: int
    last_seen: Instant | None
    is_connected: bool


class LetterState(StrEnum):
    PENDING = "pending"  # 等待投递
    DEAD = "dead"  # 死信，待人工


class HubLetter(Message):
    """One message that waits on a lane or was given up. ``reason`` is what was answered."""

    seq: int
    destination: Plain
    key: Sensitive
    kind: Plain
    control_id: Plain
    attempts: int
    reason: Plain
    at: Instant
    state: LetterState


class Opened(Message):
    """A message's text, as it came."""

    seq: int
    text: Sensitive
    answer: Sensitive
    bytes_shown: Sensitive = ""  # the first bytes as hex and text, for what text cannot show


class MessageSearch(Message):
    """What is looked for among all messages; what is empty is anything."""

    text: Sensitive = ""  # a control id, or a patient's number
    kind: Plain = ""
    sender: Plain = ""
    destination: Plain = ""
    state: Plain = ""  # "dead", "pending"; empty: any
    since: Instant | None = None
    until: Instant | None = None
    before: int = 0  # only what came before this message


class MessageEnd(Message):
    """Where a message went and how it stands there."""

    destination: Plain
    key: Sensitive
    route: Plain
    state: Plain  # "pending", "done", "dead"
    attempts: int
    reason: Plain
    settled_at: Instant | None
    took_ms: float


class FoundMessage(Message):
    """One message without its text. Whom it is about is masked but for its end."""

    seq: int
    at: Instant
    kind: Plain
    sender: Plain
    control_id: Plain
    subject: Sensitive
    answer: Plain
    peer: Plain
    size: int
    ends: tuple[MessageEnd, ...] = ()


class MessagesFound(Message):
    """A page, the newest first. ``before`` leads to the next one; 0: there is none."""

    messages: tuple[FoundMessage, ...]
    before: int


class FailedAttempt(Message):
    """An attempt that did not succeed."""

    destination: Plain
    ended_at: Instant
    took_ms: float
    reason: Plain


class MessageTrace(Message):
    """One message through everything."""

    message: FoundMessage
    attempts: tuple[FailedAttempt, ...]


class LineState(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"  # errors, or a backlog that grows
    DOWN = "down"  # nothing gets through


class SystemLine(Message):
    """A system's line to the hub, for the map: the last quarter of an hour."""

    code: Plain
    name: Plain
    is_receiver: bool
    per_minute: float
    error_rate: float
    p99_ms: float
    waiting: int
    dead: int
    state: LineState
    last_error: Plain = ""
    waits_since: Instant | None = None
    impact: Plain = ""  # what stops in the hospital meanwhile, as its owner wrote it


class MinuteCount(Message):
    """What went through in a quarter of an hour, a minute."""

    at: Instant
    per_minute: float
    error_rate: float


class Overview(Message):
    """How the hub is doing."""

    lines: tuple[SystemLine, ...]
    services: int
    calls_today: int
    per_minute: int
    busiest_minute: int
    p99_ms: float
    waiting: int
    dead: int
    oldest_dead: Instant | None
    throughput: tuple[MinuteCount, ...]
    problems: tuple[Plain, ...]  # what of the configuration is not in force, and why


class SystemConfigured(Event, tag="hub.system.configured.v1", key="system.code"):
    """What a system may do was set or changed."""

    system: System


class MessageOpened(Event, tag="hub.message.opened.v1", key="reader"):
    """Somebody read a message's text, with the reason given."""

    seq: int
    reader: Plain
    reason: Plain


class LetterReplayed(Event, tag="hub.letter.replayed.v1", key="destination"):
    """Somebody put a dead letter back on its lane, with the reason given."""

    seq: int
    destination: Plain
    author: Plain
    reason: Plain


class SystemInvalid(Invalid):
    """系统登记有误：{problem}。"""

    problem: Plain


class MessageNotFound(NotFound):
    """没有这条报文。"""


class LetterNotFound(NotFound):
    """没有这封死信，可能已被重新投递。"""


class ReasonNeeded(Invalid):
    """请填写原因。"""


@contract("hub")
class Hub(Protocol):
    """The outside systems and their messages."""

    @command(permission="hub.configure")
    async def configure(self, system: System) -> System:
        """Set what a system may send and take; takes effect with its next message. Refuses with
        ``SystemInvalid``."""
        ...

    @query(permission="hub.watch")
    async def systems(self) -> tuple[SystemStatus, ...]:
        """Every system and how it is doing."""
        ...

    @query(permission="hub.watch")
    async def letters(self, state: LetterState, limit: int = 100) -> tuple[HubLetter, ...]:
        """What waits or was given up, the oldest first, at most 500; never a message's text."""
        ...

    @query(permission="hub.watch")
    async def overview(self) -> Overview:
        """Every line, what goes through, and what does not."""
        ...

    @query(permission="hub.watch")
    async def messages(self, search: MessageSearch) -> MessagesFound:
        """Find messages, the newest first; never their text."""
        ...

    @query(permission="hub.watch")
    async def trace(self, seq: int) -> MessageTrace:
        """One message through everything, without its text. Refuses with ``MessageNotFound``."""
        ...

    @command(permission="hub.replay")
    async def replay_all(self, destination: Plain, reason: Plain, limit: int = 500) -> int:
        """Put a destination's dead letters back on their lanes, the oldest first; how many.
        Refuses with ``ReasonNeeded``."""
        ...

    @command(permission="hub.read-message")
    async def open_message(self, seq: int, reason: Plain) -> Opened:
        """Read a message's text; who and why is kept. Refuses with ``ReasonNeeded`` or
        ``MessageNotFound``."""
        ...

    @command(permission="hub.replay")
    async def replay(self, seq: int, destination: Plain, key: Sensitive, reason: Plain) -> None:
        """Put a dead letter back on its lane. Refuses with ``ReasonNeeded`` or
        ``LetterNotFound``."""
        ...
