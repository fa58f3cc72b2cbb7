"""One NATS server for the whole run, and a small rack on it for each test."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from plugward.rack.wire.broker import Broker

from .rack import Rack


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("nats"))
    with asyncio.Runner() as runner:
        runner.run(broker.start())
        yield broker
        runner.run(broker.stop())


@pytest.fixture
async def rack(nats: Broker, tmp_path: Path) -> AsyncGenerator[Rack, None]:
    made = Rack(nats, tmp_path)
    yield made
    await made.stop()
