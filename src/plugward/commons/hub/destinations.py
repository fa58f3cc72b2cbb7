"""Destinations 去向: where lanes lead, and how each kind of receiver is spoken to.

A destination is delivered to by one function: it returns how it ended, or raises ``Failed`` with
the kind of failure, which decides how patiently it is tried again.
"""

from collections.abc import Callable

from .hl7 import Hl7Error, parse, read_answer
from .lanes import Failed, Kind
from .ledger_records import Delivery, Outcome
from .ledger_tables import State
from .mllp import AnswerUnknown, MllpClient, NotSent


class MllpDestination:
    """A receiver of HL7 v2 over MLLP. AA or CA is done, AR or CR is final, AE is tried again."""

    def __init__(self, connect: Callable[[], MllpClient], *, connections: int = 1) -> None:
        self._clients = [connect() for _ in range(connections)]
        self._free = list(self._clients)
        self.delivered = 0

    @property
    def is_connected(self) -> bool:
        """Whether any of its connections stands."""
        return any(client.is_connected for client in self._clients)

    async def close(self) -> None:
        """Hang up."""
        for client in self._clients:
            await client.close()

    async def deliver(self, delivery: Delivery) -> Outcome:
        """One attempt."""
        # The lanes' worker starts no more attempts at a time than there are connections.
        client = self._free.pop() if self._free else self._clients[0]
        try:
            return await self._ask(client, delivery)
        finally:
            if client not in self._free:
                self._free.append(client)

    async def _ask(self, client: MllpClient, delivery: Delivery) -> Outcome:
        try:
            raw = await client.send(delivery.body)
            answer = read_answer(raw)
        except NotSent as failure:
            raise Failed(str(failure), Kind.CONNECT) from failure
        except AnswerUnknown as failure:
            raise Failed(str(failure), Kind.NO_ANSWER) from failure
        except Hl7Error as error:
            await client.close()
            raise Failed(f"the answer cannot be read: {error}", Kind.UNREADABLE) from error
        except ValueError:
            return Outcome(State.DEAD, "the message holds an MLLP framing byte")
        if answer.control_id != _control_id(delivery):
            await client.close()  # what follows would be answers to something else
            raise Failed("the answer is for another message", Kind.UNREADABLE)
        if answer.is_accepted:
            self.delivered += 1
            return Outcome(State.DONE, answer=raw)
        reason = f"{answer.code} {answer.text}".strip()
        if answer.is_final:
            return Outcome(State.DEAD, reason, answer=raw)
        raise Failed(reason, Kind.ERROR)


def _control_id(delivery: Delivery) -> str:
    """What the answer has to echo; a route may have written a message of its own."""
    return parse(delivery.body)["MSH-10"] if delivery.route else delivery.control_id
