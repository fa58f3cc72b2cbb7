"""What one process is told at its start: a file only its user can read."""

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from ..place import Stores
from .plan import Seat

T = TypeVar("T")


class Spec(msgspec.Struct, frozen=True):
    """Everything a board's process needs to begin."""

    seat: Seat
    site: str
    data: str
    nats: str
    user: str
    password: str
    credentials: bytes
    host: str
    port: int
    mllp_port: int
    demo: bool
    declared: tuple[str, ...] = ()
    stores: Stores | None = None  # None: files in the data folder
    campuses: dict[str, dict[str, str]] = {}


def write_secret(path: Path, told: msgspec.Struct) -> None:
    """For this user's eyes only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.msgpack.encode(told))


def read_secret(path: Path, kind: type[T], *, keep: bool = True) -> T:
    told = path.read_bytes()
    if not keep:
        path.unlink()
    return msgspec.msgpack.decode(told, type=kind)


class Ready(msgspec.Struct, frozen=True):
    """What a process says once its boards are in."""

    boards: dict[str, str]
    left_out: dict[str, str] = {}
    port: int = 0
    reacting: bool = True
