"""The callee's side 被叫: from a frame to the local endpoint and back, believing nothing.

The pass is looked at before anything else; the endpoint then checks permission, deadline and
request id again, exactly as for a caller in the same process.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from plugward.kernel.codec import unpack
from plugward.kernel.contracts import Operation
from plugward.kernel.dispatch import Endpoint, mapped
from plugward.kernel.envelope import Envelope
from plugward.kernel.refusals import BadRequest, Fault, NotAllowed, Refusal, Unavailable

from .caller import HOLD_S
from .frames import HOLD, Address, CallFrame, answer_of, problem_of, read_frame
from .passes import Passes, PassRefused

_log = logging.getLogger("plugward.wire")


class Offer(msgspec.Struct, frozen=True):
    """What a board answers, and where it runs."""

    operations: Mapping[str, Operation]
    endpoint: Endpoint


class Answerer:
    """Everything that this process answers."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._offers: dict[tuple[str, str], Offer] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    def offer(self, kind: str, board: str, offer: Offer) -> None:
        self._offers[kind, board] = offer

    def offers(self, kind: str, board: str) -> bool:
        return (kind, board) in self._offers

    def withdraw(self, kind: str, board: str) -> None:
        self._offers.pop((kind, board), None)

    def begin(self, address: Address, data: bytes, reply: "Reply") -> None:
        """Answer in a task of its own. While it takes long, the caller hears that it lives."""
        task = asyncio.get_running_loop().create_task(self._answer(address, data, reply))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def drained(self, patience_s: float) -> None:
        """Wait for the answers under way."""
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=patience_s)

    async def _answer(self, address: Address, data: bytes, reply: "Reply") -> None:
        loop = asyncio.get_running_loop()
        reply.timer = loop.call_later(HOLD_S, partial(_hold, reply, loop))
        try:
            answer = await self.answered(address, data)
        finally:
            reply.timer.cancel()
        await reply.send(answer)

    async def answered(self, address: Address, data: bytes) -> bytes:
        """The answer to one frame, as bytes. Never raises an error of the closed list."""
        offer = self._offers.get((address.kind, address.board))
        operation = offer.operations.get(address.operation) if offer else None
        if offer is None or operation is None:
            # Unplugged a moment ago, or an operation of a newer release: nothing has happened.
            return problem_of(Unavailable(address.board, "unplugged"))
        try:
            envelope, frame = self._envelope(address, operation, data)
            request = _arguments(operation, frame)
            answer = await offer.endpoint(operation, request, envelope)
            try:
                return answer_of(answer)
            except (msgspec.ValidationError, TypeError, OverflowError) as error:
                raise mapped(error, operation, envelope) from error
        except (Refusal, Unavailable, Fault) as error:
            return problem_of(error)

    def _envelope(
        self, address: Address, operation: Operation, data: bytes
    ) -> tuple[Envelope, CallFrame]:
        try:
            frame = read_frame(data)
        except msgspec.DecodeError:
            raise BadRequest(where=f"{operation.full_name}: not a call") from None
        try:
            admitted = self._passes.admit(
                frame.warrant, caller=address.caller, audience=address.board
            )
        except PassRefused as refused:
            _log.warning(
                "%s refused to %s: %s", operation.full_name, address.caller, refused,
                extra={"trace": frame.trace},
            )  # fmt: skip
            raise NotAllowed(permission=operation.permission) from None
        envelope = Envelope(
            request=frame.request,
            actor=admitted.actor,
            campus=frame.campus,
            trace=frame.trace,
            deadline_ms=frame.deadline_ms,
            caller=admitted.caller,
        )
        return envelope, frame


def _arguments(operation: Operation, frame: CallFrame) -> Any:
    try:
        return unpack(bytes(frame.arguments), operation.request)
    except msgspec.DecodeError as error:
        raise BadRequest(where=f"{operation.full_name}: {error}"[:400]) from None


class Reply(ABC):
    """The way back to one caller."""

    timer: asyncio.TimerHandle

    @abstractmethod
    async def send(self, data: bytes) -> None:
        """Send a frame to the caller."""


def _hold(reply: Reply, loop: asyncio.AbstractEventLoop) -> None:
    sent = loop.create_task(reply.send(HOLD))
    sent.add_done_callback(_looked_at)
    reply.timer = loop.call_later(HOLD_S, partial(_hold, reply, loop))


def _looked_at(sent: "asyncio.Task[None]") -> None:
    if not sent.cancelled():
        sent.exception()  # a link that is down is noticed by whoever sends the answer
