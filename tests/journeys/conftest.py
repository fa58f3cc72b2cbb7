"""One hospital a test, on both transports."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plugward.kernel.testing import TRANSPORTS

from .house import House


@pytest.fixture(params=TRANSPORTS)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    found = House(tmp_path, request.param)
    await found.open()
    yield found
    await found.close()
