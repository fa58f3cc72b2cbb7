"""The event stream of a tab: names and ids, rights at every event, nothing missed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from plugward.commons.identity.contract import Identity
from plugward.commons.identity.seed import demo_staff_id
from plugward.kernel.envelope import acting_as
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id

from .conftest import CASHIER, DOCTOR, ELSEWHERE, HOST, Browser, Open, Portal


class Stream:
    """A tab's stream, read as it comes."""

    def __init__(self) -> None:
        self.text = ""
        self.status = 0
        self.ended = asyncio.Event()
        self._news = asyncio.Event()
        self.left = asyncio.Event()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        self.text += message.get("body", b"").decode()
        self._news.set()

    async def until(self, text: str, seconds: float = 3.0) -> None:
        async with asyncio.timeout(seconds):
            while text not in self.text:
                self._news.clear()
                await self._news.wait()

    async def until_beats(self, count: int) -> None:
        async with asyncio.timeout(3):
            while self.text.count("event: beat") < count:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def listening(
    portal: Portal, browser: Browser, topics: str, last_id: str = ""
) -> AsyncIterator[Stream]:
    stream = Stream()
    headers = {
        "host": HOST,
        "cookie": "; ".join(f"{n}={v}" for n, v in browser.cookies.items()),
        "last-event-id": last_id,
    }
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/portal/live",
        "query_string": f"topics={topics}".encode(),
        "headers": [(n.encode(), v.encode()) for n, v in headers.items()],
        "client": (browser.address, 40_001),
    }

    async def receive() -> Any:
        await stream.left.wait()
        return {"type": "http.disconnect"}

    async def run() -> None:
        await portal.gateway(scope, receive, stream.send)
        stream.ended.set()

    task = asyncio.create_task(run())
    try:
        yield stream
    finally:
        stream.left.set()
        async with asyncio.timeout(3):
            await task


async def write(browser: Browser, text: str) -> str:
    note = str(new_id())
    reply = await browser.post("/specimen/write", {"id": note, "text": text})
    assert reply.status == 303
    return note


async def test_an_event_reaches_the_tab_as_its_name_and_its_ids(portal: Portal) -> None:
    browser = await portal.signed_in()
    async with listening(portal, browser, "specimen,specimen.note.written") as stream:
        await stream.until("event: beat")
        note = await write(browser, "审计测试·唯一串")
        await stream.until("event: specimen.note.written")
        assert "event: specimen\n" in stream.text
        assert note.replace("-", "") in stream.text
        assert "唯一串" not in stream.text
        assert "id: specimen." in stream.text


async def test_a_page_that_asks_for_one_key_hears_of_that_key_only(portal: Portal) -> None:
    browser = await portal.signed_in()
    wanted, other = str(new_id()), str(new_id())
    async with listening(portal, browser, f"specimen:{wanted}") as stream:
        await stream.until("event: beat")
        for note in (other, wanted):
            await browser.post("/specimen/write", {"id": note, "text": note})
        await stream.until(f"event: specimen:{wanted}")
        assert other.replace("-", "") not in stream.text


async def test_a_tab_that_comes_back_is_told_what_it_missed(portal: Portal) -> None:
    browser = await portal.signed_in()
    async with listening(portal, browser, "specimen") as stream:
        await write(browser, "一")
        await stream.until("event: specimen")
    last = [line[4:] for line in stream.text.splitlines() if line.startswith("id: ")][-1]
    missed = await write(browser, "二")
    async with listening(portal, browser, "specimen", last) as stream:
        await stream.until(missed.replace("-", ""))


async def test_a_tab_that_missed_too_much_looks_at_everything_again(portal: Portal) -> None:
    browser = await portal.signed_in()
    await write(browser, "一")
    async with listening(portal, browser, "specimen", "specimen.999999") as stream:
        await write(browser, "二")
        await stream.until("data: missed")


async def test_sec_web_10_no_event_after_the_session_has_ended(portal: Portal) -> None:
    browser, other = await portal.signed_in(), await portal.signed_in()
    async with listening(portal, browser, "specimen") as stream:
        await stream.until("event: beat")
        identity = portal.runtime.client(Identity)
        with acting_as(a_tester(campuses=("*",)), request=new_id()):
            await identity.end_sessions(demo_staff_id(DOCTOR))
        other = await portal.signed_in()
        await write(other, "之后")
        async with asyncio.timeout(3):
            await stream.ended.wait()
        assert "event: specimen" not in stream.text


async def test_sec_web_10_a_locked_screen_hears_nothing(portal: Portal) -> None:
    browser, other = await portal.signed_in(), await portal.signed_in()
    async with listening(portal, browser, "specimen") as stream:
        await stream.until("event: beat")
        await browser.post("/portal/lock", {})
        await write(other, "之后")
        async with asyncio.timeout(3):
            await stream.ended.wait()
        assert "event: specimen" not in stream.text


async def test_sec_web_10_nobody_hears_of_other_campuses_or_boards(portal: Portal) -> None:
    doctor = await portal.signed_in()
    elsewhere, cashier = await portal.signed_in(ELSEWHERE), await portal.signed_in(CASHIER)
    async with (
        listening(portal, elsewhere, "specimen,specimen.note.written") as far,
        listening(portal, cashier, "specimen,specimen.note.written") as without_right,
        listening(portal, doctor, "specimen") as own,
    ):
        for stream in (far, without_right, own):
            await stream.until("event: beat")
        await write(doctor, "本部")
        await own.until("event: specimen")
        # Both were woken by the event, and told nothing but that the stream lives.
        for stream in (far, without_right):
            await stream.until_beats(2)
        assert "event: specimen" not in far.text
        assert "event: specimen" not in without_right.text


async def test_a_person_has_so_many_streams_and_no_more(open_portal: Open) -> None:
    portal = await open_portal(streams_max=2)
    browser = await portal.signed_in()
    async with (
        listening(portal, browser, "") as one,
        listening(portal, browser, "") as two,
    ):
        await one.until("beat")
        await two.until("beat")
        reply = await browser.get("/portal/live")
        assert reply.status == 429
    async with listening(portal, browser, "") as again:
        await again.until("beat")


async def test_streams_end_when_the_portal_stops(portal: Portal) -> None:
    browser = await portal.signed_in()
    async with listening(portal, browser, "specimen") as stream:
        await stream.until("event: beat")
        portal.gateway.streams.close()
        async with asyncio.timeout(3):
            await stream.ended.wait()
