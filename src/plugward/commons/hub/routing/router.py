"""Router 分发: which active routes a message concerns, and what goes out because of it."""

import logging
from collections.abc import Callable

from plugward.commons.hub.hl7 import ErrorCode, Hl7Error, Path, parse_path
from plugward.commons.hub.lanes import DONE
from plugward.commons.hub.ledger_records import Delivery, Lane, Outcome, Parcel
from plugward.commons.hub.ledger_tables import State

from ..in_force import NEVER
from .book import RouteBook
from .compiled import Compiled, RouteFault, RouteInvalid
from .incoming import Incoming, Refuse, Send

_log = logging.getLogger("plugward.hub.routes")

FAULTS = "route:"
"""The lane of a route's own mistakes: ``route:lab-results``."""


class Routed(Exception):
    """A route refuses the message: the sender's answer."""

    def __init__(self, refused: Refuse) -> None:
        super().__init__(str(refused))
        self.again = refused.again
        self.at = refused.at
        self.error = Hl7Error(
            "refused by the route",
            code=ErrorCode.TABLE_VALUE_NOT_FOUND if refused.again else ErrorCode.DATA_TYPE,
            at=_place(refused.at),
            shown=refused.words,
        )


class Router:
    """The routes in force. Swapped as a whole, between two messages."""

    def __init__(self, book: RouteBook, is_there: Callable[[str], bool]) -> None:
        self.book = book
        self.problems: dict[str, str] = {}
        """Why a version that should be in force is not, by route."""
        self._is_there = is_there
        self._mark = NEVER
        self._active: dict[str, Compiled] = {}

    @property
    def active(self) -> dict[str, Compiled]:
        """What is in force now."""
        return dict(self._active)

    def look(self) -> bool:
        """Take over what the book says, if it changed; true if it did."""
        mark = self.book.mark()
        if mark == self._mark:
            return False
        fresh: dict[str, Compiled] = {}
        problems: dict[str, str] = {}
        try:
            wanted = self.book.active()
        except RouteInvalid as error:
            wanted, problems = {n: r.version for n, r in self._active.items()}, {"*": str(error)}
        for name, number in wanted.items():
            before = self._active.get(name)
            if before is not None and before.version == number:
                fresh[name] = before
                continue
            try:
                fresh[name] = self.book.load(name, number)
            except RouteInvalid as error:
                _log.error("route %s version %d does not load: %s", name, number, error)
                problems[name] = f"version {number}: {error}"
                if before is not None:
                    fresh[name] = before
        self._active, self.problems, self._mark = fresh, problems, mark
        return True

    def concerned(self, incoming: Incoming) -> list[Compiled]:
        """The active routes that take this."""
        return [r for r in self._active.values() if r.wants(incoming.kind, incoming.sender)]

    def parcels(self, routes: list[Compiled], incoming: Incoming) -> list[Parcel]:
        """What goes out. Raises ``Routed``. A route's own mistake stands on a lane of its own."""
        found: list[Parcel] = []
        for route in routes:
            try:
                sends = self._sends(route, incoming)
            except Refuse as refused:
                raise Routed(refused) from refused
            except RouteFault as fault:
                _log.error("fault in route %s: %s", route.label, fault)
                found.append(Parcel(Lane(FAULTS + route.name, ""), None, route.label))
                continue
            found += [_parcel(send, route) for send in sends]
        return found

    async def again(self, delivery: Delivery) -> Outcome:
        """Run a route that had failed, in the version that is in force now."""
        route = self._active.get(delivery.destination.removeprefix(FAULTS))
        if route is None:
            return Outcome(State.DEAD, "the route is not active any more")
        incoming = Incoming(delivery.body, kind=delivery.kind, sender=delivery.sender)
        try:
            sends = self._sends(route, incoming)
        except Refuse as refused:
            return Outcome(State.DEAD, f"refused at {refused.at}")
        except RouteFault as fault:
            return Outcome(State.DEAD, f"fault in {route.label}: {fault}")
        if not sends:
            return DONE
        return Outcome(State.DONE, parcels=tuple(_parcel(send, route) for send in sends))

    def _sends(self, route: Compiled, incoming: Incoming) -> list[Send]:
        sends = route.run(incoming)
        for send in sends:
            if not self._is_there(send.to):
                raise RouteFault(f"there is no destination {send.to[:64]}")
        return sends


def _parcel(send: Send, route: Compiled) -> Parcel:
    body = send.body if isinstance(send.body, bytes) else None
    return Parcel(Lane(send.to, send.key), body, route.label)


def _place(at: str) -> Path | None:
    try:
        return parse_path(at)
    except ValueError:  # a place in JSON or a header: told in words
        return None
