"""HTTP and JSON: a contract called at somebody's HTTP edge, through the same interface.

The other side is our own gateway, or a vendor's system that implements the OpenAPI document. The
request id travels, so a call whose connection broke is sent again and takes effect once.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from plugward.kernel.codec import from_json, to_json
from plugward.kernel.contracts import Operation
from plugward.kernel.dispatch import mapped
from plugward.kernel.envelope import Envelope
from plugward.kernel.problems import Problem, error_of
from plugward.kernel.refusals import (
    BadRequest,
    Fault,
    NotAllowed,
    Refusal,
    SignInNeeded,
    Unavailable,
)

from .frames import MAJOR

ATTEMPTS_MAX = 3
AGAIN_S = 0.05
Token = Callable[[Envelope], str]


class _Told(msgspec.Struct):
    """An error as the edge tells it. Fields of others are left alone."""

    code: str = ""
    kind: str = ""
    fields: dict[str, Any] = {}
    trace: str = ""


class HttpEndpoint:
    """A board behind an HTTP edge. ``token`` answers the bearer token to call it with."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: Token) -> None:
        self._session = session
        self._base = base.rstrip("/")
        self._token = token

    async def __call__(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        loop = asyncio.get_running_loop()
        until = loop.time() + envelope.deadline_ms / 1000
        body = _body(operation, request)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            left = until - loop.time()
            if left <= 0:
                break
            try:
                async with asyncio.timeout(left):
                    status, answer = await self._post(operation, body, envelope, left)
                return _read(operation, envelope, status, answer)
            except TimeoutError:
                break
            except aiohttp.ClientConnectorError:
                raise Unavailable(operation.board, "link") from None  # nothing was sent
            except aiohttp.ClientError:
                if attempt == ATTEMPTS_MAX:
                    raise Unavailable(operation.board, "link") from None
                await asyncio.sleep(AGAIN_S)
        raise Unavailable(operation.board, "time-out") from None

    async def _post(
        self, operation: Operation, body: bytes, envelope: Envelope, left: float
    ) -> tuple[int, bytes]:
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {self._token(envelope)}",
            "x-request-id": str(envelope.request),
            "x-deadline-ms": str(int(left * 1000)),
        }
        if envelope.campus:
            headers["x-campus"] = envelope.campus
        url = f"{self._base}/api/{operation.board}/{MAJOR}/{operation.name}"
        async with self._session.post(url, data=body, headers=headers) as response:
            return response.status, await response.read()


def _body(operation: Operation, request: Any) -> bytes:
    try:
        return to_json(request)
    except (msgspec.ValidationError, TypeError, OverflowError) as error:
        raise BadRequest(where=f"{operation.full_name}: {error}"[:400]) from None


def _read(operation: Operation, envelope: Envelope, status: int, body: bytes) -> Any:
    try:
        if status == HTTPStatus.OK:
            return from_json(body, operation.returns)
        raise _error(operation, envelope, status, body)
    except (Refusal, Unavailable, Fault):
        raise
    except (msgspec.DecodeError, TypeError) as error:
        raise mapped(error, operation, envelope) from error


def _error(operation: Operation, envelope: Envelope, status: int, body: bytes) -> Exception:
    try:
        told = msgspec.json.decode(body, type=_Told)
    except msgspec.DecodeError:
        told = _Told()
    if told.kind == "unavailable":
        fields = told.fields
        return Unavailable(
            str(fields.get("board", operation.board)), str(fields.get("reason", "time-out"))
        )
    if told.kind == "fault":
        return Fault(told.trace)
    if told.kind not in ("gateway", ""):
        return error_of(Problem(told.kind, told.code, told.fields))
    return _of_status(operation, envelope, status)


def _of_status(operation: Operation, envelope: Envelope, status: int) -> Exception:
    """The edge itself said no, or something stands in front of it."""
    board = operation.board
    known: dict[int, Exception] = {
        HTTPStatus.UNAUTHORIZED: SignInNeeded(),
        HTTPStatus.FORBIDDEN: NotAllowed(permission=operation.permission),
        HTTPStatus.NOT_FOUND: Unavailable(board, "unplugged"),
        HTTPStatus.TOO_MANY_REQUESTS: Unavailable(board, "overloaded"),
        HTTPStatus.INTERNAL_SERVER_ERROR: Fault(envelope.trace),
    }
    if status in known:
        return known[status]
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return BadRequest(where=operation.full_name)
    return Unavailable(board, "link")
