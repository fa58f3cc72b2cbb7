"""pytest plug-in: closes every bench after its test. Registered by the distribution."""

from collections.abc import Iterator

import pytest

from .testing import close_benches


@pytest.fixture(autouse=True)
def _benches_are_closed() -> Iterator[None]:
    yield
    close_benches()
