"""Pages 页面: what a board adds to the portal, as declarations.

A page function is async; its parameters are filled in by type: path, query and form values by
name, contracts and the board's own service as in a constructor, and ``Viewer`` (who looks, where,
in which language). It returns a ``View`` (one of the board's templates), a ``Grid`` (a plain list
with actions), or ``Go`` (a redirect after an action).
"""

import inspect
import typing
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from plugward.kit.time import Instant

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


class Viewer(msgspec.Struct, frozen=True):
    """Who looks at a page: the signed-in person, their workplace and their language."""

    actor_id: str
    name: str
    title: str
    roles: tuple[str, ...]
    permissions: frozenset[str]
    campus: str
    campuses: tuple[str, ...]
    department: str
    language: str
    now: Instant
    workplace: str = ""

    def may(self, permission: str) -> bool:
        return permission in self.permissions

    def say(self, zh: str, en: str) -> str:
        """The sentence in the viewer's language, where a catalogue would only hide it."""
        return zh if self.language == "zh-CN" else en


class View(msgspec.Struct, frozen=True):
    """A template of the board (``templates/…``) and its values. ``status`` for refused forms."""

    template: str
    values: dict[str, Any]
    status: int = 200


def view(template: str, *, status: int = 200, **values: Any) -> View:
    """Render ``template`` with ``values``."""
    return View(template, values, status)


class Go(msgspec.Struct, frozen=True):
    """After an action: go to this page, with a short word of what happened."""

    to: str
    said: str = ""


class Download(msgspec.Struct, frozen=True):
    """A file for the person's own programs instead of a page. ``name`` with its ending."""

    name: str
    content: bytes
    kind: str


class Column(msgspec.Struct, frozen=True):
    """A column of a ``Grid``: its heading and the field it shows."""

    title: str
    field: str


class Action(msgspec.Struct, frozen=True):
    """A button per row of a ``Grid``: calls an operation with the row's id, in these states."""

    title: str
    operation: Any
    when: frozenset[Any] | set[Any] = frozenset()


class Grid(msgspec.Struct, frozen=True):
    """A plain list with actions, for boards that need no template of their own."""

    rows: Sequence[Any]
    columns: Sequence[Column]
    actions: Sequence[Action] = ()


class Key(msgspec.Struct, frozen=True):
    """A key of a page: ``Key("F9", "签名提交", "Sign", "#sign")`` clicks or focuses the target.

    ``target`` is a CSS selector inside the page. The key bar, the F1 sheet and the handlers all
    come from this list.
    """

    key: str
    zh: str
    en: str
    target: str


class Place(StrEnum):
    """Where a page stands."""

    RAIL = "rail"  # with an entry in the rail and a tile on the home page
    INNER = "inner"  # reached from another page
    SLOT = "slot"  # a panel inside another board's page
    PUBLIC = "public"  # full screen without the shell (waiting hall, cockpit)


class Page(msgspec.Struct, frozen=True, eq=False):
    """One declared page or action."""

    path: str
    title: str
    title_en: str
    permission: str
    function: Callable[..., Awaitable[Any]]
    parameters: dict[str, Any]
    defaults: dict[str, Any]
    method: str
    place: Place
    icon: str
    order: int
    keys: tuple[Key, ...]
    slot: str
    freshness_s: float | None
    theme: str


class TodoItem(msgspec.Struct, frozen=True):
    """Something that waits for this person."""

    title: str
    detail: str
    link: str
    action: str = "查看"
    urgent: bool = False
    due: Instant | None = None


class Stat(msgspec.Struct, frozen=True):
    """A figure on the home page."""

    label: str
    value: str
    unit: str = ""
    note: str = ""
    tone: str = ""  # "", ok, warn, danger


class Home(msgspec.Struct, frozen=True):
    """What a board adds to a person's home page."""

    tile: str = ""  # the live line on the board's tile
    tone: str = ""
    stats: tuple[Stat, ...] = ()
    todos: tuple[TodoItem, ...] = ()
    badge: int = 0


def page(  # noqa: PLR0913 - a declaration: what is not said stays as usual
    path: str,
    *,
    title: str,
    permission: str,
    title_en: str = "",
    method: str = "GET",
    place: Place = Place.INNER,
    icon: str = "square",
    order: int = 100,
    keys: Sequence[Key] = (),
    slot: str = "",
    freshness_s: float | None = None,
    theme: str = "light",
) -> Callable[[F], F]:
    """Declare a page. ``path`` begins with the board's name; ``{name}`` parts are parameters."""

    def apply(function: F) -> F:
        hints = typing.get_type_hints(function)
        signature = inspect.signature(function)
        function.__page__ = Page(  # type: ignore[attr-defined]  # read by page_of
            path=path,
            title=title,
            title_en=title_en or title,
            permission=permission,
            function=function,
            parameters={name: hints[name] for name in signature.parameters},
            defaults={
                name: p.default
                for name, p in signature.parameters.items()
                if p.default is not inspect.Parameter.empty
            },
            method=method,
            place=place,
            icon=icon,
            order=order,
            keys=tuple(keys),
            slot=slot,
            freshness_s=freshness_s,
            theme=theme,
        )
        return function

    return apply


def action(path: str, *, title: str, permission: str) -> Callable[[F], F]:
    """Declare what a form or button of a page does: a POST under the same rules as pages."""
    return page(path, title=title, permission=permission, method="POST")


def home(permission: str) -> Callable[[F], F]:
    """Declare ``async def f(viewer, …) -> Home``: this board's part of a person's home page."""

    def apply(function: F) -> F:
        hints = typing.get_type_hints(function)
        function.__home__ = HomePart(  # type: ignore[attr-defined]  # read by home_of
            permission, function, {n: hints[n] for n in inspect.signature(function).parameters}
        )
        return function

    return apply


class HomePart(msgspec.Struct, frozen=True, eq=False):
    permission: str
    function: Callable[..., Awaitable[Home]]
    parameters: dict[str, Any]


def page_of(function: Any) -> Page:
    found = getattr(function, "__page__", None)
    if not isinstance(found, Page):
        raise TypeError(f"{function!r} is not a page: decorate it with @page or @action")
    return found


def home_of(function: Any) -> HomePart:
    found = getattr(function, "__home__", None)
    if not isinstance(found, HomePart):
        raise TypeError(f"{function!r} is no part of a home page: decorate it with @home")
    return found
