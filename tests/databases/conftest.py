"""The three databases every promise of the store is tested on."""

from collections.abc import Iterator

import pytest

from .servers import mariadb, own_hospital, postgresql


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    with mariadb() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database(request: pytest.FixtureRequest) -> str:
    """A database location for one test, empty."""
    if request.param == "sqlite":
        return "file"
    return own_hospital(request.getfixturevalue(f"{request.param}_url"))
