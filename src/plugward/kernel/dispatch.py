"""Dispatch 调用: the one path of every call, wherever the callee runs.

Permission, deadline, once-only, error mapping, concurrency and measuring happen here and nowhere
else. A local call skips only the bytes; the *strict* transport does not skip even those, neither
for answers nor for refusals.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any, Protocol, TypeVar, cast

import msgspec
from sqlalchemy.exc import DBAPIError

from plugward.kit.ids import derive, new_id

from .access import Append, access_of, note
from .binding import Bindings, Bound
from .codec import hash_of, pack, unpack
from .contracts import Contract, Operation, contract_of
from .envelope import ANONYMOUS, ActorKind, Call, Envelope, calling, current_call
from .masking import shown
from .observe.logs import without_text
from .observe.meters import Meters
from .observe.traces import SPANS
from .problems import from_wire, to_wire
from .refusals import BadRequest, Fault, NotAllowed, Refusal, Unavailable

T = TypeVar("T")
_log = logging.getLogger("plugward.dispatch")
IN_FLIGHT_MAX = 1_000
FindDone = Callable[[Call], Awaitable[Any]]


class Transport(StrEnum):
    DIRECT = "direct"  # objects are handed over
    STRICT = "strict"  # arguments and answers are encoded and decoded, as between processes


class Endpoint(Protocol):
    """Where a board's operations run. Another process would be another endpoint."""

    async def __call__(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        """Run the operation; raises a Refusal, Unavailable or Fault."""
        ...


class Elsewhere(Endpoint, Protocol):
    """Where everything goes that is not plugged in here. It encodes by itself."""

    def reaches(self, board: str) -> bool:
        """Whether somebody there offers this board now."""
        ...


class LocalEndpoint:
    """A board that runs in this process."""

    def __init__(
        self, board: str, service: Any, *, append: Append, meters: Meters, find_done: FindDone
    ) -> None:
        self.board = board
        self._service = service
        self._append = append
        self._meters = meters
        self._in_flight = 0
        self._nobody = asyncio.Event()  # set while no call is under way
        self._nobody.set()
        self._find_done = find_done
        self._left_alone: set[asyncio.Task[Any]] = set()

    async def __call__(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        if SPANS.tracer is None:
            return await self._measured(operation, request, envelope)
        with SPANS.span(operation.full_name, envelope, board=self.board):
            return await self._measured(operation, request, envelope)

    async def _measured(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        started = time.perf_counter()
        outcome = "ok"
        try:
            return await self._admitted(operation, request, envelope)
        except Refusal as refusal:
            outcome = refusal.kind
            raise
        except Unavailable:
            outcome = "unavailable"
            raise
        except Fault:
            outcome = "fault"
            raise
        finally:
            self._meters.count(operation.full_name, time.perf_counter() - started, outcome)

    async def drained(self, patience_s: float) -> None:
        """Wait for the calls under way, and for the writes whose callers have gone, before the
        store closes. Whatever takes longer than ``patience_s`` finds it stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._nobody.wait()
                if self._left_alone:
                    await asyncio.wait(self._left_alone)

    async def _admitted(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        if self._in_flight + len(self._left_alone) >= IN_FLIGHT_MAX:
            raise Unavailable(self.board, "overloaded")
        self._in_flight += 1
        self._nobody.clear()
        try:
            return await self._run(operation, request, envelope)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._nobody.set()

    async def _run(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        subjects = tuple(operation.subjects_of_request(request))
        if operation.permission not in envelope.actor.permissions:
            await self._noted(operation, envelope, subjects, b"", "forbidden")
            raise NotAllowed(permission=operation.permission)
        if not operation.is_command:
            return await self._query(operation, request, envelope, subjects)
        call = Call(
            envelope,
            operation=operation,
            deadline=asyncio.get_running_loop().time() + envelope.deadline_ms / 1000,
            arguments_hash=hash_of(request),
            subjects=subjects,
        )
        try:
            return await self._command(operation, request, call)
        except Refusal as refusal:
            await self._noted(operation, envelope, subjects, call.arguments_hash, refusal.kind)
            raise

    async def _query(
        self, operation: Operation, request: Any, envelope: Envelope, subjects: Any
    ) -> Any:
        deadline = asyncio.get_running_loop().time() + envelope.deadline_ms / 1000
        try:
            async with asyncio.timeout_at(deadline):
                with calling(Call(envelope, operation=operation, deadline=deadline)):
                    answer = await self._invoke(operation, request, envelope)
        except TimeoutError as error:  # ours: the service's own would have become a fault
            raise Unavailable(self.board, "time-out") from error
        if operation.audited and envelope.actor.kind is not ActorKind.BOARD:
            subjects += tuple(operation.subjects_of_answer(answer))
            if subjects:
                await self._noted(operation, envelope, subjects, b"", "read")
        return answer

    async def _command(self, operation: Operation, request: Any, call: Call) -> Any:
        """Run to its end whatever becomes of the caller: a write is never torn in half."""
        loop = asyncio.get_running_loop()

        async def run() -> Any:
            with calling(call):
                if not hasattr(getattr(self._service, operation.name), "__in_work__"):
                    earlier = await self._find_done(call)
                    if earlier is not None:
                        return earlier.answer
                return await self._invoke(operation, request, call.envelope)

        if call.envelope.deadline_ms <= 0:
            raise Unavailable(self.board, "time-out")
        task = loop.create_task(run())
        try:
            done, _ = await asyncio.wait({task}, timeout=call.envelope.deadline_ms / 1000)
        except asyncio.CancelledError:
            self._leave_alone(task)
            raise
        if not done:
            self._leave_alone(task)
            raise Unavailable(self.board, "time-out")
        return task.result()

    def _leave_alone(self, task: "asyncio.Task[Any]") -> None:
        """The caller has gone with *unknown*; the write goes on to its own end."""
        self._left_alone.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._left_alone.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain; the store has the end

    async def _invoke(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        try:
            return await getattr(self._service, operation.name)(*msgspec.structs.astuple(request))
        except (Refusal, Unavailable, Fault):
            raise
        except Exception as error:
            raise mapped(error, operation, envelope) from error

    async def _noted(
        self,
        operation: Operation,
        envelope: Envelope,
        subjects: Any,
        arguments_hash: bytes,
        result: str,
    ) -> None:
        await note(access_of(operation, envelope, subjects, arguments_hash, result), self._append)


def mapped(error: Exception, operation: Operation, envelope: Envelope) -> Exception:
    """Storage that does not answer is *unavailable*, a number that no column and no wire can hold
    is the asker's; everything else is our bug."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Unavailable(operation.board, "storage")
    if isinstance(error, OverflowError):
        return BadRequest(where=f"{operation.full_name}: a number is too large")
    kind = type(error).__name__
    _log.error(
        "fault in %s: %s",
        operation.full_name,
        kind,
        extra={"trace": envelope.trace},
        exc_info=without_text((type(error), error, error.__traceback__)),
    )
    return Fault(envelope.trace)


class Dispatcher:
    """Finds the endpoint of a contract and calls it. Clients are made here."""

    def __init__(self, transport: Transport = Transport.STRICT) -> None:
        self._transport = transport
        self._endpoints: dict[str, Endpoint] = {}  # where a contract's calls go
        self._here: dict[str, Endpoint] = {}  # the boards of this process
        self._bound: dict[str, Endpoint] = {}  # contracts that several boards answer
        self.elsewhere: Elsewhere | None = None

    def attach(self, contract: str, endpoint: Endpoint) -> None:
        """From now on calls of this contract go there."""
        self._here = {**self._here, contract: endpoint}
        self._endpoints = {**self._here, **self._bound}

    def detach(self, contract: str) -> None:
        """From now on the board is unplugged: an ordinary answer."""
        self._here = {k: v for k, v in self._here.items() if k != contract}
        self._endpoints = {**self._here, **self._bound}

    def bind(self, bindings: Bindings) -> None:
        """From now on calls of bound contracts go to the boards of their campuses."""
        self._bound = {name: Bound(name, bindings, self._board) for name in bindings.bound}
        self._endpoints = {**self._here, **self._bound}

    def _board(self, name: str) -> Endpoint:
        endpoint = self._here.get(name) or self.elsewhere
        if endpoint is None:
            raise Unavailable(name, "unplugged")
        return endpoint

    def attached(self, contract: str) -> bool:
        """Whether calls of this contract have somewhere to go, here or elsewhere."""
        if contract in self._here:
            return True
        return self.elsewhere is not None and self.elsewhere.reaches(contract)

    def reaches(self, board: str) -> bool:
        """Whether another process offers this board now, with or without a contract."""
        return self.elsewhere is not None and self.elsewhere.reaches(board)

    async def call(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        """One call. Raises a Refusal, ``Unavailable`` or ``Fault``, and nothing else."""
        endpoint = self._endpoints.get(operation.board) or self.elsewhere
        if endpoint is None:
            raise Unavailable(operation.board, "unplugged")
        if self._transport is Transport.DIRECT or endpoint is self.elsewhere:
            return shown(operation, await endpoint(operation, request, envelope))
        try:
            request = unpack(pack(request), operation.request)
        except (msgspec.ValidationError, TypeError, OverflowError) as error:
            raise BadRequest(where=f"{operation.full_name}: {error}"[:400]) from None
        try:
            answer = await endpoint(operation, request, envelope)
        except (Refusal, Unavailable, Fault) as error:
            raise self._sent_back(error, operation, envelope) from error
        try:
            return shown(operation, unpack(pack(answer), operation.returns))
        except (msgspec.ValidationError, TypeError, OverflowError) as error:
            raise mapped(error, operation, envelope) from error

    async def call_for_bytes(
        self,
        operation: Operation,
        request: Any,
        envelope: Envelope,
        encode: Callable[[Any], bytes],
    ) -> bytes:
        """One call of an edge that has just decoded the request and sends the answer off as bytes.

        Nothing is shared with the board that way, so nothing is encoded a second time for it.
        """
        endpoint = self._endpoints.get(operation.board) or self.elsewhere
        if endpoint is None:
            raise Unavailable(operation.board, "unplugged")
        try:
            answer = await endpoint(operation, request, envelope)
        except (Refusal, Unavailable, Fault) as error:
            if self._transport is Transport.DIRECT or endpoint is self.elsewhere:
                raise
            raise self._sent_back(error, operation, envelope) from error
        try:
            return encode(shown(operation, answer))
        except (msgspec.ValidationError, TypeError) as error:
            raise mapped(error, operation, envelope) from error

    def _sent_back(
        self, error: Refusal | Unavailable | Fault, operation: Operation, envelope: Envelope
    ) -> Exception:
        """The error as it would arrive from another process."""
        try:
            return from_wire(to_wire(error))
        except (msgspec.ValidationError, TypeError) as broken:
            return mapped(broken, operation, envelope)

    def client(self, protocol: type[T], *, caller: str = "edge") -> T:
        """An object that looks like the contract and calls it, in the current call's name."""
        return cast("T", _client_class(contract_of(protocol))(self, caller))


class _Client:
    def __init__(self, dispatcher: Dispatcher, caller: str) -> None:
        self.dispatcher_ = dispatcher  # trailing underscore: no operation is called like this
        self.caller_ = caller


_CLASSES: dict[Contract, type[_Client]] = {}


def _client_class(contract: Contract) -> type[_Client]:
    found = _CLASSES.get(contract)
    if found is None:
        methods = {op.name: _method(op) for op in contract.operations.values()}
        found = type(f"{contract.protocol.__name__}Client", (_Client,), methods)
        _CLASSES[contract] = found
    return found


def _method(operation: Operation) -> Any:
    async def call(self: _Client, *args: Any, **kwargs: Any) -> Any:
        try:
            request = operation.request(*args, **kwargs)
        except TypeError as error:
            raise BadRequest(where=f"{operation.full_name}: {error}"[:400]) from None
        return await self.dispatcher_.call(
            operation, request, envelope_for(operation, request, self.caller_)
        )

    call.__name__ = operation.name
    call.__doc__ = operation.doc
    call.__operation__ = operation  # type: ignore[attr-defined]  # pages bind actions by it
    return call


def envelope_for(operation: Operation, request: Any, caller: str) -> Envelope:
    """The envelope of a call made now: the outer call's, with what remains of its time.

    A command sent from inside another call gets an id derived from that call, the operation and
    the arguments, so that a re-run repeats the same request. The first command of an edge call
    keeps the id the edge was given, also when it is sent again there.
    """
    outer = current_call()
    if outer is None:
        request_id = new_id()
        return Envelope(
            request=request_id, actor=ANONYMOUS, campus="", trace=request_id.hex, caller=caller
        )
    envelope = outer.envelope
    remaining = envelope.deadline_ms
    if outer.deadline is not None:
        remaining = max(0, int((outer.deadline - asyncio.get_running_loop().time()) * 1000))
    request_id = envelope.request
    if operation.is_command:
        if outer.operation is None and outer.first is None:
            outer.first = (operation, request)
        elif outer.first != (operation, request):
            request_id = derive(request_id, operation.full_name, hash_of(request).hex())
    return msgspec.structs.replace(
        envelope, request=request_id, deadline_ms=remaining, caller=caller
    )
