"""Paths 字段路径: ``PID-5.1``, ``OBX[3]-5``, ``PID-3[2].1`` name one place in a message."""

import re
from functools import lru_cache
from typing import NamedTuple

_PATH = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<occurrence>[1-9]\d*)\])?"
    r"(?:-(?P<field>[1-9]\d*)(?:\[(?P<repetition>[1-9]\d*)\])?"
    r"(?:\.(?P<component>[1-9]\d*)(?:\.(?P<sub>[1-9]\d*))?)?)?"
)


class Path(NamedTuple):
    """One place. Counting starts at 1; 0 means "not said", which reads as the first."""

    segment: str
    occurrence: int = 0
    field: int = 0
    repetition: int = 0
    component: int = 0
    sub: int = 0

    def __str__(self) -> str:
        text = self.segment + (f"[{self.occurrence}]" if self.occurrence else "")
        if self.field:
            text += f"-{self.field}" + (f"[{self.repetition}]" if self.repetition else "")
        if self.component:
            text += f".{self.component}" + (f".{self.sub}" if self.sub else "")
        return text


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Path:
    """Read a path; ``ValueError`` for anything that is not one. Occurrence defaults to 1."""
    found = _PATH.fullmatch(text)
    if found is None:
        raise ValueError(f"not an HL7 path: {text!r}")
    parts = found.groupdict()
    return Path(
        parts["segment"],
        int(parts["occurrence"] or 1),
        *(int(parts[name] or 0) for name in ("field", "repetition", "component", "sub")),
    )
