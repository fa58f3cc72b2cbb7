"""What a proxy may pass on, and what not: headers, paths, queries, bodies."""

from collections.abc import AsyncIterator, Iterable
from urllib.parse import unquote

from ..web.asgi import Gone, Refusal, Request

HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
    "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
})  # fmt: skip
"""What is meant for one connection only (RFC 9110, 7.6.1)."""
OURS = frozenset({
    "host", "expect", "authorization", "forwarded", "via", "x-forwarded-for", "x-forwarded-host",
    "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix", "x-real-ip", "x-plugward-caller",
    "x-http-method-override", "x-original-url", "x-rewrite-url", "content-length",
})  # fmt: skip
"""What the hub says itself, or nobody: a caller may not tell the other side who or where it is."""
DECODED_TIMES_MAX = 3


class Body:
    """A request's body on its way, counted; what goes wrong with it is kept."""

    def __init__(self, request: Request, limit: int) -> None:
        self._request = request
        self._limit = limit
        self.size = 0
        self.failure: Refusal | Gone | None = None

    async def parts(self) -> AsyncIterator[bytes]:
        """As they come; the connection to the other side ends when they end badly."""
        try:
            async for part in self._request.stream():
                self.size += len(part)
                if self.size > self._limit:
                    raise Refusal(413, f"the body is longer than {self._limit} bytes")  # noqa: TRY301 - noted below
                yield part
        except (Refusal, Gone) as failure:
            self.failure = failure
            raise


def passed_on(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Without what is meant for one connection only; names are in lower case."""
    listed = list(headers)
    named = {
        word.strip().lower()
        for name, value in listed
        if name == b"connection"
        for word in value.decode("latin-1").split(",")
    }
    return [
        (name, value)
        for name, value in listed
        if (text := name.decode("latin-1")) not in HOP and text not in named
    ]


def climbs(path: str) -> bool:
    """Whether a path holds dot segments, in whatever writing the other side might undo."""
    for _ in range(DECODED_TIMES_MAX):
        if any(
            part.partition(";")[0] in (".", "..") for part in path.replace("\\", "/").split("/")
        ):
            return True
        plain = unquote(path)
        if plain == path:
            return "\x00" in path
        path = plain
    return True  # written over and over: nobody who means well does that


def query_told(query: str, *, whole: bool) -> str:
    """A query for the call book: its names, or all of it."""
    if whole:
        return query
    return "&".join(part.partition("=")[0] for part in query.split("&"))
