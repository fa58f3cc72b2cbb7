"""SOAP in: another project's client makes its code from our WSDL and calls. SOAP out: a service
that knows nothing of our client answers, faults, and is away."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import zeep
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml.etree import Element
from zeep.wsa import WsAddressingPlugin

from plugward.commons.hub.alone import Doors, Options, listening
from plugward.commons.hub.connectors.declared import OfferInvalid, read_offers
from plugward.commons.hub.endpoints import EndpointInvalid, Soap, ready
from plugward.commons.hub.ledger_tables import State
from plugward.commons.hub.routing.book import RouteBook
from plugward.commons.hub.soap.envelope import SOAP_11, SOAP_12, Called, Fault, answer, fault, read
from plugward.commons.hub.soap.wsdl import wsdl
from plugward.kit.time import hospital_time

AT = hospital_time("2026-03-02 08:00")
NS = "urn:hospital:orders"
SERVICE = f"""[orders]
kind = "soap"
path = "/soap/orders"
namespace = "{NS}"
title = "医嘱 <服务>"
[orders.operations]
PlaceOrder = ["action", "message"]
"""
ROUTE = '''"""What comes by SOAP goes on to the shop as the parameters of its operation."""

from plugward.commons.hub.routing import Incoming, Refuse, Send, Tables


def route(incoming: Incoming, tables: Tables) -> list[Send]:
    called = incoming.soap.parameters
    if called["action"] == "later":
        raise Refuse("action", "稍后再来", again=True)
    if called["action"] != "place":
        raise Refuse("action", "未知的动作")
    return [Send("shop", {"item": called["message"], "count": "1"}, key="k")]
'''
CASE = f"""<e:Envelope xmlns:e="{SOAP_11}"><e:Body><PlaceOrder xmlns="{NS}">
<action>place</action><message>血常规</message></PlaceOrder></e:Body></e:Envelope>"""
SHOP_NS = "urn:shop"


@asynccontextmanager
async def hub(data: Path) -> AsyncIterator[tuple[Doors, str]]:
    (data / "services.toml").write_text(SERVICE, "utf-8")
    async with listening(Options(data=data, mllp_port=None, http_port=0)) as doors:
        yield doors, f"http://127.0.0.1:{doors.http_port}/soap/orders"


def activate(data: Path) -> None:
    """A route whose case passes, as a site would write it."""
    book = RouteBook(data / "routes")
    folder = book.new("orders")
    (folder / "route.py").write_text(ROUTE, "utf-8")
    (folder / "route.toml").write_text('takes = ["SOAP /soap/orders *"]\n', "utf-8")
    for case in (folder / "cases").iterdir():
        case.unlink()
    (folder / "cases" / "first.xml").write_text(CASE, "utf-8")
    sample = 'kind = "SOAP /soap/orders PlaceOrder"\n[[send]]\nto = "shop"\n'
    (folder / "cases" / "first.toml").write_text(sample, "utf-8")
    book.activate("orders", by="engineer", why="", at=AT)


def client(url: str, **more: Any) -> Any:
    make: Any = zeep.Client  # it has no types
    return make(f"{url}?wsdl", **more)


async def test_another_projects_client_calls_by_our_wsdl(tmp_path: Path) -> None:
    async with hub(tmp_path) as (doors, url):
        for version in ("soap", "soap12"):

            def call(version: str = version) -> tuple[Any, Any, Any]:
                plugins = [WsAddressingPlugin()]
                service = client(url, plugins=plugins).bind("orders", f"orders_{version}")
                envelope = SOAP_11 if version == "soap" else SOAP_12
                unknown = Element("{urn:w}security", {f"{{{envelope}}}mustUnderstand": "1"})
                said = service.PlaceOrder(action="place", message="张<示例>&珅\n")
                with pytest.raises(zeep.exceptions.Fault) as refused:
                    service.PlaceOrder(action="a", message="b", _soapheaders=[unknown])
                return said.code, said.id, refused.value

            code, id_, refused = await asyncio.to_thread(call)
            assert code == "AA"
            counts = await doors.node.ledger.counts()
            kept = await doors.node.ledger.body(counts["messages"])
            assert kept is not None
            called = read(kept)
            assert called.parameters["message"] == "张<示例>&珅\n"
            assert called.version == (SOAP_11 if version == "soap" else SOAP_12)
            assert called.message_id.startswith("urn:uuid:")
            assert str(refused.code).endswith("MustUnderstand")
            assert id_


async def test_a_repeat_by_message_id_is_told_the_same(tmp_path: Path) -> None:
    header = (
        '<e:Header><MessageID xmlns="http://www.w3.org/2005/08/addressing">urn:1</MessageID>'
        "</e:Header><e:Body>"
    )
    body = CASE.replace("<e:Body>", header).encode()
    async with hub(tmp_path) as (doors, url), aiohttp.ClientSession() as caller:
        said = [await (await caller.post(url, data=body)).read() for _ in range(2)]
        assert said[0] == said[1]
        assert b"AA" in said[0]
        assert (await doors.node.ledger.counts())["messages"] == 1


async def test_a_route_refuses_by_a_fault_that_says_whether_to_come_again(tmp_path: Path) -> None:
    activate(tmp_path)
    (tmp_path / "destinations.toml").write_text(
        '[shop]\nkind = "files"\nfolder = "out"\nsuffix = ".json"\n', "utf-8"
    )
    async with hub(tmp_path) as (_, url), aiohttp.ClientSession() as caller:

        async def told(action: str) -> str:
            body = CASE.replace(">place<", f">{action}<").encode()
            found = await caller.post(url, data=body)
            return f"{found.status} {await found.text()}"

        never, later, taken = [await told(one) for one in ("what", "later", "place")]
        assert never.startswith("500")
        assert "soap:Client" in never
        assert "未知的动作" in never
        assert "<at>action</at>" in never
        assert "soap:Server" in later
        assert taken.startswith("200")
        out = tmp_path / "out"
        async with asyncio.timeout(5):
            while not list(out.glob("*.json")):  # noqa: ASYNC110 - the lanes' doing
                await asyncio.sleep(0.01)
        assert "血常规" in next(out.glob("*.json")).read_text("utf-8")


BOMB = '<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
XXE = '<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
BAD = (
    b"",
    b"\x00\xff\xfe",
    b"<",
    b"<a/>",
    CASE.encode()[:-9],
    (BOMB + CASE.replace("place", "&b;")).encode(),
    (XXE + CASE.replace("place", "&a;")).encode(),
    b"<!DOCTYPE l SYSTEM 'http://169.254.169.254/x'>" + CASE.encode(),
    CASE.replace("<action>", "<b>" * 100 + "</b>" * 100 + "<action>").encode(),
    CASE.replace("<action>", "<b/>" * 30_000 + "<action>").encode(),
    CASE.replace("<action>", "<action " + " ".join(f'a{n}="1"' for n in range(99)) + ">").encode(),
    CASE.replace("<action>place</action>", "").encode(),
    CASE.replace("<action>", "<action/><action>").encode(),
    CASE.replace("<action>", "<more/><action>").encode(),
    CASE.replace("PlaceOrder", "Other").encode(),
    CASE.replace(NS, "urn:other").encode(),
    CASE.replace("<e:Body>", "<e:Body><a/>").encode(),
    CASE.replace(SOAP_11, "urn:soap").encode(),
    CASE.replace(
        "<e:Body>", '<e:Header><s xmlns="urn:w" e:mustUnderstand="1"/></e:Header><e:Body>'
    ).encode(),
    b'<?xml version="1.0" encoding="utf-7"?>' + CASE.encode(),
    b'<?xml version="1.0" encoding="GB18030"?>' + CASE.encode() + b"\xff",
)


async def test_what_is_no_call_is_a_fault_and_kept_for_looking_at(tmp_path: Path) -> None:
    async with hub(tmp_path) as (doors, url), aiohttp.ClientSession() as caller:
        for bad in BAD:
            said = await caller.post(url, data=bad)
            text = await said.text()
            assert said.status == 500, bad[:200]
            assert "Fault" in text, bad[:200]
            assert "root:" not in text
        counts = await doors.node.ledger.counts()
        assert counts["messages"] == 0
        kept = [body for _, _, _, body in await doors.node.ledger.refusals()]
        assert len(kept) == len(BAD)
        assert (await caller.get(url)).status == 405
        assert (await caller.post(url + "/other", data=CASE)).status == 404
        assert (await caller.post(url, data=CASE.encode())).status == 200  # still there


def test_gb18030_is_read_as_what_it_says() -> None:
    text = CASE.replace("血常规", "珅玕玘")
    told = '<?xml version="1.0" encoding="GB2312"?>' + text
    assert read(told.encode("gb18030")).parameters["message"] == "珅玕玘"
    assert read(text.encode("gbk"), "text/xml; charset=GBK").parameters["message"] == "珅玕玘"


@settings(max_examples=25, deadline=None)
@given(body=st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for sent in (body, CASE.encode().replace(b"place", body)):
        try:
            assert read(sent).operation == "PlaceOrder"
        except Fault:
            continue


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=60), version=st.sampled_from([SOAP_11, SOAP_12]))
def test_whatever_is_answered_can_be_read(text: str, version: str) -> None:
    called = Called("Do", NS, {}, version)
    back = read(answer(called, {"text": text}))
    assert back.operation == "DoResponse"
    allowed = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    assert back.parameters["text"] == allowed.replace("\r\n", "\n").replace("\r", "\n")
    assert b"Fault" in fault(Fault(text, at=text, version=version))


def test_a_service_that_cannot_be_described_is_not_offered(tmp_path: Path) -> None:
    path = tmp_path / "services.toml"
    for wrong in (
        SERVICE.replace("PlaceOrder", '"Place Order"'),
        SERVICE.replace('"message"', '"action"'),
        SERVICE.replace(NS, ""),
        SERVICE.replace("/soap/orders", "soap"),
    ):
        path.write_text(wrong, "utf-8")
        with pytest.raises(OfferInvalid):
            read_offers(path)


# ── out ─────────────────────────────────────────────────────────────────────────────────────────
REPLY = (
    f'<s:Envelope xmlns:s="{SOAP_11}"><s:Body><BuyResponse xmlns="{SHOP_NS}">'
    "<code>{code}</code></BuyResponse></s:Body></s:Envelope>"
)
FAULT = (
    f'<s:Envelope xmlns:s="{SOAP_11}"><s:Body><s:Fault><faultcode>s:{{code}}</faultcode>'
    "<faultstring>no</faultstring></s:Fault></s:Body></s:Envelope>"
)


@contextmanager
def shop(*says: tuple[int, str]) -> Iterator[tuple[int, list[bytes]]]:
    """The standard library's server with the answers written out, as somebody else's system."""
    answers = list(says)
    heard: list[bytes] = []

    class Shop(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            status, text = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.send_header("Content-Type", "text/xml; charset=utf-8")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pinned(data: Path, port: int) -> None:
    operations = {"Buy": ("item", "count")}
    described = wsdl(
        "shop",
        namespace=SHOP_NS,
        operations=operations,
        address=f"http://127.0.0.1:{port}/shop",
        answers=("code",),
    )
    (data / "shop.wsdl").write_bytes(described)


async def test_a_message_becomes_a_call_and_is_tried_again_until_it_is_taken(
    tmp_path: Path,
) -> None:
    activate(tmp_path)
    says = (
        (500, FAULT.format(code="Server")),
        (200, "no xml"),
        (503, ""),
        (200, REPLY.format(code="AE")),
        (200, REPLY.format(code="AA")),
    )
    with shop(*says) as (port, heard):
        pinned(tmp_path, port)
        (tmp_path / "destinations.toml").write_text(
            '[shop]\nkind = "soap"\nwsdl = "shop.wsdl"\noperation = "Buy"\naccepted_has = "AA"\n'
            "[shop.retry]\nerror = { first_s = 0.01 }\nunreadable = { first_s = 0.01 }\n"
            "busy = { first_s = 0.01 }\n",
            "utf-8",
        )
        async with hub(tmp_path) as (doors, url), aiohttp.ClientSession() as caller:
            assert (await caller.post(url, data=CASE.encode())).status == 200
            async with asyncio.timeout(10):
                while not (await doors.node.ledger.counts()).get(State.DONE):  # noqa: ASYNC110 - the lanes' doing
                    await asyncio.sleep(0.01)
        assert len(heard) == 5
        called = read(heard[-1])
        assert (called.operation, called.namespace) == ("Buy", SHOP_NS)
        assert called.parameters == {"item": "血常规", "count": "1"}


async def test_a_fault_of_the_caller_is_final(tmp_path: Path) -> None:
    activate(tmp_path)
    with shop((500, FAULT.format(code="Client"))) as (port, heard):
        pinned(tmp_path, port)
        (tmp_path / "destinations.toml").write_text(
            '[shop]\nkind = "soap"\nwsdl = "shop.wsdl"\noperation = "Buy"\n', "utf-8"
        )
        async with hub(tmp_path) as (doors, url), aiohttp.ClientSession() as caller:
            await caller.post(url, data=CASE.encode())
            async with asyncio.timeout(10):
                while not (dead := await doors.node.ledger.dead_letters()):  # noqa: ASYNC110 - the lanes' doing
                    await asyncio.sleep(0.01)
        assert dead[0].reason == "fault Client"
        assert len(heard) == 1


def test_a_wsdl_is_pinned_and_leads_nowhere(tmp_path: Path) -> None:
    pinned(tmp_path, 1)
    told = Soap(wsdl="shop.wsdl", operation="Buy")
    assert ready("shop", told, base=tmp_path).endpoint == told
    for wrong in (
        Soap(wsdl="shop.wsdl", operation="Sell"),
        Soap(wsdl="shop.wsdl", operation="Buy", wsdl_sha256="0" * 64),
        Soap(wsdl="none.wsdl", operation="Buy"),
    ):
        with pytest.raises(EndpointInvalid):
            ready("shop", wrong, base=tmp_path)
    plain = (tmp_path / "shop.wsdl").read_text("utf-8")
    for place in ("http://127.0.0.1:9/x.xsd", "file:///etc/hostname", "/etc/hostname"):
        imported = f'<xs:import namespace="urn:x" schemaLocation="{place}"/>'
        head, mark, rest = plain.partition("<xs:element")
        (tmp_path / "shop.wsdl").write_text(head + imported + mark + rest, "utf-8")
        with pytest.raises(EndpointInvalid):
            ready("shop", told, base=tmp_path)
    (tmp_path / "shop.wsdl").write_text(plain.replace("?>", "?>" + XXE, 1), "utf-8")
    with pytest.raises(EndpointInvalid):
        ready("shop", told, base=tmp_path)
