"""Definitions 报表定义: reports, dimensions and the cockpit as data, read and checked.

A report names its sources (a fact each, with a day and a condition), its measures (formulas), its
rows and columns, and says in words what it counts 口径. Boards bring theirs in ``reports/``. One
that does not fit the facts is left out by name, never half shown.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from .formula import FormulaError, Measures, column_sql, parse, scalar_sql
from .schema import FactTable
from .warehouse import quoted

FORMATS = frozenset({"count", "percent", "minutes", "money", "number"})
CAMPUS = "campus"


class DefinitionError(ValueError):
    """What is wrong with a definition, in one sentence."""


class Say(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words in both languages."""

    zh: str
    en: str = ""

    def __post_init__(self) -> None:
        if not self.en:
            msgspec.structs.force_setattr(self, "en", self.zh)


class Via(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns taken from another fact that has one row for each value of ``on``."""

    fact: str
    on: str
    take: tuple[str, ...]


class SourceDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where rows come from: a fact, the hospital day each row belongs to, and which rows count.

    ``once`` keeps one row for each value of a column. ``rows`` says how this source computes a
    dimension that others compute in another way.
    """

    fact: str
    day: str = "day"
    name: str = ""
    where: str = ""
    once: str = ""
    via: tuple[Via, ...] = ()
    rows: dict[str, str] = {}

    @property
    def called(self) -> str:
        return self.name or self.fact


class MeasureDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure: what it is called, how it is computed and how it is shown."""

    name: str
    formula: str
    zh: str
    en: str = ""
    source: str = ""
    format: str = "count"
    unit: Say | None = None


class RowDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dimension of a report. ``dimension`` names whose words its codes are shown in."""

    name: str
    formula: str = ""
    dimension: str = ""
    zh: str = ""
    en: str = ""


class ChartDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The drawing beside the grid: the first dimension against some measures."""

    kind: str = "bar"  # bar, line, pie
    measures: tuple[str, ...] = ()


class ReportDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One report."""

    id: str
    title: Say
    definition: Say
    measures: tuple[MeasureDefinition, ...]
    rows: tuple[RowDefinition, ...]
    sources: tuple[SourceDefinition, ...]
    columns: tuple[RowDefinition, ...] = ()
    metrics: tuple[str, ...] = ()
    order: str = ""  # a measure, the largest first; otherwise by code
    chart: ChartDefinition | None = None
    detail: tuple[str, ...] = ()
    permission: str = "datacentre.read"
    parameters: tuple[str, ...] = ("since", "until", "campus", "department")
    board: str = ""

    def source(self, name: str) -> SourceDefinition:
        return next(source for source in self.sources if source.called == name)

    def measure(self, name: str) -> MeasureDefinition | None:
        return next((measure for measure in self.measures if measure.name == name), None)


class DimensionDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose words codes are shown in: a slowly changing dimension from facts, or fixed words."""

    zh: str
    en: str
    fact: str = ""
    where: str = ""
    code: str = "code"
    name_zh: str = "name_zh"
    name_en: str = ""
    since: str = ""
    words: dict[str, Say] = {}


def read_report(path: Path, board: str) -> ReportDefinition:
    """Read one file. Short forms of simple reports are written out here."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DefinitionError(f"{path.name}: not valid TOML: {error}") from None
    for field in ("title", "definition"):
        if isinstance(raw.get(field), str):
            raw[field] = {"zh": raw[field]}
    for field in ("rows", "columns"):
        raw[field] = [{"name": r} if isinstance(r, str) else r for r in raw.get(field, [])]
    if "fact" in raw:
        short = {name: raw.pop(name) for name in ("fact", "day", "where") if name in raw}
        raw.setdefault("sources", []).insert(0, short)
    raw["board"] = board
    try:
        report = msgspec.convert(raw, ReportDefinition)
    except msgspec.ValidationError as error:
        raise DefinitionError(f"{path.name}: {error}") from None
    _check_words(report, path.name)
    return report


def _check_words(report: ReportDefinition, where: str) -> None:
    if not report.id.startswith(f"{report.board}.") or "/" in report.id:
        raise DefinitionError(f"{where}: the id must read {report.board}.what-by-what")
    names = [source.called for source in report.sources]
    if len(set(names)) != len(names) or not names:
        raise DefinitionError(f"{where}: its sources need names of their own")
    for measure in report.measures:
        if measure.format not in FORMATS:
            raise DefinitionError(f"{where}: {measure.name} has an unknown format")
        if measure.source and measure.source not in names:
            raise DefinitionError(f"{where}: {measure.name} comes from no source of it")
    figures = {measure.name for measure in report.measures}
    if not report.measures or not report.rows:
        raise DefinitionError(f"{where}: a report has measures and rows")
    if report.order and report.order not in figures:
        raise DefinitionError(f"{where}: it is ordered by no measure of it")
    if report.chart and not set(report.chart.measures) <= figures:
        raise DefinitionError(f"{where}: the chart draws no measure of it")


def read_dimensions(path: Path) -> dict[str, DimensionDefinition]:
    """The dimensions every report shares."""
    return msgspec.convert(tomllib.loads(path.read_text("utf-8")), dict[str, DimensionDefinition])


# ── from definitions to SQL ───────────────────────────────────────────────────────────────────
class SourcePlan(msgspec.Struct, frozen=True):
    """One source written out: everything between FROM and GROUP BY, and its dimensions."""

    name: str
    origin: str  # FROM … with its joins
    condition: str
    day: str
    rows: tuple[str, ...]  # SQL of the dimensions, rows first, then columns
    campus: str
    columns: dict[str, str]
    money: frozenset[str]  # the columns that are amounts in fen


class Plan(msgspec.Struct, frozen=True):
    """A report that fits the facts."""

    report: ReportDefinition
    sources: tuple[SourcePlan, ...]
    measures: tuple[str, ...]  # SQL over the sums
    written: Measures

    def source(self, name: str) -> SourcePlan:
        return next(source for source in self.sources if source.name == name)


def plan(report: ReportDefinition, tables: Mapping[str, FactTable]) -> Plan:
    """Fit a report to the facts. Raises ``DefinitionError`` naming what is missing."""
    try:
        sources = tuple(_plan_source(report, source, tables) for source in report.sources)
        written = Measures({source.name: source.columns for source in sources})
        first = report.sources[0].called
        measures = tuple(
            written.add(measure.name, measure.formula, measure.source or first)
            for measure in report.measures
        )
    except FormulaError as error:
        raise DefinitionError(f"{report.id}: {error}") from None
    return Plan(report, sources, measures, written)


def _plan_source(
    report: ReportDefinition, source: SourceDefinition, tables: Mapping[str, FactTable]
) -> SourcePlan:
    table = _table(report, source.fact, tables)
    columns = {column.name: column_sql("f", column.name) for column in table.columns}
    columns["_position"] = "f._position"
    origin = f"fact.{quoted(table.name)} f"
    if source.once:
        once = scalar_sql(parse(source.once), {c.name: quoted(c.name) for c in table.columns})
        origin = (
            f"(SELECT * FROM fact.{quoted(table.name)} "  # noqa: S608 - names of declared columns, quoted
            f"QUALIFY row_number() OVER (PARTITION BY {once} ORDER BY _position) = 1) f"
        )
    for number, via in enumerate(source.via):
        other = _table(report, via.fact, tables)
        if other.key != (via.on,) or via.on not in columns:
            raise DefinitionError(f"{report.id}: {via.fact} has not one row for each {via.on}")
        alias = f"v{number}"
        origin += (
            f" LEFT JOIN fact.{quoted(other.name)} {alias} "
            f"ON {column_sql(alias, via.on)} = {columns[via.on]}"
        )
        for name in via.take:
            if other.column(name) is None:
                raise DefinitionError(f"{report.id}: {via.fact} has no column {name}")
            columns[name] = column_sql(alias, name)
    if CAMPUS not in columns:
        raise DefinitionError(f"{report.id}: {source.fact} does not say the campus")
    rows = tuple(
        scalar_sql(parse(source.rows.get(row.name) or row.formula or row.name), columns)
        for row in (*report.rows, *report.columns)
    )
    return SourcePlan(
        name=source.called,
        origin=origin,
        condition=scalar_sql(parse(source.where), columns) if source.where else "TRUE",
        day=scalar_sql(parse(source.day), columns),
        rows=rows,
        campus=columns[CAMPUS],
        columns=columns,
        money=frozenset(column.name for column in table.columns if column.is_money),
    )


def _table(report: ReportDefinition, name: str, tables: Mapping[str, FactTable]) -> FactTable:
    table = tables.get(name)
    if table is None:
        raise DefinitionError(f"{report.id}: no plugged board has the fact {name}")
    return table


def read_reports(folders: Iterable[tuple[str, Path]]) -> tuple[list[ReportDefinition], list[str]]:
    """The reports of all boards, and what is wrong with those left out."""
    found: dict[str, ReportDefinition] = {}
    problems: list[str] = []
    for board, folder in folders:
        for path in sorted(folder.glob("*.toml")):
            try:
                report = read_report(path, board)
            except DefinitionError as error:
                problems.append(f"{board}: {error}")
                continue
            if report.id in found:
                problems.append(f"{board}: {path.name}: there is another {report.id}")
                continue
            found[report.id] = report
    return list(found.values()), problems
