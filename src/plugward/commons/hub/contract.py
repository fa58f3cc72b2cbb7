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
