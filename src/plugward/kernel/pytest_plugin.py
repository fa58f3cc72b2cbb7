"""pytest plug-in: closes every bench after its test. Registered by the distribution."""

from collections.abc import AsyncIterator

import pytest

from .testing import close_benches


@pytest.fixture(autouse=True)
async def _benches_are_closed() -> AsyncIterator[None]:
    """On the test's own event loop, so that server connections are given back."""
    yield
    await close_benches()
