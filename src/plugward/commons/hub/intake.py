"""Intake 接收: a frame becomes a durable message and an answer.

AA means *durable here*, and with a plan that waits, *applied*. What cannot be accepted is answered
with the segment, the field, the code and the reason. A repeat gets the first answer again.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import NamedTuple
from uuid import UUID

from plugward.kit.ids import new_id
from plugward.kit.time import Clock

from .hl7 import (
    Acknowledgement,
    ErrorCode,
    Hl7Error,
    Message,
    Path,
    acknowledge,
    parse,
    refuse_unread,
)
from .lanes import Lanes
from .ledger import LocalLedger
from .ledger_records import Answered, Arrival, Kept, Lane, LedgerFailed, Outcome, Parcel
from .ledger_tables import State
from .mllp import Peer

MSH_10 = Path("MSH", 1, 10)
SUBJECT_LENGTH_MAX = 64
CONTROL_ID_LENGTH = 20  # MSH-10 up to version 2.6
REPLY_S_MAX = 8.0
"""Senders wait 10 to 30 s. What is not applied by then is durable here and gets its AA."""


class Plan(NamedTuple):
    """What is to become of a message."""

    lanes: Sequence[Lane | Parcel] = ()
    waits_for: str = ""
    """The destination whose outcome is the answer; none: the answer follows the ledger alone."""
    delivered: frozenset[str] = frozenset()
    """The destinations that have to have it before the sender is told AA."""

    @property
    def destinations(self) -> set[str]:
        """Where it goes."""
        return {
            one.lane.destination if isinstance(one, Parcel) else one.destination
            for one in self.lanes
        }


class NotGranted(Hl7Error):
    """A sender that may not send this: answered AR, and audited."""


class NotNow(Hl7Error):
    """A message nobody takes at the moment, though its sender may send it: answered AE."""


Decide = Callable[[Message, Peer], Plan]
"""Where a message goes; refuses by ``Hl7Error``. Does not wait for anything."""
Denied = Callable[[Peer, NotGranted, str], Awaitable[None]]
Watch = Callable[[str, str, int, float, str], None]
"""Told of every message: sender, kind, size, seconds, and why it was not accepted."""


def _unwatched(sender: str, kind: str, size: int, seconds: float, error: str) -> None:
    del sender, kind, size, seconds, error


async def unnoticed(peer: Peer, denied: NotGranted, kind: str) -> None:
    """Where nobody keeps an audit: a hub by itself."""
    del peer, denied, kind


class Intake:
    """Answers every frame of every listener of this node."""

    def __init__(
        self,
        *,
        ledger: LocalLedger,
        lanes: Lanes,
        clock: Clock,
        decide: Decide,
        denied: Denied = unnoticed,
        charset: str | None = None,
        reply_s_max: float = REPLY_S_MAX,
        watch: Watch = _unwatched,
    ) -> None:
        self._ledger = ledger
        self._lanes = lanes
        self._clock = clock
        self._decide = decide
        self._denied = denied
        self._charset = charset
        self._reply_s_max = reply_s_max
        self._watch = watch

    async def handle(self, raw: bytes, peer: Peer) -> bytes:
        """One message, one answer."""
        id_ = new_id()
        began = perf_counter()
        try:
            message = parse(raw, charset=self._charset)
        except Hl7Error as error:
            self._watch("", "", len(raw), perf_counter() - began, str(error))
            return await self._unread(raw, peer, error, id_)
        problem = ""
        try:
            message.check()
            plan = self._decide(message, peer)
        except NotNow as error:
            problem = str(error)
            return await self._refused(message, peer, error, id_, code=Acknowledgement.ERROR)
        except Hl7Error as error:
            problem = str(error)
            return await self._refused(message, peer, error, id_)
        else:
            answer = await self._accept(message, peer, plan, id_)
            problem = _problem_of(answer)
            return answer
        finally:
            seconds = perf_counter() - began
            self._watch(sender_of(message), kind_of(message), len(raw), seconds, problem)

    def refuse_frame(self, head: bytes, reason: str, peer: Peer) -> bytes:
        """The answer to bytes that are no frame."""
        del peer
        error = Hl7Error(reason, code=ErrorCode.SEGMENT_SEQUENCE)
        return self._answer_unread(head, error, new_id())

    async def _accept(self, message: Message, peer: Peer, plan: Plan, id_: UUID) -> bytes:
        arrival = Arrival(
            id=id_,
            sender=sender_of(message),
            control_id=message["MSH-10"],
            kind=kind_of(message),
            body=message.raw,
            at=self._clock.now(),
            peer=f"{peer.listener} {peer.address}",
            subject=message["PID-3"][:SUBJECT_LENGTH_MAX],
        )
        accepted = self._acknowledge(message, Acknowledgement.ACCEPTED, id_)
        waits = bool(plan.waits_for or plan.delivered)
        first = Answered() if waits else Answered(accepted, Acknowledgement.ACCEPTED)
        # Asked for before it is written: its outcome may be there as soon as it is.
        expected = self._lanes.expect(id_, plan.waits_for) if plan.waits_for else None
        try:
            kept = await self._ledger.append(arrival, plan.lanes, first)
            if kept.is_new and expected is not None:
                self._nudge(plan)
                return await self._applied(message, expected, kept, accepted)
            if plan.delivered and not kept.is_clash and kept.code in ("", Acknowledgement.ERROR):
                self._nudge(plan)
                return await self._delivered(message, plan, kept, accepted)
        except LedgerFailed as failure:
            error = Hl7Error(
                str(failure), code=ErrorCode.INTERNAL, shown="平台暂时无法存储，请重发"
            )
            return self._acknowledge(message, Acknowledgement.ERROR, id_, error)
        finally:
            if expected is not None:
                expected.cancel()
        if kept.is_clash:
            return await self._refused(message, peer, _clash(), id_, code=Acknowledgement.ERROR)
        if not kept.is_new:
            return await self._repeated(message, plan, kept, accepted)
        self._nudge(plan)
        return accepted

    def _nudge(self, plan: Plan) -> None:
        for destination in plan.destinations:
            self._lanes.nudge(destination)

    async def _delivered(self, message: Message, plan: Plan, kept: Kept, accepted: bytes) -> bytes:
        """Reply after delivery: AA when all have it, AR when one refused, AE when it takes longer.

        AE is honest: it is kept and will be delivered, but the sender asked to know. Its repeat
        is not delivered twice; it is told how things stand then.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._reply_s_max
        while True:
            waiting = [self._lanes.expect(kept.id, one) for one in plan.delivered]
            found = [
                one for one in await self._ledger.outcomes(kept.seq) if one[0] in plan.delivered
            ]
            is_open = [one for one in found if one[1] is State.PENDING]
            has_failed = any(reason for _, _, reason in is_open)
            if not is_open or has_failed or loop.time() >= until:
                break
            await asyncio.wait(
                waiting, timeout=until - loop.time(), return_when=asyncio.FIRST_COMPLETED
            )
        for one in waiting:
            one.cancel()
        dead = [f"{to}: {reason}" for to, state, reason in found if state is State.DEAD]
        answer, code = accepted, Acknowledgement.ACCEPTED
        if dead or is_open:
            shown = "对方拒收" if dead else "已存储，尚未送达，平台将继续投递"
            error = Hl7Error(
                "; ".join(dead) or "not delivered yet", code=ErrorCode.INTERNAL, shown=shown
            )
            code = Acknowledgement.REJECTED if dead else Acknowledgement.ERROR
            answer = self._acknowledge(message, code, kept.id, error)
        await self._ledger.answered(kept.seq, answer, code)
        return answer

    async def _repeated(self, message: Message, plan: Plan, kept: Kept, accepted: bytes) -> bytes:
        """Finished: the first answer. AE: the sender was asked to come again. Else: wait too."""
        if kept.answer is not None and (kept.code != Acknowledgement.ERROR or not plan.waits_for):
            return kept.answer
        expected = self._lanes.expect(kept.id, plan.waits_for)
        for one in plan.lanes:
            lane = one.lane if isinstance(one, Parcel) else one
            if lane.destination == plan.waits_for and await self._ledger.replay(kept.seq, lane):
                self._lanes.nudge(lane.destination)
        if kept.answer is None:
            answer, _ = await self._ledger.first_answer(kept.seq)
            if answer is not None:  # it was answered while this repeat came in
                return answer
        return await self._applied(message, expected, kept, accepted)

    async def _applied(
        self, message: Message, expected: "asyncio.Future[Outcome]", kept: Kept, accepted: bytes
    ) -> bytes:
        await asyncio.wait({expected}, timeout=self._reply_s_max)
        outcome = expected.result() if expected.done() and not expected.cancelled() else None
        if outcome is not None and outcome.state is State.DEAD and outcome.reply is None:
            # Our own fault: it stands among the dead letters, and the sender keeps it, too.
            error = Hl7Error(
                outcome.reason, code=ErrorCode.INTERNAL, shown="平台内部错误，请稍后重发"
            )
            answer = self._acknowledge(message, Acknowledgement.ERROR, kept.id, error)
            await self._ledger.answered(kept.seq, answer, Acknowledgement.ERROR)
            return answer
        if outcome is not None and outcome.reply is not None and outcome.state is not State.PENDING:
            return outcome.reply
        # The board is away or slow. The message is durable and stays on its lane: that is an AA.
        await self._ledger.answered(kept.seq, accepted, Acknowledgement.ACCEPTED)
        return accepted

    async def _refused(
        self,
        message: Message,
        peer: Peer,
        error: Hl7Error,
        id_: UUID,
        *,
        code: str = Acknowledgement.REJECTED,
    ) -> bytes:
        if isinstance(error, NotGranted):
            await self._denied(peer, error, kind_of(message))
        await self._keep_refused(message.raw, peer, error)
        return self._acknowledge(message, code, id_, error)

    async def _unread(self, raw: bytes, peer: Peer, error: Hl7Error, id_: UUID) -> bytes:
        await self._keep_refused(raw, peer, error)
        return self._answer_unread(raw, error, id_)

    async def _keep_refused(self, raw: bytes, peer: Peer, error: Hl7Error) -> None:
        with suppress(LedgerFailed):  # it was not accepted, so nothing is lost
            await self._ledger.refused(
                raw, peer=f"{peer.listener} {peer.address}", reason=str(error)
            )

    def _answer_unread(self, raw: bytes, error: Hl7Error, id_: UUID) -> bytes:
        # A message in a wrong character set may be sent again in the right one: AE.
        is_charset = error.at is not None and error.at[:3] == ("MSH", 1, 18)
        code = Acknowledgement.ERROR if is_charset else Acknowledgement.REJECTED
        return refuse_unread(
            raw, error, code=code, control_id=control_id_of(id_), at=self._clock.now()
        )

    def _acknowledge(self, message: Message, code: str, id_: UUID, *errors: Hl7Error) -> bytes:
        return acknowledge(
            message, code, control_id=control_id_of(id_), at=self._clock.now(), errors=errors
        )


def control_id_of(id_: UUID) -> str:
    """A control id of ours, as short as MSH-10 has to be: the id's tail is its random part."""
    return id_.hex[-CONTROL_ID_LENGTH:].upper()


def sender_of(message: Message) -> str:
    """Who says to have sent it: MSH-3 and MSH-4, as one key."""
    return re.sub(r"[|\s]+", " ", message["MSH-3"]) + "|" + message["MSH-4"]


def kind_of(message: Message) -> str:
    """Message type and trigger event, ``ADT^A28``."""
    return f"{message['MSH-9.1']}^{message['MSH-9.2']}"


def _problem_of(answer: bytes) -> str:
    """Why an answer is not AA, or nothing. Read from the bytes: every message passes here."""
    at = answer.find(b"\rMSA") + 5
    code = answer[at : at + 2]
    return "" if code in (b"AA", b"CA") else code.decode("ascii", "replace")


def _clash() -> Hl7Error:
    return Hl7Error(
        "this control id was used for another content",
        code=ErrorCode.DUPLICATE_KEY,
        at=MSH_10,
        shown="该消息控制号已用于不同内容的报文",
    )
