"""Data centre 数据中心: the hospital's facts in one place, and what can be said of them.

Every board tells facts; the data centre copies them out of the boards' outboxes as they happen,
within two seconds, and answers questions that would slow the boards down. Reports are data: each
says what it counts 口径, how old its data are, and leads from a sum to the rows it is made of.
Nobody sees figures of a campus they may not see.
"""

from datetime import date
from typing import Protocol

from plugward.kernel import Message, NotFound, Plain, command, contract, query
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, DepartmentCode

Figure = int | float | None
"""A count, an amount in fen, minutes, or a ratio; None where there is nothing to measure."""


class Words(Message):
    """What something is called, in both languages."""

    zh: Plain
    en: Plain


class Selection(Message):
    """Which part of the facts a report is about: hospital days (both belong to it) and where.

    Without days: today. ``campus`` and ``department`` narrow what the caller may see.
    """

    since: date | None = None
    until: date | None = None
    campus: CampusCode | None = None
    department: DepartmentCode | None = None


class ReportCard(Message):
    """A report as the catalogue shows it. ``definition`` is its 口径."""

    id: Plain
    title: Words
    definition: Words
    board: Plain
    metrics: tuple[Plain, ...]  # as in the hospital's list of metrics: M001
    parameters: tuple[Plain, ...]
    is_ready: bool
    missing: Plain = ""  # why it cannot be run now


class Measure(Message):
    """A figure of a report: ``format`` is count, percent, minutes, money or number."""

    name: Plain
    title: Words
    format: Plain
    unit: Words | None = None


class Heading(Message):
    """A dimension of a report."""

    name: Plain
    title: Words


class Member(Message):
    """One value of a dimension: its code, and what it is called."""

    code: Plain
    title: Words


class SheetRow(Message):
    """One line. ``path`` names its values from the first dimension on; a shorter path is the
    sub-total of everything below it, the empty one the total. One figure per column and measure."""

    path: tuple[Member, ...]
    figures: tuple[Figure, ...]


class Sheet(Message):
    """A report, run. Figures stand by column member (the last is the total), then by measure."""

    card: ReportCard
    since: date
    until: date
    headings: tuple[Heading, ...]
    columns: tuple[Member, ...]
    measures: tuple[Measure, ...]
    rows: tuple[SheetRow, ...]
    total: SheetRow
    is_cut: bool  # there are more lines than a page shows
    chart: Plain  # bar, line, pie or nothing
    charted: tuple[Plain, ...]  # the measures it draws
    campuses: tuple[Member, ...]  # those the caller may choose from
    as_of: Instant | None  # None while the first facts are being read


class DetailRow(Message):
    """One fact behind a figure, as text, in the order of the headings."""

    values: tuple[Words, ...]


class Details(Message):
    """The facts a figure is made of: ids, never names of patients."""

    card: ReportCard
    measure: Measure
    path: tuple[Member, ...]
    headings: tuple[Heading, ...]
    rows: tuple[DetailRow, ...]
    count: int
    offset: int
    as_of: Instant | None


class CockpitFigure(Message):
    """A figure of the cockpit, with the report and the measure it comes from."""

    name: Plain
    title: Words
    measure: Measure
    report: Plain
    value: Figure
    note: Measure | None = None
    note_value: Figure = None
    goal: Figure = None  # what it should reach, or stay under
    is_less_better: bool = False
    is_good: bool | None = None  # None: nothing is expected of it


class CockpitPanel(Message):
    """A panel of the cockpit: some lines of a report, ready to be drawn."""

    name: Plain
    title: Words
    report: Plain
    measures: tuple[Measure, ...]
    members: tuple[Member, ...]
    figures: tuple[tuple[Figure, ...], ...]  # by member, then by measure
    total: tuple[Figure, ...]


class Attention(Message):
    """Something that is not as it should be, and where to look."""

    title: Words
    place: Words
    measure: Measure
    value: Figure
    is_urgent: bool
    report: Plain


class Cockpit(Message):
    """The hospital on one screen. Every figure names its report."""

    since: date
    until: date
    figures: tuple[CockpitFigure, ...]
    panels: tuple[CockpitPanel, ...]
    quality: tuple[CockpitFigure, ...]
    attention: tuple[Attention, ...]
    campuses: tuple[Member, ...]
    reports: int
    as_of: Instant | None


class SourceState(Message):
    """How far one board's facts have come."""

    board: Plain
    position: int
    behind: int
    as_of: Instant | None
    problems: tuple[Plain, ...]


class Freshness(Message):
    """How old the data are, and why if they are old."""

    as_of: Instant | None
    behind: int
    rows: int  # since the start
    delay_p99_ms: int | None  # from commit to report, of the latest facts
    parked: int  # facts that wait for a person
    sources: tuple[SourceState, ...]
    problems: tuple[Plain, ...]  # reports that are left out, and why


class ReportNotFound(NotFound):
    """没有这张报表，或其数据来源未插入。"""


class SourceNotFound(NotFound):
    """没有这个插板的事实。"""


@contract("datacentre")
class DataCentre(Protocol):
    """Reports over the facts of all boards."""

    @query(permission="datacentre.read", audited=False)
    async def catalogue(self) -> tuple[ReportCard, ...]:
        """Every report the caller may run, by title."""
        ...

    @query(permission="datacentre.read")
    async def report(self, report: Plain, chosen: Selection) -> Sheet:
        """Run a report. Refuses with ``ReportNotFound``."""
        ...

    @query(permission="datacentre.read")
    async def details(
        self,
        report: Plain,
        chosen: Selection,
        measure: Plain,
        path: tuple[Plain, ...] = (),
        offset: int = 0,
    ) -> Details:
        """The facts behind one figure of a report, 50 a page: ``path`` are the codes of its line.
        Refuses with ``ReportNotFound``."""
        ...

    @query(permission="datacentre.read", audited=False)
    async def cockpit(self, chosen: Selection) -> Cockpit:
        """The hospital on one screen."""
        ...

    @query(permission="datacentre.read", audited=False)
    async def freshness(self) -> Freshness:
        """How old the data are."""
        ...

    @command(permission="datacentre.rebuild")
    async def rebuild(self, board: Plain) -> SourceState:
        """Forget one board's facts and collect them from its first event. Refuses with
        ``SourceNotFound``."""
        ...
