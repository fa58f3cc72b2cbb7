"""The desk and the waiting hall in a real browser: two Enters, and a number on the wall."""

import time
from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from playwright.sync_api import Browser, expect

from plugward.boards.calling.contract import Calling, Ticket
from plugward.boards.patients.contract import ID_CARD, Patients, RegisterPatient
from plugward.boards.registration.contract import (
    ClinicKind,
    DayPeriod,
    PublishSession,
    PublishSlot,
    Registrations,
    SessionId,
)
from plugward.commons.identity.seed import demo_staff_id
from plugward.kernel.board import load_board
from plugward.kernel.envelope import Actor, ActorKind, acting_as
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_date
from plugward.vocabulary import CampusCode, DepartmentCode, Identifier, PatientId, Sex, SlotId
from tests.browser.harness import Hospital, new_tab

pytestmark = pytest.mark.browser

TRIAGE, STEWARD, SCREEN = "T10011", "S10005", "TV1001"
DR_LIN = demo_staff_id("D10247")
CARD = "990001196405200020"  # a region that does not exist
C1, CARDIOLOGY = CampusCode("C1"), DepartmentCode("C1-CARD")
SOMEBODY = Actor(
    id="staff:somebody",
    kind=ActorKind.PERSON,
    permissions=frozenset(
        {"patients.register", "registration.publish", "calling.call", "calling.read"}
    ),
    campuses=("C1",),
)


@pytest.fixture(scope="module")
def hospital() -> Iterator[Hospital]:
    boards = (
        "plugward.commons.identity.board:board",
        "plugward.commons.portal.board:board",
        "plugward.boards.patients.board:board",
        "plugward.boards.registration.board:board",
        "plugward.boards.encounters.board:board",
        "plugward.boards.calling.board:board",
    )
    hospital = Hospital(load_board(board) for board in boards).start()
    hospital.run(_publish(hospital))
    yield hospital
    hospital.close()


async def _publish(hospital: Hospital) -> None:
    now = hospital.runtime.clock.now()
    slot = PublishSlot(
        id=SlotId(new_id()), starts_at=now, ends_at=now + timedelta(hours=1), capacity=9
    )
    with acting_as(SOMEBODY):
        await hospital.runtime.client(Registrations).publish_session(
            PublishSession(
                id=SessionId(new_id()),
                campus=C1,
                department=CARDIOLOGY,
                department_name="心血管内科",
                doctor=DR_LIN,
                doctor_name="林予安",
                doctor_title="副主任医师",
                day=hospital_date(now),
                period=DayPeriod.MORNING,
                kind=ClinicKind.EXPERT,
                fee_item="RF02",
                room="6",
                slots=(slot,),
            )
        )
    await hospital.runtime.quiet()


async def _register(
    hospital: Hospital, name: str, card: str = "", *, born: date | None = None
) -> None:
    with acting_as(SOMEBODY):
        await hospital.runtime.client(Patients).register(
            RegisterPatient(
                id=PatientId(new_id()),
                campus=C1,
                name=name,
                sex=Sex.FEMALE,
                birth_date=born,
                identifiers=(Identifier(system=ID_CARD, value=card),) if card else (),
            )
        )


async def _call_next(hospital: Hospital) -> Ticket:
    day = hospital_date(hospital.runtime.clock.now())
    calling = hospital.runtime.client(Calling)
    with acting_as(SOMEBODY):
        [desk] = await calling.queues_of(DR_LIN, day)
    with acting_as(SOMEBODY):
        return await calling.call_next(desk.queue, DR_LIN)


def test_a_card_and_two_enters_and_the_number_is_on_the_wall(
    chromium: Browser, hospital: Hospital
) -> None:
    """F2、读卡、回车、回车：挂号并签到；医生叫号后大屏 1 秒内显示，姓名打码。"""
    hospital.run(_register(hospital, "沈玉兰", CARD))
    nurse = new_tab(chromium, hospital.url).sign_in(TRIAGE, "/registration/desk")
    nurse.accessible()
    nurse.press("F2")
    nurse.page.keyboard.insert_text(CARD)  # what a card reader does
    nurse.press("Enter")
    expect(nurse.page.locator("#confirm")).to_be_focused()
    nurse.accessible()
    nurse.press("Enter")
    expect(nurse.page.locator("#said-note")).to_contain_text("沈玉兰 已挂 林予安 号并签到")
    assert nurse.keys == ["F2", "Enter", "Enter"]
    expect(nurse.page.locator("#registration-today")).to_contain_text("已签到")
    nurse.accessible()

    wall = new_tab(chromium, hospital.url, size=(1920, 1080)).sign_in(
        SCREEN, "/calling/screen?department=C1-CARD"
    )
    expect(wall.page.locator("#main")).to_contain_text("A001 沈*兰")
    wall.accessible()
    called = hospital.run(_call_next(hospital))
    since = time.monotonic()
    expect(wall.page.locator(".calling-now .no")).to_have_text(called.number)
    assert time.monotonic() - since < 1.0
    expect(wall.page.locator(".calling-now")).to_contain_text("请到 6 诊室就诊")
    assert "沈玉兰" not in wall.page.content()
    wall.accessible()
    wall.calm()

    nurse.goto("/calling/hall")
    expect(nurse.page.locator("#main")).to_contain_text("呼叫 1 次")
    nurse.accessible()
    nurse.calm(expected=["sendAbort", "afterRequest"])  # the desk's list was just being asked for


def test_somebody_new_is_registered_without_leaving_the_desk(
    chromium: Browser, hospital: Hospital
) -> None:
    nurse = new_tab(chromium, hospital.url).sign_in(TRIAGE, "/registration/desk")
    nurse.page.fill("#who", "秦风")
    nurse.press("Enter")
    expect(nurse.page.locator("#main")).to_contain_text("没有找到")
    nurse.page.wait_for_timeout(100)  # the page has settled, as it has for a person
    nurse.press("F4")
    expect(nurse.page.locator("#new-name")).to_be_focused()
    nurse.page.keyboard.insert_text("秦风")
    nurse.page.fill("#f-card", "990001196405200021")
    expect(nurse.page.locator("#confirm")).to_be_enabled()
    nurse.press("F9")
    expect(nurse.page.locator(".refusal").first).to_contain_text("身份证号校验不通过")
    expect(nurse.page.locator("#new-name")).to_have_value("秦风")
    nurse.page.fill("#f-card", "")
    nurse.press("F9")
    expect(nurse.page.locator("#confirm")).to_contain_text("挂号并签到")
    nurse.page.wait_for_timeout(100)
    nurse.press("F9")
    expect(nurse.page.locator("#said-note")).to_contain_text("秦风 已挂")
    nurse.calm(expected=["422"])


def test_a_steward_merges_two_records_and_takes_it_back(
    chromium: Browser, hospital: Hospital
) -> None:
    """疑似重复 → 核对 → 合并（F9）→ 发现错了 → 拆分，各归各。"""
    for name in ("孔明", "孔鸣"):
        hospital.run(_register(hospital, name, born=date(1950, 1, 2)))
    steward = new_tab(chromium, hospital.url).sign_in(STEWARD, "/patients/duplicates")
    expect(steward.page.locator("#main")).to_contain_text("读音相同")
    steward.accessible()
    steward.press("F9")
    expect(steward.page.locator("#main")).to_contain_text("没有待核对的档案")
    steward.accessible()
    steward.goto("/patients/find")
    steward.page.keyboard.insert_text("孔鸣")
    steward.press("Enter")
    expect(steward.page.locator(".q")).to_have_count(1)
    steward.accessible()
    steward.page.locator(".q").first.click()
    expect(steward.page.locator("#main")).to_contain_text("本人共有 2 个编号")
    steward.accessible()
    steward.page.get_by_role("button", name="拆分此编号").click()
    expect(steward.page.locator("#main")).not_to_contain_text("本人共有")
    steward.calm()
