"""Cockpit 驾驶舱: the hospital on one screen, put together from reports as ``cockpit.toml`` says.

It computes nothing of its own: every figure is a figure of a report, so both always agree and
every figure leads to its report.
"""

import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec

from .catalogue import Catalogue, measure_of, words
from .contract import Attention, CockpitFigure, CockpitPanel, Figure, Member, Words
from .definitions import MeasureDefinition, Plan, Say
from .engine import Answer, member

HOSPITAL = Words(zh="全院", en="Hospital")


class FigureDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure: the total of one measure. ``better`` says which way the goal is meant."""

    name: str
    title: Say
    report: str
    measure: str
    note: str = ""
    goal: float | None = None
    better: str = "more"


class PanelDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A panel: the first ``limit`` lines of a report's first or last dimension."""

    name: str
    title: Say
    report: str
    measures: tuple[str, ...]
    depth: int = 1
    limit: int = 24


class AttentionDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What asks for attention: lines of a report above or below a bound, with enough behind it."""

    title: Say
    report: str
    measure: str
    depth: int = 1
    above: float | None = None
    below: float | None = None
    count: str = ""  # a measure that must be at least ``least``
    least: int = 1
    is_urgent: bool = False


class CockpitDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The screen."""

    figures: tuple[FigureDefinition, ...]
    panels: tuple[PanelDefinition, ...]
    quality: tuple[FigureDefinition, ...]
    attention: tuple[AttentionDefinition, ...]

    @property
    def reports(self) -> tuple[str, ...]:
        """Every report it needs, once."""
        asked = [part.report for part in (*self.figures, *self.quality)]
        asked += [panel.report for panel in self.panels]
        asked += [attention.report for attention in self.attention]
        return tuple(dict.fromkeys(asked))


Ask = Callable[[Plan], Answer]
ATTENTION_MAX = 5


def read_cockpit(path: Path) -> CockpitDefinition:
    return msgspec.convert(tomllib.loads(path.read_text("utf-8")), CockpitDefinition)


class Assembly:
    """One cockpit being put together; each report is asked once."""

    def __init__(self, catalogue: Catalogue, ask: Ask) -> None:
        self._catalogue = catalogue
        self._ask = ask
        self._answers: dict[str, Answer] = {}

    def _answer(self, report: str) -> tuple[Plan, Answer] | None:
        plan = self._catalogue.plans.get(report)
        if plan is None:
            return None
        if report not in self._answers:
            self._answers[report] = self._ask(plan)
        return plan, self._answers[report]

    def figure(self, wanted: FigureDefinition) -> CockpitFigure | None:
        """None while its report cannot be run."""
        found = self._answer(wanted.report)
        if found is None:
            return None
        plan, answer = found
        measure = plan.report.measure(wanted.measure)
        if measure is None:
            return None
        value = _figure(plan, answer, (), wanted.measure)
        note = plan.report.measure(wanted.note) if wanted.note else None
        return CockpitFigure(
            name=wanted.name,
            title=words(wanted.title),
            measure=measure_of(measure),
            report=wanted.report,
            value=value,
            note=measure_of(note) if note else None,
            note_value=_figure(plan, answer, (), note.name) if note else None,
            goal=wanted.goal,
            is_less_better=wanted.better == "less",
            is_good=_is_good(value, wanted),
        )

    def panel(self, wanted: PanelDefinition) -> CockpitPanel | None:
        found = self._answer(wanted.report)
        if found is None:
            return None
        plan, answer = found
        measures = [m for name in wanted.measures if (m := plan.report.measure(name))]
        if not measures:
            return None
        paths = [path for path in answer.figures if len(path) == wanted.depth]
        if plan.report.order:
            paths.sort(key=lambda p: -(_figure(plan, answer, p, plan.report.order) or 0))
        else:
            paths.sort(key=lambda p: tuple(_sortable(code) for code in p))
        paths = paths[: wanted.limit]
        several = len({path[0] for path in answer.figures if path}) > 1
        return CockpitPanel(
            name=wanted.name,
            title=words(wanted.title),
            report=wanted.report,
            measures=tuple(map(measure_of, measures)),
            members=tuple(_short(plan, answer, path, several=several) for path in paths),
            figures=tuple(
                tuple(_figure(plan, answer, path, m.name) for m in measures) for path in paths
            ),
            total=tuple(_figure(plan, answer, (), m.name) for m in measures),
        )

    def attention(self, wanted: AttentionDefinition) -> list[Attention]:
        """The lines beyond the bound, the worst first."""
        found = self._answer(wanted.report)
        measure = found and found[0].report.measure(wanted.measure)
        if found is None or measure is None:
            return []
        plan, answer = found
        beyond: list[tuple[float, Attention]] = []
        for path in answer.figures:
            if len(path) != wanted.depth:
                continue
            value = _figure(plan, answer, path, wanted.measure)
            excess = _excess(value, wanted)
            if excess is None or value is None or not _is_enough(plan, answer, path, wanted):
                continue
            attention = Attention(
                title=words(wanted.title),
                place=_place(plan, answer, path),
                measure=measure_of(measure),
                value=value,
                is_urgent=wanted.is_urgent,
                report=wanted.report,
            )
            beyond.append((excess, attention))
        beyond.sort(key=lambda pair: -pair[0])
        return [attention for _, attention in beyond[:ATTENTION_MAX]]

    def campuses(self, report: str) -> tuple[Member, ...]:
        """The campuses a report has lines of, if its first dimension is the campus."""
        found = self._answer(report)
        if found is None or found[0].report.rows[0].name != "campus":
            return ()
        plan, answer = found
        codes = sorted(path[0] or "" for path in answer.figures if len(path) == 1)
        return tuple(member(plan.report.rows[0], code, answer.names) for code in codes)


def _figure(plan: Plan, answer: Answer, path: tuple[str | None, ...], measure: str) -> Figure:
    number = next(n for n, m in enumerate(plan.report.measures) if m.name == measure)
    figures = answer.figures.get(path, {}).get(None)
    if figures is None:
        return _nothing(plan.report.measures[number])
    return figures[number]


def _nothing(measure: MeasureDefinition) -> Figure:
    return 0 if measure.format in ("count", "money") else None


def _is_good(value: Figure, wanted: FigureDefinition) -> bool | None:
    if value is None or wanted.goal is None:
        return None
    return value <= wanted.goal if wanted.better == "less" else value >= wanted.goal


def _excess(value: Figure, wanted: AttentionDefinition) -> float | None:
    if value is None:
        return None
    if wanted.above is not None and value > wanted.above:
        return value - wanted.above
    if wanted.below is not None and value < wanted.below:
        return wanted.below - value
    return None


def _is_enough(
    plan: Plan, answer: Answer, path: tuple[str | None, ...], wanted: AttentionDefinition
) -> bool:
    if not wanted.count:
        return True
    return (_figure(plan, answer, path, wanted.count) or 0) >= wanted.least


def _place(plan: Plan, answer: Answer, path: tuple[str | None, ...]) -> Words:
    if not path:
        return HOSPITAL
    members = [
        member(row, code, answer.names).title
        for row, code in zip(plan.report.rows, path, strict=False)
    ]
    return Words(zh=" ".join(m.zh for m in members), en=", ".join(m.en for m in members))


def _short(plan: Plan, answer: Answer, path: tuple[str | None, ...], *, several: bool) -> Member:
    """The last value of a path, with the first one behind it where there are several of that."""
    row = plan.report.rows[len(path) - 1]
    last = member(row, path[-1], answer.names)
    if len(path) == 1 or not several:
        return last
    first = member(plan.report.rows[0], path[0], answer.names).title
    title = Words(zh=f"{last.title.zh}·{first.zh}", en=f"{last.title.en} · {first.en}")
    return Member(code=last.code, title=title)


def _sortable(code: str | None) -> tuple[int, int, str]:
    text = code or ""
    return (0, int(text), "") if text.isdigit() else (1, 0, text)
