"""Rack view 机架: every plugged board with its version, pace and health, read from the runtime."""

import time
from pathlib import Path
from typing import Any

import msgspec

from plugward.kernel.elsewhere import Guest
from plugward.kernel.manifest import Away, Manifest
from plugward.kernel.observe.meters import Meter
from plugward.kernel.plugged import Plugged
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import MEMORY

from .words import CHINESE, Words, fill

PER_SHELF = 9
PLATFORM = frozenset({"identity", "masterdata", "hub", "clinical", "datacentre", "portal"})
ERRORS_MAX = 0.01  # more faults and outages than this among the calls is a board in trouble
LAG_MAX = 1_000  # more events waiting than this is a board that falls behind
THOUSAND = 1_000
_PROBLEMS = ("fault", "unavailable")


class Card(msgspec.Struct, frozen=True):
    """A board as it stands in the rack. ``look``: "", wn (degraded), er (down)."""

    name: str
    title: str
    title_en: str
    version: str
    core: bool
    look: str
    state: str
    why: str
    p95: str
    rate: str


class Shelf(msgspec.Struct, frozen=True):
    title: str
    note: str
    cards: tuple[Card, ...]
    free: int


def card_of(runtime: Runtime, plugged: Plugged, words: Words, language: str) -> Card:
    """One board now."""
    manifest = plugged.board.manifest
    meter = runtime.meters.of_board(manifest.name)
    look, word, why = _health(runtime, plugged, meter)
    p95 = meter.quantile_ms(0.95)
    minutes = max((time.monotonic() - runtime.meters.started) / 60, 1 / 60)
    return Card(
        name=manifest.name,
        title=manifest.title,
        title_en=manifest.title_en,
        version=manifest.version,
        core=manifest.core or manifest.name in PLATFORM,
        look=look,
        state=words.say(word, language),
        why=fill(words.say(why[0], language), {"n": why[1]}) if why else "",
        p95="— ms" if p95 is None else f"{p95:.0f} ms" if p95 >= 1 else f"{p95:.1f} ms",
        rate=_pace(meter.calls / minutes),
    )


def _health(
    runtime: Runtime, plugged: Plugged, meter: Meter
) -> tuple[str, str, tuple[str, int] | None]:
    """Whether a board works: look, word, and why not."""
    manifest = plugged.board.manifest
    for name, need in manifest.needs.items():
        if need.away is Away.REQUIRED and not runtime.dispatcher.attached(name):
            return "er", "down", None
    missing = [n for n in manifest.needs if not runtime.dispatcher.attached(n)]
    lag = sum(consumer.lag for consumer in plugged.consumers.values())
    if lag > LAG_MAX:
        return "wn", "degraded", ("waiting_events", lag)
    if missing or error_share(meter) > ERRORS_MAX:
        return "wn", "degraded", None
    return "", "healthy", None


def error_share(meter: Meter) -> float:
    """The share of calls that ended in a fault or an outage. Refusals are not errors."""
    bad = sum(meter.outcomes.get(problem, 0) for problem in _PROBLEMS)
    return bad / meter.calls if meter.calls else 0.0


def _pace(per_minute: float) -> str:
    if per_minute >= THOUSAND:
        return f"{per_minute / THOUSAND:.1f}k"
    return f"{per_minute:.0f}"


def shelves(cards: list[Card], words: Words, language: str) -> tuple[Shelf, ...]:
    """Core boards, extensions, platform; every shelf with room for more."""
    say = words.say
    groups = (
        ("shelf_core", "shelf_core_note", [c for c in cards if c.core and c.name not in PLATFORM]),
        ("shelf_plugin", "shelf_plugin_note", [c for c in cards if not c.core]),
        ("shelf_platform", "", [c for c in cards if c.name in PLATFORM]),
    )
    made = []
    for title, note, members in groups:
        rows = [members[i : i + PER_SHELF] for i in range(0, len(members), PER_SHELF)] or [[]]
        for number, row in enumerate(rows):
            shown_note = say(note, language) if note and number == 0 else ""
            heading = say(title, language)
            if number:
                heading = fill(say("shelf_more", language), {"shelf": heading, "n": number + 1})
            free = PER_SHELF - len(row)
            made.append(Shelf(heading, shown_note, tuple(row), free))
    return tuple(made)


def details(runtime: Runtime, plugged: Plugged, words: Words, language: str) -> dict[str, Any]:
    """Everything the side panel says about one board."""
    board, manifest = plugged.board, plugged.board.manifest
    meters = runtime.meters.by_operation
    meter = runtime.meters.of_board(manifest.name)
    callers = [
        other.board.manifest
        for other in runtime.shown.values()
        if manifest.name in other.board.manifest.needs
    ]
    chinese = language == CHINESE
    names = "、".join(m.title if chinese else m.title_en for m in callers)
    names_of = board.operations if isinstance(board, Guest) else ()
    operations = [f"{manifest.name}.{name}" for name in names_of]
    if board.contract is not None:
        operations = [operation.full_name for operation in board.contract.operations.values()]
    return msgspec.structs.asdict(card_of(runtime, plugged, words, language)) | {
        "running": words.say(
            "running_in_process" if plugged.elsewhere is None else "running_elsewhere", language
        ),
        "summary": manifest.summary,
        "grade": manifest.grade,
        "owners": "、".join(manifest.owners),
        "errors": f"{error_share(meter):.2%}",
        "calls": meter.calls,
        "storage": _storage(runtime, plugged, words, language),
        "pages": [p.title if chinese else p.title_en for p in board.pages if p.method == "GET"],
        "operations": [
            {"name": name, "calls": meters.get(name, Meter()).calls} for name in operations
        ],
        "hears": sorted({r.tag or f"* {r.carrying.__name__}" for r in board.reactions}),  # type: ignore[union-attr]  # without a tag it is by what it carries
        "needs": [
            {"name": n, "version": need.version, "met": runtime.dispatcher.attached(n)}
            for n, need in manifest.needs.items()
        ],
        "unplug": fill(words.say("unplug_callers", language), {"boards": names})
        if names
        else words.say("unplug_nobody", language),
        "fallbacks": [_fallback(m, manifest.name, words, language) for m in callers],
    }


def _storage(runtime: Runtime, plugged: Plugged, words: Words, language: str) -> str:
    """Where its tables are: never a path or an address, which are nobody's business here."""
    location = runtime.databases.location
    kind = "SQLite" if isinstance(location, Path) or location == MEMORY else location.split(":")[0]
    return fill(
        words.say("tables_in", language), {"n": len(plugged.board.tables.own), "kind": kind}
    )


def _fallback(caller: Manifest, needed: str, words: Words, language: str) -> str:
    """What a caller does without the board, as its manifest promises."""
    need = caller.needs[needed]
    title = caller.title if language == CHINESE else caller.title_en
    return f"{title}: {need.fallback or words.say(f'away_{need.away}', language)}"
