"""The outside 院外: the only way a board reaches a system beyond the hospital's own boards."""

from typing import Protocol, TypeVar

from plugward.kit.message import Message

A = TypeVar("A", bound=Message)


class Outside(Protocol):
    """Given to services that ask for it; the hub carries it out."""

    async def send(self, service: str, body: Message, answer: type[A]) -> A:
        """Send ``body`` to a configured outside service and wait for its answer.

        Raises ``Unavailable``: it may or may not have happened. Ask by the id in ``body``.
        """
        ...
