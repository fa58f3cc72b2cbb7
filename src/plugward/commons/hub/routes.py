"""Routes 路由: bring what boards declare in ``interop.py`` together with messages."""

import inspect
from typing import Any
from uuid import UUID

from plugward.kernel.access import AccessScope
from plugward.kernel.board import Board
from plugward.kernel.envelope import ALL_CAMPUSES, Actor, ActorKind, acting_as
from plugward.kernel.interop import Inbound, Outbound, Outgoing, Received, Rejected
from plugward.kernel.plugged import in_order
from plugward.kernel.refusals import Fault, Forbidden, Invalid, Refusal, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kit.ids import derive
from plugward.kit.time import Instant

from .contract import System
from .hl7 import (
    Acknowledgement,
    ErrorCode,
    Hl7Error,
    Message,
    SegmentData,
    acknowledge,
    build,
    header,
    parse_path,
)
from .intake import control_id_of, kind_of
from .lanes import Failed
from .ledger_records import Delivery, Outcome
from .ledger_tables import State

SENDER = "PLUGWARD"


class Refused(Exception):
    """A board says no: what the sender is told, and whether the same message can ever pass."""

    def __init__(self, code: str, error: Hl7Error) -> None:
        super().__init__(str(error))
        self.code = code
        self.error = error


class Routes:
    """The declarations of the boards that are plugged in now."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: tuple[Board, ...] = ()
        self._inbound: dict[str, tuple[tuple[str, Inbound], ...]] = {}

    def inbound(self, kind: str, campus: str | None = None) -> tuple[Inbound, ...]:
        """Who takes over a kind of message: boards after those they need; of a contract that is
        bound per campus, the board of that campus."""
        serves = self._runtime.bindings.serves
        found = self._taking(kind)
        return tuple(one for board, one in found if campus is None or serves(board, campus))

    def _taking(self, kind: str) -> tuple[tuple[str, Inbound], ...]:
        boards = tuple(self._runtime.boards.values())
        if boards != self._known:
            self._known = boards
            self._inbound = {}
            for board in in_order(boards):
                for declared in board.interop:
                    if isinstance(declared, Inbound):
                        for name in declared.kinds:
                            taking = (*self._inbound.get(name, ()), (board.name, declared))
                            self._inbound[name] = taking
        return self._inbound.get(kind, ())

    async def apply(self, delivery: Delivery, message: Message, system: System) -> Outcome:
        """Take a message over; the outcome holds the sender's answer."""
        received = Received(
            message, id=delivery.message, campus=system.campus, sender=f"system:{system.code}"
        )
        try:
            async with AccessScope(self._runtime.audit.append):
                routes = self.inbound(kind_of(message), system.campus)
                if not routes:
                    raise _NOBODY_THERE
                for route in routes:
                    await self._run(route, received, system)
        except Refused as refused:
            reply = _reply(delivery, message, refused.code, refused.error)
            return Outcome(State.DEAD, str(refused), reply=reply, code=refused.code)
        except Unavailable as away:
            raise Failed(f"{away.board}: {away.reason}") from away
        except Fault as fault:
            error = Hl7Error(f"trace {fault.trace}", code=ErrorCode.INTERNAL, at=_MSH_9)
            reply = _reply(delivery, message, Acknowledgement.ERROR, error)
            return Outcome(State.DEAD, str(error), reply=reply, code=Acknowledgement.ERROR)
        reply = _reply(delivery, message, Acknowledgement.ACCEPTED)
        return Outcome(State.DONE, reply=reply, code=Acknowledgement.ACCEPTED)

    async def _run(self, route: Inbound, received: Received, system: System) -> None:
        actor = Actor(
            id=f"system:{system.code}",
            kind=ActorKind.SYSTEM,
            permissions=route.permissions,
            campuses=(system.campus,),
        )
        # The request follows from the message: processed again, every command is the same one.
        request = derive(received.id, route.name)
        try:
            with acting_as(actor, campus=system.campus, request=request):
                await route.function(received, **self._given(route.needs))
        except Rejected as rejected:
            raise Refused(*_of_rejection(rejected)) from rejected
        except Refusal as refusal:
            raise Refused(*_of_refusal(route, refusal)) from refusal

    async def messages_for(self, route: Outbound, event: Any, cause: UUID) -> tuple[Outgoing, ...]:
        """What is to be sent because of a fact."""
        actor = Actor(
            id="board:hub",
            kind=ActorKind.BOARD,
            permissions=route.permissions,
            campuses=ALL_CAMPUSES,
        )
        with acting_as(actor, request=derive(cause, route.name)):
            return tuple(await route.function(event, **self._given(route.needs)))

    def _given(self, needs: dict[str, Any]) -> dict[str, Any]:
        return {name: self._runtime.client(kind, caller="hub") for name, kind in needs.items()}


def written(outgoing: Outgoing, system: System, *, id: UUID, at: Instant) -> Message:
    """The message itself, for one receiver, in its character set."""
    msh: SegmentData = (
        "MSH",
        dict(
            header(
                outgoing.kind,
                sender=(SENDER, outgoing.campus),
                receiver=(system.application, system.facility),
                control_id=control_id_of(id),
                at=at,
            )
        ),
    )
    return build((msh, *outgoing.segments), charset=system.charset)


def sentence(refusal: Refusal) -> str:
    """A refusal in its own Chinese words, with its fields filled in."""
    words = inspect.getdoc(type(refusal)) or type(refusal).__name__
    for name in refusal.values.__struct_fields__:
        words = words.replace("{" + name + "}", str(getattr(refusal, name)))
    return words


_MSH_9 = parse_path("MSH-9")
_NOBODY_THERE = Refused(
    Acknowledgement.ERROR,
    Hl7Error(
        "no board of this campus takes it",
        code=ErrorCode.UNSUPPORTED_MESSAGE_TYPE,
        at=_MSH_9,
        shown="该院区没有业务板处理此类消息",
    ),
)


def _of_rejection(rejected: Rejected) -> tuple[str, Hl7Error]:
    code = ErrorCode(int(rejected.why))
    # What is unknown today may be known when the message comes again; a missing field will not.
    is_final = code is not ErrorCode.UNKNOWN_KEY
    answer = Acknowledgement.REJECTED if is_final else Acknowledgement.ERROR
    reason = f"{code.label} at {rejected.at}"
    return answer, Hl7Error(reason, code=code, at=parse_path(rejected.at), shown=rejected.words)


def _of_refusal(route: Inbound, refusal: Refusal) -> tuple[str, Hl7Error]:
    blame = route.blame.get(type(refusal))
    at = parse_path(blame.at) if blame else _MSH_9
    code = ErrorCode(int(blame.why)) if blame else ErrorCode.INTERNAL
    is_final = isinstance(refusal, Invalid | Forbidden)
    answer = Acknowledgement.REJECTED if is_final else Acknowledgement.ERROR
    return answer, Hl7Error(refusal.code, code=code, at=at, shown=sentence(refusal))


def _reply(delivery: Delivery, message: Message, code: str, *errors: Hl7Error) -> bytes:
    return acknowledge(
        message, code, control_id=control_id_of(delivery.message), at=delivery.at, errors=errors
    )
