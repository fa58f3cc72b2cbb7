"""Web-forward: a call passed through is written down first, arrives whole, and brings nothing
along that was not understood."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from plugward.commons.hub.alone import Doors, Options, listening
from plugward.commons.hub.connectors.breaker import Breaker, Patience
from plugward.commons.hub.connectors.callbook import FILE, Entry, entries
from plugward.commons.hub.connectors.passing import climbs

TOKEN = "t" * 40
BEARER = {"Authorization": f"Bearer {TOKEN}"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Passed(NamedTuple):
    """A hub with one service behind it."""

    doors: Doors
    caller: aiohttp.ClientSession
    seen: list[web.Request]
    data: Path

    def calls(self) -> list[Entry]:
        """The call book."""
        return entries(self.data / FILE)


async def echo(request: web.Request) -> web.StreamResponse:
    told = {
        "method": request.method,
        "path": request.raw_path,
        "headers": dict(request.headers),
        "body": hashlib.sha256(await request.read()).hexdigest(),
    }
    return web.json_response(told, headers={"Server": "lis", "Keep-Alive": "timeout=5"})


@asynccontextmanager
async def upstream(handler: Handler, seen: list[web.Request]) -> AsyncIterator[int]:
    """Somebody else's system."""

    async def noted(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return await handler(request)

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", noted)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    try:
        yield site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined] # asyncio's
    finally:
        await runner.cleanup()


def declare(data: Path, url: str, more: str = "", caller: str = "") -> None:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    (data / "systems.toml").write_text(f'[his]\ntoken_sha256 = "{digest}"\n{caller}', "utf-8")
    (data / "services.toml").write_text(
        f'[lis]\nkind = "forward"\npath = "/lis"\nurl = "{url}"\n{more}', "utf-8"
    )


@asynccontextmanager
async def passing(
    data: Path, handler: Handler = echo, *, more: str = "", caller: str = ""
) -> AsyncIterator[Passed]:
    seen: list[web.Request] = []
    async with upstream(handler, seen) as port:
        declare(data, f"http://127.0.0.1:{port}/api", more, caller)
        options = Options(data=data, mllp_port=None, http_port=0)
        async with (
            listening(options) as doors,
            aiohttp.ClientSession(f"http://127.0.0.1:{doors.http_port}", headers=BEARER) as client,
        ):
            yield Passed(doors, client, seen, data)


async def until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - another process's or thread's doing
            await asyncio.sleep(0.01)


async def test_a_call_goes_there_and_back_and_stands_in_the_book(tmp_path: Path) -> None:
    async with passing(tmp_path) as hub:
        body = b"\x00\xff" * 700_000
        place = URL("/lis/results%20x?patient=P1&a=%2F", encoded=True)
        answer = await hub.caller.post(place, data=body)
        told = await answer.json()
        assert answer.status == 200
        assert told["method"] == "POST"
        assert told["path"] == "/api/results%20x?patient=P1&a=%2F"  # byte for byte
        assert told["body"] == hashlib.sha256(body).hexdigest()
        await until(lambda: hub.calls()[0].status is not None)
        row = hub.calls()[0]
        assert (row.caller, row.service, row.method) == ("his", "lis", "POST")
        assert row.path == "/lis/results%20x?patient&a"  # what was asked for, not who was looked up
        assert (row.status, row.bytes_in, row.error) == (200, len(body), "")
        counted = hub.doors.node.measures.rows(hub.doors.node.clock.now())
        assert [(one.system, one.service, one.calls) for one in counted] == [
            ("his", "POST /lis", 1)
        ]


async def test_what_a_proxy_must_not_pass_on_is_not_passed_on(tmp_path: Path) -> None:
    lies = {
        "Connection": "X-Secret",
        "X-Secret": "for this connection only",
        "Proxy-Authorization": "Basic eDp5",
        "TE": "trailers",
        "X-Forwarded-For": "6.6.6.6",
        "X-Plugward-Caller": "administrator",
        "X-Original-URL": "/admin",
        "X-HTTP-Method-Override": "DELETE",
        "X-Kept": "so it is",
    }
    async with passing(tmp_path, more='headers = { X-Api-Key = "k" }') as hub:
        answer = await hub.caller.get("/lis/x", headers=lies)
        heard = {n.lower(): v for n, v in (await answer.json())["headers"].items()}
        assert "Keep-Alive" not in answer.headers
    assert TOKEN not in json.dumps(heard)
    unwanted = {"x-secret", "proxy-authorization", "te", "x-original-url", "authorization"}
    assert not unwanted & set(heard)
    assert "x-http-method-override" not in heard
    assert heard["x-forwarded-for"] == "127.0.0.1"
    assert heard["x-plugward-caller"] == "his"
    assert (heard["x-kept"], heard["x-api-key"]) == ("so it is", "k")


CLIMBING = (
    "/lis/../admin",
    "/lis/%2e%2e/admin",
    "/lis/%252e%252e/admin",
    "/lis/..%2fadmin",
    "/lis/..;/admin",
    "/lis/x\\..\\admin",
    "/lis/%5c..%5cadmin",
    "/lis/a%00b",
    "/lis/\x7f",
    "/%6cis/x",
)


async def test_a_path_that_climbs_or_hides_is_refused(tmp_path: Path) -> None:
    async with passing(tmp_path) as hub:
        for path in CLIMBING:
            said = await raw(hub, f"GET {path} HTTP/1.1\r\nHost: h\r\n{AUTH}\r\n".encode("latin-1"))
            assert said.startswith(b"HTTP/1.1 400"), path
        assert hub.seen == []


AUTH = f"Authorization: Bearer {TOKEN}\r\n"


async def raw(hub: Passed, sent: bytes) -> bytes:
    """Everything that is answered, until the hub has nothing more to say."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.doors.http_port)
    writer.write(sent)
    said = b""
    try:
        async with asyncio.timeout(5):
            while part := await reader.read(65536):
                said += part
                if b"\r\n\r\n" in said and b"connection: close" not in said.lower():
                    break  # it stays open for more
    finally:
        writer.close()
    return said


TWO_READINGS = (
    "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 3\r\nContent-Length: 40\r\n",
    "Content-Length: +3\r\n",
    "Content-Length: 3, 3\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "X: a\r\n folded: b\r\nContent-Length: 3\r\n",
    "X: a\nTransfer-Encoding: chunked\r\n",
    "X: a\x00b\r\n",
)


async def test_a_request_that_can_be_read_in_two_ways_is_not_passed_on(tmp_path: Path) -> None:
    inner = "GET /lis/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    async with passing(tmp_path) as hub:
        for head in TWO_READINGS:
            sent = f"POST /lis/o HTTP/1.1\r\nHost: h\r\n{AUTH}{head}\r\n0\r\n\r\n{inner}"
            said = await raw(hub, sent.encode("latin-1"))
            assert said.startswith(b"HTTP/1.1 400"), head
            assert said.count(b"HTTP/1.1 ") == 1, head
        assert [one.path for one in hub.seen if "smuggled" in one.path] == []
        assert (await hub.caller.get("/lis/fine")).status == 200


async def test_it_is_no_open_relay(tmp_path: Path) -> None:
    async with passing(tmp_path) as hub:
        said = await raw(
            hub, f"GET http://169.254.169.254/lis/x HTTP/1.1\r\nHost: h\r\n{AUTH}\r\n".encode()
        )
        assert said.startswith(b"HTTP/1.1 200")  # the path alone counts: it went to the service
        assert [one.path for one in hub.seen] == ["/api/x"]
        said = await raw(hub, f"CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: h\r\n{AUTH}\r\n".encode())
        assert b"200" not in said[:16]
    declare(tmp_path, "http://169.254.169.254/latest")
    async with listening(Options(data=tmp_path, mllp_port=None, http_port=0)) as doors:
        assert "link-local" in doors.node.problems["services.toml"]
    declare(tmp_path, "http://localhost:1/")  # a name that leads inside
    async with listening(Options(data=tmp_path, mllp_port=None, http_port=0)) as doors:
        url = f"http://127.0.0.1:{doors.http_port}/lis/x"
        async with aiohttp.ClientSession(headers=BEARER) as caller:
            assert (await caller.get(url)).status == 502


async def test_who_may_not_is_told_so_and_stands_in_the_book(tmp_path: Path) -> None:
    more = 'callers = ["emr"]\nmethods = ["GET"]'
    async with passing(tmp_path, more=more) as hub:
        assert (await hub.caller.get("/lis/x")).status == 403
        assert (
            await hub.caller.get("/lis/x", headers={"Authorization": "Bearer no"})
        ).status == 401
        await until(lambda: hub.calls()[0].status is not None)
        assert [(one.caller, one.status) for one in hub.calls()] == [("his", 403)]
        assert hub.seen == []
    async with passing(tmp_path, more='methods = ["GET"]\nbody_bytes_max = 10') as hub:
        refused = await hub.caller.delete("/lis/x")
        assert (refused.status, refused.headers["Allow"]) == (405, "GET")
    async with passing(tmp_path, more="body_bytes_max = 10") as hub:
        assert (await hub.caller.post("/lis/x", data=b"1" * 11)).status == 413

        async def dripping() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield b"1"

        assert (await hub.caller.post("/lis/x", data=dripping())).status == 413
        assert (await hub.caller.post("/lis/x", data=b"1" * 10)).status == 200


async def test_what_cannot_be_written_down_does_not_happen(tmp_path: Path) -> None:
    async with passing(tmp_path) as hub:
        assert (await hub.caller.get("/lis/x")).status == 200
        import sqlite3

        book = sqlite3.connect(hub.data / FILE)
        book.execute("DROP TABLE call")
        book.commit()
        book.close()
        assert (await hub.caller.get("/lis/x")).status == 503
        assert len(hub.seen) == 1


async def test_a_long_answer_streams_and_a_broken_one_is_seen_to_be_broken(
    tmp_path: Path,
) -> None:
    go_on = asyncio.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"first")
        await go_on.wait()
        if request.path.endswith("broken"):
            assert request.transport is not None
            request.transport.abort()
            return answer
        for _ in range(64):
            await answer.write(b"x" * 65536)
        return answer

    async with passing(tmp_path, slowly) as hub:
        answer = await hub.caller.get("/lis/events")
        assert await answer.content.read(5) == b"first"  # before the rest exists
        go_on.set()
        assert len(await answer.read()) == 64 * 65536
        go_on.clear()
        broken = await hub.caller.get("/lis/broken")
        go_on.set()
        with pytest.raises(aiohttp.ClientError):
            await broken.read()
        await until(lambda: hub.calls()[0].status is not None)
        assert "broke off" in (hub.calls()[0].error or "")


async def test_an_answer_without_a_body_has_none(tmp_path: Path) -> None:
    async def bare(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("304"):
            return web.Response(status=304, headers={"ETag": '"1"'})
        if request.path.endswith("204"):
            return web.Response(status=204)
        cookies = web.Response(body=b"abc")
        cookies.set_cookie("a", "1")
        cookies.set_cookie("b", "2")
        return cookies

    async with passing(tmp_path, bare) as hub:
        for path, status in (("/lis/304", 304), ("/lis/204", 204)):
            answer = await hub.caller.get(path)
            assert (answer.status, await answer.read()) == (status, b"")
        head = await hub.caller.head("/lis/x")
        assert (head.status, head.headers["Content-Length"]) == (200, "3")
        answer = await hub.caller.get("/lis/x")
        assert len(answer.headers.getall("Set-Cookie")) == 2


async def test_a_redirect_inside_the_service_stays_inside_the_hub(tmp_path: Path) -> None:
    async def away(request: web.Request) -> web.StreamResponse:
        to = {
            "in": f"http://{request.host}/api/b?c=1",
            "root": "/api/b",
            "out": "https://e.example/",
        }
        return web.Response(status=302, headers={"Location": to[request.path.rsplit("/", 1)[1]]})

    async with passing(tmp_path, away) as hub:
        said = [
            (await hub.caller.get(f"/lis/{one}", allow_redirects=False)).headers["Location"]
            for one in ("in", "root", "out")
        ]
        assert said == ["/lis/b?c=1", "/lis/b", "https://e.example/"]


@pytest.mark.full
async def test_a_service_that_is_away_is_left_alone_for_a_while(tmp_path: Path) -> None:
    statuses = [503, 503, 503]

    async def ill(_: web.Request) -> web.StreamResponse:
        return web.Response(status=statuses.pop() if statuses else 200)

    more = "breaker = { failures = 3, pause_s = 0.2 }"
    async with passing(tmp_path, ill, more=more) as hub:
        assert [(await hub.caller.get("/lis/x")).status for _ in range(3)] == [503] * 3
        turned_away = await hub.caller.get("/lis/x")
        assert turned_away.status == 503
        assert "Retry-After" in turned_away.headers
        assert len(hub.seen) == 3

        async def works() -> bool:
            return (await hub.caller.get("/lis/x")).status == 200

        async with asyncio.timeout(5):
            while not await works():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        assert len(hub.seen) == 4  # one call was let through to try


def test_after_the_pause_one_call_tries_and_the_others_wait() -> None:
    breaker = Breaker(Patience(failures=2, pause_s=10))
    breaker.failed(0.0)
    assert breaker.wait_s(0.0) == 0
    breaker.failed(1.0)
    assert breaker.wait_s(2.0) == 9.0
    assert breaker.wait_s(11.0) == 0  # this one tries
    assert breaker.wait_s(11.0) > 0
    breaker.untold()
    assert breaker.wait_s(11.0) == 0
    breaker.failed(11.5)
    assert breaker.wait_s(12.0) == 9.5
    assert breaker.wait_s(21.5) == 0
    breaker.succeeded()
    assert breaker.wait_s(21.5) == 0


@pytest.mark.full
async def test_a_silent_service_is_given_up(tmp_path: Path) -> None:
    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async with passing(tmp_path, silent, more="answer_s = 0.1") as hub:
        assert (await hub.caller.get("/lis/x")).status == 504


async def test_a_change_is_taken_over_and_a_mistake_leaves_what_was_in_force(
    tmp_path: Path,
) -> None:
    async with passing(tmp_path) as hub:
        path = tmp_path / "services.toml"
        good = path.read_text("utf-8")
        path.write_text(good + "\nnonsense = 1\n", "utf-8")
        await hub.doors.node.look()
        assert "services.toml" in hub.doors.node.problems
        assert (await hub.caller.get("/lis/x")).status == 200
        path.write_text(good.replace('"/lis"', '"/lab"'), "utf-8")
        await hub.doors.node.look()
        assert "services.toml" not in hub.doors.node.problems
        assert (await hub.caller.get("/lab/x")).status == 200
        assert (await hub.caller.get("/lis/x")).status == 405  # messages are posted: nobody's path


# ── WebSocket ───────────────────────────────────────────────────────────────────────────────────
async def talk(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=("bed",))
    await socket.prepare(request)
    async for message in socket:
        if message.data == "bye":
            break
        if isinstance(message.data, str):
            await socket.send_str(message.data.upper())
        else:
            await socket.send_bytes(message.data[::-1])
    await socket.close(code=4001)
    return socket


async def test_a_websocket_is_passed_through(tmp_path: Path) -> None:
    async with passing(tmp_path, talk, more="websocket = true") as hub:
        socket = await hub.caller.ws_connect("/lis/live?bed=7", protocols=("bed",))
        assert socket.protocol == "bed"
        await socket.send_str("alarm")
        assert await socket.receive_str() == "ALARM"
        big = bytes(range(256)) * 4096
        await socket.send_bytes(big)
        assert await socket.receive_bytes() == big[::-1]
        await socket.send_str("bye")
        await socket.receive()
        assert socket.close_code == 4001
        assert hub.seen[0].headers["X-Plugward-Caller"] == "his"
        await until(lambda: hub.calls()[0].status is not None)
        row = hub.calls()[0]
        assert (row.status, row.path) == (101, "/lis/live?bed")
        assert (row.bytes_in or 0) > len(big)
        assert (row.bytes_out or 0) > len(big)


async def test_nothing_flows_without_a_handshake_on_both_sides(tmp_path: Path) -> None:
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    ask = f"GET /lis/live HTTP/1.1\r\nHost: h\r\n{AUTH}"
    async with passing(tmp_path, echo, more="websocket = true") as hub:
        # The service answers 200: it is no WebSocket, and there is no tunnel.
        said = await raw(hub, (ask + upgrade + key + "\r\n").encode())
        assert said.startswith(b"HTTP/1.1 502")
        wrong = upgrade.replace("13", "8")
        assert (await raw(hub, (ask + wrong + key + "\r\n").encode())).startswith(b"HTTP/1.1 426")
        assert (await raw(hub, (ask + upgrade + "\r\n").encode())).startswith(b"HTTP/1.1 400")
        nobody = ask.replace(TOKEN, "no") + upgrade + key + "\r\n"
        assert (await raw(hub, nobody.encode())).startswith(b"HTTP/1.1 401")
        assert len(hub.seen) == 1
    async with passing(tmp_path, talk) as hub:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await hub.caller.ws_connect("/lis/live")
        assert refused.value.status == 403
        assert hub.seen == []
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await hub.caller.ws_connect("/orders")  # where messages are taken
        assert refused.value.status == 400


def test_plain_paths_do_not_climb() -> None:
    assert not any(map(climbs, ("/a/b", "/a..b/c", "/...", "/a/%20b", "/患者", "/a//b/", "/.well")))
