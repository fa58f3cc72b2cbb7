"""The pages of the data centre: the catalogue, a report, the facts behind a figure, the cockpit."""

from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from plugward.kernel import Message, Plain
from plugward.kernel.pages import Download, Home, Key, Place, Stat, View, Viewer, home, page, view
from plugward.kit.time import hospital_date
from plugward.vocabulary import CampusCode, DepartmentCode

from .contract import CockpitFigure, DataCentre, ReportCard, Selection, Sheet, SheetRow
from .drawing import cockpit_charts, report_chart
from .saving import KIND, as_csv
from .service import DataCentreService
from .showing import SPANS, Shown, span_of, told

NO_CODE = "-"  # stands in an address for a value nobody stated


class Asked(Message):
    """The query of a report's page."""

    since: date | None = None
    until: date | None = None
    campus: CampusCode | None = None
    department: DepartmentCode | None = None


class AskedFacts(Asked, kw_only=True):
    """The query of the page of the facts behind a figure."""

    measure: Plain
    path: tuple[Plain, ...] = ()
    offset: int = 0


@page(
    "/datacentre/reports",
    title="报表",
    title_en="Reports",
    permission="datacentre.read",
    place=Place.RAIL,
    icon="chart-column",
    order=800,
    keys=(Key("F4", "驾驶舱", "Cockpit", "#cockpit"),),
)
async def reports_page(centre: DataCentre, viewer: Viewer) -> View:
    """Every report this person may run, each with its 口径."""
    cards = await centre.catalogue()
    return view(
        "reports.html",
        boards=_by_board([card for card in cards if card.is_ready]),
        missing=[card for card in cards if not card.is_ready],
        count=sum(card.is_ready for card in cards),
        fresh=await centre.freshness(),
        say=Shown(viewer.language),
    )


def _by_board(cards: list[ReportCard]) -> list[tuple[str, list[ReportCard]]]:
    found: dict[str, list[ReportCard]] = {}
    for card in cards:
        found.setdefault(card.board, []).append(card)
    return sorted(found.items())


@page(
    "/datacentre/reports/{report}",
    title="报表",
    title_en="Report",
    permission="datacentre.read",
    keys=(
        Key("F4", "驾驶舱", "Cockpit", "#cockpit"),
        Key("F6", "起始日", "From", "#since"),
        Key("F8", "导出", "Export", "#export"),
        Key("F9", "查询", "Run", "#run"),
    ),
)
async def report_page(report: str, asked: Asked, centre: DataCentre, viewer: Viewer) -> View:
    """A grid with sub-totals and a drawing, its 口径 and its data time beside it."""
    chosen = _chosen(viewer, asked)
    sheet = await centre.report(report, chosen)
    shown = Shown(viewer.language)
    return view(
        "report.html",
        sheet=sheet,
        chosen=chosen,
        chart=report_chart(sheet, shown),
        lines=_lines(sheet, shown, chosen),
        total=_line(sheet, sheet.total, chosen),
        spans=[
            (span, shown.span(span), urlencode(_pairs(chosen.replace(**_days(span, viewer)))))
            for span in SPANS
        ],
        export=f"/datacentre/reports/{report}/csv?{urlencode(_pairs(chosen))}",
        now_span=span_of(chosen, hospital_date(viewer.now)),
        say=shown,
        fresh_s=60,
    )


@page(
    "/datacentre/reports/{report}/csv",
    title="导出",
    title_en="Export",
    permission="datacentre.read",
)
async def export_page(report: str, asked: Asked, centre: DataCentre, viewer: Viewer) -> Download:
    """The same grid as a file for spreadsheets."""
    sheet = await centre.report(report, _chosen(viewer, asked))
    shown = Shown(viewer.language)
    total, part = viewer.say("合计", "Total"), viewer.say("小计", "Sub-total")
    name = f"{shown.words(sheet.card.title)} {sheet.since} {sheet.until}.csv"
    return Download(name, as_csv(sheet, shown, total, part), KIND)


def _lines(sheet: Sheet, shown: Shown, chosen: Selection) -> list[dict[str, Any]]:
    """The lines of the grid. A value that holds for several lines stands once, beside them all."""
    depth = len(sheet.headings)
    lines = [_line(sheet, row, chosen) for row in sheet.rows]
    for level in range(depth):
        first: dict[str, Any] | None = None
        before: tuple[str, ...] | None = None
        for line, row in zip(lines, sheet.rows, strict=True):
            prefix = tuple(member.code for member in row.path[: level + 1])
            is_own = len(row.path) == level + 1  # a leaf's last value, or a sub-total's
            if len(row.path) <= level or (is_own and level < depth - 1):
                first, before = None, None
                if is_own:
                    words = shown.words(row.path[level].title)
                    line["heads"].append({"text": words, "rows": 1, "columns": depth - level})
                continue
            if prefix == before and first is not None and not is_own:
                first["rows"] += 1
                continue
            first = {"text": shown.words(row.path[level].title), "rows": 1, "columns": 1}
            before = prefix
            line["heads"].append(first)
    return lines


def _line(sheet: Sheet, row: SheetRow, chosen: Selection) -> dict[str, Any]:
    """A line of the grid: its labels, and each figure with the way to its facts."""
    count = len(sheet.measures)
    depth = len(sheet.headings)
    codes = [member.code for member in row.path]
    cells = []
    for place, value in enumerate(row.figures):
        measure = sheet.measures[place % count]
        is_total_column = place >= len(row.figures) - count
        link = ""
        if value is not None and is_total_column:
            link = f"/datacentre/reports/{sheet.card.id}/facts?" + urlencode(
                [
                    *_pairs(chosen),
                    ("measure", measure.name),
                    *(("path", code or NO_CODE) for code in codes),
                ]
            )
        cells.append({"text": told(value, measure.format), "link": link})
    return {
        "heads": [],
        "is_leaf": len(row.path) == depth,
        "cells": cells,
    }


@page(
    "/datacentre/reports/{report}/facts",
    title="明细",
    title_en="Facts",
    permission="datacentre.read",
    keys=(Key("F4", "驾驶舱", "Cockpit", "#cockpit"),),
)
async def details_page(report: str, asked: AskedFacts, centre: DataCentre, viewer: Viewer) -> View:
    """The facts one figure is made of."""
    chosen = _chosen(viewer, asked)
    codes = tuple("" if code == NO_CODE else code for code in asked.path)
    found = await centre.details(report, chosen, asked.measure, codes, asked.offset)
    path = [("path", code) for code in asked.path]
    query = urlencode([*_pairs(chosen), ("measure", asked.measure), *path])
    return view(
        "facts.html",
        found=found,
        chosen=chosen,
        back=f"/datacentre/reports/{report}?{urlencode(_pairs(chosen))}",
        onward=f"/datacentre/reports/{report}/facts?{query}",
        say=Shown(viewer.language),
    )


@page(
    "/datacentre/cockpit",
    title="院长驾驶舱",
    title_en="Hospital cockpit",
    permission="datacentre.read",
    place=Place.PUBLIC,
    icon="gauge",
    theme="dark",
    freshness_s=60,
)
async def cockpit_page(
    centre: DataCentre,
    service: DataCentreService,
    viewer: Viewer,
    campus: CampusCode | None = None,
    span: str = "today",
) -> View:
    """The hospital on one screen, refreshed by itself; every figure leads to its report."""
    span = span if span in SPANS else "today"
    chosen = Selection(campus=campus).replace(**_days(span, viewer))
    found = await centre.cockpit(chosen)
    shown = Shown(viewer.language)
    query = urlencode(_pairs(chosen))
    return view(
        "cockpit.html",
        cockpit=found,
        charts=cockpit_charts(found, shown),
        figures=[_figure(figure, shown, query) for figure in found.figures],
        quality=[_figure(figure, shown, query) for figure in found.quality],
        campus=campus,
        span=span,
        spans=[(name, shown.span(name)) for name in SPANS],
        query=query,
        hospital=shown.either(service.hospital_name, service.hospital_name_en),
        fresh_s=service.fresh_s,
        now=viewer.now,
        say=shown,
    )


def _figure(figure: CockpitFigure, shown: Shown, query: str) -> dict[str, Any]:
    """A figure of the cockpit as it stands on the screen."""
    value, unit = shown.big(figure.value, figure.measure)
    tone = {True: "t-o", False: "t-w", None: "mut2"}[figure.is_good]
    note = ""
    if figure.note is not None:
        small, of = shown.big(figure.note_value, figure.note)
        note = f"{shown.words(figure.note.title)} {small}{f' {of}' if of else ''}"
    if figure.goal is not None:
        goal = shown.aim(figure.goal, figure.measure)
        sign = "≤" if figure.is_less_better else "≥"
        note = f"{note} · {shown.goal} {sign} {goal}" if note else f"{shown.goal} {sign} {goal}"
    return {
        "title": shown.words(figure.title),
        "title_en": figure.title.en if shown.is_chinese else "",
        "value": value,
        "unit": unit,
        "note": note,
        "tone": tone,
        "link": f"/datacentre/reports/{figure.report}?{query}",
        "percent": round(figure.value * 100, 1) if figure.value is not None else None,
        "is_good": figure.is_good,
    }


@home("datacentre.read")
async def at_home(centre: DataCentre, viewer: Viewer) -> Home:
    """Today's figures on the home page of those who lead."""
    found = await centre.cockpit(Selection())
    shown = Shown(viewer.language)
    by_name = {figure.name: figure for figure in found.figures}
    stats = []
    for name in ("visits", "wait", "revenue", "slots"):
        figure = by_name.get(name)
        if figure is not None:
            value, unit = shown.big(figure.value, figure.measure)
            tone = {True: "ok", False: "warn", None: ""}[figure.is_good]
            stats.append(Stat(shown.words(figure.title), value, unit, tone=tone))
    urgent = sum(one.is_urgent for one in found.attention)
    return Home(
        tile=shown.reports(found.reports),
        tone="danger" if urgent else "",
        stats=tuple(stats),
        badge=urgent,
    )


# ── what was asked for ────────────────────────────────────────────────────────────────────────
def _chosen(viewer: Viewer, asked: Asked) -> Selection:
    """What was asked for, today where nothing was said."""
    today = hospital_date(viewer.now)
    first = asked.since or asked.until or today
    return Selection(
        since=first,
        until=max(asked.until or today, first),
        campus=asked.campus,
        department=asked.department,
    )


def _days(span: str, viewer: Viewer) -> dict[str, date]:
    today = hospital_date(viewer.now)
    first = {
        "today": today,
        "week": today - timedelta(days=today.weekday()),
        "month": today.replace(day=1),
        "year": today.replace(month=1, day=1),
    }[span]
    return {"since": first, "until": today}


def _pairs(chosen: Selection) -> list[tuple[str, str]]:
    found = [("since", str(chosen.since)), ("until", str(chosen.until))]
    if chosen.campus:
        found.append(("campus", chosen.campus))
    if chosen.department:
        found.append(("department", chosen.department))
    return found
