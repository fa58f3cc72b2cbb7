"""The demonstration hospital's catalogue: whole, consistent, and it says the amounts it must."""

from decimal import Decimal

import pytest

from plugward.commons.masterdata import seed
from plugward.commons.masterdata.board import board
from plugward.commons.masterdata.contract import Domain, EntryPublished, MasterData
from plugward.commons.masterdata.facts import entry_version
from plugward.commons.masterdata.fakes import FakeMasterData, seeded
from plugward.commons.masterdata.rules import CHARGED, check_drafts
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.time import hospital_time

MONDAY = hospital_time("2026-03-02 08:00")


async def test_the_demonstration_hospital_is_sown_once() -> None:
    bench = Bench(board)
    master = bench.client(MasterData)

    published = await seed.sow(master)

    assert published == len(bench.published(EntryPublished))
    assert published == sum(len(seed.drafts(domain)) for domain in Domain)
    assert await seed.sow(master) == 0
    assert [c.code for c in await master.in_force(Domain.CAMPUS)] == ["C1", "C2", "C3"]
    await bench.prove()


@pytest.mark.parametrize("domain", [d for d in Domain if d is not Domain.CHARGE_ITEM])
def test_every_catalogue_of_the_seed_is_valid(domain: Domain) -> None:
    drafts = seed.drafts(domain)
    assert drafts
    check_drafts(domain, drafts)
    assert all((draft.price is not None) == (domain in CHARGED) for draft in drafts)


def test_what_the_seed_refers_to_exists() -> None:
    codes = {domain: {d.code for d in seed.drafts(domain)} for domain in Domain}

    def values(domain: Domain, name: str) -> set[str]:
        return {a.value for d in seed.drafts(domain) for a in d.attributes if a.name == name}

    assert values(Domain.DEPARTMENT, "campus_code") <= codes[Domain.CAMPUS]
    assert values(Domain.DRUG, "route_code") <= codes[Domain.ROUTE]
    assert values(Domain.DRUG, "usual_freq") <= codes[Domain.FREQUENCY]
    assert values(Domain.LAB_ITEM, "panel_code") <= codes[Domain.LAB_PANEL]
    short = values(Domain.DEPARTMENT, "short_code")
    assert values(Domain.EXAM_ITEM, "dept_short_code") <= short
    assert values(Domain.TREATMENT, "dept_short_code") <= short


def test_a_panel_costs_what_its_items_cost() -> None:
    items = {d.code: d for d in seed.drafts(Domain.LAB_ITEM)}
    for panel in seed.drafts(Domain.LAB_PANEL):
        [parts] = [a.value.split(";") for a in panel.attributes if a.name == "items"]
        prices = [items[code].price for code in parts]
        assert panel.price is not None
        assert panel.price.yuan == sum((p.yuan for p in prices if p), Decimal(0))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_fake_answers_like_the_real_one(transport: object) -> None:
    real = Bench(board, transport=transport)  # type: ignore[arg-type]  # the parameter is one
    await seed.sow(real.client(MasterData))
    for master in (real.client(MasterData), FakeMasterData(*Domain)):
        entry = await master.entry_at(Domain.DRUG, "D0034", MONDAY)
        assert (entry.name_zh, str(entry.price), entry.pinyin) == (
            "苯磺酸氨氯地平片",
            "11.76",
            "BHSALDPP",
        )
        assert len(await master.in_force(Domain.ROUTE)) == len(seed.drafts(Domain.ROUTE))
        assert "D0034" in {e.code for e in await master.search(Domain.DRUG, "ald")}
        assert len(await master.entries(Domain.DRUG, 0, 1_000)) == len(seed.drafts(Domain.DRUG))
    assert [f.entry.code for f in seeded(Domain.DRUG, "D0052")] == ["D0052"]


def test_the_data_centre_learns_which_campus_a_department_belongs_to() -> None:
    [cardiology] = seeded(Domain.DEPARTMENT, "C2-CARD")
    row = entry_version(cardiology)
    assert (row.code, row.parent, row.version, row.is_retired) == ("C2-CARD", "C2", 1, False)
