"""The demo's day, collected over the wire, gives the figures that one process gives.

数据中心在机架里从头重建：驾驶舱的数字与单进程逐项相同。
"""

import asyncio
import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from plugward.commons.datacentre.contract import Cockpit, DataCentre, Selection
from plugward.kernel.codec import to_json
from plugward.kernel.envelope import acting_as
from plugward.kernel.testing import a_tester
from plugward.rack.embedded import Embedded
from plugward.rack.folder import DataFolder

from .running import Running, rack_up

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]
START_S = 150
COLLECT_S = 60


def test_figures_in_a_rack_are_those_of_one_process(tmp_path: Path) -> None:
    data = tmp_path / "hospital"
    plan = tmp_path / "rack.toml"
    plan.write_text("[rack]\nmllp_port = 0\n")
    with rack_up(data, str(plan), "--demo", seconds=START_S):
        pass  # fills the hospital
    expected = asyncio.run(embedded_cockpit(data))
    assert any(figure["value"] for figure in expected["figures"])
    next(data.glob("**/*.duckdb")).unlink()  # the rack collects everything anew
    with rack_up(data, str(plan), "--demo", seconds=START_S) as rack:
        director = rack.browser("M10001", "/datacentre/cockpit")
        deadline = time.monotonic() + COLLECT_S
        while (found := cockpit(rack, director.token)) != expected:
            assert time.monotonic() < deadline, differences(found, expected)
            time.sleep(0.2)
        assert "院长驾驶舱" in director.page.read().decode()


def cockpit(rack: Running, token: str) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - http, to the rack
        f"{rack.url}/api/datacentre/v1/cockpit",
        data=b'{"chosen": {}}',
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
        return whole(json.load(answer))


async def embedded_cockpit(data: Path) -> dict[str, Any]:
    hospital = Embedded(DataFolder(data), extra={"hub": {"mllp_port": 0}})
    await hospital.start()
    try:
        service = hospital.runtime.plugged["datacentre"].service
        async with asyncio.timeout(COLLECT_S):
            while not await whole_and_read(service):
                await service.collector.pause(0.05)
        with acting_as(a_tester(campuses=("C1", "C2", "C3"))):
            found: Cockpit = await hospital.runtime.client(DataCentre).cockpit(Selection())
        return whole(json.loads(to_json(found)))
    finally:
        await hospital.stop()


async def whole_and_read(service: Any) -> bool:
    """Every board's facts are followed, and in."""
    await service.collector.match()
    sources = service.collector.sources.values()
    return not service.at_hand.missing and all(not s.waiting and s.behind <= 0 for s in sources)


def whole(told: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on the moment of asking."""
    return {name: told[name] for name in ("figures", "panels", "quality")}


def differences(found: dict[str, Any], expected: dict[str, Any]) -> str:
    return "\n".join(
        f"{name}: {found[name]} ≠ {expected[name]}"
        for name in found
        if found[name] != expected[name]
    )
