"""Reports at hand 报表目录: the definitions of the boards that are plugged in now, planned."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from plugward.kernel.board import Board

from .contract import Heading, Measure, ReportCard, Words
from .definitions import (
    DefinitionError,
    DimensionDefinition,
    MeasureDefinition,
    Plan,
    ReportDefinition,
    RowDefinition,
    Say,
    plan,
    read_dimensions,
    read_reports,
)
from .engine import dimension_of
from .schema import FactTable

HERE = Path(__file__).parent
_SCOPED = {"campus": "campus", "department": "department"}


class Catalogue:
    """What can be asked. Made anew when a board comes or goes."""

    def __init__(self, boards: Iterable[Board], tables: Mapping[str, FactTable]) -> None:
        self.dimensions: dict[str, DimensionDefinition] = read_dimensions(HERE / "dimensions.toml")
        self.facts = frozenset(tables)
        folders = [(board.name, board.folder / "reports") for board in boards]
        reports, self.problems = read_reports(folders)
        self.reports: dict[str, ReportDefinition] = {}
        self.plans: dict[str, Plan] = {}
        self.missing: dict[str, str] = {}
        for report in reports:
            self.reports[report.id] = report
            try:
                self.plans[report.id] = plan(report, tables)
            except DefinitionError as error:
                self.missing[report.id] = str(error)

    def card(self, report: ReportDefinition) -> ReportCard:
        """A report as the catalogue shows it."""
        planned = self.plans.get(report.id)
        offered = tuple(
            name
            for name in report.parameters
            if name not in _SCOPED
            or (planned is not None and all(_SCOPED[name] in s.columns for s in planned.sources))
        )
        return ReportCard(
            id=report.id,
            title=words(report.title),
            definition=words(report.definition),
            board=report.board,
            metrics=report.metrics,
            parameters=offered,
            is_ready=planned is not None,
            missing=self.missing.get(report.id, "")[:400],
        )

    def heading(self, row: RowDefinition) -> Heading:
        """What a dimension is called: by the report, or by the dimension itself."""
        known = self.dimensions.get(dimension_of(row))
        zh = row.zh or (known.zh if known else row.name)
        return Heading(name=row.name, title=Words(zh=zh, en=row.en or (known.en if known else zh)))

    def column_heading(self, name: str) -> Heading:
        """What a column of the details is called."""
        return self.heading(RowDefinition(name=name))


def words(say: Say) -> Words:
    return Words(zh=say.zh, en=say.en)


def measure_of(measure: MeasureDefinition) -> Measure:
    return Measure(
        name=measure.name,
        title=Words(zh=measure.zh, en=measure.en or measure.zh),
        format=measure.format,
        unit=words(measure.unit) if measure.unit else None,
    )


__all__ = ["Catalogue", "measure_of", "words"]
