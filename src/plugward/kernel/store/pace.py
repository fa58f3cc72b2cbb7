"""Pace 快慢: which functions are quick enough to run on the event loop's own thread.

Handing a function of a tenth of a millisecond to another thread costs more than running it; one
that takes long must not hold up everybody. How long each took lately decides, by its name.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

QUICK_S = 0.004
_WEIGHT = 0.25  # of the newest run


class Pace:
    """How long functions took lately. What has never run is taken for slow."""

    def __init__(self) -> None:
        self._mean_s: dict[str, float] = {}

    def is_quick(self, what: str) -> bool:
        return self._mean_s.get(what, QUICK_S) < QUICK_S

    def note(self, what: str, seconds: float) -> None:
        """It ran for so long."""
        mean = self._mean_s.get(what)
        self._mean_s[what] = seconds if mean is None else mean + (seconds - mean) * _WEIGHT


def name_of(function: Callable[..., Any]) -> str:
    """A name by which the same function is known again."""
    if isinstance(function, partial):
        return name_of(function.func)
    return str(getattr(function, "__qualname__", type(function).__name__))
