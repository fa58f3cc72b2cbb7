"""MLLP client: one persistent connection, one message in flight, and honest about not knowing."""

import asyncio
import socket
import ssl
from typing import cast

from .frames import FRAME_BYTES_MAX, Cutter, frame


class NotSent(OSError):
    """There was no connection: the receiver cannot have the message."""


class AnswerUnknown(OSError):
    """The message may or may not have arrived. Send it again under the same control id."""


class MllpClient:
    """A connection to one receiver, opened when it is needed and kept."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        connect_s: float = 5.0,
        answer_s: float = 30.0,
        server_name: str = "",
        keep_open: bool = True,
    ) -> None:
        self.host = host
        self.port = port
        self._tls = tls
        self._connect_s = connect_s
        self._answer_s = answer_s
        self._server_name = server_name or None
        self._keep_open = keep_open
        self._turn = asyncio.Lock()
        self._link: _Link | None = None

    @property
    def is_connected(self) -> bool:
        return self._link is not None and not self._link.lost

    async def send(self, message: bytes) -> bytes:
        """Send and wait for the answer. Raises ``NotSent`` or ``AnswerUnknown``."""
        framed = frame(message)
        async with self._turn:
            link = await self._connected()
            answer = link.ask(framed)
            try:
                async with asyncio.timeout(self._answer_s):
                    return await answer
            except TimeoutError:
                raise AnswerUnknown(f"no answer in {self._answer_s:g} s") from None
            finally:
                is_whole = answer.done() and not answer.cancelled() and not answer.exception()
                if not (is_whole and self._keep_open):
                    # A late answer must never be taken for the next message's.
                    link.drop()

    async def close(self) -> None:
        """Hang up."""
        async with self._turn:
            if self._link is not None:
                self._link.drop()
                self._link = None

    async def _connected(self) -> "_Link":
        if self._link is None or self._link.lost:
            self._link = None
            loop = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(self._connect_s):
                    _, self._link = await loop.create_connection(
                        _Link,
                        self.host,
                        self.port,
                        ssl=self._tls,
                        server_hostname=self._server_name if self._tls else None,
                    )
            except TimeoutError:
                raise NotSent(f"no connection in {self._connect_s:g} s") from None
            except OSError as failure:
                raise NotSent(str(failure)) from failure
        return self._link


class _Link(asyncio.Protocol):
    def __init__(self) -> None:
        self.lost = False
        self._cutter = Cutter(FRAME_BYTES_MAX)
        self._waiting: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def ask(self, framed: bytes) -> "asyncio.Future[bytes]":
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(framed)
        return self._waiting

    def drop(self) -> None:
        self.lost = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        frames = self._cutter.feed(data)
        if frames and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(frames.pop(0))
            self._waiting = None
        if frames or self._cutter.broken:
            # An answer nobody waits for: whatever follows could be matched wrongly.
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(
                AnswerUnknown(f"the connection ended before the answer: {exc or 'closed'}")
            )
