"""Rendering 渲染: templates of boards and portal, in the viewer's language, always escaped."""

import json
import re
from contextvars import ContextVar
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from jinja2 import (
    BaseLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
)
from markupsafe import Markup, escape

from plugward.kernel.board import Board
from plugward.kernel.pages import Page, Place, Viewer
from plugward.kit.ids import new_id
from plugward.kit.money import Money
from plugward.kit.time import HOSPITAL_ZONE, age_years, hospital_date

from .words import CHINESE, Words, fill, own_catalogue

HERE = Path(__file__).parent
MINUTE_S = 60
SMALL = 2  # below two years an age is told in months, below two months in days
_PLACE = re.compile(r"\b[A-Z]\d(?:-[A-Z0-9]+)?\b")
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9-]*")
STATIC = HERE / "static"


class Scene(msgspec.Struct):
    """What a rendering knows besides the values of its template."""

    board: str
    language: str
    now: datetime
    words: Words
    viewer: Viewer | None = None
    csrf: str = ""
    slots: dict[str, tuple[Page, ...]] = msgspec.field(default_factory=dict)
    places: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)  # code: zh, en
    idle_ms: int = 0  # without an act for so long, the screen locks; 0: never (screens on walls)


_SCENE: ContextVar[Scene] = ContextVar("plugward_scene")


class Renderer:
    """The templates of all plugged boards. Made anew when a board is plugged or unplugged."""

    def __init__(self, boards: tuple[Board, ...], words: Words) -> None:
        self.words = words
        self._environment = _environment(
            tuple((board.name, board.folder / "templates") for board in boards)
        )

    def render(self, template: str, values: dict[str, Any], scene: Scene) -> Markup:
        """Render ``board/name.html``. The answer is safe to be put into a frame."""
        token = _SCENE.set(scene)
        try:
            return Markup(self._environment.get_template(template).render(values))  # noqa: S704 - made by autoescaping templates
        finally:
            _SCENE.reset(token)


@lru_cache(maxsize=8)
def _environment(folders: tuple[tuple[str, Path], ...]) -> Environment:
    """Compiled templates, kept as long as the same boards come back."""
    loaders: dict[str, BaseLoader] = {name: FileSystemLoader(path) for name, path in folders}
    loaders["portal"] = FileSystemLoader(HERE / "templates")
    environment = Environment(
        loader=PrefixLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=400,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(
        t=_say,
        lang=lambda: _SCENE.get().language,
        viewer=lambda: _SCENE.get().viewer,
        may=_may,
        csrf=lambda: _SCENE.get().csrf,
        sealed_fields=_sealed_fields,
        static=asset_url,
        new_id=new_id,
        slot=_slot,
    )
    return environment


def js_words(language: str) -> dict[str, str]:
    """What the browser says by itself."""
    return own_catalogue(language)["js"]


# ── static files ──────────────────────────────────────────────────────────────────────────────
_MARKS: dict[str, str] = {}


def asset_url(name: str) -> str:
    """The address of a static file; it changes with the content, so it may be kept for ever."""
    mark = _MARKS.get(name)
    if mark is None:
        path = STATIC / name
        mark = sha256(path.read_bytes()).hexdigest()[:10] if path.is_file() else "missing"
        _MARKS[name] = mark
    return f"/static/{mark}/{name}"


# ── functions and filters of templates ────────────────────────────────────────────────────────
def _say(key: str, language: str = "", table: str = "ui") -> str:
    scene = _SCENE.get()
    return scene.words.say(key, language or scene.language, board=scene.board, table=table)


def _may(permission: str) -> bool:
    viewer = _SCENE.get().viewer
    return viewer is not None and viewer.may(permission)


def _sealed_fields() -> Markup:
    """Hidden fields of a form that is sent without htmx: the token, and a place for its act id."""
    return Markup(
        '<input type="hidden" name="_csrf" value="{}"><input type="hidden" name="_act" value="">'
    ).format(_SCENE.get().csrf)


class SlotPart(msgspec.Struct, frozen=True):
    """A panel another board offers for a slot of this page."""

    id: str
    path: str
    title: str
    title_en: str


def _slot(name: str) -> tuple[SlotPart, ...]:
    scene = _SCENE.get()
    return tuple(
        SlotPart(page.path.strip("/").replace("/", "-"), page.path, page.title, page.title_en)
        for page in scene.slots.get(name, ())
        if page.place is Place.SLOT and _may(page.permission)
    )


def json_data(value: Any) -> Markup:
    """Data for a ``<script type="application/json">`` or a single-quoted attribute: nothing in it
    can end either."""
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    for sign in "<>&'":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))  # noqa: S704 - no markup can remain


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)  # for drawing only; money is drawn, never computed with, here
    if isinstance(value, Money):
        return value.fen / 100
    return msgspec.to_builtins(value)


def _local(value: datetime) -> datetime:
    return value.astimezone(HOSPITAL_ZONE)


def _as_text(value: Money | int | None) -> str:
    if value is None:
        return "—"
    return str(value if isinstance(value, Money) else Money(fen=value))


def money(value: Money | int | None) -> str:
    """``418.32``"""
    return _as_text(value)


def yuan(value: Money | int | None) -> str:
    """``¥418.32``"""
    return "—" if value is None else f"¥{_as_text(value)}".replace("¥-", "-¥")


def number(value: Any) -> str:
    """``6,718``; decimals as they are."""
    if value is None:
        return "—"
    if isinstance(value, Decimal):
        value = value.normalize()
        return f"{value:,f}"
    return f"{value:,}"


def clock(value: datetime | None) -> str:
    return f"{_local(value):%H:%M}" if value else "—"


def hms(value: datetime | None) -> str:
    return f"{_local(value):%H:%M:%S}" if value else "—"


def day(value: date | datetime | None) -> str:
    if value is None:
        return "—"
    return f"{hospital_date(value) if isinstance(value, datetime) else value:%m-%d}"


def full_date(value: date | datetime | None) -> str:
    if value is None:
        return "—"
    return f"{hospital_date(value) if isinstance(value, datetime) else value:%Y-%m-%d}"


def moment(value: datetime | None) -> str:
    return f"{_local(value):%Y-%m-%d %H:%M}" if value else "—"


def iso(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds")


def ago(value: datetime | None) -> str:
    """How long ago, for queues and ages of data only."""
    if value is None:
        return "—"
    scene = _SCENE.get()
    seconds = max(0, int((scene.now - value).total_seconds()))
    words = own_catalogue(scene.language)["js"]
    if seconds < MINUTE_S:
        return fill(words["seconds_ago"], {"n": seconds})
    return fill(words["minutes_ago"], {"n": seconds // MINUTE_S})


def masked(name: str | None) -> str:
    """沈玉兰 → 沈*兰, 何静 → 何*: for public screens."""
    if not name:
        return "*"
    return name[0] + "*" + name[2:][-1:]


_SEX = {
    CHINESE: {"male": "男", "female": "女", "other": "其他", "unknown": "未知"},
    "en": {"male": "M", "female": "F", "other": "other", "unknown": "unknown"},
}


def sex(value: Any) -> str:
    return _SEX[_SCENE.get().language].get(str(value), str(value))


def places(text: str | None) -> str:
    """Campus and department codes in a text, told by their names."""
    scene = _SCENE.get()
    which = 0 if scene.language == CHINESE else 1

    def named(match: re.Match[str]) -> str:
        found = scene.places.get(match[0])
        return found[which] if found else match[0]

    return _PLACE.sub(named, text or "")


def age(birth: date | None) -> str:
    """Completed years; months below two years, days below two months."""
    if birth is None:
        return "—"
    scene = _SCENE.get()
    today = hospital_date(scene.now)
    chinese = scene.language == CHINESE
    years = age_years(birth, today)
    if years >= SMALL:
        return f"{years} 岁" if chinese else f"{years} y"
    months = (today.year - birth.year) * 12 + today.month - birth.month - (today.day < birth.day)
    if months >= SMALL:
        return f"{months} 月" if chinese else f"{months} mo"
    days = (today - birth).days
    return f"{days} 天" if chinese else f"{days} d"


def short(value: UUID | str | None) -> str:
    """The distinguishing end of an id, for people who compare two."""
    return str(value).replace("-", "")[-6:].upper() if value else "—"


def attributes(values: dict[str, Any]) -> Markup:
    """Attributes of an element. A dict becomes JSON; None and False leave the attribute out."""
    made = Markup("")
    for name, value in values.items():
        if value is None or value is False:
            continue
        assert _ATTRIBUTE.fullmatch(name), name
        shown = json.dumps(value, default=str) if isinstance(value, dict | list) else value
        made += Markup(' {}="{}"').format(name, "" if value is True else shown)
    return made


def sse_trigger(topic: str) -> str:
    return f"sse:{topic}"


FILTERS: dict[str, Any] = {
    "ago": ago,
    "attributes": attributes,
    "age": age,
    "clock": clock,
    "date": full_date,
    "day": day,
    "fill": lambda sentence, **values: fill(sentence, values),
    "hms": hms,
    "iso": iso,
    "json_data": json_data,
    "masked": masked,
    "moment": moment,
    "money": money,
    "number": number,
    "places": places,
    "sex": sex,
    "short": short,
    "sse_trigger": sse_trigger,
    "yuan": yuan,
}

__all__ = ["FILTERS", "Renderer", "Scene", "asset_url", "escape", "js_words"]
