"""SOAP door: operations of a declared service become messages, as POST /orders does.

The answer leaves when the message is on disk: ``code`` AA and the message's ``id``. What a route
refuses is a fault of the caller; what cannot be taken now is a fault of the server, and is to be
sent again. A repeat with the same WS-Addressing MessageID is told what the first one was told.
"""

import re

from ..door import KEY_LENGTH_MAX, Door
from ..routing import Incoming
from ..soap.envelope import TYPES, Called, Fault, answer, fault, read
from ..soap.wsdl import wsdl
from ..taking import Verdict
from ..web import asgi
from ..web.asgi import Refusal, Request, Send
from .declared import Soap

_HOST = re.compile(r"[A-Za-z0-9.\[\]:_-]{1,255}")


class SoapService:
    """One service of ``services.toml``."""

    def __init__(self, name: str, told: Soap, door: Door) -> None:
        self._name = name
        self._told = told
        self._door = door

    @property
    def handler(self) -> "SoapService":
        """Itself."""
        return self

    async def close(self) -> None:
        """Nothing is held."""

    async def __call__(self, request: Request, caller: str, send: Send) -> None:
        """The description, or one call."""
        if self._told.callers and caller not in self._told.callers:
            raise Refusal(403, "this was not granted")
        if request.path.rstrip("/") != self._told.path.rstrip("/"):
            raise Refusal(404, "there is no service here")
        if request.method == "GET" and request.query.lower() == b"wsdl":
            await asgi.answer(send, 200, self._described(request), "text/xml; charset=utf-8")
            return
        if request.method != "POST":
            raise Refusal(
                405, "operations are posted; the description is at ?wsdl", {"Allow": "POST"}
            )
        body = await request.body()
        try:
            called = read(body, request.headers.get("content-type", ""))
            self._check(called)
        except Fault as failure:
            await self._door.not_taken(body, caller, request, str(failure))
            await asgi.answer(send, 500, fault(failure), TYPES[failure.version])
            return
        try:
            told = await self._take(called, body, request, caller)
        except Fault as failure:
            await asgi.answer(send, 500, fault(failure), TYPES[failure.version])
            return
        await asgi.answer(send, 200, answer(called, told), TYPES[called.version])

    def _described(self, request: Request) -> bytes:
        host = request.headers.get("host", "")
        address = self._told.address
        if not address:
            if not _HOST.fullmatch(host):
                raise Refusal(400, "the Host is no host")
            address = f"{request.scheme}://{host}{self._told.path}"
        return wsdl(
            self._name.replace(" ", "_"),
            namespace=self._told.namespace,
            operations=self._told.operations,
            address=address,
            title=self._told.title,
        )

    def _check(self, called: Called) -> None:
        wanted = self._told.operations.get(called.operation)
        if wanted is None or called.namespace != self._told.namespace:
            raise Fault("this service has no such operation", version=called.version)
        for parameter in called.parameters:
            if parameter not in wanted:
                raise Fault("it does not take this", at=parameter[:64], version=called.version)
        for parameter in wanted:
            if parameter not in called.parameters:
                raise Fault("it is missing", at=parameter, version=called.version)
        if len(called.message_id) > KEY_LENGTH_MAX:
            raise Fault("the MessageID is too long", version=called.version)

    async def _take(
        self, called: Called, body: bytes, request: Request, caller: str
    ) -> dict[str, str]:
        kind = f"SOAP {self._told.path} {called.operation}"
        headers = dict(request.headers)
        if called.message_id:
            headers["idempotency-key"] = called.message_id
        incoming = Incoming(body, kind=kind, sender=caller, headers=headers)
        taken = await self._door.taken(incoming, request)
        if taken.verdict is Verdict.ACCEPTED:
            return {"code": "AA", "id": taken.id, "text": ""}
        is_final = taken.verdict is not Verdict.AWAY
        raise Fault(taken.words, is_caller=is_final, at=taken.at, version=called.version)
