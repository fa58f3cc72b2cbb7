"""Preparing 备库: schemas, tables, roles and logins, made by the owner before any process starts.

Run apart, because it loads every board once; what it must know it reads from a file of mode 0600,
so that no password is on a command line.
"""

import asyncio
import sys
from pathlib import Path

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from plugward.kernel.auditserver import ServerStore
from plugward.kernel.clock import SystemClock
from plugward.kernel.store.engine import Reach
from plugward.kernel.store.roles import login_statements
from plugward.kernel.store.server import ServerEngine, as_owner

from .spec import read_secret, write_secret


class Login(msgspec.Struct, frozen=True):
    """One process on the server: the roles of its boards, and so many connections."""

    name: str
    password: str
    boards: tuple[str, ...]
    connections: int


class Preparation(msgspec.Struct, frozen=True):
    owner: str
    logins: tuple[Login, ...]


class PreparingFailed(Exception):
    """The server could not be made ready; its last words."""


async def prepare(told: Preparation, file: Path) -> None:
    """Ask a process of its own. Raises ``PreparingFailed``."""
    write_secret(file, told)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "plugward.rack.supervisor.preparing",
        str(file),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    if process.returncode:
        words = errors.decode("utf-8", "replace").strip().splitlines()
        raise PreparingFailed(words[-1] if words else f"exit code {process.returncode}")


async def _prepare(told: Preparation) -> None:
    from ..discover import discover  # noqa: PLC0415 - only here every board is loaded

    clock = SystemClock()
    reach = Reach(owner=told.owner)
    schemas: dict[str, str] = {}
    for board in discover().boards:
        engine = ServerEngine(
            board.tables, told.owner, now=clock.now, steps=board.migrations, reach=reach
        )
        await engine.prepare()
        schemas[board.name] = engine.schema
    audit = ServerStore(told.owner, reach=reach)
    await audit.prepare()
    owner = as_owner(told.owner)
    dialect = make_url(told.owner).get_backend_name()
    try:
        async with owner.connect() as connection:
            for login in told.logins:
                mine = [schemas[name] for name in login.boards if name in schemas]
                for statement in login_statements(
                    dialect, login.name, login.password, [*mine, audit.schema], login.connections
                ):
                    await connection.execute(text(statement))
    finally:
        await owner.dispose()


def main() -> None:
    try:
        asyncio.run(_prepare(read_secret(Path(sys.argv[1]), Preparation, keep=False)))
    except DBAPIError as error:  # the statement may hold a password: the server's words do
        sys.exit(f"{type(error.orig).__name__}: {error.orig}")


if __name__ == "__main__":
    main()
