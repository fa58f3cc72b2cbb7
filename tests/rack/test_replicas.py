"""Replicas on one database server: killed, restarted one by one, and never above the budget.

副本：杀掉一个、逐个重启，挂号窗口都不掉一个请求；连接总数不超预算。
"""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from plugward.rack.control.client import tell
from plugward.rack.control.words import BoardStatus, RackStatus
from plugward.rack.discover import board_entries

from .running import Running, rack_up, until
from .test_rack_on_a_server import a_folder, at_work, audited, stopped

REPLICATED = ("registration", "encounters", "patients")
OUT = {"documents", "hub", "datacentre", "lab", "pharmacy", "drug_store", "records"}
BUDGET = 60


def a_plan() -> str:
    lines = ["[rack]", "mllp_port = 0", 'database = "postgresql"', f"connections_max = {BUDGET}"]
    lines += [f"[boards.{board}]\nreplicas = 2" for board in REPLICATED]
    lines += [f"[boards.{board}]\nplugged = false" for board in sorted(OUT & set(board_entries()))]
    return "\n".join(lines)


async def held(rack: Running, seen: list[RackStatus]) -> None:
    """Look at the server's own count again and again."""
    while True:
        seen.append(await asyncio.to_thread(rack.whole))
        await asyncio.sleep(0.2)


def other_reacts(rack: Running, board: str, gone: int) -> BoardStatus | None:
    found = rack.status()[board]
    return found if found.reacts not in (0, gone) and len(found.pids) == 2 else None


@pytest.mark.full
@pytest.mark.timeout(400)
async def test_replicas_come_and_go_and_the_front_desk_never_notices(tmp_path: Path) -> None:
    data, plan = a_folder(tmp_path, a_plan())
    with rack_up(data, plan, "--demo", seconds=150) as rack:
        for board in REPLICATED:
            found = until(lambda board=board: other_reacts(rack, board, 0))
            assert (found.replicas, len(set(found.pids))) == (2, 2)
        seen: list[RackStatus] = []
        looking = asyncio.create_task(held(rack, seen))
        async with at_work(rack) as desk:
            await desk.after(10)
            # the one that reacts dies without a word, in the middle of what it does
            killed = {}
            for board in ("encounters", "registration"):
                killed[board] = (await asyncio.to_thread(rack.status))[board].reacts
                os.kill(killed[board], signal.SIGKILL)
                await desk.after(10)
            for board, gone in killed.items():
                await asyncio.to_thread(until, lambda b=board, g=gone: other_reacts(rack, b, g))
            # and every replica of three boards is started anew, one after the other
            for board in REPLICATED:
                before = (await asyncio.to_thread(rack.status))[board].pids
                answer = await asyncio.to_thread(tell, data, "restart", board)
                assert answer.done == f"{board} was started anew."
                after = await asyncio.to_thread(until, lambda b=board: other_reacts(rack, b, 0))
                assert not set(before) & set(after.pids)
            await desk.after(10)
        looking.cancel()
        assert len(seen) > 20
        assert max(found.connections for found in seen) <= BUDGET
        # each fact of registration was heard by encounters, whoever of its replicas lived
        doctor = await asyncio.to_thread(lambda: rack.browser("D10247", "/").token)
        await asyncio.wait_for(everybody_has_arrived(rack, doctor, desk.checked_in), 60)
        stopped(rack)
    audited(data)


async def everybody_has_arrived(rack: Running, token: str, visits: list[str]) -> None:
    headers = {"authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(rack.url, headers=headers) as session:
        waiting = set(visits)
        while waiting:
            body = {"wanted": sorted(waiting)[:200]}
            async with session.post("/api/encounters/v1/many", json=body) as answer:
                assert answer.status == 200, await answer.text()
                found = await answer.json()
            waiting -= {one["id"] for one in found if one["state"] == "arrived"}
            await asyncio.sleep(0.1)
