"""The data centre in a process of its own: it hears every board, and goes on where it was.

数据中心独占一个进程：事实从总线来，重启后从上次的位置接着读，数字与单进程一致。
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from plugward.commons.datacentre.board import board as datacentre
from plugward.commons.datacentre.contract import DataCentre
from plugward.commons.datacentre.tests.conftest import a_stay, ended
from plugward.commons.datacentre.tests.ward.board import board as ward
from plugward.commons.datacentre.tests.ward.contract import Stay, Ward
from plugward.kernel.envelope import acting_as
from plugward.rack.node import Node

from .rack import EDGE, Rack, a_nurse, manifest, reached, until

pytestmark = pytest.mark.wire


class House:
    """A ward and a data centre, each in its own process, over files that stay."""

    def __init__(self, rack: Rack, folder: Path) -> None:
        self._rack = rack
        self._folder = folder
        self.ward: Node
        self.centre: Node
        self.front: Node

    async def open(self) -> "House":
        everybody = manifest(EDGE.name, "ward", "datacentre")
        self.front = await self._rack.node(caller=everybody, edge=True)
        self.ward = await self._rack.node(ward, store=self._folder / "ward")
        await self.open_centre()
        return self

    async def open_centre(self) -> None:
        self.centre = await self._rack.node(
            datacentre,
            store=self._folder / "centre",
            settings={"datacentre": {"data_folder": str(self._folder), "batch_ms": 20}},
            declared=[ward],
        )
        await reached(self.front, "datacentre")

    async def close(self, node: Node) -> None:
        self._rack.nodes.remove(node)
        await node.stop()

    def lose_the_file(self) -> None:
        next(self._folder.glob("**/*.duckdb")).unlink()

    async def stays(self, *stays: Stay) -> None:
        with acting_as(a_nurse("ward.use", "datacentre.read", "datacentre.operate")):
            for stay in stays:
                await self.front.runtime.client(Ward).begin(stay)
                await self.front.runtime.client(Ward).end(ended(stay))

    async def rows(self) -> int:
        found: list[tuple[int]] = await self._service.warehouse.read(
            lambda c: c.execute("SELECT count(*) FROM fact.ward_stays WHERE state = 'ended'")
            .fetchall()
        )  # fmt: skip
        return found[0][0]

    @property
    def _service(self) -> Any:
        return self.centre.runtime.plugged["datacentre"].service

    async def until_in(self, count: int) -> None:
        collector = self._service.collector
        await until(lambda: "ward" in collector.sources and not collector.sources["ward"].waiting)
        async with asyncio.timeout(15):
            while await self.rows() < count:
                await collector.pause(0.02)
        assert await self.rows() == count

    async def told(self) -> tuple[int, Any]:
        """What the contract says over the wire: facts waiting, and the data's time."""
        with acting_as(a_nurse("ward.use", "datacentre.read", "datacentre.operate")):
            fresh = await self.front.runtime.client(DataCentre).freshness()
        return fresh.behind, fresh.as_of


async def test_facts_of_other_processes_come_in_once_over_restarts(
    rack: Rack, tmp_path: Path
) -> None:
    house = await House(rack, tmp_path).open()
    await house.stays(a_stay(), a_stay())
    await house.until_in(2)

    await house.close(house.centre)
    await house.stays(a_stay())  # while nobody collects
    await house.open_centre()
    await house.stays(a_stay())
    await house.until_in(4)

    await house.close(house.centre)
    house.lose_the_file()  # the outbox is the record
    await house.open_centre()
    await house.until_in(4)
    waiting, as_of = await house.told()
    assert (waiting, as_of is not None) == (0, True)
