"""The directory 名录: which boards somebody offers at this moment, told by those who do.

Every process that answers for a board says so every two seconds; who has been silent for six is
gone. Nothing is configured, so nothing can be out of date.
"""

import time
from collections.abc import Callable, Iterator

import msgspec

from plugward.kernel.codec import pack, unpack

BEAT_S = 2.0
GONE_S = 6.5


class State(msgspec.Struct, frozen=True):
    """What one process says about one of its boards."""

    board: str
    version: str
    process: str  # unique for each start
    pid: int
    replica: str = "0"
    host: str = ""
    serving: bool = True
    reacting: bool = True
    in_flight: int = 0
    lag: int = 0
    left_out: str = ""


class Seen(msgspec.Struct, frozen=True):
    state: State
    heard_at: float


class Directory:
    """What has been heard lately."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._heard: dict[tuple[str, str], Seen] = {}
        self.changed: Callable[[str], None] = _nobody_minds

    def hear(self, data: bytes) -> None:
        """One announcement. What cannot be read is somebody else's release: left alone."""
        try:
            state: State = unpack(data, State)
        except msgspec.DecodeError:
            return
        key = (state.board, state.process)
        known = key in self._heard
        if state.serving:
            self._heard[key] = Seen(state, self._seconds())
        else:
            self._heard.pop(key, None)
        if known != state.serving:
            self.changed(state.board)

    @property
    def seen(self) -> dict[str, tuple[Seen, ...]]:
        """Who is there, by board."""
        found: dict[str, list[Seen]] = {}
        for seen in self._fresh():
            found.setdefault(seen.state.board, []).append(seen)
        return {board: tuple(processes) for board, processes in sorted(found.items())}

    def reaches(self, board: str) -> bool:
        return any(seen.state.board == board for seen in self._fresh())

    def forget(self, process: str) -> None:
        """This process has ended."""
        for key in [key for key in self._heard if key[1] == process]:
            del self._heard[key]
            self.changed(key[0])

    def all(self) -> tuple[Seen, ...]:
        """Everybody who has been heard lately."""
        return tuple(self._fresh())

    def _fresh(self) -> Iterator[Seen]:
        limit = self._seconds() - GONE_S
        return (seen for seen in list(self._heard.values()) if seen.heard_at >= limit)


def said(state: State) -> bytes:
    return pack(state)


def _nobody_minds(board: str) -> None:
    del board
