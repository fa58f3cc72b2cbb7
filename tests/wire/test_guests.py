"""A portal over processes: pages, keys, operations, facts of a board whose code it has not got.

门户在一个进程，插板在另一个进程：页面、按钮、接口、下载、实时消息都照常；插板走了，门户如实说。
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from plugward.commons.identity.board import board as identity
from plugward.commons.masterdata.board import board as masterdata
from plugward.commons.portal.board import board as portal
from plugward.commons.portal.rack_view import details
from plugward.commons.portal.tests.specimen.board import board as specimen
from plugward.commons.portal.words import Words
from plugward.kit.ids import new_id
from plugward.rack.node import Node

from .rack import Rack, served, until

pytestmark = pytest.mark.wire


class Desk:
    """A doctor at the portal of one process."""

    def __init__(self, node: Node, session: aiohttp.ClientSession) -> None:
        self.node = node
        self.session = session

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.session.get(path, allow_redirects=False, headers=headers) as answer:
            return answer.status, await answer.text()

    async def post(self, path: str, form: dict[str, str]) -> int:
        async with self.session.post(path, data=form, allow_redirects=False) as answer:
            return answer.status

    async def api(self, operation: str, body: dict[str, Any]) -> tuple[int, Any]:
        async with self.session.post(f"/api/specimen/v1/{operation}", json=body) as answer:
            return answer.status, await answer.json()

    async def knows(self) -> None:
        await until(lambda: "specimen" in self.node.runtime.shown)


@asynccontextmanager
async def desk(rack: Rack) -> AsyncGenerator[Desk, None]:
    settings = {"identity": {"demo": True}}
    node = await rack.node(identity, portal, masterdata, edge=True, settings=settings)
    async with (
        served(node.runtime) as (base, token),
        aiohttp.ClientSession(base, headers={"authorization": f"Bearer {token}"}) as session,
    ):
        yield Desk(node, session)


async def test_a_board_of_another_process_is_used_like_one_of_ours(rack: Rack) -> None:
    async with desk(rack) as doctor:
        assert (await doctor.get("/specimen/notes"))[0] == 404
        guest = await rack.node(specimen)
        await doctor.knows()  # no restart of anything

        note = str(new_id())
        assert await doctor.post("/specimen/write", {"id": note, "text": "头痛三天 <b>"}) == 303
        status, page = await doctor.get("/specimen/notes")
        assert (status, "头痛三天 &lt;b&gt;" in page) == (200, True)
        assert 'data-key="F9"' in page or '"F9"' in page  # its keys are in the key bar
        assert 'href="/specimen/notes"' in (await doctor.get("/"))[1]  # in the rail, with its line
        assert "1 份记录" in (await doctor.get("/"))[1]
        assert (await doctor.get(f"/specimen/notes/{note}"))[0] == 200
        assert (await doctor.get(f"/specimen/notes/{new_id()}"))[0] == 404
        assert (await doctor.get("/specimen/secret"))[0] == 403
        assert (await doctor.get("/specimen/broken"))[0] == 500

        async with doctor.session.get("/specimen/file") as file:
            assert await file.read() == b"1,False"
            assert file.headers["content-disposition"].startswith("attachment;")
            assert file.content_type == "text/csv"

        other = {"id": str(new_id()), "text": "头痛三天 <b>", "parts": []}
        status, told = await doctor.api("write", {"note": other})
        assert (status, told["code"]) == (409, "specimen.TextTaken")
        assert "头痛三天" in told["message"]  # in the board's own words, with its fields
        assert (await doctor.api("note", {"note": note}))[1]["text"] == "头痛三天 <b>"
        assert (await doctor.api("nothing", {}))[0] == 404
        assert '"/api/specimen/v1/write"' in (await doctor.get("/openapi/specimen.json"))[1]

        await the_rack_page_shows_it(doctor)
        assert note in (await doctor.get("/specimen/list"))[1]  # the button of the plain list
        assert await doctor.post("/portal/do/specimen/tear_up", {"row": note}) == 303
        assert (await doctor.api("notes", {}))[1] == []

        await guest.unplug("specimen")
        await until(lambda: "specimen" not in doctor.node.runtime.shown)
        assert (await doctor.get("/specimen/notes"))[0] == 404
        assert (await doctor.get("/"))[0] == 200


async def the_rack_page_shows_it(doctor: Desk) -> None:
    shown = await doctor.get("/portal/boards?board=specimen")
    assert shown[0] == 403  # a doctor has no business there
    runtime = doctor.node.runtime
    told = details(runtime, runtime.shown["specimen"], Words([specimen]), "zh-CN")
    assert (told["version"], told["state"], told["running"]) == ("1.2.3", "正常", "独立进程")
    assert {"name": "specimen.write", "calls": 0} in told["operations"]


async def test_a_tab_hears_of_facts_of_another_process(rack: Rack) -> None:
    async with desk(rack) as doctor:
        await rack.node(specimen)
        await doctor.knows()
        await doctor.post("/specimen/write", {"id": str(new_id()), "text": "之前"})
        async with doctor.session.get("/portal/live?topics=specimen.note.written") as stream:
            await heard(stream, "event: beat")
            note = str(new_id())
            await doctor.post("/specimen/write", {"id": note, "text": "唯一串"})
            text = await heard(stream, "event: specimen.note.written")
            assert note.replace("-", "") in text
            assert "唯一串" not in text


async def heard(stream: aiohttp.ClientResponse, wanted: str) -> str:
    text = ""
    async with asyncio.timeout(5):
        while wanted not in text or not text.endswith("\n\n"):
            text += (await stream.content.readany()).decode()
    return text
