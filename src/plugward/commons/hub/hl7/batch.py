"""Batches 批: a file of messages between FHS/BHS and BTS/FTS, cut without reading the messages.

Every message keeps its bytes. The character set of a batch header counts for its own line only:
each message declares its own.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from .charset import choose_codec, decode, decode_undeclared
from .errors import ErrorCode, Hl7Error
from .escapes import STANDARD, Separators
from .message import Message, separators_of
from .paths import Path
from .values import encode_text

_HEADS = (b"FHS", b"BHS")
_TAILS = (b"BTS", b"FTS")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_BOM = b"\xef\xbb\xbf"


class Envelope(NamedTuple):
    """A header or trailer line of a file or batch."""

    name: str
    fields: tuple[str, ...]

    def field(self, number: int) -> str:
        """``field(3)`` of a line FHS is FHS-3, as it stands; or nothing."""
        return self.fields[number] if number < len(self.fields) else ""


class Batch(NamedTuple):
    """What a file holds."""

    envelopes: tuple[Envelope, ...]
    messages: tuple[bytes, ...]
    """Each as it came, ready for ``parse``."""

    def check(self) -> None:
        """Refuse a batch whose trailer counts something else than what is there."""
        for line in self.envelopes:
            if (
                line.name == "BTS"
                and line.field(1).isdigit()
                and int(line.field(1)) != len(self.messages)
            ):
                raise Hl7Error(
                    f"BTS-1 says {line.field(1)} messages, {len(self.messages)} are there",
                    code=ErrorCode.DATA_TYPE,
                    at=Path("BTS", 1, 1),
                    shown="BTS-1 的报文数与实际不符",
                )


def is_batch(raw: bytes) -> bool:
    """Whether these bytes begin a file or batch rather than a message."""
    return raw.removeprefix(_BOM)[:3] in _HEADS


def read_batch(raw: bytes) -> Batch:
    """Cut a file into its messages. One batch a file; a bare sequence of messages is read, too."""
    envelopes: list[Envelope] = []
    messages: list[list[bytes]] = []
    is_closed = False
    for number, line in enumerate(_lines(raw.removeprefix(_BOM)), 1):
        name = line[:3]
        if not line.strip():
            continue
        if name in (*_HEADS, *_TAILS):
            is_closed = name in _TAILS
            envelopes.append(_envelope(line))
        elif name == b"MSH" and not is_closed:
            messages.append([line])
        elif messages and not is_closed:
            messages[-1].append(line)
        else:
            raise Hl7Error(
                f"line {number} belongs to no message",
                code=ErrorCode.SEGMENT_SEQUENCE,
                shown=f"第 {number} 行不属于任何报文",
            )
    return Batch(tuple(envelopes), tuple(b"".join(lines) for lines in messages))


def write_batch(messages: Iterable[Message], *, separators: Separators = STANDARD) -> bytes:
    """One batch of these messages, each byte for byte, with a trailer that counts them."""
    bodies = [message.raw if message.raw[-1:] in b"\r\n" else message.raw + b"\r"
              for message in messages]  # fmt: skip
    field = separators.field
    head = f"FHS{field}{separators.declared}\rBHS{field}{separators.declared}\r"
    tail = f"BTS{field}{len(bodies)}\rFTS{field}1\r"
    return encode_text(head, "ascii") + b"".join(bodies) + encode_text(tail, "ascii")


def _lines(raw: bytes) -> list[bytes]:
    """Lines with their ends, whatever these are: CR, LF or CR LF."""
    return _LINE.findall(raw)


def _envelope(line: bytes) -> Envelope:
    line = line.rstrip(b"\r\n")
    name = line[:3].decode("ascii")
    if line[:3] in _HEADS:
        separators = separators_of(b"MSH" + line[3:10])
        codec = choose_codec(line, separators)
        text = decode(line, codec) if codec else decode_undeclared(line)[0]
        fields = text.split(separators.field)
        return Envelope(name, (fields[0], separators.field, *fields[1:]))
    text = decode_undeclared(line)[0]
    return Envelope(name, tuple(text.split(text[3:4] or STANDARD.field)))
