"""What one process is told at its start: a file only its user can read."""

import os
from pathlib import Path

import msgspec

from .plan import Seat


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
    campuses: dict[str, dict[str, str]] = {}

    def write(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.msgpack.encode(self))

    @classmethod
    def read(cls, path: Path) -> "Spec":
        return msgspec.msgpack.decode(path.read_bytes(), type=cls)


class Ready(msgspec.Struct, frozen=True):
    """What a process says once its boards are in."""

    boards: dict[str, str]
    left_out: dict[str, str] = {}
    port: int = 0
