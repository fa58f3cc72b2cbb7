"""One hospital a test, on both transports; prepared once and copied, because filling takes long."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plugward.kernel.dispatch import Transport
from plugward.kernel.testing import TRANSPORTS

from .house import House

ON_FILES = os.environ.get("PLUGWARD_TEST_DATABASE", "") in ("", "memory", "file")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stores of a hospital that has catalogues, stock and today's clinics."""
    folder = tmp_path_factory.mktemp("prepared")

    async def prepare() -> None:
        house = House(folder, Transport.STRICT)
        await house.open()
        await house.close()

    if ON_FILES:
        asyncio.run(prepare())
    return folder


@pytest.fixture(params=TRANSPORTS)
async def house(
    request: pytest.FixtureRequest, tmp_path: Path, prepared: Path
) -> AsyncIterator[House]:
    folder = tmp_path / "boards"
    shutil.copytree(prepared, folder)
    found = House(folder, request.param)
    await (found.start() if ON_FILES else found.open())
    yield found
    await found.close()
