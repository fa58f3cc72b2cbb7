"""Message 报文: one HL7 v2 message, read lazily, its bytes kept.

Nothing is split until it is asked for, and what was not changed goes out byte for byte as it came
in. ``message["PID-5.1"]`` is plain text; a missing place is ``""``, as the standard reads it.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from .charset import CODECS, UTF_8, choose_codec, codec_of, decode, decode_undeclared
from .errors import ErrorCode, Hl7Error
from .escapes import STANDARD, Separators, unescape
from .paths import Path, parse_path
from .values import Value, encode_components, encode_field, encode_repetition, encode_text

_BOM = b"\xef\xbb\xbf"
_MSH = Path("MSH", 1)
_FIXED = ("MSH-1", "MSH-2")
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_HEADER_FIELDS = 3  # MSH-1 and MSH-2 are delimiters themselves; values start here.
_MARKS = (5, 6)  # field, component, repetition, escape, subcomponent; from v2.7 on, truncation


class Message:
    """One message. Make it with :func:`parse` or ``build``; it never changes, ``edit`` copies."""

    __slots__ = ("_ends", "_lines", "_split", "codec", "raw", "separators", "text")

    def __init__(self, raw: bytes, text: str, codec: str, separators: Separators) -> None:
        self.raw = raw
        self.text = text
        self.codec = codec
        self.separators = separators
        self._lines: list[str] | None = None
        self._ends: list[str] | None = None
        self._split: dict[str, list[str]] = {}

    def __bytes__(self) -> bytes:
        return self.raw

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        # Never the content: a message that lands in a log must not carry the patient with it.
        return f"<Message {self['MSH-9']}^{self['MSH-9.2']} {self['MSH-10']} {len(self.raw)} B>"

    def __getitem__(self, path: str) -> str:
        """The text at a path, unescaped; with no component said, the first one."""
        place = parse_path(path)
        fields = self._split.get(place[0]) if place[1] == 1 else None
        if fields is None:
            fields = self._fields(place[0], place[1])
        return _leaf(self, fields, place)

    def raw_text(self, path: str) -> str:
        """The piece at a path as it stands in the message: escapes and delimiters inside kept."""
        segment, occurrence, field, repetition, component, sub = parse_path(path)
        fields = self._fields(segment, occurrence)
        if not field:
            return self.separators.field.join(_without_virtual_field(fields))
        return self._piece(fields, field, repetition, component, sub)

    def whole_text(self, path: str) -> str:
        """A free-text place (ST, TX, FT) whole and unescaped, even where a sender forgot to
        escape ``&`` or ``^`` inside it: nothing of a finding is cut off."""
        return unescape(self.raw_text(path), self.separators, self.codec)

    def count(self, path: str) -> int:
        """``count("OBX")``: how many segments; ``count("PID-3")``: how many repetitions."""
        segment, occurrence, field, *_ = parse_path(path)
        if not field:
            return sum(1 for _ in self.segments(segment))
        fields = self._fields(segment, occurrence)
        value = fields[field] if field < len(fields) else ""
        return value.count(self.separators.repetition) + 1 if value else 0

    def segments(self, name: str = "") -> Iterator["Segment"]:
        """The segments in order, or those of one name."""
        seen: dict[str, int] = {}
        for line in self.lines:
            this = line[:3]
            seen[this] = seen.get(this, 0) + 1
            if line and (not name or this == name):
                yield Segment(self, this, seen[this], line)

    def names(self) -> list[str]:
        """The segments' names, in order."""
        return [line[:3] for line in self.lines if line]

    def groups(self, start: str) -> list[list["Segment"]]:
        """Cut into groups that begin at each ``start`` segment; what comes before is left out."""
        groups: list[list[Segment]] = []
        for segment in self.segments():
            if segment.name == start:
                groups.append([])
            if groups:
                groups[-1].append(segment)
        return groups

    @property
    def lines(self) -> list[str]:
        """The segments' text, in order; an empty one stands for an empty line."""
        if self._lines is None:
            self._cut()
        assert self._lines is not None
        return self._lines

    @property
    def charset(self) -> str:
        """What MSH-18 says, or the standard's spelling of what was found."""
        return self["MSH-18"] or next(k for k, v in CODECS.items() if v == self.codec)

    def edit(self, changes: Mapping[str, Value]) -> "Message":
        """A copy in which only the named places differ; every other segment keeps its bytes."""
        lines = list(self.lines)
        for where, value in changes.items():
            path = parse_path(where)
            if str(Path(path.segment, 0, path.field)) in _FIXED or not path.field:
                raise ValueError(f"{where} cannot be edited")
            at = self._line_of(path.segment, path.occurrence)
            if at < 0:
                raise Hl7Error(
                    "no such segment to edit",
                    code=ErrorCode.SEGMENT_SEQUENCE,
                    at=Path(path.segment, path.occurrence),
                )
            lines[at] = self._edited(lines[at], path, value)
        ends = self._ends or ["\r"] * (len(lines) - 1)
        text = "".join(map(str.__add__, lines, [*ends, ""]))
        if self.text[:1] == "\ufeff":
            text = "\ufeff" + text
        return Message(encode_text(text, self.codec), text, self.codec, self.separators)

    def check(self) -> None:
        """Refuse a message whose skeleton is broken, naming the place."""
        seen: dict[str, int] = {}
        for position, line in enumerate(self.lines):
            if not line:
                continue
            name = line[:3]
            seen[name] = seen.get(name, 0) + 1
            if not _NAME.fullmatch(name) or (line[3:4] or self.separators.field) != (
                self.separators.field
            ):
                raise Hl7Error(
                    f"line {position + 1} is not a segment",
                    code=ErrorCode.SEGMENT_SEQUENCE,
                    shown=f"第 {position + 1} 行不是段",
                )
            if name == "MSH" and position:
                raise Hl7Error(
                    "a second MSH in one message",
                    code=ErrorCode.SEGMENT_SEQUENCE,
                    at=Path("MSH", seen[name]),
                    shown="一条报文里有第二个 MSH",
                )
        for where in ("MSH-9", "MSH-10", "MSH-12"):
            if not self[where]:
                raise Hl7Error(
                    f"{where} is empty",
                    code=ErrorCode.REQUIRED_FIELD_MISSING,
                    at=parse_path(where),
                    shown=f"缺少 {where}",
                )

    def _cut(self) -> None:
        text = self.text.removeprefix("\ufeff")
        first = _first_end(text) if "\n" in text else "\r"
        if first == "\r":
            self._lines, self._ends = text.split("\r"), None
            return
        # A bad sender ends lines with LF or CR LF: keep each end, so that edits keep the rest.
        pieces = re.split(r"(\r\n|\r)" if first == "\r\n" else r"(\r?\n)", text)
        self._lines, self._ends = pieces[::2], pieces[1::2]

    def _line_of(self, segment: str, occurrence: int) -> int:
        position = -1
        for line in self.lines:
            position += 1
            if line[:3] == segment:
                occurrence -= 1
                if not occurrence:
                    return position
        return -1

    def _fields(self, segment: str, occurrence: int) -> list[str]:
        line = self._first(segment) if occurrence == 1 else None
        if line is None:
            at = self._line_of(segment, occurrence)
            if at < 0:
                return []
            line = self.lines[at]
        fields = line.split(self.separators.field)
        if segment == "MSH":
            fields.insert(1, self.separators.field)  # MSH-1 is the separator itself
        if occurrence == 1:
            self._split[segment] = fields
        return fields

    def _first(self, segment: str) -> str | None:
        """The first segment of a name, found without cutting the whole message into lines.

        Only right where a CR ends each line: other messages are cut when they are parsed.
        """
        if self._lines is not None:
            return None
        text = self.text
        start = 0 if segment == "MSH" else text.find("\r" + segment) + 1
        if (start or segment == "MSH") and text[start + 3 : start + 4] == self.separators.field:
            end = text.find("\r", start)
            return text[start:end] if end >= 0 else text[start:]
        return None

    def _split_line(self, line: str) -> list[str]:
        fields = line.split(self.separators.field)
        if fields[0] == "MSH":
            fields.insert(1, self.separators.field)  # MSH-1 is the separator itself
        return fields

    def _piece(
        self, fields: list[str], field: int, repetition: int, component: int, sub: int
    ) -> str:
        value = fields[field] if field < len(fields) else ""
        if field < _HEADER_FIELDS and fields and fields[0] == "MSH":
            return value
        if repetition or component:
            value = _nth(value, self.separators.repetition, repetition)
        if component:
            value = _nth(value, self.separators.component, component)
        return _nth(value, self.separators.subcomponent, sub) if sub else value

    def _edited(self, line: str, path: Path, value: Value) -> str:
        seps = self.separators
        fields = self._split_line(line)
        _grow(fields, path.field)
        if not path.repetition and not path.component:
            fields[path.field] = encode_field(value, seps)
        else:
            repeats = fields[path.field].split(seps.repetition)
            at = max(path.repetition, 1) - 1
            _grow(repeats, at)
            repeats[at] = self._edited_repetition(repeats[at], path, value)
            fields[path.field] = seps.repetition.join(repeats)
        return seps.field.join(_without_virtual_field(fields))

    def _edited_repetition(self, text: str, path: Path, value: Value) -> str:
        seps = self.separators
        if not path.component:
            return encode_repetition(value, seps)
        components = text.split(seps.component)
        _grow(components, path.component - 1)
        if path.sub:
            subs = components[path.component - 1].split(seps.subcomponent)
            _grow(subs, path.sub - 1)
            subs[path.sub - 1] = encode_components(value, seps, depth=2)
            components[path.component - 1] = seps.subcomponent.join(subs)
        else:
            components[path.component - 1] = encode_components(value, seps, depth=1)
        return seps.component.join(components)


class Segment:
    """One segment of a message: ``segment["5.1"]``, and its name and number for error places."""

    __slots__ = ("_fields", "_message", "line", "name", "occurrence")

    def __init__(self, message: Message, name: str, occurrence: int, line: str) -> None:
        self._message = message
        self._fields: list[str] | None = None
        self.name = name
        self.occurrence = occurrence
        self.line = line

    def __getitem__(self, path: str) -> str:
        """``segment["5"]``, ``segment["3[2].1"]``: the text there, unescaped."""
        return _leaf(self._message, self._read(), parse_path(f"{self.name}-{path}"))

    def __repr__(self) -> str:
        return f"<Segment {self.name}[{self.occurrence}]>"

    def whole_text(self, path: str) -> str:
        """A free-text place whole, see :meth:`Message.whole_text`."""
        _, _, field, repetition, component, sub = parse_path(f"{self.name}-{path}")
        piece = self._message._piece(self._read(), field, repetition, component, sub)
        return unescape(piece, self._message.separators, self._message.codec)

    def count(self, field: int) -> int:
        """How many repetitions a field has."""
        fields = self._read()
        value = fields[field] if field < len(fields) else ""
        return value.count(self._message.separators.repetition) + 1 if value else 0

    def at(self, path: str) -> Path:
        """The full path of a place in this segment, for an error."""
        return parse_path(f"{self.name}[{self.occurrence}]-{path}")

    def _read(self) -> list[str]:
        if self._fields is None:
            self._fields = self._message._split_line(self.line)
        return self._fields


def parse(raw: bytes, *, charset: str | None = None) -> Message:
    """Read a message. ``charset`` (an MSH-18 label) is a connection's forced setting.

    Refuses what has no MSH, declares impossible delimiters, or does not decode.
    """
    start = 3 if raw[:3] == _BOM else 0
    is_plain = not start
    separators = separators_of(raw[start : start + 10])
    end = raw.find(b"\r")
    line_feed = raw.find(b"\n", 0, end if end >= 0 else len(raw))
    if line_feed >= 0:
        end, is_plain = line_feed, False
    if charset is None:
        codec = choose_codec(raw[start:end] if end >= 0 else raw[start:], separators)
    else:
        codec = codec_of(charset)
    if codec is None:
        text, codec = decode_undeclared(raw)
    else:
        text = decode(raw, codec)
    message = Message(raw, text, codec, separators)
    if not is_plain:
        message._cut()
    return message


def from_text(text: str, *, charset: str = UTF_8) -> Message:
    """A message from text that is already decoded, as tests and editors have it."""
    return parse(encode_text(text, codec_of(charset)), charset=charset)


@lru_cache(maxsize=256)
def separators_of(head: bytes) -> Separators:
    """The delimiters in a message's first bytes."""
    if head[:3] != b"MSH":
        raise Hl7Error(
            "the message does not begin with MSH",
            code=ErrorCode.SEGMENT_SEQUENCE,
            at=_MSH,
            shown="报文不以 MSH 开头",
        )
    field = head[3:4]
    declared = re.split(rb"[\r\n]", head[4:])[0].split(field)[0] if field.strip() else b""
    marks = (field + declared).decode("iso-8859-1")
    marks += STANDARD.declared[len(marks) - 1 :] if len(marks) > 1 else ""
    if (
        len(marks) not in _MARKS
        or len(set(marks)) != len(marks)
        or not all(_may_cut(mark) for mark in marks)
    ):
        raise Hl7Error(
            "MSH-1 and MSH-2 do not declare usable delimiters",
            code=ErrorCode.DATA_TYPE,
            at=Path("MSH", 1, 2),
            shown="MSH-1、MSH-2 分隔符无效",
        )
    return Separators(*marks)


def _leaf(message: Message, fields: list[str], place: Path) -> str:
    _, _, field, repetition, component, sub = place
    try:
        value = fields[field]
    except IndexError:
        return ""
    if not value or (field < _HEADER_FIELDS and fields[0] == "MSH"):
        return value
    _, by_component, by_repetition, mark, by_sub, _ = message.separators
    if by_repetition in value or repetition > 1:
        value = _nth(value, by_repetition, repetition)
    if by_component in value or component > 1:
        value = _nth(value, by_component, component)
    if by_sub in value or sub > 1:
        value = _nth(value, by_sub, sub)
    if mark in value:
        return unescape(value, message.separators, message.codec)
    return value


def _may_cut(mark: str) -> bool:
    # Letters, digits and control characters cannot delimit: escapes could not be told apart.
    return "!" <= mark <= "~" and not mark.isalnum()


def _first_end(text: str) -> str:
    carriage, line_feed = text.find("\r"), text.find("\n")
    if line_feed >= 0 and (carriage < 0 or line_feed < carriage):
        return "\n"
    return "\r\n" if text[carriage : carriage + 2] == "\r\n" else "\r"


def _nth(text: str, separator: str, number: int) -> str:
    if number <= 1:
        return text.split(separator, 1)[0]
    parts = text.split(separator, number)
    return parts[number - 1] if number <= len(parts) else ""


def _grow(parts: list[str], to: int) -> None:
    parts.extend([""] * (to + 1 - len(parts)))


def _without_virtual_field(fields: list[str]) -> list[str]:
    return [fields[0], *fields[2:]] if fields[:1] == ["MSH"] else fields
