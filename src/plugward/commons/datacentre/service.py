"""The data centre's service: keeps the warehouse up with the hospital, and answers from it."""

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from plugward.kernel import Plain, Settings, Store
from plugward.kernel.envelope import ActorKind, current_call
from plugward.kernel.events.parked import list_parked
from plugward.kernel.runtime import Runtime
from plugward.kit.money import Money
from plugward.kit.time import HOSPITAL_ZONE, Clock, hospital_date

from .catalogue import HERE, Catalogue, measure_of
from .cockpit import Assembly, CockpitDefinition, read_cockpit
from .collector import Collector, as_of
from .contract import (
    Cockpit,
    DataCentre,
    DetailRow,
    Details,
    Freshness,
    Member,
    ReportCard,
    ReportNotFound,
    Selection,
    Sheet,
    SourceNotFound,
    SourceState,
    Words,
)
from .definitions import CAMPUS, Plan, RowDefinition
from .engine import SHOWN_MAX, Answer, Drilled, Scope, drill, lines_of, member, names_of, run
from .warehouse import Busy, Warehouse

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DAYS_MAX = 1_100
P99 = 0.99
_log = logging.getLogger("plugward.datacentre")


class DataCentreService(DataCentre):
    def __init__(self, store: Store, clock: Clock, settings: Settings, runtime: Runtime) -> None:
        self.store = store
        self._clock = clock
        self._runtime = runtime
        self.warehouse = Warehouse(settings["data_folder"], memory_mb=settings["memory_mb"])
        self.collector = Collector(runtime, store, self.warehouse, settings)
        self.fresh_s: int = settings["fresh_s"]
        self.hospital_name: str = settings["hospital_name"]
        self.hospital_name_en: str = settings["hospital_name_en"]
        self._screen: CockpitDefinition = read_cockpit(HERE / "cockpit.toml")
        self._catalogue: Catalogue | None = None
        self._catalogue_of: tuple[Any, ...] = ()

    async def started(self) -> None:
        """Open the file and begin to follow the boards. A held file is waited for."""
        try:
            await self.warehouse.open()
            await self.collector.match()
        except Busy as busy:
            _log.warning("another process holds %s; the data centre waits for it", busy)
        self.collector.start()

    async def stopping(self) -> None:
        await self.collector.stop()
        await self.warehouse.close()

    # ── the catalogue ───────────────────────────────────────────────────────────────────────
    @property
    def at_hand(self) -> Catalogue:
        """The reports of the boards that are plugged in now."""
        sources = self.collector.sources
        boards = tuple(self._runtime.boards.values())
        made_of = (*boards, *sources.values())
        if self._catalogue is None or made_of != self._catalogue_of:
            tables = {name: t for s in sources.values() for name, t in s.tables.items()}
            self._catalogue = Catalogue(boards, tables)
            self._catalogue_of = made_of
            for problem in (*self._catalogue.problems, *self._catalogue.missing.values()):
                _log.info("a report is left out: %s", problem)
        return self._catalogue

    async def catalogue(self) -> tuple[ReportCard, ...]:
        at_hand = self.at_hand
        cards = (
            at_hand.card(report) for report in at_hand.reports.values() if _may(report.permission)
        )
        return tuple(sorted(cards, key=lambda card: (card.board, card.id)))

    def _plan(self, report: str) -> Plan:
        plan = self.at_hand.plans.get(report)
        if plan is None or not _may(plan.report.permission):
            raise ReportNotFound
        return plan

    # ── questions ───────────────────────────────────────────────────────────────────────────
    async def report(self, report: Plain, chosen: Selection) -> Sheet:
        plan, scope, at_hand = self._plan(report), self._scope(chosen), self.at_hand
        data_time = self._as_of()
        mine = self._campuses()

        def look(connection: "DuckDBPyConnection") -> tuple[Answer, tuple[Member, ...]]:
            found = _answer(plan, scope, at_hand, connection)
            return found, _places(connection, mine, scope, at_hand)

        answer, campuses = await self.warehouse.read(look)
        lines, total = lines_of(plan, answer)
        definition = plan.report
        columns = [member(r, c, answer.names) for r in definition.columns for c in answer.columns]
        return Sheet(
            card=at_hand.card(definition),
            since=scope.since,
            until=scope.until,
            headings=tuple(at_hand.heading(row) for row in definition.rows),
            columns=tuple(columns),
            measures=tuple(measure_of(measure) for measure in definition.measures),
            rows=tuple(lines[:SHOWN_MAX]),
            total=total,
            is_cut=len(lines) > SHOWN_MAX,
            chart=definition.chart.kind if definition.chart else "",
            charted=definition.chart.measures if definition.chart else (),
            campuses=campuses,
            as_of=data_time,
        )

    async def details(
        self,
        report: Plain,
        chosen: Selection,
        measure: Plain,
        path: tuple[Plain, ...] = (),
        offset: int = 0,
    ) -> Details:
        plan, scope, at_hand = self._plan(report), self._scope(chosen), self.at_hand
        wanted = plan.report.measure(measure)
        if wanted is None or len(path) > len(plan.report.rows):
            raise ReportNotFound
        data_time = self._as_of()

        def look(connection: "DuckDBPyConnection") -> tuple[Drilled, dict[tuple[str, str], Words]]:
            found = drill(connection, plan, scope, wanted, path, max(offset, 0))
            return found, _named(connection, found, plan, path, scope, at_hand)

        found, names = await self.warehouse.read(look)
        return Details(
            card=at_hand.card(plan.report),
            measure=measure_of(wanted),
            path=tuple(
                member(row, code, names) for row, code in zip(plan.report.rows, path, strict=False)
            ),
            headings=tuple(at_hand.column_heading(name) for name in found.headings),
            rows=tuple(
                DetailRow(
                    values=tuple(
                        _told(value, name, names, is_money=name in found.money)
                        for name, value in zip(found.headings, row, strict=True)
                    )
                )
                for row in found.rows
            ),
            count=found.count,
            offset=max(offset, 0),
            as_of=data_time,
        )

    async def cockpit(self, chosen: Selection) -> Cockpit:
        scope, at_hand, screen = self._scope(chosen), self.at_hand, self._screen
        everywhere = self._scope(Selection(since=scope.since, until=scope.until))
        data_time = self._as_of()

        def look(connection: "DuckDBPyConnection") -> Cockpit:
            here = Assembly(at_hand, lambda plan: _answer(plan, scope, at_hand, connection))
            whole = Assembly(at_hand, lambda plan: _answer(plan, everywhere, at_hand, connection))
            attention = [found for one in screen.attention for found in here.attention(one)]
            attention.sort(key=lambda found: not found.is_urgent)
            return Cockpit(
                since=scope.since,
                until=scope.until,
                figures=tuple(f for one in screen.figures if (f := here.figure(one))),
                panels=tuple(p for one in screen.panels if (p := here.panel(one))),
                quality=tuple(f for one in screen.quality if (f := here.figure(one))),
                attention=tuple(attention),
                campuses=whole.campuses(screen.panels[-1].report),
                reports=sum(_may(plan.report.permission) for plan in at_hand.plans.values()),
                as_of=data_time,
            )

        return await self.warehouse.read(look)

    # ── how old the data are ────────────────────────────────────────────────────────────────
    async def freshness(self) -> Freshness:
        collector, now = self.collector, self._clock.now()
        delays = sorted(collector.delays_s)
        p99 = delays[min(int(len(delays) * P99), len(delays) - 1)] if delays else None
        at_hand = self.at_hand
        return Freshness(
            as_of=self._as_of(),
            behind=sum(max(source.behind, 0) for source in collector.sources.values()),
            rows=collector.rows,
            delay_p99_ms=round(p99 * 1_000) if p99 is not None else None,
            parked=len(await list_parked(self.store)),
            sources=tuple(_state(s.board, collector, now) for s in collector.sources.values()),
            problems=tuple(p[:400] for p in (*at_hand.problems, *at_hand.missing.values())),
        )

    async def rebuild(self, board: Plain) -> SourceState:
        if not await self.collector.rebuild(board):
            raise SourceNotFound
        return _state(board, self.collector, self._clock.now())

    def _as_of(self) -> datetime | None:
        if not self.warehouse.is_open:
            return None
        return as_of(self.collector.sources.values(), self._clock.now())

    def _campuses(self) -> tuple[str, ...] | None:
        """The campuses the caller may see; None is every one."""
        call = current_call()
        actor = call.envelope.actor if call else None
        if actor is None or actor.kind is not ActorKind.PERSON or actor.sees_all:
            return None
        return actor.campuses

    def _scope(self, chosen: Selection) -> Scope:
        """The days asked for, and the campuses the caller may see of those asked for."""
        today = hospital_date(self._clock.now())
        since = chosen.since or chosen.until or today
        until = max(chosen.until or max(today, since), since)
        since = max(since, until - timedelta(days=DAYS_MAX))
        campuses = self._campuses()
        if chosen.campus:
            seen = campuses is None or chosen.campus in campuses
            campuses = (chosen.campus,) if seen else ()
        return Scope(since, until, campuses, chosen.department or None)


def _answer(
    plan: Plan, scope: Scope, at_hand: Catalogue, connection: "DuckDBPyConnection"
) -> Answer:
    return run(connection, plan, scope, at_hand.dimensions, at_hand.facts)


def _places(
    connection: "DuckDBPyConnection",
    codes: tuple[str, ...] | None,
    scope: Scope,
    at_hand: Catalogue,
) -> tuple[Member, ...]:
    """Campuses by name, to choose from."""
    known = (at_hand.dimensions, at_hand.facts)
    names = names_of(connection, CAMPUS, set(codes or ()), scope.until, known)
    row = RowDefinition(name=CAMPUS)
    return tuple(member(row, code, names) for code in sorted(codes or ()))


def _named(
    connection: "DuckDBPyConnection",
    found: Drilled,
    plan: Plan,
    path: tuple[str, ...],
    scope: Scope,
    at_hand: Catalogue,
) -> dict[tuple[str, str], Words]:
    """What the codes in the details and in the path are called."""
    codes: dict[str, set[str]] = {}
    for row, code in zip(plan.report.rows, path, strict=False):
        codes.setdefault(row.dimension or row.name, set()).add(code)
    for place, name in enumerate(found.headings):
        if name in at_hand.dimensions:
            codes.setdefault(name, set()).update(str(row[place]) for row in found.rows)
    known = (at_hand.dimensions, at_hand.facts)
    names: dict[tuple[str, str], Words] = {}
    for name, those in codes.items():
        names |= names_of(connection, name, those, scope.until, known)
    return names


def _told(value: Any, name: str, names: dict[tuple[str, str], Words], *, is_money: bool) -> Words:
    """A value of the details as text; amounts in yuan."""
    known = names.get((name, str(value)))
    if known is not None:
        return known
    text = str(Money(fen=value)) if is_money and value is not None else _text(value)
    return Words(zh=text, en=text)


def _text(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, datetime):
        return f"{value.replace(tzinfo=UTC).astimezone(HOSPITAL_ZONE):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return str(value)[:400]


def _state(board: str, collector: Collector, now: datetime) -> SourceState:
    source = collector.sources[board]
    return SourceState(
        board=board,
        position=source.loaded.position,
        behind=max(source.behind, 0),
        as_of=source.as_of(now),
        problems=tuple(f"{table}: {problem}"[:400] for table, problem in source.problems.items()),
    )


def _may(permission: str) -> bool:
    call = current_call()
    return call is None or permission in call.envelope.actor.permissions
