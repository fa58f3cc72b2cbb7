"""Tunnel 隧道: a WebSocket passed through. The handshake is checked on both sides, then bytes flow.

The hub asks the other side with a request of its own, and lets bytes through only after a 101 that
answers this very key: before that there is no way past the hub, and after it no HTTP.
"""

import asyncio
import base64
import binascii
import hashlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import httptools

from ..web.addresses import AddressRefused, Network, resolve
from ..web.asgi import HEAD_BYTES_MAX, Refusal, Request, Tunnel

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
_BUFFER = 64 * 1024
_KEY_BYTES = 16
CONNECT_S = 5.0
IDLE_S = 300.0
"""A tunnel in which nothing moves is closed; pings move it."""


class There(NamedTuple):
    """The other side."""

    host: str
    port: int
    networks: Sequence[Network]
    tls: ssl.SSLContext | None
    answer_s: float


class NotThere(ConnectionError):
    """The other side cannot be reached, or does not answer in time."""


class Moved:
    """How many bytes went through."""

    to_service = 0
    to_caller = 0


def key_of(request: Request) -> bytes:
    """The key of a handshake as RFC 6455 asks for it; ``Refusal`` if it is none."""
    key = request.headers.get("sec-websocket-key", "")
    try:
        is_key = len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        is_key = False
    if request.method != "GET" or not is_key:
        raise Refusal(400, "no WebSocket handshake")
    if request.headers.get("sec-websocket-version") != "13":
        raise Refusal(426, "WebSocket 13 is spoken here", {"Sec-WebSocket-Version": "13"})
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        raise Refusal(400, "a handshake has no body")
    return key.encode("ascii")


def accept_for(key: bytes) -> bytes:
    """What has to be answered to a key."""
    return base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())


async def asked(
    there: There, path: str, headers: Sequence[tuple[str, str]], key: bytes
) -> tuple[Tunnel, bytes]:
    """A way to the other side that is a WebSocket, and the answer for the caller.

    Raises ``NotThere``, or ``Refusal`` with what the other side said.
    """
    far = await _connected(there)
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    lines += ["Connection: Upgrade", "Upgrade: websocket", "", ""]
    try:
        async with asyncio.timeout(there.answer_s):
            far.writer.write("\r\n".join(lines).encode("latin-1"))
            raw = await far.reader.readuntil(b"\r\n\r\n")
        return far, _answer(raw, key)
    except (TimeoutError, OSError, asyncio.IncompleteReadError) as failure:
        far.writer.close()
        raise NotThere("the service did not answer") from failure
    except (asyncio.LimitOverrunError, httptools.HttpParserError) as failure:
        far.writer.close()
        raise NotThere("what it answered is no HTTP") from failure
    except BaseException:
        far.writer.close()
        raise


async def _connected(there: There) -> Tunnel:
    failure: OSError = NotThere("it has no address")
    try:
        async with asyncio.timeout(CONNECT_S):
            for address, _ in await resolve(there.host, there.port, there.networks):
                try:
                    reader, writer = await asyncio.open_connection(
                        address,
                        there.port,
                        limit=HEAD_BYTES_MAX,
                        ssl=there.tls,
                        server_hostname=there.host if there.tls else None,
                    )
                except OSError as error:
                    failure = error
                else:
                    return Tunnel(reader, writer)
    except (TimeoutError, AddressRefused, OSError) as error:
        failure = error
    raise NotThere("the service cannot be reached") from failure


class _Head:
    """A response's head, read by the same strict parser that reads requests."""

    def __init__(self) -> None:
        self.told: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.told.append((name.lower(), value))


def _answer(raw: bytes, key: bytes) -> bytes:
    """The 101 for the caller, written anew from what was understood of the other side's."""
    head = _Head()
    parser = httptools.HttpResponseParser(head)
    with suppress(httptools.HttpParserUpgrade):
        parser.feed_data(raw)
    status = int(parser.get_status_code())
    if status != 101:  # noqa: PLR2004 - switching protocols
        is_its_word = 400 <= status < 500  # noqa: PLR2004 - of this caller's request
        raise Refusal(status if is_its_word else 502, f"the service answered HTTP {status}")
    told: Mapping[bytes, bytes] = dict(head.told)
    if told.get(b"upgrade", b"").lower() != b"websocket" or (
        told.get(b"sec-websocket-accept") != accept_for(key)
    ):
        raise Refusal(502, "the service's handshake is wrong")
    lines = [b"HTTP/1.1 101 Switching Protocols", b"connection: Upgrade", b"upgrade: websocket"]
    lines += [
        name + b": " + value
        for name, value in head.told
        if name.startswith(b"sec-websocket-") or name == b"set-cookie"
    ]
    return b"\r\n".join([*lines, b"", b""])


async def flow(near: Tunnel, far: Tunnel, moved: Moved) -> None:
    """Bytes both ways until one side ends, or nothing has moved for long."""

    def to_service(size: int) -> None:
        moved.to_service += size

    def to_caller(size: int) -> None:
        moved.to_caller += size

    ways: list[asyncio.Task[None]] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(IDLE_S) as patience:
            try:
                ways = [
                    asyncio.create_task(_pump(near, far, to_service, patience)),
                    asyncio.create_task(_pump(far, near, to_caller, patience)),
                ]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()


async def _pump(
    source: Tunnel, sink: Tunnel, count: Callable[[int], None], patience: asyncio.Timeout
) -> None:
    loop = asyncio.get_running_loop()
    with suppress(OSError):  # hung up: the end, too
        while part := await source.reader.read(_BUFFER):
            patience.reschedule(loop.time() + IDLE_S)
            sink.writer.write(part)
            await sink.writer.drain()
            count(len(part))
