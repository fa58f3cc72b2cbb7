"""HTTP door 入口: messages by REST, SOAP services, and what is passed through, by one listener.

``202`` means *on disk*: the answer leaves after the ledger's COMMIT, as an AA does. A repeat with
the same ``Idempotency-Key`` gets the same answer; the same key with other content is ``409``.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from .ledger_records import LedgerFailed
from .measures import Direction
from .mllp import Peer
from .node import Node
from .routing import Incoming
from .taking import Taken, Verdict, take
from .web.asgi import Gone, Receive, Refusal, Request, Scope, Send, answer, answer_json
from .web.callers import Callers

HL7_KINDS = ("application/hl7-v2", "x-application/hl7-v2+er7", "application/hl7-v2+er7")
KEY_LENGTH_MAX = 128
STRANGER = "stranger"
STATUS = {Verdict.ACCEPTED: 202, Verdict.CLASH: 409, Verdict.REFUSED: 422, Verdict.AWAY: 503}

Handler = Callable[[Request, str, Send], Awaitable[None]]
"""What answers below a prefix: request, caller, send."""


class Door:
    """The ASGI application of a node."""

    def __init__(self, node: Node, callers: Callers) -> None:
        self._node = node
        self._callers = callers
        self._below: dict[str, Handler] = {}

    def mount(self, prefix: str, handler: Handler) -> None:
        """Everything below a prefix is this handler's; the longest prefix wins."""
        self._below[prefix.rstrip("/")] = handler

    def unmount(self, prefix: str) -> None:
        """Nobody's any more."""
        self._below.pop(prefix.rstrip("/"), None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if request.path == "/health":
            await answer_json(send, 200, {"status": "full" if self._node.is_full else "ok"})
            return
        began = time.perf_counter()
        what = f"{request.method} {request.path}"
        caller, service = "", request.method
        try:
            caller = self._callers.admit(request.headers, request.address, what, began)
            prefix = self._prefix_of(request.path)
            service = f"{request.method} {prefix or request.path}"
            handler = self._take if prefix is None else self._below[prefix]
            await handler(request, caller, send)
        except Refusal as refused:
            self._count(caller or STRANGER, service, began, 0, f"{refused.status} {refused}")
            body = {"error": str(refused)}
            await answer_json(
                send, refused.status, body, {"connection": "close", **refused.headers}
            )
        except Gone:
            return

    def _prefix_of(self, path: str) -> str | None:
        """The longest that is mounted: asked from the whole path upwards, as there may be many."""
        while path and path not in self._below:
            path = path.rpartition("/")[0]
        return path if path in self._below else None

    # ── a message ───────────────────────────────────────────────────────────────────────────
    async def _take(self, request: Request, caller: str, send: Send) -> None:
        if request.tunnel is not None:
            raise Refusal(400, "there is no WebSocket here")
        if request.method not in ("POST", "PUT"):
            raise Refusal(405, "messages are posted", {"Allow": "POST, PUT"})
        body = await request.body()
        if request.headers.get("content-type", "").partition(";")[0].strip() in HL7_KINDS:
            peer = Peer("http", request.address, 0)
            acknowledged = await self._node.intake.handle(body, peer)
            await answer(send, 200, acknowledged, HL7_KINDS[0])
            return
        kind = f"{request.method} {request.path}"
        incoming = Incoming(body, kind=kind, sender=caller, headers=request.headers)
        taken = await self.taken(incoming, request)
        told = {"id": taken.id, "status": "accepted"}
        if taken.verdict is not Verdict.ACCEPTED:
            told = {"error": taken.words}
        if taken.at:
            told["at"] = taken.at
        headers = {"retry-after": "5"} if taken.verdict is Verdict.AWAY else {}
        await answer_json(send, STATUS[taken.verdict], told, headers)

    async def taken(self, incoming: Incoming, request: Request) -> Taken:
        """Make it durable, with what the routes make of it."""
        key = incoming.headers.get("idempotency-key", "")
        if len(key) > KEY_LENGTH_MAX:
            raise Refusal(400, f"the key is longer than {KEY_LENGTH_MAX} characters")
        return await take(self._node, incoming, key=key, peer=f"http {request.address}")

    async def not_taken(self, body: bytes, caller: str, request: Request, reason: str) -> None:
        """Count what is no message, and keep it for whoever has to find out why."""
        kind = f"{request.method} {request.path}"
        self._count(caller, kind, time.perf_counter(), len(body), reason)
        with suppress(LedgerFailed):  # it was not accepted, so nothing is lost
            await self._node.ledger.refused(body, peer=f"http {request.address}", reason=reason)

    def _count(self, caller: str, service: str, began: float, size: int, error: str) -> None:
        self._node.measures.count(
            caller,
            service,
            Direction.IN,
            at=self._node.clock.now(),
            seconds=time.perf_counter() - began,
            size=size,
            error=error,
        )
