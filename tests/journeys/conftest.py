"""One hospital a test, prepared once and copied, because filling takes long.

``make test`` runs every journey on SQLite over both transports, and those that lean on what a
database promises (``databases``) on PostgreSQL too. ``make test-all`` runs the full product.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from plugward.kernel.dispatch import Transport
from plugward.kernel.testing import TRANSPORTS

from ..databases.servers import Servers
from .house import House

ALL = os.environ.get("PLUGWARD_TEST_ALL", "") not in ("", "0")
DATABASES = ("sqlite", "postgresql", "mariadb")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Where this journey is made: the databases times the transports, or the part that tells."""
    if "house" not in metafunc.fixturenames:
        return
    places = [("sqlite", transport) for transport in TRANSPORTS]
    if ALL:
        places = [(database, transport) for database in DATABASES for transport in TRANSPORTS]
    elif metafunc.definition.get_closest_marker("databases"):
        places.append(("postgresql", Transport.STRICT))
    names = [f"{database}-{transport.value}" for database, transport in places]
    metafunc.parametrize("house", places, indirect=True, ids=names)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stores of a hospital that has catalogues, stock and today's clinics."""
    folder = tmp_path_factory.mktemp("prepared")
    asyncio.run(_filled(House(folder, Transport.STRICT)))
    return folder


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Hospitals on servers, each a copy of one that was filled."""
    with ExitStack() as stack:

        def fill(database: str) -> None:
            folder = tmp_path_factory.mktemp("server")
            asyncio.run(_filled(House(folder, Transport.STRICT, database=database)))

        yield Servers(stack, fill)


async def _filled(house: House) -> None:
    await house.open()
    await house.close()


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
