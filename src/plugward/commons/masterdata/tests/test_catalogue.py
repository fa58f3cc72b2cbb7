"""The life of the catalogue, told as the price office and the pharmacy would tell it.

Every scenario runs twice: calls made directly, and calls encoded as between two processes.
"""

from decimal import Decimal
from itertools import pairwise

import pytest

from plugward.commons.masterdata.board import board
from plugward.commons.masterdata.contract import (
    Attribute,
    Change,
    CodeTaken,
    DifferencesNotSeen,
    Domain,
    Draft,
    DraftFault,
    EffectiveInThePast,
    EntryNotFound,
    EntryPublished,
    InsuranceShare,
    InvalidDraft,
    MasterData,
    Retirement,
    ScheduledVersion,
)
from plugward.commons.masterdata.rules import DRAFTS_MAX, UNSEEN_DRAFTS_MAX
from plugward.kernel import Refusal
from plugward.kernel.refusals import NotAllowed
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.money import Money, UnitPrice
from plugward.kit.time import Instant, hospital_time
from plugward.vocabulary import InsuranceClass

MONDAY = hospital_time("2026-03-02 08:00")
TUESDAY = hospital_time("2026-03-03 00:00")
NEXT_MONTH = hospital_time("2026-04-01 00:00")
LAST_YEAR = hospital_time("2025-01-01 00:00")


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(board, transport=request.param, now="2026-03-02 08:00")


def amlodipine(price: str | None = "11.76", **changes: object) -> Draft:
    draft = Draft(
        code="D0034",
        name_zh="苯磺酸氨氯地平片",
        name_en="amlodipine",
        attributes=(Attribute(name="spec", value="5mg*28片"),),
        unit="盒",
        price=None if price is None else UnitPrice(yuan=Decimal(price)),
        insurance=InsuranceShare(
            insurance_class=InsuranceClass.A,
            self_ratio=Decimal(0),
            fund_ratio=Decimal("0.80"),
            supplement=Money(fen=0),
        ),
    )
    return draft.replace(**changes)


async def publish(bench: Bench, *drafts: Draft, domain: Domain = Domain.DRUG) -> None:
    await bench.client(MasterData).publish(domain, drafts, "物价委员会决定")


async def price_at(bench: Bench, instant: Instant) -> str:
    entry = await bench.client(MasterData).entry_at(Domain.DRUG, "D0034", instant)
    return str(entry.price)


async def test_a_new_price_counts_from_its_day_on_and_not_before(bench: Bench) -> None:
    """物价调整：定时生效，之前按旧价。"""
    await publish(bench, amlodipine("11.76", valid_from=LAST_YEAR))
    await publish(bench, amlodipine("11.20", valid_from=NEXT_MONTH))

    assert await price_at(bench, MONDAY) == "11.76"
    assert await price_at(bench, hospital_time("2026-03-31 23:59:59")) == "11.76"
    assert await price_at(bench, NEXT_MONTH) == "11.20"
    assert [f.entry.version for f in bench.published(EntryPublished)] == [1, 2]
    await bench.prove()


async def test_what_was_priced_stays_priced(bench: Bench) -> None:
    """新版本不能追溯生效。"""
    await publish(bench, amlodipine(valid_from=LAST_YEAR))
    with pytest.raises(EffectiveInThePast):
        await publish(bench, amlodipine("9.00", valid_from=LAST_YEAR))
    assert await price_at(bench, MONDAY) == "11.76"
    assert len(bench.published(EntryPublished)) == 1


async def test_a_correction_today_does_not_silently_drop_a_scheduled_price(bench: Bench) -> None:
    """已排定的调价不会被当天的更正悄悄取代。"""
    await publish(bench, amlodipine("11.76", valid_from=LAST_YEAR))
    await publish(bench, amlodipine("11.20", valid_from=NEXT_MONTH))
    with pytest.raises(ScheduledVersion):
        await publish(bench, amlodipine("11.76", name_zh="氨氯地平片"))

    await publish(bench, amlodipine("11.76", name_zh="氨氯地平片", replaces_scheduled=True))

    assert await price_at(bench, NEXT_MONTH) == "11.76"
    await bench.prove()


async def test_a_retired_drug_names_its_successor_and_is_not_found_any_more(bench: Bench) -> None:
    """停用并指向替代品种；停用之前的日期仍可查到。"""
    await publish(bench, amlodipine(valid_from=LAST_YEAR), amlodipine(code="D0035"))
    master = bench.client(MasterData)

    last = await master.retire(
        Retirement(domain=Domain.DRUG, code="D0034", reason="换厂家", successor="D0035", at=TUESDAY)
    )

    assert (last.is_retired, last.successor, last.version) == (True, "D0035", 2)
    assert await price_at(bench, MONDAY) == "11.76"
    with pytest.raises(EntryNotFound):
        await price_at(bench, TUESDAY)
    with pytest.raises(EntryNotFound):  # nothing left to retire
        await master.retire(Retirement(domain=Domain.DRUG, code="D0034", reason="再次停用"))
    await bench.clock.advance("2026-03-03 08:00")
    assert [e.code for e in await master.in_force(Domain.DRUG)] == ["D0035"]
    assert [e.code for e in await master.search(Domain.DRUG, "BHSALDP")] == ["D0035"]
    await bench.prove()


async def test_a_successor_must_exist(bench: Bench) -> None:
    await publish(bench, amlodipine())
    for nobody in ("D9999", "D0034"):
        with pytest.raises(EntryNotFound):
            await bench.client(MasterData).retire(
                Retirement(domain=Domain.DRUG, code="D0034", reason="停用", successor=nobody)
            )


async def test_a_retired_entry_can_come_back(bench: Bench) -> None:
    await publish(bench, amlodipine(valid_from=LAST_YEAR))
    master = bench.client(MasterData)
    await master.retire(Retirement(domain=Domain.DRUG, code="D0034", reason="缺货"))
    preview = await master.preview(Domain.DRUG, (amlodipine(),))
    assert [d.change for d in preview.differences] == [Change.REVIVED]

    await publish(bench, amlodipine())

    assert await price_at(bench, MONDAY) == "11.76"


async def test_a_temporary_entry_ends_by_itself(bench: Bench) -> None:
    await publish(bench, amlodipine(valid_from=LAST_YEAR, valid_to=TUESDAY))
    assert await price_at(bench, MONDAY) == "11.76"
    with pytest.raises(EntryNotFound):
        await price_at(bench, TUESDAY)


async def test_who_was_away_catches_up_in_order_from_the_last_change_it_knows(bench: Bench) -> None:
    """F09：离线的插板按序补齐，不丢不重。"""
    await publish(bench, amlodipine(valid_from=LAST_YEAR))
    await publish(bench, amlodipine(code="D0035"), amlodipine(code="D0036"))
    await publish(bench, amlodipine("11.20"))
    master = bench.client(MasterData)

    first = await master.entries(Domain.DRUG, 0, 2)
    rest = await master.entries(Domain.DRUG, first[-1].sequence, 100)

    told = {fact.entry.sequence: fact.entry for fact in bench.published(EntryPublished)}
    assert [*first, *rest] == [told[n] for n in sorted(told)]
    assert sorted(told) == [1, 2, 3, 4]
    assert await master.entries(Domain.LAB_ITEM, 0, 100) == ()


async def test_a_bulk_import_must_have_been_looked_at(bench: Bench) -> None:
    """批量导入：先看差异，再发布；看过之后目录变了，须重看。"""
    drafts = tuple(amlodipine(code=f"D{n:04}") for n in range(1, UNSEEN_DRAFTS_MAX + 2))
    master = bench.client(MasterData)
    with pytest.raises(DifferencesNotSeen):
        await master.publish(Domain.DRUG, drafts, "导入")
    preview = await master.preview(Domain.DRUG, drafts)
    assert {d.change for d in preview.differences} == {Change.NEW}

    await publish(bench, amlodipine("1.00", code="D0001"))  # somebody is quicker
    with pytest.raises(DifferencesNotSeen):
        await master.publish(Domain.DRUG, drafts, "导入", preview.digest)

    again = await master.preview(Domain.DRUG, drafts)
    [changed] = [d for d in again.differences if d.change is Change.CHANGED]
    assert [(f.field, f.before, f.after) for f in changed.changes] == [("price", "1.00", "11.76")]
    done = await master.publish(Domain.DRUG, drafts, "导入", again.digest)
    assert (len(done.published), done.unchanged) == (len(drafts), 0)
    await bench.prove()


async def test_publishing_the_same_again_changes_nothing(bench: Bench) -> None:
    await publish(bench, amlodipine(valid_from=LAST_YEAR))
    again = await bench.client(MasterData).publish(Domain.DRUG, (amlodipine(),), "重复")
    assert (again.published, again.unchanged, again.last_sequence) == ((), 1, 1)
    assert len(bench.published(EntryPublished)) == 1


async def test_a_publication_sent_twice_is_published_once(bench: Bench) -> None:
    request = new_id()
    answers = []
    for _ in range(3):
        with bench.request(request):
            answers.append(
                await bench.client(MasterData).publish(Domain.DRUG, (amlodipine(),), "定价")
            )
    assert answers[0] == answers[1] == answers[2]
    assert len(bench.published(EntryPublished)) == 1


async def test_a_charge_code_belongs_to_one_catalogue(bench: Bench) -> None:
    """收费编码全院唯一：计费请求只报编码。"""
    await publish(bench, amlodipine())
    with pytest.raises(CodeTaken) as refused:
        await publish(bench, amlodipine(), domain=Domain.CONSUMABLE)
    assert refused.value.domain is Domain.DRUG
    await publish(bench, Draft(code="D0034", name_zh="同名诊断"), domain=Domain.DIAGNOSIS)


@pytest.mark.parametrize(
    ("draft", "domain", "fault"),
    [
        (amlodipine(code=""), Domain.DRUG, DraftFault.CODE),
        (amlodipine(code="x" * 33), Domain.DRUG, DraftFault.CODE),
        (amlodipine(code="D 1"), Domain.DRUG, DraftFault.CODE),
        (amlodipine(name_zh=" "), Domain.DRUG, DraftFault.NAME),
        (amlodipine(None), Domain.DRUG, DraftFault.PRICE_MISSING),
        (amlodipine("-0.01"), Domain.DRUG, DraftFault.PRICE_NEGATIVE),
        (amlodipine(), Domain.DIAGNOSIS, DraftFault.NOT_CHARGED),
        (amlodipine(valid_from=TUESDAY, valid_to=MONDAY), Domain.DRUG, DraftFault.PERIOD),
        (
            amlodipine(
                insurance=InsuranceShare(
                    insurance_class=InsuranceClass.B,
                    self_ratio=Decimal("1.1"),
                    fund_ratio=Decimal("0.8"),
                    supplement=Money(fen=0),
                )
            ),
            Domain.DRUG,
            DraftFault.SHARE,
        ),
    ],
)
async def test_nonsense_is_refused_and_nothing_of_its_batch_is_published(
    bench: Bench, draft: Draft, domain: Domain, fault: DraftFault
) -> None:
    good = Draft(code="OK1", name_zh="好条目")
    if domain is Domain.DRUG:
        good = amlodipine(code="OK1")
    with pytest.raises(InvalidDraft) as refused:
        await bench.client(MasterData).publish(domain, (good, draft), "导入")
    assert (refused.value.entry, refused.value.fault) == (draft.code, fault)
    assert bench.published(EntryPublished) == []


async def test_one_import_has_a_limit_and_names_each_code_once(bench: Bench) -> None:
    master = bench.client(MasterData)
    many = tuple(amlodipine(code=f"X{n}") for n in range(DRAFTS_MAX + 1))
    with pytest.raises(InvalidDraft):
        await master.preview(Domain.DRUG, many)
    with pytest.raises(InvalidDraft):
        await master.publish(Domain.DRUG, (amlodipine(), amlodipine()), "重复")


async def test_the_doctor_finds_a_drug_by_initials_name_or_code(bench: Bench) -> None:
    """拼音首字母、名称、英文名、编码都能找到，最接近的在前。"""
    await publish(
        bench,
        amlodipine(),
        amlodipine(code="D0036", name_zh="缬沙坦胶囊", name_en="valsartan"),
        amlodipine(code="D0038", name_zh="沙库巴曲缬沙坦片", name_en="sacubitril-valsartan"),
    )
    master = bench.client(MasterData)

    async def found(text: str) -> list[str]:
        return [entry.code for entry in await master.search(Domain.DRUG, text)]

    assert await found("xst") == ["D0036", "D0038"]
    assert await found("ald") == ["D0034"]
    assert await found("氨氯") == ["D0034"]
    assert await found("VALS") == ["D0036", "D0038"]
    assert await found("d0034") == ["D0034"]
    assert await found(" ") == await found("%") == await found("_") == []
    with bench.queries(at_most=1):
        await master.search(Domain.DRUG, "xst")


async def test_only_the_price_office_publishes(bench: Bench) -> None:
    with bench.acting(permissions={"masterdata.read"}), pytest.raises(NotAllowed):
        await publish(bench, amlodipine())
    with bench.acting(permissions=set()), pytest.raises(NotAllowed):
        await price_at(bench, MONDAY)


@pytest.mark.parametrize(
    "steps",
    [
        ("price", "retire"),
        ("retire", "price"),
        ("later", "price"),
        ("later", "retire"),
        ("price", "later", "retire", "price"),
    ],
)
async def test_whatever_is_published_the_log_is_whole_and_one_version_is_in_force(
    bench: Bench, steps: tuple[str, ...]
) -> None:
    """The board's invariant: versions and log without gaps; at any instant at most one in force,
    and the past never changes."""
    master = bench.client(MasterData)
    await publish(bench, amlodipine("10.00", valid_from=LAST_YEAR))
    before = await price_at(bench, hospital_time("2025-06-01 00:00"))
    for number, step in enumerate(steps):
        drafts = {
            "price": amlodipine(f"{20 + number}.00"),
            "later": amlodipine(f"{30 + number}.00", valid_from=NEXT_MONTH),
        }
        try:
            if step == "retire":
                await master.retire(Retirement(domain=Domain.DRUG, code="D0034", reason="停用"))
            else:
                await publish(bench, drafts[step])
        except Refusal:  # a refused request must change nothing
            pass
    log = await master.entries(Domain.DRUG, 0, 100)
    assert all(b.version == a.version + 1 for a, b in pairwise(log))
    assert await price_at(bench, hospital_time("2025-06-01 00:00")) == before
    await bench.prove()
