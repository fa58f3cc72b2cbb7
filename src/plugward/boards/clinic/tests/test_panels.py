"""What the panels show, and that each fails alone, as the doctor meets it between two patients.

The pages are asked directly with the board's own clients; how they look is tested in a browser.
"""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from plugward.boards.calling.contract import Calling, Desk, NobodyWaits, QueueCode, StillCalling
from plugward.boards.calling.fakes import FakeCalling
from plugward.boards.clinic.board import board
from plugward.boards.clinic.contract import Clinic, NoQueue, NoteText
from plugward.boards.clinic.pages import basket, context, notes, signing, workstation
from plugward.boards.clinic.rules import LineChange
from plugward.boards.encounters.contract import Encounters
from plugward.boards.encounters.fakes import FakeEncounters
from plugward.boards.orders.contract import (
    LineState,
    NewLine,
    OrderableItem,
    Orders,
    Usage,
    UsageKind,
    WithdrawReason,
)
from plugward.boards.orders.fakes import FakeOrders
from plugward.boards.patients.contract import PatientMerged, Patients
from plugward.boards.patients.fakes import FakePatients
from plugward.boards.pricing.contract import Pricing
from plugward.boards.pricing.fakes import FakePricing, a_price
from plugward.boards.records.contract import Records
from plugward.boards.records.fakes import FakeRecords
from plugward.kernel import Unavailable
from plugward.kernel.pages import Go, View, Viewer
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_date, hospital_time
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
    OrderKind,
    OrderLineId,
    PatientId,
    StaffId,
)

NOW = hospital_time("2026-11-18 10:24:30")
DR_LIN = StaffId(UUID("01930000-0000-7000-8000-000000010247"))
ZHOU, SHEN = PatientId(new_id()), PatientId(new_id())
HIS_VISIT, HER_VISIT = EncounterId(new_id()), EncounterId(new_id())
QUEUE = QueueCode("C1-CARD:2026-11-18:morning")
VIEWER = Viewer(
    actor_id=f"staff:{DR_LIN}",
    name="林予安",
    title="副主任医师",
    roles=("doctor",),
    permissions=frozenset({"clinic.work"}),
    campus="C1",
    campuses=("C1",),
    department="C1-CARD",
    language="zh-CN",
    now=NOW,
)
PRICES = {
    "D0034": "11.76",
    "D0171": "19.30",
    "D0052": "15.30",
    "L0162": "45.00",
    "L0026": "70.00",
    "E0039": "180.00",
}


def item(kind: OrderKind, code: str, name: str, pinyin: str, **dosage: Any) -> OrderableItem:
    return OrderableItem(
        kind=kind,
        item=code,
        name_zh=name,
        name_en=name,
        pinyin=pinyin,
        spec="",
        unit="盒" if kind is OrderKind.DRUG else "次",
        **dosage,
    )


def dosage(dose: str, unit: str, frequency: str, per_pack: int) -> dict[str, Any]:
    return {
        "dose": Decimal(dose),
        "dose_unit": unit,
        "route": "PO",
        "frequency": frequency,
        "doses_per_pack": Decimal(per_pack),
    }


CATALOGUE = (
    item(OrderKind.DRUG, "D0034", "苯磺酸氨氯地平片", "BHSALDPP", **dosage("5", "mg", "QD", 28)),
    item(OrderKind.DRUG, "D0171", "盐酸二甲双胍缓释片", "YSEJSG", **dosage("0.5", "g", "BID", 30)),
    item(OrderKind.DRUG, "D0052", "辛伐他汀片", "XFTTP", **dosage("20", "mg", "QN", 14)),
    item(OrderKind.LAB, "L0162", "尿微量白蛋白/肌酐比", "NWLBDB"),
    item(OrderKind.LAB, "L0026", "糖化血红蛋白", "THXHDB"),
    item(OrderKind.EXAM, "E0039", "心脏彩超", "XZCC"),
)


@pytest.fixture(params=TRANSPORTS)
async def bench(request: pytest.FixtureRequest) -> Bench:
    encounters, patients, calling = FakeEncounters(), FakePatients(), FakeCalling()
    for patient, visit, name in ((ZHOU, HIS_VISIT, "周建民"), (SHEN, HER_VISIT, "沈玉兰")):
        patients.add(name, id=patient)
        encounters.visit(patient, id=visit)
        calling.check_in(QUEUE, patient, visit, name)
    calling.rooms.append(
        Desk(
            queue=QUEUE,
            doctor=DR_LIN,
            doctor_name="林予安",
            doctor_title="副主任医师",
            room="6 诊室",
            campus=CampusCode("C1"),
            department=DepartmentCode("C1-CARD"),
            department_name="心血管内科",
            day=hospital_date(NOW),
        )
    )
    orders = FakeOrders(CATALOGUE, now=NOW, author=f"staff:{DR_LIN}")
    orders.usage_list = tuple(
        Usage(
            kind=UsageKind.FREQUENCY,
            usage=code,
            name_zh=code,
            name_en=code,
            times_per_day=Decimal(times),
        )
        for code, times in (("QD", 1), ("BID", 2), ("QN", 1))
    )
    fakes = [
        encounters,
        patients,
        calling,
        orders,
        FakeRecords(now=NOW),
        FakePricing(*(a_price(code, yuan) for code, yuan in PRICES.items()), at=NOW),
    ]
    made = Bench(board, fakes=fakes, transport=request.param, now="2026-11-18 10:24:30")
    await made.client(Clinic).open(HIS_VISIT)
    return made


def asked(bench: Bench) -> tuple[Clinic, Orders]:
    return bench.client(Clinic), bench.client(Orders)


async def add_drug(bench: Bench, text: str, **changes: Any) -> View:
    """Letters, Enter (the usual dosage is proposed), Enter (into the basket)."""
    picked = await basket.pick(HIS_VISIT, bench.client(Orders), text=text)
    new: NewLine = picked.values["line"].replace(id=OrderLineId(new_id()), **changes)
    return await basket.add_drug(HIS_VISIT, new, *asked(bench))


async def add_test(bench: Bench, text: str) -> View:
    wish = basket.TestWish(id=OrderLineId(new_id()), text=text)
    return await basket.add_test(HIS_VISIT, wish, *asked(bench))


async def the_total(bench: Bench) -> str:
    shown = await signing.total(HIS_VISIT, VIEWER, bench.client(Orders), bench.client(Pricing))
    quote = shown.values["quote"]
    return "0.00" if quote is None else str(quote.total)


def rows_of(shown: View) -> list[tuple[str, int]]:
    return [(row.line.item, row.line.quantity) for row in shown.values["rows"]]


async def test_the_basket_comes_to_418_32_and_by_hand_to_387_72(bench: Bench) -> None:
    """三药三项：418.32；辛伐他汀手改为 2 盒：387.72；签名后不变。"""
    await add_drug(bench, "aldp", dose=Decimal(10), days=28, quantity=2)
    await add_drug(bench, "ejsg", days=28, quantity=2)
    shown = await add_drug(bench, "xftt", dose=Decimal(40), days=28, quantity=4)
    assert rows_of(shown) == [("D0034", 2), ("D0171", 2), ("D0052", 4)]
    for text in ("nwlb", "thxh", "xzcc"):
        shown = await add_test(bench, text)
    assert rows_of(shown) == [("L0162", 1), ("L0026", 1), ("E0039", 1)]
    assert await the_total(bench) == "418.32"

    simvastatin = (await basket.drugs(HIS_VISIT, bench.client(Orders))).values["rows"][2].line
    change = LineChange(line=simvastatin.id, quantity=2, dose=Decimal(40), frequency="QN", days=28)
    shown = await basket.change_line(HIS_VISIT, change, *asked(bench))
    assert rows_of(shown)[2] == ("D0052", 2)
    assert await the_total(bench) == "387.72"

    with bench.acting(id=str(DR_LIN)):
        await bench.client(Clinic).open(HIS_VISIT)
        said = await signing.sign(VIEWER, HIS_VISIT, NoteText(), bench.client(Clinic))
    assert said == Go(f"/clinic/visits/{HIS_VISIT}", said="医嘱 6 条已签名")
    assert await the_total(bench) == "387.72"


async def test_a_repeat_takes_over_the_doctors_last_prescription(bench: Bench) -> None:
    """Alt R、Enter：上次处方的药进入本次处方，检验不带。"""
    await add_drug(bench, "aldp", days=28)
    await add_test(bench, "thxh")
    clinic, orders = asked(bench)
    await clinic.sign(HIS_VISIT, NoteText())
    await bench.client(Clinic).open(HER_VISIT)
    await bench.receive(
        PatientMerged(patient=SHEN, into=ZHOU, ids=(ZHOU, SHEN), reason="同一人", author="steward")
    )

    offer = await basket.offer_repeat(VIEWER, HER_VISIT, clinic, orders)
    group = offer.values["group"]
    assert [line.item for line in group.lines] == ["D0034"]
    act = new_id()
    for _ in range(2):  # Enter pressed twice
        shown = await basket.repeat(HER_VISIT, act, group.id, clinic, orders)
    assert rows_of(shown) == [("D0034", 1)]
    assert shown.values["rows"][0].line.days == 28


async def test_without_an_earlier_prescription_the_offer_says_so(bench: Bench) -> None:
    clinic, orders = asked(bench)
    offer = await basket.offer_repeat(VIEWER, HIS_VISIT, clinic, orders)
    assert offer.values["group"] is None


async def test_what_fits_nothing_is_said_and_nothing_is_added(bench: Bench) -> None:
    picked = await basket.pick(HIS_VISIT, bench.client(Orders), text="没有这种药")
    assert (picked.template, picked.values["missing"]) == ("drug_entry.html", "没有这种药")
    shown = await add_test(bench, "没有这种检查")
    assert (rows_of(shown), shown.values["missing"]) == ([], "没有这种检查")
    assert await the_total(bench) == "0.00"


async def test_a_test_cannot_be_picked_as_a_drug(bench: Bench) -> None:
    picked = await basket.pick(HIS_VISIT, bench.client(Orders), item="L0026")
    assert picked.template == "drug_entry.html"


async def test_a_line_leaves_the_basket_and_a_signed_one_is_withdrawn(bench: Bench) -> None:
    clinic, orders = asked(bench)
    shown = await add_drug(bench, "aldp")
    line = shown.values["rows"][0].line
    shown = await basket.remove_line(HIS_VISIT, line.id, "drugs", clinic, orders)
    assert rows_of(shown) == []

    await add_test(bench, "thxh")
    await clinic.sign(HIS_VISIT, NoteText())
    [row] = (await basket.tests(HIS_VISIT, orders)).values["rows"]
    reason = WithdrawReason.PATIENT_DECLINES
    shown = await basket.withdraw_line(HIS_VISIT, row.line.id, reason, orders)
    assert [row.state for row in shown.values["rows"]] == [LineState.WITHDRAWN]
    assert await the_total(bench) == "0.00"


async def test_one_key_calls_the_next_patient_and_opens_the_visit(bench: Bench) -> None:
    """F4：叫到的患者随即打开；未到诊前不能再叫下一位。"""
    calling, clinic = bench.client(Calling), bench.client(Clinic)
    gone = await workstation.call_next(VIEWER, clinic)
    assert gone == Go(f"/clinic/visits/{HIS_VISIT}", said="已叫 A001 周建民")
    with pytest.raises(StillCalling):
        await workstation.call_next(VIEWER, clinic)

    shown = await workstation.queue_panel(VIEWER, calling, bench.client(Patients))
    assert [t.number for t in shown.values["called"]] == ["A001"]
    assert [t.number for t in shown.values["waiting"]] == ["A002"]
    [ticket] = shown.values["called"]
    await workstation.arrived(VIEWER, ticket.id, calling, bench.client(Patients), None)
    gone = await workstation.call_next(VIEWER, clinic)
    assert gone.to == f"/clinic/visits/{HER_VISIT}"
    await workstation.arrived(
        VIEWER,
        bench.fake(FakeCalling)._in(QUEUE, ticket.state.CALLED)[0].id,
        calling,
        bench.client(Patients),
        None,
    )
    with pytest.raises(NobodyWaits):
        await workstation.call_next(VIEWER, clinic)


async def test_a_doctor_without_a_session_today_is_told_so(bench: Bench) -> None:
    bench.fake(FakeCalling).rooms.clear()
    calling = bench.client(Calling)
    shown = await workstation.queue_panel(VIEWER, calling, bench.client(Patients))
    assert shown.values["queues"] == ()
    with pytest.raises(NoQueue):
        await workstation.call_next(VIEWER, bench.client(Clinic))
    assert (await workstation.at_home(VIEWER, calling, bench.client(Encounters))).tile == ""


async def test_the_home_page_says_how_many_wait(bench: Bench) -> None:
    home = await workstation.at_home(VIEWER, bench.client(Calling), bench.client(Encounters))
    assert home.tile.startswith("候诊 2 人，下一位 A")
    assert home.badge == 2
    assert [(one.label, one.value) for one in home.stats][:1] == [("候诊", "2")]
    assert "已接诊" in {one.label for one in home.stats}


@pytest.mark.parametrize("away", ["patients", "calling", "records", "orders", "pricing"])
async def test_a_board_that_is_away_takes_only_its_own_panel(bench: Bench, away: str) -> None:
    """一块板离线，只影响自己的面板，其余照常。"""
    await add_drug(bench, "aldp")
    bench.runtime.dispatcher.detach(away)
    works = {name: await is_shown(panel) for name, panel in panels(bench).items()}
    needs = {
        "queue": {"calling"},
        "banner": {"patients"},
        "note": set(),
        "drugs": {"orders"},
        "tests": {"orders"},
        "total": {"orders", "pricing"},
        "timeline": {"patients"},
        "medicines": {"orders"},
        "trend": {"records"},
        "workstation": set(),
    }
    assert works == {name: away not in wanted for name, wanted in needs.items()}


def panels(bench: Bench) -> dict[str, Any]:
    clinic, orders = asked(bench)
    patients, records = bench.client(Patients), bench.client(Records)
    calling, pricing = bench.client(Calling), bench.client(Pricing)
    return {
        "queue": workstation.queue_panel(VIEWER, calling, patients),
        "banner": workstation.banner(HIS_VISIT, clinic, patients),
        "note": notes.note(HIS_VISIT, clinic, records),
        "drugs": basket.drugs(HIS_VISIT, orders),
        "tests": basket.tests(HIS_VISIT, orders),
        "total": signing.total(HIS_VISIT, VIEWER, orders, pricing),
        "timeline": context.timeline(HIS_VISIT, clinic, patients),
        "medicines": context.medicines(HIS_VISIT, clinic, orders),
        "trend": context.trend(HIS_VISIT, clinic, records),
        "workstation": workstation.visit(HIS_VISIT, clinic),
    }


async def is_shown(panel: Any) -> bool:
    try:
        return isinstance(await panel, View)
    except Unavailable:
        return False
