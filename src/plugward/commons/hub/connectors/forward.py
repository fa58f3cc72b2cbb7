"""Web-forward 转发: a caller's request passed through to a system that speaks HTTP itself.

Bodies stream both ways and are never gathered. What a proxy must not pass on is not passed on:
hop-by-hop headers, the caller's token, made-up forwarding headers, paths that climb. The request
that goes out is written anew from what was understood, so that nothing can hide between two
readings of it. A call is in the call book, on disk, before the other side hears of it.
"""

import asyncio
import ssl
import time

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from ..endpoints import client_tls
from ..measures import Direction
from ..node import Node
from ..web.addresses import check_address, checked_url, literal, networks_of
from ..web.asgi import Gone, Refusal, Request, Send, Tunnel
from ..web.client import AnswerLost, NotReached, WebClient
from ..web.pace import Pace
from .breaker import Breaker
from .callbook import BookFailed, Call, CallBook, Ending
from .declared import Forward
from .passing import OURS, Body, climbs, passed_on, query_told
from .tunnel import Moved, NotThere, There, asked, flow, key_of

PATH_MAX = 8 * 1024
CLOSE_S = 30.0


class Forwarding:
    """One service that is passed through."""

    def __init__(self, name: str, told: Forward, *, node: Node, book: CallBook) -> None:
        self.name = name
        self.told = told
        self._node = node
        self._book = book
        self.parts = checked_url(told.url)
        if self.parts.query:
            raise ValueError("a query does not belong into the address of a service")
        self.networks = networks_of(told.networks)
        found = literal(str(self.parts.hostname))
        if found is not None:
            check_address(found, self.networks, is_literal=True)
        self._base = f"{self.parts.scheme}://{self.parts.netloc}"
        self._root = self.parts.path.rstrip("/")
        self.prefix = told.path.rstrip("/")
        self.tls = client_tls(told.tls, node.folder) if told.tls else None
        self._client = WebClient(
            networks=self.networks,
            connections=told.connections,
            answer_s=told.answer_s,
            is_stream=True,
            tls=self.tls,
        )
        is_tls = self.parts.scheme == "https"
        self._there = There(
            str(self.parts.hostname),
            self.parts.port or (443 if is_tls else 80),
            self.networks,
            (self.tls or ssl.create_default_context()) if is_tls else None,
            told.answer_s,
        )
        self.added = dict(told.headers)
        if told.bearer_file:
            token = (node.folder / told.bearer_file).read_text("utf-8").strip()
            self.added["Authorization"] = f"Bearer {token}"
        self._breaker = Breaker(told.breaker)
        self._pace = Pace()
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def handler(self) -> "Forwarding":
        """Itself."""
        return self

    async def close(self) -> None:
        """Calls under way end first, but not for ever."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._idle.wait()
        except TimeoutError:
            pass
        await self._client.close()

    # ── a call ──────────────────────────────────────────────────────────────────────────────
    async def __call__(self, request: Request, caller: str, send: Send) -> None:
        """Admit, write down, pass on, note how it ended."""
        began = time.perf_counter()
        target = self.target(request)
        call = _Passed(self, request, caller, send)
        self._under_way += 1
        self._idle.clear()
        seq = 0
        try:
            seq = await self.write_down(request, caller)
            call.check()
            self.admit(request, caller)
            if request.tunnel is not None:
                await call.tunnel(request.tunnel, target)
            else:
                await call.pass_on(target)
        except BaseException as failure:
            call.ended_by(failure)
            raise
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
            ended = Ending(
                call.status, call.bytes_in, call.bytes_out, time.perf_counter() - began, call.error
            )
            if seq:
                self._book.end(seq, ended)
            if not call.is_refused:  # the door counts those
                self.count(request.method, caller, ended)

    def admit(self, request: Request, caller: str) -> None:
        """Who may, how, how fast, and whether the other side is there; ``Refusal`` if not."""
        told = self.told
        if told.callers and caller not in told.callers:
            raise Refusal(403, "this was not granted")
        if request.method not in told.methods:
            raise Refusal(405, "not by this method", {"Allow": ", ".join(told.methods)})
        if self._under_way > told.connections:
            raise Refusal(503, "too many calls at a time", {"Retry-After": "1"})
        now = self._loop.time()
        if told.calls_per_s and not self._pace.has(self.name, told.calls_per_s, now):
            raise Refusal(429, "too many calls", {"Retry-After": "1"})
        wait = self._breaker.wait_s(now)
        if wait:
            raise Refusal(503, "the service is away", {"Retry-After": str(int(wait) + 1)})

    def target(self, request: Request) -> str:
        """The address it goes to; a path that is not plain is refused."""
        raw = request.raw_path
        if len(raw) + len(request.query) > PATH_MAX:
            raise Refusal(414, "the address is too long")
        whole = raw + request.query
        if any(byte <= 0x20 or byte >= 0x7F for byte in whole):  # noqa: PLR2004 - printable ASCII
            raise Refusal(400, "the address holds bytes that have to be written as %XX")
        path = raw.decode("ascii")
        if climbs(path):
            raise Refusal(400, "the path climbs")
        if not path.startswith(self.prefix):  # the path was written in another way than declared
            raise Refusal(400, "the path of the service is to be written plainly")
        rest = path[len(self.prefix) :]
        query = "?" + request.query.decode("ascii") if request.query else ""
        return self._base + (self._root + rest or "/") + query

    async def write_down(self, request: Request, caller: str) -> int:
        """The number of its row, which is on disk."""
        path = request.raw_path.decode("ascii")
        if request.query:
            path += "?" + query_told(request.query.decode("ascii"), whole=self.told.keeps_query)
        call = Call(
            self._node.clock.now(), caller, request.address, self.name, request.method, path
        )
        try:
            return await self._book.begin(call)
        except BookFailed as failure:
            raise Refusal(503, "it cannot be written down now", {"Retry-After": "5"}) from failure

    def headers_for(self, request: Request, caller: str) -> "CIMultiDict[str]":
        """What is said to the other side."""
        kept: CIMultiDict[str] = CIMultiDict(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in passed_on(request.raw_headers)
            if name.decode("latin-1") not in OURS
        )
        kept["X-Forwarded-For"] = request.address
        kept["X-Forwarded-Prefix"] = self.prefix
        kept["X-Plugward-Caller"] = caller
        host = request.headers.get("host", "")
        if host:
            kept["X-Forwarded-Host"] = host
        kept["Via"] = "1.1 plugward"
        for name, value in self.added.items():
            kept[name] = value
        return kept

    async def ask(
        self, request: Request, target: str, headers: "CIMultiDict[str]", body: "Body | None"
    ) -> aiohttp.ClientResponse:
        """The other side's answer, its body still to be read; ``Refusal`` when there is none."""
        try:
            answer = await self._client.begin(
                request.method,
                URL(target, encoded=True),
                headers=headers,
                body=body.parts() if body else None,
            )
        except NotReached as failure:
            self._breaker.failed(self._loop.time())
            raise Refusal(502, "the service cannot be reached") from failure
        except AnswerLost as failure:
            if body is not None and body.failure is not None:  # it was the caller's doing
                self._breaker.untold()
                raise body.failure from failure
            self._breaker.failed(self._loop.time())
            is_late = isinstance(failure.__cause__, TimeoutError)
            raise Refusal(504 if is_late else 502, "the service did not answer") from failure
        except BaseException:
            self._breaker.untold()
            raise
        if answer.status < 200:  # noqa: PLR2004 - a switch of protocols that nobody asked for
            answer.close()
            self._breaker.failed(self._loop.time())
            raise Refusal(502, "the service did not answer")
        if answer.status in (502, 503, 504):
            self._breaker.failed(self._loop.time())
        else:
            self._breaker.succeeded()
        return answer

    async def ask_for_tunnel(
        self, target: str, headers: "CIMultiDict[str]", key: bytes
    ) -> tuple[Tunnel, bytes]:
        """The other side as a WebSocket; ``Refusal`` when it is none."""
        path = target[len(self._base) :]
        told = [("Host", self.parts.netloc), *headers.items()]
        try:
            found = await asked(self._there, path, told, key)
        except NotThere as failure:
            self._breaker.failed(self._loop.time())
            raise Refusal(502, str(failure)) from failure
        except BaseException:
            self._breaker.untold()
            raise
        self._breaker.succeeded()
        return found

    def back(self, location: str) -> str:
        """A redirect inside the service, as the caller has to ask for it."""
        for known in (self._base + self._root, self._root):
            if location == known or location.startswith((known + "/", known + "?")):
                return (self.prefix + location[len(known) :]) or "/"
        return location

    def count(self, method: str, caller: str, ended: Ending) -> None:
        """For the catalogue."""
        self._node.measures.count(
            caller,
            f"{method} {self.prefix}",
            Direction.IN,
            at=self._node.clock.now(),
            seconds=ended.seconds,
            size=ended.bytes_in + ended.bytes_out,
            error=ended.error,
        )


class _Passed:
    """One call on its way."""

    def __init__(self, service: Forwarding, request: Request, caller: str, send: Send) -> None:
        self._service = service
        self._request = request
        self._caller = caller
        self._send = send
        self._length = request.headers.get("content-length")
        self._body: Body | None = None
        self._key = b""
        self.status = 0
        self.bytes_out = 0
        self.error = ""
        self.is_refused = False
        self._moved = Moved()

    def ended_by(self, failure: BaseException) -> None:
        """It did not end well."""
        if isinstance(failure, Refusal):
            self.status, self.is_refused = failure.status, True
        if not self.error:
            told = isinstance(failure, Refusal | Gone)
            self.error = str(failure) if told else type(failure).__name__

    @property
    def bytes_in(self) -> int:
        """Of the request's body, as far as it came."""
        return self._body.size if self._body else self._moved.to_service

    async def pass_on(self, target: str) -> None:
        """There and back."""
        headers = self._service.headers_for(self._request, self._caller)
        if self._body is not None and self._length is not None:
            headers["Content-Length"] = self._length
        answer = await self._service.ask(self._request, target, headers, self._body)
        is_whole = False
        try:
            await self._answer(answer)
            is_whole = True
        finally:
            if is_whole:
                answer.release()
            else:
                answer.close()  # what is left of it is nobody's

    async def tunnel(self, near: Tunnel, target: str) -> None:
        """There and back as a WebSocket, until one side ends it."""
        service = self._service
        headers = service.headers_for(self._request, self._caller)
        far, answer = await service.ask_for_tunnel(target, headers, self._key)
        self.status = 101
        near.writer.write(answer)
        try:
            await flow(near, far, self._moved)
        finally:
            far.writer.close()
            self.bytes_out = self._moved.to_caller

    def check(self) -> None:
        """Refuse what is wrong with the request itself, before the other side is thought of."""
        if self._request.tunnel is not None:
            if not self._service.told.websocket:
                raise Refusal(403, "WebSockets are not passed through here")
            self._key = key_of(self._request)
            return
        self._body = self._body_of(self._length)

    def _body_of(self, length: str | None) -> Body | None:
        limit = self._service.told.body_bytes_max
        if length is not None:
            if not length.isdigit() or int(length) > limit:
                raise Refusal(413, f"the body is longer than {limit} bytes")
            if int(length) == 0 and self._request.method in ("GET", "HEAD"):
                return None
        elif "transfer-encoding" not in self._request.headers:
            return None
        return Body(self._request, limit)

    async def _answer(self, answer: aiohttp.ClientResponse) -> None:
        self.status = answer.status
        if self.status >= 500:  # noqa: PLR2004 - its fault, not the caller's
            self.error = f"HTTP {self.status}"
        await self._send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": self._headers_of(answer),
            }
        )
        content = answer.content
        try:
            while True:
                part = await content.readany()
                if self._request.is_gone():
                    raise Gone("the caller hung up")
                self.bytes_out += len(part)
                is_last = content.at_eof()
                await self._send(
                    {"type": "http.response.body", "body": part, "more_body": not is_last}
                )
                if is_last:
                    return
        except (aiohttp.ClientError, TimeoutError) as failure:
            # The caller has to see that it is not whole: the connection ends without an end.
            self.error = f"the answer broke off: {type(failure).__name__}"
            raise Gone(self.error) from failure

    def _headers_of(self, answer: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
        told: list[tuple[bytes, bytes]] = []
        for name, value in passed_on((name.lower(), value) for name, value in answer.raw_headers):
            if name == b"location":
                back = self._service.back(value.decode("latin-1"))
                told.append((name, back.encode("latin-1")))
            else:
                told.append((name, value))
        return told
