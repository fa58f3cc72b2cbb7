"""Drawing 图表: chart options as plain data; colours are names of tokens, never colours."""

from typing import Any

from .contract import Cockpit, CockpitPanel, Figure, Measure, Sheet, SheetRow
from .showing import Shown, told

COLOURS = ("--c1", "--c2", "--c3", "--c4", "--c5", "--c6")
BARS_MAX = 12
FEN = 100
AXIS = {"type": "value"}
GRID = {"left": 8, "right": 16, "top": 36, "bottom": 4, "containLabel": True}


def drawn(value: Figure, format: str) -> float | None:
    """A figure on an axis: yuan, per cent, minutes or a count."""
    if value is None:
        return None
    if format == "money":
        return value / FEN
    if format == "percent":
        return round(value * 100, 1)
    return value


# ── a report ──────────────────────────────────────────────────────────────────────────────────
def report_chart(sheet: Sheet, shown: Shown) -> dict[str, Any] | None:
    """The first dimension of a report against the measures its definition names."""
    measures = [
        (place, measure)
        for place, measure in enumerate(sheet.measures)
        if measure.name in sheet.charted
    ]
    rows = _first_level(sheet)[:BARS_MAX]
    if not measures or not rows or not sheet.chart:
        return None
    offset = len(sheet.columns) * len(sheet.measures)  # the total of all columns
    members = [shown.words(row.path[-1].title) for row in rows]
    values = [
        [drawn(row.figures[offset + place], measure.format) for row in rows]
        for place, measure in measures
    ]
    names = [shown.heading(measure) for _, measure in measures]
    option = (
        _pie(members, values[0])
        if sheet.chart == "pie"
        else _axes(sheet.chart, members, names, values)
    )
    return {
        "option": option,
        "sentence": _sentence(shown, shown.words(sheet.card.title), members, values[0]),
        "columns": [(shown.words(sheet.headings[0].title), ""), *((name, "num") for name in names)],
        "rows": [
            [name, *(told(row.figures[offset + place], m.format) for place, m in measures)]
            for name, row in zip(members, rows, strict=True)
        ],
    }


def _first_level(sheet: Sheet) -> list[SheetRow]:
    """The lines of the first dimension; where that is one value only, those below it."""
    for level in range(1, len(sheet.headings) + 1):
        rows = [row for row in sheet.rows if len(row.path) == level]
        if len(rows) > 1 or level == len(sheet.headings):
            return rows
    return []


def _axes(
    kind: str, members: list[str], names: list[str], values: list[list[float | None]]
) -> dict[str, Any]:
    return {
        "grid": GRID,
        "legend": {"top": 0, "right": 0},
        "tooltip": {"trigger": "axis"},
        "xAxis": {
            "type": "category",
            "data": members,
            "axisLabel": {"interval": 0, "width": 90, "overflow": "break"},
        },
        "yAxis": AXIS,
        "series": [
            {
                "name": name,
                "type": kind,
                "data": data,
                "smooth": kind == "line",
                "barMaxWidth": 28,
                "itemStyle": {"color": COLOURS[place % len(COLOURS)]},
            }
            for place, (name, data) in enumerate(zip(names, values, strict=True))
        ],
    }


def _pie(members: list[str], values: list[float | None]) -> dict[str, Any]:
    slices = [
        {"name": name, "value": value, "itemStyle": {"color": COLOURS[place % len(COLOURS)]}}
        for place, (name, value) in enumerate(zip(members, values, strict=True))
        if value is not None and value > 0
    ]
    return {
        "tooltip": {"trigger": "item"},
        "legend": {"orient": "vertical", "right": 0, "top": "middle"},
        "series": [
            {
                "type": "pie",
                "radius": ["38%", "58%"],
                "center": ["32%", "50%"],
                "label": {"show": False},
                "data": slices,
            }
        ],
    }


def _sentence(shown: Shown, title: str, members: list[str], values: list[float | None]) -> str:
    """What the drawing shows, in words: for those who cannot see it."""
    known = [(v, m) for v, m in zip(values, members, strict=True) if v is not None]
    if not known:
        return shown.either(f"{title}：没有数据", f"{title}: no data")
    (low, least), (high, most) = min(known), max(known)
    if len(known) == 1:
        return shown.either(f"{title}：{most} {high:g}", f"{title}: {most} {high:g}")
    return shown.either(
        f"{title}：{most} 最高 {high:g}，{least} 最低 {low:g}",
        f"{title}: highest {most} with {high:g}, lowest {least} with {low:g}",
    )


# ── the cockpit ───────────────────────────────────────────────────────────────────────────────
def cockpit_charts(cockpit: Cockpit, shown: Shown) -> dict[str, dict[str, Any]]:
    """The drawings of the cockpit's panels, by name."""
    makers = {
        "flow": _flow,
        "wait": _wait,
        "departments": _departments,
        "revenue": _revenue,
        "campuses": _campuses,
    }
    found: dict[str, dict[str, Any]] = {}
    for panel in cockpit.panels:
        maker = makers.get(panel.name)
        members = [shown.words(member.title) for member in panel.members]
        values = [_series(panel, place) for place in range(len(panel.measures))]
        title = shown.words(panel.title)
        found[panel.name] = {
            "title": title,
            "report": panel.report,
            "is_empty": not any(v for series in values for v in series),
            "option": maker(panel, members, values, shown) if maker else {},
            "sentence": _sentence(shown, title, members, values[0]),
            "columns": [("", ""), *((shown.heading(m), "num") for m in panel.measures)],
            "rows": [
                [name, *(told(f, m.format) for f, m in zip(figures, panel.measures, strict=True))]
                for name, figures in zip(members, panel.figures, strict=True)
            ],
        }
    return found


Values = list[list[float | None]]


def _series(panel: CockpitPanel, place: int) -> list[float | None]:
    measure: Measure = panel.measures[place]
    return [drawn(figures[place], measure.format) for figures in panel.figures]


def _flow(panel: CockpitPanel, members: list[str], values: Values, shown: Shown) -> dict[str, Any]:
    kinds = ("bar", "line", "line")
    option = _axes("bar", members, [shown.words(m.title) for m in panel.measures], values)
    for place, series in enumerate(option["series"]):
        series["type"] = kinds[place % len(kinds)]
        series["smooth"] = series["type"] == "line"
    option["xAxis"]["axisLabel"] = {"interval": 0}
    return option


def _wait(panel: CockpitPanel, members: list[str], values: Values, shown: Shown) -> dict[str, Any]:
    option = _axes("line", members, [shown.words(m.title) for m in panel.measures], values)
    option["legend"] = {"show": False}
    option["grid"] = {**GRID, "top": 28}
    option["xAxis"]["axisLabel"] = {"interval": "auto"}
    option["series"][0] |= {
        "connectNulls": True,
        "areaStyle": {"opacity": 0.2},
        "label": {"show": True, "color": "--ink"},
        "markLine": {
            "symbol": "none",
            "silent": True,
            "data": [{"yAxis": 30}],
            "lineStyle": {"color": "--c3", "type": "dashed"},
            "label": {
                "color": "--c3",
                "formatter": shown.either("目标 30", "goal 30"),
                "position": "insideStartTop",
            },
        },
    }
    return option


def _departments(
    panel: CockpitPanel, members: list[str], values: Values, shown: Shown
) -> dict[str, Any]:
    del panel, shown
    return {
        "grid": {"left": 8, "right": 48, "top": 4, "bottom": 4, "containLabel": True},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "value", "show": False},
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": members,
            "axisLine": {"show": False},
        },
        "series": [
            {
                "type": "bar",
                "data": values[0],
                "barMaxWidth": 16,
                "label": {"show": True, "position": "right", "color": "--ink"},
                "itemStyle": {"color": "--c1", "borderRadius": 3},
            }
        ],
    }


def _revenue(
    panel: CockpitPanel, members: list[str], values: Values, shown: Shown
) -> dict[str, Any]:
    named = [
        f"{name} {told(figures[1], 'percent')}"
        for name, figures in zip(members, panel.figures, strict=True)
    ]
    option = _pie(named, values[0])
    amount, unit = shown.big(panel.total[0], panel.measures[0])
    option["title"] = {
        "text": amount,
        "subtext": unit,
        "left": "31%",
        "top": "41%",
        "textAlign": "center",
        "textStyle": {"fontSize": 24, "color": "--ink"},
        "subtextStyle": {"fontSize": 14, "color": "--ink-2"},
    }
    return option


def _campuses(
    panel: CockpitPanel, members: list[str], values: Values, shown: Shown
) -> dict[str, Any]:
    return {
        "grid": {"left": 8, "right": 56, "top": 32, "bottom": 4, "containLabel": True},
        "legend": {"top": 0, "left": 0},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "value", "min": 0, "max": 100, "axisLabel": {"formatter": "{value}%"}},
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": members,
            "axisLine": {"show": False},
        },
        "series": [
            {
                "name": shown.words(measure.title),
                "type": "bar",
                "data": values[place],
                "barMaxWidth": 18,
                "label": {"show": True, "position": "right", "color": "--ink", "formatter": "{c}%"},
                "itemStyle": {"color": COLOURS[place], "borderRadius": 3},
            }
            for place, measure in enumerate(panel.measures)
        ],
    }
