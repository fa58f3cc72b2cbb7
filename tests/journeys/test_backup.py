"""A backup is taken while patients are seen; what comes back is a hospital whose sums add up."""

import asyncio
from pathlib import Path

import pytest

from plugward.kernel.clock import SystemClock
from plugward.kernel.dispatch import Transport
from plugward.rack.backup import back_up, restore
from plugward.rack.folder import DataFolder

from .house import AMLODIPINE, House, drug

COPIES = 3
ON_FILES_ONLY = True  # this backup copies files; a server has its own tools


async def test_a_hospital_at_work_comes_back_whole(
    house: House, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not (tmp_path / "boards").is_dir():
        pytest.skip("this backup copies files; a database server has its own tools")
    vault = tmp_path_factory.mktemp("vault")
    enough = asyncio.Event()
    working = asyncio.create_task(see_patients(house, enough))
    taken = [vault / f"copy-{number}" for number in range(COPIES)]
    for copy in taken:
        assert not working.done()
        await asyncio.to_thread(
            back_up, DataFolder(tmp_path), copy, SystemClock(), "1.0.0", lambda *_: None
        )
    enough.set()
    await working

    for copy in taken:
        again = DataFolder(vault / f"again-{copy.name}")
        restore(copy, again, lambda *_: None)
        restored = House(again.boards, Transport.STRICT)
        await restored.start()
        await restored.later(minutes=45)  # what was under way is finished or let go of
        await restored.audit()
        await restored.close()


async def see_patients(house: House, enough: asyncio.Event) -> None:
    """One after the other, until the copies are taken."""
    number = 30
    while not enough.is_set():
        registered = await house.register("赵守恒", number)
        visit = await house.arrive(registered.patient.id)
        await house.call_and_serve()
        await house.sign(visit, (drug(AMLODIPINE, 1),))
        await house.quiet()
        await house.pay_all(visit.encounter)
        number += 1
