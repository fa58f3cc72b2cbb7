"""The laboratory in a real browser: from the needle to the doctor's two clicks."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from plugward.boards.lab.contract import LabRequest, RequestState, Subject
from plugward.commons.identity.seed import demo_staff_id
from plugward.commons.masterdata.contract import MasterData
from plugward.commons.masterdata.seed import sow
from plugward.kernel.board import load_board
from plugward.kernel.envelope import Actor, ActorKind, acting_as
from plugward.kit.ids import new_id
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
    OrderGroupId,
    OrderLineId,
    PatientId,
    Sex,
)
from tests.browser.harness import Hospital, new_tab

pytestmark = pytest.mark.browser

DR_LIN, NURSE_HE, TECHNICIAN = "D10247", "N10052", "L10008"
POTASSIUM = "L0033"


@pytest.fixture(scope="module")
def hospital() -> Iterator[Hospital]:
    boards = (
        "plugward.commons.identity.board:board",
        "plugward.commons.masterdata.board:board",
        "plugward.commons.portal.board:board",
        "plugward.boards.lab.board:board",
    )
    hospital = Hospital(load_board(board) for board in boards).start()
    hospital.run(_open_for_business(hospital))
    yield hospital
    hospital.close()


async def _open_for_business(hospital: Hospital) -> None:
    steward = Actor(
        id="staff:steward",
        kind=ActorKind.PERSON,
        permissions=frozenset({"masterdata.read", "masterdata.publish"}),
        campuses=("C1",),
    )
    with acting_as(steward):
        await sow(hospital.runtime.client(MasterData))
    await hospital.runtime.quiet()


async def _order(hospital: Hospital, name: str) -> None:
    """What orders and the patient index would have told the laboratory."""
    lab, patient = hospital.runtime.plugged["lab"].service, PatientId(new_id())
    await lab.know_subject(Subject(id=patient, name=name, sex=Sex.MALE, birth_date=None))
    request = LabRequest(
        id=OrderLineId(new_id()),
        group=OrderGroupId(new_id()),
        encounter=EncounterId(new_id()),
        patient=patient,
        campus=CampusCode("C1"),
        department=DepartmentCode("C1-CARD"),
        author=f"staff:{demo_staff_id(DR_LIN)}",
        item=POTASSIUM,
        name_zh="钾",
        name_en="Potassium",
        is_urgent=True,
        indication="高血压 3 级",
        signed_at=hospital.runtime.clock.now(),
        state=RequestState.REQUESTED,
    )
    await lab.add_requests((request,))


def test_from_the_needle_to_two_clicks_of_the_doctor(chromium: Browser, hospital: Hospital) -> None:
    """护士采样 → 检验师接收、录入、签发 → 医生首页两次点击确认危急值。"""
    hospital.run(_order(hospital, "周建民"))

    nurse = new_tab(chromium, hospital.url).sign_in(NURSE_HE, "/lab/collection")
    expect(nurse.page.locator("main")).to_contain_text("周建民")
    nurse.accessible()
    nurse.press("F9")
    expect(nurse.page.locator("main")).to_contain_text("没有待采样的申请")
    nurse.calm()

    bench = new_tab(chromium, hospital.url).sign_in(TECHNICIAN, "/lab/worklist?state=collected")
    bench.page.locator("#lab-list a.q").first.click()
    expect(bench.page.locator("#issue")).to_contain_text("接收")
    bench.press("F9")
    value = bench.page.get_by_role("textbox", name="钾")
    value.fill("7.1")
    bench.accessible()
    bench.press("F9")
    expect(bench.page.locator("main")).to_contain_text("报告已签发")
    expect(bench.page.locator("main")).to_contain_text("危急值")
    bench.calm()

    doctor = new_tab(chromium, hospital.url).sign_in(DR_LIN, "/")
    waits = doctor.page.locator(".portal-td", has_text="危急值：钾 7.1 mmol/L")
    waits.get_by_role("link", name="确认").click()
    doctor.page.wait_for_url("**/lab/critical/**")
    doctor.accessible()
    doctor.page.locator("#acknowledge").click()
    expect(doctor.page.locator("main")).to_contain_text("已确认")
    assert [what for kind, what in doctor.acts if kind == "click"][1:] == ["acknowledge"]
    assert doctor.keys == []
    doctor.page.get_by_role("link", name="报告").click()
    expect(doctor.page.locator("main")).to_contain_text("7.1")
    doctor.accessible()
    doctor.calm()


def test_a_refused_result_says_why_and_keeps_what_was_typed(
    chromium: Browser, hospital: Hospital
) -> None:
    hospital.run(_order(hospital, "沈玉兰"))
    new_tab(chromium, hospital.url).sign_in(NURSE_HE, "/lab/collection").press("F9").calm()
    bench = new_tab(chromium, hospital.url).sign_in(TECHNICIAN, "/lab/worklist?state=collected")
    bench.page.locator("#lab-list a.q").first.click()
    expect(bench.page.locator("#issue")).to_contain_text("接收")
    bench.press("F9")
    bench.page.get_by_role("textbox", name="钾").fill("高")
    bench.press("F9")
    expect(bench.page.locator("[data-refusal]").first).to_contain_text("须为数值")
    expect(bench.page.get_by_role("textbox", name="钾")).to_have_value("高")
    bench.calm(expected=["422"])


@pytest.mark.parametrize(
    ("staff_no", "paths"),
    [
        (NURSE_HE, ["/lab/collection"]),
        (TECHNICIAN, ["/lab/worklist", "/lab/worklist?state=reported"]),
        (DR_LIN, ["/lab/critical", "/lab/critical?all=1"]),
    ],
)
def test_every_page_is_calm_and_accessible(
    chromium: Browser, hospital: Hospital, staff_no: str, paths: list[str]
) -> None:
    """In Chinese, and after a click on the language in English."""
    tab = new_tab(chromium, hospital.url).sign_in(staff_no, "/")
    for language in ("zh-CN", "en"):
        for path in paths:
            tab.goto(path).settled()
            assert tab.page.locator("html").get_attribute("lang") == language
            tab.calm()
            tab.accessible()
        if language == "zh-CN":
            tab.page.click("#app nav form[action='/portal/language'] button")
    tab.context.close()
