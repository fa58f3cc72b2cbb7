"""Frame 外框: top bar, rail, key bar and the browser's data around a board's work area."""

from collections.abc import Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from plugward.kernel.pages import Key, Page, Place, Viewer
from plugward.kit.time import HOSPITAL_ZONE, Clock, milliseconds

from .door import Visit
from .guard import csrf_token
from .rendering import Scene, js_words
from .table import Route, Table
from .words import CHINESE, Words, fill

WORD_ZH_MAX, WORD_EN_MAX = 4, 9  # what fits under an icon
RAIL_MAX = 6  # boards in the rail, the home page not counted
FIND_PATHS = ("/patients/find", "/patients/search", "/patients")


class RailEntry(msgspec.Struct, frozen=True):
    href: str
    icon: str
    short: str
    on: bool
    badge: int = 0


class Command(msgspec.Struct, frozen=True):
    """An entry of the command palette."""

    href: str
    title: str
    icon: str
    words: str


class Framer:
    """Puts a rendered work area into the shell."""

    def __init__(self, clock: Clock, *, demo: bool) -> None:
        self._clock = clock
        self._demo = demo
        self.names: dict[str, tuple[str, str]] = {}  # campus and department codes: zh, en

    def scene(self, table: Table, board: str, visit: Visit, viewer: Viewer | None = None) -> Scene:
        now = self._clock.now()
        locks_at = visit.signed.locks_at if visit.signed else None
        return Scene(
            board=board,
            language=visit.language,
            now=now,
            words=table.words,
            viewer=viewer,
            csrf=csrf_token(visit.reference) if visit.reference else "",
            slots=table.slots,
            places=self.names,
            idle_ms=max(0, milliseconds(locks_at) - milliseconds(now)) if locks_at else 0,
        )

    def framed(
        self,
        table: Table,
        scene: Scene,
        body: Markup,
        *,
        page: Page | None,
        path: str,
        said: str = "",
        title: str = "",
    ) -> Markup:
        """The whole document for a page of somebody signed in."""
        viewer = scene.viewer
        assert viewer is not None
        entries = table.entries(viewer.permissions)
        keys = self._keys(page, path, scene, table)
        public = page is not None and page.place is Place.PUBLIC
        values = self._base(scene, body, path) | {
            "title": _title(page, scene.language) if page else title,
            "theme": page.theme if page else "light",
            "framed": not public,
            "body_class": "tv" if public else "",
            "viewer": viewer,
            "viewer_title": _post(viewer, scene, table),
            "rail": _rail(entries, path, scene.language, table),
            "keys": keys,
            "bar": [shown for key in keys if (shown := _in_bar(key))],
            "key_data": [key_data(key) for key in keys],
            "commands": _commands(entries, scene.language, table),
            "said": said,
            "state_line": _state_line(table, scene) if path == "/" else "",
            "state_bad": bool(table.stranded),
            "find_href": _find_href(table, viewer),
            "campus_name": self.name(viewer.campus, scene.language),
            "department_name": viewer.workplace or self.name(viewer.department, scene.language),
        }
        # The frame speaks the portal's words; a board's own are for its work area.
        frame = msgspec.structs.replace(scene, board="portal")
        return table.renderer.render("portal/shell.html", values, frame)

    def bare(self, table: Table, scene: Scene, body: Markup, *, title: str, path: str) -> Markup:
        """A document without the frame, for somebody not signed in."""
        values = self._base(scene, body, path) | {
            "title": title,
            "theme": "light",
            "framed": False,
            "body_class": "portal-login",
            "viewer": None,
            "key_data": [],
        }
        return table.renderer.render("portal/shell.html", values, scene)

    def name(self, code: str, language: str) -> str:
        """The name of a campus or department."""
        zh, en = self.names.get(code, (code, code))
        return zh if language == CHINESE else en

    def _base(self, scene: Scene, body: Markup, path: str) -> dict[str, Any]:
        return {
            "body": body,
            "zone": HOSPITAL_ZONE.key,
            "path": path,
            "now": scene.now,
            "demo": self._demo,
            "density": "compact",
            "idle_ms": scene.idle_ms,
            "js_words": js_words(scene.language),
        }

    def _keys(self, page: Page | None, path: str, scene: Scene, table: Table) -> tuple[Key, ...]:
        """The page's own keys first; the portal's where the page does not use them itself."""
        say = table.words.say
        own = page.keys if page else ()
        standard = [
            ("F2", "key_find", "#find-patient"),
            ("F1", "all_keys", "!sheet"),
            ("Ctrl+K", "palette", "!palette"),
            ("Ctrl+S", "key_save", "!save"),
            ("Alt+L", "key_lock", "#lock-now"),
            ("J", "key_next", "!next"),
            ("K", "key_previous", "!previous"),
            ("Esc", "key_back", "!back"),
        ]
        if path == "/":
            tiles = len(table.entries(scene.viewer.permissions)) if scene.viewer else 0
            standard[:0] = [
                (f"Alt+{n}", "key_home", f"#tile-{n}") for n in range(1, min(tiles, 9) + 1)
            ]
            standard.append(("Alt+T", "key_todo", "#todos a"))
        used = {key.key for key in own}
        if scene.viewer is None or not _find_href(table, scene.viewer):
            used.add("F2")
        return (
            *own,
            *(
                Key(key, say(word, CHINESE), say(word, "en"), target)
                for key, word, target in standard
                if key not in used
            ),
        )


def key_data(key: Key) -> dict[str, str]:
    """A key as the browser reads it; ``!name`` is a behaviour of the portal itself."""
    if key.target.startswith("!"):
        return {"key": key.key, "builtin": key.target[1:]}
    if key.target.startswith("/"):
        return {"key": key.key, "href": key.target}
    return {"key": key.key, "target": key.target}


def _in_bar(key: Key) -> tuple[str, Key] | None:
    """How a key stands in the key bar; those that need no telling stay in the F1 sheet."""
    if key.target in ("!save", "!next", "!previous", "!back", "!palette"):
        return None
    if key.target.startswith("#tile-"):
        return ("Alt+1–9", key) if key.key == "Alt+1" else None
    return (key.key, key)


def _title(page: Page, language: str) -> str:
    return page.title if language == CHINESE else page.title_en


def _post(viewer: Viewer, scene: Scene, table: Table) -> str:
    """What somebody is here: their title, in English the word for their first role."""
    if scene.language == CHINESE or not viewer.roles:
        return viewer.title
    return table.words.say(f"role_{viewer.roles[0]}", scene.language)


def _short(route: Route, language: str, words: Words) -> str:
    """A word that fits under an icon: the board's own name, or its page's."""
    if route.board == "portal":
        return words.say("boards", language)
    manifest = route.plugged.board.manifest
    if language == CHINESE:
        title = route.page.title
        return title if len(title) <= WORD_ZH_MAX else manifest.title[:WORD_ZH_MAX]
    title = route.page.title_en
    return title if len(title) <= WORD_EN_MAX else manifest.title_en


def _rail(entries: Sequence[Route], path: str, language: str, table: Table) -> list[RailEntry]:
    home = RailEntry("/", "house", table.words.say("home", language), path == "/")
    rail = [home]
    seen: set[str] = set()
    for route in entries:
        href = route.page.path
        if len(rail) > RAIL_MAX or "{" in href or route.board in seen:
            continue
        seen.add(route.board)
        on = path == href or path.startswith(f"/{route.board}/")
        rail.append(RailEntry(href, route.page.icon, _short(route, language, table.words), on))
    return rail


def _commands(entries: Sequence[Route], language: str, table: Table) -> list[Command]:
    home = Command("/", table.words.say("home", language), "house", "home 首页 /")
    return [
        home,
        *(
            Command(
                route.page.path,
                _title(route.page, language),
                route.page.icon,
                f"{route.page.title} {route.page.title_en} {route.board}",
            )
            for route in entries
            if "{" not in route.page.path
        ),
    ]


def _state_line(table: Table, scene: Scene) -> str:
    """How the boards are, in one line."""
    stranded = len(table.stranded)
    word = "home_state_bad" if stranded else "home_state_ok"
    values = {"up": len(table.plugged) - stranded, "down": stranded}
    return fill(table.words.say(word, scene.language), values)


def _find_href(table: Table, viewer: Viewer) -> str:
    """Where a patient is looked for: the first of the usual paths this person may open."""
    for path in FIND_PATHS:
        found = table.find("GET", path)
        if found is not None and found[0].page.permission in viewer.permissions:
            return path
    return ""


__all__ = ["Framer", "key_data"]
