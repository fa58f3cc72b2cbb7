"""Engine 报表引擎: a planned report becomes one question to the warehouse, and its answer lines.

Sub-totals are not added up from lines but asked for as well: a ratio, a median or a count of
different visits cannot be added up. Several sources are asked one by one and joined by their
dimensions.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from plugward.kit.time import hospital_midnight

from .contract import Figure, Member, SheetRow, Words
from .definitions import (
    CAMPUS,
    DimensionDefinition,
    MeasureDefinition,
    Plan,
    RowDefinition,
    SourcePlan,
)
from .formula import Aggregate
from .warehouse import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DEPARTMENT = "department"
LINES_MAX = 20_000
SHOWN_MAX = 1_000
PAGE = 50
UNKNOWN = Words(zh="未注明", en="not stated")
TOTAL = Member(code="", title=Words(zh="合计", en="Total"))

Path = tuple[str | None, ...]
Named = Mapping[tuple[str, str], Words]  # dimension and code → what it is called


class Scope(msgspec.Struct, frozen=True):
    """Which days, and which campuses and departments; ``campuses`` None is every one."""

    since: date
    until: date
    campuses: tuple[str, ...] | None
    department: str | None = None


class Answer(msgspec.Struct):
    """A report's figures: by path, then by column code, None being the total of all columns."""

    figures: dict[Path, dict[str | None, tuple[Figure, ...]]]
    columns: list[str]
    names: Named


# ── asking ────────────────────────────────────────────────────────────────────────────────────
def run(
    connection: "DuckDBPyConnection",
    plan: Plan,
    scope: Scope,
    dimensions: Mapping[str, DimensionDefinition],
    facts: Iterable[str],
) -> Answer:
    """Ask for every line, sub-total and total of a report."""
    depth = len(plan.report.rows)
    has_columns = bool(plan.report.columns)
    found = connection.execute(_question(plan, scope), _parameters(scope)).fetchall()
    answer = Answer({}, [], {})
    seen: set[str] = set()
    for line in found:
        grouped, figures = int(line[0]), line[1 + depth + has_columns :]
        rows = line[1 : 1 + depth]
        # GROUPING sets a bit for what is summed over; the last dimension has the lowest bit.
        width = depth + has_columns
        kept = [not grouped >> (width - 1 - place) & 1 for place in range(width)]
        path: Path = tuple(value for value, keep in zip(rows, kept, strict=False) if keep)
        column = None
        if has_columns and kept[-1]:
            column = line[1 + depth] or ""
            seen.add(column)
        answer.figures.setdefault(path, {})[column] = tuple(
            figure_of(value, measure.format)
            for value, measure in zip(figures, plan.report.measures, strict=True)
        )
    answer.columns = sorted(seen)
    answer.names = _names(connection, plan, scope, answer, dimensions, frozenset(facts))
    return answer


def _question(plan: Plan, scope: Scope) -> str:
    """The SQL of a whole report."""
    width = len(plan.report.rows) + len(plan.report.columns)
    keys = ", ".join(f"d{number}" for number in range(width))
    parts = " UNION ALL BY NAME ".join(_part(plan, source, scope) for source in plan.sources)
    sums = ", ".join(f"any_value(a{n}) AS a{n}" for n in range(len(plan.written.aggregates)))
    figures = ", ".join(f"{sql} AS m{n}" for n, sql in enumerate(plan.measures))
    total = (1 << width) - 1
    return (
        f"SELECT g, {keys}, {figures} FROM (SELECT g, {keys}, g = {total} AS is_total, {sums} "  # noqa: S608 - written from checked trees
        f"FROM ({parts}) GROUP BY g, {keys}) LIMIT {LINES_MAX}"
    )


def _part(plan: Plan, source: SourcePlan, scope: Scope) -> str:
    rows = len(plan.report.rows)
    dimensions = [f"CAST({sql} AS VARCHAR)" for sql in source.rows]
    named = ", ".join(f"{sql} AS d{number}" for number, sql in enumerate(dimensions))
    sums = [
        f"{one.sql} FILTER (WHERE {one.condition}) AS a{number}"
        for number, one in enumerate(plan.written.aggregates)
        if one.source == source.name
    ]
    sets = []
    for depth in range(rows, -1, -1):
        for columns in (dimensions[rows:], []) if dimensions[rows:] else ([],):
            sets.append(f"({', '.join([*dimensions[:depth], *columns])})")
    return (
        f"(SELECT GROUPING({', '.join(dimensions)}) AS g, {named}, "  # noqa: S608 - written from checked trees
        f"{', '.join(sums) or 'NULL AS nothing'} "
        f"FROM {source.origin} WHERE {_where(source, scope)} "
        f"GROUP BY GROUPING SETS ({', '.join(sets)}))"
    )


def _where(source: SourcePlan, scope: Scope) -> str:
    parts = [f"{source.day} BETWEEN $since AND $until", source.condition]
    if scope.campuses is not None:
        parts.append(f"{source.campus} IN (SELECT unnest($campuses))")
    if scope.department is not None:
        # Facts that know no department are shown whole; the parameter must be named all the same.
        known = source.columns.get(DEPARTMENT)
        parts.append(f"{known} = $department" if known else "$department IS NOT NULL")
    return " AND ".join(parts)


def _parameters(scope: Scope) -> dict[str, Any]:
    found: dict[str, Any] = {"since": scope.since, "until": scope.until}
    if scope.campuses is not None:
        found["campuses"] = list(scope.campuses)
    if scope.department is not None:
        found["department"] = scope.department
    return found


def figure_of(value: Any, format: str) -> Figure:
    """A figure as it is told: whole fen, whole counts, one decimal of minutes."""
    if value is None:
        return None
    if format in ("money", "count"):
        return int(Decimal(str(value)).quantize(Decimal(1), ROUND_HALF_UP))
    if format == "minutes":
        return round(float(value), 1)
    return round(float(value), 6)


# ── naming ────────────────────────────────────────────────────────────────────────────────────
def dimension_of(row: RowDefinition) -> str:
    return row.dimension or row.name


def _names(
    connection: "DuckDBPyConnection",
    plan: Plan,
    scope: Scope,
    answer: Answer,
    dimensions: Mapping[str, DimensionDefinition],
    facts: frozenset[str],
) -> Named:
    """What the codes of an answer were called at the end of its days."""
    codes: dict[str, set[str]] = {}
    for path in answer.figures:
        for row, code in zip(plan.report.rows, path, strict=False):
            codes.setdefault(dimension_of(row), set()).add(code or "")
    for column in plan.report.columns:
        codes.setdefault(dimension_of(column), set()).update(answer.columns)
    found: dict[tuple[str, str], Words] = {}
    for name, those in codes.items():
        found |= names_of(connection, name, those, scope.until, (dimensions, facts))
    return found


def names_of(
    connection: "DuckDBPyConnection",
    name: str,
    codes: set[str],
    until: date,
    known: tuple[Mapping[str, DimensionDefinition], frozenset[str]],
) -> dict[tuple[str, str], Words]:
    """The words of a dimension's codes, from the version in force at the end of a day."""
    dimensions, facts = known
    dimension = dimensions.get(name)
    if dimension is None:
        return {}
    found = {
        (name, code): Words(zh=say.zh, en=say.en)
        for code, say in dimension.words.items()
        if code in codes
    }
    if not dimension.fact or dimension.fact not in facts:
        return found
    since = quoted(dimension.since) if dimension.since else "_recorded_at"
    english = quoted(dimension.name_en or dimension.name_zh)
    # The fact's columns are quoted names of our own file dimensions.toml, checked by its test.
    lines = connection.execute(
        f"SELECT CAST({quoted(dimension.code)} AS VARCHAR) AS code, "  # noqa: S608 - as above
        f"arg_max({quoted(dimension.name_zh)}, ({since}, _position)), "
        f"arg_max({english}, ({since}, _position)) "
        f"FROM fact.{quoted(dimension.fact)} "
        f"WHERE {dimension.where or 'TRUE'} AND {since} < $until "
        f"AND CAST({quoted(dimension.code)} AS VARCHAR) IN (SELECT unnest($codes)) GROUP BY ALL",
        {
            "until": hospital_midnight(until + timedelta(days=1)).replace(tzinfo=None),
            "codes": sorted(codes),
        },
    ).fetchall()
    return found | {(name, code): Words(zh=zh, en=en or zh) for code, zh, en in lines}


def member(row: RowDefinition, code: str | None, names: Named) -> Member:
    """One value of a dimension with its name; a code nobody named is shown as it is."""
    text = code or ""
    known = names.get((dimension_of(row), text))
    return Member(code=text, title=known or (Words(zh=text, en=text) if text else UNKNOWN))


# ── laying out ────────────────────────────────────────────────────────────────────────────────
def lines_of(plan: Plan, answer: Answer) -> tuple[list[SheetRow], SheetRow]:
    """The lines in their order, each followed by the sub-total it belongs to, and the total."""
    report = plan.report
    order = next((n for n, m in enumerate(report.measures) if m.name == report.order), None)
    children: dict[Path, list[Path]] = {}
    for path in answer.figures:
        if path:
            children.setdefault(path[:-1], []).append(path)
    empty: tuple[Figure, ...] = tuple(
        figure_of(0, m.format) if m.format in ("count", "money") else None for m in report.measures
    )

    def line(path: Path) -> SheetRow:
        by_column = answer.figures.get(path, {})
        figures = [by_column.get(column, empty) for column in (*answer.columns, None)]
        return SheetRow(
            path=tuple(
                member(row, code, answer.names)
                for row, code in zip(report.rows, path, strict=False)
            ),
            figures=tuple(figure for group in figures for figure in group),
        )

    def rank(path: Path) -> tuple[Any, ...]:
        code = path[-1]
        if order is None:
            return (code is None, _natural(code or ""))
        value = answer.figures[path].get(None, empty)[order]
        return (value is None, -(value or 0), code or "")

    lines: list[SheetRow] = []

    def walk(path: Path) -> None:
        for child in sorted(children.get(path, ()), key=rank):
            walk(child)
            lines.append(line(child))

    walk(())
    return lines, line(())


def _natural(code: str) -> tuple[int, int, str]:
    """Codes that are numbers (hours) stand in the order of numbers."""
    return (0, int(code), "") if code.isdigit() else (1, 0, code)


# ── drilling ──────────────────────────────────────────────────────────────────────────────────
class Drilled(msgspec.Struct, frozen=True):
    """The facts behind a figure."""

    headings: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    count: int
    money: frozenset[str]


def drill(
    connection: "DuckDBPyConnection",
    plan: Plan,
    scope: Scope,
    measure: MeasureDefinition,
    path: Sequence[str],
    offset: int,
) -> Drilled:
    """The rows one figure is made of: those its first sum looks at."""
    aggregate: Aggregate = plan.written.aggregates[plan.written.first[measure.name]]
    source = plan.source(aggregate.source)
    wanted = [name for name in plan.report.detail if name in source.columns] or [CAMPUS]
    where = [_where(source, scope), aggregate.condition]
    parameters = _parameters(scope)
    for number, (sql, code) in enumerate(zip(source.rows, path, strict=False)):
        if code:
            where.append(f"CAST({sql} AS VARCHAR) = $path{number}")
            parameters[f"path{number}"] = code
        else:
            where.append(f"({sql}) IS NULL")
    body = f"FROM {source.origin} WHERE {' AND '.join(where)}"
    counted = connection.execute(f"SELECT count(*) {body}", parameters).fetchone()
    listed = ", ".join(source.columns[name] for name in wanted)
    rows = connection.execute(
        f"SELECT {listed} {body} ORDER BY f._position LIMIT {PAGE} OFFSET {int(offset)}",
        parameters,
    ).fetchall()
    return Drilled(tuple(wanted), rows, counted[0] if counted else 0, source.money)
