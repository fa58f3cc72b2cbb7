"""Elsewhere 他处: a board that runs in another process, as those see it who show or hear it.

What crosses the border stands here; how it crosses is the wire's business.
"""

import os
from pathlib import Path
from typing import Any, Protocol

import msgspec

from plugward.kit.time import Instant

from .board import Board
from .codec import from_json
from .events.feed import Source
from .manifest import Away, Manifest, Need
from .pages import Home, HomePart, Key, Page, Place, Viewer
from .refusals import NotFound
from .store.frames import Frame
from .store.tables import BoardTables


class PageTold(msgspec.Struct, frozen=True):
    """A declared page as the portal's table, rail and key bar need it."""

    path: str
    title: str
    title_en: str
    permission: str
    method: str
    place: Place
    icon: str
    order: int
    keys: tuple[Key, ...]
    slot: str
    freshness_s: float | None
    theme: str


class OperationTold(msgspec.Struct, frozen=True):
    """An operation as the gateway needs it."""

    name: str
    is_command: bool
    permission: str
    parameters: tuple[str, ...]


class NeedTold(msgspec.Struct, frozen=True):
    board: str
    version: str
    away: str
    fallback: str


class BoardTold(msgspec.Struct, frozen=True):
    """A board, told to somebody who has none of its code."""

    name: str
    title: str
    title_en: str
    summary: str
    version: str
    owners: tuple[str, ...]
    grade: str
    core: bool
    needs: tuple[NeedTold, ...]
    permissions: tuple[tuple[str, str], ...]
    roles: tuple[tuple[str, tuple[str, ...]], ...]
    pages: tuple[PageTold, ...]
    home: tuple[str, ...]
    operations: tuple[OperationTold, ...]
    hears: tuple[str, ...]
    strings: bytes
    openapi: bytes = b""


class SlotTold(msgspec.Struct, frozen=True):
    """A panel that some board offers for a slot of the page being rendered."""

    slot: str
    path: str
    title: str
    title_en: str
    permission: str
    place: Place = Place.SLOT


class PlaceTold(msgspec.Struct, frozen=True):
    code: str
    zh: str
    en: str


class ViewerTold(msgspec.Struct, frozen=True):
    """Who looks at a page, on the wire."""

    actor_id: str
    name: str
    title: str
    roles: tuple[str, ...]
    permissions: tuple[str, ...]
    campus: str
    campuses: tuple[str, ...]
    department: str
    language: str
    now: Instant
    workplace: str = ""

    @classmethod
    def of(cls, viewer: Viewer) -> "ViewerTold":
        return msgspec.convert(msgspec.structs.asdict(viewer), cls)

    def viewer(self) -> Viewer:
        return msgspec.convert(msgspec.structs.asdict(self), Viewer)


class Asked(msgspec.Struct, frozen=True):
    """A page request, as far as the board is concerned."""

    method: str
    path: str
    viewer: ViewerTold
    given: tuple[tuple[str, tuple[str, ...]], ...]
    csrf: str = ""
    slots: tuple[SlotTold, ...] = ()
    places: tuple[PlaceTold, ...] = ()
    idle_ms: int = 0


class FileTold(msgspec.Struct, frozen=True):
    """A file for the person's own programs."""

    name: str
    kind: str
    content: bytes


class Rendered(msgspec.Struct, frozen=True):
    """What the page made: ``html`` to be framed, ``to`` go somewhere with a word of why, a file."""

    html: str = ""
    status: int = 200
    to: str = ""
    said: str = ""
    file: FileTold | None = None


class Heard(Source, Protocol):
    """The facts of a board elsewhere, for one listener. Whoever asked for it stops it."""

    async def stop(self) -> None:
        """Hear no more."""
        ...


class Elsewhere(Protocol):
    """A board in another process. Raises what a call raises."""

    @property
    def tail(self) -> Source:
        """Its facts from now on, for screens that follow them."""
        ...

    def listen(self, listener: str) -> Heard:
        """Its facts from wherever a board of this process has come to."""
        ...

    async def look(self, after: int) -> tuple[Frame | None, int]:
        """The next fact after a position, if there is one, and how far it has written."""
        ...

    async def page(self, asked: Asked) -> Rendered:
        """Run a page or an action there, as the viewer."""
        ...

    async def home(self, number: int, viewer: Viewer) -> Home:
        """Its part of the viewer's home page."""
        ...

    async def json(self, operation: str, body: bytes) -> bytes:
        """Call an operation there, for a caller that has not got its types."""
        ...


class Guest(Board):
    """A board made from what it told. It declares; its code is elsewhere."""

    def __init__(self, told: BoardTold) -> None:
        self.told = told
        self.package = "plugward.kit"  # where nothing of a board is ever found
        self.folder = Path(os.devnull)
        self.manifest = _manifest(told)
        self.contract = None
        self.service = None
        self.tables = BoardTables(told.name)
        self.reactions = self.sagas = self.jobs = ()
        self.facts = self.proofs = self.interop = ()
        self.pages = tuple(_page(page) for page in told.pages)
        self.home = tuple(HomePart(permission, _elsewhere, {}) for permission in told.home)
        self.operations: dict[str, OperationTold] = {op.name: op for op in told.operations}
        self.strings = from_json(told.strings, dict[str, dict[str, dict[str, str]]])


def _manifest(told: BoardTold) -> Manifest:
    return Manifest(
        name=told.name,
        title=told.title,
        title_en=told.title_en,
        summary=told.summary,
        version=told.version,
        owners=told.owners,
        grade=told.grade,
        core=told.core,
        needs={
            need.board: Need(need.version, Away(need.away), need.fallback) for need in told.needs
        },
        permissions=dict(told.permissions),
        roles=dict(told.roles),
        settings={},
    )


def _page(told: PageTold) -> Page:
    given = {name: getattr(told, name) for name in PageTold.__struct_fields__}
    return Page(function=_elsewhere, parameters={}, defaults={}, **given)


async def _elsewhere(**given: Any) -> Any:
    del given
    raise NotFound
