"""Finding what can be ordered, as a doctor types it: two to four letters."""

import time

import pytest

from plugward.boards.encounters.fakes import FakeEncounters
from plugward.boards.orders.board import board
from plugward.boards.orders.contract import Orders, UsageKind
from plugward.commons.masterdata.contract import Domain, EntryPublished
from plugward.commons.masterdata.fakes import seeded
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.vocabulary import OrderKind

DOMAINS = (Domain.DRUG, Domain.LAB_ITEM, Domain.LAB_PANEL, Domain.EXAM_ITEM, Domain.TREATMENT)


@pytest.fixture(params=TRANSPORTS)
async def bench(request: pytest.FixtureRequest) -> Bench:
    made = Bench(board, fakes=[FakeEncounters()], transport=request.param, now="2026-11-18 10:24")
    for fact in (
        *seeded(Domain.DRUG, "D0034", "D0171", "D0052"),
        *seeded(Domain.LAB_ITEM, "L0162", "L0026"),
        *seeded(Domain.LAB_PANEL, "CBC"),
        *seeded(Domain.EXAM_ITEM, "E0039"),
        *seeded(Domain.ROUTE, "PO"),
        *seeded(Domain.FREQUENCY, "BID"),
    ):
        await made.receive(fact)
    return made


@pytest.mark.parametrize("text", ["ALDP", "aldp", "氨氯地平", "D0034", "amlodi"])
async def test_a_drug_is_found_by_initials_name_and_code(bench: Bench, text: str) -> None:
    """拼音首字母、通用名、编码、英文名都找得到。"""
    hits = await bench.client(Orders).search(text)
    assert [hit.item for hit in hits] == ["D0034"]
    [hit] = hits
    assert (hit.spec, hit.unit, hit.frequency, hit.route) == ("5mg*28片", "盒", "QD", "PO")


async def test_hits_can_be_cut_to_laboratory_and_examinations(bench: Bench) -> None:
    orders = bench.client(Orders)
    [hit] = await orders.search("THXHDB", (OrderKind.LAB, OrderKind.EXAM))
    assert (hit.kind, hit.item) == (OrderKind.LAB, "L0026")
    assert await orders.search("THXHDB", (OrderKind.DRUG,)) == ()


async def test_what_a_doctor_types_is_never_a_pattern(bench: Bench) -> None:
    orders = bench.client(Orders)
    assert await orders.search("%") == ()
    assert await orders.search("_") == ()
    assert await orders.search("  ") == ()


async def test_a_version_of_tomorrow_does_not_show_today(bench: Bench) -> None:
    [published] = seeded(Domain.LAB_ITEM, "L0026")
    renamed = published.entry.replace(
        version=2, name_zh="糖化血红蛋白A1c", valid_from=bench.clock.now().replace(year=2027)
    )
    await bench.receive(EntryPublished(entry=renamed), times=2)
    [hit] = await bench.client(Orders).search("L0026")
    assert hit.name_zh == "糖化血红蛋白"


async def test_routes_and_frequencies_are_offered_with_their_names(bench: Bench) -> None:
    usages = await bench.client(Orders).usages()
    assert [(u.kind, u.usage, u.name_zh) for u in usages] == [
        (UsageKind.FREQUENCY, "BID", "每日两次"),
        (UsageKind.ROUTE, "PO", "口服"),
    ]


async def test_the_whole_catalogue_answers_within_150_milliseconds() -> None:
    """整个目录（示范医院全部可开项目）里，每次检索 150 毫秒内返回，至多 20 条。"""
    bench = Bench(board, fakes=[FakeEncounters()], now="2026-11-18 10:24")
    for domain in DOMAINS:
        for fact in seeded(domain):
            await bench.receive(fact)
    orders = bench.client(Orders)
    for text in ("AL", "A", "XST", "片", "D0", "in"):
        begun = time.perf_counter()
        hits = await orders.search(text)
        assert time.perf_counter() - begun < 0.150
        assert len(hits) <= 20
    assert len(await orders.search("A")) == 20
