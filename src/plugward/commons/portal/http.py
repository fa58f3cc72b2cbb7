"""HTTP 报文: the little of it the gateway needs, on plain ASGI."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_BYTES_MAX = 1 << 20
FIELDS_MAX = 1_000


class HttpError(Exception):
    """The request ends here with a status. ``code`` is its name on the wire."""

    def __init__(self, status: int, code: str, *, retry_after_s: int = 0) -> None:
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        super().__init__(code)


class Gone(Exception):
    """The client has left; nobody waits for an answer."""


class Request:
    """One HTTP request."""

    __slots__ = (
        "_receive",
        "_scope",
        "address",
        "headers",
        "id",
        "is_htmx",
        "method",
        "path",
        "route",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        client = scope.get("client")
        self.address: str = client[0] if client else ""
        self.is_htmx = self.headers.get("hx-request") == "true"
        self.id = ""  # set by the gateway
        self.route = ""  # what the access log calls it: never the raw path

    @property
    def query(self) -> str:
        return str(self._scope["query_string"].decode("latin-1"))

    @property
    def cookies(self) -> dict[str, str]:
        found = {}
        for part in self.headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            found[name] = value
        return found

    def values(self) -> dict[str, list[str]]:
        """The query's values by name."""
        return _values(self.query)

    async def body(self, *, bytes_max: int = BODY_BYTES_MAX) -> bytes:
        """The whole body; more than ``bytes_max`` is refused before it is read."""
        declared = self.headers.get("content-length", "0")
        if not declared.isdigit() or int(declared) > bytes_max:
            raise HttpError(413, "too-large")
        parts, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            size += len(message.get("body", b""))
            if size > bytes_max:
                raise HttpError(413, "too-large")
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(parts)

    async def form(self) -> dict[str, list[str]]:
        """The fields of a form. Files are not accepted here."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = await self.body()
        if not body:
            return {}
        if kind != "application/x-www-form-urlencoded":
            raise HttpError(415, "form-expected")
        return _values(body.decode("utf-8", "replace"))

    async def disconnected(self) -> None:
        """Returns when the client has left."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _values(text: str) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            encoding="utf-8",
            errors="replace",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError:
        raise HttpError(422, "too-many-fields") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


class Response:
    """One HTTP answer: whole, or a stream of pieces."""

    __slots__ = ("body", "headers", "status", "stream")

    def __init__(
        self,
        body: bytes | str = b"",
        *,
        status: int = 200,
        kind: str = "text/html; charset=utf-8",
        stream: AsyncIterator[bytes] | None = None,
    ) -> None:
        self.status = status
        self.body = body.encode() if isinstance(body, str) else body
        self.headers: list[tuple[str, str]] = [("content-type", kind)] if kind else []
        self.stream = stream

    def header(self, name: str, value: str) -> "Response":
        """Add a header; a value can never bring a second one with it."""
        self.headers.append((name, value.replace("\r", " ").replace("\n", " ")))
        return self

    def cookie(
        self,
        name: str,
        value: str,
        *,
        seconds: int | None = None,
        secure: bool = True,
        readable: bool = False,
    ) -> "Response":
        """Set a cookie for this host only."""
        parts = [f"{name}={value}", "Path=/", "SameSite=Strict"]
        if seconds is not None:
            parts.append(f"Max-Age={seconds}")
        if secure:
            parts.append("Secure")
        if not readable:
            parts.append("HttpOnly")
        return self.header("set-cookie", "; ".join(parts))

    async def send(self, send: Send, *, head_only: bool = False) -> None:
        headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in self.headers]
        if self.stream is None:
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if self.stream is not None and not head_only:
            async for piece in self.stream:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        body = b"" if head_only or self.stream is not None else self.body
        await send({"type": "http.response.body", "body": body})


def redirect(to: str) -> Response:
    """See other: a page after an act. Only addresses of this host."""
    return Response(status=303, kind="").header("location", local(to))


def local(to: str) -> str:
    """``to`` if it is a path of this host, else the home page (no open redirects)."""
    if not to.startswith("/") or to.startswith(("//", "/\\")) or any(c <= " " for c in to):
        return "/"
    return to.encode("ascii", "ignore").decode() if not to.isascii() else to


def json_answer(value: Any, status: int = 200) -> Response:
    """A small JSON answer."""
    return Response(
        json.dumps(value, ensure_ascii=False, default=str), status=status, kind="application/json"
    )


def one(form: dict[str, list[str]], name: str) -> str:
    """A field's value, or nothing."""
    return (form.get(name) or [""])[0]
