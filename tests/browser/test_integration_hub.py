"""The hub's page in a real browser: an engineer finds a dead letter and sends it again."""

import asyncio
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from plugward.commons.hub.contract import Hub, System
from plugward.commons.hub.ledger_records import Arrival, Lane
from plugward.kernel.board import load_board
from plugward.kernel.envelope import ALL_CAMPUSES, Actor, ActorKind, acting_as
from plugward.kit.ids import new_id
from plugward.sim.outside.lis import SimulatedLis
from plugward.vocabulary import CampusCode
from tests.browser.harness import Hospital, new_tab

pytestmark = pytest.mark.browser

ENGINEER = "I10003"
SOMEBODY = Actor(
    id="staff:somebody",
    kind=ActorKind.PERSON,
    permissions=frozenset({"hub.configure"}),
    campuses=ALL_CAMPUSES,
)
OML = (
    b"MSH|^~\\&|PLUGWARD|C1|LIS|C1|20260302||OML^O21^OML_O21|X1|P|2.5.1||||||UNICODE UTF-8\r"
    b"PID|1||P1||ZHANG\rORC|NW|L1\rOBR|1|L1||GLU^^L\r"
)


@pytest.fixture
def hospital() -> Iterator[Hospital]:
    boards = ("masterdata", "identity", "portal", "hub")
    found = Hospital(
        [load_board(f"plugward.commons.{name}.board") for name in boards],
        settings={"hub": {"mllp_port": 0}},
    )
    yield found.start()
    found.close()


async def a_rejected_letter(hospital: Hospital, lis: SimulatedLis) -> None:
    """The laboratory's system has said AR to a message of ours."""
    lis.answers = ["AR"]
    port = await lis.start()
    system = System(
        code="LIS-C1",
        name="检验系统（模拟）",
        campus=CampusCode("C1"),
        application="LIS",
        facility="C1",
        takes=("lab.order",),
        host="127.0.0.1",
        port=port,
    )
    with acting_as(SOMEBODY):
        await hospital.runtime.client(Hub).configure(system)
    hub = hospital.runtime.plugged["hub"].service
    arrival = Arrival(
        id=new_id(),
        sender="PLUGWARD>LIS-C1",
        control_id="X1",
        kind="OML^O21",
        body=OML,
        at=hospital.runtime.clock.now(),
    )
    await hub._ledger.append(arrival, [Lane("LIS-C1", "P1")])
    hub._lanes.nudge("LIS-C1")
    async with asyncio.timeout(5):
        while not await hub._ledger.dead_letters():  # noqa: ASYNC110 - the lane tells nobody
            await asyncio.sleep(0.02)


def test_an_engineer_finds_a_dead_letter_and_delivers_it_again(
    chromium: Browser, hospital: Hospital
) -> None:
    """工程师看到死信，写明原因，重新投递，列表随即清空。"""
    lis = SimulatedLis()
    hospital.run(a_rejected_letter(hospital, lis))
    tab = new_tab(chromium, hospital.url).sign_in(ENGINEER, "/hub/systems")
    page = tab.page
    expect(page.get_by_role("cell", name="OML^O21")).to_be_visible()
    tab.accessible()
    page.get_by_label("重投原因").fill("对方已补项目")
    page.get_by_role("button", name="重新投递").click()
    expect(page.get_by_text("没有死信")).to_be_visible()
    assert lis.orders["L1"].item == "GLU"
    tab.calm()
    hospital.run(lis.stop())


def test_from_the_alert_to_the_failing_message_and_its_replay_by_keys(
    chromium: Browser, hospital: Hospital
) -> None:
    """从告警到失败报文：看到异常端点，打开原文（留痕），写明原因后重放，全程键盘。"""
    lis = SimulatedLis()
    hospital.run(a_rejected_letter(hospital, lis))
    tab = new_tab(chromium, hospital.url).sign_in(ENGINEER, "/hub/console")
    page = tab.page
    failing = page.get_by_role("region", name="异常端点")
    expect(failing.get_by_role("link", name="检验系统（模拟）")).to_be_visible()
    expect(page.locator(".hub-box.hub-down")).to_have_count(1)
    expect(page.get_by_role("region", name="消息追踪")).to_contain_text("死信")
    tab.accessible()
    assert "ZHANG" not in page.content()  # nobody sees a patient without saying why
    page.keyboard.press("O")
    page.keyboard.type("核对项目代码")
    page.keyboard.press("Enter")
    expect(page.get_by_text("PID|1||P1||ZHANG")).to_be_visible()
    expect(page.get_by_text("000000  4d 53 48 7c")).to_be_visible()
    tab.accessible()
    page.get_by_role("region", name="消息追踪").get_by_label("重投原因").fill("对方已补项目")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="消息追踪")).to_contain_text("成功")
    assert lis.orders["L1"].item == "GLU"
    page.keyboard.press("F2")
    page.keyboard.type("X1")
    page.keyboard.press("Enter")
    expect(page.get_by_label("消息号 / 患者号")).to_have_value("X1")
    expect(page.get_by_role("cell", name="OML^O21")).to_have_count(1)
    assert "X1" not in page.url  # what is looked for stands in no address
    page.keyboard.press("Escape")
    page.keyboard.press("J")
    page.keyboard.press("Enter")
    expect(page.get_by_label("消息号 / 患者号")).to_have_value("X1")
    tab.calm()
    hospital.run(lis.stop())
