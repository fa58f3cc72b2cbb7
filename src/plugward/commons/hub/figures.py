"""Figures 计数: what a hub's folder holds, told to another process while the hub may be running."""

import fcntl
import sqlite3
from pathlib import Path

import msgspec

from . import ledger_tables as sql
from .measures import Row
from .node import Live


class Figures(msgspec.Struct, frozen=True):
    """What ``plugward hub stats --json`` prints."""

    messages: int
    done: int
    pending: int
    dead: int
    refused: int
    waiting_for: dict[str, int]
    ledger_bytes: int
    running: bool
    routes: dict[str, int] = {}
    problems: dict[str, str] = {}
    services: tuple[Row, ...] = ()


def figures(data: Path) -> Figures | None:
    """The counts of a data folder; ``None`` when it holds no hub."""
    path = data / "hub" / "ledger.sqlite"
    if not path.exists():
        return None
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        counts = {str(name): int(count) for name, count in connection.execute(sql.COUNTS)}
        (refused,) = connection.execute("SELECT count(*) FROM refused").fetchone()
        backlog = dict(connection.execute(sql.BACKLOG, (sql.State.PENDING,)).fetchall())
    finally:
        connection.close()
    live = _live(data / "hub" / "live.json")
    files = (path, path.with_name(path.name + "-wal"))
    return Figures(
        messages=counts.get("messages", 0),
        done=counts.get(sql.State.DONE, 0),
        pending=counts.get(sql.State.PENDING, 0),
        dead=counts.get(sql.State.DEAD, 0),
        refused=refused,
        waiting_for=backlog,
        ledger_bytes=sum(file.stat().st_size for file in files if file.exists()),
        running=_is_running(data / "hub" / "lock"),
        routes=live.routes if live else {},
        problems=live.problems if live else {},
        services=live.rows if live else (),
    )


def _live(path: Path) -> Live | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Live)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _is_running(lock: Path) -> bool:
    try:
        with lock.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
