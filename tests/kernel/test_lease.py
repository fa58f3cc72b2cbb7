"""The lease: one of a board's processes has it, and never two.

值班：同一块插板的多个进程里只有一个在反应；它没了，另一个接上。
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Never

import pytest

from plugward.kernel import Unavailable
from plugward.kernel.clock import ManualClock
from plugward.kernel.store.lease import GIVEN_UP_S, GONE_S, Lease
from plugward.kernel.store.sqlite import SqliteEngine
from plugward.kernel.store.tables import BoardTables


class Seconds:
    """A clock of one process's own."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[SqliteEngine]:
    made = SqliteEngine(
        BoardTables("ward"), tmp_path / "w.sqlite", now=ManualClock("2026-03-02 08:00").now
    )
    await made.start()
    yield made
    await made.stop()


async def test_the_first_has_it_and_the_others_wait(engine: SqliteEngine) -> None:
    seconds = Seconds(0.0)
    first, second = Lease(engine, seconds), Lease(engine, Seconds(1_000.0))
    assert await first.turn()
    for _ in range(20):
        seconds.now += 1
        assert await first.turn()
        assert not await second.turn()


async def test_whoever_is_silent_for_long_loses_it(engine: SqliteEngine) -> None:
    early, late = Seconds(0.0), Seconds(500.0)  # no two machines agree on the time
    first, second = Lease(engine, early), Lease(engine, late)
    assert await first.turn()
    assert not await second.turn()
    late.now += GONE_S - 0.1
    assert not await second.turn()
    late.now += 0.2
    assert await second.turn()
    assert not await first.turn()  # it wakes up, and knows at once
    assert await second.turn()


async def test_of_two_who_take_it_one_succeeds(engine: SqliteEngine) -> None:
    clocks = [Seconds(0.0) for _ in range(5)]
    leases = [Lease(engine, clock) for clock in clocks]
    assert await leases[0].turn()
    for lease in leases[1:]:
        await lease.turn()
    for clock in clocks[1:]:
        clock.now += GONE_S + 1
    assert [await lease.turn() for lease in leases[1:]].count(True) == 1


async def test_given_back_it_is_free_at_once(engine: SqliteEngine) -> None:
    first, second = Lease(engine), Lease(engine)
    assert await first.turn()
    assert not await second.turn()
    await first.release()
    assert await second.turn()
    assert not await first.turn()


async def test_who_cannot_write_stops_before_another_begins(
    engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert GIVEN_UP_S < GONE_S
    seconds = Seconds(0.0)
    lease = Lease(engine, seconds)
    assert await lease.turn()

    async def away(_: object) -> Never:
        raise Unavailable("ward", "storage")

    monkeypatch.setattr(engine, "system", away)
    seconds.now += GIVEN_UP_S - 1
    assert await lease.turn()
    seconds.now += 1.5
    assert not await lease.turn()
