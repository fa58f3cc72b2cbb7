"""Who opened a record is seen, reviewed, and can be switched off: in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from plugward.kernel.board import load_board
from plugward.kit.ids import new_id
from tests.browser.harness import Hospital, new_tab

pytestmark = pytest.mark.browser

NURSE_HE, MANAGER, ADMINISTRATOR = "N10052", "M10001", "A10001"


@pytest.fixture(scope="module")
def hospital() -> Iterator[Hospital]:
    boards = (
        "plugward.commons.identity.board:board",
        "plugward.commons.masterdata.board:board",
        "plugward.commons.portal.board:board",
    )
    hospital = Hospital(load_board(board) for board in boards).start()
    yield hospital
    hospital.close()


def test_a_nurse_breaks_the_glass_and_a_manager_reviews_it(
    chromium: Browser, hospital: Hospital
) -> None:
    """护士写明原因开启 → 管理者首页立即有待办 → 审核后消失。"""
    nurse = new_tab(chromium, hospital.url).sign_in(NURSE_HE, f"/identity/open/{new_id()}")
    nurse.accessible()
    nurse.page.fill("#words", "转来抢救，查既往用药")
    nurse.press("F9")
    nurse.page.wait_for_url(f"{hospital.url}/")
    nurse.calm()

    manager = new_tab(chromium, hospital.url).sign_in(MANAGER, "/")
    waits = manager.page.locator(".portal-td", has_text="越权查阅待审核：何静姝")
    waits.get_by_role("link", name="审核").click()
    expect(manager.page.locator("main")).to_contain_text("转来抢救，查既往用药")
    manager.accessible()
    manager.page.get_by_placeholder("审核意见").fill("抢救需要")
    manager.page.get_by_role("button", name="审核").click()
    expect(manager.page.locator("main")).to_contain_text("没有这一状态的越权查阅")
    manager.calm()


def test_an_administrator_switches_a_person_off(chromium: Browser, hospital: Hospital) -> None:
    nurse = new_tab(chromium, hospital.url).sign_in(NURSE_HE, "/")
    administrator = new_tab(chromium, hospital.url).sign_in(ADMINISTRATOR, "/identity/accounts")
    administrator.accessible()
    row = administrator.page.locator("tr", has_text=NURSE_HE)
    row.get_by_placeholder("原因").fill("离职")
    row.get_by_role("button", name="停用").click()
    expect(administrator.page.locator("tr", has_text=NURSE_HE)).to_contain_text("恢复")
    administrator.calm()
    nurse.goto("/")
    expect(nurse.page.locator("#staff")).to_be_visible()
