"""The counter and the pharmacy window in a real browser: 387.72 is paid, six packs go out."""

import asyncio
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from plugward.boards.billing.contract import ChannelAction
from plugward.boards.billing.tests.desk import FakeChannel
from plugward.boards.orders.contract import NewLine, Orders, SignGroup
from plugward.kernel.board import load_board
from plugward.kit.ids import new_id
from plugward.vocabulary import OrderGroupId, OrderKind, OrderLineId
from tests.browser.clinic_day import C1, CARDIOLOGY, SHEN, ZHOU, Morning, drug
from tests.browser.harness import Hospital, Watched, new_tab

pytestmark = pytest.mark.browser

GU, XU = "C10036", "P10043"
COMMONS = ("identity", "masterdata", "portal")
BOARDS = (
    "patients",
    "registration",
    "calling",
    "encounters",
    "orders",
    "pricing",
    "billing",
    "drug_store",
    "pharmacy",
)
READY_S_MAX = 90


@pytest.fixture(scope="module")
def hospital() -> Iterator[Hospital]:
    names = [f"commons.{n}" for n in COMMONS] + [f"boards.{n}" for n in BOARDS]
    made = Hospital(load_board(f"plugward.{name}.board:board") for name in names).start()
    made.runtime.outside = FakeChannel()
    yield made
    made.close()


@pytest.fixture(scope="module")
def morning(hospital: Hospital) -> Morning:
    assert hospital._loop is not None
    preparing = signed_today(Morning(hospital.runtime))
    return asyncio.run_coroutine_threadsafe(preparing, hospital._loop).result(READY_S_MAX)


async def signed_today(morning: Morning) -> Morning:
    """The design's orders of the day, for two patients: 92.72 + 115.00 + 180.00 + 40.00."""
    await morning.prepare()
    for name in (ZHOU, SHEN):
        tests = (
            _test(OrderKind.LAB, "L0162"),
            _test(OrderKind.LAB, "L0026"),
            _test(OrderKind.EXAM, "E0039"),
            _test(OrderKind.TREATMENT, "T0001"),
        )
        drugs = (
            drug("D0034", 2, "10", "mg", "QD"),
            drug("D0171", 2, "0.5", "g", "BID"),
            drug("D0052", 2, "20", "mg", "QN"),
        )
        for lines in (drugs, tests):
            with morning._as("doctor"):
                await morning.runtime.client(Orders).sign(
                    SignGroup(
                        id=OrderGroupId(new_id()),
                        encounter=morning.visits[name],
                        patient=morning.patients[name],
                        campus=C1,
                        department=CARDIOLOGY,
                        lines=lines,
                        indication="高血压 3 级；2 型糖尿病",
                    )
                )
    await morning.runtime.quiet(patience_s=60)
    return morning


def _test(kind: OrderKind, item: str) -> NewLine:
    return NewLine(id=OrderLineId(new_id()), kind=kind, item=item)


@pytest.fixture
def cashier(chromium: Browser, hospital: Hospital, morning: Morning) -> Iterator[Watched]:
    del morning
    watched = new_tab(chromium, hospital.url).sign_in(GU, "/billing/cashier")
    yield watched
    watched.context.close()


def test_a_patient_is_found_settled_and_gets_the_drugs(
    chromium: Browser, cashier: Watched, hospital: Hospital
) -> None:
    """读卡找到 → 去掉营养指导 → 387.72 − 325.53 = 62.19 → 扫码 F9 → 药房叫号、扫 6 盒、F9 发药。"""
    page = cashier.page
    cashier.press("F2")
    page.keyboard.type(ZHOU)
    cashier.press("Enter")
    expect(page.locator(".ban b").first).to_have_text(ZHOU)
    page.locator(".billing-bl", has_text="营养").click()
    registration = page.locator(".billing-bl", has_text="挂号")
    if registration.count():
        registration.first.click()
    expect(page.locator(".billing-big")).to_have_text("¥62.19")
    expect(page.locator(".billing-due")).to_contain_text("387.72")
    expect(page.locator(".billing-due")).to_contain_text("325.53")
    cashier.accessible()

    page.locator("#code").fill("285500000000000001")
    cashier.press("F9")
    expect(page.locator("#main")).to_contain_text("C1-S0000000")
    cashier.calm()

    window = new_tab(chromium, hospital.url).sign_in(XU, "/pharmacy/window")
    hand_out(window)
    window.context.close()


def hand_out(window: Watched) -> None:
    page = window.page
    window.press("F4")
    expect(page.locator(".ban b").first).to_have_text(ZHOU)
    expect(page.locator(".ban .alg")).to_contain_text("过敏")
    expect(page.locator("#scan")).to_be_focused()
    expect(page.locator("#dispense")).to_be_disabled()
    window.accessible()

    page.keyboard.type("D0001")
    window.press("Enter")
    expect(page.locator("#blocked")).to_contain_text("不是本方药品")
    for code in ("D0034", "D0034", "D0171", "D0171", "D0052", "D0052"):
        before = page.locator(".tb tr", has_text="正确").count()
        expect(page.locator("#scan")).to_be_focused()
        page.keyboard.type(code)
        window.press("Enter")
        expect(page.locator(".tb tr", has_text="正确")).to_have_count(before + 1)
    expect(page.locator("#dispense")).to_be_enabled()
    window.press("F9")
    expect(page.locator("#pharmacy-queue .q")).to_have_count(0)
    window.calm()


def test_a_channel_that_says_nothing_is_shown_and_nobody_pays_twice(
    cashier: Watched, hospital: Hospital, morning: Morning
) -> None:
    """渠道无应答 → 页面写明正在查询，收款键停用；未决清单可立即查询，查到后自动结清。"""
    channel = hospital.runtime.outside
    assert isinstance(channel, FakeChannel)
    channel.silent = set(ChannelAction)
    page = cashier.goto(f"/billing/cashier?encounter={morning.visits[SHEN]}").page
    cashier.press("F8", "F9")
    expect(page.locator("#main")).to_contain_text("渠道未答复")
    expect(page.locator("#take")).to_be_disabled()
    cashier.accessible()

    cashier.goto("/billing/unresolved")
    expect(page.locator("#ask-first")).to_be_visible()
    cashier.accessible()
    channel.silent = set()
    cashier.press("F9")
    expect(page.locator("#main")).to_contain_text("没有未决款项")
    assert channel.asked(ChannelAction.CHARGE) <= 2
    cashier.calm()


@pytest.mark.parametrize("path", ["/billing/day", "/billing/refunds"])
def test_the_other_pages_of_the_counter_are_calm(cashier: Watched, path: str) -> None:
    cashier.goto(path)
    cashier.accessible()
    cashier.calm()


@pytest.mark.parametrize("path", ["/pharmacy/window", "/pharmacy/returns", "/drug_store/stock"])
def test_the_pages_of_the_pharmacist_are_calm(
    chromium: Browser, hospital: Hospital, morning: Morning, path: str
) -> None:
    del morning
    window = new_tab(chromium, hospital.url).sign_in(XU, path)
    window.accessible()
    window.calm()
    window.context.close()
