"""What goes over the control socket: one act a connection, lines of JSON both ways."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

FOLDER = "control"
SOCKET = "control.sock"
TOKEN = "token"  # noqa: S105 - the file's name
LINE_BYTES_MAX = 1 << 20
Say = Callable[[str], None]


class ActRefused(Exception):
    """The act cannot be done now; one sentence that says what to do."""


class Act(msgspec.Struct, frozen=True):
    """One thing to do. ``anyway``: also where a board would be left that cannot work without."""

    token: str
    verb: str
    board: str = ""
    anyway: bool = False
    wheels: str = ""  # a folder of wheels that a board from outside needs
    lock: str = ""  # a file of hashes: nothing else is installed
    beside: str = ""  # whose process a board moves to; its own name: one of its own


class Source(msgspec.Struct, frozen=True):
    """Where a board comes from: a folder with its pyproject.toml or a wheel."""

    path: str
    wheels: str = ""
    lock: str = ""


class BoardStatus(msgspec.Struct, frozen=True):
    """One board as ``plugward rack status`` shows it."""

    name: str
    version: str
    pids: tuple[int, ...]
    replicas: int
    healthy: bool
    why: str = ""
    rss_bytes: int = 0
    connections: int = 0
    group: str = ""
    reacts: int = 0  # the process among the replicas that hears facts and rings timers


class RackStatus(msgspec.Struct, frozen=True):
    """The whole hospital."""

    shape: str
    pid: int
    boards: tuple[BoardStatus, ...]
    unplugged: tuple[str, ...] = ()
    connections_budget: int = 0
    connections: int = 0
    database: str = ""

    @property
    def healthy(self) -> bool:
        return all(board.healthy for board in self.boards)


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer: ``said`` along the way, then one ``done`` or ``refused``."""

    said: str = ""
    done: str = ""
    refused: str = ""
    status: RackStatus | None = None

    @property
    def is_last(self) -> bool:
        return not self.said


class Powers(Protocol):
    """What can be done to a running hospital, whatever its shape. Raises ``ActRefused``."""

    async def plug(self, board: str, *, by: str, say: Say) -> str:
        """Plug a board in; answers what is true now."""
        ...

    async def unplug(self, board: str, *, by: str, say: Say, anyway: bool = False) -> str:
        """Take a board out; its data stay."""
        ...

    async def install(self, source: Source, *, by: str, say: Say, upgrade: bool = False) -> str:
        """Plug in a board from outside, or another version of it; answers what is true now."""
        ...

    async def rollback(self, board: str, *, by: str, say: Say) -> str:
        """Back to the version that ran before."""
        ...

    async def restart(self, board: str, *, by: str, say: Say) -> str:
        """Start a board's processes anew, one after the other."""
        ...

    async def move(self, board: str, beside: str, *, by: str, say: Say, anyway: bool) -> str:
        """Have a board run beside another, or by itself; its data stay where they are."""
        ...

    async def status(self) -> RackStatus:
        """How everything is."""
        ...


def socket_of(data: Path) -> Path:
    return data / FOLDER / SOCKET


def token_of(data: Path) -> Path:
    return data / FOLDER / TOKEN


def is_path(board: str) -> bool:
    """Whether a board is named by where it lies."""
    return "/" in board or board.endswith(".whl")


def silent(said: str) -> None:
    del said
