"""The outside 院外: the only way a board reaches a system beyond the hospital's own boards."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from plugward.kit.message import Message

from .refusals import Unavailable

A = TypeVar("A", bound=Message)


class Outside(Protocol):
    """Given to services that ask for it; the hub carries it out."""

    async def send(self, service: str, body: Message, answer: type[A]) -> A:
        """Send ``body`` to a configured outside service and wait for its answer.

        Raises ``Unavailable``: it may or may not have happened. Ask by the id in ``body``.
        """
        ...


class Nowhere:
    """No hub is plugged in: nothing outside can be reached."""

    async def send(self, service: str, body: Any, answer: type[Any]) -> Any:
        """Always ``Unavailable``."""
        del body, answer
        raise Unavailable(service, "unplugged")


class Lazily:
    """The outside as it is at the moment of sending: the hub may be plugged in later."""

    def __init__(self, now: Callable[[], Outside]) -> None:
        self._now = now

    async def send(self, service: str, body: Any, answer: type[Any]) -> Any:
        """Send it by whoever carries it out now."""
        return await self._now().send(service, body, answer)
