"""ASGI words: a request read with limits, and an answer that says who it was for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec

BODY_BYTES_MAX = 10 * 1024 * 1024
BODY_S_MAX = 60.0

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


HEAD_BYTES_MAX = 64 * 1024
TUNNEL = "plugward.tunnel"
"""Where the server puts the connection of a request that asks to become a WebSocket."""
GONE = "plugward.is_gone"
"""Where the server says in the scope how to ask whether the caller has hung up."""


class Tunnel(NamedTuple):
    """A connection as bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


def _unknown() -> bool:
    return False


class Refusal(Exception):
    """Answered with this status and these words."""

    def __init__(self, status: int, words: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.headers = dict(headers or {})


class Gone(ConnectionError):
    """The caller hung up."""


class Request:
    """One HTTP request."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.scheme: str = scope.get("scheme", "http")
        self.raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        self.query: bytes = scope["query_string"]
        self.address: str = (scope.get("client") or ("", 0))[0]
        self.raw_headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        self.headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in self.raw_headers
        }
        self.is_gone: Callable[[], bool] = scope.get(GONE, _unknown)
        """Whether the caller has hung up, as far as the server knows."""
        self.tunnel: Tunnel | None = scope.get(TUNNEL)
        self._receive = receive

    async def body(self, limit: int = BODY_BYTES_MAX, seconds: float = BODY_S_MAX) -> bytes:
        """The whole body; too long or too slow is refused."""
        parts: list[bytes] = []
        size = 0
        if int(self.headers.get("content-length", "0") or 0) > limit:
            raise Refusal(413, f"the body is longer than {limit} bytes")
        try:
            async with asyncio.timeout(seconds):
                async for part in self.stream():
                    size += len(part)
                    if size > limit:
                        raise Refusal(413, f"the body is longer than {limit} bytes")
                    parts.append(part)
        except TimeoutError:
            raise Refusal(408, "the body takes too long", {"Connection": "close"}) from None
        return b"".join(parts)

    async def stream(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        more = True
        while more:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise Gone("the caller hung up")
            more = event.get("more_body", False)
            if event.get("body"):
                yield event["body"]

    async def gone(self) -> None:
        """Returns when the caller has hung up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def answer(
    send: Send, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None
) -> None:
    """A whole answer."""
    told = {"content-type": kind, "content-length": str(len(body)), "cache-control": "no-store"}
    told |= {name.lower(): value for name, value in (headers or {}).items()}
    listed = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": body})


async def answer_json(
    send: Send, status: int, told: Any, headers: Mapping[str, str] | None = None
) -> None:
    """A whole answer in JSON."""
    await answer(send, status, msgspec.json.encode(told), "application/json", headers)
