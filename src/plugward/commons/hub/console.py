"""Console 控制台: messages told in the contract's words, without what only a reader may see."""

from . import search
from .contract import (
    FailedAttempt,
    FoundMessage,
    MessageEnd,
    MessageSearch,
)
from .hl7 import Hl7Error, parse

SHOWN = 4
HEX_BYTES = 512


def wanted(asked: MessageSearch) -> search.Wanted:
    """A search in the ledger's words."""
    return search.Wanted(
        text=asked.text.strip(),
        kind=asked.kind.strip(),
        sender=asked.sender.strip(),
        destination=asked.destination.strip(),
        state=asked.state,
        since=asked.since,
        until=asked.until,
        before=asked.before,
    )


def found(hit: search.Hit) -> FoundMessage:
    """A message without its text."""
    return FoundMessage(
        seq=hit.seq,
        at=hit.at,
        kind=hit.kind,
        sender=hit.sender,
        control_id=hit.control_id,
        subject=veiled(hit.subject),
        answer=hit.code,
        peer=hit.peer,
        size=hit.size,
        ends=tuple(
            MessageEnd(
                destination=end.destination,
                key=end.key,
                route=end.route,
                state=end.state,
                attempts=end.attempts,
                reason=end.reason[:400],
                settled_at=end.settled_at,
                took_ms=end.took_us / 1000,
            )
            for end in hit.ends
        ),
    )


def attempt(one: search.Try) -> FailedAttempt:
    """An attempt that failed."""
    return FailedAttempt(
        destination=one.destination,
        ended_at=one.ended_at,
        took_ms=one.took_us / 1000,
        reason=one.reason[:400],
    )


def veiled(subject: str) -> str:
    """A patient's number but for its end: ``****2096``."""
    return "****" + subject[-SHOWN:] if len(subject) > SHOWN else "****" if subject else ""


def hexed(body: bytes) -> str:
    """The first bytes as hex and text, sixteen a line."""
    lines = []
    for at in range(0, min(len(body), HEX_BYTES), 16):
        part = body[at : at + 16]
        text = "".join(chr(one) if 32 <= one < 127 else "." for one in part)  # noqa: PLR2004 - ASCII
        lines.append(f"{at:06x}  {part.hex(' '):<47}  {text}")
    return "\n".join(lines)


def shown(body: bytes) -> str:
    """A message's text, one segment a line; bytes that are no text as escapes."""
    try:
        text = parse(body).text
    except Hl7Error:
        text = body.decode("utf-8", "backslashreplace")
    return text.replace("\r", "\n")
