"""One hospital a test, prepared once and copied, because filling takes long.

``make test`` runs every journey on SQLite over both transports, and those that lean on what a
database promises (``databases``) on PostgreSQL too. ``make test-all`` runs the full product.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, delete, func, insert, select

from plugward.kernel.dispatch import Transport
from plugward.kernel.store.tables import BoardTables
from plugward.kernel.testing import TRANSPORTS

from ..databases.servers import Servers
from .house import House

ALL = os.environ.get("PLUGWARD_TEST_ALL", "") not in ("", "0")
DATABASES = ("sqlite", "postgresql", "mariadb")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Where this journey is made: the databases times the transports, or the part that tells."""
    if "house" not in metafunc.fixturenames or callable(getattr(metafunc.module, "house", None)):
        return  # no house, or one of the module's own
    places = [("sqlite", transport) for transport in TRANSPORTS]
    if ALL and not getattr(metafunc.module, "ON_FILES_ONLY", False):
        places = [(database, transport) for database in DATABASES for transport in TRANSPORTS]
    elif metafunc.definition.get_closest_marker("databases"):
        places.append(("postgresql", Transport.STRICT))
    names = [f"{database}-{transport.value}" for database, transport in places]
    metafunc.parametrize("house", places, indirect=True, ids=names)


@pytest.fixture(scope="session")
def servers(prepared: Path) -> Iterator[Servers]:
    """Hospitals on servers, each a copy of one that was filled from the prepared files."""
    with ExitStack() as stack:
        yield Servers(stack, lambda database: asyncio.run(_moved(prepared, database)))


async def _moved(prepared: Path, database: str) -> None:
    """Every row of the prepared hospital, laid into the tables of one on a server."""
    source = House(prepared, Transport.STRICT)
    target = House(prepared, Transport.STRICT, database=database)
    for house in (source, target):
        await house.runtime.start(house.boards.values())
    for name, plugged in source.runtime.plugged.items():
        there = target.runtime.plugged[name].store.engine
        for table in plugged.board.tables.metadata.sorted_tables:
            rows = await plugged.store.engine.read(partial(_rows, table))
            if table is plugged.board.tables.system.series:
                rows += await plugged.store.engine.read(partial(_position, plugged.board.tables))
            await there.system(partial(_lay_down, table, rows))
    for house in (target, source):
        await house.close()


def _rows(table: Table, connection: Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(select(table)).mappings()]


def _position(tables: BoardTables, connection: Connection) -> list[dict[str, Any]]:
    """A server's sequencer counts on from here; a file has its last row for that."""
    last = connection.execute(select(func.max(tables.system.outbox.c.position))).scalar()
    return [{"name": "sys:position", "value": last}] if last else []


def _lay_down(table: Table, rows: list[dict[str, Any]], connection: Connection) -> None:
    connection.execute(delete(table))
    if rows:
        connection.execute(insert(table), rows)


@pytest.fixture
async def house(
    request: pytest.FixtureRequest, tmp_path: Path, prepared: Path
) -> AsyncIterator[House]:
    kind, transport = request.param
    if kind == "sqlite":
        shutil.copytree(prepared, tmp_path / "boards")
        found = House(tmp_path / "boards", transport)
    else:
        servers: Servers = request.getfixturevalue("servers")
        url = await asyncio.to_thread(servers.a_copy, kind)
        found = House(tmp_path, transport, database=url)
    await found.start()
    yield found
    await found.close()
