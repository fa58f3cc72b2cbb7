"""The portal's own pages: home, rack, parked events, states and components."""

from collections.abc import Sequence
from typing import Any

import msgspec

from plugward.kernel.pages import Go, Home, Key, Place, TodoItem, View, Viewer, action, page, view
from plugward.kernel.refusals import Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kit.time import HOSPITAL_ZONE

from .contract import ParkedId, Portal
from .rack_view import PER_SHELF, card_of, details, shelves
from .running import all_within, call_home
from .table import Route, Table
from .words import CHINESE, Words

HOME_S = 1.5  # a board that needs longer for its line shows without it
STATS_MAX = 4
TODOS_MAX = 50
TILES_MAX = 15
KEYS_MAX = 9
NEAR_MIN = 60  # closer than this, minutes are told instead of the time
_HOURS = (11, 13, 18)  # when noon, afternoon and evening begin
_WEEK = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")


class Tile(msgspec.Struct, frozen=True):
    title: str
    title_en: str
    href: str
    icon: str
    line: str
    tone: str
    key: str
    off: bool
    tagged: str


class Todo(msgspec.Struct, frozen=True):
    title: str
    detail: str
    link: str
    action: str
    urgent: bool
    due: str
    icon: str


@page("/", title="门户首页", title_en="Home", permission="portal.use", icon="house", order=0)
async def home_page(viewer: Viewer, runtime: Runtime) -> View:
    """What this person works with, what waits, and how the day goes."""
    table = Table(runtime.shown)
    parts = await all_within(
        HOME_S,
        [
            (f"{name} {number}", _asking(runtime, name, number, viewer))
            for name, plugged in runtime.shown.items()
            for number, part in enumerate(plugged.board.home)
            if part.permission in viewer.permissions
        ],
    )
    homes: dict[str, Home | None] = {}
    for key, found in parts.items():
        homes.setdefault(key.partition(" ")[0], found)
    entries = table.entries(viewer.permissions)
    tiles = _tiles(entries, homes, viewer.language, table.words)
    present = [h for h in homes.values() if h is not None]
    away = [name for name, found in homes.items() if found is None]
    return view(
        "home.html",
        greeting=_greeting(viewer, table.words),
        today=_today(viewer),
        first=tiles[0] if tiles else None,
        stats=[stat for found in present for stat in found.stats][:STATS_MAX],
        tiles=tiles[:TILES_MAX],
        todos=_todos(present, viewer),
        away=[
            {
                "title": runtime.shown[name].board.manifest.title,
                "note": table.words.say("tile_away", viewer.language),
            }
            for name in away
        ],
    )


def _asking(runtime: Runtime, name: str, number: int, viewer: Viewer) -> Any:
    plugged = runtime.shown[name]
    return lambda: call_home(runtime, plugged, plugged.board.home[number], viewer)


def _tiles(
    entries: Sequence[Route], homes: dict[str, Home | None], language: str, words: Words
) -> list[Tile]:
    tiles: list[Tile] = []
    told: set[str] = set()
    for route in entries:
        if "{" in route.page.path:
            continue
        found = homes.get(route.board, Home())
        first = route.board not in told
        told.add(route.board)
        number = len(tiles) + 1
        chinese = language == CHINESE
        tiles.append(
            Tile(
                title=route.page.title if chinese else route.page.title_en,
                title_en=route.page.title_en if chinese else "",
                href=route.page.path,
                icon=route.page.icon,
                line=(found.tile if found and first else "")
                if found is not None
                else words.say("tile_away", language),
                tone=found.tone if found and first else "",
                key=str(number) if number <= KEYS_MAX else "",
                off=found is None,
                tagged="",
            )
        )
    return tiles


def _todos(homes: list[Home], viewer: Viewer) -> list[Todo]:
    items = [item for home in homes for item in home.todos]
    items.sort(key=lambda item: (not item.urgent, item.due is None, item.due or viewer.now))
    return [_todo(item, viewer) for item in items[:TODOS_MAX]]


def _todo(item: TodoItem, viewer: Viewer) -> Todo:
    due = ""
    if item.due is not None:
        left = int((item.due - viewer.now).total_seconds() // 60)
        chinese = viewer.language == CHINESE
        if abs(left) <= NEAR_MIN:
            late = f"超 {-left} 分" if chinese else f"{-left} min late"
            soon = f"剩 {left} 分" if chinese else f"{left} min left"
            due = late if left < 0 else soon
        else:
            due = f"{item.due.astimezone(HOSPITAL_ZONE):%m-%d %H:%M}"
    return Todo(item.title, item.detail, item.link, item.action, item.urgent, due, "clipboard-list")


def _greeting(viewer: Viewer, words: Words) -> str:
    hour = viewer.now.astimezone(HOSPITAL_ZONE).hour
    part = ("morning", "noon", "afternoon", "evening")[sum(hour >= h for h in _HOURS)]
    comma = "，" if viewer.language == CHINESE else ", "
    return f"{words.say(part, viewer.language)}{comma}{viewer.name}"


def _today(viewer: Viewer) -> str:
    day = viewer.now.astimezone(HOSPITAL_ZONE)
    if viewer.language == CHINESE:
        return f"{day.month} 月 {day.day} 日 {_WEEK[day.weekday()]}"
    return f"{day:%A, %d %B}"


# ── the rack ──────────────────────────────────────────────────────────────────────────────────
@page(
    "/portal/boards",
    title="插板管理",
    title_en="Board rack",
    permission="portal.rack",
    place=Place.RAIL,
    icon="server",
    order=900,
)
async def rack_page(viewer: Viewer, runtime: Runtime, portal: Portal, board: str = "") -> View:
    """Every board with its version, pace and health, live."""
    there = runtime.shown
    words = Words(plugged.board for plugged in there.values())
    cards = [card_of(runtime, p, words, viewer.language) for p in there.values()]
    shown = shelves(cards, words, viewer.language)
    chosen = there.get(board) or next(iter(there.values()))
    parked = await portal.parked() if viewer.may("portal.replay") else ()
    return view(
        "rack.html",
        now=viewer.now,
        shelves=shown,
        chosen=details(runtime, chosen, words, viewer.language),
        count={
            "all": len(cards),
            "up": sum(card.look == "" for card in cards),
            "down": sum(card.look == "er" for card in cards),
            "degraded": sum(card.look == "wn" for card in cards),
            "free": len(shown) * PER_SHELF - len(cards),
            "parked": len(parked),
        },
    )


# ── parked events ─────────────────────────────────────────────────────────────────────────────
@page(
    "/portal/parked",
    title="搁置的事件",
    title_en="Parked events",
    permission="portal.replay",
    place=Place.RAIL,
    icon="history",
    order=910,
)
async def parked_page(portal: Portal) -> View:
    """What could not be handled, with replay and skip."""
    return view("parked.html", events=await portal.parked())


@action("/portal/parked/replay", title="重放", permission="portal.replay")
async def replay_parked(viewer: Viewer, board: str, parked: ParkedId, portal: Portal) -> Go:
    """Handle it now."""
    await portal.replay(board, parked)
    return Go("/portal/parked", said=viewer.say("已重放", "Replayed"))


@action("/portal/parked/skip", title="跳过", permission="portal.replay")
async def skip_parked(viewer: Viewer, board: str, parked: ParkedId, why: str, portal: Portal) -> Go:
    """Leave it out for good, with a reason."""
    await portal.skip(board, parked, why)
    return Go("/portal/parked", said=viewer.say("已跳过", "Skipped"))


# ── states and components, for those who build boards ─────────────────────────────────────────
@page(
    "/portal/states",
    title="状态与组件",
    title_en="States and components",
    permission="portal.develop",
    place=Place.RAIL,
    icon="layout-grid",
    order=990,
    keys=(
        Key("F9", "主操作", "Primary action", "#submit-draft"),
        Key("Alt+1", "采纳建议", "Accept", "#accept"),
    ),
)
async def states_page() -> View:
    """Every state and component, as pages really show them."""
    hours = [f"{hour:02}:00" for hour in range(7, 17)]
    visits = [410, 980, 1120, 1040, 640, 190, 240, 810, 760, 500]
    return view(
        "states.html",
        title_chart="门诊流量",
        sentence="门诊按小时挂号人次：9 时最高 1120 人次，12 时最低 190 人次（示例）",
        rows=list(zip(hours, visits, strict=True)),
        option={
            "grid": {"left": 44, "right": 10, "top": 16, "bottom": 24},
            "xAxis": {"type": "category", "data": hours},
            "yAxis": {"type": "value"},
            "tooltip": {"trigger": "axis"},
            "series": [{"type": "bar", "data": visits, "itemStyle": {"color": "--c1"}}],
        },
    )


@page(
    "/portal/states/broken",
    title="处方审核（示例）",
    title_en="A panel that fails",
    permission="portal.develop",
)
async def broken_panel() -> View:
    """A panel whose board does not answer, so that its fallback can be seen."""
    raise Unavailable("example", "time-out")


@action("/portal/states/kept", title="示例提交", permission="portal.develop")
async def kept_draft(viewer: Viewer, note: str) -> Go:
    """Takes the example form and keeps nothing."""
    del note
    return Go("/portal/states", said=viewer.say("已提交（示例）", "Sent (example)"))
