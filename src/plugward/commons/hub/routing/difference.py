"""Difference 差异: what a route changes, field by field."""

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

from plugward.commons.hub.hl7 import Hl7Error, Message, parse


class Change(NamedTuple):
    """One place that differs. ``None`` stands for a segment that is not there."""

    at: str
    before: str | None
    after: str | None


def changes(before: bytes, after: bytes) -> list[Change]:
    """Where two bodies differ: by field for HL7 v2, as a whole for anything else."""
    if before == after:
        return []
    try:
        return list(_of_messages(parse(before), parse(after)))
    except Hl7Error:
        return [Change("body", _text(before), _text(after))]


def _of_messages(one: Message, other: Message) -> Iterator[Change]:
    left = [line for line in one.lines if line]
    right = [line for line in other.lines if line]
    if one.separators != other.separators:
        yield Change("MSH-2", one.separators.declared, other.separators.declared)
    for kind, a, b, c, d in _aligned(left, right):
        if kind == "equal":
            continue
        for offset in range(max(b - a, d - c)):
            mine = left[a + offset] if a + offset < b else None
            theirs = right[c + offset] if c + offset < d else None
            place = _place(left, a + offset) if mine is not None else _place(right, c + offset)
            if mine is None or theirs is None or mine[:3] != theirs[:3]:
                yield Change(place, mine, theirs)
            else:
                yield from _of_lines(place, mine, theirs, one.separators.field)


def _aligned(left: list[str], right: list[str]) -> list[tuple[str, int, int, int, int]]:
    names = SequenceMatcher(None, [x[:3] for x in left], [x[:3] for x in right], autojunk=False)
    found: list[tuple[str, int, int, int, int]] = []
    for kind, a, b, c, d in names.get_opcodes():
        if kind != "equal":
            found.append((kind, a, b, c, d))
            continue
        found += [
            (
                "equal" if left[a + n] == right[c + n] else "replace",
                a + n,
                a + n + 1,
                c + n,
                c + n + 1,
            )
            for n in range(b - a)
        ]
    return found


def _of_lines(place: str, mine: str, theirs: str, separator: str) -> Iterator[Change]:
    ours, others = mine.split(separator), theirs.split(separator)
    first = 2 if mine[:3] == "MSH" else 1
    for at in range(1, max(len(ours), len(others))):
        before = ours[at] if at < len(ours) else ""
        after = others[at] if at < len(others) else ""
        if before != after:
            yield Change(f"{place}-{at + first - 1}", before, after)


def _place(lines: list[str], at: int) -> str:
    name = lines[at][:3]
    same = sum(1 for line in lines if line[:3] == name)
    number = sum(1 for line in lines[: at + 1] if line[:3] == name)
    return f"{name}[{number}]" if same > 1 else name


def _text(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace")
