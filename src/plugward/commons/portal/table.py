"""Table 页面表: every page of every plugged board, swapped in one assignment when that changes."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import msgspec

from plugward.kernel.contracts import Contract, Operation
from plugward.kernel.elsewhere import Elsewhere, Guest, OperationTold
from plugward.kernel.manifest import Away
from plugward.kernel.pages import Page, Place
from plugward.kernel.plugged import Plugged
from plugward.kernel.runtime import Runtime

from .rendering import Renderer
from .words import Words


class Route(msgspec.Struct, frozen=True, eq=False):
    """One page of one board, and the parts of its path."""

    plugged: Plugged
    page: Page
    parts: tuple[str, ...]

    @property
    def board(self) -> str:
        return self.plugged.board.name

    def match(self, parts: tuple[str, ...]) -> dict[str, str] | None:
        """The path's parameters, or None."""
        found = {}
        for own, given in zip(self.parts, parts, strict=True):
            if own.startswith("{"):
                found[own[1:-1]] = given
            elif own != given:
                return None
        return found


class Table:
    """What the portal serves, for one set of plugged boards."""

    def __init__(self, plugged: dict[str, Plugged]) -> None:
        self.plugged = dict(plugged)
        boards = tuple(part.board for part in self.plugged.values())
        self.words = Words(boards)
        self.renderer = Renderer(boards, self.words)
        self.routes = [
            Route(part, page, parts_of(page.path))
            for part in self.plugged.values()
            for page in part.board.pages
        ]
        self._by_shape: dict[tuple[str, int], list[Route]] = {}
        for route in sorted(self.routes, key=lambda r: sum(p.startswith("{") for p in r.parts)):
            self._by_shape.setdefault((route.page.method, len(route.parts)), []).append(route)
        self.slots: dict[str, tuple[Page, ...]] = {}
        for route in sorted(self.routes, key=lambda r: r.page.order):
            if route.page.place is Place.SLOT:
                self.slots[route.page.slot] = (*self.slots.get(route.page.slot, ()), route.page)

    @cached_property
    def stranded(self) -> tuple[str, ...]:
        """Boards that cannot work because a board they cannot do without is not plugged in."""
        return tuple(
            name
            for name, part in self.plugged.items()
            for needed, need in part.board.manifest.needs.items()
            if need.away is Away.REQUIRED and needed not in self.plugged
        )

    def is_of(self, runtime: Runtime) -> bool:
        """Whether the same boards are still plugged in."""
        return self.plugged == runtime.shown

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The page at a path. HEAD is answered like GET."""
        parts = parts_of(path)
        for route in self._by_shape.get(("GET" if method == "HEAD" else method, len(parts)), ()):
            found = route.match(parts)
            if found is not None:
                return route, found
        return None

    def entries(self, permissions: frozenset[str]) -> list[Route]:
        """The pages with a place in the rail that somebody with these rights may open."""
        allowed = [
            route
            for route in self.routes
            if route.page.place is Place.RAIL and route.page.permission in permissions
        ]
        return sorted(allowed, key=lambda route: (route.page.order, route.page.path))

    def operation(self, board: str, name: str) -> Operation | None:
        part = self.plugged.get(board)
        contract = part.board.contract if part else None
        return contract.operations.get(name) if contract else None

    def guest(self, board: str, name: str) -> OperationTold | None:
        """An operation of a board whose types are not known here: it is asked by its bytes."""
        part = self.plugged.get(board)
        if part is None or not isinstance(part.board, Guest):
            return None
        return part.board.operations.get(name)

    def contracts(self) -> Iterable[tuple[Plugged, Contract]]:
        for part in self.plugged.values():
            if part.board.contract is not None:
                yield part, part.board.contract

    def guests(self) -> Iterable[tuple[str, bytes]]:
        """The guests and how each describes its operations."""
        for name, part in self.plugged.items():
            if isinstance(part.board, Guest):
                yield name, part.board.told.openapi


def elsewhere_of(table: Table, board: str) -> Elsewhere:
    """Where a guest is asked."""
    elsewhere = table.plugged[board].elsewhere
    assert elsewhere is not None, "a guest is always elsewhere"
    return elsewhere


def parts_of(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)


def cell(value: Any) -> Any:
    """A value of a plain list, ready to be shown."""
    return "—" if value is None else value
