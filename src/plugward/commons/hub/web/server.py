"""Web server: uvicorn with what it lacks: time for headers, and connections for each source."""

import asyncio
import contextlib
import logging
import ssl
import urllib.parse
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .asgi import GONE, HEAD_BYTES_MAX, TUNNEL, Scope, Tunnel

HEADERS_S_MAX = 20.0
PER_SOURCE_MAX = 64
CONNECTIONS_MAX = 1024
_STOP_S = 5


_log = logging.getLogger("plugward.hub.web")
_log.setLevel(logging.ERROR)
"""What strangers send wrong is answered and not logged: a line for each would fill the disk."""


class _Protocol(HttpToolsProtocol):
    """A sender that drips its headers, or opens too many connections, loses its connection."""

    sources: Counter[str] = Counter()  # noqa: RUF012 - one count for the whole process
    _source = ""
    _alarm: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        self.logger = _log
        super().connection_made(transport)
        name = transport.get_extra_info("peername") or ("", 0)
        self._source = str(name[0])
        self.sources[self._source] += 1
        if self.sources[self._source] > PER_SOURCE_MAX:
            transport.abort()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self.left()
        super().connection_lost(exc)

    def left(self) -> None:
        """Its source has one connection less."""
        self.sources[self._source] -= 1
        if self.sources[self._source] <= 0:
            del self.sources[self._source]
        self._disarm()

    def data_received(self, data: bytes) -> None:
        if self._alarm is None and (self.cycle is None or self.cycle.response_complete):
            self._arm()
        super().data_received(data)
        if self._alarm is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("Scope", self.scope)[GONE] = self.transport.is_closing

    def on_headers_complete(self) -> None:
        self._disarm()
        super().on_headers_complete()

    def _should_upgrade_to_ws(self) -> bool:
        return True

    def handle_websocket_upgrade(self) -> None:
        """From here on it is bytes; whether they may flow is the application's to say."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # pipelined behind an answer that is still on its way
            return
        parsed = httptools.parse_url(self.url)
        path = urllib.parse.unquote(parsed.path.decode("ascii"))
        told = {"path": path, "raw_path": parsed.path, "query_string": parsed.query or b""}
        upgraded = _Upgraded(self, self.app, {**cast("Scope", self.scope), **told})
        self.connections.discard(self)
        self.transport.set_protocol(upgraded)
        upgraded.connection_made(self.transport)

    def _arm(self) -> None:
        self._disarm()
        self._head_bytes = 0
        self._alarm = self.loop.call_later(HEADERS_S_MAX, self._too_slow)

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _too_slow(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class _Upgraded(asyncio.StreamReaderProtocol):
    """A connection whose request asks to become a WebSocket. What is not let through is answered
    as HTTP, and the connection ends."""

    def __init__(
        self, before: _Protocol, app: Callable[..., Awaitable[None]], scope: Scope
    ) -> None:
        super().__init__(asyncio.StreamReader(HEAD_BYTES_MAX, before.loop), self._serve)
        self._before = before
        self._app = app
        self._scope = scope

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._before.server_state.connections.add(cast("Any", self))
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.server_state.connections.discard(cast("Any", self))
        self._before.left()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server stops."""
        self._before.transport.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(event: dict[str, Any]) -> None:
            if event["type"] == "http.response.start":
                writer.write(STATUS_LINE[event["status"]])
                for name, value in [*event["headers"], (b"connection", b"close")]:
                    writer.write(name + b": " + value + b"\r\n")
                writer.write(b"\r\n")
            else:
                writer.write(event["body"])

        try:
            await self._app({**self._scope, TUNNEL: Tunnel(reader, writer)}, receive, send)
        finally:
            writer.close()


class WebServer:
    """One HTTP listener."""

    def __init__(
        self, app: Callable[..., Awaitable[None]], *, tls: ssl.SSLContext | None = None
    ) -> None:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_STOP_S,
            h11_max_incomplete_event_size=64 * 1024,
        )
        config.load()
        if tls is not None:
            config.ssl = tls
        self._config = config
        self._server = uvicorn.Server(config)
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises ``OSError`` when it is taken."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: _Protocol(
                config=self._config, server_state=self._server.server_state, app_state={}
            ),
            host,
            port,
            ssl=self._config.ssl,
            backlog=256,
        )
        self._ticker = loop.create_task(self._tick())
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Take no more, finish what is under way, close."""
        if self._listener is None:
            return
        self._listener.close()
        state = self._server.server_state
        for connection in list(state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn has no event
                    await asyncio.sleep(0.02)
        for task in list(state.tasks):
            task.cancel()
        self._ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._ticker

    async def _tick(self) -> None:
        """The Date header, once a second."""
        counter = 0
        while True:
            await self._server.on_tick(counter)
            counter = (counter + 10) % 864_000
            await asyncio.sleep(1.0)
