"""Reports 报表: sub-totals, shares, cross-tabs and drills agree with the facts, to the fen."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from plugward.commons.datacentre.board import board as datacentre_board
from plugward.commons.datacentre.contract import (
    ReportNotFound,
    Selection,
    Sheet,
    SourceNotFound,
)
from plugward.commons.datacentre.definitions import (
    DefinitionError,
    plan,
    read_dimensions,
    read_report,
)
from plugward.commons.datacentre.formula import FormulaError, Measures, parse, scalar_sql
from plugward.commons.datacentre.schema import tables_of
from plugward.commons.datacentre.tests.conftest import Hospital, a_stay, ended
from plugward.commons.datacentre.tests.ward.board import board as ward_board
from plugward.kernel.envelope import acting_as
from plugward.kernel.testing import TRANSPORTS, a_tester

MARCH_2 = date(2026, 3, 2)
BY_ROOM = "ward.stays-by-room"


@pytest.fixture(params=TRANSPORTS)
async def hospital(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Hospital]:
    """In memory, on both transports."""
    boards = (ward_board, datacentre_board)
    opened = Hospital(tmp_path, transport=request.param, boards=boards, keeps_file=False)
    await opened.start()
    yield opened
    await opened.stop()


async def fill(hospital: Hospital, ward: Any) -> None:
    """Three rooms of two campuses: lengths 120, 60 and 30 minutes, one still there."""
    await ward.end(ended(a_stay("101"), at="2026-03-02 10:00", fen=1_000, meals=2))
    await ward.end(ended(a_stay("101"), at="2026-03-02 09:00", fen=505, meals=0))
    await ward.begin(a_stay("102"))
    await ward.end(ended(a_stay("201", campus="C2"), at="2026-03-02 08:30", fen=1, meals=3))
    await ward.end(
        ended(a_stay("101", at="2026-03-01 08:00"), at="2026-03-01 09:00", fen=9_999, meals=1)
    )
    await hospital.caught_up()


def figures(sheet: Sheet) -> dict[tuple[str, ...], tuple[Any, ...]]:
    return {tuple(m.code for m in row.path): row.figures for row in (*sheet.rows, sheet.total)}


async def test_lines_sub_totals_and_total_are_each_computed(hospital: Hospital, ward: Any) -> None:
    await fill(hospital, ward)
    sheet = await hospital.centre.report(BY_ROOM, Selection())
    assert [measure.name for measure in sheet.measures] == [
        "stays", "ended", "cost", "per_stay", "meals", "length", "share",
    ]  # fmt: skip
    # Per stay is not the sum of its lines, and the median is not their median.
    assert figures(sheet) == {
        ("C1", "101"): (2, 2, 1_505, 753, 2, 90.0, 0.5),
        ("C1", "102"): (1, 0, 0, 0, 0, None, 0.25),
        ("C1",): (3, 2, 1_505, 502, 2, 90.0, 0.75),
        ("C2", "201"): (1, 1, 1, 1, 3, 30.0, 0.25),
        ("C2",): (1, 1, 1, 1, 3, 30.0, 0.25),
        (): (4, 3, 1_506, 377, 5, 60.0, 1.0),
    }
    assert [tuple(m.code for m in row.path) for row in sheet.rows] == [
        ("C1", "101"), ("C1", "102"), ("C1",), ("C2", "201"), ("C2",),
    ]  # fmt: skip


async def test_days_and_campus_narrow_it(hospital: Hospital, ward: Any) -> None:
    await fill(hospital, ward)
    both = await hospital.centre.report(BY_ROOM, Selection(since=date(2026, 3, 1)))
    assert both.total.figures[:3] == (5, 4, 11_505)
    assert (both.since, both.until) == (date(2026, 3, 1), MARCH_2)
    east = await hospital.centre.report(BY_ROOM, Selection(campus="C2"))  # type: ignore[arg-type]  # a code
    assert east.total.figures[:3] == (1, 1, 1)
    nothing = await hospital.centre.report(BY_ROOM, Selection(since=date(2026, 3, 9)))
    assert nothing.rows == ()
    assert nothing.total.figures == (0, 0, 0, None, 0, None, None)


async def test_nobody_sees_a_campus_they_may_not_see(hospital: Hospital, ward: Any) -> None:
    await fill(hospital, ward)
    hospital.campuses = ("C2",)
    sheet = await hospital.centre.report(BY_ROOM, Selection())
    assert set(figures(sheet)) == {("C2", "201"), ("C2",), ()}
    other = await hospital.centre.report(BY_ROOM, Selection(campus="C1"))  # type: ignore[arg-type]  # a code
    assert other.total.figures[0] == 0
    facts = await hospital.centre.details(BY_ROOM, Selection(), "stays", ("C1", "101"))
    assert facts.count == 0


async def test_a_cross_table_has_a_column_for_each_state_and_their_total(
    hospital: Hospital, ward: Any
) -> None:
    await fill(hospital, ward)
    sheet = await hospital.centre.report("ward.states", Selection())
    assert [column.code for column in sheet.columns] == ["begun", "ended"]
    found = figures(sheet)
    assert found == {("C1",): (1, 2, 3), ("C2",): (0, 1, 1), (): (1, 3, 4)}


async def test_a_figure_leads_to_as_many_facts_as_it_says(hospital: Hospital, ward: Any) -> None:
    await fill(hospital, ward)
    sheet = await hospital.centre.report(BY_ROOM, Selection())
    for row in (*sheet.rows, sheet.total):
        path = tuple(member.code for member in row.path)
        for name, value in zip(("stays", "ended"), row.figures, strict=False):
            facts = await hospital.centre.details(BY_ROOM, Selection(), name, path)
            assert facts.count == value, (path, name)
    meals = await hospital.centre.details(BY_ROOM, Selection(), "meals", ("C1",))
    assert meals.count == 2


async def test_details_are_ids_and_never_a_name(hospital: Hospital, ward: Any) -> None:
    await fill(hospital, ward)
    facts = await hospital.centre.details(BY_ROOM, Selection(), "stays", ("C1", "101"))
    assert [h.name for h in facts.headings] == [
        "stay",
        "campus",
        "room",
        "state",
        "began_at",
        "cost",
    ]
    assert [row.values[5].zh for row in facts.rows] == ["10.00", "5.05"]
    assert facts.rows[0].values[4].zh == "2026-03-02 08:00:00"
    assert "沈玉兰" not in str(facts)


async def test_details_come_fifty_a_page(hospital: Hospital, ward: Any) -> None:
    for _ in range(53):
        await ward.begin(a_stay("9"))
    await hospital.caught_up()
    first = await hospital.centre.details(BY_ROOM, Selection(), "stays")
    second = await hospital.centre.details(BY_ROOM, Selection(), "stays", (), 50)
    assert (len(first.rows), len(second.rows), second.count) == (50, 3, 53)
    shown = {row.values[0].zh for row in (*first.rows, *second.rows)}
    assert len(shown) == 53


async def test_a_report_nobody_has_is_not_found(hospital: Hospital) -> None:
    with pytest.raises(ReportNotFound):
        await hospital.centre.report("ward.nothing", Selection())
    with pytest.raises(ReportNotFound):
        await hospital.centre.details(BY_ROOM, Selection(), "nothing")
    with pytest.raises(SourceNotFound):
        await hospital.centre.rebuild("nobody")


async def test_a_report_of_another_permission_is_not_even_listed(
    hospital: Hospital, ward: Any
) -> None:
    from plugward.commons.datacentre.contract import DataCentre

    del ward
    client = hospital.runtime.client(DataCentre)
    catalogue = hospital.service.at_hand
    planned = catalogue.plans[BY_ROOM]
    import msgspec

    catalogue.plans[BY_ROOM] = msgspec.structs.replace(
        planned, report=msgspec.structs.replace(planned.report, permission="ward.use")
    )
    with acting_as(a_tester(frozenset({"datacentre.read"}))), pytest.raises(ReportNotFound):
        await client.report(BY_ROOM, Selection())


async def test_the_catalogue_says_what_each_counts_and_what_is_missing(
    hospital: Hospital, ward: Any
) -> None:
    del ward
    cards = {card.id: card for card in await hospital.centre.catalogue()}
    assert cards[BY_ROOM].definition.zh == "按入院日统计。"
    assert cards[BY_ROOM].parameters == ("since", "until", "campus")
    # The data centre's own reports need boards that are not here: named, not shown empty.
    assert not cards["datacentre.campus-load"].is_ready
    assert "visits" in cards["datacentre.campus-load"].missing


async def test_data_time_is_now_when_everything_is_in(hospital: Hospital, ward: Any) -> None:
    await fill(hospital, ward)
    await hospital.clock.advance("2026-03-02 12:00")
    sheet = await hospital.centre.report(BY_ROOM, Selection())
    assert sheet.as_of == hospital.clock.now()
    fresh = await hospital.centre.freshness()
    assert (fresh.behind, fresh.parked) == (0, 0)
    assert {source.board for source in fresh.sources} == {"ward"}


async def test_data_time_stands_still_while_facts_wait(
    hospital: Hospital, ward: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is stuck: the figures are those of eight o'clock, and say so."""
    import asyncio

    await fill(hospital, ward)
    collector, real = hospital.service.collector, hospital.service.collector._try
    stuck = asyncio.Event()

    async def waiting(*args: Any) -> Any:
        await stuck.wait()
        return await real(*args)

    monkeypatch.setattr(collector, "_try", waiting)
    eight = hospital.clock.now()
    await ward.begin(a_stay("103"))
    await hospital.clock.advance("2026-03-02 09:00")
    await collector.pause(0.1)
    sheet = await hospital.centre.report(BY_ROOM, Selection())
    assert sheet.as_of == eight
    assert sheet.total.figures[0] == 4
    stuck.set()
    await hospital.caught_up()
    assert (await hospital.centre.report(BY_ROOM, Selection())).as_of == hospital.clock.now()


# ── the language of formulas ──────────────────────────────────────────────────────────────────
COLUMNS = {"a": 'f."a"', "state": 'f."state"'}


@pytest.mark.parametrize(
    ("formula", "sql"),
    [
        ("a", 'f."a"'),
        (
            "state = 'x' or a > 1 and not a is null",
            '((f."state" = \'x\') OR ((f."a" > 1) AND (NOT (f."a" IS NULL))))',
        ),
        ("a in (1, 2.5)", '(f."a" IN (1, 2.5))'),
        ("a not in (1)", '(f."a" NOT IN (1))'),
        ("a / 2", '(f."a" / nullif(2, 0))'),
        ("-(a + 1) * 2", '((- (f."a" + 1)) * 2)'),
        ("day(a)", 'CAST((f."a" + INTERVAL 8 HOUR) AS DATE)'),
    ],
)
def test_a_formula_is_read_and_written(formula: str, sql: str) -> None:
    assert scalar_sql(parse(formula), COLUMNS) == sql


@pytest.mark.parametrize(
    "evil",
    [
        "a; drop table x",
        "a -- comment",
        "(select 1)",
        "a) from fact.x where (1=1",
        "read_csv('/etc/passwd')",
        "system('x')",
        '"a"',
        "a::varchar",
        "f.a",
        "a like 'x'",
        "state = 'it''s'",
        "other",
        "",
        "(" * 60 + "a" + ")" * 60,
        "not " * 60 + "a",
        "- " * 60 + "a",
        "a" * 1_001,
    ],
)
def test_nothing_but_the_language_gets_through(evil: str) -> None:
    with pytest.raises(FormulaError):
        scalar_sql(parse(evil), COLUMNS)


def test_quotes_in_a_text_stay_in_the_text() -> None:
    from plugward.commons.datacentre.formula import Literal

    assert scalar_sql(Literal("x' OR '1'='1"), COLUMNS) == "'x'' OR ''1''=''1'"


@pytest.mark.parametrize(
    "formula", ["a", "count(a, state)", "sum()", "1 + 2", "count() = 1", "ratio(count())", "sum(b)"]
)
def test_a_measure_must_measure(formula: str) -> None:
    with pytest.raises(FormulaError):
        Measures({"s": COLUMNS}).add("m", formula, "s")


# ── definitions ───────────────────────────────────────────────────────────────────────────────
GOOD = """
id = "ward.x"
title = "x"
definition = "x"
fact = "ward_stays"
rows = ["room"]
measures = [{ name = "stays", zh = "人次", formula = "count()" }]
"""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("count()", "count(nurse)"), "no column nurse"),
        (("ward_stays", "ward_nothing"), "no plugged board has the fact ward_nothing"),
        (('rows = ["room"]', 'rows = ["nurse"]'), "no column nurse"),
        (('rows = ["room"]', "rows = []"), "has measures and rows"),
        (('id = "ward.x"', 'id = "billing.x"'), "the id must read ward."),
        (("formula = ", 'format = "bananas", formula = '), "unknown format"),
        (("rows =", 'colour = "red"\nrows ='), "unknown field `colour`"),
        (('"room"]', '"patient_name"]'), "no column patient_name"),
    ],
)
def test_a_definition_that_does_not_fit_is_told_by_name(
    tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    path = tmp_path / "x.toml"
    path.write_text(GOOD.replace(*change), "utf-8")
    tables, problems = tables_of("ward", ward_board.facts)
    assert problems == {}
    with pytest.raises(DefinitionError) as wrong:
        plan(read_report(path, "ward"), tables)
    assert told in str(wrong.value)


def test_the_good_definition_is_good(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(GOOD, "utf-8")
    tables, _ = tables_of("ward", ward_board.facts)
    assert plan(read_report(path, "ward"), tables).report.title.en == "x"


def test_every_dimension_says_its_name_in_both_languages() -> None:
    dimensions = read_dimensions(Path(__file__).parents[1] / "dimensions.toml")
    assert all(d.zh and d.en for d in dimensions.values())
