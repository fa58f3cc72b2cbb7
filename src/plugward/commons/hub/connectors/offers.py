"""Offers 对外服务: the declared services, standing at the door; a change is taken over at once."""

import asyncio
import logging
from typing import Protocol

from ..door import Door, Handler
from ..in_force import InForce
from ..node import Node
from . import callbook
from .callbook import CallBook
from .declared import FILE, AnyOffer, OfferInvalid, Soap, read_offers
from .soap_door import SoapService

_log = logging.getLogger("plugward.hub.offers")


class Standing(Protocol):
    """A service that is being offered."""

    @property
    def handler(self) -> Handler:
        """What answers."""
        ...

    async def close(self) -> None:
        """Let calls under way end, then let go."""
        ...


class Offers:
    """The services of one door."""

    def __init__(self, node: Node, door: Door) -> None:
        self._node = node
        self._door = door
        self._declared = InForce(
            node.folder / FILE, node.problems, read=read_offers, make=self._made
        )
        self._offers: dict[str, tuple[AnyOffer, Standing]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.book = CallBook(node.folder / callbook.FILE, node.clock.now)

    async def start(self) -> None:
        """Open the call book and offer what is declared; what cannot be offered is shown."""
        await self.book.start()
        self._node.looks.append(self.look)
        try:
            self.look()
        except OfferInvalid as error:
            _log.error("%s", error)

    async def stop(self) -> None:
        """Finish what is under way."""
        self._node.looks.remove(self.look)
        for name in list(self._offers):
            self._withdraw(name)
        await asyncio.gather(*self._closing)
        await self.book.stop()

    def look(self) -> None:
        """Take over what changed; ``OfferInvalid`` leaves what was in force."""
        self._declared.look(begin=self._offer, end=self._withdraw)

    def _offer(self, name: str, made: tuple[AnyOffer, Standing]) -> None:
        offer, standing = self._offers[name] = made
        self._door.mount(offer.path, standing.handler)
        _log.info("%s is offered at %s", name, offer.path)

    def _made(self, name: str, offer: AnyOffer) -> tuple[AnyOffer, Standing]:
        return offer, self._standing(name, offer)

    def _standing(self, name: str, offer: AnyOffer) -> Standing:
        if isinstance(offer, Soap):
            return SoapService(name, offer, self._door)
        from .forward import Forwarding  # noqa: PLC0415 - a third of a second, only where it is used

        try:
            return Forwarding(name, offer, node=self._node, book=self.book)
        except (ValueError, OSError) as error:
            raise OfferInvalid(f"{FILE}: {name}: {error}") from None

    def _withdraw(self, name: str) -> None:
        offer, standing = self._offers.pop(name)
        self._door.unmount(offer.path)
        task = asyncio.get_running_loop().create_task(standing.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
