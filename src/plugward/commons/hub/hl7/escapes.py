"""Escapes 转义: delimiters and control characters inside values, both ways.

``unescape(escape(text)) == text`` for every text, and an escaped text holds no delimiter and no
control character, so no value can end its field, its segment or its MLLP frame.
"""

import re
from functools import lru_cache
from typing import NamedTuple


class Separators(NamedTuple):
    """The delimiters a message declares in MSH-1 and MSH-2."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def declared(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation


STANDARD = Separators()


class _Tables(NamedTuple):
    outwards: dict[int, str]
    pattern: re.Pattern[str]
    inwards: dict[str, str]


@lru_cache(maxsize=256)
def _tables(separators: Separators) -> _Tables:
    mark = separators.escape
    letters = {
        "F": separators.field,
        "S": separators.component,
        "T": separators.subcomponent,
        "R": separators.repetition,
        "E": mark,
    }
    if separators.truncation:
        letters["P"] = separators.truncation
    # Control characters as hexadecimal data: CR would end the segment, VT and FS the frame.
    outwards = {code: f"{mark}X{code:02X}{mark}" for code in (*range(0x20), 0x7F)}
    if "." not in separators:
        outwards[0x0A] = f"{mark}.br{mark}"
    outwards.update({ord(char): mark + name + mark for name, char in letters.items()})
    quoted = re.escape(mark)
    # The second family is understood as "leave alone": highlighting, formatting, character-set
    # switches and local Z escapes belong to whoever displays the text.
    pattern = re.compile(
        f"{quoted}(?:([{''.join(letters)}]|\\.br|X(?:[0-9A-Fa-f]{{2}})+)"
        f"|(?:[HN]|Z[^{quoted}]*|[CM][0-9A-Fa-f]{{4,6}}|\\.[a-z]{{2}}[+-]?\\d*)){quoted}"
    )
    return _Tables(outwards, pattern, {**letters, ".br": "\n"})


def escape(text: str, separators: Separators = STANDARD) -> str:
    """Text as it may stand in a field of a message with these separators."""
    return text.translate(_tables(separators).outwards)


def unescape(text: str, separators: Separators = STANDARD, codec: str = "utf-8") -> str:
    """The text a sender meant. Unknown or broken escapes are kept as they are."""
    tables = _tables(separators)

    def meant(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return found[0]
        if name[0] == "X":
            try:
                return bytes.fromhex(name[1:]).decode(codec)
            except UnicodeDecodeError:
                return found[0]
        return tables.inwards[name]

    return tables.pattern.sub(meant, text)
