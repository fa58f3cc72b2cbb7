"""Building 组装: messages and acknowledgements from plain data.

A segment is ``("PID", {1: "1", 5: ("张示例",)})``. Every leaf is escaped on its way in, so a value
can never start a field, a segment or another message.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from .charset import CODECS, UTF_8, codec_of
from .errors import ErrorCode, Hl7Error
from .escapes import STANDARD, Separators, escape
from .message import Message, parse, separators_of
from .values import Value, encode_field, encode_text

SegmentData = tuple[str, Mapping[int, Value]]

CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")
"""Hospitals write local time; China has had one zone and no summer time since 1991."""

_HEADER_FIELDS = 3


class Acknowledgement:
    """MSA-1, HL7 table 0008 in original mode."""

    ACCEPTED = "AA"
    ERROR = "AE"
    """Not taken: our trouble or yours, send it again once it is mended."""
    REJECTED = "AR"
    """Not taken, and the same message never will be."""


def timestamp(at: datetime) -> str:
    """An instant as HL7 writes it, in the hospital's local time."""
    return at.astimezone(CHINA).strftime("%Y%m%d%H%M%S")


def header(
    kind: str,
    *,
    sender: tuple[str, str],
    receiver: tuple[str, str],
    control_id: str,
    at: datetime,
) -> dict[int, Value]:
    """The usual MSH of a message ``kind`` such as ``OML^O21^OML_O21``; add fields as needed."""
    return {
        3: sender[0],
        4: sender[1],
        5: receiver[0],
        6: receiver[1],
        7: timestamp(at),
        9: tuple(kind.split("^")),
        10: control_id,
        11: "P",
        12: "2.5.1",
        15: "AL",
        16: "NE",
        17: "CHN",
    }


def build(
    segments: Iterable[SegmentData],
    *,
    charset: str = UTF_8,
    separators: Separators = STANDARD,
) -> Message:
    """A message of these segments; the first must be MSH. MSH-1, 2 and 18 are filled in here."""
    codec = codec_of(charset)
    lines = []
    for position, (name, fields) in enumerate(segments):
        if (name == "MSH") != (position == 0):
            raise Hl7Error("a message is one MSH and what follows", code=ErrorCode.SEGMENT_SEQUENCE)
        if position == 0:
            fields = {**fields, 18: charset}  # noqa: PLW2901 - the header is completed, once
        lines.append(_line(name, fields, separators))
    text = "\r".join(lines) + "\r"
    return Message(encode_text(text, codec), text, codec, separators)


def acknowledge(
    message: Message,
    code: str = Acknowledgement.ACCEPTED,
    *,
    control_id: str,
    at: datetime,
    errors: Sequence[Hl7Error] = (),
) -> bytes:
    """The answer to a message, in its own delimiters and character set."""
    separators = message.separators
    split = separators.field
    head = message.lines[0].split(split)
    head += [""] * (18 - len(head))
    trigger = head[8].split(separators.component)
    version = head[11] or "2.5.1"
    kind = separators.component.join(["ACK", *trigger[1:2], "ACK"] if trigger[1:2] else ["ACK"])
    tail = [*head[16:18]] if head[17] else [head[16]]
    answer = ["MSH", separators.declared, *head[4:6], *head[2:4], timestamp(at), "", kind]
    answer += [control_id, head[10] or "P", version, "", "", "", "", *tail]
    lines = [split.join(answer).rstrip(split)]
    lines.append(split.join(["MSA", code, head[9]]))
    if errors:
        lines[-1] += split + escape(str(errors[0]), separators)
        lines += [_error_line(one, version, separators) for one in errors]
    return _readable("\r".join(lines) + "\r", message.codec)


def refuse_unread(
    raw: bytes, error: Hl7Error, *, code: str, control_id: str, at: datetime
) -> bytes:
    """The answer to bytes that could not be read: as much of the header as is plain ASCII.

    Header fields that are not ASCII are left out, since their character set is what failed.
    """
    try:
        separators = separators_of(raw[:10])
    except Hl7Error:
        separators, fields = STANDARD, []
    else:
        line = raw[:4096].split(b"\r")[0].split(b"\n")[0]
        fields = [
            str(field, "ascii") if field.isascii() and not _has_control(field) else ""
            for field in line.split(separators.field.encode())
        ]
    echoed = [*fields[:20], *[""] * (18 - len(fields))]
    plain = separators.field.join(["MSH", separators.declared, *echoed[2:18]])
    label = echoed[17].split(separators.repetition)[0].strip().upper()
    codec = CODECS.get(label, "utf-8")
    known = Message(plain.encode(codec), plain, codec, separators)
    return acknowledge(known, code, control_id=control_id, at=at, errors=[error])


class Answer(NamedTuple):
    """What an acknowledgement says."""

    code: str
    control_id: str
    text: str

    @property
    def is_accepted(self) -> bool:
        """AA, or CA of a receiver in enhanced mode."""
        return self.code in ("AA", "CA")

    @property
    def is_final(self) -> bool:
        """Accepted or rejected: sending the same bytes again would be pointless."""
        return self.is_accepted or self.code in ("AR", "CR")


def read_answer(raw: bytes) -> Answer:
    """Read an acknowledgement; refuses one without MSA."""
    message = parse(raw)
    code = message["MSA-1"]
    if not code:
        raise Hl7Error("an answer without MSA-1", code=ErrorCode.REQUIRED_FIELD_MISSING)
    return Answer(code, message["MSA-2"], message["MSA-3"] or message.whole_text("ERR-8"))


def _line(name: str, fields: Mapping[int, Value], separators: Separators) -> str:
    if len(name) != 3 or not (name.isascii() and name.isalnum() and name.isupper()):  # noqa: PLR2004 - every HL7 segment name has three characters
        raise Hl7Error(f"not a segment name: {name!r}", code=ErrorCode.SEGMENT_SEQUENCE)
    values = [""] * (max(fields, default=0) + 1)
    for number, value in fields.items():
        if number < 1 or (name == "MSH" and number < _HEADER_FIELDS):
            raise ValueError(f"{name}-{number} is not a field that can be given")
        values[number] = encode_field(value, separators)
    if name == "MSH":
        values = ["", separators.declared, *values[3:]]
    values[0] = name
    return separators.field.join(values).rstrip(separators.field)


def _error_line(error: Hl7Error, version: str, separators: Separators) -> str:
    place: tuple[str, ...] = ()
    if error.at is not None:
        numbers = [error.at.occurrence or 1, *error.at[2:]]
        while numbers and not numbers[-1]:
            numbers.pop()
        place = (error.at.segment, *(str(number) if number else "" for number in numbers))
    label, code = error.code.label, str(int(error.code))
    if version.startswith(("2.1", "2.2", "2.3", "2.4")):
        position = (*place[:3], *[""] * (3 - len(place[:3])))
        return _line("ERR", {1: (*position, (code, label, "HL70357"))}, separators)
    told = {7: error.reason, 8: error.shown} if error.shown != error.reason else {7: error.reason}
    return _line("ERR", {2: place, 3: (code, label, "HL70357"), 4: "E", **told}, separators)


def _readable(text: str, codec: str) -> bytes:
    # Our words may not exist in the sender's character set; its own fields always do.
    return text.encode(codec, "replace")


def _has_control(field: bytes) -> bool:
    return any(byte < ord(" ") for byte in field)
