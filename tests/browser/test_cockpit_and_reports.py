"""The manager's screen in a real browser: live figures, and two clicks to the facts behind them."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from plugward.kernel.envelope import acting_as
from plugward.rack.discover import discover
from tests.browser.clinic_day import Morning
from tests.browser.harness import Hospital, new_tab

pytestmark = pytest.mark.browser
MANAGER = "M10001"
TV = (1920, 1080)
VISITS = "encounters.visits-by-department"


@pytest.fixture(scope="module")
def hospital() -> Iterator[Hospital]:
    boards = discover(frozenset({"hub"})).boards
    opened = Hospital(boards).start()
    opened.run(Morning(opened.runtime).prepare())
    opened.run(facts_are_in(opened))
    yield opened
    opened.close()


async def facts_are_in(opened: Hospital) -> None:
    from plugward.commons.datacentre.contract import DataCentre
    from plugward.kernel.testing import a_tester

    collector = opened.runtime.plugged["datacentre"].service.collector
    for _ in range(200):
        with acting_as(a_tester()):
            fresh = await opened.runtime.client(DataCentre).freshness()
        if fresh.behind == 0 and len(fresh.sources) > 8:
            return
        await collector.pause(0.05)
    raise AssertionError("the data centre does not catch up")


def test_the_cockpit_is_live_calm_and_accessible(chromium: Browser, hospital: Hospital) -> None:
    tab = new_tab(chromium, hospital.url, size=TV)
    tab.sign_in(MANAGER, "/datacentre/cockpit")
    page = tab.page
    expect(page.locator(".datacentre-kp > a")).to_have_count(7)
    expect(page.locator("figure[data-drawn=yes]").first).to_be_visible()
    # Three patients have come this morning and wait.
    expect(page.locator(".datacentre-kp > a").first).to_contain_text("候诊 3")
    expect(page.locator("[data-age]")).to_contain_text("数据更新")
    tab.accessible()
    tab.calm()


def test_any_figure_is_two_clicks_from_its_facts(chromium: Browser, hospital: Hospital) -> None:
    tab = new_tab(chromium, hospital.url, size=TV)
    tab.sign_in(MANAGER, "/datacentre/cockpit")
    page = tab.page
    for place in range(7):
        tab.goto("/datacentre/cockpit")
        page.locator(".datacentre-kp > a").nth(place).click()
        page.wait_for_url(re.compile("/datacentre/reports/"))
        expect(page.locator("h1")).to_be_visible()
    tab.goto("/datacentre/cockpit")
    tab.acts.clear()
    page.locator(".datacentre-kp > a").first.click()
    page.get_by_role("link", name="3", exact=True).first.click()
    expect(page.locator("tr[data-row]")).to_have_count(3)
    assert len(tab.acts) == 2
    tab.accessible()
    tab.calm()


def test_a_report_takes_days_by_key_and_shows_its_table(
    chromium: Browser, hospital: Hospital
) -> None:
    tab = new_tab(chromium, hospital.url)
    tab.sign_in(MANAGER, "/datacentre/reports")
    tab.accessible()
    page = tab.page
    page.locator(f'a[href="/datacentre/reports/{VISITS}"]').click()
    expect(page.locator("tr.sub").last).to_contain_text("合计")
    tab.accessible()
    page.get_by_role("button", name="表格").click()
    expect(page.locator("[data-table]")).to_be_visible()
    page.locator("#since").fill("2020-01-01")
    page.locator("#until").fill("2020-01-02")
    tab.press("F9")
    expect(page.locator("main")).to_contain_text("这段时间没有数据")
    tab.press("F4")
    page.wait_for_url(re.compile("/datacentre/cockpit"))
    tab.calm()
