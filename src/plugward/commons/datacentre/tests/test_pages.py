"""Pages 页面: the manager's way from the cockpit to the facts, and who may not go it."""

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from plugward.commons.datacentre.board import board as datacentre_board
from plugward.commons.datacentre.contract import Measure, Selection, Words
from plugward.commons.datacentre.saving import safe
from plugward.commons.datacentre.showing import Shown, span_of, told
from plugward.commons.datacentre.tests.conftest import Hospital, a_stay, ended
from plugward.commons.datacentre.tests.ward.board import board as ward_board
from plugward.commons.datacentre.tests.ward.contract import Ward
from plugward.commons.identity.board import board as identity_board
from plugward.commons.identity.demo import Login
from plugward.commons.portal.board import board as portal_board
from plugward.commons.portal.gateway import Gateway
from plugward.commons.portal.guard import LOOPBACK_NAMES
from plugward.commons.portal.tests.conftest import Browser
from plugward.kit.time import hospital_time

MANAGER, DOCTOR = "M10001", "D10247"
REPORT = "/datacentre/reports/ward.stays-by-room"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Hospital]:
    boards = (identity_board, portal_board, ward_board, datacentre_board)
    opened = Hospital(tmp_path, boards=boards, keeps_file=False)
    await opened.start(
        other={"identity": {"demo": True}, "portal": {"demo": True}}, hospital_name="示范市第一医院"
    )
    ward = opened.client(Ward)
    for room, fen in (("101", 1_000), ("101", 505), ("102", 9_900)):
        await ward.end(ended(a_stay(room), fen=fen))
    await ward.begin(a_stay("201", campus="C2"))
    await opened.caught_up()
    yield opened
    await opened.stop()


async def signed_in(house: Hospital, staff_no: str) -> Browser:
    login = Login(
        staff_no=staff_no,
        password="",  # a click signs in here
        name=staff_no,
        title="",
        role="manager" if staff_no == MANAGER else "doctor",
        campus="C1",
    )
    await house.runtime.plugged["identity"].service.demo.admit((login,))
    gateway = Gateway(house.runtime, hosts=LOOPBACK_NAMES, demo=True, https=False)
    await gateway.prepare()
    return await Browser(gateway).sign_in(staff_no)


async def test_from_the_catalogue_to_the_facts_in_two_clicks(house: Hospital) -> None:
    browser = await signed_in(house, MANAGER)
    catalogue = (await browser.get("/datacentre/reports")).text
    assert f'href="{REPORT}"' in catalogue
    assert "按入院日统计。" in catalogue  # the 口径 beside it
    page = (await browser.get(REPORT)).text
    assert "114.05" in page
    assert "data-asof" in page
    links = re.findall(r'href="([^"]*/facts\?[^"]*)">(\d+)</a>', page)
    total = next(link for link, value in links if value == "4").replace("&amp;", "&")
    facts = (await browser.get(total)).text
    assert facts.count("<tr data-row>") == 4
    assert "沈玉兰" not in facts


async def test_a_value_of_several_lines_stands_once(house: Hospital) -> None:
    browser = await signed_in(house, MANAGER)
    page = (await browser.get(REPORT)).text
    grid = page[page.index("<tbody>") :]
    assert grid.count('rowspan="2"') == 1  # campus C1 beside its two rooms
    assert 'colspan="2">C1 小计</td>' in grid


async def test_the_page_takes_days_and_refuses_nonsense(house: Hospital) -> None:
    browser = await signed_in(house, MANAGER)
    empty = (await browser.get(f"{REPORT}?since=2026-01-01&until=2026-01-02")).text
    assert "这段时间没有数据" in empty
    assert (await browser.get(f"{REPORT}?since=yesterday")).status == 422
    assert (await browser.get("/datacentre/reports/ward.nothing")).status == 404
    wild = await browser.get(f"{REPORT}?campus=%27%20OR%201=1--")
    assert wild.status == 200
    assert "这段时间没有数据" in wild.text


async def test_the_cockpit_shows_itself_without_the_boards_it_needs(house: Hospital) -> None:
    """Nothing but a ward is plugged in: every panel says what is missing, none fails."""
    browser = await signed_in(house, MANAGER)
    page = await browser.get("/datacentre/cockpit")
    assert page.status == 200
    assert 'data-theme="dark"' in page.text
    assert "示范市第一医院" in page.text
    assert page.text.count("数据来源未插入") >= 5
    assert "style=" not in page.text
    again = await browser.get("/datacentre/cockpit", headers={"HX-Request": "true"})
    assert again.text.lstrip().startswith('<div class="datacentre-ck" id="main"')


async def test_english_is_english(house: Hospital) -> None:
    browser = await signed_in(house, MANAGER)
    await browser.post("/portal/language", {"back": "/"})
    page = (await browser.get(REPORT)).text
    assert "By day of admission." in page
    assert "sub-total" in page


async def test_who_may_not_read_reports_sees_none(house: Hospital) -> None:
    browser = await signed_in(house, DOCTOR)
    for path in (
        "/datacentre/reports",
        "/datacentre/cockpit",
        REPORT,
        f"{REPORT}/facts?measure=stays",
    ):
        assert (await browser.get(path)).status == 403, path
    home = (await browser.get("/")).text
    assert "/datacentre/" not in home


# ── figures as text ───────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("value", "format", "text"),
    [
        (None, "count", "—"),
        (1_234, "count", "1,234"),
        (0.12345, "percent", "12.3%"),
        (0.125, "percent", "12.5%"),
        (1.0, "percent", "100.0%"),
        (123_456, "money", "1,234.56"),
        (-5, "money", "-0.05"),
        (2.25, "minutes", "2.3"),
        (2.5, "number", "2.5"),
    ],
)
def test_a_figure_is_told(value: Any, format: str, text: str) -> None:
    assert told(value, format) == text


def test_big_amounts_are_told_in_wan_in_chinese_only() -> None:
    measure = Measure(
        name="x", title=Words(zh="x", en="x"), format="money", unit=Words(zh="元", en="yuan")
    )
    assert Shown("zh-CN").big(684_000_000, measure) == ("684.0", "万元")
    assert Shown("en").big(684_000_000, measure) == ("6,840,000.00", "yuan")
    assert Shown("zh-CN").big(41_832, measure) == ("418.32", "元")


def test_the_usual_stretches_are_recognised() -> None:
    today = hospital_time("2026-03-04 12:00").date()
    week = Selection(since=today.replace(day=2), until=today)
    assert span_of(week, today) == "week"
    assert span_of(Selection(since=today, until=today), today) == "today"
    assert span_of(Selection(since=today.replace(day=1), until=today), today) == "month"
    assert span_of(Selection(since=today.replace(day=3), until=today), today) == ""


async def test_a_report_is_saved_for_spreadsheets(house: Hospital) -> None:
    """导出：每行写全标签，数字不带千分位，小计与合计都在；浏览器只存不显。"""
    browser = await signed_in(house, MANAGER)
    page = (await browser.get(REPORT)).text
    link = re.search(r'href="([^"]*/csv[^"]*)"', page)
    assert link is not None
    answer = await browser.get(link[1].replace("&amp;", "&"))
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    lines = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len({len(line) for line in lines}) == 1
    assert lines[-1][0] == "合计"
    assert "114.05" in lines[-1]
    assert any("小计" in line for line in lines)


async def test_who_may_not_read_reports_may_not_save_them(house: Hospital) -> None:
    browser = await signed_in(house, DOCTOR)
    assert (await browser.get(f"{REPORT}/csv")).status == 403


@pytest.mark.parametrize("label", ["=1+1", "+1", "-1", "@sum", "\tx"])
def test_a_label_that_begins_like_a_formula_is_text(label: str) -> None:
    """SEC-INJ：单元格以 = + - @ 开头的一律写成文本。"""
    assert safe(label) == f"'{label}"
    assert safe("心血管内科") == "心血管内科"
