"""The caller's side 主叫: an endpoint of the kernel's dispatcher that lies in another process.

An answer may be lost, late or doubled, and the callee may die between COMMIT and answer. A callee
that needs longer gives signs of life; after silence the same request is sent again under the same
request id, which takes effect once wherever it arrives. What is still unanswered at the deadline is
*unknown*: ``Unavailable``, to be asked again under the same id.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from plugward.kernel.codec import pack
from plugward.kernel.contracts import Operation
from plugward.kernel.dispatch import mapped
from plugward.kernel.envelope import Envelope
from plugward.kernel.refusals import BadRequest, Fault, NotAllowed, Refusal, Unavailable

from .frames import HOLD, Address, CallFrame, frame_of, read_answer
from .passes import Passes, PassRefused

IN_FLIGHT_MAX = 500  # a callee; more would only wait, and keep others waiting
HOLD_S = 0.4  # how often a callee that needs longer says so
SILENCE_S = 1.2  # without a sign of life: the request or its answer is lost
NOBODY_S = 0.25  # the callee has died; its replica or successor may take over
_log = logging.getLogger("plugward.wire")


class Nobody(Exception):
    """No process takes calls of this board: certainly nothing has happened."""


class Denied(Exception):
    """The broker refuses this subject to this process."""


class Channel(Protocol):
    """How bytes get to a board's process and back. Replies come to ``Pending.heard``."""

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent now."""
        ...

    async def send(self, address: Address, pending: "Pending", data: bytes) -> None:
        """Send a request; what comes back for it goes to ``pending``."""
        ...

    def forget(self, pending: "Pending") -> None:
        """Nobody waits for this one any more."""
        ...


class Pending:
    """A call whose answer is awaited."""

    __slots__ = ("address", "future", "heard_at", "id", "loop")

    def __init__(self, address: Address, loop: asyncio.AbstractEventLoop) -> None:
        self.address = address
        self.loop = loop
        self.future: asyncio.Future[bytes] = loop.create_future()
        self.heard_at = loop.time()
        self.id: Any = None

    def heard(self, data: bytes) -> None:
        """An answer, or a sign of life. A second answer to the same call is dropped."""
        if data == HOLD:
            self.heard_at = self.loop.time()
        elif not self.future.done():
            self.future.set_result(data)

    def failed(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class RemoteEndpoint:
    """Everything that is not plugged in here, over one channel."""

    def __init__(
        self,
        channel: Channel,
        passes: Passes,
        *,
        reaches: Callable[[str], bool],
        in_flight_max: int = IN_FLIGHT_MAX,
    ) -> None:
        self._channel = channel
        self._passes = passes
        self._reaches = reaches
        self._in_flight_max = in_flight_max
        self._in_flight: defaultdict[str, int] = defaultdict(int)

    def reaches(self, board: str) -> bool:
        return self._reaches(board)

    async def __call__(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        return await self.call("call", operation.board, operation, request, envelope)

    async def call(
        self, kind: str, board: str, operation: Operation, request: Any, envelope: Envelope
    ) -> Any:
        """One call of a board's contract (``call``) or of what every board offers (``face``)."""
        if envelope.deadline_ms <= 0:
            raise Unavailable(board, "time-out")
        if self._in_flight[board] >= self._in_flight_max:
            raise Unavailable(board, "overloaded")
        caller = self._passes.caller(envelope.caller)
        address = Address(kind, board, operation.name, caller)
        frame = self._frame(address, operation, request, envelope)
        self._in_flight[board] += 1
        try:
            data = await self._ask(address, frame, envelope.deadline_ms / 1000)
        except Denied:
            raise NotAllowed(permission=operation.permission) from None
        finally:
            self._in_flight[board] -= 1
        return _read(data, operation, envelope)

    def _frame(
        self, address: Address, operation: Operation, request: Any, envelope: Envelope
    ) -> bytes:
        try:
            warrant = self._passes.issue(envelope.actor, address.caller, address.board)
        except PassRefused as refused:
            _log.warning("%s: no pass: %s", operation.full_name, refused)
            raise NotAllowed(permission=operation.permission) from None
        try:
            arguments = msgspec.Raw(pack(request))
        except (msgspec.ValidationError, TypeError, OverflowError) as error:
            raise BadRequest(where=f"{operation.full_name}: {error}"[:400]) from None
        return frame_of(
            CallFrame(
                warrant,
                envelope.request,
                envelope.campus,
                envelope.trace,
                envelope.deadline_ms,
                arguments,
            )
        )

    async def _ask(self, address: Address, frame: bytes, seconds: float) -> bytes:
        if not self._channel.is_open:
            raise Unavailable(address.board, "link")  # nothing was sent
        asking = _Asking(self._channel, address, frame, seconds)
        return await asking.answer()


def _read(data: bytes, operation: Operation, envelope: Envelope) -> Any:
    try:
        return read_answer(data, operation.returns)
    except (Refusal, Unavailable, Fault):
        raise
    except (msgspec.DecodeError, TypeError) as error:
        raise mapped(error, operation, envelope) from error


class _Asking:
    """One question until it is answered or its time is over."""

    __slots__ = ("_address", "_channel", "_frame", "_until", "loop")

    def __init__(self, channel: Channel, address: Address, frame: bytes, seconds: float) -> None:
        self.loop = asyncio.get_running_loop()
        self._channel = channel
        self._address = address
        self._frame = frame
        self._until = self.loop.time() + seconds

    async def answer(self) -> bytes:
        silence, tries = SILENCE_S, 0
        while True:
            tries += 1
            try:
                return await self._once(min(silence, self._until - self.loop.time()))
            except Nobody:
                if tries == 1:
                    raise Unavailable(self._address.board, "unplugged") from None
                await asyncio.sleep(NOBODY_S)
            except TimeoutError:
                _log.warning("%s.%s: silence", self._address.board, self._address.operation)
                silence *= 2
            if self.loop.time() >= self._until:
                raise Unavailable(self._address.board, "time-out") from None

    async def _once(self, silence: float) -> bytes:
        """Send it and wait. Raises ``TimeoutError`` after silence, ``Nobody``, ``Denied``."""
        pending = Pending(self._address, self.loop)
        watch = self.loop.call_later(silence, self._look, pending, silence)
        try:
            await self._channel.send(self._address, pending, self._frame)
            return await pending.future
        finally:
            watch.cancel()
            self._channel.forget(pending)

    def _look(self, pending: Pending, silence: float) -> None:
        """Whether the callee still lives. Looks again as long as it does."""
        now = self.loop.time()
        due = min(pending.heard_at + silence, self._until)
        if pending.future.done():
            return
        if now >= due:
            pending.failed(TimeoutError())
        else:
            self.loop.call_at(due, self._look, pending, silence)
