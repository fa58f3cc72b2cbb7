"""A start in trouble: one board's store cannot be opened, the others work; old answers go."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from plugward.boards.encounters.board import board as encounters
from plugward.boards.encounters.contract import Encounters
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.clock import ManualClock
from plugward.kernel.envelope import acting_as
from plugward.kernel.refusals import Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.store.engine import Engine
from plugward.kernel.testing import Bench, a_tester
from plugward.kit.ids import new_id
from plugward.vocabulary import CampusCode, EncounterId
from tests.databases.vault.board import board as vault
from tests.databases.vault.contract import Box, Vault


class OneSpoilt(Databases):
    """The store of encounters is a file that is no database."""

    def engine(self, tables: Any, steps: Any, now: Callable[[], Any]) -> Engine:
        if tables.board == "encounters":
            assert isinstance(self.location, Path)
            (self.location / "encounters.sqlite").write_bytes(b"not a database" * 100)
        return super().engine(tables, steps, now)


def a_box(clock: ManualClock) -> Box:
    return Box(id=new_id(), campus=CampusCode("C1"), name="一", at=clock.now())


async def test_a_spoilt_store_keeps_only_its_own_board_out(tmp_path: Path) -> None:
    clock = ManualClock("2026-03-02 08:00")
    runtime = Runtime(OneSpoilt(tmp_path), clock, AuditLog(None, clock))
    await runtime.start([vault, encounters])
    try:
        assert set(runtime.left_out) == {"encounters"}
        with acting_as(a_tester()):
            put = await runtime.client(Vault).put(a_box(clock))
        assert put.number == 1
        with acting_as(a_tester()), pytest.raises(Unavailable):
            await runtime.client(Encounters).get(EncounterId(new_id()))
    finally:
        await runtime.stop()


async def test_answers_are_forgotten_only_when_their_requests_would_be_refused() -> None:
    bench = Bench(vault)
    await bench.client(Vault).put(a_box(bench.clock))
    plugged = await bench.ready()
    done = plugged.store.engine.tables.system.done

    async def kept() -> int:
        counted = select(func.count()).select_from(done)
        return int(await plugged.store.engine.read(lambda c: c.execute(counted).scalar_one()))

    before = await kept()
    await bench.clock.advance(timedelta(days=30))
    await bench.runtime.forget_old_answers()
    assert await kept() == before >= 1
    await bench.clock.advance(timedelta(days=2))
    await bench.runtime.forget_old_answers()
    assert await kept() == 0
