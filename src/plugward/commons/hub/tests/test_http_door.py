"""Messages by HTTP: 202 means on disk, and nobody gets in, or out, who was not meant."""

import asyncio
import hashlib
import ipaddress
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest

from plugward.commons.hub.alone import Doors, Options, listening
from plugward.commons.hub.lanes import Failed, Kind
from plugward.commons.hub.ledger_tables import State
from plugward.commons.hub.routing.book import RouteBook
from plugward.commons.hub.web.addresses import AddressRefused, check_address, checked_url
from plugward.commons.hub.web.client import WebClient
from plugward.commons.hub.web.outcome import judged
from plugward.kit.time import hospital_time

AT = hospital_time("2026-03-02 08:00")
TOKEN = "t" * 40
ROUTE = '''"""Orders go on as they are, in order for each patient."""

from plugward.commons.hub.routing import Incoming, Refuse, Send, Tables


def route(incoming: Incoming, tables: Tables) -> list[Send]:
    order = incoming.json
    if "patient" not in order:
        raise Refuse("patient", "缺少患者")
    return [Send("shop", {"order": order["no"]}, key=order["patient"])]
'''


@asynccontextmanager
async def hub(data: Path) -> AsyncIterator[tuple[Doors, aiohttp.ClientSession]]:
    async with listening(Options(data=data, mllp_port=None, http_port=0)) as doors:
        base = f"http://127.0.0.1:{doors.http_port}"
        async with aiohttp.ClientSession(base) as caller:
            yield doors, caller


def systems(data: Path, **more: str) -> None:
    told = {"token_sha256": f'"{hashlib.sha256(TOKEN.encode()).hexdigest()}"', **more}
    lines = [f"{key} = {value}\n" for key, value in told.items()]
    (data / "systems.toml").write_text("[his]\n" + "".join(lines), "utf-8")


BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def test_202_is_on_disk_and_a_repeat_gets_the_same_answer(tmp_path: Path) -> None:
    async with hub(tmp_path) as (doors, caller):
        key = {"Idempotency-Key": "O1"}
        first = await caller.post("/orders", data=b'{"no": 1}', headers=key)
        again = await caller.post("/orders", data=b'{"no": 1}', headers=key)
        other = await caller.post("/orders", data=b'{"no": 2}', headers=key)
        assert [first.status, again.status, other.status] == [202, 202, 409]
        assert (await first.json())["id"] == (await again.json())["id"]
        assert (await doors.node.ledger.counts())["messages"] == 1
        assert await doors.node.ledger.body(1) == b'{"no": 1}'


async def test_hl7_by_http_is_answered_with_an_acknowledgement(tmp_path: Path) -> None:
    raw = "MSH|^~\\&|REG|C1|HUB|C1|20261122||ADT^A08^ADT_A01|7|P|2.5.1||||||UNICODE UTF-8\r"
    async with hub(tmp_path) as (_, caller):
        answer = await caller.post(
            "/hl7", data=raw.encode(), headers={"Content-Type": "application/hl7-v2"}
        )
        assert answer.status == 200
        assert b"MSA|AA|7" in await answer.read()


async def test_sec_identity_21_only_known_callers_call_only_what_they_were_granted(
    tmp_path: Path,
) -> None:
    systems(tmp_path, may_call='["POST /orders"]', networks='["127.0.0.0/8"]')
    async with hub(tmp_path) as (_, caller):
        assert (await caller.post("/orders", data=b"1")).status == 401
        wrong = {"Authorization": "Bearer nonsense"}
        assert (await caller.post("/orders", data=b"1", headers=wrong)).status == 401
        assert (await caller.post("/orders", data=b"1", headers=BEARER)).status == 202
        assert (await caller.post("/results", data=b"1", headers=BEARER)).status == 403
    systems(tmp_path, networks='["10.0.0.0/8"]')
    async with hub(tmp_path) as (_, caller):
        assert (await caller.post("/orders", data=b"1", headers=BEARER)).status == 403


async def test_a_caller_has_a_pace(tmp_path: Path) -> None:
    systems(tmp_path, calls_per_s="1.0")
    async with hub(tmp_path) as (_, caller):
        said = [(await caller.post("/o", data=b"1", headers=BEARER)).status for _ in range(5)]
        assert said[:2] == [202, 202]
        assert 429 in said


async def test_a_body_has_a_size(tmp_path: Path) -> None:
    async with hub(tmp_path) as (doors, caller):
        answer = await caller.post("/orders", data=b"x" * (10 * 1024 * 1024 + 1))
        assert answer.status == 413
        assert (await doors.node.ledger.counts())["messages"] == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /o HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n",
        b"POST /o HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"POST /o HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"\x00\xff\x00 nonsense\r\n\r\n",
    ],
)
async def test_a_request_of_two_lengths_is_no_request(tmp_path: Path, raw: bytes) -> None:
    async with hub(tmp_path) as (doors, caller):
        reader, writer = await asyncio.open_connection("127.0.0.1", doors.http_port)
        writer.write(raw + b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
        async with asyncio.timeout(5):
            said = await reader.read()
        writer.close()
        assert said.startswith(b"HTTP/1.1 400")
        assert said.count(b"HTTP/1.1") == 1  # what was smuggled in got no answer
        assert (await doors.node.ledger.counts())["messages"] == 0
        assert (await caller.get("/health")).status == 200


class Shop(BaseHTTPRequestHandler):
    """The standard library's server, as somebody else's system."""

    statuses: list[int] = []  # noqa: RUF012 - a new class is made for each test
    received: list[tuple[str, bytes]] = []  # noqa: RUF012 - as above

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.received.append((self.headers["Idempotency-Key"], body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def shop(data: Path, statuses: list[int]) -> tuple[type[Shop], ThreadingHTTPServer]:
    """A shop, and a route that leads to it."""
    kind = type("ThisShop", (Shop,), {"statuses": statuses, "received": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/orders"
    (data / "destinations.toml").write_text(
        f'[shop]\nkind = "http"\nurl = "{url}"\nretry.error = {{ first_s = 0.02 }}\n', "utf-8"
    )
    book = RouteBook(data / "routes")
    folder = book.new("orders")
    (folder / "route.py").write_text(ROUTE, "utf-8")
    (folder / "route.toml").write_text('takes = ["POST /orders"]\n', "utf-8")
    (folder / "cases" / "first.hl7").rename(folder / "cases" / "first.json")
    (folder / "cases" / "first.json").write_text('{"no": 1, "patient": "P1"}', "utf-8")
    (folder / "cases" / "first.toml").write_text(
        'kind = "POST /orders"\n[[send]]\nto = "shop"\nkey = "P1"\nbody = \'{"order":1}\'\n',
        "utf-8",
    )
    book.activate("orders", by="engineer", why="", at=AT)
    return kind, server


async def test_an_order_goes_on_by_http_and_is_tried_again_until_it_is_taken(
    tmp_path: Path,
) -> None:
    kind, server = shop(tmp_path, [500, 500])
    async with hub(tmp_path) as (doors, caller):
        told = {"no": 7, "patient": "P1"}
        assert (await caller.post("/orders", json=told)).status == 202
        refused = await caller.post("/orders", json={"no": 8})
        assert refused.status == 422
        assert await refused.json() == {"error": "缺少患者", "at": "patient"}
        assert (await caller.post("/orders", data=b"{")).status == 422
        async with asyncio.timeout(5):
            while doors.node.ledger.pending["shop"]:  # noqa: ASYNC110 - a count has no event
                await asyncio.sleep(0.01)
    server.shutdown()
    server.server_close()
    assert [body for _, body in kind.received] == [b'{"order":7}']


async def test_sec_hub_10_a_redirect_is_not_followed(tmp_path: Path) -> None:
    """A receiver that sends us on, to our own inside, gets nothing sent there."""
    kind, server = shop(tmp_path, [])
    elsewhere = type("Elsewhere", (kind,), {"statuses": [302] * 9, "received": []})
    inner = f"http://127.0.0.1:{server.server_port}/orders"
    elsewhere.end_headers = _sending_on(inner)  # type: ignore[attr-defined]  # made here
    outer = ThreadingHTTPServer(("127.0.0.1", 0), elsewhere)
    threading.Thread(target=outer.serve_forever, args=(0.02,), daemon=True).start()
    client = WebClient()
    url = f"http://127.0.0.1:{outer.server_port}/orders"
    answer = await client.request("POST", url, headers={}, body=b"{}")
    await client.close()
    for one in (server, outer):
        one.shutdown()
        one.server_close()
    assert (answer.status, answer.headers["location"]) == (302, inner)
    assert kind.received == []


def _sending_on(place: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def end(self: BaseHTTPRequestHandler) -> None:
        self.send_header("Location", place)
        BaseHTTPRequestHandler.end_headers(self)

    return end


@pytest.mark.parametrize(
    ("status", "kind"), [(500, Kind.ERROR), (503, Kind.BUSY), (429, Kind.BUSY)]
)
def test_what_may_pass_later_is_tried_again(status: int, kind: Kind) -> None:
    with pytest.raises(Failed) as failed:
        judged(status, {"Retry-After": "7"}, b"")
    assert failed.value.kind == kind
    assert failed.value.after_s == (7.0 if kind is Kind.BUSY else 0.0)


@pytest.mark.parametrize(("status", "state"), [(204, State.DONE), (400, State.DEAD)])
def test_what_is_final_is_not_tried_again(status: int, state: State) -> None:
    assert judged(status, {}, b"").state is state


@pytest.mark.parametrize(
    ("address", "is_literal"),
    [
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("::ffff:10.1.2.3", False),
        ("169.254.169.254", True),
        ("fe80::1", True),
        ("0.0.0.0", True),  # noqa: S104 - to be refused
        ("224.0.0.1", True),
    ],
)
def test_sec_hub_10_addresses_that_were_not_meant_are_not_connected_to(
    address: str, is_literal: bool
) -> None:
    with pytest.raises(AddressRefused):
        check_address(ipaddress.ip_address(address), (), is_literal=is_literal)
    listed = [ipaddress.ip_network("10.0.0.0/8")]
    check_address(ipaddress.ip_address("10.1.2.3"), listed, is_literal=False)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://u:p@h/", "http://h/ x", "//h", ""])
def test_an_address_is_http_without_credentials(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        checked_url(url)
