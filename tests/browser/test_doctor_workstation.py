"""The doctor's workstation in a browser, against a real hospital: keys counted, drafts, outages."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from plugward.kernel.board import load_board
from plugward.kernel.contracts import Operation
from plugward.kernel.envelope import Envelope
from tests.browser.clinic_day import CAO, SHEN, ZHOU, Morning
from tests.browser.harness import Hospital, Watched, new_tab

pytestmark = pytest.mark.browser
expect.set_options(timeout=15_000)  # a busy machine is slow, and no less right

LIN = "D10247"
COMMONS = ("identity", "masterdata", "portal")
BOARDS = (
    *("patients", "registration", "encounters", "calling", "orders", "records", "pricing"),
    *("clinic", "lab", "drug_store", "pharmacy", "billing"),
)
READY_S_MAX = 120
REPEATED = [("D0034", 2), ("D0171", 2), ("D0052", 4)]


@pytest.fixture(scope="module")
def hospital() -> Iterator[Hospital]:
    names = [f"commons.{n}" for n in COMMONS] + [f"boards.{n}" for n in BOARDS]
    made = Hospital(load_board(f"plugward.{name}.board:board") for name in names).start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def morning(hospital: Hospital) -> Morning:
    assert hospital._loop is not None
    preparing = Morning(hospital.runtime).prepare()
    return asyncio.run_coroutine_threadsafe(preparing, hospital._loop).result(READY_S_MAX)


@pytest.fixture
def doctor(chromium: Browser, hospital: Hospital, morning: Morning) -> Iterator[Watched]:
    """Dr Lin at the workstation, nobody in the room."""
    del morning
    watched = new_tab(chromium, hospital.url).sign_in(LIN, "/clinic")
    expect(watched.page.locator("#call-next")).to_be_visible()
    yield watched
    watched.context.close()


def open_visit(doctor: Watched, morning: Morning, name: str) -> Watched:
    """Open somebody's visit from the queue's address and wait for the whole chart."""
    doctor.goto(f"/clinic/visits/{morning.visits[name]}")
    for panel in ("#clinic-banner .ban", "#f-complaint", "#drug-lines *", "#test-lines *"):
        expect(doctor.page.locator(panel).first).to_be_attached()
    expect(doctor.page.locator(".clinic-tot")).to_be_visible()
    doctor.acts.clear()
    return doctor


def test_a_prescription_is_repeated_with_four_keys(
    doctor: Watched, hospital: Hospital, morning: Morning
) -> None:
    """F4 叫号并打开，Alt R 上次处方，Enter 续用，F9 签名：四个键。"""
    page = doctor.page
    doctor.press("F4")
    expect(page.locator(".ban b").first).to_have_text(ZHOU)
    expect(page.locator("#sign")).to_be_visible()
    expect(page.locator("#note-form")).to_be_attached()
    expect(page.locator("#drug-lines p")).to_be_visible()
    doctor.press("Alt+r")
    expect(page.locator("#take-over")).to_be_focused()
    doctor.press("Enter")
    expect(page.locator("#drug-lines tbody tr")).to_have_count(3)
    expect(page.locator("#total-amount")).to_have_text("¥123.32")
    expect(page.locator("#drug-lines tbody tr").first).to_contain_text("充足")
    doctor.press("F9")
    expect(page.locator("#drug-lines tbody .tag.n").first).to_have_text("已签名")

    assert doctor.keys == ["F4", "Alt+r", "Enter", "F9"]
    assert hospital.run(morning.orders_of(ZHOU)) == REPEATED
    doctor.calm()


def add_drug(doctor: Watched, letters: str, dose: str, packs: str) -> None:
    """Letters, Enter, the dosage of the design, Enter."""
    page = doctor.page
    rows = page.locator("#drug-lines tbody tr")
    before = rows.count()
    doctor.press("F7")
    page.keyboard.type(letters)
    doctor.press("Enter")
    pick = page.locator("#drug-pick")
    expect(pick.locator("input[name=quantity]")).to_be_focused()
    pick.locator("input[name=dose]").fill(dose)
    pick.locator("input[name=days]").fill("28")
    pick.locator("input[name=quantity]").fill(packs)
    doctor.press("Enter")
    expect(rows).to_have_count(before + 1)
    expect(page.locator("#drug-text")).to_be_focused()


def test_what_is_typed_survives_a_reload_and_stays_with_its_patient(
    doctor: Watched, morning: Morning
) -> None:
    """输入后刷新、切换患者：一字不丢，也不串到别人。"""
    page = open_visit(doctor, morning, CAO).page
    doctor.press("F6")
    page.keyboard.type("胸闷三天")
    expect(page.locator("#draft-note")).to_contain_text("草稿")
    page.reload()
    expect(page.locator("#f-complaint")).to_have_value("胸闷三天")

    open_visit(doctor, morning, ZHOU)
    expect(page.locator("#f-complaint")).to_have_value("")
    open_visit(doctor, morning, CAO)
    expect(page.locator("#f-complaint")).to_have_value("胸闷三天")
    doctor.calm()


def test_a_note_is_signed_read_and_corrected(doctor: Watched, morning: Morning) -> None:
    """病历签名后不可改；更正另立第 2 版并写明理由。"""
    page = open_visit(doctor, morning, CAO).page
    page.locator("#f-complaint").fill("胸闷三天")
    page.locator("#f-pressure").fill("158/94")
    doctor.press("F9")  # no diagnosis yet
    expect(page.locator("#note-form [data-refusal]").first).to_contain_text("诊断")
    expect(page.locator("#f-complaint")).to_have_value("胸闷三天")

    doctor.press("Alt+d")
    page.keyboard.type("I10")
    doctor.press("Enter")
    expect(page.locator("#clinic-dx .tag")).to_contain_text("I10")
    doctor.press("F9")
    expect(page.locator("#note-area")).to_contain_text("第 1 版")

    page.get_by_role("button", name="更正").first.click()
    page.locator("#f-reason").fill("补充既往史")
    page.locator("#f-past_history").fill("糖尿病 5 年")
    doctor.press("F9")
    expect(page.locator("#note-area")).to_contain_text("第 2 版")
    expect(page.locator("#note-area")).to_contain_text("补充既往史")
    versions = page.locator("#note-area a[href^='/records/notes/']").first.get_attribute("href")
    doctor.goto(versions or "")
    expect(page.locator("main .boxed")).to_have_count(2)
    expect(page.locator("main .boxed").last).to_contain_text("已被更正")
    doctor.accessible()
    doctor.calm(expected=("422 ",))


def test_a_called_patient_comes_in_and_the_orders_can_be_read_by_everybody(
    doctor: Watched, morning: Morning
) -> None:
    """到诊一键确认；本次就诊的医嘱另有一页，状态一目了然。"""
    page = doctor.page
    doctor.press("F4")
    expect(page.locator(".ban b").first).to_be_visible()
    page.get_by_role("button", name="到诊").click()
    expect(page.locator("#clinic-queue .q.on .tag")).to_have_text("就诊中")
    doctor.goto(f"/clinic/visits/{morning.visits[ZHOU]}/print")
    expect(page.locator("main")).to_contain_text(ZHOU)
    expect(page.locator("main tbody tr")).to_have_count(len(REPEATED))
    doctor.accessible()
    doctor.goto(f"/orders/encounters/{morning.visits[ZHOU]}")
    expect(page.locator("main tbody tr")).to_have_count(len(REPEATED))
    expect(page.locator("main tbody .tag").first).to_have_text("已签名")
    doctor.accessible()
    doctor.calm()


def test_the_three_looks_of_allergies(doctor: Watched, morning: Morning) -> None:
    """过敏：有（红）、已询问无（绿）、未询问（黄）。"""
    for name, look, words in (
        (ZHOU, "alg ", "青霉素过敏"),
        (SHEN, "alg none", "无已知过敏"),
        (CAO, "alg unk", "未询问"),
    ):
        banner = open_visit(doctor, morning, name).page.locator("#clinic-banner .alg")
        expect(banner).to_contain_text(words)
        assert (banner.get_attribute("class") or "").startswith(look.strip())
    doctor.calm()


def test_pricing_away_takes_the_total_and_nothing_else(
    doctor: Watched, hospital: Hospital, morning: Morning
) -> None:
    """价格板拔出：合计换成一句话，照样开单、签名。"""
    page = open_visit(doctor, morning, CAO).page
    pricing = hospital.runtime.plugged["pricing"].board
    hospital.run(hospital.runtime.unplug("pricing"))
    try:
        doctor.press("F8")
        page.keyboard.type("L0026")
        doctor.press("Enter")
        expect(page.locator("#test-lines tbody tr")).to_have_count(1)
        expect(page.locator("#clinic-total")).to_contain_text("价格服务离线")
        doctor.press("F9")
        expect(page.locator("#test-lines .tag.n")).to_have_text("已签名")
    finally:
        hospital.run(hospital.runtime.plug(pricing))
    assert hospital.run(morning.orders_of(CAO)) == [("L0026", 1)]
    doctor.calm(expected=("503 ", "/total", "/amounts"))


def test_one_slow_board_never_delays_another(
    doctor: Watched, hospital: Hospital, morning: Morning
) -> None:
    """主索引十秒不应答：病历、处方、检验照常打开，横幅换成提示，并提醒询问过敏。"""
    dispatcher = hospital.runtime.dispatcher
    endpoint = dispatcher._endpoints["patients"]

    async def slow(operation: Operation, request: Any, envelope: Envelope) -> Any:
        await asyncio.sleep(10)
        return await endpoint(operation, request, envelope)

    dispatcher.attach("patients", slow)
    try:
        page = doctor.goto(f"/clinic/visits/{morning.visits[ZHOU]}").page
        for panel in ("#f-complaint, #note-area summary", "#drug-lines tbody", ".clinic-tot"):
            expect(page.locator(panel).first).to_be_visible(timeout=1_500)
        expect(page.locator("#clinic-banner .alg.unk")).to_contain_text("无法显示", timeout=4_000)
    finally:
        dispatcher.attach("patients", endpoint)
    doctor.calm(expected=("htmx:timeout", "htmx:afterRequest", "503 ", "504 "))


def test_the_workstation_is_accessible(doctor: Watched, morning: Morning) -> None:
    """axe-core：空诊室、就诊中、选药中均无违规。"""
    doctor.accessible()
    page = open_visit(doctor, morning, ZHOU).page
    doctor.accessible()
    doctor.press("F7")
    page.keyboard.type("xst")
    expect(page.locator("#drug-hits [role=option]").first).to_be_visible()
    doctor.accessible()
    doctor.press("Enter")
    expect(page.locator("#drug-pick")).to_be_visible()
    doctor.accessible()
    doctor.calm()
